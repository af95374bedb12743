//! One end of a connection, without I/O.

use std::time::Instant;

use memchr::memchr;
use rsipc_sys::fd::OwnedFd;

use super::beside::Beside;
use super::event::{Event, Kind};
use super::framing::{Decoder, Framing, Sink, frame, frame_head};
use super::outbox::Outbox;
use crate::error::ErrorKind;

/// What a peer may send.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one frame, and so of one message.
    pub max_message_size: usize,
    /// Levels of nesting of a JSON text.
    pub max_depth: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_message_size: 64 * 1024 * 1024,
            max_depth: 512,
        }
    }
}

/// One end of a connection: bytes in, [`Event`]s out, and bytes to write.
///
/// ```
/// use rsipc_core::endpoint::{Connection, Event, Framing, Kind, Limits};
///
/// let mut one = Connection::new(Framing::Text, Limits::default());
/// let mut other = Connection::new(Framing::Text, Limits::default());
/// one.hello(b"{}");
/// one.send(Kind::Message, |out| out.extend_from_slice(b"\"hi\"\n"))?;
/// let mut events = Vec::new();
/// other.feed(&one.take_outbox(), &mut events);
/// assert!(matches!(&events[0], Event::Hello(said) if said == b"{}"));
/// assert!(matches!(&events[1], Event::Run { bytes, .. } if bytes == b"\"hi\"\n"));
/// # Ok::<(), rsipc_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Connection {
    framing: Framing,
    pub(super) decoder: Decoder,
    pub(super) outbox: Outbox,
    /// Since when something that the peer has begun is incomplete.
    partial_since: Option<Instant>,
    /// A ping waits for its answer, or the peer to be woken.
    pub(super) pong_due: bool,
    ended: bool,
    /// Something has arrived since somebody asked.
    heard: bool,
    /// Frames accepted.
    pub(super) accepted: u64,
    /// Where large payloads lie.
    pub(super) slabs: Beside,
}

impl Connection {
    /// A connection on which nothing was said yet.
    pub fn new(framing: Framing, limits: Limits) -> Connection {
        Connection {
            framing,
            decoder: Decoder::new(framing, limits),
            outbox: Outbox::default(),
            partial_since: None,
            pong_due: false,
            ended: false,
            heard: false,
            accepted: 0,
            slabs: None,
        }
    }

    /// How messages lie in its stream.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Says hello. `said` is one line of JSON. Framings that are not our own have none.
    pub fn hello(&mut self, said: &[u8]) {
        if self.framing.is_own() {
            let _ = self.outbox.push::<()>(|out| {
                out.extend_from_slice(b"rsipc/1 ");
                out.extend_from_slice(said);
                out.push(b'\n');
                Ok(())
            });
        }
    }

    /// Accepts one frame whose payload `write` writes: JSON texts that each end in a line feed, or bytes.
    pub fn send(
        &mut self,
        kind: Kind,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), crate::Error> {
        let framing = self.framing;
        self.accepted += 1;
        self.outbox.push(|out| {
            match framing {
                Framing::Text | Framing::Bytes => {
                    let framed = frame::<()>(kind, out, |out| {
                        write(out);
                        Ok(())
                    });
                    if framed != Ok(Some(())) {
                        return Err(too_long());
                    }
                }
                Framing::Lines => write(out),
                Framing::Lsp => {
                    let mut texts = Vec::new();
                    write(&mut texts);
                    append_heads(&texts, out);
                }
            }
            Ok(())
        })
    }

    /// Accepts what is left of a frame of which the kernel took the first `taken` bytes of `pieces`.
    pub fn queue_rest(&mut self, pieces: &[&[u8]], mut taken: usize) {
        let _ = self.outbox.push::<()>(|out| {
            for piece in pieces {
                let skipped = taken.min(piece.len());
                taken -= skipped;
                out.extend_from_slice(piece.get(skipped..).unwrap_or_default());
            }
            Ok(())
        });
    }

    /// Accepts one message with descriptors, at most 64. Only rsipc's own framings carry them.
    pub fn send_handles(&mut self, payload: &[u8], fds: Vec<OwnedFd>) -> Result<(), crate::Error> {
        let length = u32::try_from(payload.len()).map_err(|_| too_long())?;
        if !self.framing.is_own() || fds.len() > MAX_HANDLES {
            return Err(ErrorKind::MalformedFrame.into());
        }
        let flags = (fds.len() as u8) << 1;
        let mut bytes = Vec::with_capacity(payload.len() + 6);
        bytes.extend_from_slice(&frame_head(Kind::Handles, flags, length));
        bytes.extend_from_slice(payload);
        self.accepted += 1;
        self.outbox.push_with(bytes, fds);
        Ok(())
    }

    /// Bytes accepted and not written.
    pub fn queued(&self) -> usize {
        self.outbox.len()
    }

    /// All bytes that wait, for an owner that writes them itself.
    pub fn take_outbox(&mut self) -> Vec<u8> {
        self.answer_ping();
        self.outbox.take()
    }

    /// Whether the peer has said hello, or need not.
    pub fn greeted(&self) -> bool {
        self.decoder.greeted()
    }

    /// Since when something that the peer has begun is incomplete.
    pub fn partial_since(&self) -> Option<Instant> {
        self.partial_since
    }

    /// What is incomplete has its time anew: it was this end that did not read.
    pub fn excuse(&mut self) {
        self.partial_since = self.partial_since.map(|_| Instant::now());
    }

    /// Bytes that have arrived of it.
    pub fn partial(&self) -> usize {
        self.decoder.partial()
    }

    /// Whether the stream has ended, or nothing in it can be read any more.
    pub fn is_over(&self) -> bool {
        self.ended || self.decoder.is_over()
    }

    /// Whether anything has arrived since this was asked last.
    pub fn heard(&mut self) -> bool {
        std::mem::take(&mut self.heard)
    }

    /// Takes bytes as they have arrived.
    pub fn feed(&mut self, bytes: &[u8], events: &mut Vec<Event>) {
        self.feed_reusing(bytes, events, &mut Vec::new());
    }

    /// The same; a run may take the memory of `spare`.
    pub(super) fn feed_reusing(
        &mut self,
        bytes: &[u8],
        events: &mut Vec<Event>,
        spare: &mut Vec<u8>,
    ) {
        self.with_sink(events, spare, |decoder, sink| decoder.feed(bytes, sink));
        self.answer_ping();
    }

    /// Where the rest of a long payload can be received without a copy, and how much of it.
    pub(super) fn room(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        self.decoder.room()
    }

    /// Takes what was received into [`Connection::room`].
    pub(super) fn filled(&mut self, events: &mut Vec<Event>) {
        self.with_sink(events, &mut Vec::new(), |decoder, sink| {
            decoder.filled(sink)
        });
    }

    /// The stream has ended.
    pub fn end(&mut self, events: &mut Vec<Event>) {
        if !self.ended {
            self.ended = true;
            let truncated = self.decoder.partial();
            self.decoder.stop();
            self.partial_since = None;
            events.push(Event::Ended { truncated });
        }
    }

    /// Drops what waits to be written: the peer is gone.
    pub(super) fn clear_outbox(&mut self) {
        self.outbox.clear();
    }

    /// Reads and writes nothing any more.
    pub fn stop(&mut self) {
        self.slabs = None;
        self.decoder.stop();
        self.outbox.clear();
        self.partial_since = None;
    }

    fn with_sink(
        &mut self,
        events: &mut Vec<Event>,
        spare: &mut Vec<u8>,
        work: impl FnOnce(&mut Decoder, &mut Sink),
    ) {
        let before = events.len();
        let mut sink = Sink {
            events: std::mem::take(events),
            pings: 0,
            spare: std::mem::take(spare),
        };
        self.heard = true;
        work(&mut self.decoder, &mut sink);
        *events = sink.events;
        *spare = sink.spare;
        self.pong_due |= sink.pings > 0;
        // A frame that was completed starts the time of the next one anew.
        if !self.decoder.is_partial() {
            self.partial_since = None;
        } else if self.partial_since.is_none() || events.len() > before {
            self.partial_since = Some(Instant::now());
        }
    }

    /// One answer for all pings that came meanwhile: who pings and never reads fills no memory.
    pub(super) fn answer_ping(&mut self) {
        if self.pong_due && self.outbox.len() == 0 {
            self.pong_due = false;
            let _ = self.send(Kind::Pong, |_| {});
        }
    }
}

/// Descriptors of one message.
const MAX_HANDLES: usize = 64;

fn too_long() -> crate::Error {
    ErrorKind::MessageTooLarge {
        size: u64::from(u32::MAX) + 1,
        limit: u64::from(u32::MAX),
    }
    .into()
}

/// Each text gets a head of its own.
fn append_heads(texts: &[u8], out: &mut Vec<u8>) {
    let mut rest = texts;
    while let Some(end) = memchr(b'\n', rest) {
        let (text, after) = rest.split_at(end);
        out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", text.len()).as_bytes());
        out.extend_from_slice(text);
        rest = after.get(1..).unwrap_or_default();
    }
}
