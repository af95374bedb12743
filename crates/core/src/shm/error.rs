//! What can go wrong with objects that are shared by name.

use std::path::PathBuf;
use std::{fmt, io};

use rsipc_sys::file::Error as SysError;

use super::name::{Name, NameError};

/// Why an object was not made, opened or removed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ShmError {
    /// The name breaks the grammar.
    Name(NameError),
    /// An object of this name exists.
    Exists {
        /// The name.
        name: Name,
    },
    /// No object of this name exists.
    NotFound {
        /// The name.
        name: Name,
    },
    /// There is no room left for so much memory.
    NoSpace {
        /// Bytes that were asked for.
        size: u64,
        /// What the system said.
        source: SysError,
    },
    /// Somebody who removes what is unused holds this up, and does not go on.
    Busy,
    /// What has the name cannot be used: it is not a file of this user alone, or the system
    /// refuses.
    Object {
        /// The name.
        name: Name,
        /// Why.
        source: SysError,
    },
    /// The run directory cannot be used: it is not this user's alone, or the system refuses.
    RunDir {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        source: SysError,
    },
    /// `RSIPC_RUN_DIR` is not an absolute path.
    RelativeRunDir {
        /// What it is.
        path: PathBuf,
    },
    /// This system cannot share memory safely: it has no means to, or does not tell which process
    /// is which.
    Unsupported {
        /// Why.
        source: io::Error,
    },
}

impl ShmError {
    /// A name that does not change between versions.
    pub fn code(&self) -> &'static str {
        match self {
            ShmError::Name(_) => "ERR_RSIPC_INVALID_NAME",
            ShmError::Exists { .. } => "ERR_RSIPC_NAME_TAKEN",
            ShmError::NotFound { .. } => "ERR_RSIPC_NOT_FOUND",
            ShmError::NoSpace { .. } => "ERR_RSIPC_NO_SPACE",
            ShmError::Busy => "ERR_RSIPC_BUSY",
            ShmError::Object { source, .. } | ShmError::RunDir { source, .. } => match source {
                SysError::Os { .. } => "ERR_RSIPC_SYSTEM",
                _ => "ERR_RSIPC_UNTRUSTED",
            },
            ShmError::RelativeRunDir { .. } => "ERR_RSIPC_UNTRUSTED",
            ShmError::Unsupported { .. } => "ERR_RSIPC_UNSUPPORTED",
        }
    }

    /// The number the system gave its refusal, if it was the system that refused.
    pub fn errno(&self) -> Option<i32> {
        match self {
            ShmError::NoSpace { source, .. }
            | ShmError::Object { source, .. }
            | ShmError::RunDir { source, .. } => source.errno(),
            _ => None,
        }
    }
}

impl fmt::Display for ShmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShmError::Name(source) => source.fmt(f),
            ShmError::Exists { name } => write!(f, "an object named {name} exists already"),
            ShmError::NotFound { name } => write!(f, "no object is named {name}"),
            ShmError::NoSpace { size, source } => {
                write!(f, "no room for {size} bytes of shared memory: {source}")
            }
            ShmError::Busy => f.write_str(
                "a process that removes unused objects holds this up; it may have been stopped",
            ),
            ShmError::Object { name, source } => {
                write!(f, "the object named {name} cannot be used: {source}")
            }
            ShmError::RunDir { path, source } => {
                let path = path.display();
                write!(f, "the run directory {path} cannot be used: {source}")?;
                match source {
                    SysError::Mode { .. } => f.write_str("; its mode should be 700"),
                    SysError::Owner { .. } | SysError::Kind { .. } => {
                        f.write_str("; RSIPC_RUN_DIR can name another")
                    }
                    _ => Ok(()),
                }
            }
            ShmError::RelativeRunDir { path } => {
                write!(f, "RSIPC_RUN_DIR is not absolute: {}", path.display())
            }
            ShmError::Unsupported { source } => {
                write!(f, "memory cannot be shared safely here: {source}")
            }
        }
    }
}

impl std::error::Error for ShmError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ShmError::Name(source) => Some(source),
            ShmError::NoSpace { source, .. }
            | ShmError::Object { source, .. }
            | ShmError::RunDir { source, .. } => Some(source),
            ShmError::Unsupported { source } => Some(source),
            ShmError::Exists { .. }
            | ShmError::NotFound { .. }
            | ShmError::Busy
            | ShmError::RelativeRunDir { .. } => None,
        }
    }
}

impl From<NameError> for ShmError {
    fn from(error: NameError) -> ShmError {
        ShmError::Name(error)
    }
}
