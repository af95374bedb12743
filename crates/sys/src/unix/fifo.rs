//! Waking an event loop of any process of this user.
//!
//! An event loop watches descriptors, not words in memory, and processes that only share a name
//! cannot be given one. So each environment has one FIFO in the run directory, its [`EnvironmentBell`],
//! named by the identity of its process and its number there. A [`Ringer`] opens it by name and
//! writes a byte.
//!
//! Ringing never waits, never raises SIGPIPE and is never lost: both ends have the FIFO open for
//! reading as well as writing, so it has a reader whatever happens, and a full one has rings in
//! it already.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd::{read, write};

use super::dir::{Dir, retry};
use super::fd::Kind;
use super::file::{Error, Lock, meta, try_lock};
use super::{identity, shared};

const SUFFIX: &str = ".bell";

/// Name of the bell of an environment in the run directory.
pub fn name(identity: u64, environment: u32) -> OsString {
    format!("{identity:016x}-{environment}{SUFFIX}").into()
}

/// Whose bell a name in the run directory is: identity and environment. `None` if it is no
/// name of a bell.
pub fn owner(name: &str) -> Option<(u64, u32)> {
    let (identity, environment) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    let owner = (
        u64::from_str_radix(identity, 16).ok()?,
        environment.parse().ok()?,
    );
    (self::name(owner.0, owner.1).to_str() == Some(name)).then_some(owner)
}

/// The FIFO of an environment: readable when somebody has rung. Removed with this value.
#[derive(Debug)]
pub struct EnvironmentBell {
    fifo: OwnedFd,
    dir: Dir,
    name: OsString,
    identity: u64,
}

impl EnvironmentBell {
    /// Hangs up the bell of environment `environment` of this process in `dir`. It holds an
    /// exclusive lock as long as it hangs: `EBUSY` if this environment has one already.
    pub fn new(dir: &Dir, environment: u32) -> Result<EnvironmentBell, Error> {
        let identity = identity::own().map_err(Error::io("/proc"))?;
        let name = name(identity, environment);
        let dir = dir.duplicate()?;
        // Whoever cleans the directory may take the new one for an abandoned one before it is
        // locked. It then has no name any more.
        for _ in 0..100 {
            match shared::make_fifo(dir.as_fd(), &name) {
                Ok(()) => {}
                // Nobody else has this identity. Either it is being taken for abandoned, or a
                // process that had this number within the same tick has left it.
                Err(Errno::EEXIST) => {
                    match remove_abandoned(&dir, &name) {
                        Ok(true) => {}
                        Ok(false) => thread::sleep(Duration::from_millis(1)),
                        Err(error) if error.is_not_found() => {}
                        Err(error) => return Err(error),
                    }
                    continue;
                }
                Err(errno) => return Err(Error::os("mknodat")(errno)),
            }
            let fifo = match dir.open(&name, Kind::Fifo) {
                Ok((fifo, _)) => fifo,
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error),
            };
            if try_lock(fifo.as_fd(), Lock::Exclusive)? && meta(fifo.as_fd())?.links == 1 {
                return Ok(EnvironmentBell {
                    fifo,
                    dir,
                    name,
                    identity,
                });
            }
        }
        Err(Error::os("mknodat")(Errno::EBUSY))
    }

    /// Takes the rings out; whether there were any. At most 64 KiB of them, so that a flood does
    /// not hold up the caller: what is left makes the FIFO readable again.
    ///
    /// To be called before looking at what the ring was about, never after.
    pub fn drain(&self) -> bool {
        let mut rings = [0; 4096];
        let mut any = false;
        for _ in 0..16 {
            match retry(|| read(&self.fifo, &mut rings)) {
                Ok(0) | Err(_) => break,
                Ok(count) => {
                    any = true;
                    if count < rings.len() {
                        break;
                    }
                }
            }
        }
        any
    }
}

impl AsFd for EnvironmentBell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fifo.as_fd()
    }
}

impl Drop for EnvironmentBell {
    fn drop(&mut self) {
        // A child made by `fork` has a copy of this value, but not of the bell.
        if identity::own().is_ok_and(|own| own == self.identity) {
            let _ = self.dir.remove(&self.name);
        }
    }
}

/// Removes a bell whose environment is gone; `false` if it is not.
///
/// A name is taken away only by who holds the lock of the FIFO it stands for, so it never passes
/// to another FIFO between the look and the removal.
pub fn remove_abandoned(dir: &Dir, name: &OsStr) -> Result<bool, Error> {
    let (fifo, found) = dir.open(name, Kind::Fifo)?;
    if !try_lock(fifo.as_fd(), Lock::Exclusive)? {
        return Ok(false);
    }
    match dir.look(name)? {
        Some(now) if now.same(&found) => dir.remove(name),
        _ => Ok(false),
    }
}

/// How many bells a ringer keeps open.
const ROPES: usize = 64;
/// For how long a bell is believed to be somebody's.
const BELIEVED: Duration = Duration::from_secs(1);

/// Rings the bells of other environments, and of other processes.
#[derive(Debug)]
pub struct Ringer {
    dir: Dir,
    ropes: Mutex<Vec<Rope>>,
}

#[derive(Debug)]
struct Rope {
    identity: u64,
    environment: u32,
    fifo: OwnedFd,
    checked: Option<Instant>,
}

impl Rope {
    /// Whether there is still somebody at the other end.
    fn holds(&mut self, now: Instant) -> bool {
        self.checked = Some(now);
        meta(self.fifo.as_fd()).is_ok_and(|found| found.links > 0) && identity::alive(self.identity)
    }
}

impl Ringer {
    /// Rings the bells that hang in `dir`.
    pub fn new(dir: &Dir) -> Result<Ringer, Error> {
        Ok(Ringer {
            dir: dir.duplicate()?,
            ropes: Mutex::new(Vec::new()),
        })
    }

    /// Rings the bell of an environment; `false` if it has none, or if its process is dead.
    ///
    /// Costs one system call when it was rung within the last second. The 64 bells rung
    /// last are kept open.
    pub fn ring(&self, identity: u64, environment: u32) -> bool {
        let mut ropes = self.ropes.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let known = ropes
            .iter()
            .position(|rope| (rope.identity, rope.environment) == (identity, environment));
        // The one rung last is the last.
        let mut rope = match known {
            Some(index) => ropes.remove(index),
            None => {
                let Ok((fifo, _)) = self.dir.open(&name(identity, environment), Kind::Fifo) else {
                    return false;
                };
                if ropes.len() == ROPES {
                    ropes.remove(0);
                }
                Rope {
                    identity,
                    environment,
                    fifo,
                    checked: None,
                }
            }
        };
        let believed = rope
            .checked
            .is_some_and(|checked| now.duration_since(checked) < BELIEVED);
        if !believed && !rope.holds(now) {
            return false;
        }
        let rung = match retry(|| write(&rope.fifo, &[1])) {
            Ok(_) => true,
            // Full of rings that nobody has taken out, for which there may be a reason.
            Err(Errno::EAGAIN) => rope.holds(now),
            Err(_) => false,
        };
        if rung {
            ropes.push(rope);
        }
        rung
    }
}
