//! Bytes that several processes see, as JavaScript attaches to them.

use std::cell::RefCell;

use napi::Env;
use napi::bindgen_prelude::Object;
use napi_derive::napi;
use rsipc_core::shm::{Bytes, Party};

use super::error::{Result, closed, refused};
use super::object::{self, Attachment};

/// An attachment to bytes.
#[napi]
pub struct SharedBytes {
    bytes: RefCell<Option<(Attachment<Bytes>, Option<Party>)>>,
}

impl SharedBytes {
    fn of(attachment: Attachment<Bytes>, environment: u32) -> SharedBytes {
        let party = attachment.object.party(environment);
        SharedBytes {
            bytes: RefCell::new(Some((attachment, party))),
        }
    }

    fn with<T>(&self, use_it: impl FnOnce(&Attachment<Bytes>) -> T) -> Result<T> {
        match &*self.bytes.borrow() {
            Some((attachment, _)) => Ok(use_it(attachment)),
            None => Err(closed()),
        }
    }
}

#[napi]
impl SharedBytes {
    /// Makes so many bytes, under a name or without.
    #[napi(factory, catch_unwind)]
    pub fn create(size: f64, name: Option<String>, environment: u32) -> Result<SharedBytes> {
        let size = size as usize;
        let make = |memory, os| Bytes::create(memory, os, size);
        let made = object::create(name.as_deref(), Bytes::size(size), make)?;
        Ok(SharedBytes::of(made, environment))
    }

    /// Opens bytes by name.
    #[napi(factory, catch_unwind)]
    pub fn open(name: String, environment: u32) -> Result<SharedBytes> {
        let found = object::open(&name, Bytes::attach)?;
        Ok(SharedBytes::of(found, environment))
    }

    /// Opens bytes by name, or makes them.
    #[napi(factory, catch_unwind)]
    pub fn open_or_create(size: f64, name: String, environment: u32) -> Result<SharedBytes> {
        let size = size as usize;
        let make = |memory, os| Bytes::create(memory, os, size);
        let found = object::open_or_create(&name, Bytes::size(size), make, Bytes::attach)?;
        Ok(SharedBytes::of(found, environment))
    }

    /// Attaches to bytes whose descriptor was received and stays the caller's.
    #[napi(factory, catch_unwind)]
    pub fn adopt(fd: i32, environment: u32) -> Result<SharedBytes> {
        Ok(SharedBytes::of(
            object::adopt(fd, Bytes::attach)?,
            environment,
        ))
    }

    /// How many bytes there are.
    #[napi(getter, catch_unwind)]
    pub fn length(&self) -> Result<f64> {
        self.with(|bytes| bytes.object.len() as f64)
    }

    /// The descriptor, to be sent.
    #[napi(getter, catch_unwind)]
    pub fn fd(&self) -> Result<i32> {
        self.with(Attachment::fd)
    }

    /// Takes the name away from the bytes, if they have it still.
    #[napi(catch_unwind)]
    pub fn unlink(&self, name: String) -> Result<bool> {
        self.with(|bytes| bytes.unlink(&name))?
    }

    /// An ArrayBuffer over the bytes; `null` where the runtime has none over memory that is not its
    /// own. To be asked for once.
    #[napi(catch_unwind)]
    pub fn lend<'a>(&self, env: &'a Env) -> Result<Option<Object<'a>>> {
        let lent = self.with(|bytes| bytes.memory.lend(env, Bytes::OFFSET, bytes.object.len()))?;
        lent.map_err(refused)
    }

    /// Lets go of the bytes; the ArrayBuffer over them is empty from then on. Safe to call twice.
    #[napi(catch_unwind)]
    pub fn close(&self, buffer: Option<Object<'_>>) -> Result<()> {
        if let (Some((attachment, _)), Some(buffer)) = (self.bytes.take(), buffer) {
            let memory = &attachment.memory;
            memory.take_back(Bytes::OFFSET, &buffer).map_err(refused)?;
        }
        Ok(())
    }
}
