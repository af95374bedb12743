//! The end of a ring that reads.

use std::fmt;
use std::sync::Arc;

use crate::doorbell::{Doorbell, Patience};
use crate::error::ReadError;
use crate::flavors::{broadcast, mpsc, spsc};
use crate::memory::Memory;
use crate::object::Object;
use crate::record::{Lease, outside};
use crate::system::System;
use crate::table::Party;

/// Which flavor it is an end of.
pub(crate) enum Flavor<M: Memory, S: System> {
    Spsc(spsc::Consumer<M, S>),
    Mpsc(mpsc::Consumer<M, S>),
    Broadcast(broadcast::Consumer<M, S>),
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
    flavor: Flavor<M, S>,
}

impl<M: Memory, S: System> Consumer<M, S> {
    pub(crate) fn new(flavor: Flavor<M, S>) -> Self {
        Consumer { flavor }
    }

    fn party(&self) -> &Party<M, S> {
        each!(&self.flavor, end => &end.party)
    }

    /// The ring as an object.
    pub fn object(&self) -> &Arc<Object<M, S>> {
        self.party().object()
    }

    /// Number of this end's slot in the table of parties.
    pub fn slot(&self) -> usize {
        self.party().index()
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
        match each!(&mut self.flavor, end => end.look())? {
            None if self.object().is_destroyed() => Err(ReadError::Destroyed),
            found => Ok(found),
        }
    }

    #[inline(always)]
    fn append(&self, lease: &Lease, at: usize, out: &mut Vec<u8>) {
        let region = self.object().region();
        match &self.flavor {
            Flavor::Broadcast(end) => match end.copied() {
                Some(copy) => out.extend_from_slice(&copy[at..lease.len]),
                None => region.append(lease.offset + at, lease.len - at, out),
            },
            _ => region.append(lease.offset + at, lease.len - at, out),
        }
    }

    fn copy_out(&self, lease: &Lease, at: usize, out: &mut [u8]) {
        let region = self.object().region();
        match &self.flavor {
            Flavor::Broadcast(end) => match end.copied() {
                Some(copy) => out.copy_from_slice(&copy[at..at + out.len()]),
                None => region.read(lease.offset + at, out),
            },
            _ => region.read(lease.offset + at, out),
        }
    }

    /// The next record, without waiting. It stays the next one until it is released or kept.
    #[inline(always)]
    pub fn peek(&mut self) -> Result<Option<Record<'_, M, S>>, ReadError> {
        let found = self.look()?;
        Ok(found.map(|lease| Record {
            consumer: self,
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
        let mut count = 0;
        let mut last = None;
        while count < limit {
            let lease = match self.look() {
                Ok(Some(lease)) => lease,
                Ok(None) => break,
                Err(error) if count == 0 => return Err(error),
                Err(_) => break,
            };
            let record = Record {
                consumer: self,
                lease,
            };
            each(&record);
            each!(&mut self.flavor, end => end.advance(&lease));
            last = Some(lease);
            count += 1;
        }
        if let Some(last) = last {
            each!(&mut self.flavor, end => end.release(last.end));
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
        self.copy_out(lease, at, out);
        true
    }

    fn holds(&self, lease: &Lease) -> bool {
        each!(&self.flavor, end => end.holds(lease))
    }

    /// Gives back the room of a kept record and of all before it.
    pub fn release(&mut self, lease: &Lease) {
        if self.holds(lease) {
            each!(&mut self.flavor, end => end.release(lease.end));
        }
    }
}

impl<M: Memory, S: System> fmt::Debug for Consumer<M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("party", self.party())
            .finish()
    }
}

/// The next record of a ring, where it lies. Dropping it leaves it there.
pub struct Record<'a, M: Memory, S: System> {
    consumer: &'a mut Consumer<M, S>,
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
        if let Flavor::Broadcast(end) = &self.consumer.flavor
            && let Some(copy) = end.copied()
        {
            return std::ptr::NonNull::from(copy).cast();
        }
        let region = self.consumer.object().region();
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
        self.consumer.copy_out(&self.lease, at, out);
    }

    /// Copies the record into `out`, in place of what is there.
    pub fn read_into(&self, out: &mut Vec<u8>) {
        out.resize(self.lease.len, 0);
        self.consumer.copy_out(&self.lease, 0, out);
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
        self.consumer.append(&self.lease, at, out);
    }

    /// Has done with the record: its room, and that of all kept before it, is the producer's again.
    #[inline(always)]
    pub fn release(self) {
        let lease = self.lease;
        each!(&mut self.consumer.flavor, end => {
            end.advance(&lease);
            end.release(lease.end);
        });
    }

    /// Keeps the record where it is and goes on to the one behind it. Nothing where the ring may
    /// write over records at any time.
    pub fn keep(self) -> Option<Lease> {
        if let Flavor::Broadcast(end) = &self.consumer.flavor
            && end.copied().is_some()
        {
            return None;
        }
        let lease = self.lease;
        each!(&mut self.consumer.flavor, end => end.advance(&lease));
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
