//! Descriptors: whose they are, copies of them, and what they are.

use std::io::{self, IsTerminal};
pub use std::os::fd::OwnedFd;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, RawFd};

use nix::sys::stat::{SFlag, fstat};

use super::stream::option;
use super::system;

/// What a descriptor refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A stream socket of an internet family.
    Tcp,
    /// A datagram socket of an internet family.
    Udp,
    /// A UNIX stream socket. Node calls it a pipe.
    Pipe,
    /// A FIFO: a named one or either end of `pipe(2)`.
    Fifo,
    /// A UNIX datagram socket.
    UnixDatagram,
    /// A UNIX sequential-packet socket.
    UnixSeqpacket,
    /// The name of a UNIX socket in a directory, of whatever type that is.
    SocketFile,
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A file without a name that lives in memory.
    Memfd,
    /// A counter to wait on.
    EventFd,
    /// A process.
    PidFd,
    /// A set of descriptors to wait on.
    Epoll,
    /// A terminal.
    Tty,
    /// A socket to the kernel.
    Netlink,
    /// A character device that is no terminal.
    CharDevice,
    /// Anything else.
    Other,
}

impl Kind {
    /// The name used in texts and in JavaScript.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Tcp => "tcp",
            Kind::Udp => "udp",
            Kind::Pipe => "pipe",
            Kind::Fifo => "fifo",
            Kind::UnixDatagram => "unix-dgram",
            Kind::UnixSeqpacket => "unix-seqpacket",
            Kind::SocketFile => "socket-file",
            Kind::File => "file",
            Kind::Directory => "directory",
            Kind::Memfd => "memfd",
            Kind::EventFd => "eventfd",
            Kind::PidFd => "pidfd",
            Kind::Epoll => "epoll",
            Kind::Tty => "tty",
            Kind::Netlink => "netlink",
            Kind::CharDevice => "char-device",
            Kind::Other => "other",
        }
    }
}

/// What `fd` refers to. Costs one to three system calls.
pub fn kind(fd: BorrowedFd<'_>) -> Kind {
    let Ok(stat) = fstat(fd) else {
        return Kind::Other;
    };
    // st_mode is 16 bits wide on some systems and 32 on others.
    #[allow(
        clippy::useless_conversion,
        reason = "the width of st_mode differs by system"
    )]
    let mode = SFlag::from_bits_truncate(libc::mode_t::from(stat.st_mode)) & SFlag::S_IFMT;
    match mode {
        SFlag::S_IFSOCK => socket_kind(fd),
        SFlag::S_IFIFO => Kind::Fifo,
        SFlag::S_IFDIR => Kind::Directory,
        SFlag::S_IFREG => system::named_kind(fd).unwrap_or(Kind::File),
        SFlag::S_IFCHR if fd.is_terminal() => Kind::Tty,
        SFlag::S_IFCHR => Kind::CharDevice,
        _ => system::named_kind(fd).unwrap_or(Kind::Other),
    }
}

fn socket_kind(fd: BorrowedFd<'_>) -> Kind {
    let (Some(family), Ok(kind)) = (system::family(fd), option(fd, libc::SO_TYPE)) else {
        return Kind::Other;
    };
    match (family, kind) {
        (libc::AF_INET | libc::AF_INET6, libc::SOCK_STREAM) => Kind::Tcp,
        (libc::AF_INET | libc::AF_INET6, libc::SOCK_DGRAM) => Kind::Udp,
        (libc::AF_UNIX, libc::SOCK_STREAM) => Kind::Pipe,
        (libc::AF_UNIX, libc::SOCK_DGRAM) => Kind::UnixDatagram,
        (libc::AF_UNIX, libc::SOCK_SEQPACKET) => Kind::UnixSeqpacket,
        (family, _) if system::is_netlink(family) => Kind::Netlink,
        _ => Kind::Other,
    }
}

/// Takes ownership of an open descriptor known by its number and makes it close-on-exec.
///
/// The caller promises that nothing else owns `raw`: it will be closed with the result. A
/// number that is no open descriptor is an error and changes nothing.
pub fn adopt(raw: RawFd) -> io::Result<OwnedFd> {
    set_close_on_exec(raw)?;
    // SAFETY: fcntl has just accepted the number, so it is open and not negative; that no one
    // else owns it is what the caller promises.
    let fd = unsafe { OwnedFd::from_raw_fd(raw) };
    // SAFETY: `raw` is kept open by `fd` for the whole call.
    system::silence(unsafe { BorrowedFd::borrow_raw(raw) });
    Ok(fd)
}

/// What an open descriptor known by its number refers to, if it came from the parent process;
/// `None` if this process has opened it. A number that is no open descriptor is an error.
///
/// What is close-on-exec cannot have been inherited, and what this process opens through Rust is
/// close-on-exec. So a number that an environment variable names, and that has been closed and
/// taken again since, is told from one that is still what it was.
pub fn inherited(raw: RawFd) -> io::Result<Option<Kind>> {
    // SAFETY: F_GETFD takes no argument; a wrong descriptor is answered with EBADF.
    let flags = unsafe { libc::fcntl(raw, libc::F_GETFD) };
    if flags < 0 {
        return Err(io::Error::last_os_error());
    }
    if flags & libc::FD_CLOEXEC != 0 {
        return Ok(None);
    }
    // SAFETY: fcntl has just accepted the number, so it is not -1. It is only asked what it is:
    // should another thread close it meanwhile, the calls answer EBADF or tell of its successor.
    Ok(Some(kind(unsafe { BorrowedFd::borrow_raw(raw) })))
}

/// A second descriptor for what `fd` refers to, close-on-exec and never 0, 1 or 2.
pub fn duplicate(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    duplicate_raw(fd.as_raw_fd())
}

/// Has the descriptor `target`, which is 0, 1 or 2, be another one of what `source` is. Children inherit it.
pub fn redirect(source: BorrowedFd<'_>, target: RawFd) -> io::Result<()> {
    if !(0..=2).contains(&target) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: only the three standard streams are replaced, which nobody in Rust owns.
    let rc = unsafe { libc::dup2(source.as_raw_fd(), target) };
    if rc == target {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// As [`duplicate`], from a number. One that is no open descriptor is an error.
pub fn duplicate_raw(raw: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC takes an integer; a wrong descriptor is answered with EBADF.
    let copy = unsafe { libc::fcntl(raw, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Whether the descriptor `raw` has something to read at once. One that is not open has nothing.
pub fn is_readable(raw: RawFd) -> bool {
    let mut entry = libc::pollfd {
        fd: raw,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one entry, which is a local, and no wait; a wrong descriptor is told in the entry.
    let found = unsafe { libc::poll(&mut entry, 1, 0) };
    found > 0 && entry.revents & libc::POLLIN != 0
}

/// A copy of a descriptor that this process was started with, known by its number. The number stays
/// open, and becomes close-on-exec.
pub fn keep(raw: RawFd) -> io::Result<OwnedFd> {
    set_close_on_exec(raw)?;
    duplicate_raw(raw)
}

pub(super) fn set_close_on_exec(raw: RawFd) -> io::Result<()> {
    // SAFETY: F_GETFD takes no argument; a wrong descriptor is answered with EBADF.
    let flags = unsafe { libc::fcntl(raw, libc::F_GETFD) };
    if flags < 0 {
        return Err(io::Error::last_os_error());
    }
    if flags & libc::FD_CLOEXEC != 0 {
        return Ok(());
    }
    // SAFETY: F_SETFD takes an integer.
    match unsafe { libc::fcntl(raw, libc::F_SETFD, flags | libc::FD_CLOEXEC) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
