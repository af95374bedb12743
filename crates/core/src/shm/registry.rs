//! Objects by name: made, opened, listed, removed.
//!
//! In the directory of the world are
//!
//! | name | is |
//! |---|---|
//! | `<name>.shm` | an object: a file of mode 0600 that its users hold with a shared lock |
//! | `<identity>-<environment>.bell` | a bell: a FIFO that its environment holds with an exclusive lock |
//! | `<name>.sock`, `.<name>.sock.lock` | a server's socket, and the file that its server holds with an exclusive lock |
//! | `lock` | an empty file, locked exclusively by who takes a name away or is about to make one |
//!
//! All locks are of `flock`: the kernel lets go of them when their holder ends, in whatever way.
//! So what can be locked is used by nobody, and that is the only thing that makes an object
//! dead. A wrong header, a reused pid or another container do not come into it.
//!
//! Every change of the directory is one call that happens whole or not at all, so a process may
//! be killed between any two, and the next goes on.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rsipc_ring::OpenError;
use rsipc_sys::dir::Dir;
use rsipc_sys::fd::Kind;
use rsipc_sys::fifo;
use rsipc_sys::file::{Error as SysError, Lock, meta, try_lock};
use rsipc_sys::identity;
use rsipc_sys::os::Os;
use rsipc_sys::shm::{File, Mapping, Unnamed};

use super::describe::{Description, describe};
use super::error::ShmError;
use super::name::Name;
use super::rundir::{PATIENCE, RunDir};
use crate::endpoint::listen::name_of;
use crate::endpoint::socket_file;

const SUFFIX: &str = ".shm";
const LOCK: &str = "lock";

/// What [`Registry::open_or_create`] came to.
#[derive(Debug)]
pub enum Found<T> {
    /// There was none: what the caller has made of the memory.
    Made(T),
    /// There was one, or somebody else was faster.
    There(Mapping),
}

/// What is in the directory of the world.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Listing {
    /// The objects, by name.
    pub objects: Vec<Listed>,
    /// The bells.
    pub bells: Vec<Bell>,
    /// The sockets of servers, by name.
    pub servers: Vec<Server>,
    /// Names that are none of ours. They are never touched.
    pub strangers: Vec<OsString>,
}

/// An object that exists.
#[derive(Debug)]
#[non_exhaustive]
pub struct Listed {
    /// Its name.
    pub name: Name,
    /// Its size in bytes; or why it cannot be used.
    pub size: Result<u64, SysError>,
    /// Whether a process has it mapped. What cannot be used counts as in use.
    pub in_use: bool,
    /// What it is and who is attached; or why it is none of ours, or of another version. `None`
    /// if it cannot be mapped, or was not reserved when it was made.
    pub description: Option<Result<Description, OpenError>>,
}

/// A bell that hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bell {
    /// Identity of the process.
    pub identity: u64,
    /// Number of the environment in it.
    pub environment: u32,
    /// Whether that process runs.
    pub alive: bool,
}

/// A server's socket.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Server {
    /// Its name.
    pub name: Name,
    /// Whether somebody listens.
    pub alive: bool,
    /// Who, if that is known.
    pub pid: Option<u32>,
}

/// What [`Registry::clean`] did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Cleaned {
    /// Objects removed.
    pub objects: usize,
    /// Bells removed.
    pub bells: usize,
    /// Sockets of servers that are gone.
    pub sockets: usize,
    /// Worlds removed: of earlier boots and of containers that are gone.
    pub worlds: usize,
    /// Names left because somebody uses them.
    pub kept: usize,
    /// Names left because they are none of ours, or could not be removed, and why.
    pub problems: Vec<(OsString, SysError)>,
}

/// The objects of one run directory.
#[derive(Debug)]
pub struct Registry {
    run_dir: RunDir,
    os: Arc<Os>,
}

impl Registry {
    /// The objects in the run directory that the environment says.
    pub fn open() -> Result<Registry, ShmError> {
        Registry::of(RunDir::open()?)
    }

    /// The objects in this run directory.
    pub fn of(run_dir: RunDir) -> Result<Registry, ShmError> {
        let os = Os::new(run_dir.dir()).map_err(|source| run_dir.refused(source))?;
        Ok(Registry {
            run_dir,
            os: Arc::new(os),
        })
    }

    /// The run directory.
    pub fn run_dir(&self) -> &RunDir {
        &self.run_dir
    }

    /// The system that objects work with; it rings the bells in the run directory.
    pub fn os(&self) -> &Arc<Os> {
        &self.os
    }

    /// Makes an object of `size` bytes under a name that is free, [`ShmError::Exists`] otherwise.
    ///
    /// `fill` gets the memory, all zero, and makes of it what others shall find; nobody sees it
    /// before. What it answers comes back.
    pub fn create<T, E: From<ShmError>>(
        &self,
        name: &Name,
        size: u64,
        fill: impl FnOnce(Mapping) -> Result<T, E>,
    ) -> Result<T, E> {
        // Room is not reserved for what cannot have its name.
        let taken = || ShmError::Exists { name: name.clone() };
        let look = self.dir().look(&file_name(name));
        if look.map_err(|source| object(name, source))?.is_some() {
            return Err(taken().into());
        }
        let made = self.make(name, size, fill)?;
        made.ok_or_else(|| taken().into())
    }

    /// Opens the object of this name, [`ShmError::NotFound`] if there is none.
    pub fn open_object(&self, name: &Name) -> Result<Mapping, ShmError> {
        File::open(self.dir(), &file_name(name))
            .and_then(File::map)
            .map_err(|source| object(name, source))
    }

    /// Opens the object of this name, or makes it as [`Registry::create`] does. Of many who try
    /// at once one makes it, and the others find what that one has made.
    pub fn open_or_create<T, E: From<ShmError>>(
        &self,
        name: &Name,
        size: u64,
        fill: impl FnOnce(Mapping) -> Result<T, E>,
    ) -> Result<Found<T>, E> {
        match self.open_object(name) {
            Err(ShmError::NotFound { .. }) => {}
            other => return Ok(Found::There(other?)),
        }
        // Only so that not all who race reserve memory at once; the name decides who wins. So
        // nobody has to wait for a holder that does not go on.
        let _lock = self.try_lock_names()?;
        match self.open_object(name) {
            Err(ShmError::NotFound { .. }) => {}
            other => return Ok(Found::There(other?)),
        }
        match self.make(name, size, fill)? {
            Some(made) => Ok(Found::Made(made)),
            None => match self.open_object(name) {
                // Only without the lock can what has just been there be gone.
                Err(ShmError::NotFound { .. }) => Err(ShmError::Busy.into()),
                other => Ok(Found::There(other?)),
            },
        }
    }

    /// Makes an object; `None` if the name is taken by the time it is complete.
    fn make<T, E: From<ShmError>>(
        &self,
        name: &Name,
        size: u64,
        fill: impl FnOnce(Mapping) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        let unnamed = Unnamed::new(self.dir(), size).map_err(|source| {
            if source.is_no_space() {
                ShmError::NoSpace { size, source }
            } else {
                object(name, source)
            }
        })?;
        let made = fill(unnamed.mapping().clone())?;
        let published = unnamed.publish(self.dir(), &file_name(name));
        match published.map_err(|source| object(name, source))? {
            Ok(_) => Ok(Some(made)),
            Err(_) => Ok(None),
        }
    }

    /// Takes the name away from an object, used or not. Those who have it go on with it, and the
    /// name is free; the memory is given back with the last of them.
    pub fn unlink(&self, name: &Name) -> Result<(), ShmError> {
        let _lock = self.lock_names()?;
        match self.dir().remove(&file_name(name)) {
            Ok(true) => Ok(()),
            Ok(false) => Err(ShmError::NotFound { name: name.clone() }),
            Err(source) => Err(object(name, source)),
        }
    }

    /// Takes the name away from this object, if it has it still; `false` if another one has it by now,
    /// or none. As [`Registry::unlink`] otherwise.
    pub fn unlink_own(&self, name: &Name, own: &Mapping) -> Result<bool, ShmError> {
        let refused = |source| object(name, source);
        let file = file_name(name);
        let _lock = self.lock_names()?;
        match self.dir().look(&file).map_err(refused)? {
            Some(found) if found.same(&meta(own.file()).map_err(refused)?) => {
                self.dir().remove(&file).map_err(refused)
            }
            _ => Ok(false),
        }
    }

    /// What there is, by name. What comes or goes meanwhile may be missing.
    pub fn list(&self) -> Result<Listing, ShmError> {
        let mut listing = Listing::default();
        for file in self.names(self.dir())? {
            match Entry::of(&file) {
                Entry::Lock => {}
                Entry::Object(name) => listing.objects.extend(self.look_at(name, &file)),
                Entry::Bell(identity, environment) => listing.bells.push(Bell {
                    identity,
                    environment,
                    alive: identity::alive(identity),
                }),
                Entry::Socket(name) => {
                    let server = socket_file::server(self.dir(), &file);
                    listing.servers.push(Server {
                        name,
                        alive: server.is_some(),
                        pid: server.flatten(),
                    });
                }
                Entry::SocketLock(_) | Entry::SocketBirth => {}
                Entry::Stranger => listing.strangers.push(file.into()),
            }
        }
        listing.objects.sort_by(|a, b| a.name.cmp(&b.name));
        listing
            .bells
            .sort_by_key(|bell| (bell.identity, bell.environment));
        listing.servers.sort_by(|a, b| a.name.cmp(&b.name));
        listing.strangers.sort();
        Ok(listing)
    }

    /// Removes what nobody uses: objects that no process has mapped, bells of processes that
    /// are dead, and the worlds of earlier boots and of containers that are gone.
    ///
    /// An object that was closed properly by all who used it counts: nobody uses it. May be
    /// called by any number of processes at any time, and may be killed at any time.
    pub fn clean(&self) -> Result<Cleaned, ShmError> {
        let mut cleaned = Cleaned::default();
        {
            let _lock = self.lock_names()?;
            self.clean_dir(self.dir(), &mut cleaned)?;
        }
        let deserted = self.run_dir.deserted();
        for (name, dir) in deserted.map_err(|source| self.run_dir.refused(source))? {
            let before = cleaned.problems.len();
            self.clean_dir(&dir, &mut cleaned)?;
            let removed = dir
                .remove(OsStr::new(LOCK))
                .and_then(|_| self.run_dir.remove_world(&name));
            match removed {
                Ok(true) => cleaned.worlds += 1,
                // What is left in it has been told of, or is in use.
                Ok(false) => {}
                Err(error) if cleaned.problems.len() == before => {
                    cleaned.problems.push((name.into(), error));
                }
                Err(_) => {}
            }
        }
        Ok(cleaned)
    }

    fn clean_dir(&self, dir: &Dir, cleaned: &mut Cleaned) -> Result<(), ShmError> {
        for file in self.names(dir)? {
            let (removed, count) = match Entry::of(&file) {
                Entry::Lock => continue,
                Entry::Stranger => {
                    let wanted = Kind::File;
                    cleaned
                        .problems
                        .push((file.into(), SysError::Kind { wanted }));
                    continue;
                }
                Entry::Object(_) => (remove_object(dir, &file), &mut cleaned.objects),
                Entry::Bell(..) => (fifo::remove_abandoned(dir, &file), &mut cleaned.bells),
                Entry::Socket(_) => {
                    let removed = socket_file::remove_abandoned(dir, &file);
                    (removed, &mut cleaned.sockets)
                }
                // Goes with its socket, and does not stand alone unless its server was killed
                // as it began or ended.
                Entry::SocketLock(socket) => match socket_file::remove_abandoned(dir, &socket) {
                    Ok(false) => continue,
                    removed => (removed, &mut cleaned.sockets),
                },
                Entry::SocketBirth => continue,
            };
            match removed {
                Ok(true) => *count += 1,
                Ok(false) => cleaned.kept += 1,
                // Somebody else was faster.
                Err(error) if error.is_not_found() => {}
                Err(error) => cleaned.problems.push((file.into(), error)),
            }
        }
        Ok(())
    }

    /// Removes the bells of processes that were killed, as far as that is possible now. Objects stay.
    pub fn remove_dead_bells(&self) {
        for file in self.dir().names().unwrap_or_default() {
            if let Entry::Bell(identity, _) = Entry::of(&file)
                && !identity::alive(identity)
            {
                // Whoever is faster, or finds what is in the way, has done it or will tell.
                let _ = fifo::remove_abandoned(self.dir(), &file);
            }
        }
    }

    /// What the object of this name is; `None` if it is gone.
    fn look_at(&self, name: Name, file: &OsStr) -> Option<Listed> {
        let mut listed = Listed {
            name,
            size: Ok(0),
            in_use: true,
            description: None,
        };
        let opened = File::open(self.dir(), file).and_then(|file| Ok((!file.claim()?, file)));
        match opened {
            Err(error) if error.is_not_found() => return None,
            Err(error) => listed.size = Err(error),
            Ok((in_use, file)) => {
                listed.size = Ok(file.meta().size);
                listed.in_use = in_use;
                // What has holes is none of ours, and to look at it would fill them.
                if file.meta().allocated >= file.meta().size {
                    let mapping = file.map().ok();
                    listed.description = mapping.map(|mapping| describe(mapping, &self.os));
                }
            }
        }
        Some(listed)
    }

    fn dir(&self) -> &Dir {
        self.run_dir.dir()
    }

    fn names(&self, dir: &Dir) -> Result<Vec<Box<OsStr>>, ShmError> {
        dir.names().map_err(|source| self.run_dir.refused(source))
    }

    /// Takes the lock under which names are taken away.
    fn lock_names(&self) -> Result<OwnedFd, ShmError> {
        self.try_lock_names()?.ok_or(ShmError::Busy)
    }

    /// As [`Registry::lock_names`]; `None` if its holder does not go on.
    fn try_lock_names(&self) -> Result<Option<OwnedFd>, ShmError> {
        let refused = |source| self.run_dir.refused(source);
        let file = self.dir().lock_file(OsStr::new(LOCK)).map_err(refused)?;
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if try_lock(file.as_fd(), Lock::Exclusive).map_err(refused)? {
                return Ok(Some(file));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(None)
    }
}

/// What a name in the directory stands for.
enum Entry {
    Object(Name),
    Bell(u64, u32),
    Socket(Name),
    /// The lock of the socket of this file name.
    SocketLock(OsString),
    /// A socket that has no name yet.
    SocketBirth,
    Lock,
    Stranger,
}

impl Entry {
    fn of(file: &OsStr) -> Entry {
        let Some(file) = file.to_str() else {
            return Entry::Stranger;
        };
        if file == LOCK {
            return Entry::Lock;
        }
        if let Some((identity, environment)) = fifo::owner(file) {
            return Entry::Bell(identity, environment);
        }
        if let Some(name) = name_of(file) {
            return Entry::Socket(name);
        }
        if let Some(socket) = socket_file::guarded_by(file)
            && name_of(socket).is_some()
        {
            return Entry::SocketLock(socket.into());
        }
        if socket_file::is_birth_name(file) {
            return Entry::SocketBirth;
        }
        match file.strip_suffix(SUFFIX).map(Name::parse) {
            Some(Ok(name)) => Entry::Object(name),
            _ => Entry::Stranger,
        }
    }
}

fn file_name(name: &Name) -> OsString {
    format!("{name}{SUFFIX}").into()
}

/// An error about the object of this name.
fn object(name: &Name, source: SysError) -> ShmError {
    let name = name.clone();
    if source.is_not_found() {
        ShmError::NotFound { name }
    } else if source.is_busy() {
        ShmError::Busy
    } else {
        ShmError::Object { name, source }
    }
}

/// Removes an object that nobody has mapped; `false` if somebody has. The caller holds the lock
/// of names, so that what the name means does not change between the look and the removal.
fn remove_object(dir: &Dir, name: &OsStr) -> Result<bool, SysError> {
    let file = File::open(dir, name)?;
    if !file.claim()? {
        return Ok(false);
    }
    match dir.look(name)? {
        Some(found) if found.same(file.meta()) => dir.remove(name),
        _ => Ok(false),
    }
}
