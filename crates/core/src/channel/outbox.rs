//! Frames accepted and not yet written.
//!
//! Plain frames lie one behind the other in a few vectors and leave many at a time. A frame
//! with a handle leaves alone, its descriptor with its first byte, and holds everything behind
//! it until the window lets it go: the order of the stream is the order of `send`. Only the
//! answers to the peer's handles overtake, because a peer that waits for one may be what
//! everything waits for; even they never break into a frame that is half written.

mod shared;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rsipc_sys::{rights, stream};

use super::Left;
use super::batch;
use super::lanes::{Content, Lanes};
use super::window::{Answered, HandleFrame, Window};
use crate::codec::{Serialization, encode};
use crate::error::Error;
use shared::damaged;

/// Where one vector of plain frames ends and the next begins.
const SEGMENT: usize = 64 * 1024;
/// Vectors written in one call.
const MAX_GATHER: usize = 64;
/// Vectors kept for reuse, and how much they may hold together: fresh memory costs more than the
/// copy that goes into it.
const MAX_SPARE: usize = 4;
const SPARE_LIMIT: usize = 32 * SEGMENT;
/// Unwritten answers at which the peer is no longer read. A peer that keeps to the window of
/// handles never comes near it.
const ANSWERS_LIMIT: usize = 64 * 1024;

/// Why writing came to a halt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It did not.
    Nothing,
    /// The kernel buffer is full; the descriptor becomes writable.
    Full,
    /// The next frame waits for the peer to answer a handle.
    Held,
    /// The kernel has too many descriptors on their way. Nothing tells when that is over.
    Refused,
    /// The ring is full; the peer wakes us when there is room.
    NoRoom,
}

#[derive(Debug)]
enum Segment {
    /// For the socket.
    Plain(Vec<u8>),
    /// For the socket, and of no message.
    Control(&'static [u8]),
    /// For the ring.
    Shared { content: Content, bytes: Vec<u8> },
    /// Where in the ring the handle with this number belongs, which has just been written.
    Mark(u64),
    Handle {
        frame: HandleFrame,
        /// A repetition is not counted as written: its first sending was.
        counted: bool,
        /// Written in one call so far.
        whole: bool,
    },
}

impl Segment {
    fn bytes(&self) -> &[u8] {
        match self {
            Segment::Plain(bytes) | Segment::Shared { bytes, .. } => bytes,
            Segment::Handle { frame, .. } => &frame.frame,
            Segment::Control(bytes) => bytes,
            Segment::Mark(_) => &[],
        }
    }

    fn counted(&self) -> bool {
        match self {
            Segment::Plain(_) | Segment::Shared { .. } => true,
            Segment::Handle { counted, .. } => *counted,
            Segment::Control(_) | Segment::Mark(_) => false,
        }
    }
}

#[derive(Debug)]
pub(super) struct Outbox {
    queue: VecDeque<Segment>,
    /// Bytes of the first segment that were written.
    offset: usize,
    /// Lengths of the counted frames in `queue`, and how much of the first was written.
    lengths: VecDeque<usize>,
    progress: usize,
    /// Unwritten bytes in `queue`.
    bytes: usize,
    /// Handles in `queue`.
    handles: usize,
    answers: Vec<u8>,
    answers_offset: usize,
    window: Window,
    stop: Stop,
    /// Set when an answer has ended a halt, or asked for a repetition.
    freed: bool,
    accepted: u64,
    written: u64,
    /// Grows with everything the peer or the kernel takes.
    taken: u64,
    gathered: Option<Instant>,
    lost: Left,
    spare: Vec<Vec<u8>>,
    /// What is accepted from now on is for the ring.
    shared: bool,
    /// Handles accepted since then.
    marked: u64,
    /// The batch that the last segment is open for.
    batch: Option<batch::Open>,
    /// The text of the next batch.
    text: Vec<u16>,
}

impl Outbox {
    pub(super) fn new() -> Outbox {
        Outbox {
            queue: VecDeque::new(),
            offset: 0,
            lengths: VecDeque::new(),
            progress: 0,
            bytes: 0,
            handles: 0,
            answers: Vec::new(),
            answers_offset: 0,
            window: Window::new(),
            stop: Stop::Nothing,
            freed: false,
            accepted: 0,
            written: 0,
            taken: 0,
            gathered: None,
            lost: Left::default(),
            spare: Vec::new(),
            shared: false,
            marked: 0,
            batch: None,
            text: Vec::new(),
        }
    }

    /// What is accepted from now on travels through the ring, behind `switch` on the socket.
    pub(super) fn share(&mut self, switch: &'static [u8]) {
        self.bytes += switch.len();
        self.queue.push_back(Segment::Control(switch));
        self.shared = true;
    }

    /// Whether what is accepted now travels through the ring.
    pub(super) fn shares(&self) -> bool {
        self.shared
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.answers.is_empty()
    }

    /// Whether all frames have left.
    pub(super) fn all_written(&self) -> bool {
        self.queue.is_empty() && (self.shared || self.answers.is_empty())
    }

    /// Whether answers or a wake wait although what is queued needs no room on the socket.
    pub(super) fn answers_wait(&self) -> bool {
        self.shared && !self.answers.is_empty()
    }

    pub(super) fn stop(&self) -> Stop {
        self.stop
    }

    pub(super) fn accepted(&self) -> u64 {
        self.accepted
    }

    pub(super) fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn frames(&self) -> usize {
        self.lengths.len()
    }

    pub(super) fn unacknowledged(&self) -> usize {
        self.window.len() + self.handles
    }

    pub(super) fn answers_pile_up(&self) -> bool {
        self.answers.len() - self.answers_offset > ANSWERS_LIMIT
    }

    /// What is queued and what was given up.
    pub(super) fn left(&self) -> Left {
        Left {
            messages: self.lost.messages + self.lengths.len(),
            bytes: self.lost.bytes + self.bytes,
        }
    }

    pub(super) fn note_gathered(&mut self) {
        if self.gathered.is_none() {
            self.gathered = Some(Instant::now());
        }
    }

    /// Whether the oldest gathered frame is younger than `age`.
    pub(super) fn gathered_within(&self, age: Duration) -> bool {
        self.gathered.is_some_and(|since| since.elapsed() < age)
    }

    pub(super) fn wants_flush(&self) -> bool {
        !self.is_empty() && self.stop != Stop::Held
    }

    /// Queues one frame.
    pub(super) fn push(
        &mut self,
        serialization: Serialization,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Error> {
        let fresh = self.open_segment();
        let Some(Segment::Plain(bytes) | Segment::Shared { bytes, .. }) = self.queue.back_mut()
        else {
            return Ok(());
        };
        match encode::frame(serialization, bytes, write) {
            Ok(length) => {
                self.count(length);
                Ok(())
            }
            Err(error) => {
                if fresh {
                    self.recycle_back();
                }
                Err(error)
            }
        }
    }

    /// Queues one frame whose pieces exist already.
    pub(super) fn push_slices(&mut self, pieces: &[&[u8]]) {
        self.open_segment();
        if let Some(Segment::Plain(bytes) | Segment::Shared { bytes, .. }) = self.queue.back_mut() {
            let total = pieces.iter().map(|piece| piece.len()).sum();
            bytes.reserve(total);
            for piece in pieces {
                bytes.extend_from_slice(piece);
            }
            self.count(total);
        }
    }

    /// Whether even plain frames wait for the peer's answer to a handle.
    pub(super) fn holds(&self) -> bool {
        !self.shared && self.window.holds()
    }

    /// Queues one frame with a handle.
    pub(super) fn push_handle(
        &mut self,
        serialization: Serialization,
        descriptor: Arc<OwnedFd>,
        retry: bool,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Error> {
        let mut frame = Vec::new();
        let length = encode::frame(serialization, &mut frame, write)?;
        self.seal();
        self.count(length);
        self.marked += u64::from(self.shared);
        let frame = HandleFrame {
            frame,
            descriptor,
            sequence: self.accepted,
            mark: if self.shared { self.marked } else { 0 },
            placed: self.shared,
            announced: false,
            retry,
            retries: 0,
        };
        self.queue.push_back(Segment::Handle {
            frame,
            counted: true,
            whole: true,
        });
        self.handles += 1;
        Ok(())
    }

    /// Queues a wake, ahead of everything, unless one is queued.
    pub(super) fn push_wake(&mut self, wake: &[u8]) {
        if self.answers.is_empty() {
            self.answers.extend_from_slice(wake);
        }
    }

    /// Queues the answer to a handle, ahead of everything.
    pub(super) fn push_answer(&mut self, answer: &[u8]) {
        self.answers.extend_from_slice(answer);
    }

    /// The peer has answered our oldest handle.
    pub(super) fn answered(&mut self, taken: bool) -> Answered {
        let answered = self.window.answered(taken);
        if !matches!(answered, Answered::Unexpected) {
            self.taken += 1;
            self.set_free();
        }
        answered
    }

    /// Queues a handle that was lost on the way once more, ahead of everything but a frame that
    /// is half written and earlier repetitions.
    ///
    /// One whose place in the ring is marked comes behind `again`, or its receiver, which has been sent others
    /// since, could not know that the place is this one's.
    pub(super) fn repeat(&mut self, frame: HandleFrame, again: &[u8]) {
        if let Some(Segment::Shared { bytes, .. }) = self.queue.front_mut() {
            // The ring may be full until the peer has this handle: what is begun there does not go first.
            bytes.drain(..std::mem::take(&mut self.offset));
        }
        // A frame whose first part was written from where it lay has only its rest here, from 0 on.
        let begun = match self.queue.front() {
            Some(Segment::Shared { .. } | Segment::Mark(_)) => 0,
            _ => usize::from(self.offset > 0 || self.progress > 0),
        };
        let repetitions = self
            .queue
            .iter()
            .skip(begun)
            .take_while(|segment| matches!(segment, Segment::Handle { counted: false, .. }));
        let at = begun + repetitions.count();
        let mut frame = frame;
        let switched = !self
            .queue
            .iter()
            .skip(at)
            .any(|segment| matches!(segment, Segment::Control(_)));
        if self.shared && switched {
            if !std::mem::replace(&mut frame.placed, true) {
                frame.mark = self.mark_repetition();
            } else if !std::mem::replace(&mut frame.announced, true) {
                frame.frame.splice(..0, again.iter().copied());
            }
        }
        self.bytes += frame.frame.len();
        self.handles += 1;
        self.queue.insert(
            at,
            Segment::Handle {
                frame,
                counted: false,
                whole: true,
            },
        );
        if self.stop == Stop::NoRoom {
            self.stop = Stop::Nothing;
        }
        self.freed = true;
    }

    /// Whether an answer has made it possible to write more.
    pub(super) fn freed(&self) -> bool {
        self.freed && self.stop == Stop::Nothing
    }

    fn set_free(&mut self) {
        if matches!(self.stop, Stop::Held | Stop::Refused) {
            self.stop = Stop::Nothing;
            self.freed = true;
        }
    }

    /// Writes as much as the kernel, or the ring, takes.
    pub(super) fn flush(
        &mut self,
        fd: BorrowedFd<'_>,
        lanes: Option<&mut Lanes>,
    ) -> io::Result<Stop> {
        self.gathered = None;
        self.freed = false;
        self.seal();
        let mut lanes = lanes;
        self.stop = loop {
            if self.is_empty() {
                break Stop::Nothing;
            }
            let written = match (self.queue.front(), &mut lanes) {
                (Some(Segment::Shared { .. } | Segment::Mark(_)), Some(lanes)) => {
                    self.write_shared(fd, lanes)
                }
                (None, _) if self.shared => {
                    // Nobody waits for answers; the descriptor is watched for them.
                    self.write_bytes(fd, 0)?;
                    break Stop::Nothing;
                }
                _ => match self.next_handle() {
                    Some(handle) if self.window.may_send() => self.write_handle(fd, handle),
                    Some(_) => break Stop::Held,
                    None if self.window.holds() => {
                        if self.answers.is_empty() && self.begun() == 0 {
                            break Stop::Held;
                        }
                        self.write_bytes(fd, 0)
                    }
                    None => self.write_bytes(fd, MAX_GATHER),
                },
            };
            match written {
                Ok(None) => {}
                Ok(Some(stop)) => break stop,
                Err(error) => return Err(error),
            }
        };
        Ok(self.stop)
    }

    /// Writes waiting answers, and of the rest only what must go before them.
    pub(super) fn flush_answers(&mut self, fd: BorrowedFd<'_>) -> io::Result<()> {
        while !self.answers.is_empty() && self.stop != Stop::Full {
            if let Some(stop) = self.write_bytes(fd, 0)? {
                if self.answers_wait() && self.begun() == 0 {
                    // What is queued goes through the ring and does not wait for the socket.
                    break;
                }
                // Not again at once, even if it is the memory that is short: nothing tells when.
                self.stop = stop;
                break;
            }
        }
        Ok(())
    }

    /// With nothing queued: writes one frame from where its pieces are and queues what the kernel
    /// leaves, or the ring.
    pub(super) fn write_slices(
        &mut self,
        fd: BorrowedFd<'_>,
        lanes: Option<&mut Lanes>,
        pieces: &[&[u8]],
    ) -> io::Result<Stop> {
        let total: usize = pieces.iter().map(|piece| piece.len()).sum();
        let lanes = lanes.filter(|_| self.shared);
        let written = match lanes {
            Some(lanes) => lanes.write(Content::Frames, pieces, 0).map_err(damaged)?,
            None => send_slices(fd, pieces)?,
        };
        self.accepted += 1;
        self.taken += written as u64;
        if !self.shared {
            self.window.wrote_plain(written);
        }
        if written >= total {
            self.written += 1;
            return Ok(Stop::Nothing);
        }
        let mut rest = self.spare.pop().unwrap_or_default();
        rest.reserve(total - written);
        let mut skip = written;
        for piece in pieces {
            rest.extend_from_slice(piece.get(skip.min(piece.len())..).unwrap_or_default());
            skip = skip.saturating_sub(piece.len());
        }
        self.bytes += rest.len();
        self.lengths.push_back(total);
        self.progress = written;
        if self.shared {
            self.queue.push_back(Segment::Shared {
                content: Content::Frames,
                bytes: rest,
            });
            self.stop = Stop::Nothing;
        } else {
            self.queue.push_back(Segment::Plain(rest));
            self.stop = Stop::Full;
        }
        Ok(self.stop)
    }

    /// The frame queued last is not accepted after all.
    pub(super) fn disown(&mut self) {
        if let Some(length) = self.lengths.pop_back() {
            self.accepted -= 1;
            self.bytes = self.bytes.saturating_sub(length);
        }
    }

    /// Gives up everything queued: nothing will be written any more.
    pub(super) fn abandon(&mut self) {
        self.batch = None;
        self.lost = self.left();
        self.queue.clear();
        self.lengths.clear();
        self.answers.clear();
        self.answers_offset = 0;
        self.offset = 0;
        self.progress = 0;
        self.bytes = 0;
        self.handles = 0;
        self.gathered = None;
        self.stop = Stop::Nothing;
    }

    /// Gives up everything, handles on their way as well.
    pub(super) fn clear(&mut self) {
        self.abandon();
        self.window.clear();
        self.spare.clear();
    }

    fn count(&mut self, length: usize) {
        self.lengths.push_back(length);
        self.bytes += length;
        self.accepted += 1;
    }

    /// Makes the last segment one that takes plain frames; says whether it is a new one.
    fn open_segment(&mut self) -> bool {
        self.seal();
        let open = match self.queue.back() {
            Some(Segment::Plain(bytes)) => !self.shared && bytes.len() < SEGMENT,
            Some(Segment::Shared {
                content: Content::Frames,
                bytes,
            }) => bytes.len() < SEGMENT,
            _ => false,
        };
        if !open {
            let bytes = self.spare.pop().unwrap_or_default();
            self.queue.push_back(if self.shared {
                Segment::Shared {
                    content: Content::Frames,
                    bytes,
                }
            } else {
                Segment::Plain(bytes)
            });
        }
        !open
    }

    fn recycle_back(&mut self) {
        if let Some(Segment::Plain(bytes) | Segment::Shared { bytes, .. }) = self.queue.pop_back() {
            self.recycle(bytes);
        }
    }

    fn recycle(&mut self, mut bytes: Vec<u8>) {
        let kept: usize = self.spare.iter().map(Vec::capacity).sum();
        if self.spare.len() < MAX_SPARE && kept + bytes.capacity() <= SPARE_LIMIT {
            bytes.clear();
            self.spare.push(bytes);
        }
    }

    /// The length of the frame that must be written now with its handle, if that is what comes
    /// next.
    fn next_handle(&self) -> Option<usize> {
        match self.queue.front() {
            Some(Segment::Handle { frame, .. }) if self.offset == 0 && self.answers.is_empty() => {
                Some(frame.frame.len())
            }
            _ => None,
        }
    }

    fn write_handle(&mut self, fd: BorrowedFd<'_>, length: usize) -> io::Result<Option<Stop>> {
        let Some(Segment::Handle { frame, whole, .. }) = self.queue.front_mut() else {
            return Ok(None);
        };
        let sent = rights::send(
            fd,
            &[IoSlice::new(&frame.frame)],
            &[frame.descriptor.as_fd()],
        );
        match sent {
            Ok(written) => {
                *whole = written == length;
                self.wrote_queue(written);
                Ok((written < length).then_some(Stop::Full))
            }
            Err(error) => halt(&error).map(Some).ok_or(error),
        }
    }

    /// Bytes of the frame that is half written.
    fn begun(&self) -> usize {
        match self.queue.front() {
            Some(Segment::Handle { frame, .. }) if self.offset > 0 => {
                frame.frame.len() - self.offset
            }
            Some(Segment::Plain(_)) if self.progress > 0 => self
                .lengths
                .front()
                .map_or(0, |length| length - self.progress),
            Some(Segment::Control(bytes)) if self.offset > 0 => bytes.len() - self.offset,
            _ => 0,
        }
    }

    /// Writes, in one call: the rest of a half-written frame, all answers, and up to
    /// `segments` segments of plain frames.
    fn write_bytes(&mut self, fd: BorrowedFd<'_>, segments: usize) -> io::Result<Option<Stop>> {
        let mut bufs = [IoSlice::new(&[]); MAX_GATHER + 2];
        let mut places = bufs.iter_mut();
        let mut offered = 0;
        let begun = if self.answers_offset > 0 {
            0
        } else {
            self.begun()
        };
        let head = self.queue.front().map_or(&[][..], Segment::bytes);
        let head = head.get(self.offset..).unwrap_or_default();
        let (first, rest) = head.split_at_checked(begun).unwrap_or((head, &[]));
        let answers = self.answers.get(self.answers_offset..).unwrap_or_default();
        // Behind a half-written frame with a handle nothing follows before its answer.
        let plain_head = matches!(
            self.queue.front(),
            Some(Segment::Plain(_) | Segment::Control(_))
        );
        let more = self
            .queue
            .iter()
            .skip(1)
            .map_while(|segment| match segment {
                Segment::Plain(bytes) => Some(bytes.as_slice()),
                Segment::Control(bytes) => Some(*bytes),
                Segment::Shared { .. } | Segment::Handle { .. } | Segment::Mark(_) => None,
            });
        let queued = std::iter::once(rest)
            .chain(more)
            .take(if plain_head { segments } else { 0 });
        let mut count = 0;
        for bytes in [first, answers]
            .into_iter()
            .chain(queued)
            .filter(|bytes| !bytes.is_empty())
        {
            let Some(place) = places.next() else { break };
            offered += bytes.len();
            *place = IoSlice::new(bytes);
            count += 1;
        }
        let Some(bufs) = bufs.get(..count).filter(|bufs| !bufs.is_empty()) else {
            return Ok(None);
        };
        match stream::send(fd, bufs) {
            Ok(written) => {
                let of_first = written.min(first.len());
                let of_answers = (written - of_first).min(answers.len());
                let of_rest = written - of_first - of_answers;
                self.wrote_queue(of_first);
                self.wrote_answers(of_answers);
                self.wrote_queue(of_rest);
                Ok((written < offered).then_some(Stop::Full))
            }
            Err(error) => halt(&error).map(Some).ok_or(error),
        }
    }

    fn wrote_answers(&mut self, written: usize) {
        self.taken += written as u64;
        self.window.wrote_plain(written);
        self.answers_offset += written;
        if self.answers_offset >= self.answers.len() {
            self.answers.clear();
            self.answers_offset = 0;
        }
    }

    /// The kernel took `written` bytes from the front of the queue.
    fn wrote_queue(&mut self, written: usize) {
        self.taken += written as u64;
        self.bytes = self.bytes.saturating_sub(written);
        let mut left = written;
        while left > 0 {
            let Some(head) = self.queue.front() else {
                return;
            };
            let here = left.min(head.bytes().len() - self.offset);
            left -= here;
            self.offset += here;
            if matches!(head, Segment::Plain(_) | Segment::Control(_)) {
                self.window.wrote_plain(here);
            }
            if head.counted() {
                self.progress += here;
                while self
                    .lengths
                    .front()
                    .is_some_and(|&length| length <= self.progress)
                {
                    self.progress -= self.lengths.pop_front().unwrap_or(0);
                    self.written += 1;
                }
            }
            if self.offset == self.queue.front().map_or(0, |head| head.bytes().len()) {
                self.offset = 0;
                match self.queue.pop_front() {
                    Some(Segment::Plain(bytes) | Segment::Shared { bytes, .. }) => {
                        self.recycle(bytes);
                    }
                    Some(Segment::Handle {
                        mut frame, whole, ..
                    }) => {
                        self.handles -= 1;
                        // A repetition belongs where its first sending did.
                        let mark = std::mem::take(&mut frame.mark);
                        self.window.wrote(frame, whole);
                        if mark > 0 {
                            self.queue.push_front(Segment::Mark(mark));
                        }
                    }
                    Some(Segment::Control(_) | Segment::Mark(_)) | None => {}
                }
            }
        }
    }
}

/// Writes slices one behind the other until the kernel takes no more; answers how much it took.
fn send_slices(fd: BorrowedFd<'_>, pieces: &[&[u8]]) -> io::Result<usize> {
    let bufs: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut written = 0;
    let mut left = bufs.as_slice();
    while !left.is_empty() {
        let (now, later) = left.split_at(left.len().min(MAX_GATHER));
        let offered: usize = now.iter().map(|buf| buf.len()).sum();
        match stream::send(fd, now) {
            Ok(taken) => {
                written += taken;
                if taken < offered {
                    break;
                }
            }
            Err(error) if halt(&error).is_some() => break,
            Err(error) => return Err(error),
        }
        left = later;
    }
    Ok(written)
}

/// What a failed write halts for; `None` if it has really failed.
fn halt(error: &io::Error) -> Option<Stop> {
    if error.kind() == io::ErrorKind::WouldBlock {
        return Some(Stop::Full);
    }
    rights::is_refusal(error).then_some(Stop::Refused)
}
