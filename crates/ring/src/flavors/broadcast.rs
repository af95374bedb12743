//! One producer, consumers with a cursor each that all see everything from their arrival on.
//!
//! A record has one word more than in the other rings: its number, by which a consumer counts what
//! it has lost. Cursors are in the consumers' slots of the table, so a consumer that dies is swept
//! away with its cursor. What happens when the slowest consumer has not read what lies where the
//! producer has to write is the ring's [`Policy`]:
//!
//! - `Wait`: the ring is full. The producer reads the cursors, and only when the smallest it has
//!   seen does not suffice.
//! - `DropOldest`, `Disconnect`: the producer never looks at cursors. It moves `FLOOR`, behind
//!   which everything is intact, before it writes over anything. A consumer copies a record out
//!   and looks at `FLOOR` afterwards: if that has passed the record, the copy is worthless.
//!   (A seqlock; Boehm, "Can seqlocks get along with programming language memory models?", 2012.)

use super::{Place, not_full};
use crate::doorbell::Doorbell;
use crate::error::{Corrupt, ReadError, WriteError};
use crate::failpoint::failpoint;
use crate::memory::{Memory, WORD};
use crate::object::Object;
use crate::record::{Head, Lease, Reservation, Status, TAIL, encode, encode_padding};
use crate::sync::{Ordering, fence};
use crate::system::System;

/// Role of a consumer in the table.
pub(crate) const CONSUMER: u32 = 2;

/// Bytes of the number of a record, between its head and its payload.
pub(crate) const EXTRA: usize = WORD;

/// Offset of the number the next record gets.
const NEXT_NUMBER: usize = TAIL + 8;

/// Offset of the position from which on nothing is written over.
const FLOOR: usize = TAIL + 16;

/// Index of the cursor among a consumer's own words.
const CURSOR: usize = 0;

/// Times in a row a consumer is overtaken at the oldest record before it goes on at the newest.
const PERSISTENCE: u32 = 8;

/// What happens to a consumer that is slower than the producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Policy {
    /// The producer waits for it.
    Wait = 0,
    /// It loses the oldest records, and can tell how many.
    DropOldest = 1,
    /// It gets no record more.
    Disconnect = 2,
}

impl Policy {
    pub(crate) fn from_number(number: u64) -> Option<Policy> {
        match number {
            0 => Some(Policy::Wait),
            1 => Some(Policy::DropOldest),
            2 => Some(Policy::Disconnect),
            _ => None,
        }
    }
}

/// Whether position `a` is before `b`, in a world where both are near each other.
fn before(a: u64, b: u64) -> bool {
    b.wrapping_sub(a) as i64 > 0
}

/// The end that writes.
pub(crate) struct Producer {
    policy: Policy,
    /// Behind the last record, staged ones included.
    tail: u64,
    /// What `TAIL` holds.
    published: u64,
    /// Everything before may be written over: the smallest cursor seen, or what `FLOOR` holds.
    floor: u64,
    /// The number the next record gets.
    number: u64,
}

impl Producer {
    /// Goes on where the last producer has published.
    pub(crate) fn new(
        place: &Place<impl Memory, impl System>,
        policy: Policy,
    ) -> Result<Self, Corrupt> {
        let region = place.region();
        let tail = region.word(TAIL).load(Ordering::Acquire);
        let floor = region.word(FLOOR).load(Ordering::Acquire);
        let mut number = region.word(NEXT_NUMBER).load(Ordering::Acquire);
        if policy == Policy::Wait {
            place.geometry.used(tail, tail)?;
            // Nothing moves the floor there; the first reservation reads the cursors.
            return Ok(Producer {
                policy,
                tail,
                published: tail,
                floor: tail.wrapping_sub(place.geometry.capacity),
                number,
            });
        }
        place.geometry.used(tail, floor)?;
        // The one before may have died between counting a record and publishing it.
        let mut at = floor;
        while at != tail {
            let head = head_at(place, at, tail)?;
            if head.status == Status::Record {
                let word = place.geometry.offset(at) + WORD;
                number = region.word(word).load(Ordering::Relaxed).wrapping_add(1);
            }
            at = at.wrapping_add(head.size);
        }
        Ok(Producer {
            policy,
            tail,
            published: tail,
            floor,
            number,
        })
    }

    #[inline(never)]
    pub(crate) fn reserve(
        &mut self,
        place: &Place<impl Memory, impl System>,
        len: usize,
    ) -> Result<Reservation, WriteError> {
        let size = place.geometry.size(len);
        let padding = place.geometry.padding(self.tail, size);
        let end = self.tail.wrapping_add(padding + size);
        if end.wrapping_sub(self.floor) > place.geometry.capacity {
            match self.policy {
                Policy::Wait => self.read_cursors(place, end)?,
                Policy::DropOldest | Policy::Disconnect => self.raise_floor(place, end)?,
            }
        }
        if padding > 0 {
            place
                .region()
                .word(place.geometry.offset(self.tail))
                .store(encode_padding(padding), Ordering::Relaxed);
        }
        failpoint!(RecordReserved);
        Ok(Reservation {
            position: self.tail.wrapping_add(padding),
            len,
        })
    }

    /// Finds the slowest consumer; fails if it is too slow for a record that ends at `end`.
    #[cold]
    fn read_cursors(
        &mut self,
        place: &Place<impl Memory, impl System>,
        end: u64,
    ) -> Result<(), WriteError> {
        let object = place.object();
        // SYNC cursor: what is published was stored before, the cursors are read after. Pairs with
        // the fence in `Consumer::new`: either the newcomer is seen here, or it sees this tail.
        fence(Ordering::SeqCst);
        let mut slowest = self.published;
        for consumer in object.occupants().filter(|one| one.role == CONSUMER) {
            // SYNC record-released: pairs with the release in `Consumer::release`.
            let cursor = object.own(consumer.party, CURSOR).load(Ordering::Acquire);
            // One that keeps the rules is within the ring; others are not waited for.
            if place.geometry.used(self.published, cursor).is_ok() && before(cursor, slowest) {
                slowest = cursor;
            }
        }
        self.floor = slowest;
        if end.wrapping_sub(slowest) > place.geometry.capacity {
            return Err(WriteError::Full);
        }
        Ok(())
    }

    /// Gives up the oldest records until one that ends at `end` has room.
    #[cold]
    fn raise_floor(
        &mut self,
        place: &Place<impl Memory, impl System>,
        end: u64,
    ) -> Result<(), WriteError> {
        let needed = end.wrapping_sub(place.geometry.capacity);
        if before(self.published, needed) {
            // Only what is published can be given up.
            self.publish(place);
        }
        let object = place.object();
        let mut floor = self.floor;
        while before(floor, needed) && floor != self.published {
            floor = match head_at(place, floor, self.published) {
                Ok(head) => floor.wrapping_add(head.size),
                // Somebody wrote over our records: none of them is worth anything.
                Err(_) => self.published,
            };
        }
        self.floor = floor;
        // SYNC floor-tail: whoever sees this floor sees a tail that is not before it. Pairs with the
        // acquire load in `Consumer::overtaken`.
        object.region().word(FLOOR).store(floor, Ordering::Release);
        // SYNC floor: stored before any record is written over. Pairs with the fence in
        // `Consumer::overtaken`.
        fence(Ordering::Release);
        failpoint!(BroadcastBeforeOverwrite);
        Ok(())
    }

    /// Whether a record of this length has room now.
    pub(crate) fn fits(
        &mut self,
        place: &Place<impl Memory, impl System>,
        len: usize,
    ) -> Result<bool, WriteError> {
        self.reserve(place, len).map(|_| true).or_else(not_full)
    }

    #[inline(never)]
    pub(crate) fn stage(
        &mut self,
        place: &Place<impl Memory, impl System>,
        reservation: Reservation,
    ) {
        failpoint!(RecordBeforeCommit);
        let region = place.region();
        let offset = place.geometry.offset(reservation.position);
        region
            .word(offset + WORD)
            .store(self.number, Ordering::Relaxed);
        region.word(offset).store(
            encode(Status::Record, reservation.len, 0),
            Ordering::Relaxed,
        );
        self.number = self.number.wrapping_add(1);
        let size = place.geometry.size(reservation.len);
        self.tail = reservation.position.wrapping_add(size);
    }

    #[inline(never)]
    pub(crate) fn publish(&mut self, place: &Place<impl Memory, impl System>) {
        if self.published == self.tail {
            return;
        }
        self.published = self.tail;
        let object = place.object();
        let region = object.region();
        region
            .word(NEXT_NUMBER)
            .store(self.number, Ordering::Relaxed);
        failpoint!(RecordBeforePublish);
        // SYNC record-published: pairs with the acquires in `Consumer`.
        region.word(TAIL).store(self.tail, Ordering::Release);
        failpoint!(RecordBeforeRing);
        object.ring(Doorbell::Items);
    }
}

/// Reads and checks the head at a position.
fn head_at(
    place: &Place<impl Memory, impl System>,
    position: u64,
    tail: u64,
) -> Result<Head, Corrupt> {
    let geometry = &place.geometry;
    let word = place
        .region()
        .word(geometry.offset(position))
        .load(Ordering::Relaxed);
    geometry.decode(word, position, tail.wrapping_sub(position))
}

/// An end that reads.
pub(crate) struct Consumer {
    policy: Policy,
    /// What the own cursor says.
    head: u64,
    /// Behind the last record that was taken, released or not.
    next: u64,
    /// `TAIL` as last seen.
    tail: u64,
    /// The number of the next record, if none is lost.
    expected: u64,
    /// Records lost.
    lost: u64,
    /// The number of the record found last.
    found: u64,
    disconnected: bool,
    /// The record found last, where the ring may write over it at any time.
    copy: Vec<u8>,
}

impl Consumer {
    /// Sees what is published from now on.
    pub(crate) fn new(
        place: &Place<impl Memory, impl System>,
        policy: Policy,
    ) -> Result<Self, Corrupt> {
        let region = place.region();
        // The cursor was set in `arrive`, perhaps to a position that the producer has left behind
        // since. It counts from there on, and this is where it stands:
        // SYNC cursor: the cursor was stored before, the tail is read after. Pairs with the fence
        // in `Producer::read_cursors`.
        fence(Ordering::SeqCst);
        let (tail, expected) = loop {
            let tail = region.word(TAIL).load(Ordering::Acquire);
            let number = region.word(NEXT_NUMBER).load(Ordering::Acquire);
            if region.word(TAIL).load(Ordering::Acquire) == tail {
                break (tail, number);
            }
        };
        place.geometry.used(tail, tail)?;
        place.party.own(CURSOR).store(tail, Ordering::Release);
        Ok(Consumer {
            policy,
            head: tail,
            next: tail,
            tail,
            expected,
            lost: 0,
            found: expected,
            disconnected: false,
            copy: Vec::new(),
        })
    }

    /// Fills the slot of a consumer that arrives, before it is seen as one.
    pub(crate) fn arrive<M: Memory, S: System>(object: &Object<M, S>, party: usize) {
        let tail = object.region().word(TAIL).load(Ordering::Acquire);
        object.own(party, CURSOR).store(tail, Ordering::Relaxed);
    }

    #[inline(never)]
    pub(crate) fn look(
        &mut self,
        place: &Place<impl Memory, impl System>,
    ) -> Result<Option<Lease>, ReadError> {
        if self.disconnected {
            return Err(ReadError::Disconnected);
        }
        let mut overtaken = 0;
        loop {
            if self.next == self.tail {
                // SYNC record-published: pairs with the release in `Producer::publish`.
                let tail = place.region().word(TAIL).load(Ordering::Acquire);
                if tail == self.tail {
                    return Ok(None);
                }
                self.check_tail(place, tail)?;
                self.tail = tail;
                let region = place.region();
                let available = tail.wrapping_sub(self.next);
                place.geometry.prefetch_first(region, self.next, available);
            }
            match self.try_look(place) {
                Ok(Some(lease)) => return Ok(Some(lease)),
                Ok(None) => {}
                Err(corrupt) if self.policy == Policy::Wait => return Err(corrupt.into()),
                // What was read made no sense, or did and is no longer there.
                Err(corrupt) => {
                    let Some(floor) = self.overtaken(place)? else {
                        return Err(corrupt.into());
                    };
                    if self.policy == Policy::Disconnect {
                        self.disconnected = true;
                        return Err(ReadError::Disconnected);
                    }
                    overtaken += 1;
                    let tail = place.region().word(TAIL).load(Ordering::Acquire);
                    self.next = if overtaken < PERSISTENCE { floor } else { tail };
                    self.check_tail(place, tail)?;
                    self.tail = tail;
                }
            }
        }
    }

    /// A tail that follows the one seen last.
    fn check_tail(
        &self,
        place: &Place<impl Memory, impl System>,
        tail: u64,
    ) -> Result<(), Corrupt> {
        let aligned = tail.is_multiple_of(WORD as u64);
        let near = tail.wrapping_sub(self.next) <= place.geometry.capacity;
        // Who may be overtaken may have slept through any number of rounds.
        if aligned && (near || self.policy != Policy::Wait && before(self.next, tail)) {
            Ok(())
        } else {
            Err(Corrupt {
                what: "positions that no ring has",
            })
        }
    }

    /// The record at `next`, or a step over padding.
    fn try_look(
        &mut self,
        place: &Place<impl Memory, impl System>,
    ) -> Result<Option<Lease>, Corrupt> {
        let object = place.object();
        let available = self.tail.wrapping_sub(self.next);
        place
            .geometry
            .prefetch(object.region(), self.next, available);
        let head = head_at(place, self.next, self.tail)?;
        match head.status {
            Status::Record => {}
            Status::Padding => {
                // Believed only if it was still there: otherwise `next` would be no boundary.
                if self.policy != Policy::Wait && self.overtaken(place)?.is_some() {
                    return Err(OVERTAKEN);
                }
                self.next = self.next.wrapping_add(head.size);
                return Ok(None);
            }
            Status::Reserved | Status::Abandoned => {
                return Err(Corrupt {
                    what: "an unfinished record of the only producer",
                });
            }
        }
        let lease = place.geometry.lease(self.next, head);
        let number = object
            .region()
            .word(lease.offset - EXTRA)
            .load(Ordering::Relaxed);
        if self.policy != Policy::Wait {
            self.copy.resize(head.len, 0);
            object.region().read_racing(lease.offset, &mut self.copy);
            if self.overtaken(place)?.is_some() {
                return Err(OVERTAKEN);
            }
        }
        self.found = number;
        Ok(Some(lease))
    }

    /// Where the intact records begin, if that is past `next`. Call it after reading.
    fn overtaken(&self, place: &Place<impl Memory, impl System>) -> Result<Option<u64>, Corrupt> {
        // SYNC floor: whatever was read is read before, the floor after. Pairs with the fence in
        // `Producer::raise_floor`.
        fence(Ordering::Acquire);
        // SYNC floor-tail: pairs with the release in `Producer::raise_floor`.
        let floor = place.region().word(FLOOR).load(Ordering::Acquire);
        if !floor.is_multiple_of(WORD as u64) {
            return Err(Corrupt {
                what: "positions that no ring has",
            });
        }
        Ok(before(self.next, floor).then_some(floor))
    }

    pub(crate) fn advance(&mut self, lease: &Lease) {
        self.next = lease.end;
        // A number below the expected one: records counted by a producer that died before it
        // published them, or were published while this consumer arrived.
        let lost = self.found.wrapping_sub(self.expected);
        if lost as i64 > 0 {
            self.lost = self.lost.saturating_add(lost);
        }
        self.expected = self.found.wrapping_add(1);
    }

    #[inline(never)]
    pub(crate) fn release(&mut self, place: &Place<impl Memory, impl System>, end: u64) {
        if end.wrapping_sub(self.head) > self.next.wrapping_sub(self.head) {
            return;
        }
        failpoint!(RecordBeforeRelease);
        self.head = end;
        if self.policy != Policy::Wait {
            return; // Nobody reads the cursor.
        }
        // SYNC record-released: pairs with the acquire in `Producer::read_cursors`.
        place.party.own(CURSOR).store(end, Ordering::Release);
        failpoint!(ReleaseBeforeRing);
        place.object().ring(Doorbell::Space);
    }

    /// Whether a record at this position is still this consumer's. Never where it may be written
    /// over at any time.
    pub(crate) fn holds(&self, lease: &Lease) -> bool {
        self.policy == Policy::Wait
            && lease.end.wrapping_sub(self.head) <= self.next.wrapping_sub(self.head)
            && lease.position.wrapping_sub(self.head) < lease.end.wrapping_sub(self.head)
    }

    /// The record found last, where the memory itself may be written over.
    pub(crate) fn copied(&self) -> &[u8] {
        &self.copy
    }

    /// Records that were written over before this consumer had read them.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }
}

const OVERTAKEN: Corrupt = Corrupt {
    what: "a record that was written over",
};
