//! Ending together with the parent, and threads that leave signals to the program.

use std::os::fd::AsFd;
use std::{io, thread};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{getpid, getppid};

use super::{system, wait};

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

/// Blocks every signal in the calling thread, so that handlers run where the program expects
/// them.
pub fn leave_signals() {
    // Fails only for a wrong `how`, which this is not.
    let _ = SigSet::all().thread_block();
}
