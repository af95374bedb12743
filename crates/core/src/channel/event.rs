//! What a channel tells its owner.

use std::io;
use std::os::fd::OwnedFd;

use rsipc_sys::fd::Kind;

use crate::error::Error;

/// Messages that were encoded together: numbers, and one text that all their strings are in.
#[derive(Debug)]
pub struct Batch {
    /// How many messages there are said to be.
    pub count: usize,
    /// Bytes of the numbers, 4 for each, at the front of `bytes`.
    pub words: usize,
    /// Whether the text is UTF-16, and not Latin-1.
    pub wide: bool,
    /// The numbers and the text.
    pub bytes: Vec<u8>,
}

/// Something that was received, in the order of the stream.
#[derive(Debug)]
pub enum Event {
    /// Complete plain frames. JSON: the texts, each followed by a line feed. Advanced: each
    /// value with its four-byte big-endian length before it.
    Messages {
        /// The frames, one after the other.
        bytes: Vec<u8>,
        /// How many there are.
        count: usize,
    },
    /// Messages in the form of a codec that the two ends share.
    Batch(Batch),
    /// What the peer sends from here on travels through shared memory.
    Switched,
    /// A frame that carries a handle. The peer has its answer already.
    Handle {
        /// The whole payload, envelope included.
        frame: Vec<u8>,
        /// Node's retransmission: the message proper is the envelope inside this one, and
        /// `kind` is the inner type.
        nested: bool,
        /// The handle type on the wire.
        kind: &'static str,
        /// The descriptor, unless there is a `problem`.
        descriptor: Option<OwnedFd>,
        /// What the descriptor is, or was before it was closed.
        fd_kind: Option<Kind>,
        /// Why there is no descriptor: `refused` (type not accepted), `kind` (does not fit the
        /// type) or `lost` (did not survive the way).
        problem: Option<&'static str>,
    },
    /// The peer has the handle that was accepted under this number.
    HandleTaken {
        /// [`accepted`](super::Channel::accepted) right after its `send_handle`.
        sequence: u64,
    },
    /// The peer did not get the handle that was accepted under this number, and will not.
    HandleLost {
        /// [`accepted`](super::Channel::accepted) right after its `send_handle`.
        sequence: u64,
    },
    /// The peer broke the protocol. Reading goes on with the next frame; several breaches of
    /// one kind found by one `receive` are told once.
    Problem(Error),
    /// Nothing more will come.
    Ended {
        /// The failure that ended it, if it was not an orderly close.
        error: Option<io::Error>,
        /// Bytes of a frame that was never completed.
        truncated: usize,
    },
}
