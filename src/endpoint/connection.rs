//! One end of a connection: a core connection over a descriptor in the environment's loop.
//!
//! The loop's callback reads and writes before JavaScript runs ([`turn`](super::turn)). Messages of a turn cross
//! together, as one text when they are texts.

use std::cell::{RefCell, RefMut};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use napi::Env;
use napi::bindgen_prelude::{Either, Function, Result};
use napi_derive::napi;
use rsipc_core::endpoint::{Connection, Driver, Event, Framing, Peer};
use rsipc_core::spin::Spin;

use super::crossing::ConnectionOptions;
use super::listener::PeerOfSocket;
use crate::peek::PeekAddress;
use crate::poll::{Found, Linger, Poll, Turn};

/// Where the bytes come from and go to.
pub(super) enum End {
    Driven(Box<Driver>),
    Closed,
}

impl End {
    pub(super) fn connection(&mut self) -> Option<&mut Connection> {
        match self {
            End::Driven(driver) => Some(driver.connection()),
            End::Closed => None,
        }
    }
}

pub(super) struct State {
    /// Dropped first: the loop forgets the descriptor before it is closed.
    pub(super) poll: Option<Poll>,
    pub(super) end: End,
    pub(super) events: VecDeque<Event>,
    pub(super) framing: Framing,
    pub(super) paused: bool,
    pub(super) connecting: bool,
    /// Who is at the other end, where the kernel tells.
    pub(super) peer: Option<Peer>,
    /// Where the other end is, if it was accepted from the internet.
    remote: Option<SocketAddr>,
    pub(super) partial_watched: bool,
    /// The kernel takes no more descriptors now. It would call the socket writable all the same.
    pub(super) refused: bool,
    pub(super) error: i32,
    /// Whether the loop looks on before it sleeps.
    pub(super) spin: Spin,
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
            options.spin(),
            connecting,
            peer,
        ))
    }

    /// Where the other end is.
    pub(super) fn at(self, remote: Option<SocketAddr>) -> MessageConnection {
        self.state().remote = remote;
        self
    }

    fn new(mut end: End, spin: Spin, connecting: bool, peer: Option<Peer>) -> MessageConnection {
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
                refused: false,
                error: 0,
                spin,
            })),
        }
    }

    pub(super) fn state(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }
}

#[napi]
impl MessageConnection {
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
        let state = Rc::downgrade(&self.state);
        let linger: Linger = Box::new(move || {
            if let Some(state) = state.upgrade() {
                state.borrow_mut().linger();
            }
            false
        });
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
        if let (false, Some(connection)) = (on, state.end.connection()) {
            connection.excuse();
        }
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
