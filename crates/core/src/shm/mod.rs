//! Shared memory by name.
//!
//! - [`name`]: what an object may be called.
//! - [`rundir`]: the directory of this user in which names are.
//! - [`registry`]: objects made, opened, listed, removed; the dead ones cleaned up.
//! - [`describe`]: what an object is, and who is attached to it.
//! - [`error`]: what can go wrong with all of it.

pub mod describe;
pub mod error;
pub mod name;
pub mod registry;
pub mod rundir;

pub use describe::{Attached, Description};
pub use error::ShmError;
pub use name::{Name, NameError};
pub use registry::{Bell, Cleaned, Found, Listed, Listing, Registry};
pub use rundir::RunDir;
