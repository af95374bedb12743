//! One producer, one consumer.
//!
//! The producer stores records behind the position `TAIL` and then moves it: that store publishes
//! them, one or many. The consumer reads up to it and moves `HEAD`: that store gives the room back.
//! Each end keeps its own position to itself and the other's as last seen, so in the middle of a
//! full or an empty stretch neither reads what the other writes. (Lamport 1983; the cached
//! positions are from Torquati, "Single-Producer/Single-Consumer Queues", 2010.)

use super::{Place, not_full};
use crate::doorbell::Doorbell;
use crate::error::{Corrupt, ReadError, WriteError};
use crate::failpoint::failpoint;
use crate::memory::Memory;
use crate::record::{HEAD, Lease, Reservation, Status, TAIL, encode, encode_padding};
use crate::sync::Ordering;
use crate::system::System;

/// The end that writes.
pub(crate) struct Producer {
    /// Behind the last record, staged ones included.
    tail: u64,
    /// What `TAIL` holds.
    published: u64,
    /// `HEAD` as last seen.
    head: u64,
}

impl Producer {
    /// Goes on where the last producer has published.
    pub(crate) fn new(place: &Place<impl Memory, impl System>) -> Result<Self, Corrupt> {
        let region = place.region();
        let tail = region.word(TAIL).load(Ordering::Acquire);
        let head = region.word(HEAD).load(Ordering::Acquire);
        place.geometry.used(tail, head)?;
        Ok(Producer {
            tail,
            published: tail,
            head,
        })
    }

    #[inline(always)]
    pub(crate) fn reserve(
        &mut self,
        place: &Place<impl Memory, impl System>,
        len: usize,
    ) -> Result<Reservation, WriteError> {
        let size = place.geometry.size(len);
        // Apart from the rest, so that where the next record begins depends on nothing but this
        // one's size.
        if place.geometry.room(self.tail) < size {
            return self.reserve_padded(place, len);
        }
        let end = self.tail.wrapping_add(size);
        if end.wrapping_sub(self.head) > place.geometry.capacity {
            self.refresh(place, end)?;
        }
        failpoint!(RecordReserved);
        Ok(Reservation {
            position: self.tail,
            len,
        })
    }

    /// A reservation at the beginning of the ring, behind padding to its end.
    #[cold]
    #[inline(never)]
    fn reserve_padded(
        &mut self,
        place: &Place<impl Memory, impl System>,
        len: usize,
    ) -> Result<Reservation, WriteError> {
        let padding = place.geometry.room(self.tail);
        let begin = self.tail.wrapping_add(padding);
        let end = begin.wrapping_add(place.geometry.size(len));
        if end.wrapping_sub(self.head) > place.geometry.capacity {
            self.refresh(place, end)?;
        }
        place
            .region()
            .word(place.geometry.offset(self.tail))
            .store(encode_padding(padding), Ordering::Relaxed);
        failpoint!(RecordReserved);
        Ok(Reservation {
            position: begin,
            len,
        })
    }

    /// Looks how far the consumer has come; fails if that is not far enough.
    #[cold]
    fn refresh(
        &mut self,
        place: &Place<impl Memory, impl System>,
        end: u64,
    ) -> Result<(), WriteError> {
        // SYNC record-released: pairs with the release in `Consumer::release`.
        let head = place.region().word(HEAD).load(Ordering::Acquire);
        place.geometry.used(self.published, head)?;
        self.head = head;
        if end.wrapping_sub(head) > place.geometry.capacity {
            return Err(WriteError::Full);
        }
        Ok(())
    }

    /// Whether a record of this length has room now. A reservation that is not used is nothing.
    pub(crate) fn fits(
        &mut self,
        place: &Place<impl Memory, impl System>,
        len: usize,
    ) -> Result<bool, WriteError> {
        self.reserve(place, len).map(|_| true).or_else(not_full)
    }

    #[inline(always)]
    pub(crate) fn stage(
        &mut self,
        place: &Place<impl Memory, impl System>,
        reservation: Reservation,
    ) {
        failpoint!(RecordBeforeCommit);
        place
            .region()
            .word(place.geometry.offset(reservation.position))
            .store(
                encode(Status::Record, reservation.len, 0),
                Ordering::Relaxed,
            );
        let size = place.geometry.size(reservation.len);
        self.tail = reservation.position.wrapping_add(size);
    }

    #[inline(always)]
    pub(crate) fn publish(&mut self, place: &Place<impl Memory, impl System>) {
        if self.published == self.tail {
            return;
        }
        failpoint!(RecordBeforePublish);
        self.published = self.tail;
        let object = place.object();
        // SYNC record-published: pairs with the acquire in `Consumer::look`.
        object
            .region()
            .word(TAIL)
            .store(self.tail, Ordering::Release);
        failpoint!(RecordBeforeRing);
        object.ring(Doorbell::Items);
    }
}

/// The end that reads.
#[derive(Clone)]
pub(crate) struct Consumer {
    /// What `HEAD` holds.
    head: u64,
    /// Behind the last record that was taken, released or not.
    next: u64,
    /// `TAIL` as last seen.
    tail: u64,
}

impl Consumer {
    /// Goes on where the last consumer has released.
    pub(crate) fn new(place: &Place<impl Memory, impl System>) -> Result<Self, Corrupt> {
        let region = place.region();
        let tail = region.word(TAIL).load(Ordering::Acquire);
        let head = region.word(HEAD).load(Ordering::Acquire);
        place.geometry.used(tail, head)?;
        Ok(Consumer {
            head,
            next: head,
            tail,
        })
    }

    #[inline(always)]
    pub(crate) fn look(
        &mut self,
        place: &Place<impl Memory, impl System>,
    ) -> Result<Option<Lease>, ReadError> {
        let region = place.region();
        loop {
            if self.next == self.tail {
                // SYNC record-published: pairs with the release in `Producer::publish`.
                let tail = region.word(TAIL).load(Ordering::Acquire);
                if tail == self.tail {
                    return Ok(None);
                }
                // Not further than the ring is long, and not back.
                let used = place.geometry.used(tail, self.head)?;
                if used < self.next.wrapping_sub(self.head) {
                    return Err(Corrupt {
                        what: "a position that went back",
                    }
                    .into());
                }
                self.tail = tail;
                let available = tail.wrapping_sub(self.next);
                place.geometry.prefetch_first(region, self.next, available);
            }
            let word = region
                .word(place.geometry.offset(self.next))
                .load(Ordering::Relaxed);
            let available = self.tail.wrapping_sub(self.next);
            place.geometry.prefetch(region, self.next, available);
            let head = place.geometry.decode(word, self.next, available)?;
            match head.status {
                Status::Record => return Ok(Some(place.geometry.lease(self.next, head))),
                // Released together with the record behind it, which was published with it.
                Status::Padding => self.next = self.next.wrapping_add(head.size),
                Status::Reserved | Status::Abandoned => {
                    return Err(Corrupt {
                        what: "an unfinished record of the only producer",
                    }
                    .into());
                }
            }
        }
    }

    #[inline(always)]
    pub(crate) fn advance(&mut self, lease: &Lease) {
        self.next = lease.end;
    }

    #[inline(always)]
    pub(crate) fn release(&mut self, place: &Place<impl Memory, impl System>, end: u64) {
        if end.wrapping_sub(self.head) > self.next.wrapping_sub(self.head) {
            return;
        }
        failpoint!(RecordBeforeRelease);
        self.head = end;
        let object = place.object();
        // SYNC record-released: pairs with the acquire in `Producer::refresh`.
        object.region().word(HEAD).store(end, Ordering::Release);
        failpoint!(ReleaseBeforeRing);
        object.ring(Doorbell::Space);
    }

    /// Whether a record at this position is still this consumer's.
    pub(crate) fn holds(&self, lease: &Lease) -> bool {
        lease.end.wrapping_sub(self.head) <= self.next.wrapping_sub(self.head)
            && lease.position.wrapping_sub(self.head) < lease.end.wrapping_sub(self.head)
    }
}
