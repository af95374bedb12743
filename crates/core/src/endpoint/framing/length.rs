//! rsipc's own frames: a hello, then four bytes of length, a kind, flags, a payload.

use memchr::memchr;

use super::{Decoder, Sink};
use crate::endpoint::{Event, Framing, Kind};
use crate::error::ErrorKind;
use crate::place::Place;

/// Bytes of a frame before its payload.
pub(super) const HEAD: usize = 6;
/// What every hello begins with, before the version.
pub(super) const MAGIC: &[u8] = b"rsipc/";
/// The version of the wire.
pub(super) const VERSION: &[u8] = b"1 ";
/// Bytes of a hello, with its line feed.
pub const HELLO_LIMIT: usize = 1_024;
/// A payload of more bytes is received into memory of its own.
const LARGE: usize = 32 * 1024;
/// Bytes of a payload that speaks of one that lies beside, at least: its kind, and where it is.
const BESIDE: usize = 1 + Place::SIZE;
/// Memory that is reserved before anything has arrived for it.
const AHEAD: usize = 4 * 1024 * 1024;

/// A frame of texts may be as long, whatever a message may: a sender ends one at 64 Ki characters, behind a
/// message of no more than that, and a character has three bytes at the most.
const RUN: usize = 512 * 1024;

/// As many bytes of a batch as a byte of JSON may become: of `.5,` in `[0.5,0.5]`, for instance.
const BATCH_OF_JSON: usize = 3;

/// Set where a peer that does not know the kind may pass over the frame.
const OPTIONAL: u8 = 1;

#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) length: usize,
    kind: Kind,
    /// Descriptors that come with it.
    handles: usize,
}

/// The head of a frame with a payload of `length` bytes.
pub fn frame_head(kind: Kind, flags: u8, length: u32) -> [u8; 6] {
    let [a, b, c, d] = length.to_le_bytes();
    [a, b, c, d, kind as u8, flags]
}

/// Appends a frame whose payload `write` writes. `None` when it is longer than any frame can be.
pub(crate) fn frame<E>(
    kind: Kind,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<Option<()>, E> {
    let start = out.len();
    out.extend_from_slice(&frame_head(kind, 0, 0));
    write(out)?;
    let Ok(length) = u32::try_from(out.len() - start - HEAD) else {
        out.truncate(start);
        return Ok(None);
    };
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&length.to_le_bytes());
    }
    Ok(Some(()))
}

/// Whether frames of this kind hold messages and nothing else, or say where these are.
fn is_plain(kind: Kind) -> bool {
    !matches!(kind, Kind::Ping | Kind::Pong | Kind::Bye | Kind::Handles)
}

impl Decoder {
    pub(super) fn feed_frames(&mut self, bytes: &[u8], sink: &mut Sink) -> Result<(), ErrorKind> {
        let mut rest = bytes;
        if let Some((room, missing)) = self.room() {
            let (now, later) = rest.split_at(missing.min(rest.len()));
            room.extend_from_slice(now);
            rest = later;
            self.filled(sink);
            if self.open.is_some() || self.is_over() {
                return Ok(());
            }
        }
        if !self.partial.is_empty() {
            // The head, or the hello, is still incomplete: a few bytes.
            let mut joined = std::mem::take(&mut self.partial);
            joined.extend_from_slice(rest);
            return self.feed_whole(&joined, sink);
        }
        self.feed_whole(rest, sink)
    }

    fn feed_whole(&mut self, bytes: &[u8], sink: &mut Sink) -> Result<(), ErrorKind> {
        let mut rest = bytes;
        if !self.greeted {
            match self.hello(rest, sink)? {
                Some(after) => rest = after,
                None => {
                    self.partial = rest.to_vec();
                    return Ok(());
                }
            }
        }
        while let Some((head, after)) = rest.split_first_chunk::<HEAD>() {
            let head = self.head(*head)?;
            let Some((payload, behind)) = after.split_at_checked(head.length) else {
                self.partial = Vec::with_capacity(head.length.min(AHEAD).max(after.len()));
                self.partial.extend_from_slice(after);
                self.open = Some(head);
                return Ok(());
            };
            rest = behind;
            self.take(head, payload, sink)?;
        }
        if !rest.is_empty() {
            self.partial = rest.to_vec();
        }
        Ok(())
    }

    /// What follows the hello, or `None` while it is incomplete.
    fn hello<'a>(
        &mut self,
        bytes: &'a [u8],
        sink: &mut Sink,
    ) -> Result<Option<&'a [u8]>, ErrorKind> {
        let known = bytes.len().min(MAGIC.len());
        if bytes.get(..known) != MAGIC.get(..known) {
            return Err(ErrorKind::NotRsipc);
        }
        let Some(end) = memchr(
            b'\n',
            bytes
                .get(..bytes.len().min(HELLO_LIMIT))
                .unwrap_or_default(),
        ) else {
            return if bytes.len() < HELLO_LIMIT {
                Ok(None)
            } else {
                Err(ErrorKind::NotRsipc)
            };
        };
        let said = bytes.get(MAGIC.len()..end).unwrap_or_default();
        let Some(said) = said.strip_prefix(VERSION) else {
            return Err(ErrorKind::OtherVersion);
        };
        sink.push(Event::Hello(said.to_vec()));
        self.greeted = true;
        Ok(bytes.get(end + 1..))
    }

    fn head(&self, head: [u8; HEAD]) -> Result<Head, ErrorKind> {
        let [a, b, c, d, kind, flags] = head;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        let kind = Kind::from_wire(kind);
        let most = match kind {
            Some(kind) if self.is_run(kind) => RUN,
            // Which message of it is too long is told when they are decoded.
            Some(Kind::Batch) => self
                .limits
                .max_message_size
                .saturating_mul(BATCH_OF_JSON)
                .saturating_add(RUN),
            _ => 0,
        };
        if length > self.limits.max_message_size.max(most) {
            return Err(self.too_large(length));
        }
        let kind = match kind {
            Some(kind) => kind,
            None if flags & OPTIONAL != 0 => Kind::Pong, // read and passed over
            None => return Err(ErrorKind::MalformedFrame),
        };
        Ok(Head {
            length,
            kind,
            handles: usize::from(flags >> 1),
        })
    }

    fn take(&mut self, head: Head, payload: &[u8], sink: &mut Sink) -> Result<(), ErrorKind> {
        match head.kind {
            Kind::Ping => sink.pings += 1,
            Kind::Pong => {}
            Kind::Bye => sink.push(Event::Bye(payload.to_vec())),
            Kind::Handles => sink.push(Event::Handles {
                bytes: payload.to_vec(),
                fds: Vec::new(),
                announced: head.handles,
            }),
            Kind::Beside if payload.len() < BESIDE => return Err(ErrorKind::MalformedFrame),
            Kind::Batch if self.framing != Framing::Text => return Err(ErrorKind::MalformedFrame),
            _ if payload.is_empty() && self.framing == Framing::Text => {
                return Err(ErrorKind::MalformedFrame);
            }
            kind if self.is_run(kind) => return self.take_run(kind, payload, sink),
            kind => {
                let run = sink.run(kind);
                run.reserve(payload.len() + 4);
                run.extend_from_slice(&(payload.len() as u32).to_le_bytes());
                run.extend_from_slice(payload);
            }
        }
        Ok(())
    }

    /// Whether frames of this kind hold any number of texts.
    fn is_run(&self, kind: Kind) -> bool {
        self.framing == Framing::Text && kind.is_text()
    }

    fn take_run(&self, kind: Kind, payload: &[u8], sink: &mut Sink) -> Result<(), ErrorKind> {
        let Some((start, size)) = self.too_long(payload) else {
            return self.take_texts(kind, payload, sink);
        };
        self.take_texts(kind, payload.get(..start).unwrap_or_default(), sink)?;
        Err(self.too_large(size))
    }

    /// Where the first text of a run begins that is longer than a message may be, and how long it is.
    fn too_long(&self, payload: &[u8]) -> Option<(usize, usize)> {
        let limit = self.limits.max_message_size;
        let mut start = 0;
        // What is left is short enough, mostly at once.
        while let Some(rest) = payload.get(start..).filter(|rest| rest.len() > limit) {
            let length = memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
            if length > limit {
                return Some((start, length));
            }
            start += length;
        }
        None
    }

    /// The payload that was received into memory of its own is complete.
    pub(super) fn finish_open(&mut self, sink: &mut Sink) {
        let Some(head) = self.open.take() else {
            return;
        };
        let mut payload = std::mem::take(&mut self.partial);
        let plain = is_plain(head.kind);
        let bytes = self.framing == Framing::Bytes || !head.kind.is_text();
        if plain && bytes && payload.len() > LARGE {
            sink.push(Event::Large {
                kind: head.kind,
                bytes: payload,
            });
        } else if plain
            && payload.len() > LARGE
            && self.too_long(&payload).is_none()
            && self.too_deep(&payload).is_none()
        {
            // Its memory becomes the run's.
            if payload.last() != Some(&b'\n') {
                payload.push(b'\n');
            }
            sink.push(Event::Run {
                kind: head.kind,
                bytes: payload,
            });
        } else if let Err(kind) = self.take(head, &payload, sink) {
            self.stop();
            sink.push(Event::Problem(kind.into()));
        }
    }
}
