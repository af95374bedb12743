//! Descriptors for a new process, ending together with the parent, threads that leave signals to
//! the program, which processes there are, and the user this one runs as.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::{io, thread};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{Pid, geteuid, getpid, getppid};

use super::{system, wait};

/// Whether another process can run while this thread does: it has several processors, or is bound to
/// one of several, where the other process need not be.
pub fn others_run_meanwhile() -> bool {
    let several = thread::available_parallelism().is_ok_and(|count| count.get() > 1);
    several || system::bound_to_one()
}

/// Lets the process that `command` starts have `fd` under this number. `fd` is closed with
/// `command`.
///
/// The number must not be 0, 1 or 2, which `command` fills itself. It should be in use here, or
/// the one that `fd` has: the command reports a failed start through a descriptor of its own, which
/// takes the lowest free number.
pub fn hand_down(command: &mut Command, fd: OwnedFd, number: RawFd) {
    let place = move || {
        let raw = fd.as_raw_fd();
        if raw == number {
            // SAFETY: F_SETFD takes an integer; `fd` is open.
            let rc = unsafe { libc::fcntl(raw, libc::F_SETFD, 0) };
            return if rc < 0 {
                Err(io::Error::last_os_error())
            } else {
                Ok(())
            };
        }
        loop {
            // SAFETY: takes two integers. What `number` was in the new process is closed: it is
            // a copy of this one's that the program it becomes knows nothing of.
            if unsafe { libc::dup2(raw, number) } >= 0 {
                return Ok(());
            }
            super::rights::retry_if_interrupted()?;
        }
    };
    // SAFETY: between fork and exec the closure calls fcntl and dup2, which POSIX allows there,
    // and reads errno. It neither allocates nor takes a lock, and `fd` is not dropped there.
    unsafe { command.pre_exec(place) };
}

/// Starts a thread that ends this process with SIGKILL once the process `parent` has ended.
///
/// `ESRCH` at once if `parent` is not (or no longer) this process's parent: the caller decides
/// what an orphan does.
pub fn die_with(parent: u32) -> io::Result<()> {
    let pid = libc::pid_t::try_from(parent).map_err(|_| Errno::ESRCH)?;
    if getppid().as_raw() != pid {
        return Err(Errno::ESRCH.into());
    }
    let watched = system::watch_process(pid)?;
    // The number may have passed to another process between the check and the call. It has
    // not if the parent is the same now: a parent that has ended never comes back.
    if getppid().as_raw() != pid {
        return Err(Errno::ESRCH.into());
    }
    thread::Builder::new()
        .name("rsipc-parent".into())
        .stack_size(64 * 1024)
        .spawn(move || {
            leave_signals();
            let readable = wait::Interest {
                readable: true,
                writable: false,
            };
            // An error ends the watch, not the process, unless the parent is gone already.
            let ended = wait::ready(watched.as_fd(), readable, None).is_ok();
            if ended || getppid().as_raw() != pid {
                let _ = kill(getpid(), Signal::SIGKILL);
            }
        })?;
    Ok(())
}

/// The user that files this process makes belong to.
pub fn effective_user() -> u32 {
    geteuid().as_raw()
}

/// Whether some process has this number: perhaps one that has ended and was not yet waited for.
pub fn exists(pid: u32) -> bool {
    i32::try_from(pid)
        .is_ok_and(|pid| pid > 0 && kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH))
}

/// Blocks every signal in the calling thread, so that handlers run where the program expects
/// them.
pub fn leave_signals() {
    // Fails only for a wrong `how`, which this is not.
    let _ = SigSet::all().thread_block();
}
