//! What a map refuses.

use std::error::Error;
use std::fmt;

use crate::error::Corrupt;

/// A map does not do what is asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MapError {
    /// There is no room in the shard of this key, also after all entries were given up whose time
    /// is over.
    Full {
        /// Bytes that the entry needs in one piece.
        needed: u64,
    },
    /// The entry is larger than a whole shard.
    TooLarge {
        /// Bytes that the entry needs.
        size: u64,
        /// Bytes of a shard.
        limit: u64,
    },
    /// The key is longer than [`MAX_KEY`](crate::map::MAX_KEY).
    KeyTooLong {
        /// Bytes of the key.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The value of this key was set, not counted.
    NotACounter,
    /// The counter would leave the range of 64 bits.
    Overflow,
    /// The map was destroyed.
    Destroyed,
    /// The map's state makes no sense.
    Corrupt(Corrupt),
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MapError::Full { needed } => {
                write!(f, "the map has no {needed} bytes left for this key")
            }
            MapError::TooLarge { size, limit } => {
                write!(
                    f,
                    "an entry of {size} bytes is larger than the limit of {limit} bytes"
                )
            }
            MapError::KeyTooLong { size, limit } => {
                write!(
                    f,
                    "a key of {size} bytes is longer than the limit of {limit} bytes"
                )
            }
            MapError::NotACounter => f.write_str("the value of this key is not a counter"),
            MapError::Overflow => f.write_str("the counter would overflow"),
            MapError::Destroyed => f.write_str("the map was destroyed"),
            MapError::Corrupt(corrupt) => corrupt.fmt(f),
        }
    }
}

impl Error for MapError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            MapError::Corrupt(corrupt) => Some(corrupt),
            _ => None,
        }
    }
}

impl From<Corrupt> for MapError {
    fn from(corrupt: Corrupt) -> MapError {
        MapError::Corrupt(corrupt)
    }
}
