//! macOS and the BSDs: no flags that act atomically, no `SO_DOMAIN`, kqueue for processes.
//!
//! Close-on-exec is set right after a descriptor appears, so a concurrent fork may still
//! inherit one; `CAPS.atomic_close_on_exec` says so.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::{mem, ptr};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use super::fd::Kind;
use crate::caps::Caps;

pub(crate) const CAPS: Caps = Caps {
    descriptor_passing: true,
    atomic_close_on_exec: false,
    descriptors_survive_sender: false,
    die_with_parent: true,
    shared_memory: false,
};

/// Flags of every receive.
pub(crate) const RECEIVE_FLAGS: libc::c_int = 0;
/// Flags of every send; SIGPIPE is switched off at the socket by [`silence`].
pub(crate) const SEND_FLAGS: libc::c_int = 0;

/// A connected pair of stream sockets.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (a, b) = socketpair(
        AddressFamily::Unix,
        SockType::Stream,
        None,
        SockFlag::empty(),
    )?;
    for end in [&a, &b] {
        super::fd::set_close_on_exec(end.as_raw_fd())?;
        silence(end.as_fd());
    }
    Ok((a, b))
}

/// Makes sends on a closed peer an error instead of a signal.
pub(crate) fn silence(fd: BorrowedFd<'_>) {
    // A descriptor that is no socket refuses, and needs no silencing.
    let _ = super::stream::set_option(fd, libc::SO_NOSIGPIPE, 1);
}

/// A descriptor has just arrived from another process.
pub(crate) fn received(fd: BorrowedFd<'_>) {
    // Can only fail for a descriptor that is not open, which this one is.
    let _ = super::fd::set_close_on_exec(fd.as_raw_fd());
}

/// There is no way past the system-wide ceiling.
pub(crate) fn force_buffers(_fd: BorrowedFd<'_>, _bytes: libc::c_int) -> [bool; 2] {
    [false, false]
}

/// The address family of a socket.
pub(crate) fn family(fd: BorrowedFd<'_>) -> Option<libc::c_int> {
    // SAFETY: all zeroes is a valid sockaddr_storage.
    let mut address: libc::sockaddr_storage = unsafe { mem::zeroed() };
    let mut length = mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    // SAFETY: both pointers are to locals that outlive the call; `length` is the room there is.
    let rc = unsafe {
        libc::getsockname(
            fd.as_raw_fd(),
            ptr::from_mut(&mut address).cast(),
            &mut length,
        )
    };
    (rc == 0).then_some(libc::c_int::from(address.ss_family))
}

/// There is no netlink here.
pub(crate) fn is_netlink(_family: libc::c_int) -> bool {
    false
}

/// Nothing here has a kind beyond what `fstat` says.
pub(crate) fn named_kind(_fd: BorrowedFd<'_>) -> Option<Kind> {
    None
}

/// A descriptor that becomes readable when the process `pid` has ended.
pub(crate) fn watch_process(pid: libc::pid_t) -> io::Result<OwnedFd> {
    // SAFETY: takes no arguments.
    let raw = unsafe { libc::kqueue() };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us alone.
    let queue = unsafe { OwnedFd::from_raw_fd(raw) };
    super::fd::set_close_on_exec(raw)?;
    // SAFETY: all zeroes is a valid kevent.
    let mut event: libc::kevent = unsafe { mem::zeroed() };
    event.ident = pid as libc::uintptr_t;
    event.filter = libc::EVFILT_PROC;
    event.flags = libc::EV_ADD;
    event.fflags = libc::NOTE_EXIT;
    // SAFETY: one change is read from a local; no room for events is offered.
    let rc = unsafe { libc::kevent(raw, &event, 1, ptr::null_mut(), 0, ptr::null()) };
    if rc < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(queue)
}

/// A stream socket of `family`, close-on-exec.
pub(crate) fn stream_socket(family: nix::sys::socket::AddressFamily) -> io::Result<OwnedFd> {
    use nix::sys::socket::{SockFlag, SockType, socket};
    use std::os::fd::AsRawFd;
    let made = socket(family, SockType::Stream, SockFlag::empty(), None)?;
    super::fd::set_close_on_exec(made.as_raw_fd())?;
    Ok(made)
}
