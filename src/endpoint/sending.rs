//! What a connection sends.

use std::io::IoSlice;

use napi::bindgen_prelude::{BufferSlice, Result};
use napi::{Env, JsString};
use napi_derive::napi;
use rsipc_core::endpoint::{Flushed, frame_head};

use super::beside::{LEAST, LEAST_TEXT};
use super::connection::{End, MessageConnection, State};
use super::crossing::{send_packed, wire};
use crate::env::append_utf8;
use crate::state::number;

/// What of a payload is offered to the kernel before it is copied.
const WRITE_THROUGH: usize = 16 * 1024;

#[napi]
impl MessageConnection {
    /// Says hello.
    #[napi(catch_unwind)]
    pub fn hello(&self, said: String) -> Result<f64> {
        let mut state = self.state();
        if let Some(connection) = state.end.connection() {
            connection.hello(said.as_bytes());
        }
        state.flush(true)
    }

    /// Sends `units` UTF-16 units of JSON texts that each end in a line feed. Answers how many bytes wait,
    /// or below 0 the negative error number.
    #[napi(catch_unwind)]
    pub fn send(
        &self,
        env: &Env,
        kind: u32,
        text: JsString,
        units: u32,
        flush: bool,
    ) -> Result<f64> {
        let mut state = self.state();
        let Some(connection) = state.end.connection() else {
            return Ok(-f64::from(libc::EPIPE));
        };
        if units as usize >= LEAST_TEXT && connection.has_slab() {
            return state.send_text(env, wire(kind), &text, units as usize, flush);
        }
        let mut failed = Ok(());
        let sent = connection.send(wire(kind), |out| {
            failed = append_utf8(env, &text, units as usize, out);
        });
        failed?;
        if sent.is_err() {
            return Ok(-f64::from(libc::EMSGSIZE));
        }
        state.flush(flush)
    }

    /// Sends one frame of bytes: `head` and `payload`.
    #[napi(catch_unwind)]
    pub fn send_bytes(
        &self,
        kind: u32,
        head: BufferSlice<'_>,
        payload: BufferSlice<'_>,
        flush: bool,
    ) -> Result<f64> {
        let mut state = self.state();
        let Ok(length) = u32::try_from(head.len() + payload.len()) else {
            return Ok(-f64::from(libc::EMSGSIZE));
        };
        let kind = wire(kind);
        if payload.len() >= LEAST
            && let Some(connection) = state.end.connection()
            && let Some(place) = connection.lay(&payload)
        {
            if connection.send_beside(kind, &head, &place).is_err() {
                connection.take_back(1);
                return Ok(-f64::from(libc::EMSGSIZE));
            }
            return state.flush(flush);
        }
        let connecting = state.connecting;
        let own = state.framing.is_own();
        let mut taken = 0;
        if let End::Driven(driver) = &mut state.end
            && own
            && flush
            && !connecting
            && payload.len() >= WRITE_THROUGH
        {
            let frame = frame_head(kind, 0, length);
            let pieces = [&frame[..], &head, &payload].map(IoSlice::new);
            taken = match driver.write_through(&pieces) {
                Ok(taken) => taken,
                Err(error) => return Ok(-f64::from(number(&error))),
            };
            if taken > 0 {
                driver
                    .connection()
                    .queue_rest(&[&frame, &head, &payload], taken);
            }
        }
        if taken == 0 {
            let Some(connection) = state.end.connection() else {
                return Ok(-f64::from(libc::EPIPE));
            };
            let sent = connection.send(kind, |out| {
                out.reserve(head.len() + payload.len());
                out.extend_from_slice(&head);
                out.extend_from_slice(&payload);
            });
            if sent.is_err() {
                return Ok(-f64::from(libc::EMSGSIZE));
            }
        }
        state.flush(flush)
    }

    /// Sends frames of bytes: the first `length` bytes of `packed`, each payload behind its length.
    #[napi(catch_unwind)]
    pub fn send_packed(
        &self,
        kind: u32,
        packed: BufferSlice<'_>,
        length: u32,
        flush: bool,
    ) -> Result<f64> {
        let mut state = self.state();
        let Some(connection) = state.end.connection() else {
            return Ok(-f64::from(libc::EPIPE));
        };
        let packed = packed.get(..length as usize).unwrap_or_default();
        if !send_packed(connection, wire(kind), packed)? {
            return Ok(-f64::from(libc::EMSGSIZE));
        }
        state.flush(flush)
    }

    /// Sends one message with descriptors, which are duplicated at once.
    #[napi(catch_unwind)]
    pub fn send_handles(
        &self,
        payload: BufferSlice<'_>,
        fds: Vec<i32>,
        flush: bool,
    ) -> Result<f64> {
        let mut copies = Vec::with_capacity(fds.len());
        for fd in fds {
            match rsipc_sys::fd::duplicate_raw(fd) {
                Ok(copy) => copies.push(copy),
                Err(error) => return Ok(-f64::from(number(&error))),
            }
        }
        let mut state = self.state();
        let Some(connection) = state.end.connection() else {
            return Ok(-f64::from(libc::EPIPE));
        };
        if connection.send_handles(&payload, copies).is_err() {
            return Ok(-f64::from(libc::EMSGSIZE));
        }
        state.flush(flush)
    }

    /// Writes what the kernel takes; answers like `send`.
    #[napi(catch_unwind)]
    pub fn flush(&self) -> Result<f64> {
        self.state().flush(true)
    }

    /// Whether the kernel takes no more descriptors now: nothing tells when it does, so `flush` again later.
    #[napi(getter, catch_unwind)]
    pub fn refused(&self) -> bool {
        self.state().refused
    }

    /// Bytes accepted and not written, and those beside that the peer should take before there are more.
    #[napi(getter, catch_unwind)]
    pub fn queued(&self) -> f64 {
        self.state()
            .end
            .connection()
            .map_or(0.0, |connection| connection.outstanding() as f64)
    }
}

impl State {
    /// Writes what can be written, if `now`; answers how many bytes wait.
    pub(super) fn flush(&mut self, now: bool) -> Result<f64> {
        if now
            && !self.connecting
            && let End::Driven(driver) = &mut self.end
        {
            match driver.flush() {
                // The loop tries once more, and has it told.
                Ok(Flushed::Refused) => {}
                Ok(Flushed::All | Flushed::Full) => self.refused = false,
                Err(error) => return Ok(-f64::from(number(&error))),
            }
        }
        let Some(connection) = self.end.connection() else {
            return Ok(0.0);
        };
        let waiting = connection.queued() > 0;
        let outstanding = connection.outstanding();
        if now && waiting {
            self.watch()?;
        }
        Ok(outstanding as f64)
    }
}
