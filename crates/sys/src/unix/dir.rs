//! A directory that is held by its descriptor, so that what is done in it is done in it and not
//! in another one of the same name.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, renameat};
use nix::sys::stat::{Mode, fstatat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, linkat, unlinkat};

use super::fd::Kind;
use super::file::{Error, Meta, meta};
use super::{fd, shared, system};

/// An open directory.
#[derive(Debug)]
pub struct Dir(OwnedFd);

impl Dir {
    /// Opens a directory only to reach what is in it: it can be neither listed nor locked.
    /// Links on the way are followed.
    pub fn reach(path: &Path) -> Result<Dir, Error> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | shared::REACH;
        retry(|| open(path, flags, Mode::empty()))
            .map(Dir)
            .map_err(Error::os("open"))
    }

    /// Opens the directory `name` in this one. A link is refused.
    pub fn enter(&self, name: &OsStr) -> Result<Dir, Error> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        match retry(|| openat(&self.0, name, flags, Mode::empty())) {
            Ok(fd) => Ok(Dir(fd)),
            Err(Errno::ELOOP | Errno::ENOTDIR) => Err(Error::Kind {
                wanted: Kind::Directory,
            }),
            Err(errno) => Err(Error::os("openat")(errno)),
        }
    }

    /// Makes the directory `name` in this one, of mode 0700 less what the umask takes; `false` if the name is taken.
    pub fn make(&self, name: &OsStr) -> Result<bool, Error> {
        match mkdirat(&self.0, name, Mode::S_IRWXU) {
            Ok(()) => Ok(true),
            Err(Errno::EEXIST) => Ok(false),
            Err(errno) => Err(Error::os("mkdirat")(errno)),
        }
    }

    /// What is known of the directory itself.
    pub fn meta(&self) -> Result<Meta, Error> {
        meta(self.as_fd())
    }

    /// What is known of a name in the directory; a link is not followed. `None` if it is free.
    pub fn look(&self, name: &OsStr) -> Result<Option<Meta>, Error> {
        match fstatat(&self.0, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Meta::new(&stat))),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(Error::os("fstatat")(errno)),
        }
    }

    /// Removes a name that is no directory; `false` if it was free.
    pub fn remove(&self, name: &OsStr) -> Result<bool, Error> {
        self.unlink(name, UnlinkatFlags::NoRemoveDir)
    }

    /// Removes an empty directory; `false` if it is not empty, or not there.
    pub fn remove_dir(&self, name: &OsStr) -> Result<bool, Error> {
        match self.unlink(name, UnlinkatFlags::RemoveDir) {
            Err(error) if error.errno() == Some(libc::ENOTEMPTY) => Ok(false),
            other => other,
        }
    }

    fn unlink(&self, name: &OsStr, flags: UnlinkatFlags) -> Result<bool, Error> {
        match unlinkat(&self.0, name, flags) {
            Ok(()) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(Error::os("unlinkat")(errno)),
        }
    }

    /// Gives what is called `from` the name `to` as well; `false` if that is taken.
    pub fn link(&self, from: &OsStr, to: &OsStr) -> Result<bool, Error> {
        match linkat(&self.0, from, &self.0, to, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::EEXIST) => Ok(false),
            Err(errno) => Err(Error::os("linkat")(errno)),
        }
    }

    /// Gives what is called `from` the name `to` instead, which it takes from whatever had it.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> Result<(), Error> {
        renameat(&self.0, from, &self.0, to).map_err(Error::os("renameat"))
    }

    /// Sets the permission bits of what has this name, if that is the file `own`.
    pub fn set_mode(&self, name: &OsStr, mode: u32, own: &Meta) -> Result<(), Error> {
        let mode = Mode::from_bits_truncate(mode as libc::mode_t);
        system::set_mode(self.as_fd(), name, mode, is(own)).map_err(Error::os("fchmodat"))
    }

    /// Gives what has this name to a user, a group or both, if that is the file `own`.
    pub fn set_owner(
        &self,
        name: &OsStr,
        uid: Option<u32>,
        gid: Option<u32>,
        own: &Meta,
    ) -> Result<(), Error> {
        let ids = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        system::set_owner(self.as_fd(), name, ids, is(own)).map_err(Error::os("fchownat"))
    }

    /// Opens a file or FIFO in the directory, for reading and writing, without ever waiting. A
    /// link is refused, and what is not of the kind `wanted` and this user's alone.
    pub(super) fn open(&self, name: &OsStr, wanted: Kind) -> Result<(OwnedFd, Meta), Error> {
        let flags = OFlag::O_RDWR
            | OFlag::O_CLOEXEC
            | OFlag::O_NOFOLLOW
            | OFlag::O_NONBLOCK
            | OFlag::O_NOCTTY;
        let file = match retry(|| openat(&self.0, name, flags, Mode::empty())) {
            Ok(file) => file,
            Err(errno) => return Err(refusal(errno, wanted)),
        };
        let found = meta(file.as_fd())?;
        found.require_private(wanted)?;
        Ok((file, found))
    }

    /// Opens the file `name` to lock it ([`try_lock`](super::file::try_lock)); makes it, empty and
    /// of mode 0600 less what the umask takes, if it is missing.
    pub fn lock_file(&self, name: &OsStr) -> Result<OwnedFd, Error> {
        let flags = OFlag::O_RDWR
            | OFlag::O_CREAT
            | OFlag::O_CLOEXEC
            | OFlag::O_NOFOLLOW
            | OFlag::O_NONBLOCK
            | OFlag::O_NOCTTY;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let file = match retry(|| openat(&self.0, name, flags, mode)) {
            Ok(file) => file,
            Err(errno) => return Err(refusal(errno, Kind::File)),
        };
        meta(file.as_fd())?.require_private(Kind::File)?;
        Ok(file)
    }

    /// As [`Dir::lock_file`], but does not make it.
    pub fn lock_file_if_any(&self, name: &OsStr) -> Result<OwnedFd, Error> {
        self.open(name, Kind::File).map(|(file, _)| file)
    }

    /// The names in the directory, in no order.
    pub fn names(&self) -> Result<Vec<Box<OsStr>>, Error> {
        // Another open file: a position in the directory is not shared with anybody.
        let own = self.enter(OsStr::new("."))?;
        let mut listing = nix::dir::Dir::from_fd(own.0).map_err(Error::os("fdopendir"))?;
        let mut names = Vec::new();
        for entry in listing.iter() {
            let entry = entry.map_err(Error::os("readdir"))?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsStr::from_bytes(name).into());
            }
        }
        Ok(names)
    }

    /// A second hold on the same directory.
    pub fn duplicate(&self) -> Result<Dir, Error> {
        fd::duplicate(self.as_fd())
            .map(Dir)
            .map_err(Error::io("fcntl"))
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<Dir> for OwnedFd {
    fn from(dir: Dir) -> OwnedFd {
        dir.0
    }
}

/// Whether a descriptor is of this file.
fn is(own: &Meta) -> impl Fn(BorrowedFd<'_>) -> bool {
    move |found| meta(found).is_ok_and(|found| found.same(own))
}

/// Why a file or FIFO was not opened.
fn refusal(errno: Errno, wanted: Kind) -> Error {
    match errno {
        // Links, directories, sockets and devices nobody drives.
        Errno::ELOOP | Errno::EISDIR | Errno::ENXIO => Error::Kind { wanted },
        errno => Error::os("openat")(errno),
    }
}

/// Repeats a call that a signal interrupted.
pub(super) fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}
