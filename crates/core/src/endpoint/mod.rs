//! Where servers listen and clients connect, and what they say to each other.
//!
//! - [`address`]: the text of an endpoint, and what it stands for.
//! - [`listen`]: sockets that others connect to, done right.
//! - [`connect`]: sockets that connect.
//! - [`peer`]: who is at the other end, and who may be.
//! - [`packets`]: sockets whose messages are packets.
//! - [`activation`]: sockets that a service manager has opened; telling it how one is.
//! - [`peek`]: looking at the first bytes of a connection without taking them.
//! - [`error`]: what can go wrong with all of it.
//! - [`session`]: servers and clients for Rust programs, on tokio.
//! - [`Connection`] is one end of a connection, without I/O: bytes in, [`Event`]s out, an outbox of bytes to
//!   write. [`Driver`] is one over a descriptor that somebody polls, [`Framing`] how messages lie in the
//!   stream. They speak what docs/wire.md says under "Connections".

pub mod address;
#[cfg(unix)]
mod beside;
#[cfg(not(unix))]
#[path = "beside_elsewhere.rs"]
mod beside;
#[cfg_attr(not(unix), allow(dead_code, reason = "a driver uses it"))]
mod connection;
#[cfg(unix)]
mod driver;
mod event;
#[cfg_attr(not(unix), allow(dead_code, reason = "a driver uses it"))]
mod framing;
#[cfg_attr(not(unix), allow(dead_code, reason = "a driver uses it"))]
mod outbox;
pub mod peek;
#[cfg(unix)]
pub mod session;

#[cfg(unix)]
pub mod activation;
#[cfg(unix)]
pub mod connect;
#[cfg(unix)]
pub mod error;
#[cfg(unix)]
pub mod listen;
#[cfg(unix)]
pub mod packets;
#[cfg(unix)]
pub mod peer;
#[cfg(unix)]
pub(crate) mod socket_file;

pub use address::{AddressError, Endpoint, Host, Problem, UnixAddress, UnixKind};
#[cfg(unix)]
pub use connect::{Connected, connect};
pub use connection::{Connection, Limits};
#[cfg(unix)]
pub use driver::{Driver, Flushed, Scratch};
#[cfg(unix)]
pub use error::{EndpointError, Reason};
pub use event::{Event, Kind};
pub use framing::{Framing, HELLO_LIMIT, frame_head};
#[cfg(unix)]
pub use listen::{Accepted, Incoming, ListenOptions, Listener, bind};
#[cfg(unix)]
pub use peer::{Allow, Peer};
