//! A doorbell that another process rings and a loop hears by the edge: nobody has to take the rings out.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::system;

/// A doorbell. Each ring makes a loop that watches it for edges look again.
#[derive(Debug)]
pub struct Chime(OwnedFd);

impl Chime {
    /// A chime that nobody has rung. An error where the system has none.
    pub fn new() -> io::Result<Chime> {
        system::new_chime().map(Chime)
    }

    /// One that another process has made.
    pub fn received(fd: OwnedFd) -> Chime {
        Chime(fd)
    }

    /// Rings.
    pub fn ring(&self) {
        system::ring_chime(self.0.as_fd());
    }
}

impl AsFd for Chime {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<Chime> for OwnedFd {
    fn from(chime: Chime) -> OwnedFd {
        chime.0
    }
}
