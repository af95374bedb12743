//! macOS and the BSDs: no flags that act atomically, no `SO_DOMAIN`, kqueue for processes.
//!
//! Close-on-exec is set right after a descriptor appears, so a concurrent fork may still
//! inherit one; `CAPS.atomic_close_on_exec` says so.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::{io, mem, ptr};

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, socket, socketpair};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};
use nix::unistd::{Gid, Uid, fchownat};

use super::fd::Kind;
use crate::caps::Caps;

pub(crate) const CAPS: Caps = Caps {
    descriptor_passing: true,
    atomic_close_on_exec: false,
    descriptors_survive_sender: false,
    die_with_parent: true,
    shared_memory: false,
};

/// Threads are not bound to processors here.
pub(crate) fn bound_to_one() -> bool {
    false
}

/// Flags of every receive.
pub(crate) const RECEIVE_FLAGS: libc::c_int = 0;
/// Flags of every send; SIGPIPE is switched off at the socket by [`silence`].
pub(crate) const SEND_FLAGS: libc::c_int = 0;

/// The kernel may take a part of what is sent, and keep the rest apart.
pub(crate) const RIGHTS_TRAVEL_TOGETHER: bool = false;

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
pub(crate) fn stream_socket(family: AddressFamily) -> io::Result<OwnedFd> {
    let made = socket(family, SockType::Stream, SockFlag::empty(), None)?;
    super::fd::set_close_on_exec(made.as_raw_fd())?;
    Ok(made)
}

/// A socket that is close-on-exec and never waits.
pub(crate) fn open_socket(family: AddressFamily, kind: SockType) -> io::Result<OwnedFd> {
    let made = socket(family, kind, SockFlag::empty(), None)?;
    prepare(&made)?;
    Ok(made)
}

/// Takes a connection, which is close-on-exec and never waits.
pub(crate) fn accept(listener: BorrowedFd<'_>) -> nix::Result<OwnedFd> {
    let raw = nix::sys::socket::accept(listener.as_raw_fd())?;
    // SAFETY: the kernel has just made this descriptor for us alone.
    let taken = unsafe { OwnedFd::from_raw_fd(raw) };
    prepare(&taken).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
    Ok(taken)
}

fn prepare(fd: &OwnedFd) -> io::Result<()> {
    super::fd::set_close_on_exec(fd.as_raw_fd())?;
    super::stream::set_nonblocking(fd.as_fd(), true)?;
    silence(fd.as_fd());
    Ok(())
}

/// Nothing here sets the mode of a file that is not there yet.
pub(crate) fn set_birth_mode(_socket: BorrowedFd<'_>, _mode: Mode) -> nix::Result<()> {
    Ok(())
}

/// Sets the mode of a name; a link is not followed. There is no way to hold the file of a socket here.
pub(crate) fn set_mode(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    mode: Mode,
    _check: impl Fn(BorrowedFd<'_>) -> bool,
) -> nix::Result<()> {
    fchmodat(dir, name, mode, FchmodatFlags::NoFollowSymlink)
}

/// Sets the owner of a name; a link is not followed.
pub(crate) fn set_owner(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    (uid, gid): (Option<Uid>, Option<Gid>),
    _check: impl Fn(BorrowedFd<'_>) -> bool,
) -> nix::Result<()> {
    fchownat(dir, name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW)
}

/// The path itself: an open directory cannot be part of an address here.
pub(crate) fn path_in(_dir: BorrowedFd<'_>, _name: &OsStr, path: &Path) -> PathBuf {
    path.to_owned()
}

/// The path itself, for the same reason.
pub(crate) fn path_to(
    _dir: Option<(BorrowedFd<'_>, &OsStr)>,
    path: &Path,
) -> nix::Result<(PathBuf, Option<OwnedFd>)> {
    Ok((path.to_owned(), None))
}

/// The path itself, for the same reason.
pub(crate) fn hold(path: &Path) -> nix::Result<(PathBuf, Option<OwnedFd>)> {
    Ok((path.to_owned(), None))
}

/// Nothing tells who has sent a packet.
pub(crate) fn pass_credentials(_fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(())
}

/// Nothing tells who has sent a packet.
pub(crate) fn sender(_header: &libc::msghdr) -> Option<(Option<u32>, u32, u32)> {
    None
}

/// A receive tells only what it has received, and whether that is all.
pub(crate) const WHOLE_LENGTH: libc::c_int = 0;

/// How long the next packet is, or more: with what the system keeps beside it, and behind it.
pub(crate) fn next_length(fd: BorrowedFd<'_>) -> io::Result<usize> {
    let mut length: libc::c_int = 0;
    // SAFETY: the pointer is to a local that outlives the call.
    match unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONREAD, &mut length) } {
        0 => Ok(usize::try_from(length).unwrap_or(0)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// There is no such namespace here.
pub(crate) fn abstract_address(_name: &[u8]) -> nix::Result<UnixAddr> {
    Err(Errno::ENOTSUP)
}

/// There is no such namespace here.
pub(crate) fn abstract_name(_address: &UnixAddr) -> Option<Vec<u8>> {
    None
}

/// Who is at the other end of a connected UNIX socket: nothing here tells the pid.
pub(crate) fn credentials(fd: BorrowedFd<'_>) -> nix::Result<(Option<u32>, u32, u32)> {
    let (mut uid, mut gid) = (0, 0);
    // SAFETY: both pointers are to locals that outlive the call.
    let rc = unsafe { libc::getpeereid(fd.as_raw_fd(), &mut uid, &mut gid) };
    if rc == 0 {
        Ok((None, uid, gid))
    } else {
        Err(Errno::last())
    }
}

/// Only the first group is told here.
pub(crate) fn groups(_fd: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    Ok(Vec::new())
}

/// What `poll` calls a peer that sends no more.
pub(crate) const PEER_CLOSED: libc::c_short = libc::POLLHUP;

/// A set of descriptors that are told of when they have something new.
pub(crate) fn new_edges() -> io::Result<OwnedFd> {
    // SAFETY: takes no arguments.
    let raw = unsafe { libc::kqueue() };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us alone.
    let queue = unsafe { OwnedFd::from_raw_fd(raw) };
    super::fd::set_close_on_exec(raw)?;
    Ok(queue)
}

fn edge_control(
    set: BorrowedFd<'_>,
    flags: u16,
    fd: BorrowedFd<'_>,
    number: u64,
) -> io::Result<()> {
    // SAFETY: all zeroes is a valid kevent.
    let mut event: libc::kevent = unsafe { mem::zeroed() };
    event.ident = fd.as_raw_fd() as libc::uintptr_t;
    event.filter = libc::EVFILT_READ;
    event.flags = flags;
    event.udata = number as usize as *mut libc::c_void;
    // SAFETY: one change is read from a local; no room for events is offered.
    let rc = unsafe { libc::kevent(set.as_raw_fd(), &event, 1, ptr::null_mut(), 0, ptr::null()) };
    if rc < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Adds a descriptor to such a set.
pub(crate) fn add_edge(set: BorrowedFd<'_>, fd: BorrowedFd<'_>, number: u64) -> io::Result<()> {
    edge_control(set, libc::EV_ADD | libc::EV_CLEAR, fd, number)
}

/// Takes a descriptor out of such a set.
pub(crate) fn remove_edge(set: BorrowedFd<'_>, fd: BorrowedFd<'_>) -> io::Result<()> {
    edge_control(set, libc::EV_DELETE, fd, 0)
}

/// The numbers of those that have something new.
pub(crate) fn take_edges(set: BorrowedFd<'_>, numbers: &mut Vec<u64>) -> io::Result<()> {
    // SAFETY: all zeroes are valid kevents.
    let mut events: [libc::kevent; 64] = unsafe { mem::zeroed() };
    let at_once = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointers are to locals, one with room for as many events; it does not wait.
    let count = unsafe {
        libc::kevent(
            set.as_raw_fd(),
            ptr::null(),
            0,
            events.as_mut_ptr(),
            64,
            &at_once,
        )
    };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    numbers.extend(
        events[..count]
            .iter()
            .map(|event| event.udata as usize as u64),
    );
    Ok(())
}

/// These systems let sockets share a port and give every connection to one of them.
pub(crate) fn spread(_fd: BorrowedFd<'_>, _places: &[u32]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Asked where connections are spread.
pub(crate) fn silent_for(_fd: BorrowedFd<'_>) -> io::Result<std::time::Duration> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Who has memory to share with others needs one; here nobody has.
pub(crate) fn new_chime() -> io::Result<OwnedFd> {
    Err(io::ErrorKind::Unsupported.into())
}

/// There is none.
pub(crate) fn ring_chime(_fd: BorrowedFd<'_>) {}

/// There is nothing that could have withdrawn it.
pub(crate) fn take_claim(_raw: RawFd, _number: u64) -> io::Result<bool> {
    Ok(true)
}

/// Locks of open files are not in the interface of these systems.
pub(crate) fn withdraw_claim(_fd: BorrowedFd<'_>, _number: u64) -> io::Result<bool> {
    Ok(false)
}

/// Nor can they be asked for.
pub(crate) fn is_claim_taken(_fd: BorrowedFd<'_>, _number: u64) -> io::Result<bool> {
    Err(io::ErrorKind::Unsupported.into())
}

/// These systems do not count what a connection has brought.
pub(crate) fn is_untouched(_fd: BorrowedFd<'_>) -> io::Result<bool> {
    Err(io::ErrorKind::Unsupported.into())
}
