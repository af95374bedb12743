//! How an object comes about, whatever its kind: made or opened by name, made without a name,
//! received from another process.

use std::fmt::Display;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rsipc_core::shm::{Code, Found, Name, Registry};
use rsipc_sys::os::Os;
use rsipc_sys::shm::Mapping;

use super::error::{Lost, Result, failed, system};
use crate::external::Lendable;

/// The objects of the run directory: one for the process, opened when first needed.
pub(super) fn registry() -> Result<Arc<Registry>> {
    static REGISTRY: Mutex<Option<Arc<Registry>>> = Mutex::new(None);
    let mut known = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(registry) = &*known {
        return Ok(Arc::clone(registry));
    }
    let registry = Arc::new(Registry::open().map_err(|error| Lost::from(error).0)?);
    Ok(Arc::clone(known.insert(registry)))
}

fn parse(name: &str) -> Result<Name> {
    Name::parse(name).map_err(|error| Lost::from(rsipc_core::shm::ShmError::from(error)).0)
}

/// An object and the memory it is in.
pub(super) struct Attachment<T> {
    pub(super) object: T,
    pub(super) memory: Lendable,
}

fn attached<T, E: Code + Display>(
    memory: Mapping,
    os: &Arc<Os>,
    attach: impl FnOnce(Mapping, Arc<Os>) -> std::result::Result<T, E>,
) -> Result<Attachment<T>> {
    let object = attach(memory.clone(), Arc::clone(os)).map_err(failed)?;
    Ok(Attachment {
        object,
        memory: Lendable::new(memory),
    })
}

/// Makes an object of so many bytes, under a name or without. `make` gets the bytes, all 0.
pub(super) fn create<T, E: Code + Display>(
    name: Option<&str>,
    size: usize,
    make: impl FnOnce(Mapping, Arc<Os>) -> std::result::Result<T, E>,
) -> Result<Attachment<T>> {
    let registry = registry()?;
    let size = size as u64;
    let fill = |memory| attached(memory, registry.os(), make).map_err(Lost);
    match name {
        Some(name) => registry.create(&parse(name)?, size, fill),
        None => match Mapping::anonymous("rsipc", size) {
            Ok(memory) => fill(memory),
            Err(error) if error.is_no_space() => Err(Lost(super::error::failure(
                "ERR_RSIPC_NO_SPACE",
                format_args!("no room for {size} bytes of shared memory: {error}"),
            ))),
            Err(error) => Err(Lost(system(error))),
        },
    }
    .map_err(|lost| lost.0)
}

/// Opens an object by name.
pub(super) fn open<T, E: Code + Display>(
    name: &str,
    attach: impl FnOnce(Mapping, Arc<Os>) -> std::result::Result<T, E>,
) -> Result<Attachment<T>> {
    let registry = registry()?;
    let memory = registry.open_object(&parse(name)?);
    attached(
        memory.map_err(|error| Lost::from(error).0)?,
        registry.os(),
        attach,
    )
}

/// Opens an object by name, or makes it as [`create`] does.
pub(super) fn open_or_create<T, E: Code + Display>(
    name: &str,
    size: usize,
    make: impl FnOnce(Mapping, Arc<Os>) -> std::result::Result<T, E>,
    attach: impl FnOnce(Mapping, Arc<Os>) -> std::result::Result<T, E>,
) -> Result<Attachment<T>> {
    let registry = registry()?;
    let fill = |memory| attached(memory, registry.os(), make).map_err(Lost);
    let found = registry.open_or_create(&parse(name)?, size as u64, fill);
    match found.map_err(|lost| lost.0)? {
        Found::Made(made) => Ok(made),
        Found::There(memory) => attached(memory, registry.os(), attach),
    }
}

/// Attaches to an object whose descriptor another process has sent. The descriptor stays the
/// caller's.
pub(super) fn adopt<T, E: Code + Display>(
    fd: i32,
    attach: impl FnOnce(Mapping, Arc<Os>) -> std::result::Result<T, E>,
) -> Result<Attachment<T>> {
    let registry = registry()?;
    let file: OwnedFd = rsipc_sys::fd::duplicate_raw(fd).map_err(system)?;
    let memory = Mapping::received(file).map_err(|error| {
        super::error::failure(
            "ERR_RSIPC_UNTRUSTED",
            format_args!("it cannot be used: {error}"),
        )
    })?;
    attached(memory, registry.os(), attach)
}

impl<T> Attachment<T> {
    /// Bytes of the mapping.
    pub(super) fn size(&self) -> f64 {
        self.memory.mapping().len() as f64
    }

    /// Takes the name away from it, if it has it still.
    pub(super) fn unlink(&self, name: &str) -> Result<bool> {
        registry()?
            .unlink_own(&parse(name)?, self.memory.mapping())
            .map_err(|error| Lost::from(error).0)
    }

    /// The descriptor to send.
    pub(super) fn fd(&self) -> i32 {
        std::os::fd::AsFd::as_fd(&self.memory.mapping().file()).as_raw_fd()
    }
}
