//! What a connection tells its owner.

use rsipc_sys::fd::OwnedFd;

use crate::error::Error;

/// What a frame is, as its fifth byte says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Messages of the user.
    Message = 1,
    /// Requests, each with a number and a name.
    Request = 2,
    /// Results of requests.
    Reply = 3,
    /// Errors that requests have ended with.
    Failure = 4,
    /// Requests whose results nobody waits for any more.
    Cancel = 5,
    /// Asks for a [`Kind::Pong`].
    Ping = 6,
    /// The answer to a ping.
    Pong = 7,
    /// Nothing comes behind it; why, as text.
    Bye = 8,
    /// One message, and what it says of the descriptors that come with it.
    Handles = 9,
    /// A frame of another kind whose payload lies in memory shared with the peer: which, where, and what comes
    /// before it.
    Beside = 10,
    /// Messages of the user, encoded as numbers and text, for a peer that has said it reads them.
    Batch = 11,
}

impl Kind {
    /// Whether frames of this kind hold texts where messages are texts.
    pub fn is_text(self) -> bool {
        matches!(
            self,
            Kind::Message | Kind::Request | Kind::Reply | Kind::Failure | Kind::Cancel
        )
    }

    /// The kind with this number on the wire.
    pub fn from_wire(number: u8) -> Option<Kind> {
        Some(match number {
            1 => Kind::Message,
            2 => Kind::Request,
            3 => Kind::Reply,
            4 => Kind::Failure,
            5 => Kind::Cancel,
            6 => Kind::Ping,
            7 => Kind::Pong,
            8 => Kind::Bye,
            9 => Kind::Handles,
            10 => Kind::Beside,
            11 => Kind::Batch,
            _ => return None,
        })
    }
}

/// One thing that arrived, in the order of the stream.
#[derive(Debug)]
pub enum Event {
    /// The peer's first words, without what every hello begins with.
    Hello(Vec<u8>),
    /// What frames of one kind held. As text: JSON texts, each ended by a line feed. As bytes: each with
    /// its length in front, four bytes, the lowest first.
    Run {
        /// What they are.
        kind: Kind,
        /// All of it.
        bytes: Vec<u8>,
    },
    /// The same of one long frame, as bytes, without its length.
    Large {
        /// What it is.
        kind: Kind,
        /// Its payload.
        bytes: Vec<u8>,
    },
    /// A message with descriptors.
    Handles {
        /// The message and what its descriptors are.
        bytes: Vec<u8>,
        /// They themselves, as many as have arrived.
        fds: Vec<OwnedFd>,
        /// How many were announced.
        announced: usize,
    },
    /// The peer has broken the protocol; nothing behind it is read.
    Problem(Error),
    /// The peer has said that it ends, and why.
    Bye(Vec<u8>),
    /// The stream has ended.
    Ended {
        /// Bytes of a frame that never became whole.
        truncated: usize,
    },
}
