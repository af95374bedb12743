//! Linux: flags that act atomically, `SO_DOMAIN`, `/proc` links, pidfds.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use super::fd::Kind;
use super::stream::option;
use crate::caps::Caps;

pub(crate) const CAPS: Caps = Caps {
    descriptor_passing: true,
    atomic_close_on_exec: true,
    descriptors_survive_sender: true,
    die_with_parent: true,
    shared_memory: true,
};

/// Flags of every receive: descriptors arrive close-on-exec.
pub(crate) const RECEIVE_FLAGS: libc::c_int = libc::MSG_CMSG_CLOEXEC;
/// Flags of every send: a closed peer is an error, not a signal.
pub(crate) const SEND_FLAGS: libc::c_int = libc::MSG_NOSIGNAL;

/// A connected pair of stream sockets, close-on-exec from the start.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(
        AddressFamily::Unix,
        SockType::Stream,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?)
}

/// Nothing to do: every send carries `MSG_NOSIGNAL`.
pub(crate) fn silence(_fd: BorrowedFd<'_>) {}

/// Nothing to do: `MSG_CMSG_CLOEXEC` has done it.
pub(crate) fn received(_fd: BorrowedFd<'_>) {}

/// Asks for a buffer size past the system-wide ceiling, which takes a privilege.
pub(crate) fn force_buffers(fd: BorrowedFd<'_>, bytes: libc::c_int) -> [bool; 2] {
    [libc::SO_SNDBUFFORCE, libc::SO_RCVBUFFORCE]
        .map(|name| super::stream::set_option(fd, name, bytes).is_ok())
}

/// The address family of a socket.
pub(crate) fn family(fd: BorrowedFd<'_>) -> Option<libc::c_int> {
    option(fd, libc::SO_DOMAIN).ok()
}

/// Whether a family is the kernel's own netlink.
pub(crate) fn is_netlink(family: libc::c_int) -> bool {
    family == libc::AF_NETLINK
}

/// The kind of a descriptor that `fstat` calls a file or nothing at all: only its name in
/// `/proc` tells.
pub(crate) fn named_kind(fd: BorrowedFd<'_>) -> Option<Kind> {
    let link = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok()?;
    let link = link.as_os_str().as_encoded_bytes();
    if link.starts_with(b"/memfd:") {
        return Some(Kind::Memfd);
    }
    match link {
        b"anon_inode:[eventfd]" => Some(Kind::EventFd),
        b"anon_inode:[eventpoll]" => Some(Kind::Epoll),
        b"anon_inode:[pidfd]" => Some(Kind::PidFd),
        _ if link.starts_with(b"pidfd:") => Some(Kind::PidFd),
        _ => None,
    }
}

/// A descriptor that becomes readable when the process `pid` has ended.
pub(crate) fn watch_process(pid: libc::pid_t) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes two integers and touches no memory of ours.
    let raw = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    let raw = RawFd::try_from(raw).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    // SAFETY: the kernel has just made this descriptor for us alone; it is close-on-exec.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// A stream socket of `family`, close-on-exec from the start.
pub(crate) fn stream_socket(family: nix::sys::socket::AddressFamily) -> io::Result<OwnedFd> {
    use nix::sys::socket::{SockFlag, SockType, socket};
    Ok(socket(
        family,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?)
}
