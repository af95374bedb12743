//! When a descriptor is ready.
//!
//! Whatever socket it is, tokio watches it as a UNIX stream, which asks for nothing but readiness here; its type
//! for any descriptor cannot be made without unsafe code.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net;

use tokio::io::{Interest, Ready};
use tokio::net::UnixStream;

#[derive(Debug)]
pub(super) struct Watched(UnixStream);

impl Watched {
    /// Watches a descriptor of its own, of an open socket that never blocks.
    pub(super) fn new(fd: OwnedFd) -> io::Result<Watched> {
        Ok(Watched(UnixStream::from_std(net::UnixStream::from(fd))?))
    }

    /// Waits until it is ready for something of this.
    pub(super) async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        self.0.ready(interest).await
    }

    /// It has been used up: the runtime hears of changes only.
    pub(super) fn clear(&self, ready: Ready) {
        let exhausted = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        if ready.is_readable() {
            let _ = self.0.try_io(Interest::READABLE, exhausted);
        }
        if ready.is_writable() {
            let _ = self.0.try_io(Interest::WRITABLE, exhausted);
        }
    }
}
