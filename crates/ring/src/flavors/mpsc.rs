//! Many producers, one consumer.
//!
//! Under the object's latch a producer writes the heads of its records, marked as reserved and
//! with its slot, and then moves `TAIL`. Filling and committing happen without the latch: the store
//! of the final head commits. The consumer stops at a record that is still reserved.
//!
//! A producer that dies under the latch before the move has reserved nothing; after it, its record
//! is marked. The sweep of a dead producer marks what it had reserved as abandoned, before its slot
//! can go to another, and the consumer skips it.

use super::Place;
use crate::doorbell::Doorbell;
use crate::error::{Corrupt, ReadError, WriteError};
use crate::failpoint::failpoint;
use crate::memory::{Memory, WORD};
use crate::object::Object;
use crate::record::{Geometry, HEAD, Lease, Reservation, Status, TAIL, encode, encode_padding};
use crate::sync::Ordering;
use crate::system::System;

/// Looks at a reserved record between two looks whether its producer lives.
const PATIENCE: u32 = 1024;

/// Marks what a dead producer had reserved as abandoned: the ring's clean-up, run under the latch.
pub(crate) fn cleanup<M: Memory, S: System>(object: &Object<M, S>, party: usize) {
    let Ok(geometry) = Geometry::new(object.header().parameters[0], 0) else {
        return;
    };
    let region = object.region();
    let tail = region.word(TAIL).load(Ordering::Acquire);
    let mut at = region.word(HEAD).load(Ordering::Acquire);
    // The consumer may pass us; what it has left stays as it was, because the latch is ours and
    // nobody else writes heads there.
    while geometry.used(tail, at).is_ok_and(|used| used > 0) {
        let word = region.word(geometry.offset(at));
        let seen = word.load(Ordering::Acquire);
        let Ok(head) = geometry.decode(seen, at, tail.wrapping_sub(at)) else {
            return;
        };
        if head.status == Status::Reserved && head.party == party {
            let abandoned = encode(Status::Abandoned, head.len, party);
            // SYNC record-committed: pairs with the acquire in `Consumer::look`.
            let _ = word.compare_exchange(seen, abandoned, Ordering::Release, Ordering::Relaxed);
        }
        at = at.wrapping_add(head.size);
    }
}

/// An end that writes.
pub(crate) struct Producer {
    /// `HEAD` as last seen.
    head: u64,
    /// A reservation that was neither committed nor abandoned: the caller forgot its slot.
    open: Option<Reservation>,
    /// Something was committed and not rung for.
    staged: bool,
}

impl Producer {
    pub(crate) fn new(place: &Place<impl Memory, impl System>) -> Self {
        // Positions are checked in `reserve`, under the latch, where they stand still.
        let head = place.region().word(HEAD).load(Ordering::Acquire);
        Producer {
            head,
            open: None,
            staged: false,
        }
    }

    #[inline(never)]
    pub(crate) fn reserve(
        &mut self,
        place: &Place<impl Memory, impl System>,
        len: usize,
    ) -> Result<Reservation, WriteError> {
        if let Some(forgotten) = self.open.take() {
            self.abandon(place, forgotten);
        }
        let object = place.object();
        let region = object.region();
        let size = place.geometry.size(len);
        let guard = object.latch();
        // The latch orders this after the store of the producer before.
        let tail = region.word(TAIL).load(Ordering::Relaxed);
        if !tail.is_multiple_of(WORD as u64) {
            return Err(Corrupt {
                what: "positions that no ring has",
            }
            .into());
        }
        let padding = place.geometry.padding(tail, size);
        let end = tail.wrapping_add(padding + size);
        if end.wrapping_sub(self.head) > place.geometry.capacity {
            // SYNC record-released: pairs with the release in `Consumer::release`.
            let head = region.word(HEAD).load(Ordering::Acquire);
            place.geometry.used(tail, head)?;
            self.head = head;
            if end.wrapping_sub(head) > place.geometry.capacity {
                return Err(WriteError::Full);
            }
        }
        if padding > 0 {
            region
                .word(place.geometry.offset(tail))
                .store(encode_padding(padding), Ordering::Relaxed);
        }
        let reservation = Reservation {
            position: tail.wrapping_add(padding),
            len,
        };
        region
            .word(place.geometry.offset(reservation.position))
            .store(
                encode(Status::Reserved, len, place.party.index()),
                Ordering::Relaxed,
            );
        failpoint!(MpscBeforeTail);
        // SYNC record-reserved: pairs with the acquire of the tail in `Consumer::look`.
        region.word(TAIL).store(end, Ordering::Release);
        failpoint!(MpscBeforeUnlatch);
        drop(guard);
        self.open = Some(reservation);
        failpoint!(RecordReserved);
        Ok(reservation)
    }

    /// Whether a record of this length has room now; another producer may take it.
    pub(crate) fn fits(
        &mut self,
        place: &Place<impl Memory, impl System>,
        len: usize,
    ) -> Result<bool, WriteError> {
        let region = place.region();
        // The tail first: it is not before the head that was stored when it was read, but may be
        // before the one that is read then.
        let tail = region.word(TAIL).load(Ordering::Acquire);
        let head = region.word(HEAD).load(Ordering::Acquire);
        let size = place.geometry.size(len);
        let needed = place.geometry.padding(tail, size) + size;
        let used = tail.wrapping_sub(head);
        Ok(used as i64 <= 0 || used.saturating_add(needed) <= place.geometry.capacity)
    }

    #[inline(never)]
    pub(crate) fn stage(
        &mut self,
        place: &Place<impl Memory, impl System>,
        reservation: Reservation,
    ) {
        failpoint!(RecordBeforeCommit);
        self.finish(place, reservation, Status::Record);
    }

    /// Gives a reservation up. The consumer waits at it until it is finished either way.
    pub(crate) fn abandon(
        &mut self,
        place: &Place<impl Memory, impl System>,
        reservation: Reservation,
    ) {
        self.finish(place, reservation, Status::Abandoned);
        self.publish(place);
    }

    /// Has done with the ring: gives up what the caller forgot.
    pub(crate) fn close(&mut self, place: &Place<impl Memory, impl System>) {
        if let Some(forgotten) = self.open.take() {
            self.abandon(place, forgotten);
        }
    }

    fn finish(
        &mut self,
        place: &Place<impl Memory, impl System>,
        reservation: Reservation,
        status: Status,
    ) {
        self.open = None;
        self.staged = true;
        // SYNC record-committed: pairs with the acquire in `Consumer::look`.
        place
            .region()
            .word(place.geometry.offset(reservation.position))
            .store(encode(status, reservation.len, 0), Ordering::Release);
    }

    #[inline(never)]
    pub(crate) fn publish(&mut self, place: &Place<impl Memory, impl System>) {
        if self.staged {
            self.staged = false;
            failpoint!(RecordBeforeRing);
            place.object().ring(Doorbell::Items);
        }
    }
}

/// The end that reads.
pub(crate) struct Consumer {
    /// What `HEAD` holds, or will hold when `skipped` is stored.
    head: u64,
    /// Behind the last record that was taken, and what was skipped behind it.
    next: u64,
    /// Behind the last record that was taken.
    taken: u64,
    /// `TAIL` as last seen.
    tail: u64,
    /// `head` has moved over what is no record and was not stored.
    skipped: bool,
    /// Looks at the same reserved record.
    stalled: u32,
}

impl Consumer {
    /// Goes on where the last consumer has released.
    pub(crate) fn new(place: &Place<impl Memory, impl System>) -> Result<Self, Corrupt> {
        let region = place.region();
        // Only the consumer, which is this, moves the head; the tail may move on.
        let head = region.word(HEAD).load(Ordering::Acquire);
        let tail = region.word(TAIL).load(Ordering::Acquire);
        place.geometry.used(tail, head)?;
        Ok(Consumer {
            head,
            next: head,
            taken: head,
            tail,
            skipped: false,
            stalled: 0,
        })
    }

    #[inline(never)]
    pub(crate) fn look(
        &mut self,
        place: &Place<impl Memory, impl System>,
    ) -> Result<Option<Lease>, ReadError> {
        loop {
            let region = place.region();
            if self.next == self.tail {
                // SYNC record-reserved: pairs with the release in `Producer::reserve`.
                let tail = region.word(TAIL).load(Ordering::Acquire);
                if tail == self.tail {
                    self.give_back(place);
                    return Ok(None);
                }
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
            // SYNC record-committed: pairs with the release in `Producer::finish`.
            let word = region
                .word(place.geometry.offset(self.next))
                .load(Ordering::Acquire);
            let available = self.tail.wrapping_sub(self.next);
            place.geometry.prefetch(region, self.next, available);
            let head = place.geometry.decode(word, self.next, available)?;
            match head.status {
                Status::Record => {
                    self.stalled = 0;
                    return Ok(Some(place.geometry.lease(self.next, head)));
                }
                Status::Padding | Status::Abandoned => {
                    let after = self.next.wrapping_add(head.size);
                    if self.head == self.next {
                        self.head = after;
                        self.skipped = true;
                    }
                    self.next = after;
                    self.stalled = 0;
                }
                Status::Reserved => {
                    self.give_back(place);
                    self.stalled = self.stalled.wrapping_add(1);
                    if self.stalled.is_multiple_of(PATIENCE) && place.object().sweep() > 0 {
                        continue;
                    }
                    return Ok(None);
                }
            }
        }
    }

    /// Stores what was skipped while nothing else was held, so that a ring full of it gets room.
    fn give_back(&mut self, place: &Place<impl Memory, impl System>) {
        if self.skipped {
            let head = self.head;
            self.store_head(place, head);
        }
    }

    pub(crate) fn advance(&mut self, lease: &Lease) {
        self.next = lease.end;
        self.taken = lease.end;
    }

    #[inline(never)]
    pub(crate) fn release(&mut self, place: &Place<impl Memory, impl System>, end: u64) {
        if end.wrapping_sub(self.head) > self.next.wrapping_sub(self.head) {
            return;
        }
        failpoint!(RecordBeforeRelease);
        // With the last record goes what was skipped behind it.
        let end = if end == self.taken { self.next } else { end };
        self.store_head(place, end);
    }

    fn store_head(&mut self, place: &Place<impl Memory, impl System>, head: u64) {
        self.head = head;
        self.skipped = false;
        let object = place.object();
        // SYNC record-released: pairs with the acquire in `Producer::reserve`.
        object.region().word(HEAD).store(head, Ordering::Release);
        failpoint!(ReleaseBeforeRing);
        object.ring(Doorbell::Space);
    }

    /// Whether a record at this position is still this consumer's.
    pub(crate) fn holds(&self, lease: &Lease) -> bool {
        lease.end.wrapping_sub(self.head) <= self.next.wrapping_sub(self.head)
            && lease.position.wrapping_sub(self.head) < lease.end.wrapping_sub(self.head)
    }
}
