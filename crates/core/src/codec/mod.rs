//! Bytes to frames and back. Nothing here touches a socket.
//!
//! - [`Serialization`] is which of Node's two formats a channel speaks.
//! - [`encode`] frames a payload and holds the answers to handles.
//! - [`Decoder`] finds frames in a stream, whatever the pieces it comes in.
//! - [`envelope`] tells the few frames the channel itself must understand.
//! - [`advanced`] walks just enough of V8's format for that.
//! - [`depth`] counts how deeply a JSON text nests.

pub mod advanced;
pub mod depth;
pub mod encode;
pub mod envelope;
mod node;

pub use node::{Decoder, Frame};

/// How messages are written on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serialization {
    /// One JSON text a line.
    Json,
    /// Values in V8's format, each after its length.
    Advanced,
}
