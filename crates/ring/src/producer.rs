//! The end of a ring that writes.

use std::fmt;
use std::sync::Arc;

use crate::doorbell::{Doorbell, Patience};
use crate::error::WriteError;
use crate::flavors::{Place, broadcast, mpsc, spsc};
use crate::memory::Memory;
use crate::object::Object;
use crate::record::{Reservation, outside};
use crate::system::System;

/// Which flavor it is an end of. With a tag of its own: one that hides in a field takes arithmetic
/// at every call.
#[repr(u8)]
pub(crate) enum Flavor {
    Spsc(spsc::Producer),
    Mpsc(mpsc::Producer),
    Broadcast(broadcast::Producer),
}

/// The same call to whichever flavor it is.
macro_rules! each {
    ($flavor:expr, $end:ident => $call:expr) => {
        // The call in each arm, with all that is done with its answer there: behind the arms the
        // answer would lie in memory, since two of the three are calls.
        match $flavor {
            Flavor::Spsc($end) => $call,
            Flavor::Mpsc($end) => $call,
            Flavor::Broadcast($end) => $call,
        }
    };
}

/// The end of a ring that writes.
///
/// Dropping it publishes what is staged.
pub struct Producer<M: Memory, S: System> {
    place: Place<M, S>,
    flavor: Flavor,
}

impl<M: Memory, S: System> Producer<M, S> {
    pub(crate) fn new(place: Place<M, S>, flavor: Flavor) -> Self {
        Producer { place, flavor }
    }

    /// The ring as an object.
    pub fn object(&self) -> &Arc<Object<M, S>> {
        self.place.object()
    }

    /// Number of this end's slot in the table of parties.
    pub fn slot(&self) -> usize {
        self.place.party.index()
    }

    /// The longest record the ring takes, in bytes.
    pub fn limit(&self) -> usize {
        self.place.geometry.limit
    }

    /// Reserves room for a record of `len` bytes, without waiting. What the slot holds at first is
    /// anything.
    #[inline(always)]
    pub fn reserve(&mut self, len: usize) -> Result<Slot<'_, M, S>, WriteError> {
        self.check(len)?;
        let place = &self.place;
        let reservation = each!(&mut self.flavor, end => end.reserve(place, len)?);
        Ok(Slot {
            place,
            flavor: &mut self.flavor,
            reservation,
            offset: place.geometry.payload(reservation.position),
            open: true,
        })
    }

    #[inline(always)]
    fn check(&self, len: usize) -> Result<(), WriteError> {
        let limit = self.place.geometry.limit;
        if len > limit {
            return Err(WriteError::TooLarge { size: len, limit });
        }
        if self.object().is_destroyed() {
            return Err(WriteError::Destroyed);
        }
        Ok(())
    }

    /// Writes and publishes a record, without waiting.
    #[inline(always)]
    pub fn try_write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let mut slot = self.reserve(bytes.len())?;
        slot.write(0, bytes);
        slot.commit();
        Ok(())
    }

    /// Writes and publishes as many of the records as there is room for; answers how many. An error
    /// other than [`WriteError::Full`] is only answered when it concerns the first.
    pub fn try_write_batch<'a>(
        &mut self,
        records: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<usize, WriteError> {
        let mut written = 0;
        let mut result = Ok(());
        for record in records {
            match self.reserve(record.len()) {
                Ok(mut slot) => {
                    slot.write(0, record);
                    slot.stage();
                    written += 1;
                }
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        self.publish();
        match result {
            Err(error) if written == 0 && error != WriteError::Full => Err(error),
            _ => Ok(written),
        }
    }

    /// Writes and publishes a record, blocking the thread until there is room. Answers
    /// [`WriteError::Full`] when patience ends.
    pub fn write(&mut self, bytes: &[u8], patience: Patience) -> Result<(), WriteError> {
        match self.try_write(bytes) {
            Err(WriteError::Full) => {}
            done => return done,
        }
        self.publish();
        let object = Arc::clone(self.object());
        let slot = self.slot();
        object
            .wait(Doorbell::Space, slot, patience, |idle| {
                if idle {
                    object.sweep();
                }
                match self.try_write(bytes) {
                    Err(WriteError::Full) => None,
                    done => Some(done),
                }
            })
            .unwrap_or(Err(WriteError::Full))
    }

    /// Whether a record of `len` bytes has room now. Another producer of the ring may take it.
    pub fn fits(&mut self, len: usize) -> Result<bool, WriteError> {
        self.check(len)?;
        each!(&mut self.flavor, end => end.fits(&self.place, len))
    }

    /// Blocks the thread until a record of `len` bytes has room; answers whether it has.
    pub fn wait(&mut self, len: usize, patience: Patience) -> Result<bool, WriteError> {
        self.publish();
        let object = Arc::clone(self.object());
        let slot = self.slot();
        object
            .wait(Doorbell::Space, slot, patience, |idle| {
                if idle {
                    object.sweep();
                }
                match self.fits(len) {
                    Ok(false) => None,
                    done => Some(done),
                }
            })
            .unwrap_or(Ok(false))
    }

    /// Has consumers see, and be woken for, all that was staged.
    #[inline(always)]
    pub fn publish(&mut self) {
        each!(&mut self.flavor, end => end.publish(&self.place));
    }
}

impl<M: Memory, S: System> Drop for Producer<M, S> {
    fn drop(&mut self) {
        if let Flavor::Mpsc(end) = &mut self.flavor {
            end.close(&self.place);
        }
        self.publish();
    }
}

impl<M: Memory, S: System> fmt::Debug for Producer<M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("party", &self.place.party)
            .finish()
    }
}

/// A reserved stretch of a ring, to be filled. Dropping it gives it up.
pub struct Slot<'a, M: Memory, S: System> {
    place: &'a Place<M, S>,
    flavor: &'a mut Flavor,
    reservation: Reservation,
    /// Offset of the payload in the memory.
    offset: usize,
    open: bool,
}

impl<M: Memory, S: System> Slot<'_, M, S> {
    /// Bytes of the record.
    pub fn len(&self) -> usize {
        self.reservation.len
    }

    /// Whether the record has no bytes.
    pub fn is_empty(&self) -> bool {
        self.reservation.len == 0
    }

    /// Offset of the record's bytes in the object's memory, a multiple of 8.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The record's bytes, for writing them in place. Consumers of a broadcast ring that does not
    /// wait for them may read them meanwhile, and find out.
    #[cfg(not(rsipc_loom))]
    pub fn pointer(&self) -> std::ptr::NonNull<u8> {
        let region = self.place.region();
        region.pointer(self.offset, self.reservation.len)
    }

    /// Writes bytes from `at` on.
    ///
    /// # Panics
    ///
    /// When they do not fit into the record.
    #[inline(always)]
    pub fn write(&mut self, at: usize, bytes: &[u8]) {
        if at > self.reservation.len || bytes.len() > self.reservation.len - at {
            outside(at, bytes.len(), self.reservation.len);
        }
        let region = self.place.region();
        let offset = self.offset + at;
        if self.place.races {
            region.write_racing(offset, bytes);
        } else {
            region.write(offset, bytes);
        }
    }

    /// Publishes the record, and all that was staged before it.
    #[inline(always)]
    pub fn commit(mut self) {
        self.open = false;
        let reservation = self.reservation;
        each!(&mut self.flavor, end => {
            end.stage(self.place, reservation);
            end.publish(self.place);
        });
    }

    /// Commits the record, to be seen at the latest after the next [`Producer::publish`]: one store
    /// and one wake-up for many records.
    #[inline(always)]
    pub fn stage(mut self) {
        self.open = false;
        let reservation = self.reservation;
        each!(&mut self.flavor, end => end.stage(self.place, reservation));
    }
}

impl<M: Memory, S: System> Drop for Slot<'_, M, S> {
    #[inline(always)]
    fn drop(&mut self) {
        // Where there is one producer an unfinished record is simply not there.
        if self.open
            && let Flavor::Mpsc(end) = &mut self.flavor
        {
            end.abandon(self.place, self.reservation);
        }
    }
}

impl<M: Memory, S: System> fmt::Debug for Slot<'_, M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("len", &self.reservation.len)
            .finish_non_exhaustive()
    }
}
