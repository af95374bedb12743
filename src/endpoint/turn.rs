//! What a connection reads and writes when its descriptor is ready, and how JavaScript gets it.

use std::cell::RefCell;

use napi::bindgen_prelude::{BufferSlice, Either, Result};
use napi::{Env, JsString};
use napi_derive::napi;
use rsipc_core::endpoint::{Event, Flushed, Kind, Scratch};

use super::connection::{End, MessageConnection, State};
use super::event::{ConnectionEvent, describe};
use crate::poll::{DISCONNECT, Found, LAST, READABLE, WRITABLE};
use crate::state::{number, text};

/// Bytes read before JavaScript gets its turn: a flooding peer must not starve timers, and one that writes while
/// we parse is faster than one that waits for us.
const READ_BUDGET: usize = 64 * 1024;
/// Up to this size a copy into V8's memory is cheaper than memory that V8 has to give back.
const COPY_LIMIT: usize = 32 * 1024;

/// What a turn found; bits of its answer. A text alone is a run of messages and nothing else.
mod found {
    /// One run of one kind and nothing else: fetch it with `takeText` or `takeBytes`. The kind begins at
    /// bit 8.
    pub(super) const RUN: u32 = 1;
    /// Anything else: fetch with `takeEvents`.
    pub(super) const EVENTS: u32 = 2;
    /// More has been written.
    pub(super) const WROTE: u32 = 4;
    /// Something incomplete waits for its rest, and nobody watches its time.
    pub(super) const PARTIAL: u32 = 8;
    /// Writing failed: `error` has the number.
    pub(super) const ERROR: u32 = 16;
    /// The connection has come about.
    pub(super) const CONNECTED: u32 = 32;
    /// One long payload and nothing else: fetch it with `takeBytes`.
    pub(super) const LARGE: u32 = 64;
}

thread_local! {
    /// Where a turn receives.
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::default());
}

#[napi]
impl MessageConnection {
    /// What the loop does when the descriptor is ready.
    #[napi(catch_unwind)]
    pub fn turn<'a>(&self, env: &'a Env, ready: u32) -> Result<Found<'a>> {
        self.state().turn(env, ready)
    }

    /// Takes bytes that a stream of JavaScript's has read; answers as a turn does.
    #[napi(catch_unwind)]
    pub fn feed<'a>(&self, env: &'a Env, bytes: BufferSlice<'_>) -> Result<Found<'a>> {
        let mut state = self.state();
        let mut events = Vec::from(std::mem::take(&mut state.events));
        if let Some(connection) = state.end.connection() {
            connection.feed(&bytes, &mut events);
        }
        state.events = events.into();
        state.answer(env, 0)
    }

    /// That stream has ended; answers as a turn does.
    #[napi(catch_unwind)]
    pub fn feed_end<'a>(&self, env: &'a Env) -> Result<Found<'a>> {
        let mut state = self.state();
        let mut events = Vec::from(std::mem::take(&mut state.events));
        if let Some(connection) = state.end.connection() {
            connection.end(&mut events);
        }
        state.events = events.into();
        state.answer(env, 0)
    }

    /// The text of the one run that the turn has found.
    #[napi(catch_unwind)]
    pub fn take_text<'a>(&self, env: &'a Env) -> Result<JsString<'a>> {
        match self.state().events.pop_front() {
            Some(Event::Run { bytes, .. }) => run_text(env, bytes),
            _ => env.create_string(""),
        }
    }

    /// The bytes of the one run or long payload that the turn has found.
    #[napi(catch_unwind)]
    pub fn take_bytes<'a>(&self, env: &'a Env) -> Result<BufferSlice<'a>> {
        match self.state().events.pop_front() {
            Some(Event::Run { bytes, .. } | Event::Large { bytes, .. }) => buffer(env, bytes),
            _ => buffer(env, Vec::new()),
        }
    }

    /// All that has arrived.
    #[napi(catch_unwind)]
    pub fn take_events(&self) -> Vec<ConnectionEvent> {
        let mut state = self.state();
        let texts = state.framing.is_text();
        let events = std::mem::take(&mut state.events);
        events
            .into_iter()
            .map(|event| describe(event, texts))
            .collect()
    }
}

impl State {
    pub(super) fn watch(&mut self) -> Result<()> {
        let Some(connection) = self.end.connection() else {
            return Ok(());
        };
        let waits = connection.queued() > 0 || self.connecting;
        let mut events = if self.paused { DISCONNECT } else { READABLE };
        if connection.is_over() {
            events = 0;
        }
        if waits {
            events |= WRITABLE;
        }
        match &mut self.poll {
            Some(poll) => poll.watch(events),
            None => Ok(()),
        }
    }

    pub(super) fn turn<'a>(&mut self, env: &'a Env, ready: u32) -> Result<Found<'a>> {
        let mut answer = 0;
        if self.connecting && ready & (WRITABLE | READABLE | DISCONNECT) != 0 {
            answer |= self.connected();
        }
        let End::Driven(driver) = &mut self.end else {
            return Ok(Either::A(0));
        };
        if self.connecting || answer & found::ERROR != 0 {
            return Ok(Either::A(answer));
        }
        let before = driver.connection().queued();
        let gone = ready & DISCONNECT != 0;
        if (ready & READABLE != 0 && !self.paused) || gone {
            let mut events = Vec::from(std::mem::take(&mut self.events));
            SCRATCH.with_borrow_mut(|scratch| {
                let more = driver.receive(READ_BUDGET, scratch, &mut events);
                // The first read has emptied the socket; only one more sees that it has ended.
                if gone && !more {
                    driver.receive(READ_BUDGET, scratch, &mut events);
                }
            });
            self.events = events.into();
        }
        if before > 0 || driver.connection().queued() > 0 {
            match driver.flush() {
                Ok(Flushed::All | Flushed::Full | Flushed::Refused) => {}
                Err(error) if self.events.is_empty() => {
                    self.error = number(&error);
                    answer |= found::ERROR;
                }
                // Its end is told with what was read before it.
                Err(_) => {}
            }
            if driver.connection().queued() < before {
                answer |= found::WROTE;
            }
        }
        if driver.connection().eased() {
            answer |= found::WROTE;
        }
        self.watch()?;
        let _ = LAST; // nobody lingers here
        self.answer(env, answer)
    }

    /// The kernel says what has become of an attempt to connect.
    fn connected(&mut self) -> u32 {
        let End::Driven(driver) = &self.end else {
            return 0;
        };
        match driver.take_error() {
            Ok(()) => {
                self.connecting = false;
                found::CONNECTED
            }
            Err(error) => {
                self.error = number(&error);
                found::ERROR
            }
        }
    }

    /// What there is to tell.
    fn answer<'a>(&mut self, env: &'a Env, mut answer: u32) -> Result<Found<'a>> {
        if !self.partial_watched
            && self
                .end
                .connection()
                .is_some_and(|connection| connection.partial_since().is_some())
        {
            self.partial_watched = true;
            answer |= found::PARTIAL;
        }
        if self.events.len() == 1 {
            match self.events.front() {
                Some(Event::Run {
                    kind: Kind::Message,
                    ..
                }) if answer == 0 && self.framing.is_text() => {
                    let Some(Event::Run { bytes, .. }) = self.events.pop_front() else {
                        return Ok(Either::A(0));
                    };
                    return run_text(env, bytes).map(Either::B);
                }
                Some(Event::Run { kind, .. }) => answer |= found::RUN | (*kind as u32) << 8,
                Some(Event::Large { kind, .. }) => answer |= found::LARGE | (*kind as u32) << 8,
                _ => answer |= found::EVENTS,
            }
        } else if !self.events.is_empty() {
            answer |= found::EVENTS;
        }
        Ok(Either::A(answer))
    }
}

/// The text of a run, whose memory is used again.
fn run_text(env: &Env, bytes: Vec<u8>) -> Result<JsString<'_>> {
    let text = text(env, &bytes);
    SCRATCH.with_borrow_mut(|scratch| scratch.recycle(bytes));
    text
}

pub(super) fn buffer(env: &Env, bytes: Vec<u8>) -> Result<BufferSlice<'_>> {
    if bytes.len() > COPY_LIMIT {
        // V8 takes the memory itself; where it must not, Node-API copies.
        return BufferSlice::from_data(env, bytes);
    }
    let copy = BufferSlice::copy_from(env, &bytes);
    SCRATCH.with_borrow_mut(|scratch| scratch.recycle(bytes));
    copy
}
