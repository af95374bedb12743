//! Waking an event loop of any process of this user.
//!
//! An event loop watches descriptors, not words in memory, and processes that only share a name
//! cannot be given one. So each environment has one FIFO in the run directory, its [`EnvironmentBell`],
//! named by the identity of its process and its number there. A [`Ringer`] opens it by name and
//! writes a byte.
//!
//! Ringing never waits, never raises SIGPIPE and is never lost: both ends have the FIFO open for
//! reading as well as writing, so it has a reader whatever happens, and a full one has rings in
//! it already. One that is taken down is filled first: whoever still has it open cannot ring it,
//! finds out why, and looks for its successor. So a ring is one system call.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd::{read, write};

use super::dir::{Dir, retry};
use super::fd::Kind;
use super::file::{Error, Lock, meta, try_lock};
use super::{fd, identity, shared};

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
    environment: u32,
}

/// What became of an attempt to hang up a bell.
enum Hung {
    /// The name was free, or somebody dead had it. The FIFO is locked.
    Free(OwnedFd),
    /// Another environment has the name.
    Taken,
    /// Somebody has just removed what was there.
    Again,
}

fn hang(dir: &Dir, name: &OsStr) -> Result<Hung, Error> {
    match shared::make_fifo(dir.as_fd(), name) {
        Ok(()) => {}
        // Of this process; or of one that had its number within the same tick and is dead.
        Err(Errno::EEXIST) => {
            return match remove_abandoned(dir, name) {
                Ok(true) => Ok(Hung::Again),
                Ok(false) => Ok(Hung::Taken),
                Err(error) if error.is_not_found() => Ok(Hung::Again),
                Err(error) => Err(error),
            };
        }
        Err(errno) => return Err(Error::os("mknodat")(errno)),
    }
    let fifo = match dir.open(name, Kind::Fifo) {
        Ok((fifo, _)) => fifo,
        Err(error) if error.is_not_found() => return Ok(Hung::Again),
        Err(error) => return Err(error),
    };
    // Whoever cleans the directory may have taken it for abandoned before it was locked.
    if try_lock(fifo.as_fd(), Lock::Exclusive)? && meta(fifo.as_fd())?.links == 1 {
        Ok(Hung::Free(fifo))
    } else {
        Ok(Hung::Again)
    }
}

impl EnvironmentBell {
    /// Hangs up a bell of this process in `dir`, for the environment with the first free number
    /// from `first` on. It holds an exclusive lock as long as it hangs.
    ///
    /// A number may be used again, by another copy of the program's library for instance: ringers
    /// notice. `u32::MAX` is nobody's.
    pub fn new(dir: &Dir, first: u32) -> Result<EnvironmentBell, Error> {
        let identity = identity::own().map_err(Error::io("/proc"))?;
        let dir = dir.duplicate()?;
        let mut environment = first;
        while environment < u32::MAX {
            let name = name(identity, environment);
            match hang(&dir, &name)? {
                Hung::Free(fifo) => {
                    return Ok(EnvironmentBell {
                        fifo,
                        dir,
                        name,
                        identity,
                        environment,
                    });
                }
                Hung::Taken => environment += 1,
                Hung::Again => {}
            }
        }
        Err(Error::os("mknodat")(Errno::EBUSY))
    }

    /// The number of the environment.
    pub fn environment(&self) -> u32 {
        self.environment
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

impl EnvironmentBell {
    /// Leaves no room for a ring.
    fn fill(&self) {
        // By pages, and then what is left of the last one. It ends, even if somebody takes rings out.
        for size in [4096, 1] {
            for _ in 0..4096 {
                if retry(|| write(&self.fifo, &[0; 4096][..size])).is_err() {
                    break;
                }
            }
        }
    }
}

impl Drop for EnvironmentBell {
    fn drop(&mut self) {
        // A child made by `fork` has a copy of this value, but not of the bell.
        if identity::own().is_ok_and(|own| own == self.identity) {
            // Before the name is free: nobody rings this one when there can be another.
            self.fill();
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
    ropes: Mutex<Ropes>,
}

#[derive(Debug)]
struct Ropes {
    /// The one rung last is the last.
    open: Vec<Rope>,
    /// Given up when the process has no descriptors left: somebody sleeps until it is rung.
    spare: Option<OwnedFd>,
}

#[derive(Debug)]
struct Rope {
    identity: u64,
    environment: u32,
    fifo: OwnedFd,
    checked: Option<Instant>,
}

impl Rope {
    fn is_believed(&self, now: Instant) -> bool {
        self.checked
            .is_some_and(|checked| now.duration_since(checked) < BELIEVED)
    }

    /// Whether the bell still hangs. One that was taken down may have a successor of its name.
    fn hangs(&self) -> bool {
        meta(self.fifo.as_fd()).is_ok_and(|found| found.links > 0)
    }

    /// Whether the process at the other end still runs.
    fn answers(&mut self, now: Instant) -> bool {
        self.checked = Some(now);
        identity::alive(self.identity)
    }
}

impl Ringer {
    /// Rings the bells that hang in `dir`.
    pub fn new(dir: &Dir) -> Result<Ringer, Error> {
        let ropes = Ropes {
            open: Vec::new(),
            spare: fd::duplicate(dir.as_fd()).ok(),
        };
        Ok(Ringer {
            dir: dir.duplicate()?,
            ropes: Mutex::new(ropes),
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
            .open
            .iter()
            .position(|rope| (rope.identity, rope.environment) == (identity, environment));
        let known = known.map(|index| ropes.open.remove(index));
        let mut rope = match known.filter(|rope| rope.is_believed(now) || rope.hangs()) {
            Some(rope) => rope,
            None => {
                let Some(fifo) = self.reach(&name(identity, environment), &mut ropes) else {
                    return false;
                };
                if ropes.open.len() == ROPES {
                    ropes.open.remove(0);
                }
                Rope {
                    identity,
                    environment,
                    fifo,
                    checked: None,
                }
            }
        };
        if !rope.is_believed(now) && !rope.answers(now) {
            return false;
        }
        let rung = match retry(|| write(&rope.fifo, &[1])) {
            Ok(_) => true,
            Err(Errno::EAGAIN) if !rope.hangs() => {
                // Filled when it was taken down. There may be another of its name.
                drop(ropes);
                return self.ring(identity, environment);
            }
            // Full of rings that nobody has taken out, for which there may be a reason.
            Err(Errno::EAGAIN) => rope.answers(now),
            Err(_) => false,
        };
        if rung {
            ropes.open.push(rope);
        }
        if ropes.spare.is_none() {
            ropes.spare = fd::duplicate(self.dir.as_fd()).ok();
        }
        rung
    }

    /// Opens a bell, with a descriptor kept for that if there is no other.
    fn reach(&self, name: &OsStr, ropes: &mut Ropes) -> Option<OwnedFd> {
        let opened = match self.dir.open(name, Kind::Fifo) {
            Err(error) if matches!(error.errno(), Some(libc::EMFILE | libc::ENFILE)) => {
                ropes.open.clear();
                ropes.spare = None;
                self.dir.open(name, Kind::Fifo)
            }
            other => other,
        };
        opened.ok().map(|(fifo, _)| fifo)
    }
}
