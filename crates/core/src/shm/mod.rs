//! Shared memory by name.
//!
//! - [`name`]: what an object may be called.
//! - [`rundir`]: the directory of this user in which names are.
//! - [`registry`]: objects made, opened, listed, removed; the dead ones cleaned up.
//! - [`error`]: what can go wrong with all of it.

pub mod error;
pub mod name;
pub mod registry;
pub mod rundir;

pub use error::ShmError;
pub use name::{Name, NameError};
pub use registry::{Cleaned, Found, Listing, Registry};
pub use rundir::RunDir;
