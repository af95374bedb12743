//! What of an outbox leaves with one call to the system.

use std::os::fd::{AsFd, BorrowedFd};

use rsipc_sys::rights;

use super::Outbox;

/// Bytes of frames with descriptors that leave with one call. The kernel keeps so few in one piece: who reads them has
/// all their descriptors together with all their bytes.
const TOGETHER: usize = 4 * 1024;
/// Descriptors that leave with one call: no more than a receiver keeps before it has read their frames.
const FEW: usize = 32;

impl Outbox {
    /// What to write next: pieces that may leave with one call, and the descriptors that leave with them.
    pub(in crate::endpoint) fn next<'a>(
        &'a self,
        pieces: &mut Vec<&'a [u8]>,
        fds: &mut Vec<BorrowedFd<'a>>,
    ) {
        let carries = self
            .queue
            .front()
            .is_some_and(|first| !first.fds.is_empty());
        let mut bytes = 0;
        for (number, segment) in self.queue.iter().take(64).enumerate() {
            if number > 0 {
                bytes += segment.bytes.len();
                let joins = if carries {
                    rights::TRAVEL_TOGETHER
                        && bytes <= TOGETHER
                        && fds.len() + segment.fds.len() <= FEW
                } else {
                    segment.fds.is_empty()
                };
                if !joins {
                    break;
                }
            } else {
                bytes = segment.bytes.len() - self.offset;
            }
            let from = if number == 0 { self.offset } else { 0 };
            pieces.push(segment.bytes.get(from..).unwrap_or_default());
            fds.extend(segment.fds.iter().map(AsFd::as_fd));
        }
    }
}
