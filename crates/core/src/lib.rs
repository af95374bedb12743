//! Node's child-process channel as a Rust library: either end, without Node.
//!
//! - [`peer::Peer`] is one end of a channel for a program on tokio: start here.
//! - [`channel::Channel`] is the link: it frames, gathers, passes handles and reads, and never
//!   waits unless asked to. Whoever owns it polls its descriptor: a JavaScript loop, a thread.
//! - [`codec`] turns bytes into frames and never touches a socket.
//! - [`cluster`] accepts connections and hands them to workers that speak Node's cluster protocol.
//! - [`endpoint`] is where servers listen and clients connect.
//! - [`runtime`] writes gathered frames when the owner is too busy to do so.
//! - [`slab`] is memory beside a channel, for the bytes of large Buffers.
//! - [`spin`] says when looking at shared memory once more is better than sleeping.
//! - [`shm`] shares memory by name between any processes of one user.
//!
//! User payloads are bytes here. Only the envelopes that carry handles are looked into.

#![forbid(unsafe_code)]

pub mod codec;
pub mod endpoint;
pub mod error;
pub mod handle;
pub mod name;
pub mod place;

#[cfg(unix)]
pub mod channel;
#[cfg(unix)]
pub mod cluster;
#[cfg(unix)]
pub mod peer;
#[cfg(unix)]
pub mod runtime;
#[cfg(unix)]
pub mod shm;
#[cfg(unix)]
pub mod slab;
#[cfg(unix)]
pub mod spin;

pub use endpoint::Endpoint;
pub use error::{Error, ErrorKind};
pub use name::{Name, NameError};
