//! Endpoints whose messages are packets: `unix+dgram:` and `unix+seqpacket:`. A packet is a message,
//! whatever is in it.
//!
//! Of a datagram the kernel tells who has sent it, each time: those of processes that are not allowed
//! are counted and dropped. A connection is checked once, when it comes about.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use rsipc_sys::fd;
use rsipc_sys::packet::{self, Address};
use rsipc_sys::socket::{self, Local, Type};
use rsipc_sys::stream;

use super::address::{Endpoint, UnixAddress, UnixKind};
use super::connect::Connected;
use super::error::{EndpointError, Reason};
use super::listen::{ListenOptions, Listener, bind, split};
use super::peer::{Allow, Peer};

/// A packet that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Packet {
    /// What it holds.
    pub bytes: Vec<u8>,
    /// Where it came from, if it can be answered.
    pub from: Option<Address>,
    /// Who has sent it, where the system tells.
    pub sender: Option<Peer>,
}

/// What [`PacketSocket::receive`] has found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Received {
    /// What came, in order.
    pub packets: Vec<Packet>,
    /// How long a packet was that is longer than allowed. It is gone, and a connection should be.
    pub too_long: Option<usize>,
    /// The other end of the connection sends no more.
    pub ended: bool,
}

/// A socket of packets, which never waits.
#[derive(Debug)]
pub struct PacketSocket {
    source: Source,
    /// Where packets come from whomever, who may send them.
    allow: Option<Allow>,
    /// What came before the system was asked to tell who sends is from whom `allow` names: only they could.
    kept_by_file: bool,
    limit: usize,
    /// Packets longer than allowed, which were dropped.
    truncated: u64,
    /// Packets of those who are not allowed, which were dropped.
    refused: u64,
}

/// The socket itself.
#[derive(Debug)]
enum Source {
    /// It has a name, which goes with it.
    Bound(Box<Listener>),
    /// It is connected.
    Connected(OwnedFd),
}

impl PacketSocket {
    /// Listens for datagrams at an endpoint `unix+dgram:`, of `limit` bytes at most, or with a socket for such that this
    /// process was started with (`systemd:`).
    ///
    /// What was sent before this process began does not say by whom, unless the service manager has asked the system
    /// (`PassCredentials=`). It is taken where the socket's file lets nobody send but those who are allowed.
    pub fn bind(
        endpoint: &Endpoint,
        options: &ListenOptions,
        limit: usize,
    ) -> Result<PacketSocket, EndpointError> {
        let unsupported = || EndpointError::new(endpoint, Reason::Unsupported);
        match endpoint {
            Endpoint::Unix {
                kind: UnixKind::Datagram,
                ..
            }
            | Endpoint::Activated(_) => {}
            _ => return Err(unsupported()),
        }
        let listener = bind(endpoint, options)?;
        if fd::kind(listener.as_fd()) != fd::Kind::UnixDatagram {
            return Err(unsupported());
        }
        let mut kept_by_file = false;
        if matches!(endpoint, Endpoint::Activated(_)) {
            let asked = packet::tell_senders(listener.as_fd());
            asked.map_err(|error| {
                EndpointError::new(endpoint, Reason::system("setsockopt")(error))
            })?;
            kept_by_file = is_kept_by_file(listener.as_fd(), &options.allow);
        }
        let allow = Some(options.allow.clone());
        let source = Source::Bound(Box::new(listener));
        let mut socket = PacketSocket::new(source, allow, limit);
        socket.kept_by_file = kept_by_file;
        Ok(socket)
    }

    /// Sends to, and hears of, the socket at an endpoint `unix+dgram:` or `unix+seqpacket:`.
    ///
    /// Who receives datagrams at a path is as trustworthy as who owns that; at an abstract name it is
    /// anybody, so that has to be said.
    pub fn connect(
        endpoint: &Endpoint,
        allow: &Allow,
        limit: usize,
    ) -> Result<(PacketSocket, Option<Peer>), EndpointError> {
        let failed = |reason| EndpointError::new(endpoint, reason);
        match endpoint {
            Endpoint::Unix {
                kind: UnixKind::Seqpacket,
                ..
            } => {
                let Connected { fd, peer, .. } = super::connect(endpoint, allow)?;
                let made = PacketSocket::over(fd, limit).map_err(Reason::system("setsockopt"));
                Ok((made.map_err(failed)?, peer))
            }
            Endpoint::Unix {
                kind: UnixKind::Datagram,
                address,
            } => {
                let fd = connect_datagrams(address, allow).map_err(failed)?;
                let source = Source::Connected(fd);
                let allow = Some(allow.clone());
                Ok((PacketSocket::new(source, allow, limit), None))
            }
            _ => Err(failed(Reason::Unsupported)),
        }
    }

    /// Goes on with a connection that was accepted.
    pub fn over(fd: OwnedFd, limit: usize) -> io::Result<PacketSocket> {
        packet::tell_senders(fd.as_fd())?;
        Ok(PacketSocket::new(Source::Connected(fd), None, limit))
    }

    fn new(source: Source, allow: Option<Allow>, limit: usize) -> PacketSocket {
        PacketSocket {
            source,
            allow,
            kept_by_file: false,
            limit,
            truncated: 0,
            refused: 0,
        }
    }

    /// How many packets were longer than allowed, and dropped.
    pub fn truncated(&self) -> u64 {
        self.truncated
    }

    /// How many packets came from those who are not allowed, and were dropped.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Receives up to `most` packets, or so many that they have `budget` bytes.
    pub fn receive(&mut self, most: usize, budget: usize) -> io::Result<Received> {
        let mut received = Received::default();
        let (mut taken, mut reset) = (0, false);
        for _ in 0..most {
            match self.next(&mut received) {
                Ok(length) => taken += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // What was sent before the reset is there; the end behind it is not told again.
                    received.ended |= reset && self.allow.is_none();
                    break;
                }
                Err(error) if packet::is_reset(&error) && !reset => reset = true,
                Err(error) if received.packets.is_empty() => return Err(error),
                Err(_) => break, // it is told when these packets are
            }
            if taken >= budget
                || received.ended
                || (self.allow.is_none() && received.too_long.is_some())
            {
                break;
            }
        }
        Ok(received)
    }

    /// Receives one packet; answers how long it was.
    fn next(&mut self, received: &mut Received) -> io::Result<usize> {
        let length = packet::next_length(self.as_fd())?;
        let mut bytes = Vec::new();
        let wanted = if length > self.limit { 0 } else { length };
        let found = packet::receive(self.as_fd(), &mut bytes, wanted)?;
        let packet::Packet {
            length,
            from,
            mut sender,
        } = found;
        if length == 0 && sender.is_none() && self.allow.is_none() {
            received.ended = true;
            return Ok(0);
        }
        if self.kept_by_file && sender.is_some_and(|sender| is_nobody(&sender)) {
            sender = None;
        }
        let allowed = match (&self.allow, sender) {
            (Some(allow), Some(sender)) => allow.permits(&sender),
            // A connection; or a system that does not tell, where the file's mode says who may send.
            _ => true,
        };
        if !allowed {
            self.refused += 1;
        } else if length > bytes.len() {
            self.truncated += 1;
            received.too_long = Some(length);
        } else {
            received.packets.push(Packet {
                bytes,
                from,
                sender,
            });
        }
        Ok(length)
    }

    /// Sends one packet; `false` if the receiver has too many that it has not read. A socket that is
    /// connected becomes writable then; nothing tells of another one.
    pub fn send(&self, bytes: &[u8], to: Option<&Address>) -> io::Result<bool> {
        match packet::send(self.as_fd(), bytes, to) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sends no more over a connection: the other end reads what was sent, and then the end. What it sends is still
    /// received.
    pub fn end_writing(&self) -> io::Result<()> {
        stream::end(self.as_fd())
    }

    /// How long a packet can be that it sends.
    pub fn longest(&self) -> io::Result<usize> {
        packet::longest(self.as_fd())
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.source {
            Source::Bound(listener) => listener.as_fd(),
            Source::Connected(fd) => fd.as_fd(),
        }
    }
}

/// Who the system says it was where nobody had asked it: no process, and the user that stands for none.
fn is_nobody(sender: &Peer) -> bool {
    sender.pid.is_none() && sender.uid == 65_534
}

/// Whether only those who are allowed can send to the socket of this name: its file belongs to one of them and nobody
/// else may write to it, nor put another one in its place.
fn is_kept_by_file(socket: BorrowedFd<'_>, allow: &Allow) -> bool {
    if *allow == Allow::Anyone {
        return true;
    }
    let Ok(Local::Path(path)) = socket::local(socket) else {
        return false;
    };
    let (Ok(file), Ok(_)) = (fs::symlink_metadata(&path), split(&path)) else {
        return false;
    };
    let owner = Peer {
        pid: None,
        uid: file.uid(),
        gid: file.gid(),
    };
    path.is_absolute()
        && file.file_type().is_socket()
        && file.mode() & 0o022 == 0
        && match allow {
            Allow::Listed { uids, .. } => uids.contains(&owner.uid),
            other => other.permits(&owner),
        }
}

/// How long a packet can be that a new socket sends.
pub fn longest_packet() -> io::Result<usize> {
    packet::longest(socket::unix(Type::Datagram)?.as_fd())
}

fn connect_datagrams(address: &UnixAddress, allow: &Allow) -> Result<OwnedFd, Reason> {
    let fd = socket::unix(Type::Datagram).map_err(Reason::system("socket"))?;
    match address {
        UnixAddress::Path(path) => {
            let mut owner = None;
            let trusted = socket::connect_if(fd.as_fd(), path, |meta| {
                let found = Peer {
                    pid: None,
                    uid: meta.uid,
                    gid: meta.gid,
                };
                owner = Some(found);
                allow.permits(&found)
            })?;
            if let (false, Some(owner)) = (trusted, owner) {
                return Err(Reason::Refused(owner));
            }
        }
        UnixAddress::Abstract(_) if *allow != Allow::Anyone => return Err(Reason::Unguarded),
        UnixAddress::Abstract(name) => {
            socket::connect_abstract(fd.as_fd(), name).map_err(Reason::system("connect"))?;
        }
    }
    Ok(fd)
}
