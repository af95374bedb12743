//! Handles that were written and not yet answered.
//!
//! A plain Node reads 64 KiB at a time and has a single slot for a descriptor. A second handle
//! is paired with the wrong frame if a read can end inside the first one, and a plain frame that
//! is read together with the end of a frame with a handle is told before it. So frames only
//! follow one that is certain to be read whole, in the read that brings its descriptor: the
//! kernel ends a read behind a descriptor.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Unanswered handles that may be on their way at once.
const MAX_UNANSWERED: usize = 64;
/// The longest frame that the kernel carries in one piece.
const MAX_SAFE_FRAME: usize = 16 * 1024;
/// What a plain Node reads at once.
const PEER_READ: u64 = 64 * 1024;
/// How often a lost handle is sent again, as Node does.
const MAX_RETRIES: u8 = 3;

/// A frame with its descriptor, before and after it is written.
#[derive(Debug)]
pub(super) struct HandleFrame {
    pub(super) frame: Vec<u8>,
    pub(super) descriptor: Arc<OwnedFd>,
    pub(super) sequence: u64,
    /// Its number among those whose place is marked in the ring; 0 if it is not, or is already.
    pub(super) mark: u64,
    /// Its place in the ring is marked, or will be by `mark`.
    pub(super) placed: bool,
    /// It begins with the frame that says that it is a repetition, for such a place.
    pub(super) announced: bool,
    pub(super) retry: bool,
    pub(super) retries: u8,
}

/// What the answer to a handle leads to.
#[derive(Debug)]
pub(super) enum Answered {
    /// The handle with this sequence number has arrived.
    Taken(u64),
    /// It has not, and will not be sent again.
    Lost(u64),
    /// It has not and is to be sent again.
    Again(HandleFrame),
    /// There was no handle to answer.
    Unexpected,
}

#[derive(Debug)]
pub(super) struct Window {
    unanswered: VecDeque<HandleFrame>,
    /// Nothing may follow before all are answered: a read can end inside the last frame, and what
    /// it shares the next read with would be told before it.
    blocked: bool,
    /// Bytes written since the last frame with a handle.
    plain: u64,
}

impl Window {
    pub(super) fn new() -> Window {
        Window {
            unanswered: VecDeque::new(),
            blocked: false,
            plain: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.unanswered.len()
    }

    pub(super) fn may_send(&self) -> bool {
        self.unanswered.is_empty() || (!self.blocked && self.unanswered.len() < MAX_UNANSWERED)
    }

    /// Whether even plain frames have to wait.
    pub(super) fn holds(&self) -> bool {
        self.blocked && !self.unanswered.is_empty()
    }

    /// Other bytes than those of a handle's frame were written.
    pub(super) fn wrote_plain(&mut self, bytes: usize) {
        self.plain = self.plain.saturating_add(bytes as u64);
    }

    /// A frame with a handle was written completely; `whole` in one call.
    pub(super) fn wrote(&mut self, handle: HandleFrame, whole: bool) {
        let length = handle.frame.len();
        let safe = whole
            && length <= MAX_SAFE_FRAME
            && self.plain.saturating_add(length as u64) <= PEER_READ;
        self.plain = 0;
        self.blocked |= !safe;
        self.unanswered.push_back(handle);
    }

    /// The peer has answered the oldest handle.
    pub(super) fn answered(&mut self, taken: bool) -> Answered {
        let Some(mut handle) = self.unanswered.pop_front() else {
            return Answered::Unexpected;
        };
        if self.unanswered.is_empty() {
            self.blocked = false;
        }
        if taken {
            Answered::Taken(handle.sequence)
        } else if handle.retry && handle.retries < MAX_RETRIES {
            handle.retries += 1;
            Answered::Again(handle)
        } else {
            Answered::Lost(handle.sequence)
        }
    }

    pub(super) fn clear(&mut self) {
        self.unanswered.clear();
        self.blocked = false;
    }
}
