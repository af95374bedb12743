//! A socket of packets in the environment's loop: datagrams of UNIX sockets, records of connections.

use std::cell::{RefCell, RefMut};
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;

use napi::Env;
use napi::bindgen_prelude::{Buffer, BufferSlice, Either, Function};
use napi_derive::napi;
use rsipc_core::endpoint::packets::{self, PacketSocket};
use rsipc_core::endpoint::{Peer, activation};
use rsipc_sys::packet::Address;

use super::address::{Failure, Result, parse};
use super::listener::{AllowOptions, ListenerOptions, PeerOfSocket, failed, refused};
use crate::poll::{DISCONNECT, Found, Linger, Poll, READABLE, Turn, WRITABLE};
use crate::state::number;

/// Packets received in one turn: a flooding peer must not starve timers.
const MOST: usize = 64;
/// So many bytes of them.
const BUDGET: usize = 256 * 1024;

/// What a turn found; bits of its answer.
mod found {
    /// Packets, or the end: fetch them with `take`.
    pub(super) const PACKETS: u32 = 1;
    /// There is room to send again.
    pub(super) const ROOM: u32 = 2;
}

/// A packet that has arrived.
#[napi(object)]
pub struct ArrivedPacket {
    /// What it holds.
    pub bytes: Buffer,
    /// Where it came from, a character a byte, if it can be answered.
    pub from: Option<String>,
    /// Who has sent it, where the system tells.
    pub sender: Option<PeerOfSocket>,
}

/// What has arrived.
#[napi(object)]
#[derive(Default)]
pub struct ArrivedPackets {
    /// The packets, in order.
    pub packets: Vec<ArrivedPacket>,
    /// Bytes of a packet that is longer than allowed.
    pub too_long: Option<f64>,
    /// The other end sends no more.
    pub ended: bool,
    /// Receiving failed: the number of the error.
    pub error: Option<i32>,
}

struct State {
    socket: Option<PacketSocket>,
    poll: Option<Poll>,
    arrived: ArrivedPackets,
    paused: bool,
    /// Somebody waits for room.
    waits: bool,
    over: bool,
    peer: Option<Peer>,
    /// What the counters were when it was closed.
    truncated: u64,
    refused: u64,
}

/// A socket of packets.
#[napi]
pub struct Packets {
    state: Rc<RefCell<State>>,
}

impl Packets {
    pub(super) fn new(socket: PacketSocket, peer: Option<Peer>) -> Packets {
        Packets {
            state: Rc::new(RefCell::new(State {
                socket: Some(socket),
                poll: None,
                arrived: ArrivedPackets::default(),
                paused: false,
                waits: false,
                over: false,
                peer,
                truncated: 0,
                refused: 0,
            })),
        }
    }

    fn state(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }
}

#[napi]
impl Packets {
    /// Listens for datagrams of at most `limit` bytes.
    #[napi(factory, catch_unwind)]
    pub fn bind(endpoint: String, options: ListenerOptions, limit: f64) -> Result<Packets> {
        let endpoint = parse(&endpoint)?;
        let socket = PacketSocket::bind(&endpoint, &options.build(), limit as usize);
        Ok(Packets::new(socket.map_err(failed)?, None))
    }

    /// Connects; packets that arrive have at most `limit` bytes.
    #[napi(factory, catch_unwind)]
    pub fn connect(endpoint: String, allow: Option<AllowOptions>, limit: f64) -> Result<Packets> {
        let endpoint = parse(&endpoint)?;
        let allow = allow.unwrap_or_default().build();
        let connected = PacketSocket::connect(&endpoint, &allow, limit as usize);
        let (socket, peer) = connected.map_err(failed)?;
        Ok(Packets::new(socket, peer))
    }

    /// Watches it in this environment's loop. `found` gets what a turn answers; where a thread has to
    /// watch, `ready` gets the events to call `turn` with.
    #[napi(catch_unwind)]
    pub fn open(
        &self,
        env: &Env,
        found: Function<'_, Found<'static>, ()>,
        ready: Function<'_, u32, ()>,
        libuv: bool,
    ) -> Result<()> {
        let fd = match &self.state().socket {
            Some(socket) => socket.as_fd().as_raw_fd(),
            None => return Ok(()),
        };
        let weak = Rc::downgrade(&self.state);
        let turn: Turn = Box::new(move |_, events| match weak.upgrade() {
            Some(state) => state.borrow_mut().turn(events).map(Either::A),
            None => Ok(Either::A(0)),
        });
        let linger: Linger = Box::new(|| false);
        let poll = Poll::new(env, fd, &found, (turn, linger), &ready, libuv).map_err(refused)?;
        let mut state = self.state();
        state.poll = Some(poll);
        state.watch().map_err(refused)
    }

    /// What the loop does when the descriptor is ready.
    #[napi(catch_unwind)]
    pub fn turn(&self, ready: u32) -> Result<u32> {
        self.state().turn(ready).map_err(refused)
    }

    /// What has arrived.
    #[napi(catch_unwind)]
    pub fn take(&self) -> ArrivedPackets {
        std::mem::take(&mut self.state().arrived)
    }

    /// Sends one packet, to `to` or where the socket is connected; 0 when it has gone, 1 when the
    /// receiver has no room, or the negative number of an error.
    #[napi(catch_unwind)]
    pub fn send(&self, bytes: BufferSlice<'_>, to: Option<String>) -> Result<i32> {
        let state = self.state();
        let Some(socket) = &state.socket else {
            return Ok(-libc::EPIPE);
        };
        let to = match to {
            None => None,
            Some(text) => {
                let bytes: Vec<u8> = text.chars().map(|one| one as u8).collect();
                match Address::new(&bytes) {
                    Some(address) => Some(address),
                    None => return Ok(-libc::EINVAL),
                }
            }
        };
        Ok(match socket.send(&bytes, to.as_ref()) {
            Ok(true) => 0,
            Ok(false) => 1,
            Err(error) => -number(&error),
        })
    }

    /// Has a turn tell when a connected socket has room, or no longer.
    #[napi(catch_unwind)]
    pub fn wait(&self, on: bool) -> Result<()> {
        let mut state = self.state();
        state.waits = on;
        state.watch().map_err(refused)
    }

    /// Receives nothing, or again.
    #[napi(catch_unwind)]
    pub fn pause(&self, on: bool) -> Result<()> {
        let mut state = self.state();
        state.paused = on;
        state.watch().map_err(refused)
    }

    /// Whom the kernel says to be at the other end of a connection.
    #[napi(getter, catch_unwind)]
    pub fn peer(&self) -> Option<PeerOfSocket> {
        self.state().peer.map(PeerOfSocket::from)
    }

    /// Packets longer than allowed, which were dropped.
    #[napi(getter, catch_unwind)]
    pub fn truncated(&self) -> f64 {
        let state = self.state();
        let now = state.socket.as_ref().map(PacketSocket::truncated);
        now.unwrap_or(state.truncated) as f64
    }

    /// Packets of those who are not allowed, which were dropped.
    #[napi(getter, catch_unwind)]
    pub fn refused(&self) -> f64 {
        let state = self.state();
        let now = state.socket.as_ref().map(PacketSocket::refused);
        now.unwrap_or(state.refused) as f64
    }

    /// Sends no more over a connection, which tells the other end. False where that cannot be told.
    #[napi(catch_unwind)]
    pub fn end(&self) -> bool {
        let state = self.state();
        let ended = state.socket.as_ref().map(PacketSocket::end_writing);
        ended.is_some_and(|ended| ended.is_ok())
    }

    /// Whether the process stays alive for it.
    #[napi(catch_unwind)]
    pub fn set_ref(&self, env: &Env, on: bool) {
        if let Some(poll) = &mut self.state().poll {
            poll.set_ref(env, on);
        }
    }

    /// Closes it, and removes the name it has made.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        let mut state = self.state();
        // The loop forgets the descriptor before it is closed.
        if let Some(mut poll) = state.poll.take() {
            poll.close();
        }
        if let Some(socket) = state.socket.take() {
            state.truncated = socket.truncated();
            state.refused = socket.refused();
        }
        state.arrived = ArrivedPackets::default();
    }
}

impl State {
    fn watch(&mut self) -> napi::Result<()> {
        let mut events = match (self.over, self.paused) {
            (true, _) => 0,
            (false, true) => DISCONNECT,
            (false, false) => READABLE,
        };
        // Who sends no more may read on.
        if self.waits {
            events |= WRITABLE;
        }
        match &mut self.poll {
            Some(poll) => poll.watch(events),
            None => Ok(()),
        }
    }

    fn turn(&mut self, ready: u32) -> napi::Result<u32> {
        let Some(socket) = &mut self.socket else {
            return Ok(0);
        };
        let mut answer = 0;
        if ready & WRITABLE != 0 && self.waits {
            self.waits = false;
            answer |= found::ROOM;
        }
        let gone = ready & DISCONNECT != 0;
        if (ready & READABLE != 0 && !self.paused || gone) && !self.over {
            match socket.receive(MOST, BUDGET) {
                Ok(received) => {
                    let packets = received.packets.into_iter().map(|one| ArrivedPacket {
                        bytes: one.bytes.into(),
                        from: one.from.map(|address| latin1(&address)),
                        sender: one.sender.map(PeerOfSocket::from),
                    });
                    self.arrived.packets.extend(packets);
                    self.arrived.ended |= received.ended;
                    self.arrived.too_long = received.too_long.map(|length| length as f64);
                    self.over |= received.ended;
                }
                Err(error) => self.arrived.error = Some(number(&error)),
            }
            let ArrivedPackets {
                too_long,
                error,
                ended,
                ..
            } = &self.arrived;
            if !self.arrived.packets.is_empty() || too_long.is_some() || error.is_some() || *ended {
                answer |= found::PACKETS;
            }
        }
        self.watch()?;
        Ok(answer)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if let Some(poll) = &mut self.poll {
            poll.close();
        }
    }
}

fn latin1(address: &Address) -> String {
    address
        .bytes()
        .iter()
        .map(|byte| char::from(*byte))
        .collect()
}

/// How many bytes a packet of a UNIX socket can have.
#[napi(catch_unwind)]
pub fn longest_packet() -> f64 {
    packets::longest_packet().unwrap_or(0) as f64
}

/// Tells the service manager how this process is; `false` if nobody asked to be told.
#[napi(catch_unwind)]
pub fn notify_manager(state: String) -> Result<bool> {
    activation::notify(&state).map_err(|error| {
        let code = error.raw_os_error().and_then(rsipc_sys::socket::error_name);
        let code = match error.kind() {
            std::io::ErrorKind::Unsupported => "ERR_RSIPC_UNSUPPORTED",
            _ => code.unwrap_or("ERR_RSIPC_SYSTEM"),
        };
        napi::Error::new(
            Failure(code),
            format!("The service manager cannot be told: {error}"),
        )
    })
}
