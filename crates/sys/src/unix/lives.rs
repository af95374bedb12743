//! Processes that are known to run, each by a descriptor that tells when it ends.
//!
//! Reading `/proc` takes about 10 µs, and who waits for a lock asks about everybody who could hold
//! it a hundred times a second. Here a process is identified once; from then on one `poll` tells
//! that it goes on. Only that: whether it is dead is decided by `/proc`, once in its life.
//!
//! Everything here may be refused (no descriptors left, an old kernel, another thread at work) and
//! the answer is then sought in `/proc` as before. Nothing is waited for, so that a child made by
//! `fork` while another thread was at work here does not wait for a thread it does not have.

use std::mem::{forget, take};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::RwLock;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// The most descriptors that are held: one for each party that an object may have.
const LIMIT: usize = 128;

/// Whom the calling process knows.
static LIVES: RwLock<Lives> = RwLock::new(Lives {
    owner: 0,
    identities: Vec::new(),
    descriptors: Vec::new(),
    next: 0,
});

struct Lives {
    /// Identity of the process that opened the descriptors.
    owner: u64,
    identities: Vec<u64>,
    /// In the order of the identities.
    descriptors: Vec<OwnedFd>,
    /// Which of them is given up when there is no room.
    next: usize,
}

impl Lives {
    fn find(&self, identity: u64) -> Option<usize> {
        self.identities.iter().position(|known| *known == identity)
    }

    fn remove(&mut self, at: usize) {
        self.identities.swap_remove(at);
        self.descriptors.swap_remove(at);
    }

    /// Closes those of processes that have ended.
    fn remove_ended(&mut self) {
        for at in (0..self.descriptors.len()).rev() {
            if !goes_on(&self.descriptors[at]) {
                self.remove(at);
            }
        }
    }
}

/// Whether the process of this descriptor goes on: `false` where it cannot be told. The kernel
/// reports the end when the last thread has ended.
fn goes_on(descriptor: &OwnedFd) -> bool {
    let mut asked = [PollFd::new(descriptor.as_fd(), PollFlags::POLLIN)];
    poll(&mut asked, PollTimeout::ZERO) == Ok(0)
}

/// Whether the process with this identity is known to run. `false` says nothing. `owner` is the
/// identity of the caller.
pub(super) fn runs(identity: u64, owner: u64) -> bool {
    let Ok(lives) = LIVES.try_read() else {
        return false;
    };
    // A child made by `fork` may have closed what it had from its parent, and opened other files
    // under the same numbers.
    lives.owner == owner
        && lives
            .find(identity)
            .is_some_and(|at| goes_on(&lives.descriptors[at]))
}

/// Remembers a process that was found to run after its descriptor was opened.
pub(super) fn remember(identity: u64, descriptor: OwnedFd, owner: u64) {
    let Ok(mut lives) = LIVES.try_write() else {
        return;
    };
    if lives.owner != owner {
        // Not closed, for the same reason: the numbers may be other files by now.
        forget(take(&mut lives.descriptors));
        lives.identities.clear();
        lives.owner = owner;
    }
    if lives.find(identity).is_some() {
        return;
    }
    lives.remove_ended();
    if lives.descriptors.len() >= LIMIT {
        let at = lives.next % LIMIT;
        lives.next = at + 1;
        lives.remove(at);
    }
    lives.identities.push(identity);
    lives.descriptors.push(descriptor);
}

/// Closes the descriptor of a process that was found to be dead.
pub(super) fn bury(identity: u64, owner: u64) {
    if let Ok(mut lives) = LIVES.try_write()
        && lives.owner == owner
        && let Some(at) = lives.find(identity)
    {
        lives.remove(at);
    }
}
