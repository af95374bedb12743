//! Waiting for one descriptor.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// What a descriptor is waited for, or is ready for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Bytes, an end of stream or an error can be read.
    pub readable: bool,
    /// Bytes can be written.
    pub writable: bool,
}

/// Waits until `fd` is ready for something in `interest` or `timeout` has passed; then neither
/// is set. Without a timeout it waits for ever. Hang-up and error count as readable, asked for
/// or not: reading is what tells more.
pub fn ready(
    fd: BorrowedFd<'_>,
    interest: Interest,
    timeout: Option<Duration>,
) -> io::Result<Interest> {
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    let mut events = PollFlags::empty();
    events.set(PollFlags::POLLIN, interest.readable);
    events.set(PollFlags::POLLOUT, interest.writable);
    loop {
        let mut entry = [PollFd::new(fd, events)];
        let (wait, last) = remaining(deadline);
        match poll(&mut entry, wait) {
            Ok(0) if last => return Ok(Interest::default()),
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
        let found = entry[0].revents().unwrap_or(PollFlags::POLLERR);
        if found.contains(PollFlags::POLLNVAL) {
            return Err(Errno::EBADF.into());
        }
        let trouble = PollFlags::POLLHUP | PollFlags::POLLERR;
        return Ok(Interest {
            readable: found.intersects(PollFlags::POLLIN | trouble),
            writable: found.contains(PollFlags::POLLOUT),
        });
    }
}

/// How long one `poll` may take, rounded up so that it never returns early, and whether the
/// deadline is reached when it times out.
fn remaining(deadline: Option<Instant>) -> (PollTimeout, bool) {
    let Some(deadline) = deadline else {
        return (PollTimeout::NONE, false);
    };
    let left = deadline.saturating_duration_since(Instant::now());
    let millis = left.as_nanos().div_ceil(1_000_000);
    match i32::try_from(millis) {
        Ok(millis) => (
            PollTimeout::try_from(millis).unwrap_or(PollTimeout::ZERO),
            true,
        ),
        Err(_) => (PollTimeout::MAX, false),
    }
}
