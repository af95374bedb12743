//! Files, directories and FIFOs that are looked at through their descriptor before anything in
//! them is believed, and locks that end with whoever holds them.
//!
//! A name can come to mean something else between a look and a use; an open descriptor cannot.
//! So everything is opened first, without following a link, and judged then.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::stat::{FileStat, SFlag, fstat};
use nix::unistd::geteuid;

use super::fd::Kind;

/// Why something was not opened, made or shared.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The system refused.
    Os {
        /// The call that failed.
        call: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// It is not what it should be: a link or a socket in the place of a file, for instance.
    Kind {
        /// What it should be.
        wanted: Kind,
    },
    /// It belongs to another user.
    Owner {
        /// The user it belongs to.
        uid: u32,
    },
    /// Other users may use it.
    Mode {
        /// Its permission bits.
        mode: u32,
    },
    /// It has more than one name.
    Links {
        /// How many.
        count: u64,
    },
    /// Its size could change while it is mapped: it is no memory file, or lacks the seals.
    Unsealed,
    /// It is empty, or larger than what this process can address.
    Size {
        /// Its size in bytes.
        size: u64,
    },
}

impl Error {
    /// An error of the system in `call`.
    pub(crate) fn os(call: &'static str) -> impl Fn(Errno) -> Error {
        move |errno| Error::Os {
            call,
            source: errno.into(),
        }
    }

    /// An error of the system in `call`.
    pub(crate) fn io(call: &'static str) -> impl Fn(io::Error) -> Error {
        move |source| Error::Os { call, source }
    }

    /// The number the system gave its refusal; `None` if it was this crate that refused.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Error::Os { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    /// Whether the reason is that no such name exists.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::Os { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Whether the reason is that somebody holds it.
    pub fn is_busy(&self) -> bool {
        self.errno() == Some(libc::EWOULDBLOCK)
    }

    /// Whether the reason is that there is no room left: on the device, or within a quota.
    pub fn is_no_space(&self) -> bool {
        matches!(self.errno(), Some(libc::ENOSPC | libc::EDQUOT))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Os { call, source } => write!(f, "{call}: {source}"),
            Error::Kind { wanted } => write!(f, "it is not of kind {}", wanted.name()),
            Error::Owner { uid } => write!(f, "it belongs to user {uid}"),
            Error::Mode { mode } => write!(f, "other users may use it, its mode is {mode:o}"),
            Error::Links { count } => write!(f, "it has {count} names"),
            Error::Unsealed => f.write_str("its size is not sealed"),
            Error::Size { size } => write!(f, "its size of {size} bytes cannot be mapped"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Os { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// What is known of an open descriptor, or of a name in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// [`Kind::File`], [`Kind::Directory`], [`Kind::Fifo`] or [`Kind::Other`].
    pub kind: Kind,
    /// The user it belongs to.
    pub uid: u32,
    /// The group it belongs to.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
    /// Size in bytes.
    pub size: u64,
    /// Bytes of it that are backed by memory or disk.
    pub allocated: u64,
    /// How many names it has. A file that was removed has none.
    pub links: u64,
    /// With `inode` names the file itself, whatever its name.
    pub device: u64,
    /// With `device` names the file itself, whatever its name.
    pub inode: u64,
}

impl Meta {
    #[allow(
        clippy::unnecessary_cast,
        clippy::useless_conversion,
        reason = "the widths of these fields differ by system"
    )]
    pub(super) fn new(stat: &FileStat) -> Meta {
        let mode = libc::mode_t::from(stat.st_mode);
        let kind = match SFlag::from_bits_truncate(mode) & SFlag::S_IFMT {
            SFlag::S_IFREG => Kind::File,
            SFlag::S_IFDIR => Kind::Directory,
            SFlag::S_IFIFO => Kind::Fifo,
            SFlag::S_IFSOCK => Kind::SocketFile,
            _ => Kind::Other,
        };
        Meta {
            kind,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mode: mode as u32 & 0o7777,
            size: stat.st_size as u64,
            allocated: stat.st_blocks as u64 * 512,
            links: stat.st_nlink as u64,
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
        }
    }

    /// Whether it is one and the same file.
    pub fn same(&self, other: &Meta) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// An error unless it is of this kind and belongs to the effective user of this process
    /// alone.
    pub fn require_private(&self, wanted: Kind) -> Result<(), Error> {
        if self.kind != wanted {
            return Err(Error::Kind { wanted });
        }
        if self.uid != geteuid().as_raw() {
            return Err(Error::Owner { uid: self.uid });
        }
        if self.mode & 0o077 != 0 {
            return Err(Error::Mode { mode: self.mode });
        }
        Ok(())
    }
}

/// What is known of an open descriptor.
pub fn meta(fd: BorrowedFd<'_>) -> Result<Meta, Error> {
    fstat(fd)
        .map(|stat| Meta::new(&stat))
        .map_err(Error::os("fstat"))
}

/// How a file is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// With others who share it.
    Shared,
    /// Alone.
    Exclusive,
}

/// Locks the open file behind `fd` without waiting; `false` if somebody's lock is in the way.
///
/// The lock belongs to the open file and ends when its last descriptor is closed, however the
/// process ends. (A record lock of `fcntl` would end when *any* descriptor of the file is closed
/// anywhere in the process.) It tells processes of all pid namespaces apart. A lock that is held
/// already is changed.
pub fn try_lock(fd: BorrowedFd<'_>, lock: Lock) -> Result<bool, Error> {
    let how = match lock {
        Lock::Shared => libc::LOCK_SH,
        Lock::Exclusive => libc::LOCK_EX,
    };
    loop {
        // SAFETY: takes two integers; `fd` is open.
        if unsafe { libc::flock(fd.as_raw_fd(), how | libc::LOCK_NB) } == 0 {
            return Ok(true);
        }
        match Errno::last() {
            Errno::EWOULDBLOCK => return Ok(false),
            Errno::EINTR => {}
            errno => return Err(Error::os("flock")(errno)),
        }
    }
}
