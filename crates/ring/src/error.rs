//! What can be wrong with an object, and with what is asked of it. One small error per operation.
//!
//! Texts carry sizes and kinds, never a byte of a payload: they end up in logs.

use std::error::Error;
use std::fmt;

/// Memory cannot be taken for an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// The memory does not begin at a multiple of 64.
    Misaligned,
    /// Fewer bytes than the object needs.
    TooSmall {
        /// Bytes there are.
        found: u64,
        /// Bytes needed.
        needed: u64,
    },
    /// These bytes are no object of rsipc.
    NotAnObject,
    /// An object of another version of the layout.
    Version {
        /// The version found.
        found: u32,
        /// The version known.
        known: u32,
    },
    /// The header does not have the checksum it says.
    Checksum,
    /// An object of another kind.
    Kind {
        /// The number of the kind found.
        found: u32,
        /// The number of the kind asked for.
        expected: u32,
    },
    /// A valid checksum over a header that no version of rsipc writes, or a parameter outside of
    /// its range: which one.
    Parameter(&'static str),
    /// It belongs to another boot, pid namespace or time namespace: who of its owners lives cannot
    /// be told from here.
    World,
    /// Its creator has not finished it, or died before.
    NotReady,
    /// It was destroyed.
    Destroyed,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Misaligned => f.write_str("the memory does not begin at a multiple of 64"),
            OpenError::TooSmall { found, needed } => {
                write!(
                    f,
                    "the memory has {found} bytes, the object needs {needed} bytes"
                )
            }
            OpenError::NotAnObject => f.write_str("the memory holds no object of rsipc"),
            OpenError::Version { found, known } => {
                write!(
                    f,
                    "the object has layout version {found}, version {known} is known"
                )
            }
            OpenError::Checksum => f.write_str("the header of the object is damaged"),
            OpenError::Kind { found, expected } => {
                write!(
                    f,
                    "the object is of kind {found}, kind {expected} was asked for"
                )
            }
            OpenError::Parameter(which) => write!(f, "the {which} of the object is out of range"),
            OpenError::World => f.write_str(
                "the object was made in another container or before the system was started again",
            ),
            OpenError::NotReady => f.write_str("the object is not finished by its creator"),
            OpenError::Destroyed => f.write_str("the object was destroyed"),
        }
    }
}

impl Error for OpenError {}

/// There is no place for one party more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClaimError {
    /// All slots are held by the living.
    Full {
        /// How many slots there are.
        limit: usize,
    },
    /// A role that only one party may have is held.
    Taken {
        /// The identity of the holder.
        holder: u64,
    },
    /// The object was destroyed.
    Destroyed,
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClaimError::Full { limit } => write!(f, "all {limit} places of the object are taken"),
            ClaimError::Taken { holder } => {
                write!(f, "process {} has this end already", pid(*holder))
            }
            ClaimError::Destroyed => f.write_str("the object was destroyed"),
        }
    }
}

impl Error for ClaimError {}

/// The process number in an identity: `pid << 42 | start time`.
pub(crate) fn pid(identity: u64) -> u64 {
    identity >> 42
}

/// Shared state says what no party that keeps the rules writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt {
    /// What was wrong.
    pub what: &'static str,
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the object is damaged: {}", self.what)
    }
}

impl Error for Corrupt {}

/// A ring takes no record now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError {
    /// There is no room for it, and there was none within the time given.
    Full,
    /// It is longer than the ring ever takes.
    TooLarge {
        /// Bytes of the record.
        size: usize,
        /// Bytes allowed: a little less than half the capacity.
        limit: usize,
    },
    /// The ring was destroyed.
    Destroyed,
    /// The ring's state makes no sense.
    Corrupt(Corrupt),
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WriteError::Full => f.write_str("the ring is full"),
            WriteError::TooLarge { size, limit } => {
                write!(
                    f,
                    "a record of {size} bytes is larger than the ring's limit of {limit} bytes"
                )
            }
            WriteError::Destroyed => f.write_str("the ring was destroyed"),
            WriteError::Corrupt(corrupt) => corrupt.fmt(f),
        }
    }
}

impl Error for WriteError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            WriteError::Corrupt(corrupt) => Some(corrupt),
            _ => None,
        }
    }
}

impl From<Corrupt> for WriteError {
    fn from(corrupt: Corrupt) -> WriteError {
        WriteError::Corrupt(corrupt)
    }
}

/// A ring gives no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadError {
    /// This consumer was too slow for the ring's policy and gets nothing more.
    Disconnected,
    /// The ring was destroyed, and all that was in it is read.
    Destroyed,
    /// The ring's state makes no sense.
    Corrupt(Corrupt),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Disconnected => {
                f.write_str("the consumer was overtaken by the producer and disconnected")
            }
            ReadError::Destroyed => f.write_str("the ring was destroyed"),
            ReadError::Corrupt(corrupt) => corrupt.fmt(f),
        }
    }
}

impl Error for ReadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ReadError::Corrupt(corrupt) => Some(corrupt),
            _ => None,
        }
    }
}

impl From<Corrupt> for ReadError {
    fn from(corrupt: Corrupt) -> ReadError {
        ReadError::Corrupt(corrupt)
    }
}

/// An end of a ring cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndError {
    /// There is no place for it.
    Claim(ClaimError),
    /// The ring's state makes no sense.
    Corrupt(Corrupt),
}

impl fmt::Display for EndError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndError::Claim(claim) => claim.fmt(f),
            EndError::Corrupt(corrupt) => corrupt.fmt(f),
        }
    }
}

impl Error for EndError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            EndError::Claim(claim) => Some(claim),
            EndError::Corrupt(corrupt) => Some(corrupt),
        }
    }
}

impl From<ClaimError> for EndError {
    fn from(claim: ClaimError) -> EndError {
        EndError::Claim(claim)
    }
}

impl From<Corrupt> for EndError {
    fn from(corrupt: Corrupt) -> EndError {
        EndError::Corrupt(corrupt)
    }
}
