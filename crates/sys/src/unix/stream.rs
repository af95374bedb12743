//! Connected stream sockets.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::{mem, ptr};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{Shutdown, setsockopt, shutdown, sockopt};

use super::{rights, system};

/// The number of the error that a write to a peer which is gone ends with.
pub const BROKEN: i32 = libc::EPIPE;

/// A connected pair of UNIX stream sockets, both close-on-exec and blocking.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    system::pair()
}

/// Switches non-blocking mode of the open file behind `fd` on or off.
pub fn set_nonblocking(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    let wanted = if on {
        flags | OFlag::O_NONBLOCK
    } else {
        flags - OFlag::O_NONBLOCK
    };
    if wanted != flags {
        fcntl(fd, FcntlArg::F_SETFL(wanted))?;
    }
    Ok(())
}

/// Asks for send and receive buffers of `bytes`. The system may give less; that is no error.
pub fn set_buffers(fd: BorrowedFd<'_>, bytes: usize) -> io::Result<()> {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    let [sending, receiving] = system::force_buffers(fd, bytes);
    if !sending {
        set_option(fd, libc::SO_SNDBUF, bytes)?;
    }
    if !receiving {
        set_option(fd, libc::SO_RCVBUF, bytes)?;
    }
    Ok(())
}

/// Sends from several buffers in one call. A closed peer is `EPIPE`, never a signal.
pub fn send(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    let [only] = bufs else {
        return rights::send(fd, bufs, &[]);
    };
    loop {
        // SAFETY: the pointer and length are those of a live slice, which the call only reads.
        let sent = unsafe {
            libc::send(
                fd.as_raw_fd(),
                only.as_ptr().cast(),
                only.len(),
                system::SEND_FLAGS,
            )
        };
        match usize::try_from(sent) {
            Ok(sent) => return Ok(sent),
            Err(_) => rights::retry_if_interrupted()?,
        }
    }
}

/// Writes no more: the other end reads what was written, and then the end.
pub fn end(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(shutdown(fd.as_raw_fd(), Shutdown::Write)?)
}

/// Has an internet socket send what it is given without waiting for more (`TCP_NODELAY`).
pub fn send_at_once(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(setsockopt(&fd, sockopt::TcpNoDelay, &true)?)
}

/// Reads an integer socket option.
pub(super) fn option(fd: BorrowedFd<'_>, name: libc::c_int) -> io::Result<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut length = mem::size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: both pointers are to locals that outlive the call; `length` is the room there is.
    let rc = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            name,
            ptr::from_mut(&mut value).cast(),
            &mut length,
        )
    };
    if rc == 0 {
        Ok(value)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Sets an integer socket option.
pub(super) fn set_option(
    fd: BorrowedFd<'_>,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the value is read from a local of the length given.
    let rc = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            name,
            ptr::from_ref(&value).cast(),
            mem::size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if rc == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
