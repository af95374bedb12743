//! What can be wrong with what a peer sends, or with what we are asked to send.
//!
//! Texts carry sizes and kinds, never a byte of a payload: they end up in logs.

use std::fmt;
use std::io;
use std::time::Duration;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A frame is longer than allowed. `size` is what was announced, or what had arrived of a
    /// frame that announces nothing.
    MessageTooLarge {
        /// Bytes of the frame, as far as known.
        size: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// The same of messages that were encoded together. The next ones cannot be read without them.
    BatchTooLarge {
        /// Bytes of the batch.
        size: u64,
        /// Bytes allowed for a message.
        limit: u64,
    },
    /// A value is nested too deeply.
    TooDeep {
        /// Levels allowed.
        limit: usize,
    },
    /// A frame that cannot be one: without content, or with a line break in it.
    MalformedFrame,
    /// Shared memory holds what no peer that keeps the rules writes there.
    DamagedMemory,
    /// The first bytes of a frame are those of the other serialization.
    OtherSerialization {
        /// What the peer seems to speak.
        theirs: &'static str,
    },
    /// The first bytes of a connection are no hello.
    NotRsipc,
    /// The hello is that of a version of the wire which this end does not speak.
    OtherVersion,
    /// The stream ended inside a frame.
    Truncated {
        /// Bytes of the incomplete frame.
        bytes: usize,
    },
    /// A frame was begun and not completed in time.
    FrameTimeout {
        /// Bytes that had arrived.
        bytes: usize,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The peer acknowledged a handle although none was outstanding.
    UnexpectedAck,
    /// The peer sent a handle of a type nobody knows.
    UnknownHandleType,
    /// A descriptor is not what its handle type says.
    HandleKind {
        /// The kind of the descriptor.
        found: &'static str,
    },
    /// A worker answered for a connection that it has not been given, or twice.
    UnexpectedReply,
}

/// An error of the protocol, as opposed to one of the operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
}

impl Error {
    /// An error of this kind.
    pub fn new(kind: ErrorKind) -> Error {
        Error { kind }
    }

    /// What happened.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether nothing that comes behind it can be read.
    pub fn is_last(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::BatchTooLarge { .. } | ErrorKind::DamagedMemory | ErrorKind::UnexpectedReply
        )
    }

    /// A name that does not change between versions.
    pub fn code(&self) -> &'static str {
        match self.kind {
            ErrorKind::MessageTooLarge { .. } | ErrorKind::BatchTooLarge { .. } => {
                "ERR_RSIPC_MESSAGE_TOO_LARGE"
            }
            ErrorKind::TooDeep { .. } => "ERR_RSIPC_TOO_DEEP",
            ErrorKind::MalformedFrame | ErrorKind::OtherSerialization { .. } => {
                "ERR_RSIPC_MALFORMED_FRAME"
            }
            ErrorKind::NotRsipc => "ERR_RSIPC_NOT_RSIPC",
            ErrorKind::OtherVersion => "ERR_RSIPC_INCOMPATIBLE",
            ErrorKind::DamagedMemory => "ERR_RSIPC_DAMAGED",
            ErrorKind::Truncated { .. } => "ERR_RSIPC_TRUNCATED",
            ErrorKind::FrameTimeout { .. } => "ERR_RSIPC_FRAME_TIMEOUT",
            ErrorKind::UnexpectedAck => "ERR_RSIPC_UNEXPECTED_ACK",
            ErrorKind::UnknownHandleType => "ERR_RSIPC_UNKNOWN_HANDLE_TYPE",
            ErrorKind::HandleKind { .. } => "ERR_RSIPC_HANDLE_KIND",
            ErrorKind::UnexpectedReply => "ERR_RSIPC_UNEXPECTED_REPLY",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ErrorKind::MessageTooLarge { size, limit }
            | ErrorKind::BatchTooLarge { size, limit } => {
                write!(
                    f,
                    "message of {size} bytes or more is larger than the limit of {limit} bytes"
                )
            }
            ErrorKind::TooDeep { limit } => {
                write!(
                    f,
                    "message is nested deeper than the limit of {limit} levels"
                )
            }
            ErrorKind::MalformedFrame => f.write_str("malformed frame"),
            ErrorKind::NotRsipc => f.write_str(
                "the peer does not begin with an rsipc hello; is it another program, or one with codec 'lines'?",
            ),
            ErrorKind::OtherVersion => {
                f.write_str("the peer speaks another version of the wire; run one version of rsipc on both sides")
            }
            ErrorKind::DamagedMemory => f.write_str("the memory shared with the peer is damaged"),
            ErrorKind::OtherSerialization { theirs } => write!(
                f,
                "malformed frame: the peer seems to use serialization '{theirs}', and this end does not"
            ),
            ErrorKind::Truncated { bytes } => {
                write!(
                    f,
                    "the channel ended inside a message after {bytes} bytes of it"
                )
            }
            ErrorKind::FrameTimeout { bytes, waited } => write!(
                f,
                "a message was not completed within {} ms, {bytes} bytes of it had arrived",
                waited.as_millis()
            ),
            ErrorKind::UnexpectedAck => {
                f.write_str("a handle was acknowledged although none was outstanding")
            }
            ErrorKind::UnknownHandleType => f.write_str("handle of an unknown type"),
            ErrorKind::HandleKind { found } => {
                write!(f, "descriptor of kind {found} does not fit its handle type")
            }
            ErrorKind::UnexpectedReply => {
                f.write_str("an answer for a connection that was not waiting for one")
            }
        }
    }
}

impl std::error::Error for Error {}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Error {
        Error::new(kind)
    }
}

impl From<Error> for io::Error {
    /// For calls that can fail either way. The protocol error is the inner error.
    fn from(error: Error) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidInput, error)
    }
}
