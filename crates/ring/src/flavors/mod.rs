//! The kinds of ring, as crossbeam keeps its kinds of channel: one file each, the same methods in
//! each, and [`Producer`](crate::Producer) and [`Consumer`](crate::Consumer) choosing among them.
//!
//! What every flavor promises:
//!
//! 1. Records are read whole, with the length they were committed with.
//! 2. Records of one producer are read in the order of their reservation.
//! 3. What a producer has not committed when it dies is never read.
//! 4. What a consumer has not released when it dies is read by the consumer after it; where
//!    consumers have cursors of their own, it delays nobody any more once it is swept.
//! 5. Whatever others write into the memory, the ends touch nothing outside of the records and
//!    answer with a record, nothing, or an error.
//!
//! A producer has `reserve`, `commit`, `stage` (commit, but nobody need see it before), `abandon`
//! and `publish`; a consumer `look` (find the next record), `advance` (look behind it the next
//! time) and `release` (producers may write over all up to a position).

pub(crate) mod broadcast; // One producer, every consumer sees everything
pub(crate) mod mpsc; // Many producers, one consumer
pub(crate) mod spsc; // One producer, one consumer

use crate::error::WriteError;

/// A full ring is an answer to whoever asks for room.
fn not_full(error: WriteError) -> Result<bool, WriteError> {
    match error {
        WriteError::Full => Ok(false),
        error => Err(error),
    }
}
