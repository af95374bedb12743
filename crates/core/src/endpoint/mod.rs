//! Where servers listen and clients connect.
//!
//! - [`address`]: the text of an endpoint, and what it stands for.

pub mod address;

pub use address::{AddressError, Endpoint, Host, Problem, UnixAddress, UnixKind};
