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

use std::sync::Arc;

use crate::error::WriteError;
use crate::memory::{Memory, Region};
use crate::object::Object;
use crate::record::Geometry;
use crate::system::System;
use crate::table::Party;

/// Where an end of a ring is, whatever its flavor. Apart from what the flavor keeps, so that a slot
/// or a record can reach the memory without asking again which flavor it is of.
pub(crate) struct Place<M: Memory, S: System> {
    pub(crate) party: Party<M, S>,
    pub(crate) geometry: Geometry,
    /// Records may be read while they are written over: they are written and read by words.
    pub(crate) races: bool,
}

impl<M: Memory, S: System> Place<M, S> {
    #[inline(always)]
    pub(crate) fn object(&self) -> &Arc<Object<M, S>> {
        self.party.object()
    }

    #[inline(always)]
    pub(crate) fn region(&self) -> &Region<M> {
        self.object().region()
    }
}

/// A full ring is an answer to whoever asks for room.
fn not_full(error: WriteError) -> Result<bool, WriteError> {
    match error {
        WriteError::Full => Ok(false),
        error => Err(error),
    }
}
