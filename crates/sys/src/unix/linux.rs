//! Linux: flags that act atomically, `SO_DOMAIN`, `/proc` links, pidfds.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{io, mem};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open, openat};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, accept4, getsockopt, setsockopt, socket,
    socketpair, sockopt,
};
use nix::sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat};
use nix::unistd::{Gid, Uid, fchownat};

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

/// What one call sends with descriptors is one buffer of the kernel's, up to its size.
pub(crate) const RIGHTS_TRAVEL_TOGETHER: bool = true;

/// A connected pair of stream sockets, close-on-exec from the start.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(
        AddressFamily::Unix,
        SockType::Stream,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?)
}

/// Whether this thread may run on one processor alone although there are others.
pub(crate) fn bound_to_one() -> bool {
    // SAFETY: a set of integers, of which zeros are a valid one.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: writes at most the size it is given.
    let rc = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) };
    // SAFETY: takes an integer.
    let online = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    // SAFETY: counts bits of an initialised set.
    rc == 0 && unsafe { libc::CPU_COUNT(&set) } == 1 && online > 1
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
pub(crate) fn stream_socket(family: AddressFamily) -> io::Result<OwnedFd> {
    Ok(socket(
        family,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?)
}

/// A socket that is close-on-exec and never waits, from the start.
pub(crate) fn open_socket(family: AddressFamily, kind: SockType) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket(family, kind, flags, None)?)
}

/// Takes a connection that is close-on-exec and never waits, from the start.
pub(crate) fn accept(listener: BorrowedFd<'_>) -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let raw = accept4(listener.as_raw_fd(), flags)?;
    // SAFETY: the kernel has just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Sets the mode that the file of a UNIX socket is born with, less what the umask takes.
pub(crate) fn set_birth_mode(socket: BorrowedFd<'_>, mode: Mode) -> nix::Result<()> {
    fchmod(socket, mode)
}

/// Sets the mode of a name whose file `check` accepts; a link is not followed. (`fchmodat` can do that since Linux 6.6
/// only.)
pub(crate) fn set_mode(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    mode: Mode,
    check: impl Fn(BorrowedFd<'_>) -> bool,
) -> nix::Result<()> {
    let found = hold_checked(dir, name, check)?;
    fchmodat(
        AT_FDCWD,
        &*of_fd(found.as_fd()),
        mode,
        FchmodatFlags::FollowSymlink,
    )
}

/// Sets the owner of a name whose file `check` accepts; a link is not followed.
pub(crate) fn set_owner(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    (uid, gid): (Option<Uid>, Option<Gid>),
    check: impl Fn(BorrowedFd<'_>) -> bool,
) -> nix::Result<()> {
    let found = hold_checked(dir, name, check)?;
    fchownat(found, "", uid, gid, AtFlags::AT_EMPTY_PATH)
}

/// The file itself, whatever has its name afterwards.
fn hold_checked(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    check: impl Fn(BorrowedFd<'_>) -> bool,
) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let found = openat(dir, name, flags, Mode::empty())?;
    check(found.as_fd()).then_some(found).ok_or(Errno::ESTALE)
}

/// A path to a name in an open directory that fits into the address of a socket, as long as the
/// name does. `_path`, which leads there as well, need not.
pub(crate) fn path_in(dir: BorrowedFd<'_>, name: &OsStr, _path: &Path) -> PathBuf {
    of_fd(dir).join(name)
}

/// A path to a socket that fits into its address whatever `path` is, for as long as the second
/// part lives. With `dir`, `name` in it is meant, and a link is not followed.
pub(crate) fn path_to(
    dir: Option<(BorrowedFd<'_>, &OsStr)>,
    path: &Path,
) -> nix::Result<(PathBuf, Option<OwnedFd>)> {
    let reach = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let found = match dir {
        Some((dir, name)) => openat(dir, name, reach | OFlag::O_NOFOLLOW, Mode::empty())?,
        None if path.as_os_str().len() < PATH_ROOM => return Ok((path.to_owned(), None)),
        None => return hold(path),
    };
    Ok((of_fd(found.as_fd()), Some(found)))
}

/// A path to the very socket that `path` leads to, links followed, for as long as the second part
/// lives.
pub(crate) fn hold(path: &Path) -> nix::Result<(PathBuf, Option<OwnedFd>)> {
    let found = open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
    Ok((of_fd(found.as_fd()), Some(found)))
}

/// Room for a path in the address of a UNIX socket, the zero behind it included.
const PATH_ROOM: usize = 108;

fn of_fd(fd: BorrowedFd<'_>) -> PathBuf {
    format!("/proc/self/fd/{}", fd.as_raw_fd()).into()
}

/// The address of a name in the namespace that belongs to nobody.
pub(crate) fn abstract_address(name: &[u8]) -> nix::Result<UnixAddr> {
    UnixAddr::new_abstract(name)
}

/// The name of an address in that namespace.
pub(crate) fn abstract_name(address: &UnixAddr) -> Option<Vec<u8>> {
    address.as_abstract().map(<[u8]>::to_vec)
}

/// Who is at the other end of a connected UNIX socket: pid, uid, gid.
pub(crate) fn credentials(fd: BorrowedFd<'_>) -> nix::Result<(Option<u32>, u32, u32)> {
    let found = getsockopt(&fd, sockopt::PeerCredentials)?;
    // 0 is a process of another pid namespace.
    let pid = u32::try_from(found.pid()).ok().filter(|pid| *pid != 0);
    Ok((pid, found.uid(), found.gid()))
}

/// Has every packet carry who has sent it.
pub(crate) fn pass_credentials(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(setsockopt(&fd, sockopt::PassCred, &true)?)
}

/// Who has sent a packet, by its control data: pid, uid, gid.
pub(crate) fn sender(header: &libc::msghdr) -> Option<(Option<u32>, u32, u32)> {
    // SAFETY: recvmsg has filled in the header; its control data is still in place.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    // SAFETY: a pointer from the CMSG macros is null or points at a whole cmsghdr.
    while let Some(cmsg) = unsafe { next.as_ref() } {
        if cmsg.cmsg_level == libc::SOL_SOCKET && cmsg.cmsg_type == libc::SCM_CREDENTIALS {
            // SAFETY: `next` is a valid cmsghdr.
            let payload = unsafe { libc::CMSG_DATA(next) };
            // SAFETY: the kernel wrote a ucred there; it need not be aligned.
            let found = unsafe { payload.cast::<libc::ucred>().read_unaligned() };
            // 0 is a process of another pid namespace, or one that sent before it was asked.
            let pid = u32::try_from(found.pid).ok().filter(|pid| *pid != 0);
            return Some((pid, found.uid, found.gid));
        }
        // SAFETY: `next` came from the same header, which is unchanged.
        next = unsafe { libc::CMSG_NXTHDR(header, next) };
    }
    None
}

/// Has a receive tell how long a packet was, also where it did not fit.
pub(crate) const WHOLE_LENGTH: libc::c_int = libc::MSG_TRUNC;

/// How long the next packet is.
pub(crate) fn next_length(fd: BorrowedFd<'_>) -> io::Result<usize> {
    let flags = libc::MSG_PEEK | libc::MSG_TRUNC | libc::MSG_DONTWAIT;
    loop {
        // SAFETY: no memory is written: there is room for no byte.
        let length = unsafe { libc::recv(fd.as_raw_fd(), std::ptr::null_mut(), 0, flags) };
        match usize::try_from(length) {
            Ok(length) => return Ok(length),
            Err(_) => super::rights::retry_if_interrupted()?,
        }
    }
}

/// The other groups of who is at the other end.
pub(crate) fn groups(fd: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut groups: Vec<u32> = vec![0; 64];
    loop {
        let mut length = mem::size_of_val(&groups[..]) as libc::socklen_t;
        // SAFETY: the pointer and the length are those of live memory.
        let rc = unsafe {
            libc::getsockopt(
                fd.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &mut length,
            )
        };
        let count = length as usize / mem::size_of::<u32>();
        if rc == 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        match io::Error::last_os_error() {
            // The length is now what it takes; a user has at most 65,536.
            error if error.raw_os_error() == Some(libc::ERANGE) && count > groups.len() => {
                groups.resize(count, 0);
            }
            error => return Err(error),
        }
    }
}

/// What `poll` calls a peer that sends no more.
pub(crate) const PEER_CLOSED: libc::c_short = libc::POLLRDHUP;

/// A set of descriptors that are told of when they have something new.
pub(crate) fn new_edges() -> io::Result<OwnedFd> {
    // SAFETY: takes an integer.
    let raw = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

fn edge_control(
    set: BorrowedFd<'_>,
    operation: libc::c_int,
    fd: BorrowedFd<'_>,
    number: u64,
) -> io::Result<()> {
    let mut event = libc::epoll_event {
        events: (libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLET) as u32,
        u64: number,
    };
    // SAFETY: the event is a local that outlives the call.
    match unsafe { libc::epoll_ctl(set.as_raw_fd(), operation, fd.as_raw_fd(), &mut event) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Adds a descriptor to such a set.
pub(crate) fn add_edge(set: BorrowedFd<'_>, fd: BorrowedFd<'_>, number: u64) -> io::Result<()> {
    edge_control(set, libc::EPOLL_CTL_ADD, fd, number)
}

/// Takes a descriptor out of such a set.
pub(crate) fn remove_edge(set: BorrowedFd<'_>, fd: BorrowedFd<'_>) -> io::Result<()> {
    edge_control(set, libc::EPOLL_CTL_DEL, fd, 0)
}

/// The numbers of those that have something new.
pub(crate) fn take_edges(set: BorrowedFd<'_>, numbers: &mut Vec<u64>) -> io::Result<()> {
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 64];
    // SAFETY: the pointer is to a local with room for as many events; it does not wait.
    let count = unsafe { libc::epoll_wait(set.as_raw_fd(), events.as_mut_ptr(), 64, 0) };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    numbers.extend(events[..count].iter().map(|event| event.u64));
    Ok(())
}

/// The beginning of the kernel's `tcp_info`, as of Linux 4.6.
#[repr(C)]
struct TcpInfo {
    state: u8,
    _bytes: [u8; 7],
    _numbers: [u32; 11],
    last_data_received: u32,
    _more_numbers: [u32; 12],
    _rates: [u64; 2],
    _bytes_acked: u64,
    bytes_received: u64,
    _segments: [u32; 2],
    notsent_bytes: u32,
    _rtt_and_data_in: [u32; 2],
    data_segs_out: u32,
}

/// `TCP_ESTABLISHED` and `TCP_CLOSE_WAIT` of the kernel: this end has not been closed.
const ESTABLISHED: u8 = 1;
const CLOSE_WAIT: u8 = 8;

fn tcp_info(fd: BorrowedFd<'_>) -> io::Result<TcpInfo> {
    // SAFETY: all zeroes is a valid TcpInfo.
    let mut info: TcpInfo = unsafe { mem::zeroed() };
    let mut length = mem::size_of::<TcpInfo>() as libc::socklen_t;
    // SAFETY: both pointers are to locals that outlive the call; `length` is the room there is.
    let rc = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &mut length,
        )
    };
    if rc != 0 {
        return Err(io::Error::last_os_error());
    }
    if (length as usize) < mem::size_of::<TcpInfo>() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    Ok(info)
}

/// The kernel counts what has come, and has what was not fetched.
pub(crate) fn is_untouched(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let mut before = tcp_info(fd)?;
    loop {
        let open = [ESTABLISHED, CLOSE_WAIT].contains(&before.state);
        if !open || before.data_segs_out > 0 || before.notsent_bytes > 0 {
            return Ok(false);
        }
        let mut unread: libc::c_int = 0;
        // SAFETY: the request writes an integer, a local.
        if unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONREAD as _, &raw mut unread) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // The two numbers belong together if nothing has come meanwhile.
        let now = tcp_info(fd)?;
        if now.bytes_received == before.bytes_received {
            // The peer's end counts as a byte.
            let end = u64::from(now.state == CLOSE_WAIT && now.bytes_received > 0);
            return Ok(now.bytes_received - end <= unread.unsigned_abs().into());
        }
        before = now;
    }
}

/// A counter that only ever grows, close-on-exec.
pub(crate) fn new_chime() -> io::Result<OwnedFd> {
    // SAFETY: takes two integers.
    let raw = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Adds one, of which whoever waits for edges is told each time.
pub(crate) fn ring_chime(fd: BorrowedFd<'_>) {
    // SAFETY: the descriptor is open for the length of the call; a full counter is an error, and rung enough.
    unsafe { libc::eventfd_write(fd.as_raw_fd(), 1) };
}

/// Has a program choose: a random number, modulo how many there are, says which.
pub(crate) fn spread(fd: BorrowedFd<'_>, places: &[u32]) -> io::Result<()> {
    let statement = |code: u32, k: u32| libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    };
    let count = u32::try_from(places.len()).unwrap_or(u32::MAX);
    let random = (libc::SKF_AD_OFF + libc::SKF_AD_RANDOM) as u32;
    let mut program = vec![
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, random),
        statement(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, count.max(1)),
    ];
    for (number, &place) in (0..).zip(places) {
        // If it is this number, the next statement; else the one behind that.
        program.push(libc::sock_filter {
            jf: 1,
            ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, number)
        });
        program.push(statement(libc::BPF_RET | libc::BPF_K, place));
    }
    program.push(statement(libc::BPF_RET | libc::BPF_K, 0));
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the program is read from a local of the length given, which refers to the statements above.
    let rc = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size_of_val(&program) as libc::socklen_t,
        )
    };
    match rc {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// By milliseconds, as the kernel counts them.
pub(crate) fn silent_for(fd: BorrowedFd<'_>) -> io::Result<Duration> {
    let info = tcp_info(fd)?;
    Ok(Duration::from_millis(info.last_data_received.into()))
}

/// One byte that nobody reads, locked for writing.
fn record(number: u64) -> io::Result<libc::flock> {
    // SAFETY: all zeroes is a valid flock.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = number
        .try_into()
        .map_err(|_| io::Error::from_raw_os_error(libc::EOVERFLOW))?;
    lock.l_len = 1;
    Ok(lock)
}

fn set_lock(raw: RawFd, command: libc::c_int, number: u64) -> io::Result<bool> {
    let lock = record(number)?;
    // SAFETY: both commands read a flock, which outlives the call; a wrong descriptor is answered with EBADF.
    if unsafe { libc::fcntl(raw, command, &raw const lock) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Ok(false),
        _ => Err(error),
    }
}

/// The lock that would be in the way of one of the open file.
pub(crate) fn is_claim_taken(fd: BorrowedFd<'_>, number: u64) -> io::Result<bool> {
    let mut lock = record(number)?;
    // SAFETY: the command reads and writes a flock, which outlives the call.
    match unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) } {
        0 => Ok(lock.l_type != libc::F_UNLCK as libc::c_short),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A lock of this process.
pub(crate) fn take_claim(raw: RawFd, number: u64) -> io::Result<bool> {
    set_lock(raw, libc::F_SETLK, number)
}

/// A lock of the open file, whoever has it.
pub(crate) fn withdraw_claim(fd: BorrowedFd<'_>, number: u64) -> io::Result<bool> {
    set_lock(fd.as_raw_fd(), libc::F_OFD_SETLK, number)
}
