//! Memory shared with other processes.
//!
//! A [`Mapping`] comes in two kinds:
//!
//! - *Anonymous*: a memory file without a name, which travels as a descriptor. It is sealed
//!   against shrinking and growing before anybody else sees it, and one that was received is
//!   mapped only if it is. So no peer, however hostile, can take memory away under this
//!   process: touching what a file no longer has would end the process with SIGBUS.
//! - *Named*: a file in the run directory. It exists without a name until its maker has filled
//!   it in, so nobody ever sees half of one, and a maker that is killed leaves nothing behind.
//!   Its owner, mode, type and size are judged through the open descriptor.
//!
//! A file with a name cannot be sealed, so whoever may write it may also truncate it. That is
//! this user alone, whose processes could as well stop, trace or kill this one: it is outside
//! of what is promised. Between ends that do not trust each other use the anonymous kind.
//!
//! The memory of both is reserved when they are made: a full device is an error then, and no
//! SIGBUS later. Neither is inherited by a child made with `fork` alone, and their descriptors
//! do not pass an `exec`.
//!
//! A named mapping holds a shared lock on its file as long as it is open. The kernel lets go of
//! it when the process ends, in whatever way, so [`File::claim`] tells what nobody uses without
//! asking for a pid.

use std::ffi::OsStr;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use nix::unistd::ftruncate;
use rsipc_ring::Memory;

use super::dir::Dir;
use super::fd::Kind;
use super::file::{Error, Lock, Meta, meta, try_lock};
use super::shared;

/// Memory of a file, mapped for reading and writing until the last clone of this value is
/// dropped. There is one mapping, however many clones.
#[derive(Clone, Debug)]
pub struct Mapping {
    pages: Pages,
    file: Arc<OwnedFd>,
}

/// Mapped memory alone. It stays when its file is closed, and takes no descriptor.
#[derive(Clone, Debug)]
pub struct Pages(Arc<Mapped>);

#[derive(Debug)]
struct Mapped {
    start: NonNull<u8>,
    length: NonZeroUsize,
}

// SAFETY: the memory belongs to no thread; it is unmapped only with exclusive access to the value.
unsafe impl Send for Mapped {}
// SAFETY: a shared reference gives out nothing but the address.
unsafe impl Sync for Mapped {}

impl Mapping {
    /// New memory without a name, of `size` bytes, all zero, reserved and sealed. `label` shows
    /// in `/proc/<pid>/maps`.
    pub fn anonymous(label: &str, size: u64) -> Result<Mapping, Error> {
        let length = addressable(size)?;
        let file = shared::memory_file(label)?;
        shared::reserve(file.as_fd(), size)?;
        shared::seal(file.as_fd())?;
        Mapping::new(file, length)
    }

    /// As [`Mapping::anonymous`], but not reserved: pages are taken as they are touched, and a machine
    /// that has none left ends processes, as it does for memory that is not shared.
    pub fn unreserved(label: &str, size: u64) -> Result<Mapping, Error> {
        let length = addressable(size)?;
        let file = shared::memory_file(label)?;
        let size = size.try_into().map_err(|_| Error::Size { size })?;
        ftruncate(file.as_fd(), size).map_err(Error::os("ftruncate"))?;
        shared::seal(file.as_fd())?;
        Mapping::new(file, length)
    }

    /// Memory that another process has made with [`Mapping::anonymous`]. What is not sealed
    /// against a change of its size is refused.
    pub fn received(file: OwnedFd) -> Result<Mapping, Error> {
        shared::require_sealed(file.as_fd())?;
        let length = addressable(meta(file.as_fd())?.size)?;
        Mapping::new(file, length)
    }

    fn new(file: OwnedFd, length: NonZeroUsize) -> Result<Mapping, Error> {
        let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: the system chooses an address where nothing is, so no memory in use changes.
        let start = unsafe { mmap(None, length, rights, MapFlags::MAP_SHARED, &file, 0) }
            .map_err(Error::os("mmap"))?;
        let mapping = Mapping {
            pages: Pages(Arc::new(Mapped {
                start: start.cast(),
                length,
            })),
            file: Arc::new(file),
        };
        mapping.advise(shared::DONT_FORK)?;
        Ok(mapping)
    }

    /// Has the system enter every page into this process's tables now, rather than at the first
    /// touch. Does nothing where the system cannot.
    pub fn prefault(&self) -> Result<(), Error> {
        match self.advise(shared::POPULATE) {
            Err(error) if error.errno() == Some(libc::EINVAL) => Ok(()),
            other => other,
        }
    }

    fn advise(&self, advice: libc::c_int) -> Result<(), Error> {
        loop {
            // SAFETY: the range is this mapping, and neither advice changes what it holds.
            let rc = unsafe { libc::madvise(self.start().as_ptr().cast(), self.len(), advice) };
            match Errno::result(rc) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(errno) => return Err(Error::os("madvise")(errno)),
            }
        }
    }

    /// Where it begins. At a page boundary, and never moved.
    pub fn start(&self) -> NonNull<u8> {
        self.pages.0.start
    }

    /// How many bytes it has: never 0, never more than `isize::MAX`.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.pages.0.length.get()
    }

    /// The file behind it, to be sent to another process or looked at.
    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// The memory, for who needs the file no more.
    pub fn pages(&self) -> Pages {
        self.pages.clone()
    }
}

// SAFETY: the mapping stays where it is until the last clone is dropped, begins at a page, can be
// read and written, and is as long as the file, which is sealed or this user's alone.
unsafe impl Memory for Mapping {
    fn base(&self) -> NonNull<u8> {
        self.start()
    }

    fn size(&self) -> usize {
        self.len()
    }
}

// SAFETY: the pages stay where they are until the last clone is dropped, and can be read and written.
unsafe impl Memory for Pages {
    fn base(&self) -> NonNull<u8> {
        self.0.start
    }

    fn size(&self) -> usize {
        self.0.length.get()
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: the range is this mapping's own, and whoever uses it borrows the value.
        let _ = unsafe { munmap(self.start.cast(), self.length.get()) };
    }
}

/// Memory of this process alone, all zero, that takes no descriptor. Not inherited by a child.
#[derive(Clone, Debug)]
pub struct Private(Pages);

impl Private {
    /// New memory of `size` bytes, which are not 0.
    pub fn new(size: u64) -> Result<Private, Error> {
        let length = addressable(size)?;
        let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: the system chooses an address where nothing is, so no memory in use changes.
        let start = unsafe { mmap_anonymous(None, length, rights, MapFlags::MAP_PRIVATE) }
            .map_err(Error::os("mmap"))?;
        Ok(Private(Pages(Arc::new(Mapped {
            start: start.cast(),
            length,
        }))))
    }
}

// SAFETY: as for `Pages`.
unsafe impl Memory for Private {
    fn base(&self) -> NonNull<u8> {
        self.0.base()
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}

/// A new named object that does not have its name yet.
#[derive(Debug)]
pub struct Unnamed(Mapping);

impl Unnamed {
    /// A file of `size` bytes, all zero and reserved, of mode 0600, in `dir` but without a name.
    /// It disappears with the value, or with the process.
    pub fn new(dir: &Dir, size: u64) -> Result<Unnamed, Error> {
        let length = addressable(size)?;
        let file = shared::unnamed_file(dir.as_fd())?;
        shared::reserve(file.as_fd(), size)?;
        // Before it has a name nobody else can hold a lock on it.
        try_lock(file.as_fd(), Lock::Shared)?;
        Mapping::new(file, length).map(Unnamed)
    }

    /// The memory, to be filled in.
    pub fn mapping(&self) -> &Mapping {
        &self.0
    }

    /// Gives it a name in `dir`, in one step that happens whole or not at all. If the name is
    /// taken it comes back.
    pub fn publish(self, dir: &Dir, name: &OsStr) -> Result<Result<Mapping, Unnamed>, Error> {
        match shared::link(self.0.file(), dir.as_fd(), name) {
            Ok(()) => Ok(Ok(self.0)),
            Err(Errno::EEXIST) => Ok(Err(self)),
            Err(errno) => Err(Error::os("linkat")(errno)),
        }
    }
}

/// How long an object is waited for while somebody looks whether it is in use.
const PATIENCE: Duration = Duration::from_secs(1);

/// A named file that is open and judged, and not yet mapped.
#[derive(Debug)]
pub struct File {
    file: OwnedFd,
    meta: Meta,
}

impl File {
    /// Opens the file `name` of `dir`.
    pub fn open(dir: &Dir, name: &OsStr) -> Result<File, Error> {
        let (file, meta) = dir.open(name, Kind::File)?;
        if meta.links > 1 {
            return Err(Error::Links { count: meta.links });
        }
        Ok(File { file, meta })
    }

    /// What was found when it was opened.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Maps it, and holds it against [`File::claim`] from then on.
    ///
    /// A file that has lost its name meanwhile is `ENOENT`. One that somebody has claimed is
    /// waited for, one second at most, then it is `EWOULDBLOCK`.
    pub fn map(self) -> Result<Mapping, Error> {
        let begin = Instant::now();
        while !try_lock(self.file.as_fd(), Lock::Shared)? {
            if begin.elapsed() > PATIENCE {
                return Err(Error::os("flock")(Errno::EWOULDBLOCK));
            }
            thread::sleep(Duration::from_millis(1));
        }
        // What it is now, when nobody can remove it as unused any more.
        let meta = meta(self.file.as_fd())?;
        if meta.links == 0 {
            return Err(Error::os("open")(Errno::ENOENT));
        }
        let length = addressable(meta.size)?;
        if meta.allocated < meta.size {
            // Somebody made it without reserving it, or has punched holes.
            shared::reserve(self.file.as_fd(), meta.size)?;
        }
        Mapping::new(self.file, length)
    }

    /// Whether nobody has it mapped. Until this value is dropped nobody can.
    pub fn claim(&self) -> Result<bool, Error> {
        try_lock(self.file.as_fd(), Lock::Exclusive)
    }
}

fn addressable(size: u64) -> Result<NonZeroUsize, Error> {
    isize::try_from(size)
        .ok()
        .and_then(|size| NonZeroUsize::new(size.unsigned_abs()))
        .ok_or(Error::Size { size })
}
