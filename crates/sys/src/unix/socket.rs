//! Sockets that are made, named, connected and accepted, and who is at the other end.
//!
//! All but [`unconnected`] are close-on-exec and never wait. The name of a UNIX socket in a
//! directory may be as long as any other: where it does not fit into the address, Linux is told of it
//! as a name in an open directory (`/proc/self/fd`).

use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockType, SockaddrLike, SockaddrStorage, UnixAddr, bind, connect, getpeername,
    getsockname, getsockopt, setsockopt, sockopt,
};
use nix::sys::stat::{Mode, fstat, stat};

use super::dir::Dir;
use super::file::{Error, Meta};
use super::system;

/// A stream socket of the internet (`tcp`) or UNIX family, close-on-exec, neither bound nor
/// connected.
pub fn unconnected(tcp: bool) -> io::Result<OwnedFd> {
    system::stream_socket(if tcp {
        AddressFamily::Inet
    } else {
        AddressFamily::Unix
    })
}

/// What a socket does with what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Bytes, connected.
    Stream,
    /// Messages, connected.
    Seqpacket,
    /// Messages, not connected.
    Datagram,
}

impl From<Type> for SockType {
    fn from(kind: Type) -> SockType {
        match kind {
            Type::Stream => SockType::Stream,
            Type::Seqpacket => SockType::SeqPacket,
            Type::Datagram => SockType::Datagram,
        }
    }
}

/// A UNIX socket. One for messages is told who has sent them, where the system can tell: also those
/// that arrive before anybody looks.
pub fn unix(kind: Type) -> io::Result<OwnedFd> {
    let made = system::open_socket(AddressFamily::Unix, kind.into())?;
    if kind != Type::Stream {
        system::pass_credentials(made.as_fd())?;
    }
    Ok(made)
}

/// A socket of the family that the address is of.
pub fn inet(address: SocketAddr, kind: Type) -> io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    system::open_socket(family, kind.into())
}

/// Names a UNIX socket `name` in `dir`; `path` leads there as well. The file is born with `mode`,
/// or less. A name that is taken is an error, `EADDRINUSE`, whatever it stands for.
///
/// The name has to be short: up to 70 bytes fit anywhere.
pub fn bind_in(
    fd: BorrowedFd<'_>,
    dir: &Dir,
    name: &OsStr,
    path: &Path,
    mode: u32,
) -> io::Result<()> {
    system::set_birth_mode(fd, Mode::from_bits_truncate(mode as libc::mode_t))?;
    let address = UnixAddr::new(&system::path_in(dir.as_fd(), name, path))?;
    Ok(bind(fd.as_raw_fd(), &address)?)
}

/// A stream socket with this path for a name. Its file stays when it is closed.
pub fn bind_path(path: &Path) -> io::Result<OwnedFd> {
    let fd = unix(Type::Stream)?;
    bind(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(fd)
}

/// Names a UNIX socket `path`, by these very words; else as [`bind_in`] does. A path that does not fit
/// into an address is an error, `ENAMETOOLONG`.
pub fn bind_named(fd: BorrowedFd<'_>, path: &Path, mode: u32) -> io::Result<()> {
    system::set_birth_mode(fd, Mode::from_bits_truncate(mode as libc::mode_t))?;
    Ok(bind(fd.as_raw_fd(), &UnixAddr::new(path)?)?)
}

/// Names a UNIX socket in the namespace that belongs to nobody.
pub fn bind_abstract(fd: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    Ok(bind(fd.as_raw_fd(), &system::abstract_address(name)?)?)
}

/// Binds a socket to an internet address. The port may be one whose former connections the
/// system still remembers; for datagrams it must be nobody's.
pub fn bind_inet(fd: BorrowedFd<'_>, address: SocketAddr, kind: Type) -> io::Result<()> {
    if kind != Type::Datagram {
        setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    }
    Ok(bind(fd.as_raw_fd(), &SockaddrStorage::from(address))?)
}

/// Connects to the UNIX socket at `path`, however long; links are followed.
pub fn connect_path(fd: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let (address, _held) = system::path_to(None, path)?;
    finish(connect(fd.as_raw_fd(), &UnixAddr::new(&address)?)).map(drop)
}

/// Connects to the UNIX socket at `path`, links followed, if `trusted` says so of what lies there.
/// Where the system lets it, nothing else can take that place in between. Answers what it said.
pub fn connect_if(
    fd: BorrowedFd<'_>,
    path: &Path,
    trusted: impl FnOnce(&Meta) -> bool,
) -> Result<bool, Error> {
    let (address, held) = system::hold(path).map_err(Error::os("open"))?;
    let stat = match &held {
        Some(held) => fstat(held),
        None => stat(path),
    };
    if !trusted(&Meta::new(&stat.map_err(Error::os("stat"))?)) {
        return Ok(false);
    }
    let to = UnixAddr::new(&address).map_err(Error::os("connect"))?;
    match connect(fd.as_raw_fd(), &to) {
        Ok(()) => Ok(true),
        Err(errno) => Err(Error::os("connect")(errno)),
    }
}

/// Connects to the UNIX socket `name` in `dir`, to which `path` leads as well; where the system lets
/// it, a link is not followed.
pub fn connect_in(fd: BorrowedFd<'_>, dir: &Dir, name: &OsStr, path: &Path) -> io::Result<()> {
    let (address, _held) = system::path_to(Some((dir.as_fd(), name)), path)?;
    finish(connect(fd.as_raw_fd(), &UnixAddr::new(&address)?)).map(drop)
}

/// Connects to a UNIX socket in the namespace that belongs to nobody.
pub fn connect_abstract(fd: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    finish(connect(fd.as_raw_fd(), &system::abstract_address(name)?)).map(drop)
}

/// Connects to an internet address; `false` if that is under way. When the socket is writable,
/// [`take_error`] tells what has become of it.
pub fn connect_inet(fd: BorrowedFd<'_>, address: SocketAddr) -> io::Result<bool> {
    finish(connect(fd.as_raw_fd(), &SockaddrStorage::from(address)))
}

fn finish(outcome: nix::Result<()>) -> io::Result<bool> {
    match outcome {
        Ok(()) => Ok(true),
        // Interrupted, it goes on all the same.
        Err(Errno::EINPROGRESS | Errno::EINTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// What has gone wrong with a socket since this was last asked.
pub fn take_error(fd: BorrowedFd<'_>) -> io::Result<()> {
    match getsockopt(&fd, sockopt::SocketError)? {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// Lets others connect, `backlog` of them before any is accepted; the system may allow fewer. Who
/// connects from now on is shown this process as its peer, also if the socket was another's.
pub fn listen(fd: BorrowedFd<'_>, backlog: u32) -> io::Result<()> {
    let backlog = libc::c_int::try_from(backlog).unwrap_or(libc::c_int::MAX);
    // SAFETY: takes two integers.
    match unsafe { libc::listen(fd.as_raw_fd(), backlog) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Lets other sockets of this user be bound to the same port from now on.
pub fn share_port(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(setsockopt(&fd, sockopt::ReusePort, &true)?)
}

/// Whether a socket of the second internet protocol is for that alone, and not for the first as well.
pub fn only_v6(fd: BorrowedFd<'_>, only: bool) -> io::Result<()> {
    Ok(setsockopt(&fd, sockopt::Ipv6V6Only, &only)?)
}

/// Of the sockets that listen on one port, those over which the system spreads connections, by their places in the order
/// in which they began to listen. Unsupported where the system spreads nothing.
pub fn spread(fd: BorrowedFd<'_>, places: &[u32]) -> io::Result<()> {
    system::spread(fd, places)
}

/// For how long the peer has sent nothing.
pub fn silent_for(fd: BorrowedFd<'_>) -> io::Result<Duration> {
    system::silent_for(fd)
}

/// Why no connection was accepted.
#[derive(Debug)]
#[non_exhaustive]
pub enum NotAccepted {
    /// There is none.
    None,
    /// This one has come to an end before it was accepted. There may be others.
    Ended,
    /// There is one, but no descriptor for it: this process, or the system, has as many as it may.
    Full,
    /// The socket cannot accept.
    Os(io::Error),
}

/// Takes a connection off the backlog.
pub fn accept(fd: BorrowedFd<'_>) -> Result<OwnedFd, NotAccepted> {
    loop {
        return match system::accept(fd) {
            Ok(accepted) => Ok(accepted),
            Err(Errno::EINTR) => continue,
            Err(Errno::EAGAIN) => Err(NotAccepted::None),
            Err(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM) => {
                Err(NotAccepted::Full)
            }
            // The connection's own error, by accept(2), or a firewall's word against it.
            Err(
                Errno::ECONNABORTED
                | Errno::EPERM
                | Errno::EPROTO
                | Errno::ENOPROTOOPT
                | Errno::ENETDOWN
                | Errno::ENETUNREACH
                | Errno::EHOSTDOWN
                | Errno::EHOSTUNREACH
                | Errno::ETIMEDOUT,
            ) => Err(NotAccepted::Ended),
            Err(errno) => Err(NotAccepted::Os(errno.into())),
        };
    }
}

/// Whether nobody has fetched any of the bytes of a TCP connection, or written to it, since it was accepted. An error
/// where the system cannot tell: of other sockets, and on other systems. A socket that listens is an error if its
/// connections will be.
pub fn is_untouched(fd: BorrowedFd<'_>) -> io::Result<bool> {
    system::is_untouched(fd)
}

/// Who is at the other end of a UNIX socket: who connected, or who listened when one did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The process. `None` where the system does not tell, or does not let this process see it.
    pub pid: Option<u32>,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
}

/// Who is at the other end of a connected UNIX socket.
pub fn peer(fd: BorrowedFd<'_>) -> io::Result<Peer> {
    let (pid, uid, gid) = system::credentials(fd)?;
    Ok(Peer { pid, uid, gid })
}

/// The groups that the other end's user is in besides its effective one, as far as the system
/// tells.
pub fn peer_groups(fd: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    system::groups(fd)
}

/// Where a socket is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Local {
    /// At an internet address.
    Inet(SocketAddr),
    /// At a path, by the words that it was bound with.
    Path(PathBuf),
    /// In the namespace that belongs to nobody.
    Abstract(Vec<u8>),
    /// Nowhere.
    Unnamed,
}

/// Where the other end of a socket of the internet is; `None` for any other, and for one that is gone.
pub fn remote(fd: BorrowedFd<'_>) -> Option<SocketAddr> {
    let address: SockaddrStorage = getpeername(fd.as_raw_fd()).ok()?;
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::V4((*v4).into()));
    }
    address
        .as_sockaddr_in6()
        .map(|v6| SocketAddr::V6((*v6).into()))
}

/// Where a socket is.
pub fn local(fd: BorrowedFd<'_>) -> io::Result<Local> {
    let address: SockaddrStorage = getsockname(fd.as_raw_fd())?;
    if let Some(v4) = address.as_sockaddr_in() {
        return Ok(Local::Inet(SocketAddr::V4((*v4).into())));
    }
    if let Some(v6) = address.as_sockaddr_in6() {
        return Ok(Local::Inet(SocketAddr::V6((*v6).into())));
    }
    if address.family() != Some(AddressFamily::Unix) {
        return Ok(Local::Unnamed);
    }
    let address: UnixAddr = getsockname(fd.as_raw_fd())?;
    if let Some(path) = address.path() {
        return Ok(Local::Path(path.to_owned()));
    }
    Ok(system::abstract_name(&address).map_or(Local::Unnamed, Local::Abstract))
}

/// The name of an error of the system, of those that sockets meet; `None` for any other.
pub fn error_name(errno: i32) -> Option<&'static str> {
    Some(match errno {
        libc::EACCES => "EACCES",
        libc::EADDRINUSE => "EADDRINUSE",
        libc::EADDRNOTAVAIL => "EADDRNOTAVAIL",
        libc::EAFNOSUPPORT => "EAFNOSUPPORT",
        libc::EAGAIN => "EAGAIN",
        libc::EBADF => "EBADF",
        libc::ECONNABORTED => "ECONNABORTED",
        libc::ECONNREFUSED => "ECONNREFUSED",
        libc::ECONNRESET => "ECONNRESET",
        libc::EHOSTUNREACH => "EHOSTUNREACH",
        libc::EINVAL => "EINVAL",
        libc::ELOOP => "ELOOP",
        libc::EMFILE => "EMFILE",
        libc::EMSGSIZE => "EMSGSIZE",
        libc::ENAMETOOLONG => "ENAMETOOLONG",
        libc::ENETUNREACH => "ENETUNREACH",
        libc::ENFILE => "ENFILE",
        libc::ENOBUFS => "ENOBUFS",
        libc::ENOENT => "ENOENT",
        libc::ENOMEM => "ENOMEM",
        libc::ENOSPC => "ENOSPC",
        libc::ENOTCONN => "ENOTCONN",
        libc::ENOTDIR => "ENOTDIR",
        libc::ENOTSOCK => "ENOTSOCK",
        libc::EPERM => "EPERM",
        libc::EPIPE => "EPIPE",
        libc::EPROTOTYPE => "EPROTOTYPE",
        libc::EROFS => "EROFS",
        libc::ETIMEDOUT => "ETIMEDOUT",
        _ => return None,
    })
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_connection_is_untouched_until_somebody_reads_or_writes() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        assert!(is_untouched(listener.as_fd()).is_ok());
        let pair = || {
            let address = listener.local_addr().expect("an address");
            let client = TcpStream::connect(address).expect("connect");
            (client, listener.accept().expect("accept").0)
        };
        let told = |stream: &TcpStream| is_untouched(stream.as_fd()).expect("an answer");
        let (mut client, mut server) = pair();
        assert!(told(&server));
        client.write_all(b"hello").expect("write");
        client.shutdown(Shutdown::Write).expect("shutdown");
        server.peek(&mut [0]).expect("peek");
        assert!(told(&server));
        server.read_exact(&mut [0]).expect("read");
        assert!(!told(&server));
        let (_client, mut server) = pair();
        server.write_all(b"welcome").expect("write");
        assert!(!told(&server));
        let (_client, server) = pair();
        server.shutdown(Shutdown::Write).expect("shutdown");
        assert!(!told(&server));
        let (path, _other) = UnixStream::pair().expect("a pair");
        assert!(is_untouched(path.as_fd()).is_err());
    }
}
