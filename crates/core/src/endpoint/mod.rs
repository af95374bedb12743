//! Where servers listen and clients connect.
//!
//! - [`address`]: the text of an endpoint, and what it stands for.
//! - [`listen`]: sockets that others connect to, done right.
//! - [`connect`]: sockets that connect.
//! - [`peer`]: who is at the other end, and who may be.
//! - [`activation`]: sockets that a service manager has opened; telling it how one is.
//! - [`peek`]: looking at the first bytes of a connection without taking them.
//! - [`error`]: what can go wrong with all of it.

pub mod address;
pub mod peek;

#[cfg(unix)]
pub mod activation;
#[cfg(unix)]
pub mod connect;
#[cfg(unix)]
pub mod error;
#[cfg(unix)]
pub mod listen;
#[cfg(unix)]
pub mod peer;
#[cfg(unix)]
pub(crate) mod socket_file;

pub use address::{AddressError, Endpoint, Host, Problem, UnixAddress, UnixKind};
#[cfg(unix)]
pub use connect::{Connected, connect};
#[cfg(unix)]
pub use error::{EndpointError, Reason};
#[cfg(unix)]
pub use listen::{Accepted, Incoming, ListenOptions, Listener, bind};
#[cfg(unix)]
pub use peer::{Allow, Peer};
