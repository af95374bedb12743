//! Shared memory by name.
//!
//! - [`name`]: what an object may be called.
//! - [`rundir`]: the directory of this user in which names are.
//! - [`registry`]: objects made, opened, listed, removed; the dead ones cleaned up.
//! - [`object`]: rings, cells and what else there is, over memory of this system.
//! - [`bytes`]: memory without a rule, as such an object.
//! - [`describe`]: what an object is, and who is attached to it.
//! - [`error`]: what can go wrong with all of it.

pub mod bytes;
pub mod describe;
pub mod error;
pub mod name;
pub mod object;
pub mod registry;
pub mod rundir;

pub use bytes::Bytes;
pub use describe::{Attached, Description};
pub use error::ShmError;
pub use name::{Name, NameError};
pub use object::{Cell, Code, Consumer, Object, Party, Producer, Ring};
pub use registry::{Bell, Cleaned, Found, Listed, Listing, Registry};
pub use rundir::RunDir;
