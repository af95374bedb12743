//! What of the outbox goes through shared memory: batches that are joined, the ring that takes them, and
//! the numbers of handles whose places are marked there.

use std::io;
use std::os::fd::BorrowedFd;

use rsipc_ring::Corrupt;

use super::super::batch;
use super::super::lanes::{Content, Lanes};
use super::super::stage::Staged;
use super::{Outbox, SEGMENT, Segment, Stop};

impl Outbox {
    /// Queues one message for the ring that is encoded: `text` appends its text, which has about
    /// `units` units.
    pub(in crate::channel) fn push_encoded(
        &mut self,
        words: &[u8],
        units: usize,
        text: impl FnOnce(&mut Vec<u16>),
    ) {
        let mut length = words.len() + units;
        // A message that does not fit is alone, so that its receiver can tell whether it is too large.
        let has_room = match (self.queue.back(), &self.batch) {
            (Some(Segment::Shared { bytes, .. }), Some(batch)) => {
                bytes.len() + words.len() + 2 * (batch.text.len() + units) <= batch::TOGETHER
            }
            _ => false,
        };
        if !has_room {
            self.seal();
        }
        let batch = match &mut self.batch {
            Some(batch) => batch,
            None => {
                let mut bytes = self.spare.pop().unwrap_or_default();
                bytes.resize(batch::HEAD, 0);
                length += batch::HEAD;
                self.queue.push_back(Segment::Shared {
                    content: Content::Batches,
                    bytes,
                });
                self.batch.insert(batch::Open {
                    text: std::mem::take(&mut self.text),
                    messages: 0,
                })
            }
        };
        if let Some(Segment::Shared { bytes, .. }) = self.queue.back_mut() {
            bytes.extend_from_slice(words);
        }
        text(&mut batch.text);
        batch.messages += 1;
        self.count(length);
    }

    /// Queues messages for the ring that were encoded together.
    pub(in crate::channel) fn push_staged(&mut self, staged: &Staged<'_>) {
        let units = staged.text.len();
        self.push_encoded(staged.words, units, |out| {
            out.extend(staged.text.iter().map(|&unit| u16::from(unit)));
        });
        for _ in 1..staged.messages {
            self.count(0);
        }
        if let Some(batch) = &mut self.batch {
            batch.messages += staged.messages - 1;
        }
    }

    /// Completes the batch that is open.
    pub(super) fn seal(&mut self) {
        let Some(batch) = self.batch.take() else {
            return;
        };
        if let Some(Segment::Shared { bytes, .. }) = self.queue.back_mut() {
            batch::seal(bytes, &batch.text, batch.messages);
            // None of its messages is written before all are, so all its bytes are the first one's.
            let first = self.lengths.len().saturating_sub(batch.messages);
            let mut said = 0;
            for length in self.lengths.iter_mut().skip(first) {
                said += std::mem::take(length);
            }
            if let Some(length) = self.lengths.get_mut(first) {
                *length = bytes.len();
            }
            self.bytes = (self.bytes + bytes.len()).saturating_sub(said);
        }
        self.text = batch.text;
        self.text.clear();
        self.text.shrink_to(SEGMENT);
    }

    /// Numbers a handle whose first sending was before the switch, and that is sent again behind it: the peer
    /// takes it for the next one behind those that it has been sent.
    pub(super) fn mark_repetition(&mut self) -> u64 {
        let mut number = self.marked + 1;
        for segment in &mut self.queue {
            if let Segment::Handle { frame, .. } = segment
                && frame.mark > 0
            {
                number = number.min(frame.mark);
                frame.mark += 1;
            }
        }
        self.marked += 1;
        number
    }

    /// Writes the first segment into the ring, and answers to the socket as far as that goes.
    pub(super) fn write_shared(
        &mut self,
        fd: BorrowedFd<'_>,
        lanes: &mut Lanes,
    ) -> io::Result<Option<Stop>> {
        if !self.answers.is_empty() {
            self.write_bytes(fd, 0)?;
        }
        for waiting in [false, true] {
            if waiting {
                lanes.wait_for_room();
            }
            match self.queue.front() {
                Some(Segment::Mark(number)) => {
                    if lanes.mark(*number).map_err(damaged)? {
                        self.queue.pop_front();
                        return Ok(None);
                    }
                }
                Some(Segment::Shared { content, bytes }) => {
                    let left = bytes.len() - self.offset;
                    let written = lanes
                        .write(*content, &[bytes.as_slice()], self.offset)
                        .map_err(damaged)?;
                    self.wrote_queue(written);
                    if written == left {
                        return Ok(None);
                    }
                }
                _ => return Ok(None),
            }
        }
        Ok(Some(Stop::NoRoom))
    }
}

/// Of memory that the peer has made unusable.
pub(super) fn damaged(corrupt: Corrupt) -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, corrupt)
}
