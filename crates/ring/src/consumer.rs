//! The end of a ring that reads.

use std::fmt;
use std::sync::Arc;

use crate::doorbell::{Doorbell, Patience};
use crate::error::ReadError;
use crate::flavors::{Place, broadcast, mpsc, spsc};
use crate::memory::Memory;
use crate::object::Object;
use crate::record::{Lease, outside};
use crate::system::System;

/// Which flavor it is an end of. With a tag of its own: one that hides in a field takes arithmetic
/// at every call.
#[repr(u8)]
pub(crate) enum Flavor {
    Spsc(spsc::Consumer),
    Mpsc(mpsc::Consumer),
    Broadcast(broadcast::Consumer),
}

/// The same call to whichever flavor it is.
macro_rules! each {
    ($flavor:expr, $end:ident => $call:expr) => {
        match $flavor {
            Flavor::Spsc($end) => $call,
            Flavor::Mpsc($end) => $call,
            Flavor::Broadcast($end) => $call,
        }
    };
}

/// The end of a ring that reads.
pub struct Consumer<M: Memory, S: System> {
    place: Place<M, S>,
    flavor: Flavor,
}

impl<M: Memory, S: System> Consumer<M, S> {
    pub(crate) fn new(place: Place<M, S>, flavor: Flavor) -> Self {
        Consumer { place, flavor }
    }

    /// The ring as an object.
    pub fn object(&self) -> &Arc<Object<M, S>> {
        self.place.object()
    }

    /// Number of this end's slot in the table of parties.
    pub fn slot(&self) -> usize {
        self.place.party.index()
    }

    /// Records that were written over before this consumer had read them: of a broadcast ring that
    /// drops the oldest. Known when the next record is taken.
    pub fn lost(&self) -> u64 {
        match &self.flavor {
            Flavor::Broadcast(end) => end.lost(),
            _ => 0,
        }
    }

    #[inline(always)]
    fn look(&mut self) -> Result<Option<Lease>, ReadError> {
        let place = &self.place;
        match each!(&mut self.flavor, end => end.look(place)?) {
            None => nothing(place.object()),
            found => Ok(found),
        }
    }

    /// The next record, without waiting. It stays the next one until it is released or kept.
    #[inline(always)]
    pub fn peek(&mut self) -> Result<Option<Record<'_, M, S>>, ReadError> {
        let found = self.look()?;
        Ok(found.map(|lease| Record {
            place: &self.place,
            flavor: &mut self.flavor,
            lease,
        }))
    }

    /// Reads the next record into `out`, in place of what is there, and releases it. Answers
    /// whether there was one.
    pub fn read_into(&mut self, out: &mut Vec<u8>) -> Result<bool, ReadError> {
        match self.peek()? {
            None => Ok(false),
            Some(record) => {
                record.read_into(out);
                record.release();
                Ok(true)
            }
        }
    }

    /// Shows `each` up to `limit` records and releases them together. Answers how many there were;
    /// an error behind some records is answered the next time.
    #[inline(always)]
    pub fn read_batch(
        &mut self,
        limit: usize,
        mut each: impl FnMut(&Record<'_, M, S>),
    ) -> Result<usize, ReadError> {
        let place = &self.place;
        let Flavor::Spsc(end) = &self.flavor else {
            let (count, last) = show(limit, || {
                let Some(lease) = self.look()? else {
                    return Ok(None);
                };
                each(&Record {
                    place: &self.place,
                    flavor: &mut self.flavor,
                    lease,
                });
                each!(&mut self.flavor, end => end.advance(&lease));
                Ok(Some(lease))
            })?;
            if let Some(last) = last {
                each!(&mut self.flavor, end => end.release(&self.place, last.end));
            }
            return Ok(count);
        };
        // Its few numbers in registers: in memory they would be read again after every copy, and
        // where a record begins is known when that of the one before has been.
        let mut end = end.clone();
        let (count, last) = show(limit, || {
            let Some(lease) = end.look(place)? else {
                return nothing(place.object());
            };
            each(&Record {
                place,
                flavor: &mut self.flavor,
                lease,
            });
            end.advance(&lease);
            Ok(Some(lease))
        })?;
        if let Some(last) = last {
            end.release(place, last.end);
            self.flavor = Flavor::Spsc(end);
        }
        Ok(count)
    }

    /// Blocks the thread until there is a record; answers whether there is.
    pub fn wait(&mut self, patience: Patience) -> Result<bool, ReadError> {
        let object = Arc::clone(self.object());
        let slot = self.slot();
        object
            .wait(Doorbell::Items, slot, patience, |idle| {
                if idle {
                    object.sweep();
                }
                match self.look() {
                    Ok(None) => None,
                    Ok(Some(_)) => Some(Ok(true)),
                    Err(error) => Some(Err(error)),
                }
            })
            .unwrap_or(Ok(false))
    }

    /// The bytes of a kept record, until it is released; nothing if it was.
    ///
    /// Producers that keep the rules do not write them before. Others may, at any time.
    #[cfg(not(rsipc_loom))]
    pub fn pointer(&self, lease: &Lease) -> Option<std::ptr::NonNull<u8>> {
        self.holds(lease)
            .then(|| self.object().region().pointer(lease.offset, lease.len))
    }

    /// Copies bytes of a kept record out, from `at` on. Answers whether that was possible: it was
    /// not released, and has so many bytes.
    pub fn copy(&self, lease: &Lease, at: usize, out: &mut [u8]) -> bool {
        let inside = at <= lease.len && out.len() <= lease.len - at;
        if !inside || !self.holds(lease) {
            return false;
        }
        // Where records may be written over at any time none is held.
        self.place.region().read(lease.offset + at, out);
        true
    }

    fn holds(&self, lease: &Lease) -> bool {
        each!(&self.flavor, end => end.holds(lease))
    }

    /// Gives back the room of a kept record and of all before it.
    pub fn release(&mut self, lease: &Lease) {
        if self.holds(lease) {
            each!(&mut self.flavor, end => end.release(&self.place, lease.end));
        }
    }
}

impl<M: Memory, S: System> fmt::Debug for Consumer<M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("party", &self.place.party)
            .finish()
    }
}

/// What is answered where there is no record.
fn nothing<M: Memory, S: System>(object: &Object<M, S>) -> Result<Option<Lease>, ReadError> {
    if object.is_destroyed() {
        return Err(ReadError::Destroyed);
    }
    Ok(None)
}

/// Takes turns as long as there are records, `limit` at most. Answers how many there were, and the
/// last. An error is answered when it comes first.
#[inline(always)]
fn show(
    limit: usize,
    mut turn: impl FnMut() -> Result<Option<Lease>, ReadError>,
) -> Result<(usize, Option<Lease>), ReadError> {
    let (mut count, mut last) = (0, None);
    while count < limit {
        match turn() {
            Ok(Some(lease)) => last = Some(lease),
            Err(error) if count == 0 => return Err(error),
            Ok(None) | Err(_) => break,
        }
        count += 1;
    }
    Ok((count, last))
}

/// The next record of a ring, where it lies. Dropping it leaves it there.
pub struct Record<'a, M: Memory, S: System> {
    place: &'a Place<M, S>,
    flavor: &'a mut Flavor,
    lease: Lease,
}

impl<M: Memory, S: System> Record<'_, M, S> {
    /// Bytes of the record.
    pub fn len(&self) -> usize {
        self.lease.len
    }

    /// Whether the record has no bytes.
    pub fn is_empty(&self) -> bool {
        self.lease.len == 0
    }

    /// The record's bytes, for as long as this is neither dropped nor released. In a ring that may
    /// write over them at any time, those of a private copy.
    ///
    /// Producers that keep the rules do not write them meanwhile. Others may, at any time.
    #[cfg(not(rsipc_loom))]
    pub fn pointer(&self) -> std::ptr::NonNull<u8> {
        if let Some(copy) = self.copied() {
            return std::ptr::NonNull::from(copy).cast();
        }
        let region = self.place.region();
        region.pointer(self.lease.offset, self.lease.len)
    }

    /// Copies bytes out, from `at` on.
    ///
    /// # Panics
    ///
    /// When the record has fewer.
    #[inline(always)]
    pub fn copy(&self, at: usize, out: &mut [u8]) {
        if at > self.lease.len || out.len() > self.lease.len - at {
            outside(at, out.len(), self.lease.len);
        }
        self.copy_out(at, out);
    }

    /// The private copy, where the ring may write over records at any time.
    #[inline(always)]
    fn copied(&self) -> Option<&[u8]> {
        match &*self.flavor {
            Flavor::Broadcast(end) if self.place.races => Some(end.copied()),
            _ => None,
        }
    }

    #[inline(always)]
    fn copy_out(&self, at: usize, out: &mut [u8]) {
        match self.copied() {
            Some(copy) => out.copy_from_slice(&copy[at..at + out.len()]),
            None => self.place.region().read(self.lease.offset + at, out),
        }
    }

    /// Copies the record into `out`, in place of what is there.
    pub fn read_into(&self, out: &mut Vec<u8>) {
        out.resize(self.lease.len, 0);
        self.copy_out(0, out);
    }

    /// Appends the record's bytes, from `at` on, to `out`.
    ///
    /// # Panics
    ///
    /// When the record has fewer.
    pub fn append_to(&self, at: usize, out: &mut Vec<u8>) {
        let len = self.lease.len;
        if at > len {
            outside(at, 0, len);
        }
        match self.copied() {
            Some(copy) => out.extend_from_slice(&copy[at..len]),
            None => {
                let region = self.place.region();
                region.append(self.lease.offset + at, len - at, out);
            }
        }
    }

    /// Has done with the record: its room, and that of all kept before it, is the producer's again.
    #[inline(always)]
    pub fn release(self) {
        let lease = self.lease;
        each!(&mut *self.flavor, end => {
            end.advance(&lease);
            end.release(self.place, lease.end);
        });
    }

    /// Keeps the record where it is and goes on to the one behind it. Nothing where the ring may
    /// write over records at any time.
    pub fn keep(self) -> Option<Lease> {
        if self.place.races {
            return None;
        }
        let lease = self.lease;
        each!(&mut *self.flavor, end => end.advance(&lease));
        Some(lease)
    }
}

impl<M: Memory, S: System> fmt::Debug for Record<'_, M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("len", &self.lease.len)
            .finish_non_exhaustive()
    }
}
