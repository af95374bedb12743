//! What can go wrong with a lock.

use std::error::Error;
use std::fmt;

use crate::error::{ClaimError, OpenError};

/// A lock cannot be had at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinError {
    /// The memory is not this lock.
    Open(OpenError),
    /// There is no place for one party more.
    Claim(ClaimError),
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::Open(open) => open.fmt(f),
            JoinError::Claim(claim) => claim.fmt(f),
        }
    }
}

impl Error for JoinError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            JoinError::Open(open) => Some(open),
            JoinError::Claim(claim) => Some(claim),
        }
    }
}

impl From<OpenError> for JoinError {
    fn from(open: OpenError) -> JoinError {
        JoinError::Open(open)
    }
}

impl From<ClaimError> for JoinError {
    fn from(claim: ClaimError) -> JoinError {
        JoinError::Claim(claim)
    }
}

/// A lock does not do what is asked of it. That it is busy is no error: `None` says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockError {
    /// The object was destroyed.
    Destroyed,
    /// This party has it already and would wait for itself.
    AlreadyHeld,
    /// This party does not hold it, or not under this fencing number.
    NotHeld,
    /// More permits than there ever are, or none.
    Permits {
        /// How many were asked for.
        asked: u64,
        /// How many there are.
        limit: u64,
    },
    /// A party of the barrier died, or somebody broke it; it lets nobody pass before it is reset.
    Broken,
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::Destroyed => f.write_str("the object was destroyed"),
            LockError::AlreadyHeld => f.write_str("this party holds the lock already"),
            LockError::NotHeld => f.write_str("this party does not hold the lock"),
            LockError::Permits { asked, limit } => {
                write!(f, "{asked} permits were asked for, there are {limit}")
            }
            LockError::Broken => f.write_str("the barrier is broken"),
        }
    }
}

impl Error for LockError {}
