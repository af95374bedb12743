//! What crosses between a connection and JavaScript: how it is to be made, what it has found, and what is sent in one
//! piece.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use napi::bindgen_prelude::{BufferSlice, Either, Result};
use napi::{Env, JsString};
use napi_derive::napi;
use rsipc_core::endpoint::{Connection, Event, Framing, Kind, Limits};
use rsipc_core::spin::Spin;

use crate::env::text;

/// Up to this size a copy into V8's memory is cheaper than memory that V8 has to give back.
const COPY_LIMIT: usize = 32 * 1024;

/// What a turn found; bits of its answer. A text alone is a run of messages and nothing else.
pub(super) mod found {
    /// One run of one kind and nothing else: fetch it with `takeText` or `takeBytes`. The kind begins at
    /// bit 8.
    pub(in crate::endpoint) const RUN: u32 = 1;
    /// Anything else: fetch with `takeEvents`.
    pub(in crate::endpoint) const EVENTS: u32 = 2;
    /// More has been written.
    pub(in crate::endpoint) const WROTE: u32 = 4;
    /// Something waits, and nobody watches its time: the rest of what is incomplete, or that the kernel takes
    /// descriptors again.
    pub(in crate::endpoint) const PARTIAL: u32 = 8;
    /// Writing failed: `error` has the number.
    pub(in crate::endpoint) const ERROR: u32 = 16;
    /// The connection has come about.
    pub(in crate::endpoint) const CONNECTED: u32 = 32;
    /// One long payload and nothing else: fetch it with `takeBytes`.
    pub(in crate::endpoint) const LARGE: u32 = 64;
}

/// Framing and limits of a connection.
#[napi(object)]
pub struct ConnectionOptions {
    /// `text`, `bytes`, `lines` or `lsp`.
    pub framing: String,
    /// Bytes of one message, received.
    pub max_message_size: f64,
    /// Levels of nesting of a received text.
    pub max_depth: u32,
    /// How long the loop looks on before it sleeps, in microseconds; unless told, as long as that pays.
    pub spin: Option<u32>,
}

impl ConnectionOptions {
    pub(super) fn spin(&self) -> Spin {
        let mut spin = Spin::new(Instant::now());
        if let Some(micros) = self.spin {
            spin.set(Duration::from_micros(u64::from(micros)));
        }
        spin
    }

    pub(super) fn build(&self) -> Connection {
        let framing = match self.framing.as_str() {
            "bytes" => Framing::Bytes,
            "lines" => Framing::Lines,
            "lsp" => Framing::Lsp,
            _ => Framing::Text,
        };
        Connection::new(
            framing,
            Limits {
                max_message_size: self.max_message_size as usize,
                max_depth: self.max_depth as usize,
            },
        )
    }
}

/// What there is to tell: a text where that is all, or else what to fetch. `done` gets the memory of a text.
pub(super) fn answer<'a>(
    env: &'a Env,
    events: &mut VecDeque<Event>,
    texts: bool,
    mut answer: u32,
    done: impl FnOnce(Vec<u8>),
) -> Result<Either<u32, JsString<'a>>> {
    if events.len() == 1 {
        match events.front() {
            Some(Event::Run {
                kind: Kind::Message,
                ..
            }) if answer == 0 && texts => {
                let Some(Event::Run { bytes, .. }) = events.pop_front() else {
                    return Ok(Either::A(0));
                };
                return run_text(env, bytes, done).map(Either::B);
            }
            Some(Event::Run { kind, .. }) => answer |= found::RUN | (*kind as u32) << 8,
            Some(Event::Large { kind, .. }) => answer |= found::LARGE | (*kind as u32) << 8,
            _ => answer |= found::EVENTS,
        }
    } else if !events.is_empty() {
        answer |= found::EVENTS;
    }
    Ok(Either::A(answer))
}

/// Sends frames of bytes, each payload behind its length. False if one is too long.
pub(super) fn send_packed(connection: &mut Connection, kind: Kind, packed: &[u8]) -> Result<bool> {
    let mut rest = packed;
    while let Some((size, after)) = rest.split_first_chunk::<4>() {
        let Some((payload, behind)) = after.split_at_checked(u32::from_le_bytes(*size) as usize)
        else {
            return Err(napi::Error::from_reason(
                "a payload ends outside of its buffer",
            ));
        };
        rest = behind;
        if connection
            .send(kind, |out| out.extend_from_slice(payload))
            .is_err()
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The kind of a frame, by its number.
pub(super) fn wire(kind: u32) -> Kind {
    u8::try_from(kind)
        .ok()
        .and_then(Kind::from_wire)
        .unwrap_or(Kind::Message)
}

/// The text of a run, whose memory `done` gets.
pub(super) fn run_text(
    env: &Env,
    bytes: Vec<u8>,
    done: impl FnOnce(Vec<u8>),
) -> Result<JsString<'_>> {
    let text = text(env, &bytes);
    done(bytes);
    text
}

/// Bytes as a Buffer; `done` gets their memory if they were copied.
pub(super) fn buffer(
    env: &Env,
    bytes: Vec<u8>,
    done: impl FnOnce(Vec<u8>),
) -> Result<BufferSlice<'_>> {
    if bytes.len() > COPY_LIMIT {
        // V8 takes the memory itself; where it must not, Node-API copies.
        return BufferSlice::from_data(env, bytes);
    }
    let copy = BufferSlice::copy_from(env, &bytes);
    done(bytes);
    copy
}
