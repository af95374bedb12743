//! The end of a channel that a parent has left in the environment.
//!
//! Node deletes the two variables so that children of the child do not take them for theirs. A Rust
//! library cannot: the environment is shared with code that reads it from other threads without a
//! lock, and nothing here can know that there is none. So the variables stay; the descriptor
//! becomes close-on-exec, [`Peer::spawn`] sets both variables anew, and [`strip`] keeps them from a
//! command that has no channel.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use rsipc_sys::fd;

use super::sharing::Sharing;
use super::{Limits, Peer, Serialization};

pub(super) const FD_VARIABLE: &str = "NODE_CHANNEL_FD";
pub(super) const MODE_VARIABLE: &str = "NODE_CHANNEL_SERIALIZATION_MODE";

/// Whether the end was taken. There is one in a process, and it must not have two owners.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Why there is no channel in the environment.
#[derive(Debug)]
#[non_exhaustive]
pub enum EnvironmentError {
    /// The variable is not set: the parent has made no channel.
    Absent,
    /// The value is no number of a descriptor.
    NotANumber {
        /// The value.
        value: String,
    },
    /// The number is 0, 1 or 2. Node can put a channel there, but in a Rust program these are the
    /// standard streams, whatever they refer to.
    StandardStream {
        /// The number.
        number: i32,
    },
    /// The number is not that of an open descriptor.
    NotOpen {
        /// The number.
        number: i32,
    },
    /// The number is that of a descriptor this process has opened itself: the variable was
    /// meant for another process.
    NotInherited {
        /// The number.
        number: i32,
    },
    /// The descriptor is not a UNIX stream socket.
    NotAChannel {
        /// The number.
        number: i32,
        /// What it is.
        kind: &'static str,
    },
    /// `NODE_CHANNEL_SERIALIZATION_MODE` is neither `json` nor `advanced`.
    UnknownSerialization {
        /// The value.
        value: String,
    },
    /// This process has taken its end already.
    Taken,
    /// The system refused.
    Os(io::Error),
}

impl fmt::Display for EnvironmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use EnvironmentError as E;
        match self {
            E::Absent => write!(f, "{FD_VARIABLE} is not set: the parent made no channel"),
            E::NotANumber { value } => {
                write!(f, "{FD_VARIABLE} is {value:?}, which is no descriptor")
            }
            E::StandardStream { number } => write!(
                f,
                "{FD_VARIABLE} is {number}: a standard stream cannot be the channel"
            ),
            E::NotOpen { number } => {
                write!(f, "{FD_VARIABLE} is {number}, which is not open")
            }
            E::NotInherited { number } => write!(
                f,
                "{FD_VARIABLE} is {number}, which did not come from the parent"
            ),
            E::NotAChannel { number, kind } => write!(
                f,
                "{FD_VARIABLE} is {number}, which is of kind {kind} and no channel"
            ),
            E::UnknownSerialization { value } => {
                write!(f, "{MODE_VARIABLE} is {value:?}, neither json nor advanced")
            }
            E::Taken => f.write_str("the channel of this process was taken already"),
            E::Os(_) => f.write_str("the channel could not be set up"),
        }
    }
}

impl std::error::Error for EnvironmentError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            EnvironmentError::Os(error) => Some(error),
            _ => None,
        }
    }
}

impl Peer {
    /// The child's end of the channel its parent has made: `child_process.fork` in Node, or
    /// [`Peer::spawn`].
    ///
    /// There is one in a process, so a second call fails. Whatever the variables say, a descriptor
    /// that is not the channel is neither used nor closed.
    ///
    /// The variables stay in the environment, see [`strip`]. The descriptor does not pass to children.
    ///
    /// # Panics
    ///
    /// On a runtime without I/O. Outside of a runtime it is an error.
    pub fn from_env() -> Result<Peer, EnvironmentError> {
        if TAKEN.load(Ordering::Acquire) {
            return Err(EnvironmentError::Taken);
        }
        let number = number(env::var_os(FD_VARIABLE).as_deref())?;
        let serialization = serialization(env::var_os(MODE_VARIABLE).as_deref())?;
        match fd::inherited(number) {
            Ok(Some(fd::Kind::Pipe)) => {}
            Ok(Some(kind)) => {
                let kind = kind.name();
                return Err(EnvironmentError::NotAChannel { number, kind });
            }
            Ok(None) => return Err(EnvironmentError::NotInherited { number }),
            Err(_) => return Err(EnvironmentError::NotOpen { number }),
        }
        // SYNC taken: of two threads that came here, one goes on.
        if TAKEN.swap(true, Ordering::AcqRel) {
            return Err(EnvironmentError::Taken);
        }
        let end = fd::adopt(number).map_err(EnvironmentError::Os)?;
        Peer::with(end, serialization, Limits::default(), |json| {
            Sharing::new(false, 1, json)
        })
        .map_err(EnvironmentError::Os)
    }
}

/// Keeps the channel's variables from what `command` starts.
///
/// They stay in the environment of a program that has called [`Peer::from_env`], and a Node
/// started with them would take whatever has their number for its channel. A program that is
/// certain to have no other threads yet may instead remove them itself.
///
/// ```
/// let mut command = std::process::Command::new("node");
/// rsipc_core::peer::strip(&mut command);
/// ```
pub fn strip(command: &mut Command) {
    command.env_remove(FD_VARIABLE).env_remove(MODE_VARIABLE);
}

fn number(value: Option<&OsStr>) -> Result<RawFd, EnvironmentError> {
    let value = value.ok_or(EnvironmentError::Absent)?.to_string_lossy();
    match value.parse::<RawFd>() {
        Ok(number @ 0..=2) => Err(EnvironmentError::StandardStream { number }),
        Ok(number) if number > 2 => Ok(number),
        _ => Err(EnvironmentError::NotANumber {
            value: value.into_owned(),
        }),
    }
}

fn serialization(value: Option<&OsStr>) -> Result<Serialization, EnvironmentError> {
    let value = value.unwrap_or_default().to_string_lossy();
    match &*value {
        "" | "json" => Ok(Serialization::Json),
        "advanced" => Ok(Serialization::Advanced),
        _ => Err(EnvironmentError::UnknownSerialization {
            value: value.into_owned(),
        }),
    }
}
