//! Bytes that a connection has accepted and nobody has written yet.
//!
//! They lie in a few vectors. A frame with descriptors has one for itself: they leave with its first byte, or with that
//! of a frame right before it.

use std::collections::VecDeque;

use rsipc_sys::fd::OwnedFd;

#[cfg(unix)]
mod leaving;

/// Where one vector ends and the next begins.
const SEGMENT: usize = 64 * 1024;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: VecDeque<Segment>,
    /// Bytes of the first segment that were written.
    offset: usize,
    /// Bytes not written.
    bytes: usize,
}

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) bytes: Vec<u8>,
    /// Leave before any other byte does, once.
    pub(super) fds: Vec<OwnedFd>,
    /// Nothing may be appended.
    sealed: bool,
}

impl Outbox {
    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    /// Bytes of the first piece.
    pub(super) fn first_len(&self) -> usize {
        self.queue.front().map_or(0, |first| first.bytes.len())
    }

    /// Appends what `write` writes.
    pub(super) fn push<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let room = self
            .queue
            .back()
            .is_some_and(|last| !last.sealed && last.bytes.len() < SEGMENT);
        if !room {
            self.queue.push_back(Segment {
                bytes: Vec::new(),
                fds: Vec::new(),
                sealed: false,
            });
        }
        let Some(last) = self.queue.back_mut() else {
            return Ok(());
        };
        let before = last.bytes.len();
        let outcome = write(&mut last.bytes);
        if outcome.is_err() {
            last.bytes.truncate(before);
        }
        self.bytes += last.bytes.len() - before;
        if last.bytes.is_empty() {
            self.queue.pop_back();
        }
        outcome
    }

    /// Appends a frame with descriptors.
    pub(super) fn push_with(&mut self, bytes: Vec<u8>, fds: Vec<OwnedFd>) {
        self.bytes += bytes.len();
        self.queue.push_back(Segment {
            bytes,
            fds,
            sealed: true,
        });
    }

    /// So many bytes were written of so many pieces, whose descriptors have left.
    pub(super) fn advance(&mut self, mut written: usize, pieces: usize) {
        self.bytes = self.bytes.saturating_sub(written);
        if written > 0 {
            for segment in self.queue.iter_mut().take(pieces) {
                segment.fds.clear();
            }
        }
        while let Some(first) = self.queue.front_mut() {
            let rest = first.bytes.len() - self.offset;
            if written < rest {
                self.offset += written;
                return;
            }
            written -= rest;
            self.offset = 0;
            self.queue.pop_front();
        }
        // Nothing waits, nothing is held: most connections are idle.
        self.queue = VecDeque::new();
    }

    /// All of it, for an owner that writes elsewhere. Descriptors are dropped.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let offset = self.offset;
        let mut queue = std::mem::take(self).queue;
        let mut all = queue
            .pop_front()
            .map(|first| first.bytes)
            .unwrap_or_default();
        all.drain(..offset);
        for segment in queue {
            all.extend_from_slice(&segment.bytes);
        }
        all
    }

    pub(super) fn clear(&mut self) {
        *self = Outbox::default();
    }
}
