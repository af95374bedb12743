//! Shared memory by name.
//!
//! - [`rundir`]: the directory of this user in which names are.
//! - [`registry`]: objects made, opened, listed, removed; the dead ones cleaned up.
//! - [`object`]: rings, cells and what else there is, over memory of this system.
//! - [`bytes`]: memory without a rule, as such an object.
//! - [`describe`]: what an object is, and who is attached to it.
//! - [`error`]: what can go wrong with all of it.

pub mod bytes;
pub mod describe;
pub mod error;
pub mod object;
pub mod registry;
pub mod rundir;

pub use crate::name::{self, Name, NameError};
pub use bytes::Bytes;
pub use describe::{Attached, Description};
pub use error::ShmError;
pub use object::{
    Barrier, Cell, Code, Consumer, Event, Mutex, Object, Party, Producer, Ring, RwLock, Semaphore,
    SharedMap,
};
pub use registry::{Bell, Cleaned, Found, Listed, Listing, Registry, Server};
pub use rundir::RunDir;
