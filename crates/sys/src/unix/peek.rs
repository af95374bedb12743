//! Bytes that are looked at and stay where they are, and telling when there are more of them.
//!
//! A socket with bytes in it is readable, also for who has seen them. So [`Edges`] tells of what is
//! new, not of what is there: of each socket once, and again when more has arrived.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::{rights, system};

/// Copies up to `max` of the bytes that have arrived into `buf`, in place of what it holds, and
/// leaves them where they are. `false` if there are none yet; no bytes are the end of the stream.
pub fn peek(fd: BorrowedFd<'_>, buf: &mut Vec<u8>, max: usize) -> io::Result<bool> {
    buf.clear();
    buf.reserve(max);
    let spare = buf.spare_capacity_mut();
    let got = loop {
        // SAFETY: `spare` is live memory of at least `max` bytes, which the call only writes.
        let got = unsafe {
            libc::recv(
                fd.as_raw_fd(),
                spare.as_mut_ptr().cast(),
                max,
                libc::MSG_PEEK | libc::MSG_DONTWAIT,
            )
        };
        match usize::try_from(got) {
            Ok(got) => break got,
            Err(_) => match rights::retry_if_interrupted() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            },
        }
    };
    // SAFETY: the kernel has written `got` bytes, at most `max`, from the front on.
    unsafe { buf.set_len(got) };
    Ok(true)
}

/// Whether the peer will send no more, as far as the system tells while there are bytes to read.
pub fn has_ended(fd: BorrowedFd<'_>) -> bool {
    let mut entry = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: system::PEER_CLOSED,
        revents: 0,
    };
    // SAFETY: one entry is read and written, a local; it does not wait.
    let found = unsafe { libc::poll(&mut entry, 1, 0) };
    found == 1 && entry.revents & (system::PEER_CLOSED | libc::POLLHUP | libc::POLLERR) != 0
}

/// A descriptor that is readable when one of a set of sockets has something new.
#[derive(Debug)]
pub struct Edges(OwnedFd);

impl Edges {
    /// An empty set.
    pub fn new() -> io::Result<Edges> {
        system::new_edges().map(Edges)
    }

    /// Adds a socket, which is told of by this number, at first if anything is there already. It
    /// leaves the set when it is closed, if there is no duplicate of it.
    pub fn add(&self, fd: BorrowedFd<'_>, number: u64) -> io::Result<()> {
        system::add_edge(self.0.as_fd(), fd, number)
    }

    /// Takes a socket out.
    pub fn remove(&self, fd: BorrowedFd<'_>) {
        // Fails only for one that is not in the set.
        let _ = system::remove_edge(self.0.as_fd(), fd);
    }

    /// The numbers of up to 64 sockets that have something new, without waiting. Fewer mean that
    /// there are no more.
    pub fn take(&self, numbers: &mut Vec<u64>) -> io::Result<()> {
        loop {
            match system::take_edges(self.0.as_fd(), numbers) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

impl AsFd for Edges {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
