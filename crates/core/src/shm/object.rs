//! The objects of `rsipc-ring` over memory of this system, and what their errors are called.

use std::sync::Arc;

use rsipc_ring::{ClaimError, Corrupt, EndError, OpenError, ReadError, WriteError};
use rsipc_sys::os::Os;
use rsipc_sys::shm::Mapping;

/// A ring.
pub type Ring = rsipc_ring::Ring<Mapping, Arc<Os>>;
/// The end of a ring that writes.
pub type Producer = rsipc_ring::Producer<Mapping, Arc<Os>>;
/// The end of a ring that reads.
pub type Consumer = rsipc_ring::Consumer<Mapping, Arc<Os>>;
/// The latest value of something.
pub type Cell = rsipc_ring::Cell<Mapping, Arc<Os>>;
/// What all kinds of object have in common.
pub type Object = rsipc_ring::Object<Mapping, Arc<Os>>;
/// One attachment that sleeps, or holds something.
pub type Party = rsipc_ring::Party<Mapping, Arc<Os>>;

/// Errors with a name that does not change between versions.
pub trait Code {
    /// The name.
    fn code(&self) -> &'static str;
}

impl Code for OpenError {
    fn code(&self) -> &'static str {
        match self {
            OpenError::Version { .. } => "ERR_RSIPC_INCOMPATIBLE",
            OpenError::Kind { .. } => "ERR_RSIPC_WRONG_KIND",
            OpenError::Destroyed => "ERR_RSIPC_DESTROYED",
            OpenError::World => "ERR_RSIPC_OTHER_WORLD",
            _ => "ERR_RSIPC_DAMAGED",
        }
    }
}

impl Code for ClaimError {
    fn code(&self) -> &'static str {
        match self {
            ClaimError::Taken { .. } => "ERR_RSIPC_ROLE_TAKEN",
            ClaimError::Destroyed => "ERR_RSIPC_DESTROYED",
            _ => "ERR_RSIPC_TOO_MANY_PARTIES",
        }
    }
}

impl Code for Corrupt {
    fn code(&self) -> &'static str {
        "ERR_RSIPC_DAMAGED"
    }
}

impl Code for WriteError {
    fn code(&self) -> &'static str {
        match self {
            WriteError::Full => "ERR_RSIPC_FULL",
            WriteError::TooLarge { .. } => "ERR_RSIPC_RECORD_TOO_LARGE",
            WriteError::Destroyed => "ERR_RSIPC_DESTROYED",
            _ => "ERR_RSIPC_DAMAGED",
        }
    }
}

impl Code for ReadError {
    fn code(&self) -> &'static str {
        match self {
            ReadError::Disconnected => "ERR_RSIPC_SLOW_CONSUMER",
            ReadError::Destroyed => "ERR_RSIPC_DESTROYED",
            _ => "ERR_RSIPC_DAMAGED",
        }
    }
}

impl Code for EndError {
    fn code(&self) -> &'static str {
        match self {
            EndError::Claim(claim) => claim.code(),
            _ => "ERR_RSIPC_DAMAGED",
        }
    }
}
