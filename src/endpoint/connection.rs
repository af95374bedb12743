//! One end of a connection: a core connection, over a descriptor in the environment's loop or fed by
//! JavaScript with what a stream of its own has read.
//!
//! The loop's callback reads and writes before JavaScript runs. Messages of a turn cross together, as one
//! text when they are texts.

use std::cell::{RefCell, RefMut};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use napi::bindgen_prelude::{Buffer, BufferSlice, Either, Function, Result};
use napi::{Env, JsString};
use napi_derive::napi;
use rsipc_core::endpoint::{
    Connection, Driver, Event, Flushed, Framing, Kind, Limits, Peer, Scratch, frame_head,
};

use super::beside::{LEAST, LEAST_TEXT};
use super::listener::PeerOfSocket;
use crate::env::append_utf8;
use crate::handle::hold;
use crate::peek::PeekAddress;
use crate::poll::{DISCONNECT, Found, LAST, Linger, Poll, READABLE, Turn, WRITABLE};
use crate::state::{number, text};

/// Bytes read before JavaScript gets its turn: a flooding peer must not starve timers, and one that writes while
/// we parse is faster than one that waits for us.
const READ_BUDGET: usize = 64 * 1024;
/// Up to this size a copy into V8's memory is cheaper than memory that V8 has to give back.
const COPY_LIMIT: usize = 32 * 1024;
/// What of a payload is offered to the kernel before it is copied.
const WRITE_THROUGH: usize = 16 * 1024;

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

/// Framing and limits of a connection.
#[napi(object)]
pub struct ConnectionOptions {
    /// `text`, `bytes`, `lines` or `lsp`.
    pub framing: String,
    /// Bytes of one message, received.
    pub max_message_size: f64,
    /// Levels of nesting of a received text.
    pub max_depth: u32,
}

impl ConnectionOptions {
    fn build(&self) -> Connection {
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

/// One thing that arrived.
#[napi(object)]
#[derive(Default)]
pub struct ConnectionEvent {
    /// `hello`, `run`, `large`, `handles`, `problem`, `bye` or `ended`.
    pub kind: String,
    /// `run` and `large`: the kind of the frames.
    pub frame: Option<u32>,
    /// What frames of texts held; a hello, the reason of a bye.
    pub text: Option<String>,
    /// What frames of bytes held.
    pub bytes: Option<Buffer>,
    /// `handles`: the descriptors, which the thread closes when it ends before `releaseFd` or `closeFd`.
    pub fds: Option<Vec<i32>>,
    /// `handles`: what the descriptors are.
    pub fd_kinds: Option<Vec<String>>,
    /// `handles`: how many were announced.
    pub announced: Option<u32>,
    /// `problem`: the error's code.
    pub code: Option<String>,
    /// `problem`: the error's text.
    pub message: Option<String>,
    /// `ended`: bytes of a frame that never became whole.
    pub truncated: Option<f64>,
}

/// Where the bytes come from and go to.
pub(super) enum End {
    Driven(Box<Driver>),
    Fed(Box<Connection>),
    Closed,
}

impl End {
    pub(super) fn connection(&mut self) -> Option<&mut Connection> {
        match self {
            End::Driven(driver) => Some(driver.connection()),
            End::Fed(connection) => Some(connection),
            End::Closed => None,
        }
    }
}

pub(super) struct State {
    pub(super) end: End,
    poll: Option<Poll>,
    events: VecDeque<Event>,
    framing: Framing,
    paused: bool,
    connecting: bool,
    /// Who is at the other end, where the kernel tells.
    pub(super) peer: Option<Peer>,
    /// Where the other end is, if it was accepted from the internet.
    remote: Option<SocketAddr>,
    partial_watched: bool,
    error: i32,
}

/// One end of a connection.
#[napi]
pub struct MessageConnection {
    state: Rc<RefCell<State>>,
}

impl MessageConnection {
    /// Over a connected stream socket, or one that is about to be.
    pub(super) fn over(
        fd: OwnedFd,
        options: &ConnectionOptions,
        connecting: bool,
        peer: Option<Peer>,
    ) -> Result<MessageConnection> {
        let driver = Driver::new(fd, options.build())?;
        Ok(MessageConnection::new(
            End::Driven(Box::new(driver)),
            connecting,
            peer,
        ))
    }

    /// Where the other end is.
    pub(super) fn at(self, remote: Option<SocketAddr>) -> MessageConnection {
        self.state().remote = remote;
        self
    }

    fn new(mut end: End, connecting: bool, peer: Option<Peer>) -> MessageConnection {
        let framing = end
            .connection()
            .map_or(Framing::Text, |connection| connection.framing());
        MessageConnection {
            state: Rc::new(RefCell::new(State {
                end,
                poll: None,
                events: VecDeque::new(),
                framing,
                paused: false,
                connecting,
                peer,
                remote: None,
                partial_watched: false,
                error: 0,
            })),
        }
    }

    pub(super) fn state(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }
}

#[napi]
impl MessageConnection {
    /// One that JavaScript feeds.
    #[napi(factory, catch_unwind)]
    pub fn fed(options: ConnectionOptions) -> MessageConnection {
        MessageConnection::new(End::Fed(Box::new(options.build())), false, None)
    }

    /// Watches the descriptor in this environment's loop. `found` gets what a turn answers; where a
    /// thread has to watch, `ready` gets the events to call `turn` with.
    #[napi(catch_unwind)]
    pub fn open(
        &self,
        env: &Env,
        found: Function<'_, Found<'static>, ()>,
        ready: Function<'_, u32, ()>,
        libuv: bool,
    ) -> Result<()> {
        let fd = match &self.state().end {
            End::Driven(driver) => driver.raw_fd(),
            _ => return Ok(()),
        };
        let state = Rc::downgrade(&self.state);
        let turn: Turn = Box::new(move |env, events| match state.upgrade() {
            Some(state) => state.borrow_mut().turn(env, events),
            None => Ok(Either::A(0)),
        });
        let linger: Linger = Box::new(|| false);
        let poll = Poll::new(env, fd, &found, (turn, linger), &ready, libuv)?;
        let mut state = self.state();
        state.poll = Some(poll);
        state.watch()
    }

    /// The descriptor, or -1.
    #[napi(getter, catch_unwind)]
    pub fn fd(&self) -> i32 {
        match &self.state().end {
            End::Driven(driver) => driver.raw_fd(),
            _ => -1,
        }
    }

    /// Who is at the other end, where the kernel tells.
    #[napi(getter, catch_unwind)]
    pub fn peer(&self) -> Option<PeerOfSocket> {
        self.state().peer.map(PeerOfSocket::from)
    }

    /// Where the other end is, if it was accepted from the internet.
    #[napi(getter, catch_unwind)]
    pub fn remote(&self) -> Option<PeekAddress> {
        self.state().remote.map(PeekAddress::from)
    }

    /// Whether both ends say hello.
    #[napi(getter, catch_unwind)]
    pub fn greets(&self) -> bool {
        self.state().framing.is_own()
    }

    /// Whether descriptors can travel with messages.
    #[napi(getter, catch_unwind)]
    pub fn passes_handles(&self) -> bool {
        let state = self.state();
        state.framing.is_own()
            && matches!(&state.end, End::Driven(driver) if driver.passes_handles())
    }

    /// Whether it has not come about yet.
    #[napi(getter, catch_unwind)]
    pub fn connecting(&self) -> bool {
        self.state().connecting
    }

    /// Whether anything has arrived since this was asked last.
    #[napi(catch_unwind)]
    pub fn heard(&self) -> bool {
        self.state().end.connection().is_some_and(Connection::heard)
    }

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

    /// All bytes that wait to be written to such a stream.
    #[napi(catch_unwind)]
    pub fn take_outbox<'a>(&self, env: &'a Env) -> Result<BufferSlice<'a>> {
        let bytes = match self.state().end.connection() {
            Some(connection) => connection.take_outbox(),
            None => Vec::new(),
        };
        buffer(env, bytes)
    }

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
        let mut rest = packed.get(..length as usize).unwrap_or_default();
        while let Some((size, after)) = rest.split_first_chunk::<4>() {
            let Some((payload, behind)) =
                after.split_at_checked(u32::from_le_bytes(*size) as usize)
            else {
                return Err(napi::Error::from_reason(
                    "a payload ends outside of its buffer",
                ));
            };
            rest = behind;
            if connection
                .send(wire(kind), |out| out.extend_from_slice(payload))
                .is_err()
            {
                return Ok(-f64::from(libc::EMSGSIZE));
            }
        }
        state.flush(flush)
    }

    /// Sends one message with descriptors, which are duplicated at once.
    #[napi(catch_unwind)]
    pub fn send_handles(&self, payload: BufferSlice<'_>, fds: Vec<i32>) -> Result<f64> {
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
        state.flush(true)
    }

    /// Writes what the kernel takes; answers like `send`.
    #[napi(catch_unwind)]
    pub fn flush(&self) -> Result<f64> {
        self.state().flush(true)
    }

    /// Bytes accepted and not written, and those beside that the peer should take before there are more.
    #[napi(getter, catch_unwind)]
    pub fn queued(&self) -> f64 {
        self.state()
            .end
            .connection()
            .map_or(0.0, |connection| connection.outstanding() as f64)
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

    /// Milliseconds something incomplete has waited for its rest, or -1; then nobody watches any more.
    #[napi(catch_unwind)]
    pub fn partial_age(&self) -> f64 {
        let mut state = self.state();
        let since = state
            .end
            .connection()
            .and_then(|connection| connection.partial_since());
        state.partial_watched = since.is_some();
        since.map_or(-1.0, |since| since.elapsed().as_secs_f64() * 1e3)
    }

    /// Stops reading, or goes on.
    #[napi(catch_unwind)]
    pub fn pause(&self, on: bool) -> Result<()> {
        let mut state = self.state();
        state.paused = on;
        state.watch()
    }

    /// Whether the process stays alive for this connection.
    #[napi(catch_unwind)]
    pub fn set_ref(&self, env: &Env, on: bool) {
        if let Some(poll) = &mut self.state().poll {
            poll.set_ref(env, on);
        }
    }

    /// The number of the error that `turn` has told of.
    #[napi(getter, catch_unwind)]
    pub fn error(&self) -> i32 {
        self.state().error
    }

    /// Writes no more, which tells the other end that this one goes. False where that cannot be told.
    #[napi(catch_unwind)]
    pub fn end(&self) -> bool {
        match &self.state().end {
            End::Driven(driver) => driver.end_writing().is_ok(),
            _ => false,
        }
    }

    /// Closes the descriptor and drops all that was waiting. Safe to call twice.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        let mut state = self.state();
        // The loop forgets the descriptor before it is closed.
        if let Some(mut poll) = state.poll.take() {
            poll.close();
        }
        state.end = End::Closed;
        state.events = VecDeque::new();
    }
}

impl State {
    fn watch(&mut self) -> Result<()> {
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

    /// Writes what can be written, if `now`; answers how many bytes wait.
    pub(super) fn flush(&mut self, now: bool) -> Result<f64> {
        if now
            && !self.connecting
            && let End::Driven(driver) = &mut self.end
            && let Err(error) = driver.flush()
        {
            return Ok(-f64::from(number(&error)));
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

    fn turn<'a>(&mut self, env: &'a Env, ready: u32) -> Result<Found<'a>> {
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

pub(super) fn wire(kind: u32) -> Kind {
    u8::try_from(kind)
        .ok()
        .and_then(Kind::from_wire)
        .unwrap_or(Kind::Message)
}

/// The text of a run, whose memory is used again.
fn run_text(env: &Env, bytes: Vec<u8>) -> Result<JsString<'_>> {
    let text = text(env, &bytes);
    SCRATCH.with_borrow_mut(|scratch| scratch.recycle(bytes));
    text
}

fn buffer(env: &Env, bytes: Vec<u8>) -> Result<BufferSlice<'_>> {
    if bytes.len() > COPY_LIMIT {
        // V8 takes the memory itself; where it must not, Node-API copies.
        return BufferSlice::from_data(env, bytes);
    }
    let copy = BufferSlice::copy_from(env, &bytes);
    SCRATCH.with_borrow_mut(|scratch| scratch.recycle(bytes));
    copy
}

fn lossy(bytes: Vec<u8>) -> String {
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }
}

fn describe(event: Event, texts: bool) -> ConnectionEvent {
    let mut told = ConnectionEvent::default();
    let payload = |told: &mut ConnectionEvent, kind: Kind, bytes: Vec<u8>| {
        if texts && kind != Kind::Beside {
            told.text = Some(lossy(bytes));
        } else {
            told.bytes = Some(bytes.into());
        }
    };
    match event {
        Event::Hello(said) => {
            told.kind = "hello".into();
            told.text = Some(lossy(said));
        }
        Event::Run { kind, bytes } => {
            told.kind = "run".into();
            told.frame = Some(kind as u32);
            payload(&mut told, kind, bytes);
        }
        Event::Large { kind, bytes } => {
            told.kind = "large".into();
            told.frame = Some(kind as u32);
            payload(&mut told, kind, bytes);
        }
        Event::Handles {
            bytes,
            fds,
            announced,
        } => {
            told.kind = "handles".into();
            told.bytes = Some(bytes.into());
            told.announced = Some(announced as u32);
            told.fd_kinds = Some(
                fds.iter()
                    .map(|fd| {
                        rsipc_sys::fd::kind(std::os::fd::AsFd::as_fd(fd))
                            .name()
                            .into()
                    })
                    .collect(),
            );
            told.fds = Some(fds.into_iter().map(hold).collect());
        }
        Event::Problem(error) => {
            told.kind = "problem".into();
            told.code = Some(error.code().into());
            told.message = Some(error.to_string());
        }
        Event::Bye(reason) => {
            told.kind = "bye".into();
            told.text = Some(lossy(reason));
        }
        Event::Ended { truncated } => {
            told.kind = "ended".into();
            told.truncated = Some(truncated as f64);
        }
    }
    told
}
