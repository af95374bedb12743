//! Finds frames in a stream of bytes, whatever the pieces it comes in.
//!
//! Plain frames stay where they were received: a *run* of them is given away as one vector,
//! without a copy when it fills its vector well. What is incomplete is looked at once only: a
//! search goes on where the last one ended.
//!
//! ```text
//!            start        ready                 buf.len()
//!   handed out | run of plain frames | incomplete frame | room
//! ```

use std::time::Instant;

use memchr::{memchr, memmem};

use super::encode::{self, LENGTH_BYTES};
use super::envelope::{Envelope, MARKER, classify};
use super::{Serialization, depth};
use crate::error::{Error, ErrorKind};

/// How much is read at once. Values may be bytes of any length, so there it grows when the peer keeps the
/// socket full; texts become strings of V8, and those above 128 KiB are costly to make and to free.
const READ_SIZE: usize = 64 * 1024;
const LARGEST_READ: usize = 256 * 1024;
/// The size from which an advanced frame gets a vector of its own.
const LARGE_FRAME: usize = 256 * 1024;
/// The least room worth a read of its own.
const LEAST_ROOM: usize = 16 * 1024;
/// The most that is asked for before it has arrived.
const STEP: usize = 1024 * 1024 + 64 * 1024;
/// The largest vector that is kept for the next run.
const SPARE_LIMIT: usize = 4 * 1024 * 1024;

/// What the decoder has found.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// Plain frames, as they came.
    Plain {
        /// The frames, with their line feeds or lengths.
        bytes: Vec<u8>,
        /// How many there are.
        count: usize,
    },
    /// A frame for the channel itself.
    Envelope {
        /// What it says.
        envelope: Envelope,
        /// Its payload.
        payload: Vec<u8>,
        /// Where in the stream the frame begins.
        offset: u64,
    },
    /// What the peer sends from here on travels through shared memory.
    Switch,
    /// A frame that was dropped. The next one is read as if it had not been there.
    Broken(Error),
}

/// What is being discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skip {
    Nothing,
    /// Everything to the next line feed.
    Line,
    /// This many bytes.
    Bytes(u64),
}

/// A frame located in the buffer.
struct Found {
    /// The whole frame, from `ready` on.
    end: usize,
    payload: (usize, usize),
}

/// What looking at the bytes after `ready` came to.
enum Look {
    /// An empty frame that is expected. It ends here.
    Wake(usize),
    /// The frame is not complete.
    Incomplete,
    /// One that is.
    Whole(Found),
    /// One that is dropped. It ends here, or what to skip says where.
    Bad {
        end: usize,
        skip: Skip,
        error: Error,
    },
}

/// The decoder: a state machine over a buffer that its owner fills.
///
/// ```
/// use rsipc_core::codec::{Decoder, Frame, Serialization};
///
/// let mut decoder = Decoder::new(Serialization::Json, 1024, 512);
/// decoder.buffer().extend_from_slice(b"{\"a\":1}\n{\"b\"");
/// assert_eq!(decoder.next_frame(), None);
/// let run = Frame::Plain { bytes: b"{\"a\":1}\n".to_vec(), count: 1 };
/// assert_eq!(decoder.take_run(), Some(run));
/// assert_eq!(decoder.partial(), 4);
/// ```
#[derive(Debug)]
pub struct Decoder {
    serialization: Serialization,
    max_size: usize,
    max_depth: usize,
    buf: Vec<u8>,
    start: usize,
    ready: usize,
    /// Frames in the run.
    count: usize,
    /// Where to go on looking for a line feed.
    scanned: usize,
    /// Where the words of an envelope are next, if they were found.
    marker: Option<usize>,
    /// If not: up to where they are known to be absent.
    marked: usize,
    skip: Skip,
    skipped: usize,
    /// Found behind a run, to be told after it.
    behind: Option<Frame>,
    /// Offset in the stream of the first byte of `buf`.
    base: u64,
    /// The incomplete frame: where it begins in the stream and when it was first seen.
    begun: Option<(u64, Instant)>,
    /// A vector given back, for the next run.
    spare: Vec<u8>,
    read_size: usize,
    /// Empty frames are no mistakes but wakes.
    wakes: bool,
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    pub fn new(serialization: Serialization, max_size: usize, max_depth: usize) -> Decoder {
        Decoder {
            serialization,
            max_size,
            max_depth,
            buf: Vec::new(),
            start: 0,
            ready: 0,
            count: 0,
            scanned: 0,
            marked: 0,
            marker: None,
            skip: Skip::Nothing,
            skipped: 0,
            behind: None,
            base: 0,
            begun: None,
            spare: Vec::new(),
            read_size: READ_SIZE,
            wakes: false,
        }
    }

    /// From now on an empty frame is a wake, and passed over.
    pub fn expect_wakes(&mut self) {
        self.wakes = true;
    }

    /// Where received bytes are to be appended. Nothing that is there may be changed.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buf
    }

    /// Makes room and says how many bytes may be appended now: a length the peer announced is
    /// believed only as far as bytes have come.
    pub fn make_room(&mut self) -> usize {
        self.compact();
        let partial = self.buf.len() - self.ready;
        if let Some(total) = self.announced() {
            // Alone in its vector, so that it can be given away as it is.
            let target = total.min(STEP.max(partial.saturating_mul(2)));
            let more = target.saturating_sub(partial).max(1);
            self.buf.reserve_exact(more);
            return more;
        }
        let room = self.buf.capacity() - self.buf.len();
        if room >= LEAST_ROOM {
            return room.min(self.read_size);
        }
        // A long line: fewer, larger reads as it grows.
        let more = partial.clamp(self.read_size, STEP);
        self.buf.reserve(more);
        more
    }

    /// Takes note of a read of `bytes` where there was `room`: one of values that filled its room
    /// is followed by larger ones, as long as that goes on.
    pub fn note_read(&mut self, bytes: usize, room: usize) {
        if self.serialization == Serialization::Json {
            return;
        }
        if bytes == room && room >= self.read_size {
            self.read_size = (self.read_size * 2).min(LARGEST_READ);
        } else if bytes < READ_SIZE / 2 {
            self.read_size = READ_SIZE;
        }
    }

    /// The next thing that is not a plain frame, or a run that must be told before it. `None`
    /// when more bytes are needed; [`take_run`](Decoder::take_run) then has the plain frames.
    pub fn next_frame(&mut self) -> Option<Frame> {
        if let Some(frame) = self.behind.take() {
            return Some(frame);
        }
        loop {
            if self.skip != Skip::Nothing && !self.discard() {
                return None;
            }
            match self.look() {
                Look::Incomplete => {
                    // A large frame is received into a vector of its own.
                    return if self.announced().is_some() {
                        self.take_run()
                    } else {
                        None
                    };
                }
                // A run is one piece: what came before is told first, and this is met again.
                Look::Wake(_) if self.count > 0 => return self.take_run(),
                Look::Wake(end) => {
                    self.pass(end);
                    self.start = end;
                }
                Look::Whole(found) if self.wakes && self.is_switch(&found) => {
                    return Some(self.tell(Frame::Switch, found.end));
                }
                Look::Whole(found) => match self.judge(&found) {
                    None => {
                        self.count += 1;
                        self.pass(found.end);
                    }
                    Some(frame) => return Some(self.tell(frame, found.end)),
                },
                Look::Bad { end, skip, error } => {
                    if skip != Skip::Nothing {
                        self.skip = skip;
                        self.skipped = end - self.ready;
                    }
                    let frame = self.tell(Frame::Broken(error), end);
                    return Some(frame);
                }
            }
        }
    }

    /// The complete plain frames found so far.
    pub fn take_run(&mut self) -> Option<Frame> {
        let end = self.ready;
        self.take_until(end)
    }

    /// Bytes in the run.
    pub fn run_len(&self) -> usize {
        if self.count == 0 {
            0
        } else {
            self.ready - self.start
        }
    }

    /// Where in the stream the next frame begins, as far as it is known.
    pub fn position(&self) -> u64 {
        self.base + self.ready as u64
    }

    /// Where in the stream the bytes received so far end.
    pub fn received(&self) -> u64 {
        self.base + self.buf.len() as u64
    }

    /// Bytes of the incomplete frame, discarded ones included.
    pub fn partial(&self) -> usize {
        self.skipped + (self.buf.len() - self.ready)
    }

    /// Bytes that a large frame still misses, if one is announced.
    pub fn missing(&self) -> Option<usize> {
        let partial = self.buf.len() - self.ready;
        self.announced().map(|total| total - partial)
    }

    /// Since when there is an incomplete frame, as of the last
    /// [`note_time`](Decoder::note_time).
    pub fn begun(&self) -> Option<Instant> {
        self.begun.map(|(_, since)| since)
    }

    /// Whether the rest of a dropped frame is being discarded.
    pub fn discarding(&self) -> bool {
        self.skip != Skip::Nothing
    }

    /// Notes when the incomplete frame was begun. To be called after each read.
    pub fn note_time(&mut self) {
        let waiting = self.skip != Skip::Nothing || self.buf.len() > self.ready;
        let frame = self.position() - self.skipped as u64;
        self.begun = match self.begun {
            _ if !waiting => None,
            Some((begin, since)) if begin == frame => Some((begin, since)),
            _ => Some((frame, Instant::now())),
        };
    }

    /// Gives a vector back for reuse.
    pub fn recycle(&mut self, mut bytes: Vec<u8>) {
        if (READ_SIZE..=SPARE_LIMIT).contains(&bytes.capacity())
            && bytes.capacity() > self.spare.capacity()
        {
            bytes.clear();
            self.spare = bytes;
        }
    }

    /// Length of the incomplete frame with its length bytes, if that is announced and large.
    fn announced(&self) -> Option<usize> {
        if self.serialization == Serialization::Json || self.skip != Skip::Nothing {
            return None;
        }
        let length = self.buf.get(self.ready..)?.first_chunk::<LENGTH_BYTES>()?;
        let total = usize::try_from(u32::from_be_bytes(*length))
            .ok()?
            .checked_add(LENGTH_BYTES)?;
        (total >= LARGE_FRAME && total > self.buf.len() - self.ready).then_some(total)
    }

    fn look(&mut self) -> Look {
        match self.serialization {
            Serialization::Json => self.look_for_line(),
            Serialization::Advanced => self.look_for_length(),
        }
    }

    fn look_for_line(&mut self) -> Look {
        let from = self.scanned.max(self.ready);
        let unseen = self.buf.get(from..).unwrap_or_default();
        let Some(at) = memchr(b'\n', unseen) else {
            self.scanned = self.buf.len();
            let size = self.buf.len() - self.ready;
            let error = if self.begins_with_length() {
                ErrorKind::OtherSerialization { theirs: "advanced" }.into()
            } else if size <= self.max_size {
                return Look::Incomplete;
            } else {
                self.too_large(size as u64)
            };
            return Look::Bad {
                end: self.buf.len(),
                skip: Skip::Line,
                error,
            };
        };
        let line_feed = from + at;
        let (size, end) = (line_feed - self.ready, line_feed + 1);
        let error = if size == 0 && self.wakes {
            return Look::Wake(end);
        } else if size == 0 {
            ErrorKind::MalformedFrame.into()
        } else if self.begins_with_length() {
            ErrorKind::OtherSerialization { theirs: "advanced" }.into()
        } else if size > self.max_size {
            self.too_large(size as u64)
        } else if self.too_deep(self.ready, line_feed) {
            ErrorKind::TooDeep {
                limit: self.max_depth,
            }
            .into()
        } else {
            return Look::Whole(Found {
                end,
                payload: (self.ready, line_feed),
            });
        };
        Look::Bad {
            end,
            skip: Skip::Nothing,
            error,
        }
    }

    fn look_for_length(&mut self) -> Look {
        let bytes = self.buf.get(self.ready..).unwrap_or_default();
        let Some(&first) = bytes.first_chunk::<LENGTH_BYTES>() else {
            return Look::Incomplete;
        };
        let payload = self.ready + LENGTH_BYTES;
        let length = u32::from_be_bytes(first);
        if length == 0 && self.wakes {
            return Look::Wake(payload);
        }
        if length == 0 {
            let error = ErrorKind::MalformedFrame.into();
            return Look::Bad {
                end: payload,
                skip: Skip::Nothing,
                error,
            };
        }
        match usize::try_from(length) {
            Ok(size) if size <= self.max_size => {
                let end = payload.saturating_add(size);
                if end > self.buf.len() {
                    return Look::Incomplete;
                }
                Look::Whole(Found {
                    end,
                    payload: (payload, end),
                })
            }
            _ => Look::Bad {
                end: payload,
                skip: Skip::Bytes(u64::from(length)),
                error: if first
                    .iter()
                    .all(|&byte| byte == b'\n' || (b' '..=b'~').contains(&byte))
                {
                    ErrorKind::OtherSerialization { theirs: "json" }.into()
                } else {
                    self.too_large(u64::from(length))
                },
            },
        }
    }

    /// No text begins with a zero byte, and the length of every value below 16 MiB does.
    fn begins_with_length(&self) -> bool {
        self.buf.get(self.ready) == Some(&0)
    }

    fn too_large(&self, size: u64) -> Error {
        ErrorKind::MessageTooLarge {
            size,
            limit: self.max_size as u64,
        }
        .into()
    }

    fn too_deep(&self, from: usize, to: usize) -> bool {
        let text = self.buf.get(from..to).unwrap_or_default();
        depth::exceeds(text, self.max_depth)
    }

    fn is_switch(&self, found: &Found) -> bool {
        let (from, to) = found.payload;
        self.buf.get(from..to) == Some(encode::SWITCH)
    }

    /// Whether a frame is for the channel itself. The words are sought once in all that has
    /// arrived, not frame by frame.
    fn judge(&mut self, found: &Found) -> Option<Frame> {
        let (from, to) = found.payload;
        if self.marker.is_none() && self.marked < to {
            // The words may have been cut in two by the end of the last search.
            let begin = from.max(self.marked.saturating_sub(MARKER.len() - 1));
            let unseen = self.buf.get(begin..).unwrap_or_default();
            self.marker = memmem::find(unseen, MARKER).map(|at| begin + at);
            self.marked = self.buf.len();
        }
        if self.marker.is_none_or(|at| at >= to) {
            return None;
        }
        let payload = self.buf.get(from..to)?;
        let envelope = classify(self.serialization, payload)?;
        Some(Frame::Envelope {
            envelope,
            payload: payload.to_vec(),
            offset: self.position(),
        })
    }

    /// Goes past a frame.
    fn pass(&mut self, end: usize) {
        self.ready = end;
        self.scanned = self.scanned.max(end);
        if self.marker.is_some_and(|at| at < end) {
            self.marker = None;
            self.marked = end;
        }
    }

    /// Goes past a frame that is not plain, telling the run before it first.
    fn tell(&mut self, frame: Frame, end: usize) -> Frame {
        let before = self.ready;
        self.pass(end);
        match self.take_until(before) {
            Some(run) => {
                self.start = self.ready.min(self.buf.len());
                self.behind = Some(frame);
                run
            }
            None => {
                self.start = end;
                frame
            }
        }
    }

    /// Gives away the run, which ends at `end`; what follows stays.
    fn take_until(&mut self, end: usize) -> Option<Frame> {
        if self.count == 0 {
            return None;
        }
        let length = end - self.start;
        let bytes = if self.start == 0 && length >= self.buf.capacity() / 2 {
            let mut next = std::mem::take(&mut self.spare);
            next.extend_from_slice(self.buf.get(end..).unwrap_or_default());
            let mut bytes = std::mem::replace(&mut self.buf, next);
            bytes.truncate(end);
            self.shift(end);
            bytes
        } else {
            let bytes = self.buf.get(self.start..end).unwrap_or_default().to_vec();
            self.start = end;
            bytes
        };
        Some(Frame::Plain {
            bytes,
            count: std::mem::take(&mut self.count),
        })
    }

    /// Drops bytes of a frame that was refused; says whether its end was reached.
    fn discard(&mut self) -> bool {
        let waiting = self.buf.get(self.ready..).unwrap_or_default();
        let (dropped, left) = match self.skip {
            Skip::Nothing => (0, Skip::Nothing),
            Skip::Line => match memchr(b'\n', waiting) {
                Some(at) => (at + 1, Skip::Nothing),
                None => (waiting.len(), Skip::Line),
            },
            Skip::Bytes(bytes) => {
                let here = usize::try_from(bytes)
                    .unwrap_or(usize::MAX)
                    .min(waiting.len());
                match bytes - here as u64 {
                    0 => (here, Skip::Nothing),
                    bytes => (here, Skip::Bytes(bytes)),
                }
            }
        };
        self.pass(self.ready + dropped);
        self.start = self.ready;
        self.skip = left;
        self.skipped = if left == Skip::Nothing {
            0
        } else {
            self.skipped + dropped
        };
        left == Skip::Nothing
    }

    /// Moves what is not handed out to the front when the room behind it is short.
    fn compact(&mut self) {
        if self.start == 0 {
            return;
        }
        if self.start == self.buf.len() {
            self.buf.clear();
            if self.buf.capacity() > SPARE_LIMIT {
                self.buf = std::mem::take(&mut self.spare);
            }
        } else {
            self.buf.drain(..self.start);
        }
        let by = self.start;
        self.shift(by);
    }

    /// The first `by` bytes of the buffer have gone.
    fn shift(&mut self, by: usize) {
        self.base += by as u64;
        self.start = self.start.saturating_sub(by);
        self.ready = self.ready.saturating_sub(by);
        self.scanned = self.scanned.saturating_sub(by);
        self.marked = self.marked.saturating_sub(by);
        self.marker = self.marker.and_then(|at| at.checked_sub(by));
    }
}
