//! Systems that rsipc does not share memory on yet: every call says so.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::file::Error;

/// What the system tells of a process.
pub(crate) struct Status {
    /// When it started.
    pub(crate) start: u64,
    /// It has ended and waits for its parent to ask how.
    pub(crate) ended: bool,
}

fn unsupported<T>() -> io::Result<T> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "memory is not shared on this system",
    ))
}

/// Nothing ends by it: there are no objects here.
pub(crate) fn now_ms() -> u64 {
    0
}

/// Not told here.
pub(crate) fn status(_pid: i32) -> io::Result<Status> {
    unsupported()
}

/// Not told here.
pub(crate) fn require_own_processes() -> io::Result<()> {
    unsupported()
}

/// Not told here.
pub(crate) fn world() -> io::Result<u64> {
    unsupported()
}

/// There is no such memory here.
pub(crate) fn wiped_on_fork() -> Option<&'static AtomicU64> {
    None
}

/// Not opened here.
pub(crate) fn open_process(_pid: i32) -> Option<OwnedFd> {
    None
}

/// Nobody has a shared word to wait on.
pub(crate) fn futex_wait(
    _word: &AtomicU32,
    _expected: u32,
    _timeout: Option<Duration>,
) -> Result<(), Errno> {
    Ok(())
}

/// Nobody sleeps.
pub(crate) fn futex_wake(_word: &AtomicU32, _count: u32) -> u32 {
    0
}

/// What opens a directory although it may not be listed.
pub(crate) const REACH: OFlag = OFlag::empty();
/// Never used: nothing is mapped.
pub(crate) const DONT_FORK: libc::c_int = 0;
/// Never used: nothing is mapped.
pub(crate) const POPULATE: libc::c_int = 0;

fn refused<T>(call: &'static str) -> Result<T, Error> {
    unsupported().map_err(Error::io(call))
}

/// Not made here.
pub(crate) fn memory_file(_label: &str) -> Result<OwnedFd, Error> {
    refused("memfd_create")
}

/// Nothing is sealed here.
pub(crate) fn seal(_file: BorrowedFd<'_>) -> Result<(), Error> {
    refused("fcntl")
}

/// Nothing is sealed here.
pub(crate) fn require_sealed(_file: BorrowedFd<'_>) -> Result<(), Error> {
    refused("fcntl")
}

/// Nothing is reserved here.
pub(crate) fn reserve(_file: BorrowedFd<'_>, _size: u64) -> Result<(), Error> {
    refused("fallocate")
}

/// Not made here.
pub(crate) fn unnamed_file(_dir: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
    refused("openat")
}

/// There is no file without a name.
pub(crate) fn link(
    _file: BorrowedFd<'_>,
    _dir: BorrowedFd<'_>,
    _name: &OsStr,
) -> Result<(), Errno> {
    Err(Errno::ENOTSUP)
}

/// Not made here.
pub(crate) fn make_fifo(_dir: BorrowedFd<'_>, _name: &OsStr) -> Result<(), Errno> {
    Err(Errno::ENOTSUP)
}
