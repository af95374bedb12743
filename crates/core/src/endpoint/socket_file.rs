//! The name of a UNIX socket in a directory.
//!
//! Beside the socket `app.sock` is `.app.sock.lock`. Who listens holds that file locked, and its pid
//! is in it. The kernel lets go of the lock when its holder ends, in whatever way, so:
//!
//! - A lock that is held is a server that lives, stopped or busy as it may be, and its name is
//!   never taken.
//! - Who gets the lock and finds a socket that refuses connections has found what a dead server
//!   has left, and takes its place.
//! - Of any number that start at once one gets the lock.
//!
//! The new socket is bound under a name that nobody looks for, gets its mode and owner, listens,
//! and only then gets the name that clients use, in one step. So no client ever finds it with other
//! permissions, or not listening yet, and what a dead server has left is replaced without a gap.
//!
//! Servers that keep no such lock are found by connecting; between that and the last step they have
//! a moment in which their name can be taken, unless they take it first.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{process, thread};

use rsipc_sys::dir::Dir;
use rsipc_sys::fd::Kind;
use rsipc_sys::file::{Error as SysError, Lock, Meta, meta, try_lock};
use rsipc_sys::socket::{self, Type};

use super::error::Reason;

/// How long a lock may be held by somebody who does not listen: one that starts, or ends.
const PATIENCE: Duration = Duration::from_secs(1);

const LOCK_SUFFIX: &str = ".lock";
const BIRTH_PREFIX: &str = ".rsipc-";
const BIRTH_SUFFIX: &str = ".new";

/// How the file shall be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub(super) kind: Type,
    pub(super) mode: u32,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) backlog: u32,
}

/// The name of a socket that listens, and the lock that goes with it. When it is dropped it removes
/// the name, if this process still has it.
#[derive(Debug)]
pub(super) struct SocketFile {
    dir: Dir,
    name: OsString,
    lock: File,
    lock_name: OsString,
    /// The file that the name stands for as long as it is ours.
    own: Meta,
}

impl SocketFile {
    /// Makes a socket that listens at `name` in `dir`. `path` leads there as well.
    pub(super) fn bind(
        dir: Dir,
        name: &OsStr,
        path: &Path,
        form: Form,
    ) -> Result<(OwnedFd, SocketFile), Reason> {
        let lock_name = lock_name(name);
        // What is no socket is refused before anything is made beside it.
        require_socket(dir.look(name)?, form.uid)?;
        let lock = take_lock(&dir, &lock_name)?;
        let made = place(&dir, name, path, form);
        match made {
            Ok((socket, own)) => {
                let file = SocketFile {
                    dir,
                    name: name.to_owned(),
                    lock,
                    lock_name,
                    own,
                };
                file.sign().map_err(Reason::system("write"))?;
                Ok((socket, file))
            }
            Err(reason) => {
                // The lock's file was there, or was made in vain.
                let _ = dir.remove(&lock_name);
                Err(reason)
            }
        }
    }

    /// Takes over the name of a socket from the process that has made it, by its lock.
    pub(super) fn adopt(dir: Dir, name: &OsStr, lock: OwnedFd) -> Result<SocketFile, Reason> {
        let lock_name = lock_name(name);
        let same = |found: Option<Meta>, wanted: Meta| found.is_some_and(|it| it.same(&wanted));
        if !same(dir.look(&lock_name)?, meta(lock.as_fd())?) {
            return Err(wrong(Kind::File));
        }
        if !try_lock(lock.as_fd(), Lock::Exclusive)? {
            return Err(Reason::InUse { pid: None });
        }
        let Some(own) = dir.look(name)?.filter(|own| own.kind == Kind::SocketFile) else {
            return Err(wrong(Kind::SocketFile));
        };
        let file = SocketFile {
            dir,
            name: name.to_owned(),
            lock: lock.into(),
            lock_name,
            own,
        };
        file.sign().map_err(Reason::system("write"))?;
        Ok(file)
    }

    /// What a successor takes the name over with.
    pub(super) fn lock(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }

    /// Leaves the name to a successor who has the lock.
    pub(super) fn leave(self) {
        // Nobody's: whoever drops it now leaves it.
        let _ = self.lock.set_len(0);
    }

    /// Says in the lock that the name is this process's.
    fn sign(&self) -> io::Result<()> {
        let text = format!("{}\n", process::id());
        self.lock.set_len(0)?;
        self.lock.write_all_at(text.as_bytes(), 0)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A successor has signed it; a child made by `fork` has a copy of this value, not the name.
        if signature(&self.lock) != Some(process::id()) {
            return;
        }
        // Who starts now sees somebody who ends, and waits for the lock.
        let _ = self.lock.set_len(0);
        if let Ok(Some(found)) = self.dir.look(&self.name)
            && found.same(&self.own)
        {
            let _ = self.dir.remove(&self.name);
        }
        let _ = self.dir.remove(&self.lock_name);
    }
}

/// Removes a socket of this name whose server is gone, and what else there is of it; `false` if the
/// server lives.
pub(crate) fn remove_abandoned(dir: &Dir, name: &OsStr) -> Result<bool, SysError> {
    let lock_name = lock_name(name);
    if dir.look(name)?.is_none() && dir.look(&lock_name)?.is_none() {
        return Err(SysError::Os {
            call: "fstatat",
            source: io::ErrorKind::NotFound.into(),
        });
    }
    let Some(_lock) = try_take_lock(dir, &lock_name)? else {
        return Ok(false);
    };
    for name in [name, &birth_name(name)] {
        if dir
            .look(name)?
            .is_some_and(|found| found.kind == Kind::SocketFile)
        {
            dir.remove(name)?;
        }
    }
    dir.remove(&lock_name)?;
    Ok(true)
}

/// Who listens at a name in `dir`: the pid, if it is known. `None` if nobody does.
pub(crate) fn server(dir: &Dir, name: &OsStr) -> Option<Option<u32>> {
    let lock = dir.lock_file_if_any(&lock_name(name)).ok()?;
    if try_lock(lock.as_fd(), Lock::Shared).ok()? {
        return None;
    }
    Some(signature(&lock.into()))
}

/// The name of the lock that goes with a socket.
pub(crate) fn lock_name(name: &OsStr) -> OsString {
    let mut lock = OsString::from(".");
    lock.push(name);
    lock.push(LOCK_SUFFIX);
    lock
}

/// The socket whose lock has this name; `None` if it is no name of a lock.
pub(crate) fn guarded_by(lock_name: &str) -> Option<&str> {
    lock_name.strip_prefix('.')?.strip_suffix(LOCK_SUFFIX)
}

/// Whether it is the name under which a socket is made.
pub(crate) fn is_birth_name(name: &str) -> bool {
    name.starts_with(BIRTH_PREFIX) && name.ends_with(BIRTH_SUFFIX)
}

/// The name under which a socket is made. It fits into an address however long `name` is, and
/// another one that comes to the same is as unlikely as one chance in 2^64.
fn birth_name(name: &OsStr) -> OsString {
    // FNV-1a.
    let hash = name
        .as_encoded_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("{BIRTH_PREFIX}{hash:016x}{BIRTH_SUFFIX}").into()
}

fn wrong(wanted: Kind) -> Reason {
    Reason::Untrusted(SysError::Kind { wanted })
}

/// The pid that a lock is signed with.
fn signature(lock: &File) -> Option<u32> {
    let mut text = [0; 16];
    let length = lock.read_at(&mut text, 0).ok()?;
    let text = str::from_utf8(&text[..length]).ok()?;
    text.strip_suffix('\n')?.parse().ok()
}

/// Waits for the lock as long as its holder seems to be about to start or to end.
fn take_lock(dir: &Dir, lock_name: &OsStr) -> Result<File, Reason> {
    let begin = Instant::now();
    loop {
        if let Some(lock) = try_take_lock(dir, lock_name)? {
            return Ok(lock);
        }
        // Signed by somebody who runs: a server. (The signature of a dead one stands until the next
        // has written its own.)
        let holder = match dir.lock_file(lock_name) {
            Ok(lock) => signature(&File::from(lock)),
            Err(_) => None,
        };
        let runs = holder.filter(|pid| rsipc_sys::process::exists(*pid));
        if runs.is_some() || begin.elapsed() > PATIENCE {
            return Err(Reason::InUse { pid: runs });
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Takes the lock; `None` if somebody has it.
fn try_take_lock(dir: &Dir, lock_name: &OsStr) -> Result<Option<File>, SysError> {
    loop {
        let lock = dir.lock_file(lock_name)?;
        if !try_lock(lock.as_fd(), Lock::Exclusive)? {
            return Ok(None);
        }
        // Whoever has it last removes it, with the lock. What has no name any more locks nothing.
        let held = meta(lock.as_fd())?;
        // A file of this user that somebody has given this name, to have it written over.
        if held.links > 1 {
            return Err(SysError::Links { count: held.links });
        }
        if dir.look(lock_name)?.is_some_and(|found| found.same(&held)) {
            let lock = File::from(lock);
            lock.set_len(0).map_err(|source| SysError::Os {
                call: "ftruncate",
                source,
            })?;
            return Ok(Some(lock));
        }
    }
}

/// An error unless the name is free, or that of a socket which this process could have made.
fn require_socket(found: Option<Meta>, owner: Option<u32>) -> Result<Option<Meta>, Reason> {
    let Some(found) = found else { return Ok(None) };
    if found.kind != Kind::SocketFile {
        return Err(wrong(Kind::SocketFile));
    }
    if found.uid != rsipc_sys::process::effective_user() && Some(found.uid) != owner {
        return Err(Reason::Untrusted(SysError::Owner { uid: found.uid }));
    }
    Ok(Some(found))
}

/// Makes the socket and gives it its name. The caller holds the lock.
fn place(dir: &Dir, name: &OsStr, path: &Path, form: Form) -> Result<(OwnedFd, Meta), Reason> {
    let stale = require_socket(dir.look(name)?, form.uid)?;
    if stale.is_some() && listens(dir, name, path, form.kind)? {
        // A server that keeps no lock.
        return Err(Reason::InUse { pid: None });
    }
    if form.kind == Type::Datagram {
        return place_datagrams(dir, name, path, form, stale.is_some());
    }
    let birth = birth_name(name);
    let birth_path = match path.parent() {
        Some(parent) => parent.join(&birth),
        None => PathBuf::from(&birth),
    };
    // What somebody who was killed here has left.
    dir.remove(&birth)?;
    let socket = socket::unix(form.kind).map_err(Reason::system("socket"))?;
    // Closed to others as long as its owner and mode are not what they shall be.
    socket::bind_in(socket.as_fd(), dir, &birth, &birth_path, form.mode & 0o700)
        .map_err(Reason::system("bind"))?;
    let placed = dress(dir, &birth, form).and_then(|own| {
        socket::listen(socket.as_fd(), form.backlog).map_err(Reason::system("listen"))?;
        give_name(dir, &birth, name, stale.is_some())?;
        Ok(own)
    });
    match placed {
        Ok(own) => Ok((socket, own)),
        Err(reason) => {
            let _ = dir.remove(&birth);
            Err(reason)
        }
    }
}

/// The same for datagrams. Who gets one is told by what name its sender was bound, so that has to be the
/// name that it keeps, and whole. The socket is this user's alone until it has its owner and mode.
fn place_datagrams(
    dir: &Dir,
    name: &OsStr,
    path: &Path,
    form: Form,
    stale: bool,
) -> Result<(OwnedFd, Meta), Reason> {
    if stale {
        dir.remove(name)?;
    }
    let socket = socket::unix(form.kind).map_err(Reason::system("socket"))?;
    let path = std::path::absolute(path).map_err(Reason::system("getcwd"))?;
    let mode = form.mode & 0o700;
    let bound = match socket::bind_named(socket.as_fd(), &path, mode) {
        // It does not fit into an address: then nobody can answer to it, but all can send.
        Err(error) if error.kind() == io::ErrorKind::InvalidFilename => {
            socket::bind_in(socket.as_fd(), dir, name, &path, mode)
        }
        bound => bound,
    };
    bound.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => Reason::InUse { pid: None },
        _ => Reason::System {
            call: "bind",
            source,
        },
    })?;
    match dress(dir, name, form) {
        Ok(own) => Ok((socket, own)),
        Err(reason) => {
            let _ = dir.remove(name);
            Err(reason)
        }
    }
}

/// Gives a socket its owner and mode. Whoever owns the directory could have put something else there.
fn dress(dir: &Dir, birth: &OsStr, form: Form) -> Result<Meta, Reason> {
    let look =
        || require_socket(dir.look(birth)?, form.uid)?.ok_or_else(|| wrong(Kind::SocketFile));
    let own = look()?;
    if own.links > 1 {
        return Err(Reason::Untrusted(SysError::Links { count: own.links }));
    }
    if form.uid.is_some() || form.gid.is_some() {
        dir.set_owner(birth, form.uid, form.gid, &own)?;
    }
    if own.mode != form.mode {
        dir.set_mode(birth, form.mode, &own)?;
    }
    look()
}

fn give_name(dir: &Dir, birth: &OsStr, name: &OsStr, replace: bool) -> Result<(), Reason> {
    if replace {
        return Ok(dir.rename(birth, name)?);
    }
    // A second name is given only if it is free; a rename would take it from whoever was faster.
    if !dir.link(birth, name)? {
        return Err(Reason::InUse { pid: None });
    }
    dir.remove(birth)?;
    Ok(())
}

/// Whether somebody listens at a socket's name.
fn listens(dir: &Dir, name: &OsStr, path: &Path, kind: Type) -> Result<bool, Reason> {
    let probe = socket::unix(kind).map_err(Reason::system("socket"))?;
    match socket::connect_in(probe.as_fd(), dir, name, path) {
        Ok(()) => Ok(true),
        Err(error) => match error.kind() {
            // Nobody, or nobody any more.
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Ok(false),
            // Too many wait to be accepted.
            io::ErrorKind::WouldBlock => Ok(true),
            // A socket of another type, or one that talks to somebody else.
            _ if matches!(
                error.raw_os_error().and_then(socket::error_name),
                Some("EPROTOTYPE" | "EPERM")
            ) =>
            {
                Ok(true)
            }
            _ => Err(Reason::System {
                call: "connect",
                source: error,
            }),
        },
    }
}
