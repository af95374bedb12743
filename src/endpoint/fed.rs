//! One end of a connection over a stream of Node's: JavaScript brings what that has read and takes what it is to write.

use std::cell::{RefCell, RefMut};
use std::collections::VecDeque;

use napi::bindgen_prelude::{BufferSlice, Either, Result};
use napi::{Env, JsString};
use napi_derive::napi;
use rsipc_core::endpoint::{Connection, Event};

use super::crossing::{self, ConnectionOptions, buffer, found, run_text, send_packed, wire};
use super::event::{ConnectionEvent, describe};
use crate::env::append_utf8;

struct State {
    connection: Option<Connection>,
    events: VecDeque<Event>,
    texts: bool,
    partial_watched: bool,
}

impl State {
    /// Lets the connection have something; answers what that has brought.
    fn feed<'a>(
        &mut self,
        env: &'a Env,
        work: impl FnOnce(&mut Connection, &mut Vec<Event>),
    ) -> Result<Either<u32, JsString<'a>>> {
        let Some(connection) = &mut self.connection else {
            return Ok(Either::A(0));
        };
        let mut events = Vec::from(std::mem::take(&mut self.events));
        work(connection, &mut events);
        self.events = events.into();
        let mut answer = 0;
        if !self.partial_watched && connection.partial_since().is_some() {
            self.partial_watched = true;
            answer = found::PARTIAL;
        }
        crossing::answer(env, &mut self.events, self.texts, answer, drop)
    }

    /// Has the connection accept something; answers how many bytes wait, or below 0 the negative error number.
    fn send(&mut self, work: impl FnOnce(&mut Connection) -> Result<bool>) -> Result<f64> {
        let Some(connection) = &mut self.connection else {
            return Ok(-f64::from(libc::EPIPE));
        };
        if !work(connection)? {
            return Ok(-f64::from(libc::EMSGSIZE));
        }
        Ok(connection.queued() as f64)
    }
}

/// One end of a connection that JavaScript feeds.
#[napi]
pub struct FedConnection {
    state: RefCell<State>,
}

impl FedConnection {
    fn state(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }
}

#[napi]
impl FedConnection {
    /// A connection on which nothing was said yet.
    #[napi(constructor)]
    pub fn new(options: ConnectionOptions) -> FedConnection {
        let connection = options.build();
        FedConnection {
            state: RefCell::new(State {
                texts: connection.framing().is_text(),
                connection: Some(connection),
                events: VecDeque::new(),
                partial_watched: false,
            }),
        }
    }

    /// Whether both ends say hello.
    #[napi(getter, catch_unwind)]
    pub fn greets(&self) -> bool {
        let state = self.state();
        let connection = state.connection.as_ref();
        connection.is_some_and(|connection| connection.framing().is_own())
    }

    /// Whether anything has arrived since this was asked last.
    #[napi(catch_unwind)]
    pub fn heard(&self) -> bool {
        let mut state = self.state();
        state.connection.as_mut().is_some_and(Connection::heard)
    }

    /// Takes bytes that the stream has read; answers what was found, as a `MessageConnection`'s turn does.
    #[napi(catch_unwind)]
    pub fn feed<'a>(
        &self,
        env: &'a Env,
        bytes: BufferSlice<'_>,
    ) -> Result<Either<u32, JsString<'a>>> {
        self.state()
            .feed(env, |connection, events| connection.feed(&bytes, events))
    }

    /// The stream has ended; answers as `feed` does.
    #[napi(catch_unwind)]
    pub fn feed_end<'a>(&self, env: &'a Env) -> Result<Either<u32, JsString<'a>>> {
        self.state().feed(env, Connection::end)
    }

    /// All bytes that wait to be written to the stream.
    #[napi(catch_unwind)]
    pub fn take_outbox<'a>(&self, env: &'a Env) -> Result<BufferSlice<'a>> {
        let bytes = match &mut self.state().connection {
            Some(connection) => connection.take_outbox(),
            None => Vec::new(),
        };
        buffer(env, bytes, drop)
    }

    /// Says hello.
    #[napi(catch_unwind)]
    pub fn hello(&self, said: String) -> Result<f64> {
        self.state().send(|connection| {
            connection.hello(said.as_bytes());
            Ok(true)
        })
    }

    /// Sends `units` UTF-16 units of JSON texts that each end in a line feed. Answers how many bytes wait,
    /// or below 0 the negative error number.
    #[napi(catch_unwind)]
    pub fn send(&self, env: &Env, kind: u32, text: JsString, units: u32) -> Result<f64> {
        self.state().send(|connection| {
            let mut read = Ok(());
            let sent = connection.send(wire(kind), |out| {
                read = append_utf8(env, &text, units as usize, out);
            });
            read.map(|()| sent.is_ok())
        })
    }

    /// Sends one frame of bytes: `head` and `payload`. Answers like `send`.
    #[napi(catch_unwind)]
    pub fn send_bytes(
        &self,
        kind: u32,
        head: BufferSlice<'_>,
        payload: BufferSlice<'_>,
    ) -> Result<f64> {
        self.state().send(|connection| {
            let sent = connection.send(wire(kind), |out| {
                out.reserve(head.len() + payload.len());
                out.extend_from_slice(&head);
                out.extend_from_slice(&payload);
            });
            Ok(sent.is_ok())
        })
    }

    /// Sends frames of bytes: the first `length` bytes of `packed`, each payload behind its length. Answers like `send`.
    #[napi(catch_unwind)]
    pub fn send_packed(&self, kind: u32, packed: BufferSlice<'_>, length: u32) -> Result<f64> {
        let packed = packed.get(..length as usize).unwrap_or_default();
        self.state()
            .send(|connection| send_packed(connection, wire(kind), packed))
    }

    /// Bytes accepted and not taken.
    #[napi(getter, catch_unwind)]
    pub fn queued(&self) -> f64 {
        let state = self.state();
        let connection = state.connection.as_ref();
        connection.map_or(0.0, |connection| connection.queued() as f64)
    }

    /// The text of the one run that was found.
    #[napi(catch_unwind)]
    pub fn take_text<'a>(&self, env: &'a Env) -> Result<JsString<'a>> {
        match self.state().events.pop_front() {
            Some(Event::Run { bytes, .. }) => run_text(env, bytes, drop),
            _ => env.create_string(""),
        }
    }

    /// The bytes of the one run or long payload that was found.
    #[napi(catch_unwind)]
    pub fn take_bytes<'a>(&self, env: &'a Env) -> Result<BufferSlice<'a>> {
        match self.state().events.pop_front() {
            Some(Event::Run { bytes, .. } | Event::Large { bytes, .. }) => buffer(env, bytes, drop),
            _ => buffer(env, Vec::new(), drop),
        }
    }

    /// All that has arrived.
    #[napi(catch_unwind)]
    pub fn take_events(&self) -> Vec<ConnectionEvent> {
        let mut state = self.state();
        let texts = state.texts;
        let events = std::mem::take(&mut state.events);
        events
            .into_iter()
            .map(|event| describe(event, texts))
            .collect()
    }

    /// Milliseconds something incomplete has waited for its rest, or -1; then nobody watches any more.
    #[napi(catch_unwind)]
    pub fn partial_age(&self) -> f64 {
        let mut state = self.state();
        let connection = state.connection.as_ref();
        let since = connection.and_then(Connection::partial_since);
        state.partial_watched = since.is_some();
        since.map_or(-1.0, |since| since.elapsed().as_secs_f64() * 1e3)
    }

    /// Drops all that was waiting. Safe to call twice.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        let mut state = self.state();
        state.connection = None;
        state.events = VecDeque::new();
    }
}
