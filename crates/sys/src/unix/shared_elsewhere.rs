//! Systems that rsipc does not share memory on yet: every call says so.

use std::io;

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
