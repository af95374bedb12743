//! Where records lie in a ring and what stands before them.
//!
//! Positions only grow; a position modulo the capacity is an offset. A record is a head word, then
//! the flavor's own words, then its bytes, rounded up to whole words, all in one piece. One that
//! would not fit before the end of the ring is preceded by a padding record that fills the rest, so
//! a record may take at most half the ring: then it fits an empty ring from every position.

use crate::error::{Corrupt, OpenError};
use crate::layout::BODY;
use crate::memory::{Memory, Region, WORD};

/// Bytes of a ring's own control words, before its records.
pub(crate) const CONTROL: usize = 256;

/// Offset of the position up to which records are published.
pub(crate) const TAIL: usize = BODY;

/// Offset of the position up to which the only consumer has released. On other cache lines than
/// what producers write.
pub(crate) const HEAD: usize = BODY + 128;

/// Offset of the first record.
pub(crate) const RECORDS: usize = BODY + CONTROL;

/// How far ahead of a reader lines are fetched. The next record's place depends on this one's
/// length, so without that every line would be waited for, one after the other.
const AHEAD: u64 = 1024;

/// Bytes of a cache line.
const LINE: u64 = 64;

/// The smallest ring, in bytes.
pub const MIN_CAPACITY: usize = 64;

/// The largest ring, in bytes.
pub const MAX_CAPACITY: usize = if cfg!(target_pointer_width = "64") {
    1 << 40
} else {
    1 << 30
};

/// What a record is, bits 32 to 39 of its head. Bits 0 to 31 are its length, 40 to 47 the slot of
/// its producer while it is reserved, the rest is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Can be read.
    Record = 1,
    /// Fills the end of the ring.
    Padding = 2,
    /// Being filled.
    Reserved = 3,
    /// Its producer gave it up or died.
    Abandoned = 4,
}

/// A head that was read and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: Status,
    /// Bytes of the payload.
    pub(crate) len: usize,
    /// Bytes from this record's position to the next.
    pub(crate) size: u64,
    /// Slot of its producer, if reserved.
    pub(crate) party: usize,
}

/// A stretch of the ring that a producer fills. Two words, which travel in registers; the rest
/// follows from the geometry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reservation {
    pub(crate) position: u64,
    /// Bytes of the payload.
    pub(crate) len: usize,
}

/// A record that a consumer has found and not yet released.
///
/// Leases of one consumer are released in the order of the records: releasing one releases all
/// before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub(crate) position: u64,
    pub(crate) end: u64,
    /// Offset of the payload in the memory.
    pub(crate) offset: usize,
    pub(crate) len: usize,
}

impl Lease {
    /// Bytes of the record.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the record has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Offset of the record's bytes in the object's memory, a multiple of 8.
    pub fn offset(&self) -> usize {
        self.offset
    }
}

/// The sizes of one ring, checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    pub(crate) capacity: u64,
    /// Bytes of a record before its payload.
    overhead: u64,
    /// The longest payload.
    pub(crate) limit: usize,
}

impl Geometry {
    /// A ring of `capacity` bytes whose records have `extra` bytes between head and payload.
    pub(crate) fn new(capacity: u64, extra: usize) -> Result<Geometry, OpenError> {
        let range = MIN_CAPACITY as u64..=MAX_CAPACITY as u64;
        if !capacity.is_power_of_two() || !range.contains(&capacity) {
            return Err(OpenError::Parameter("capacity"));
        }
        let overhead = (WORD + extra) as u64;
        // A length has 32 bits, and its rounding up must not overflow them.
        let limit = (capacity / 2 - overhead).min(u64::from(u32::MAX) - 7);
        Ok(Geometry {
            capacity,
            overhead,
            limit: limit as usize,
        })
    }

    /// Offset in memory of a position.
    #[inline(always)]
    pub(crate) fn offset(&self, position: u64) -> usize {
        RECORDS + (position & (self.capacity - 1)) as usize
    }

    /// Bytes from a position to the end of the ring.
    #[inline(always)]
    pub(crate) fn room(&self, position: u64) -> u64 {
        self.capacity - (position & (self.capacity - 1))
    }

    /// Bytes a record with a payload of this length takes, which is at most 32 bits.
    #[inline(always)]
    pub(crate) fn size(&self, len: usize) -> u64 {
        const MASK: u64 = WORD as u64 - 1;
        self.overhead + ((len as u64).wrapping_add(MASK) & !MASK)
    }

    /// Bytes of padding that a record of `size` bytes needs before it at `position`.
    #[inline(always)]
    pub(crate) fn padding(&self, position: u64, size: u64) -> u64 {
        let room = self.room(position);
        if room < size { room } else { 0 }
    }

    /// Offset in memory of the payload of a record at `position`.
    #[inline(always)]
    pub(crate) fn payload(&self, position: u64) -> usize {
        self.offset(position) + self.overhead as usize
    }

    /// The lease of a record whose head was found at `position`.
    #[inline(always)]
    pub(crate) fn lease(&self, position: u64, head: Head) -> Lease {
        Lease {
            position,
            end: position.wrapping_add(head.size),
            offset: self.payload(position),
            len: head.len,
        }
    }

    /// Bytes from `head` to `tail`, if that is what a ring can hold.
    #[inline(always)]
    pub(crate) fn used(&self, tail: u64, head: u64) -> Result<u64, Corrupt> {
        let used = tail.wrapping_sub(head);
        if used > self.capacity || !(tail | head).is_multiple_of(WORD as u64) {
            return Err(Corrupt {
                what: "positions that no ring has",
            });
        }
        Ok(used)
    }

    /// Fetches the first lines of `available` published bytes at `position`.
    #[cold]
    pub(crate) fn prefetch_first<M: Memory>(
        &self,
        region: &Region<M>,
        position: u64,
        available: u64,
    ) {
        for ahead in (0..available.min(AHEAD)).step_by(LINE as usize) {
            region.prefetch(self.offset(position.wrapping_add(ahead)));
        }
    }

    /// Fetches a line that is read soon. Not past what is published: the producer writes there.
    #[inline(always)]
    pub(crate) fn prefetch<M: Memory>(&self, region: &Region<M>, position: u64, available: u64) {
        if available > AHEAD {
            let line = self.offset(position.wrapping_add(AHEAD));
            region.prefetch(line);
            region.prefetch(line + LINE as usize);
        }
    }

    /// Takes apart the head word found at `position`, `available` bytes before what is published.
    #[inline(always)]
    pub(crate) fn decode(&self, word: u64, position: u64, available: u64) -> Result<Head, Corrupt> {
        // Nearly every head is a record's, and what is none becomes a length that no record has.
        let len = word.wrapping_sub(encode(Status::Record, 0, 0));
        let size = self.size(len as u32 as usize);
        if len > self.limit as u64 || size > self.room(position).min(available) {
            return self.decode_other(word, position, available);
        }
        Ok(Head {
            status: Status::Record,
            len: len as usize,
            size,
            party: 0,
        })
    }

    /// The same with any head word, out of the way of the reader.
    #[cold]
    #[inline(never)]
    fn decode_other(&self, word: u64, position: u64, available: u64) -> Result<Head, Corrupt> {
        let status = match word >> 32 & 0xFF {
            1 => Status::Record,
            2 => Status::Padding,
            3 => Status::Reserved,
            4 => Status::Abandoned,
            _ => {
                return Err(Corrupt {
                    what: "a record of no known status",
                });
            }
        };
        let len = word as u32 as usize;
        let room = self.room(position);
        let size = if status == Status::Padding {
            (WORD + len) as u64
        } else {
            self.size(len)
        };
        let fits = if status == Status::Padding {
            size == room
        } else {
            len <= self.limit && size <= room
        };
        if !fits || size > available {
            return Err(Corrupt {
                what: "a record longer than what there is",
            });
        }
        Ok(Head {
            status,
            len,
            size,
            party: (word >> 40 & 0xFF) as usize,
        })
    }
}

/// The head word of a record.
#[inline]
pub(crate) fn encode(status: Status, len: usize, party: usize) -> u64 {
    len as u64 | (status as u64) << 32 | (party as u64) << 40
}

/// The head word of `size` bytes of padding.
#[inline]
pub(crate) fn encode_padding(size: u64) -> u64 {
    encode(Status::Padding, size as usize - WORD, 0)
}

/// Apart from the checks, so that what they compare need not lie in memory to be printed.
#[cold]
#[inline(never)]
pub(crate) fn outside(at: usize, len: usize, size: usize) -> ! {
    panic!("{len} bytes at {at} of a record of {size} bytes")
}
