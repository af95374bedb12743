//! What a connection reads and writes when its descriptor is ready, and how JavaScript gets it.

use std::cell::RefCell;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use napi::bindgen_prelude::{BufferSlice, Either, Result};
use napi::{Env, JsString};
use napi_derive::napi;
use rsipc_core::endpoint::{Event, Flushed, Scratch};

use super::connection::{End, MessageConnection, State};
use super::crossing::{self, buffer, found, run_text};
use super::event::{ConnectionEvent, describe};
use crate::handle::hold;
use crate::poll::{DISCONNECT, Found, READABLE, WRITABLE};
use crate::state::number;

/// Bytes read before JavaScript gets its turn: a flooding peer must not starve timers, and one that writes while
/// we parse is faster than one that waits for us.
const READ_BUDGET: usize = 64 * 1024;

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

    /// The text of the one run that the turn has found.
    #[napi(catch_unwind)]
    pub fn take_text<'a>(&self, env: &'a Env) -> Result<JsString<'a>> {
        match self.state().events.pop_front() {
            Some(Event::Run { bytes, .. }) => run_text(env, bytes, recycle),
            _ => env.create_string(""),
        }
    }

    /// The bytes of the one run or long payload that the turn has found.
    #[napi(catch_unwind)]
    pub fn take_bytes<'a>(&self, env: &'a Env) -> Result<BufferSlice<'a>> {
        match self.state().events.pop_front() {
            Some(Event::Run { bytes, .. } | Event::Large { bytes, .. }) => {
                buffer(env, bytes, recycle)
            }
            _ => buffer(env, Vec::new(), drop),
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
            .map(|event| described(event, texts))
            .collect()
    }
}

impl State {
    pub(super) fn watch(&mut self) -> Result<()> {
        let Some(connection) = self.end.connection() else {
            return Ok(());
        };
        let waits = (connection.queued() > 0 && !self.refused) || self.connecting;
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
                Ok(Flushed::All | Flushed::Full) => self.refused = false,
                Ok(Flushed::Refused) => {
                    self.refused = true;
                    answer |= found::PARTIAL;
                }
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
        self.answer(env, answer)
    }

    /// What comes behind JavaScript's turn: the loop would sleep.
    pub(super) fn linger(&mut self) {
        let now = Instant::now();
        if let Some(poll) = self.poll.as_ref().filter(|_| self.spin.wanted(true, now)) {
            poll.look_on(&mut self.spin, now);
            self.spin.sleep(Instant::now());
        } else {
            self.spin.sleep(now);
        }
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
        let texts = self.framing.is_text();
        crossing::answer(env, &mut self.events, texts, answer, recycle)
    }
}

/// Memory of a run that was read is used again.
fn recycle(bytes: Vec<u8>) {
    SCRATCH.with_borrow_mut(|scratch| scratch.recycle(bytes));
}

/// An event with its descriptors, which are kept until JavaScript takes them.
fn described(mut event: Event, texts: bool) -> ConnectionEvent {
    let fds = match &mut event {
        Event::Handles { fds, .. } => std::mem::take(fds),
        _ => Vec::new(),
    };
    let mut told = describe(event, texts);
    if !fds.is_empty() {
        let kind = |fd: &OwnedFd| rsipc_sys::fd::kind(fd.as_fd()).name().to_owned();
        told.fd_kinds = Some(fds.iter().map(kind).collect());
        told.fds = Some(fds.into_iter().map(hold).collect());
    }
    told
}
