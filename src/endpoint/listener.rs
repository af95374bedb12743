//! A socket that others connect to, in the environment's loop; connecting to one.

use std::cell::{RefCell, RefMut};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;

use napi::bindgen_prelude::{Either, Function};
use napi::{Env, Error};
use napi_derive::napi;
use rsipc_core::endpoint::listen::PAUSE;
use rsipc_core::endpoint::packets::PacketSocket;
use rsipc_core::endpoint::{
    self, Allow, Endpoint, EndpointError, Incoming, ListenOptions, UnixKind,
};

use super::address::{Failure, Result, parse};
use super::connection::MessageConnection;
use super::crossing::ConnectionOptions;
use super::packets::Packets;
use crate::handle::{hold, taken};
use crate::peek::PeekAddress;
use crate::poll::{Found, Linger, Poll, READABLE, Turn};

/// How many are taken from the kernel at a time.
const BATCH: usize = 64;

pub(super) fn failed(error: EndpointError) -> Error<Failure> {
    Error::new(Failure(error.code()), error.to_string())
}

pub(super) fn refused(error: Error) -> Error<Failure> {
    Error::new(Failure("ERR_RSIPC_SYSTEM"), error.reason)
}

/// What a text stands for, if that has connections, which are streams of bytes.
fn parse_stream(text: &str) -> Result<Endpoint> {
    let endpoint = parse(text)?;
    match endpoint {
        Endpoint::Name(_)
        | Endpoint::Tcp(_)
        | Endpoint::Activated(_)
        | Endpoint::Unix {
            kind: UnixKind::Stream,
            ..
        } => Ok(endpoint),
        _ => Err(unsupported(&endpoint)),
    }
}

fn unsupported(endpoint: &Endpoint) -> Error<Failure> {
    let text = match endpoint {
        Endpoint::Pipe(_) => "named pipes of this kind are Windows'; use rsipc:name or unix:/path",
        _ => "connections of this kind are not supported here",
    };
    Error::new(
        Failure("ERR_RSIPC_UNSUPPORTED"),
        format!("{endpoint}: {text}"),
    )
}

/// Who may be at the other end of a UNIX socket.
#[napi(object)]
#[derive(Default)]
pub struct AllowOptions {
    /// Everybody.
    pub anyone: Option<bool>,
    /// These users. Neither these nor groups: this process's own.
    pub uids: Option<Vec<u32>>,
    /// These groups.
    pub gids: Option<Vec<u32>>,
}

impl AllowOptions {
    pub(super) fn build(self) -> Allow {
        match self {
            AllowOptions {
                anyone: Some(true), ..
            } => Allow::Anyone,
            AllowOptions {
                uids: None,
                gids: None,
                ..
            } => Allow::SameUser,
            AllowOptions { uids, gids, .. } => Allow::Listed {
                uids: uids.unwrap_or_default(),
                gids: gids.unwrap_or_default(),
            },
        }
    }
}

/// How one listens.
#[napi(object)]
pub struct ListenerOptions {
    /// How many may wait.
    pub backlog: Option<u32>,
    /// Permission bits of a UNIX socket's file.
    pub mode: Option<u32>,
    /// The user the file shall belong to.
    pub uid: Option<u32>,
    /// The group the file shall belong to.
    pub gid: Option<u32>,
    /// Who may connect to a UNIX socket.
    pub allow: Option<AllowOptions>,
}

impl ListenerOptions {
    pub(super) fn build(self) -> ListenOptions {
        let mut listen = ListenOptions::default();
        listen.backlog = self.backlog.unwrap_or(listen.backlog);
        listen.mode = self.mode.unwrap_or(listen.mode);
        listen.uid = self.uid;
        listen.gid = self.gid;
        listen.allow = self.allow.unwrap_or_default().build();
        listen
    }
}

/// Whom the kernel says to be at the other end.
#[napi(object)]
pub struct PeerOfSocket {
    /// Its process.
    pub pid: Option<u32>,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
}

impl From<endpoint::Peer> for PeerOfSocket {
    fn from(peer: endpoint::Peer) -> PeerOfSocket {
        PeerOfSocket {
            pid: peer.pid,
            uid: peer.uid,
            gid: peer.gid,
        }
    }
}

struct State {
    /// Dropped first: the loop forgets the descriptor before it is closed.
    poll: Option<Poll>,
    listener: Option<endpoint::Listener>,
    accepted: VecDeque<Incoming>,
    pause: bool,
}

impl State {
    /// The next of those who have connected.
    fn next(&mut self) -> Result<Option<(OwnedFd, Option<endpoint::Peer>)>> {
        if self.accepted.is_empty() {
            let Some(listener) = &mut self.listener else {
                return Ok(None);
            };
            let batch = listener.accept(BATCH).map_err(failed)?;
            self.pause = batch.pause;
            self.accepted = batch.incoming.into();
        }
        while let Some(incoming) = self.accepted.pop_front() {
            // Others are closed already. Who is not allowed and connects without end must not keep the loop here.
            if let Incoming::Connection { fd, peer } = incoming {
                return Ok(Some((fd, peer)));
            }
        }
        Ok(None)
    }
}

/// Of the internet; the kernel knows more of whoever is on this machine.
fn remote(fd: &OwnedFd, peer: Option<endpoint::Peer>) -> Option<SocketAddr> {
    match peer {
        None => rsipc_sys::socket::remote(fd.as_fd()),
        Some(_) => None,
    }
}

/// Somebody who has connected, and has not been read from.
#[napi(object)]
pub struct AcceptedFd {
    /// The descriptor.
    pub fd: i32,
    /// Where the other end is.
    pub remote: Option<PeekAddress>,
}

/// A connection over the descriptor `fd`, which is kept here, behind the first `skip` bytes of it, which have arrived.
#[napi(catch_unwind)]
pub fn connection_over(
    fd: i32,
    options: ConnectionOptions,
    skip: u32,
) -> Result<MessageConnection> {
    let gone = || {
        Error::new(
            Failure("ERR_RSIPC_CLOSED"),
            "the connection is gone".to_owned(),
        )
    };
    let fd = taken(fd).ok_or_else(gone)?;
    let mut passed = Vec::with_capacity(skip as usize);
    while passed.len() < skip as usize {
        let left = skip as usize - passed.len();
        let received = rsipc_sys::rights::receive(fd.as_fd(), &mut passed, left, &mut Vec::new());
        match received {
            Ok(received) if received.bytes > 0 => {}
            _ => return Err(gone()),
        }
    }
    MessageConnection::over(fd, &options, false, None).map_err(refused)
}

/// A listening socket.
#[napi]
pub struct Listener {
    state: Rc<RefCell<State>>,
}

#[napi]
impl Listener {
    /// Listens.
    #[napi(factory, catch_unwind)]
    pub fn bind(endpoint: String, options: ListenerOptions) -> Result<Listener> {
        Listener::listen(parse_stream(&endpoint)?, options, false)
    }

    /// Listens for connections whose messages are packets: take them with `acceptPackets`.
    #[napi(factory, catch_unwind)]
    pub fn bind_packets(endpoint: String, options: ListenerOptions) -> Result<Listener> {
        let endpoint = parse(&endpoint)?;
        match endpoint {
            Endpoint::Unix {
                kind: UnixKind::Seqpacket,
                ..
            }
            | Endpoint::Activated(_) => Listener::listen(endpoint, options, true),
            _ => Err(unsupported(&endpoint)),
        }
    }

    fn listen(endpoint: Endpoint, options: ListenerOptions, records: bool) -> Result<Listener> {
        let listener = endpoint::bind(&endpoint, &options.build()).map_err(failed)?;
        if listener.is_datagram() || listener.keeps_messages() != records {
            return Err(Error::new(
                Failure("ERR_RSIPC_UNSUPPORTED"),
                format!(
                    "{endpoint}: the socket that was opened for this process has no connections \
                     that are streams"
                ),
            ));
        }
        Ok(Listener {
            state: Rc::new(RefCell::new(State {
                listener: Some(listener),
                poll: None,
                accepted: VecDeque::new(),
                pause: false,
            })),
        })
    }

    fn state(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }

    /// Watches it in this environment's loop: `found` is called when somebody has connected.
    #[napi(catch_unwind)]
    pub fn open(
        &self,
        env: &Env,
        found: Function<'_, Found<'static>, ()>,
        ready: Function<'_, u32, ()>,
        libuv: bool,
    ) -> Result<()> {
        let mut state = self.state();
        let Some(listener) = &state.listener else {
            return Ok(());
        };
        let turn: Turn = Box::new(|_, events| Ok(Either::A(events)));
        let linger: Linger = Box::new(|| false);
        let fd = listener.as_fd().as_raw_fd();
        let mut poll =
            Poll::new(env, fd, &found, (turn, linger), &ready, libuv).map_err(refused)?;
        poll.watch(READABLE).map_err(refused)?;
        state.poll = Some(poll);
        Ok(())
    }

    /// The next of those who have connected; null when there is none, or none can be taken now: then
    /// `pause` says for how long not to look.
    #[napi(catch_unwind)]
    pub fn accept(&self, options: ConnectionOptions) -> Result<Option<MessageConnection>> {
        match self.state().next()? {
            Some((fd, peer)) => {
                let remote = remote(&fd, peer);
                MessageConnection::over(fd, &options, false, peer)
                    .map(|connection| Some(connection.at(remote)))
                    .map_err(refused)
            }
            None => Ok(None),
        }
    }

    /// The same, to be looked into first: its descriptor, kept until `connectionOver` or `closeFd`.
    #[napi(catch_unwind)]
    pub fn accept_fd(&self) -> Result<Option<AcceptedFd>> {
        let next = self.state().next()?;
        Ok(next.map(|(fd, peer)| AcceptedFd {
            remote: remote(&fd, peer).map(PeekAddress::from),
            fd: hold(fd),
        }))
    }

    /// The same, whose messages are packets of at most `limit` bytes.
    #[napi(catch_unwind)]
    pub fn accept_packets(&self, limit: f64) -> Result<Option<Packets>> {
        match self.state().next()? {
            Some((fd, peer)) => PacketSocket::over(fd, limit as usize)
                .map(|socket| Some(Packets::new(socket, peer)))
                .map_err(|error| refused(error.into())),
            None => Ok(None),
        }
    }

    /// Milliseconds not to look for, because there is no descriptor to take anybody with, or 0.
    #[napi(catch_unwind)]
    pub fn pause(&self) -> Result<u32> {
        let mut state = self.state();
        if !std::mem::take(&mut state.pause) {
            return Ok(0);
        }
        if let Some(poll) = &mut state.poll {
            poll.watch(0).map_err(refused)?;
        }
        Ok(PAUSE.as_millis() as u32)
    }

    /// Looks again.
    #[napi(catch_unwind)]
    pub fn resume(&self) -> Result<()> {
        match &mut self.state().poll {
            Some(poll) => poll.watch(READABLE).map_err(refused),
            None => Ok(()),
        }
    }

    /// Where it listens, with the port that the system has chosen.
    #[napi(getter, catch_unwind)]
    pub fn address(&self) -> Option<String> {
        let state = self.state();
        state
            .listener
            .as_ref()
            .map(|listener| listener.address().to_string())
    }

    /// A duplicate of its descriptor, kept until `releaseFd` or `closeFd`.
    #[napi(catch_unwind)]
    pub fn duplicate(&self) -> Result<i32> {
        let state = self.state();
        let Some(listener) = &state.listener else {
            return Ok(-1);
        };
        let copy = rsipc_sys::fd::duplicate(listener.as_fd());
        Ok(hold(copy.map_err(|error| refused(error.into()))?))
    }

    /// Whether the process stays alive for it.
    #[napi(catch_unwind)]
    pub fn set_ref(&self, env: &Env, on: bool) {
        if let Some(poll) = &mut self.state().poll {
            poll.set_ref(env, on);
        }
    }

    /// Listens no more, and removes the name it has made.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        let mut state = self.state();
        // The loop forgets the descriptor before it is closed.
        if let Some(mut poll) = state.poll.take() {
            poll.close();
        }
        state.accepted = VecDeque::new();
        state.listener = None;
    }
}

/// Connects to a UNIX or internet socket. What becomes of it is told by the connection.
#[napi(catch_unwind)]
pub fn connect_endpoint(
    endpoint: String,
    allow: Option<AllowOptions>,
    options: ConnectionOptions,
) -> Result<MessageConnection> {
    let endpoint = parse_stream(&endpoint)?;
    let allow = allow.unwrap_or_default().build();
    let connected = endpoint::connect(&endpoint, &allow).map_err(failed)?;
    MessageConnection::over(connected.fd, &options, connected.pending, connected.peer)
        .map_err(refused)
}

/// Connects to a UNIX socket; answers the descriptor, kept until `releaseFd` or `closeFd`.
#[napi(catch_unwind)]
pub fn connect_fd(endpoint: String, allow: Option<AllowOptions>) -> Result<i32> {
    let endpoint = parse_stream(&endpoint)?;
    let allow = allow.unwrap_or_default().build();
    Ok(hold(
        endpoint::connect(&endpoint, &allow).map_err(failed)?.fd,
    ))
}
