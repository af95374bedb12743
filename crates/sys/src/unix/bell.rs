//! Waking a thread that waits for a descriptor.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::wait::Interest;
use super::{rights, stream};

/// Rung by one thread, heard by another in [`Bell::wait_or_ready`]. Ringing twice before it is
/// heard counts once.
#[derive(Debug)]
pub struct Bell {
    rope: OwnedFd,
    clapper: OwnedFd,
}

impl Bell {
    /// A bell that nobody has rung.
    pub fn new() -> io::Result<Bell> {
        let (rope, clapper) = stream::pair()?;
        stream::set_nonblocking(rope.as_fd(), true)?;
        stream::set_nonblocking(clapper.as_fd(), true)?;
        Ok(Bell { rope, clapper })
    }

    /// Rings. A full socket has enough rings in it already.
    pub fn ring(&self) {
        let _ = stream::send(self.rope.as_fd(), &[io::IoSlice::new(&[1])]);
    }

    /// Forgets all rings so far.
    pub fn hush(&self) {
        let mut rings = Vec::with_capacity(64);
        while rights::receive(self.clapper.as_fd(), &mut rings, 64, &mut Vec::new())
            .is_ok_and(|received| received.bytes == 64)
        {
            rings.clear();
        }
    }

    /// Waits until the bell rings or `fd` is ready for something in `interest`; answers what `fd`
    /// is ready for. Hang-up and error count as readable, and are all that ends the wait with an
    /// interest in neither; without one `fd` is not looked at.
    pub fn wait_or_ready(
        &self,
        fd: BorrowedFd<'_>,
        interest: Option<Interest>,
    ) -> io::Result<Interest> {
        let watched = if interest.is_some() { 2 } else { 1 };
        let interest = interest.unwrap_or_default();
        let mut events = PollFlags::empty();
        events.set(PollFlags::POLLIN, interest.readable);
        events.set(PollFlags::POLLOUT, interest.writable);
        let mut entries = [
            PollFd::new(self.clapper.as_fd(), PollFlags::POLLIN),
            PollFd::new(fd, events),
        ];
        loop {
            match poll(&mut entries[..watched], PollTimeout::NONE) {
                Err(Errno::EINTR) | Ok(0) => {}
                Err(errno) => return Err(errno.into()),
                Ok(_) => break,
            }
        }
        let rung = entries[0].any().unwrap_or(true);
        let found = if watched == 2 {
            entries[1].revents().unwrap_or(PollFlags::POLLERR)
        } else {
            PollFlags::empty()
        };
        if rung {
            self.hush();
        }
        Ok(Interest {
            readable: found.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR),
            writable: found.contains(PollFlags::POLLOUT),
        })
    }
}

impl AsFd for Bell {
    /// A descriptor that is readable while the bell has been rung and not heard.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.clapper.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_rung_twice_is_heard_once() {
        let bell = Bell::new().expect("a bell");
        let (_ours, theirs) = stream::pair().expect("a pair");
        bell.ring();
        bell.ring();
        let readable = Interest {
            readable: true,
            writable: false,
        };
        assert_eq!(
            bell.wait_or_ready(theirs.as_fd(), Some(readable))
                .expect("poll"),
            Interest::default()
        );
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| bell.wait_or_ready(theirs.as_fd(), Some(readable)));
            bell.ring();
            assert_eq!(
                waiter.join().expect("join").expect("poll"),
                Interest::default()
            );
        });
    }

    #[test]
    fn a_ready_descriptor_ends_the_wait() {
        let bell = Bell::new().expect("a bell");
        let (ours, theirs) = stream::pair().expect("a pair");
        stream::send(ours.as_fd(), &[io::IoSlice::new(b"x")]).expect("send");
        let found = bell.wait_or_ready(
            theirs.as_fd(),
            Some(Interest {
                readable: true,
                writable: false,
            }),
        );
        assert!(found.expect("poll").readable);
    }

    #[test]
    fn an_interest_in_nothing_hears_of_the_end_and_not_of_bytes() {
        let bell = Bell::new().expect("a bell");
        let (ours, theirs) = stream::pair().expect("a pair");
        stream::send(ours.as_fd(), &[io::IoSlice::new(b"x")]).expect("send");
        let nothing = Some(Interest::default());
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| bell.wait_or_ready(theirs.as_fd(), nothing));
            bell.ring();
            let found = waiter.join().expect("join").expect("poll");
            assert_eq!(found, Interest::default());
        });
        drop(ours);
        let found = bell.wait_or_ready(theirs.as_fd(), nothing).expect("poll");
        assert!(found.readable);
    }
}
