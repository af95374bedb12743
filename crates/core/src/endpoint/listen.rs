//! Sockets that others connect to.
//!
//! What makes the name of a UNIX socket safe is in `socket_file.rs`. [`Listener::accept`] takes what is
//! there, asks who it is, and never spins: a connection for which there is no descriptor is taken
//! with one kept for that, and closed.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rsipc_sys::dir::Dir;
use rsipc_sys::fd::{self, Kind};
use rsipc_sys::socket::{self, Local, NotAccepted, Type};

use super::activation;
use super::address::{Endpoint, UnixAddress};
use super::connect::resolve;
use super::error::{EndpointError, Reason};
use super::peer::{Allow, Peer};
use super::socket_file::{Form, SocketFile};
use crate::name::Name;
use crate::shm::RunDir;

const SUFFIX: &str = ".sock";

/// How one listens.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListenOptions {
    /// How many may wait to be accepted; the system may allow fewer.
    pub backlog: u32,
    /// Permission bits of a UNIX socket's file: who may write to it may connect.
    pub mode: u32,
    /// The user the file shall belong to, if not this process's own.
    pub uid: Option<u32>,
    /// The group the file shall belong to, if not this process's own.
    pub gid: Option<u32>,
    /// Who may connect to a UNIX socket.
    pub allow: Allow,
}

impl Default for ListenOptions {
    /// As Node's own backlog; for this user alone.
    fn default() -> ListenOptions {
        ListenOptions {
            backlog: 511,
            mode: 0o600,
            uid: None,
            gid: None,
            allow: Allow::SameUser,
        }
    }
}

/// A socket that others connect to, or send datagrams to. When it is dropped, the name it has made
/// in a directory is removed.
#[derive(Debug)]
pub struct Listener {
    endpoint: Endpoint,
    /// Removes its name before the socket is closed.
    file: Option<SocketFile>,
    fd: OwnedFd,
    kind: Kind,
    allow: Allow,
    /// Given up when a connection is there and no descriptor for it.
    spare: Option<OwnedFd>,
    /// Held so that nobody takes it for deserted.
    _run_dir: Option<RunDir>,
}

/// What [`Listener::accept`] has found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Accepted {
    /// What came, in order.
    pub incoming: Vec<Incoming>,
    /// There may be more, and the descriptor may not tell again: accept again before waiting.
    pub more: bool,
    /// There are connections, but no descriptor to take them with, and the listener will be
    /// readable until there is: wait a while ([`PAUSE`]), not for the descriptor.
    pub pause: bool,
}

/// How long to wait when [`Accepted::pause`] says so.
pub const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// Somebody who has connected.
#[derive(Debug)]
#[non_exhaustive]
pub enum Incoming {
    /// A connection.
    Connection {
        /// Its socket, which never waits.
        fd: OwnedFd,
        /// Who connected, where the system tells.
        peer: Option<Peer>,
    },
    /// Somebody who is not allowed. The connection is closed.
    Refused {
        /// Who.
        peer: Peer,
    },
    /// Somebody for whom there was no descriptor left. The connection is closed.
    Dropped,
}

/// Listens at an endpoint: a UNIX or internet socket, a name of this user, or a socket that this
/// process was started with. A host's name is looked up, which waits.
///
/// ```
/// use rsipc_core::endpoint::{Allow, Endpoint, ListenOptions, bind, connect};
///
/// let path = std::env::temp_dir().join(format!("rsipc-doc-{}.sock", std::process::id()));
/// let mut listener = bind(&Endpoint::unix(&path), &ListenOptions::default())?;
/// let client = connect(listener.endpoint(), &Allow::SameUser)?;
/// assert_eq!(client.peer.unwrap().pid, Some(std::process::id()));
/// assert_eq!(listener.accept(64)?.incoming.len(), 1);
/// drop(listener);
/// assert!(!path.exists());
/// # Ok::<(), rsipc_core::endpoint::EndpointError>(())
/// ```
pub fn bind(endpoint: &Endpoint, options: &ListenOptions) -> Result<Listener, EndpointError> {
    let refused = |reason| EndpointError::new(endpoint, reason);
    let made = make(endpoint, options).map_err(refused)?;
    let Made { fd, file, run_dir } = made;
    Listener::new(endpoint, options, fd, file, run_dir).map_err(refused)
}

struct Made {
    fd: OwnedFd,
    file: Option<SocketFile>,
    run_dir: Option<RunDir>,
}

impl From<OwnedFd> for Made {
    fn from(fd: OwnedFd) -> Made {
        Made {
            fd,
            file: None,
            run_dir: None,
        }
    }
}

fn make(endpoint: &Endpoint, options: &ListenOptions) -> Result<Made, Reason> {
    match endpoint {
        Endpoint::Name(name) => {
            let run_dir = RunDir::open().map_err(Reason::RunDir)?;
            let dir = run_dir.dir().duplicate()?;
            let (file, form) = (socket_name(name), form(Type::Stream, options));
            let path = run_dir.path().join(&file);
            let (fd, file) = SocketFile::bind(dir, &file, &path, form)?;
            Ok(Made {
                fd,
                file: Some(file),
                run_dir: Some(run_dir),
            })
        }
        Endpoint::Unix { kind, address } => match address {
            UnixAddress::Path(path) => {
                let (dir, name) = split(path)?;
                let form = form((*kind).into(), options);
                let (fd, file) = SocketFile::bind(dir, name, path, form)?;
                Ok(Made {
                    fd,
                    file: Some(file),
                    run_dir: None,
                })
            }
            UnixAddress::Abstract(_) if options.allow == Allow::Anyone => Err(Reason::Unguarded),
            UnixAddress::Abstract(name) => {
                let kind = Type::from(*kind);
                let fd = socket::unix(kind).map_err(Reason::system("socket"))?;
                socket::bind_abstract(fd.as_fd(), name).map_err(in_use("bind"))?;
                begin(fd, kind, options)
            }
        },
        Endpoint::Tcp(host) | Endpoint::Tls(host) => inet(host, Type::Stream, options),
        Endpoint::Udp(host) => inet(host, Type::Datagram, options),
        Endpoint::Activated(name) => activation::take(name.as_ref())
            .ok_or(Reason::NotActivated)
            .map(Made::from),
        _ => Err(Reason::Unsupported),
    }
}

fn form(kind: Type, options: &ListenOptions) -> Form {
    Form {
        kind,
        mode: options.mode & 0o777,
        uid: options.uid,
        gid: options.gid,
        backlog: options.backlog,
    }
}

fn begin(fd: OwnedFd, kind: Type, options: &ListenOptions) -> Result<Made, Reason> {
    if kind != Type::Datagram {
        socket::listen(fd.as_fd(), options.backlog).map_err(in_use("listen"))?;
    }
    Ok(fd.into())
}

fn inet(host: &super::address::Host, kind: Type, options: &ListenOptions) -> Result<Made, Reason> {
    let address = resolve(host)?.into_iter().next();
    let address =
        address.ok_or_else(|| Reason::UnknownHost(std::io::Error::other("it has no address")))?;
    let fd = socket::inet(address, kind).map_err(Reason::system("socket"))?;
    socket::bind_inet(fd.as_fd(), address, kind).map_err(in_use("bind"))?;
    begin(fd, kind, options)
}

fn in_use(call: &'static str) -> impl Fn(std::io::Error) -> Reason {
    move |source| match source.kind() {
        std::io::ErrorKind::AddrInUse => Reason::InUse { pid: None },
        _ => Reason::System { call, source },
    }
}

/// The file in the run directory that a name stands for.
pub(crate) fn socket_name(name: &Name) -> OsString {
    format!("{name}{SUFFIX}").into()
}

/// The name that a file in the run directory stands for, if it is a socket's.
pub(crate) fn name_of(file: &str) -> Option<Name> {
    Name::parse(file.strip_suffix(SUFFIX)?).ok()
}

/// The directory of a socket, and its name there. Others must not be able to replace what is in it.
pub(super) fn split(path: &Path) -> Result<(Dir, &std::ffi::OsStr), Reason> {
    let wanted = Kind::SocketFile;
    let name = path
        .file_name()
        .ok_or(Reason::Untrusted(rsipc_sys::file::Error::Kind { wanted }))?;
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let dir = Dir::reach(parent)?;
    let mode = dir.meta()?.mode;
    if mode & 0o002 != 0 && mode & 0o1000 == 0 {
        return Err(Reason::Untrusted(rsipc_sys::file::Error::Mode { mode }));
    }
    Ok((dir, name))
}

impl Listener {
    /// Goes on with a socket that another process has made and handed over: of a name in a
    /// directory together with its lock ([`Listener::lock`]), so that the name is never free in
    /// between. Without one it leaves the name alone. The mode and owner stay what they are.
    ///
    /// Whoever connects from now on is shown this process as its peer.
    pub fn adopt(
        endpoint: &Endpoint,
        fd: OwnedFd,
        lock: Option<OwnedFd>,
        options: &ListenOptions,
    ) -> Result<Listener, EndpointError> {
        let refused = |reason| EndpointError::new(endpoint, reason);
        let adopted = || {
            let (mut file, mut held) = (None, None);
            if let Some(lock) = lock {
                match endpoint {
                    Endpoint::Name(name) => {
                        let run_dir = RunDir::open().map_err(Reason::RunDir)?;
                        let dir = run_dir.dir().duplicate()?;
                        file = Some(SocketFile::adopt(dir, &socket_name(name), lock)?);
                        held = Some(run_dir);
                    }
                    Endpoint::Unix {
                        address: UnixAddress::Path(path),
                        ..
                    } => {
                        let (dir, name) = split(path)?;
                        file = Some(SocketFile::adopt(dir, name, lock)?);
                    }
                    _ => {}
                }
            }
            Listener::new(endpoint, options, fd, file, held)
        };
        adopted().map_err(refused)
    }

    fn new(
        endpoint: &Endpoint,
        options: &ListenOptions,
        fd: OwnedFd,
        file: Option<SocketFile>,
        run_dir: Option<RunDir>,
    ) -> Result<Listener, Reason> {
        let kind = fd::kind(fd.as_fd());
        let datagrams = matches!(kind, Kind::Udp | Kind::UnixDatagram);
        if !datagrams && !matches!(kind, Kind::Tcp | Kind::Pipe | Kind::UnixSeqpacket) {
            return Err(Reason::Unsupported);
        }
        let stranger = file.is_none();
        if stranger {
            let abstract_name = matches!(socket::local(fd.as_fd()), Ok(Local::Abstract(_)));
            if abstract_name && options.allow == Allow::Anyone {
                return Err(Reason::Unguarded);
            }
        }
        rsipc_sys::stream::set_nonblocking(fd.as_fd(), true).map_err(Reason::system("fcntl"))?;
        if !datagrams {
            // Again, if it was another process that listened: now it is this one's.
            socket::listen(fd.as_fd(), options.backlog).map_err(Reason::system("listen"))?;
        }
        let mut listener = Listener {
            endpoint: endpoint.clone(),
            fd,
            kind,
            allow: options.allow.clone(),
            spare: None,
            file,
            _run_dir: run_dir,
        };
        listener.spare();
        Ok(listener)
    }

    /// Where it listens, as that was said.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Where it listens, with the port that the system has chosen if it was to choose one.
    pub fn address(&self) -> Endpoint {
        let mut address = self.endpoint.clone();
        if let Endpoint::Tcp(host) | Endpoint::Tls(host) | Endpoint::Udp(host) = &mut address
            && let Ok(Local::Inet(found)) = socket::local(self.fd.as_fd())
        {
            host.port = found.port();
        }
        address
    }

    /// Whether what arrives are datagrams: then there is nobody to accept.
    pub fn is_datagram(&self) -> bool {
        matches!(self.kind, Kind::Udp | Kind::UnixDatagram)
    }

    /// Whether its connections keep messages apart, and are no streams.
    pub fn keeps_messages(&self) -> bool {
        self.kind == Kind::UnixSeqpacket
    }

    /// Replaces who may connect.
    pub fn set_allow(&mut self, allow: Allow) {
        self.allow = allow;
    }

    /// What a successor needs besides the socket itself to have the name as well; see
    /// [`Listener::adopt`]. `None` if there is no name in a directory, or it is not ours.
    pub fn lock(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(SocketFile::lock)
    }

    /// Stops listening and leaves the name to the successor. One that has adopted it already has
    /// it anyway.
    pub fn leave(mut self) {
        if let Some(file) = self.file.take() {
            file.leave();
        }
    }

    /// Takes up to `max` of those who have connected.
    pub fn accept(&mut self, max: usize) -> Result<Accepted, EndpointError> {
        let mut accepted = Accepted::default();
        let mut count = 0;
        while count < max {
            count += 1;
            match socket::accept(self.fd.as_fd()) {
                Ok(fd) => accepted.incoming.extend(self.admit(fd)),
                Err(NotAccepted::None) => return Ok(accepted),
                Err(NotAccepted::Ended) => {}
                Err(NotAccepted::Full) => match self.turn_away() {
                    Ok(()) => accepted.incoming.push(Incoming::Dropped),
                    Err(NotAccepted::Full) => {
                        accepted.pause = true;
                        return Ok(accepted);
                    }
                    Err(NotAccepted::Ended) => {}
                    // The system looks for a descriptor before it looks for a connection.
                    Err(_) => return Ok(accepted),
                },
                Err(NotAccepted::Os(source)) => {
                    let call = "accept";
                    let reason = Reason::System { call, source };
                    return Err(EndpointError::new(&self.endpoint, reason));
                }
                // The enumeration may grow.
                Err(_) => return Ok(accepted),
            }
        }
        accepted.more = true;
        Ok(accepted)
    }

    /// Looks who has connected; `None` if that one has gone again.
    fn admit(&self, fd: OwnedFd) -> Option<Incoming> {
        if self.kind == Kind::Tcp {
            return Some(Incoming::Connection { fd, peer: None });
        }
        let (peer, allowed) = self.allow.check(fd.as_fd()).ok()?;
        Some(if allowed {
            let peer = Some(peer);
            Incoming::Connection { fd, peer }
        } else {
            Incoming::Refused { peer }
        })
    }

    /// Takes a connection with the descriptor kept for that, and closes it.
    fn turn_away(&mut self) -> Result<(), NotAccepted> {
        let spared = self.spare.take().is_some();
        let taken = match spared {
            true => socket::accept(self.fd.as_fd()).map(drop),
            false => Err(NotAccepted::Full),
        };
        self.spare();
        taken
    }

    /// Has a descriptor to spare, if there is one.
    fn spare(&mut self) {
        if self.spare.is_none() {
            self.spare = Dir::reach(Path::new("/")).ok().map(OwnedFd::from);
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
