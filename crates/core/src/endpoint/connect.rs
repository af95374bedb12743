//! Sockets that connect.

use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rsipc_sys::socket::{self, Type};

use super::address::{Endpoint, Host, UnixAddress, UnixKind};
use super::error::{EndpointError, Reason};
use super::listen::socket_name;
use super::peer::{Allow, Peer};
use crate::name::Name;
use crate::shm::RunDir;

/// A socket that is connected, or about to be.
#[derive(Debug)]
pub struct Connected {
    /// The socket, which never waits.
    pub fd: OwnedFd,
    /// Who listened, where the system tells.
    pub peer: Option<Peer>,
    /// The connection is under way: when the socket is writable,
    /// [`take_error`](rsipc_sys::socket::take_error) tells what has become of it.
    pub pending: bool,
}

/// Connects to a UNIX or an internet socket, without waiting; a host's name is looked up, which does
/// wait. A server that `allow` does not have is refused before anything is sent to it.
pub fn connect(endpoint: &Endpoint, allow: &Allow) -> Result<Connected, EndpointError> {
    attempt(endpoint, allow).map_err(|reason| EndpointError::new(endpoint, reason))
}

fn attempt(endpoint: &Endpoint, allow: &Allow) -> Result<Connected, Reason> {
    match endpoint {
        Endpoint::Name(name) => by_name(name, allow),
        Endpoint::Unix { kind, address } => {
            let kind = Type::from(*kind);
            let fd = socket::unix(kind).map_err(Reason::system("socket"))?;
            match address {
                UnixAddress::Path(path) => socket::connect_path(fd.as_fd(), path),
                UnixAddress::Abstract(_) if *allow == Allow::Anyone => {
                    return Err(Reason::Unguarded);
                }
                UnixAddress::Abstract(name) => socket::connect_abstract(fd.as_fd(), name),
            }
            .map_err(Reason::system("connect"))?;
            guarded(fd, kind, allow)
        }
        Endpoint::Tcp(host) | Endpoint::Tls(host) => inet(host, Type::Stream),
        Endpoint::Udp(host) => inet(host, Type::Datagram),
        _ => Err(Reason::Unsupported),
    }
}

fn by_name(name: &Name, allow: &Allow) -> Result<Connected, Reason> {
    let run_dir = RunDir::open().map_err(Reason::RunDir)?;
    let fd = socket::unix(Type::Stream).map_err(Reason::system("socket"))?;
    let file = socket_name(name);
    let path = run_dir.path().join(&file);
    socket::connect_in(fd.as_fd(), run_dir.dir(), &file, Path::new(&path))
        .map_err(Reason::system("connect"))?;
    guarded(fd, Type::Stream, allow)
}

/// Looks who is at the other end. Of a socket for datagrams nobody is.
fn guarded(fd: OwnedFd, kind: Type, allow: &Allow) -> Result<Connected, Reason> {
    let peer = if kind == Type::Datagram {
        None
    } else {
        match allow.check(fd.as_fd()) {
            Ok((peer, true)) => Some(peer),
            Ok((peer, false)) => return Err(Reason::Refused(peer)),
            Err(source) => {
                return Err(Reason::System {
                    call: "getsockopt",
                    source,
                });
            }
        }
    };
    Ok(Connected {
        fd,
        peer,
        pending: false,
    })
}

/// The first of the host's addresses that does not refuse at once.
fn inet(host: &Host, kind: Type) -> Result<Connected, Reason> {
    let mut refused = None;
    for address in resolve(host)? {
        let fd = socket::inet(address, kind).map_err(Reason::system("socket"))?;
        match socket::connect_inet(fd.as_fd(), address) {
            Ok(done) => {
                return Ok(Connected {
                    fd,
                    peer: None,
                    pending: !done,
                });
            }
            Err(error) => refused = Some(error),
        }
    }
    let source = refused.unwrap_or_else(|| std::io::ErrorKind::AddrNotAvailable.into());
    Err(Reason::System {
        call: "connect",
        source,
    })
}

/// The addresses of a host.
pub(super) fn resolve(host: &Host) -> Result<Vec<SocketAddr>, Reason> {
    (&*host.name, host.port)
        .to_socket_addrs()
        .map(Iterator::collect)
        .map_err(Reason::UnknownHost)
}

impl From<UnixKind> for Type {
    fn from(kind: UnixKind) -> Type {
        match kind {
            UnixKind::Stream => Type::Stream,
            UnixKind::Seqpacket => Type::Seqpacket,
            UnixKind::Datagram => Type::Datagram,
        }
    }
}
