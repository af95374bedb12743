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

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use std::os::fd::{AsFd, AsRawFd};

    use super::*;
    use crate::stream;

    #[test]
    fn what_was_withdrawn_cannot_be_taken_and_other_numbers_can() {
        let (socket, _peer) = stream::pair().expect("a pair");
        assert!(withdraw(socket.as_fd(), 1 << 32).expect("withdraw"));
        assert!(!take(socket.as_raw_fd(), 1 << 32).expect("take"));
        assert!(take(socket.as_raw_fd(), (1 << 32) + 1).expect("take"));
        assert!(!withdraw(socket.as_fd(), (1 << 32) + 1).expect("withdraw"));
    }
}
