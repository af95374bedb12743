//! Whose an open descriptor is that two processes have.
//!
//! A descriptor that was sent to a process cannot be called back, and that process may be stopped before or after it has
//! begun to use it. So whoever receives one takes a claim before the first use, and whoever sent it may withdraw it as
//! long as that has not happened. The kernel decides, by record locks: one of the receiving process, and one of the open
//! file that the sender keeps. They exclude each other, and end with their owner.

use std::io;
use std::os::fd::{BorrowedFd, RawFd};

use super::system;

/// Takes the claim with this number for this process. False if it has been withdrawn. A number that is no open descriptor
/// is an error. The claim ends when this process closes the descriptor, or any other of the same open file.
pub fn take(raw: RawFd, number: u64) -> io::Result<bool> {
    system::take_claim(raw, number)
}

/// Withdraws the claim with this number, in the process that has sent the descriptor. False if it has been taken, or where
/// the system cannot do this.
pub fn withdraw(fd: BorrowedFd<'_>, number: u64) -> io::Result<bool> {
    system::withdraw_claim(fd, number)
}

/// Whether a process has taken the claim with this number and keeps it: asked by the process that has sent the descriptor.
/// An error where the system cannot tell.
pub fn is_taken(fd: BorrowedFd<'_>, number: u64) -> io::Result<bool> {
    system::is_claim_taken(fd, number)
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use std::os::fd::{AsFd, AsRawFd};

    use super::*;
    use crate::stream;

    #[test]
    fn a_claim_is_seen_from_the_other_side_until_the_descriptor_is_closed() {
        let (socket, _peer) = stream::pair().expect("a pair");
        let sent = socket.try_clone().expect("another descriptor");
        let is_taken = || is_taken(socket.as_fd(), 1 << 32).expect("an answer");
        assert!(!is_taken());
        assert!(take(sent.as_raw_fd(), 1 << 32).expect("take"));
        assert!(is_taken());
        drop(sent);
        assert!(!is_taken());
    }

    #[test]
    fn what_was_withdrawn_cannot_be_taken_and_other_numbers_can() {
        let (socket, _peer) = stream::pair().expect("a pair");
        assert!(withdraw(socket.as_fd(), 1 << 32).expect("withdraw"));
        assert!(!take(socket.as_raw_fd(), 1 << 32).expect("take"));
        assert!(take(socket.as_raw_fd(), (1 << 32) + 1).expect("take"));
        assert!(!withdraw(socket.as_fd(), (1 << 32) + 1).expect("withdraw"));
    }
}
