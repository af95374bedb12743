//! The directory of this user in which names are.
//!
//! The first of these that there is:
//!
//! 1. `RSIPC_RUN_DIR`, if it is set: this directory and no other.
//! 2. `rsipc` in `XDG_RUNTIME_DIR`, if that belongs to this user alone.
//! 3. `rsipc-<uid>` in `/dev/shm`, or where there is none, in `/tmp`.
//!
//! It is made with mode 0700 if it is missing, opened without following a link, and judged
//! through its descriptor: it must belong to this user alone. Everything in it is then reached
//! through that descriptor, so whoever renames a directory above it changes nothing. A name in
//! `/dev/shm` that another user has taken first is an error and not passed over: the processes
//! of this user must not end up in different places.
//!
//! In it is one directory for each *world*, named by 16 hexadecimal digits: a boot of the
//! system and a pid namespace of it. A process of another container or of an earlier boot cannot
//! be told to live or to be dead by its number, so it gets no say here, and its names are its
//! own. As with sockets in the abstract namespace, what two containers are to share has to be
//! passed between them.
//!
//! Who uses a world holds a shared lock on its directory; see [`Registry::clean`].
//!
//! [`Registry::clean`]: super::Registry::clean

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rsipc_sys::dir::Dir;
use rsipc_sys::fd::Kind;
use rsipc_sys::file::{Error as SysError, Lock, Meta, try_lock};
use rsipc_sys::{caps, identity};

use super::error::ShmError;

/// How long anybody is waited for who should be done at once.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// The run directory, open, and this process's world in it.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    top: Dir,
    world: OsString,
    own: Dir,
}

impl RunDir {
    /// Opens the run directory that the environment says; makes it if it is missing.
    pub fn open() -> Result<RunDir, ShmError> {
        if let Some(chosen) = env::var_os("RSIPC_RUN_DIR").filter(|chosen| !chosen.is_empty()) {
            let chosen = PathBuf::from(chosen);
            if !chosen.is_absolute() {
                return Err(ShmError::RelativeRunDir { path: chosen });
            }
            return RunDir::at(&chosen);
        }
        RunDir::at(&usual(env::var_os("XDG_RUNTIME_DIR"))?)
    }

    /// Opens the run directory at `path`; makes it if only its last component is missing.
    ///
    /// The directory it is in must not let other users replace it: none but its owner may write
    /// there, or the sticky bit is set.
    pub fn at(path: &Path) -> Result<RunDir, ShmError> {
        if !caps::caps().shared_memory {
            return Err(ShmError::Unsupported {
                source: io::ErrorKind::Unsupported.into(),
            });
        }
        let world = identity::world().map_err(|source| ShmError::Unsupported { source })?;
        let refuse = |source| ShmError::RunDir {
            path: path.to_owned(),
            source,
        };
        let top = open_top(path).map_err(refuse)?;
        let world = OsString::from(format!("{world:016x}"));
        match open_world(&top, &world).map_err(refuse)? {
            Some(own) => Ok(RunDir {
                path: path.to_owned(),
                top,
                world,
                own,
            }),
            None => Err(ShmError::Busy),
        }
    }

    /// Where it was when it was opened. To be shown, not used: names are reached through the
    /// descriptor.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory of this process's world: bells hang here.
    pub fn dir(&self) -> &Dir {
        &self.own
    }

    /// An error of the system about the directory itself.
    pub(super) fn refused(&self, source: SysError) -> ShmError {
        ShmError::RunDir {
            path: self.path.clone(),
            source,
        }
    }

    /// The worlds of others that nobody is in, locked so that nobody enters, each with its name.
    pub(super) fn deserted(&self) -> Result<Vec<(Box<OsStr>, Dir)>, SysError> {
        let mut deserted = Vec::new();
        for name in self.top.names()? {
            let is_world = name
                .to_str()
                .is_some_and(|name| name.len() == 16 && u64::from_str_radix(name, 16).is_ok());
            if !is_world || *name == *self.world {
                continue;
            }
            let Ok(dir) = self.top.enter(&name) else {
                continue;
            };
            dir.meta()?.require_private(Kind::Directory)?;
            if try_lock(dir.as_fd(), Lock::Exclusive)? {
                deserted.push((name, dir));
            }
        }
        Ok(deserted)
    }

    /// Removes an empty world that is locked; `false` if it is not empty.
    pub(super) fn remove_world(&self, name: &OsStr) -> Result<bool, SysError> {
        self.top.remove_dir(name)
    }
}

/// Where the run directory is if nobody says otherwise.
fn usual(runtime_dir: Option<OsString>) -> Result<PathBuf, ShmError> {
    // Set by a login; kept by `su`, and then another user's.
    let runtime_dir = runtime_dir.map(PathBuf::from).filter(|path| {
        path.is_absolute()
            && Dir::reach(path)
                .and_then(|dir| dir.meta()?.require_private(Kind::Directory))
                .is_ok()
    });
    if let Some(runtime_dir) = runtime_dir {
        return Ok(runtime_dir.join("rsipc"));
    }
    let parent = ["/dev/shm", "/tmp"]
        .map(Path::new)
        .into_iter()
        .find(|path| path.is_dir())
        .unwrap_or(Path::new("/tmp"));
    let own = rsipc_sys::process::effective_user();
    Ok(parent.join(format!("rsipc-{own}")))
}

fn open_top(path: &Path) -> Result<Dir, SysError> {
    let not_found = || SysError::Os {
        call: "open",
        source: io::ErrorKind::NotFound.into(),
    };
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(SysError::Kind {
            wanted: Kind::Directory,
        });
    };
    let parent = Dir::reach(parent)?;
    require_unreplaceable(&parent.meta()?)?;
    // Somebody may remove it in between, but not each time.
    for _ in 0..100 {
        match parent.enter(name) {
            Ok(top) => {
                top.meta()?.require_private(Kind::Directory)?;
                return Ok(top);
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        parent.make(name)?;
    }
    Err(not_found())
}

/// An error if other users could put something else in the place of what is in this directory.
fn require_unreplaceable(parent: &Meta) -> Result<(), SysError> {
    let (others_write, sticky) = (parent.mode & 0o022 != 0, parent.mode & 0o1000 != 0);
    if others_write && !sticky {
        return Err(SysError::Mode { mode: parent.mode });
    }
    Ok(())
}

/// Enters a world and holds it; `None` if somebody holds it up for too long.
fn open_world(top: &Dir, world: &OsStr) -> Result<Option<Dir>, SysError> {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        top.make(world)?;
        match top.enter(world) {
            Ok(own) => {
                own.meta()?.require_private(Kind::Directory)?;
                // Whoever removes it locks it first, and a removed directory has no links.
                if try_lock(own.as_fd(), Lock::Shared)? && own.meta()?.links > 0 {
                    return Ok(Some(own));
                }
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(None)
}
