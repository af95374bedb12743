//! Descriptors that were received and not yet claimed by a frame, and handles that were lost.
//!
//! A descriptor comes with the first part of its frame at the earliest and belongs to the next
//! `NODE_HANDLE` frame that begins before the end of the read that brought it. One that no such
//! frame claims was never asked for and is closed.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hasher};
use std::os::fd::OwnedFd;

/// Handles whose loss is remembered while they may be sent again.
const MAX_LOSSES: usize = 64;
/// How often a lost handle is asked for again; the next time its message comes without it.
pub(super) const MAX_REQUESTS: u8 = 3;

/// What there is for a `NODE_HANDLE` frame.
#[derive(Debug)]
pub(super) enum Claim {
    /// Its descriptor.
    Descriptor(OwnedFd),
    /// Its descriptor was dropped by the kernel: this process could not open more.
    Dropped,
    /// None came.
    Missing,
}

#[derive(Debug)]
struct Waiting {
    /// Where in the stream the read ended that brought it.
    valid_until: u64,
    /// `None` for what the kernel dropped.
    descriptor: Option<OwnedFd>,
}

#[derive(Debug)]
struct Loss {
    frame: u64,
    requests: u8,
}

#[derive(Debug)]
pub(super) struct Arrivals {
    waiting: VecDeque<Waiting>,
    limit: usize,
    unclaimed: u64,
    losses: VecDeque<Loss>,
}

impl Arrivals {
    pub(super) fn new(limit: usize) -> Arrivals {
        Arrivals {
            waiting: VecDeque::new(),
            limit,
            unclaimed: 0,
            losses: VecDeque::new(),
        }
    }

    pub(super) fn unclaimed(&self) -> u64 {
        self.unclaimed
    }

    /// A read that ended at `valid_until` brought these, and `dropped` more.
    pub(super) fn add(&mut self, fds: &mut Vec<OwnedFd>, dropped: bool, valid_until: u64) {
        let room = self.limit.saturating_sub(self.waiting.len());
        self.unclaimed += fds.len().saturating_sub(room) as u64;
        fds.truncate(room);
        let received = fds.drain(..).map(Some);
        let all = received.chain(dropped.then_some(None));
        self.waiting.extend(all.map(|descriptor| Waiting {
            valid_until,
            descriptor,
        }));
    }

    /// What there is for a frame.
    pub(super) fn claim(&mut self) -> Claim {
        match self.waiting.pop_front() {
            Some(Waiting {
                descriptor: Some(descriptor),
                ..
            }) => Claim::Descriptor(descriptor),
            Some(_) => Claim::Dropped,
            None => Claim::Missing,
        }
    }

    /// No frame that begins before `position` will come any more.
    pub(super) fn expire(&mut self, position: u64) {
        while self
            .waiting
            .front()
            .is_some_and(|head| head.valid_until <= position)
        {
            if self
                .waiting
                .pop_front()
                .is_some_and(|head| head.descriptor.is_some())
            {
                self.unclaimed += 1;
            }
        }
    }

    /// A frame has lost its handle. Says whether to wait for it to be sent again, as opposed to
    /// taking the message without it.
    pub(super) fn ask_again(&mut self, payload: &[u8], nested: bool) -> bool {
        let frame = digest(payload);
        match self.position(frame, nested) {
            Some(at) => {
                let Some(loss) = self.losses.get_mut(at) else {
                    return false;
                };
                loss.requests += 1;
                if loss.requests <= MAX_REQUESTS {
                    return true;
                }
                self.losses.remove(at);
                false
            }
            // A repetition of what was never lost, or was forgotten.
            None if nested => false,
            None => {
                if self.losses.len() == MAX_LOSSES {
                    self.losses.pop_front();
                }
                self.losses.push_back(Loss { frame, requests: 1 });
                true
            }
        }
    }

    /// A frame came with its handle.
    pub(super) fn arrived(&mut self, payload: &[u8], nested: bool) {
        if self.losses.is_empty() {
            return;
        }
        if let Some(at) = self.position(digest(payload), nested) {
            self.losses.remove(at);
        }
    }

    /// The frame before `position` brought what belongs to the one that begins there.
    pub(super) fn prolong(&mut self, position: u64) {
        if let Some(last) = self.waiting.back_mut() {
            last.valid_until = last.valid_until.max(position + 1);
        }
    }

    /// How often a frame has been asked for, which is somebody else's to remember from here on.
    pub(super) fn forget(&mut self, payload: &[u8], nested: bool) -> u8 {
        let at = self.position(digest(payload), nested);
        at.and_then(|at| self.losses.remove(at))
            .map_or(0, |loss| loss.requests)
    }

    pub(super) fn clear(&mut self) {
        let descriptors = self.waiting.iter().filter(|head| head.descriptor.is_some());
        self.unclaimed += descriptors.count() as u64;
        self.waiting.clear();
        self.losses.clear();
    }

    /// The loss that a frame repeats. Node wraps a repetition, and repeats the last one lost;
    /// rsipc sends the same bytes again.
    fn position(&self, frame: u64, nested: bool) -> Option<usize> {
        if nested {
            return self.losses.len().checked_sub(1);
        }
        self.losses.iter().position(|loss| loss.frame == frame)
    }
}

/// What a frame is told by.
pub(super) fn digest(payload: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(payload);
    hasher.finish()
}
