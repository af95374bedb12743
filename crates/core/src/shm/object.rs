//! The objects of `rsipc-ring` over memory of this system, and what their errors are called.

use std::sync::Arc;

use rsipc_ring::lock::{JoinError, LockError};
use rsipc_ring::map::MapError;
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
/// A key-value map.
pub type SharedMap = rsipc_ring::map::SharedMap<Mapping, Arc<Os>>;
/// A lock with one owner at a time.
pub type Mutex = rsipc_ring::lock::Mutex<Mapping, Arc<Os>>;
/// A lock with one writer or many readers.
pub type RwLock = rsipc_ring::lock::RwLock<Mapping, Arc<Os>>;
/// So many permits.
pub type Semaphore = rsipc_ring::lock::Semaphore<Mapping, Arc<Os>>;
/// A flag that is waited for.
pub type Event = rsipc_ring::lock::Event<Mapping, Arc<Os>>;
/// A meeting point.
pub type Barrier = rsipc_ring::lock::Barrier<Mapping, Arc<Os>>;
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

impl Code for JoinError {
    fn code(&self) -> &'static str {
        match self {
            JoinError::Open(open) => open.code(),
            JoinError::Claim(claim) => claim.code(),
            _ => "ERR_RSIPC_DAMAGED",
        }
    }
}

impl Code for LockError {
    fn code(&self) -> &'static str {
        match self {
            LockError::Destroyed => "ERR_RSIPC_DESTROYED",
            LockError::AlreadyHeld => "ERR_RSIPC_DEADLOCK",
            LockError::NotHeld => "ERR_RSIPC_NOT_HELD",
            LockError::Permits { .. } => "ERR_OUT_OF_RANGE",
            LockError::Broken => "ERR_RSIPC_BARRIER_BROKEN",
            _ => "ERR_RSIPC_DAMAGED",
        }
    }
}

impl Code for MapError {
    fn code(&self) -> &'static str {
        match self {
            MapError::Full { .. } => "ERR_RSIPC_MAP_FULL",
            MapError::TooLarge { .. } | MapError::KeyTooLong { .. } => "ERR_RSIPC_RECORD_TOO_LARGE",
            MapError::NotACounter => "ERR_RSIPC_NOT_A_COUNTER",
            MapError::Overflow => "ERR_OUT_OF_RANGE",
            MapError::Destroyed => "ERR_RSIPC_DESTROYED",
            MapError::Corrupt(corrupt) => corrupt.code(),
            _ => "ERR_RSIPC_DAMAGED",
        }
    }
}
