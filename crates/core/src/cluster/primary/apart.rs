//! Workers that accept for themselves, each from a socket of its own that shares the port with the others.
//!
//! The system spreads connections over the sockets, evenly and before anybody has seen them; we tell it over which. All of
//! them stay open here until the listener is closed, since a socket that is closed takes its backlog along: what is left
//! in that of a worker that has gone is accepted here and handed out, and so is what a worker leaves waiting that does not
//! accept. The first socket is nobody's: it is for connections that come while there is no worker.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use rsipc_sys::fd;
use rsipc_sys::socket::{self, Type};
use tokio::sync::Notify;

use super::State;
use crate::cluster::acceptor::{self, Thread, Watch};

/// For how long a worker that did not accept gets nothing.
const PASSED_OVER: Duration = Duration::from_secs(1);
/// How many connections are taken from such a worker at a time.
const MOST_TAKEN: usize = 256;

/// Sockets that share a port.
#[derive(Debug)]
pub(super) struct Apart {
    address: SocketAddr,
    only_v6: bool,
    backlog: u32,
    /// In the order in which they began to listen, by which the system knows them.
    sockets: Vec<Socket>,
    /// Over which of them connections are spread.
    members: Vec<u32>,
}

#[derive(Debug)]
struct Socket {
    fd: OwnedFd,
    worker: Option<u32>,
    /// Accepts from it while it is nobody's.
    accepting: Option<Accepting>,
    /// Tells when there is a connection, while it is a worker's and has not been looked at for that.
    lookout: Option<Watch>,
    /// There was a connection when it was looked at last.
    waited: bool,
    /// Its worker did not accept, then.
    passed_over: Option<Instant>,
}

#[derive(Debug)]
struct Accepting {
    watch: Watch,
    changed: Arc<Notify>,
}

impl Apart {
    /// Listens at an address, whose port is told if it is 0. An error where the system does not spread connections.
    pub(super) fn new(
        address: SocketAddr,
        only_v6: bool,
        backlog: u32,
    ) -> io::Result<(Apart, OwnedFd)> {
        let fd = open(address, only_v6)?;
        // Shared once it is bound: a port that another program has is an error as ever.
        socket::bind_inet(fd.as_fd(), address, Type::Stream)?;
        socket::share_port(fd.as_fd())?;
        socket::listen(fd.as_fd(), backlog)?;
        socket::spread(fd.as_fd(), &[0])?;
        let socket::Local::Inet(address) = socket::local(fd.as_fd())? else {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        };
        let watched = fd::duplicate(fd.as_fd())?;
        let apart = Apart {
            address,
            only_v6,
            backlog,
            sockets: vec![Socket::new(fd)],
            members: vec![0],
        };
        Ok((apart, watched))
    }

    /// A socket for a worker: one that another has left, or a new one.
    fn give(&mut self, worker: u32) -> io::Result<OwnedFd> {
        let free = |socket: &&mut Socket| socket.worker.is_none();
        if let Some(socket) = self.sockets.iter_mut().skip(1).find(free) {
            let copy = fd::duplicate(socket.fd.as_fd())?;
            socket.worker = Some(worker);
            socket.accepting = None;
            return Ok(copy);
        }
        let fd = open(self.address, self.only_v6)?;
        socket::share_port(fd.as_fd())?;
        socket::bind_inet(fd.as_fd(), self.address, Type::Stream)?;
        let copy = fd::duplicate(fd.as_fd())?;
        socket::listen(fd.as_fd(), self.backlog)?;
        self.sockets.push(Socket {
            worker: Some(worker),
            ..Socket::new(fd)
        });
        Ok(copy)
    }

    /// Spreads connections over the sockets of workers that are there, as `takes` says.
    fn spread(&mut self, takes: impl Fn(u32) -> bool) {
        let mut members: Vec<u32> = (0..)
            .zip(&self.sockets)
            .filter(|(_, socket)| socket.passed_over.is_none() && socket.worker.is_some_and(&takes))
            .map(|(place, _)| place)
            .collect();
        if members.is_empty() {
            members.push(0);
        }
        if members == self.members {
            return;
        }
        // What the system does not take it spreads as before.
        if let Some(first) = self.sockets.first()
            && socket::spread(first.fd.as_fd(), &members).is_ok()
        {
            self.members = members;
        }
    }

    /// Workers that did not accept what waited for them, a moment ago.
    pub(super) fn passed_over(&self) -> Vec<u32> {
        let over = |own: &Socket| own.worker.filter(|_| own.passed_over.is_some());
        self.sockets.iter().filter_map(over).collect()
    }

    /// Waits until the thread has closed what it has of these sockets.
    pub(super) fn end(&self) {
        for own in &self.sockets {
            let accepting = own.accepting.as_ref().map(|accepting| &accepting.watch);
            for watch in [accepting, own.lookout.as_ref()].into_iter().flatten() {
                watch.end();
            }
        }
    }

    /// There is room again for connections that are accepted here.
    pub(super) fn look_again(&self) {
        let accepting = |own: &Socket| own.accepting.as_ref().map(|it| it.changed.clone());
        for changed in self.sockets.iter().filter_map(accepting) {
            changed.notify_one();
        }
    }
}

fn open(address: SocketAddr, only_v6: bool) -> io::Result<OwnedFd> {
    let fd = socket::inet(address, Type::Stream)?;
    if address.is_ipv6() {
        socket::only_v6(fd.as_fd(), only_v6)?;
    }
    Ok(fd)
}

impl Socket {
    fn new(fd: OwnedFd) -> Socket {
        Socket {
            fd,
            worker: None,
            accepting: None,
            lookout: None,
            waited: false,
            passed_over: None,
        }
    }

    /// Has `state` told when somebody waits here. False if it has to look.
    fn look_out(&mut self, thread: &Thread, state: &Weak<Mutex<State>>) -> bool {
        if self.lookout.as_ref().is_some_and(|watch| !watch.is_over()) {
            return true;
        }
        let lookout = fd::duplicate(self.fd.as_fd())
            .and_then(|copy| acceptor::look_out(thread, state.clone(), copy));
        self.lookout = lookout.ok();
        self.lookout.is_some()
    }

    /// Takes connections that have been waiting for so long that the worker cannot be accepting.
    fn take_waiting(&mut self, stall: Duration, taken: &mut Vec<OwnedFd>) {
        let waits = fd::is_readable(self.fd.as_raw_fd());
        if !std::mem::replace(&mut self.waited, waits) || !waits {
            return;
        }
        // One that has come just now says that the worker accepts: it goes to somebody all the same.
        for _ in 0..MOST_TAKEN {
            let Ok(connection) = socket::accept(self.fd.as_fd()) else {
                return;
            };
            let old = socket::silent_for(connection.as_fd()).is_ok_and(|time| time >= stall);
            taken.push(connection);
            if !old {
                return;
            }
            self.passed_over = Some(Instant::now());
        }
    }
}

impl State {
    /// A socket for a worker to accept from.
    pub(super) fn socket_for(&mut self, listener: u32, worker: u32) -> io::Result<OwnedFd> {
        let unknown = || io::Error::from(io::ErrorKind::InvalidInput);
        let entry = self.listeners.get_mut(&listener).ok_or_else(unknown)?;
        let apart = entry.apart.as_mut().ok_or_else(unknown)?;
        let socket = apart.give(worker)?;
        if !entry.workers.contains(&worker) {
            entry.workers.push(worker);
        }
        self.spread(listener);
        self.somebody_waits(); // which this finds out
        Ok(socket)
    }

    /// Somebody may wait at a worker's socket, or will.
    pub(in crate::cluster) fn somebody_waits(&mut self) {
        if !std::mem::replace(&mut self.watched, true) {
            self.look_later();
        }
    }

    /// Workers have come or gone, or were paused.
    pub(super) fn spread(&mut self, listener: u32) {
        let Some(entry) = self.listeners.get_mut(&listener) else {
            return;
        };
        let Some(apart) = &mut entry.apart else {
            return;
        };
        let serving = &entry.workers;
        for socket in apart.sockets.iter_mut().skip(1) {
            if socket
                .worker
                .is_some_and(|worker| serving.contains(&worker))
            {
                continue;
            }
            socket.worker = None;
            socket.passed_over = None;
            socket.lookout = None;
            if socket.accepting.is_some() {
                continue;
            }
            let changed = Arc::new(Notify::new());
            let watched = fd::duplicate(socket.fd.as_fd()).and_then(|copy| {
                let state = self.itself.clone();
                acceptor::listen(&self.thread, state, listener, copy, changed.clone())
            });
            socket.accepting = watched.ok().map(|watch| Accepting { watch, changed });
        }
        let workers = &self.workers;
        apart.spread(|id| {
            let there = workers.get(&id);
            there.is_some_and(|worker| !(worker.gone || worker.paused))
        });
    }

    pub(super) fn spread_all(&mut self) {
        let apart =
            |(&number, entry): (&u32, &super::Listener)| entry.apart.is_some().then_some(number);
        let listeners: Vec<u32> = self.listeners.iter().filter_map(apart).collect();
        for listener in listeners {
            self.spread(listener);
        }
    }

    /// Takes connections from workers that do not accept them; says whether to look again.
    pub(super) fn look_for_waiting(&mut self) -> bool {
        let (mut again, mut spreads) = (false, false);
        let mut all = Vec::new();
        for (&number, entry) in &mut self.listeners {
            let Some(apart) = &mut entry.apart else {
                continue;
            };
            for socket in &mut apart.sockets {
                if socket
                    .passed_over
                    .is_some_and(|since| since.elapsed() >= PASSED_OVER)
                {
                    socket.passed_over = None;
                    spreads = true;
                }
                if socket.worker.is_some() {
                    let mut taken = Vec::new();
                    socket.take_waiting(self.stall, &mut taken);
                    if !taken.is_empty() {
                        all.push((number, taken));
                    }
                    again |= socket.waited
                        || socket.passed_over.is_some()
                        || !socket.look_out(&self.thread, &self.itself);
                }
            }
        }
        if spreads || !all.is_empty() {
            self.spread_all();
        }
        for (listener, taken) in all {
            self.accepted(listener, taken.into_iter());
        }
        if spreads {
            // What was waiting for somebody who is not passed over.
            self.hand_out_all();
        }
        again
    }
}
