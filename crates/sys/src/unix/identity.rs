//! Which process: its number together with the moment it started.
//!
//! A number alone is given to another process sooner or later, and what a dead process left in
//! shared memory would then look alive. An identity is one word, so that it fits where a lock
//! or a slot of a table is claimed with one compare-and-swap:
//!
//! ```text
//! 63                42 41                                                   0
//! |  pid (22 bits)    |  start time in clock ticks since the boot (42 bits)  |
//! ```
//!
//! Linux never gives a pid of 2^22 or more, and 2^42 ticks of 10 ms are 1,394 years. Zero is
//! nobody. Two processes have one identity only if the system hands out all its pids within one
//! tick of 10 ms.
//!
//! An identity means something among processes that see each other: of one boot and one pid
//! namespace. [`world`] names that; whoever finds an identity from another world can neither
//! say that its process lives nor that it is dead, and has to refuse it.
//!
//! A process that replaces its program (`exec`) keeps its identity, although what it had mapped
//! is gone: what it held in shared memory stays held until it ends.

use std::io;
use std::sync::atomic::Ordering;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::{Pid, getpid};

use super::{lives, shared};

const START_BITS: u32 = 42;
const START_MASK: u64 = (1 << START_BITS) - 1;

/// Identity of the calling process. Never 0.
///
/// Costs a load after the first time. `Unsupported` where the system does not tell when a process
/// started, or where `/proc` is missing or shows another pid namespace.
pub fn own() -> io::Result<u64> {
    let known = known();
    if known != 0 {
        return Ok(known);
    }
    let pid = getpid().as_raw();
    shared::require_own_processes()?;
    let identity = pack(pid, shared::status(pid)?.start)?;
    if let Some(word) = shared::wiped_on_fork() {
        word.store(identity, Ordering::Relaxed);
    }
    Ok(identity)
}

/// Identity of the calling process if [`own`] has found it; otherwise 0, also in a child made by
/// `fork`.
fn known() -> u64 {
    shared::wiped_on_fork().map_or(0, |word| word.load(Ordering::Relaxed))
}

/// Identity of the process that has this number now; `None` if no process has.
pub fn of(pid: i32) -> io::Result<Option<u64>> {
    match shared::status(pid) {
        Ok(status) if status.ended => Ok(None),
        Ok(status) => pack(pid, status.start).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the process with this identity still runs.
///
/// A zombie does not run, unless a thread of it is left. When the system does not tell, the
/// answer is `true`: what is held stays held, rather than being held twice. Costs nothing for the
/// calling process, a system call for a number nobody has, and about 10 µs for one in use; in a
/// process that has asked for its [`own`] identity only the first time, and then a system call. For
/// that the process holds up to 128 descriptors, close-on-exec, of processes asked about.
pub fn alive(identity: u64) -> bool {
    let pid = pid_of(identity);
    if pid == 0 {
        return false;
    }
    let me = known();
    if identity == me {
        return true;
    }
    if me == 0 {
        return look(identity, pid);
    }
    if lives::runs(identity, me) {
        return true;
    }
    // Opened before it is asked who it is. If the number has gone to another process in between,
    // the descriptor tells of the end of the former one, and is given up.
    lives::bury(identity, me);
    let descriptor = shared::open_process(pid);
    let alive = look(identity, pid);
    if alive && let Some(descriptor) = descriptor {
        lives::remember(identity, descriptor, me);
    }
    alive
}

/// The same without anything remembered.
fn look(identity: u64, pid: i32) -> bool {
    if nobody_has(pid) {
        return false;
    }
    match shared::status(pid) {
        Ok(status) => !status.ended && status.start & START_MASK == identity & START_MASK,
        // It has ended since, or `/proc` hides the processes of other users.
        Err(_) => !nobody_has(pid),
    }
}

/// The number in an identity: 0 for nobody.
pub fn pid_of(identity: u64) -> i32 {
    // 22 bits always fit.
    (identity >> START_BITS) as i32
}

/// Names the boot and the pid namespace this process is in. Equal words mean that identities
/// can be compared; never 0.
pub fn world() -> io::Result<u64> {
    shared::world()
}

fn pack(pid: i32, start: u64) -> io::Result<u64> {
    match u64::try_from(pid) {
        Ok(number) if number != 0 && number < 1 << (64 - START_BITS) => {
            Ok(number << START_BITS | start & START_MASK)
        }
        _ => Err(Errno::EINVAL.into()),
    }
}

fn nobody_has(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_holds_the_pid_and_zero_is_nobody() {
        assert_eq!(pid_of(pack(4_194_303, u64::MAX).unwrap()), 4_194_303);
        assert_eq!(pack(1, 7).unwrap(), 1 << 42 | 7);
        for pid in [0, -1, 4_194_304, i32::MAX, i32::MIN] {
            assert!(pack(pid, 7).is_err(), "{pid}");
        }
        assert!(!alive(0));
        assert!(!alive(START_MASK));
    }
}
