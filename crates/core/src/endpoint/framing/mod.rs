//! How messages lie in a stream of bytes.
//!
//! A decoder gets bytes in whatever pieces they come, and keeps only what is incomplete: an idle connection
//! holds no memory for it. What has arrived becomes events; the first problem ends it.

mod length;
mod lines;
mod lsp;

use crate::codec::depth;
use crate::endpoint::{Event, Kind, Limits};
use crate::error::{Error, ErrorKind};

pub(super) use length::frame;
pub use length::{HELLO_LIMIT, frame_head};

/// How messages lie in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// rsipc's own, with JSON texts in its frames.
    Text,
    /// rsipc's own, with bytes in its frames.
    Bytes,
    /// One JSON text a line.
    Lines,
    /// A `Content-Length` head before each JSON text.
    Lsp,
}

impl Framing {
    /// Whether both ends say hello first and frames have kinds.
    pub fn is_own(self) -> bool {
        matches!(self, Framing::Text | Framing::Bytes)
    }

    /// Whether payloads are JSON texts.
    pub fn is_text(self) -> bool {
        self != Framing::Bytes
    }
}

/// The receiving half of a connection.
#[derive(Debug)]
pub(super) struct Decoder {
    framing: Framing,
    limits: Limits,
    /// What has arrived of something incomplete.
    partial: Vec<u8>,
    /// The frame whose payload `partial` holds the beginning of.
    open: Option<length::Head>,
    /// Bytes of `partial` in which a line end was looked for.
    looked: usize,
    /// The peer has said hello, or need not.
    greeted: bool,
    /// A line end was seen already, so a byte order mark is not in the beginning any more.
    begun: bool,
    /// A problem was told.
    over: bool,
}

impl Decoder {
    pub(super) fn new(framing: Framing, limits: Limits) -> Decoder {
        Decoder {
            framing,
            limits,
            partial: Vec::new(),
            open: None,
            looked: 0,
            greeted: !framing.is_own(),
            begun: false,
            over: false,
        }
    }

    pub(super) fn greeted(&self) -> bool {
        self.greeted
    }

    /// Bytes of something incomplete.
    pub(super) fn partial(&self) -> usize {
        self.partial.len() + if self.open.is_some() { length::HEAD } else { 0 }
    }

    /// Whether something is incomplete.
    pub(super) fn is_partial(&self) -> bool {
        self.open.is_some() || !self.partial.is_empty()
    }

    pub(super) fn stop(&mut self) {
        self.over = true;
        self.partial = Vec::new();
        self.open = None;
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Where the rest of a long payload can be received without a copy, and how much of it.
    pub(super) fn room(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        let head = self.open.as_ref()?;
        let missing = head.length - self.partial.len();
        (missing > 0).then_some((&mut self.partial, missing))
    }

    /// Takes what was received into [`Decoder::room`].
    pub(super) fn filled(&mut self, sink: &mut Sink) {
        if self.room().is_none() {
            self.finish_open(sink);
        }
    }

    /// Takes bytes as they have arrived.
    pub(super) fn feed(&mut self, bytes: &[u8], sink: &mut Sink) {
        if self.over {
            return;
        }
        let outcome = match self.framing {
            Framing::Text | Framing::Bytes => self.feed_frames(bytes, sink),
            Framing::Lines => self.feed_lines(bytes, sink),
            Framing::Lsp => self.feed_heads(bytes, sink),
        };
        if let Err(kind) = outcome {
            self.stop();
            sink.push(Event::Problem(Error::new(kind)));
        }
    }

    fn too_large(&self, size: usize) -> ErrorKind {
        ErrorKind::MessageTooLarge {
            size: size as u64,
            limit: self.limits.max_message_size as u64,
        }
    }

    /// Where the first text begins that nests too deeply.
    pub(super) fn too_deep(&self, payload: &[u8]) -> Option<usize> {
        let limit = self.limits.max_depth;
        // Only a text of so many bytes can nest so deeply, and most payloads are many short ones.
        if payload.len() < 2 * limit {
            return None;
        }
        let mut start = 0;
        while let Some(rest) = payload.get(start..).filter(|rest| !rest.is_empty()) {
            let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
            if depth::exceeds(rest.get(..length).unwrap_or_default(), limit) {
                return Some(start);
            }
            start += length;
        }
        None
    }

    /// Appends one payload of JSON texts to the run, up to one that nests too deeply.
    fn take_texts(&self, kind: Kind, payload: &[u8], sink: &mut Sink) -> Result<(), ErrorKind> {
        let bad = self.too_deep(payload);
        let good = payload
            .get(..bad.unwrap_or(payload.len()))
            .unwrap_or_default();
        if !good.is_empty() {
            let run = sink.run(kind);
            run.extend_from_slice(good);
            if good.last() != Some(&b'\n') {
                run.push(b'\n');
            }
        }
        match bad {
            Some(_) => Err(ErrorKind::TooDeep {
                limit: self.limits.max_depth,
            }),
            None => Ok(()),
        }
    }
}

/// Where events go; frames of one kind are joined.
#[derive(Debug, Default)]
pub(super) struct Sink {
    pub(super) events: Vec<Event>,
    /// Pings seen.
    pub(super) pings: usize,
    /// Memory for the next run.
    pub(super) spare: Vec<u8>,
}

impl Sink {
    pub(super) fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    fn run(&mut self, kind: Kind) -> &mut Vec<u8> {
        let same =
            matches!(self.events.last(), Some(Event::Run { kind: last, .. }) if *last == kind);
        if !same {
            let bytes = std::mem::take(&mut self.spare);
            self.events.push(Event::Run { kind, bytes });
        }
        match self.events.last_mut() {
            Some(Event::Run { bytes, .. }) => bytes,
            _ => unreachable!("a run was just pushed"),
        }
    }
}
