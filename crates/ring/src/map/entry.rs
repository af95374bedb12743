//! One key with its value, as it lies in the units of a shard.
//!
//! ```text
//!  0  link to the next entry of the chain: its unit, counted from 1; 0 is the end
//!  8  hash of the key
//! 16  bytes of the key (16 bits), 1 for a counter (16 bits), bytes of the value (32 bits)
//! 24  version: another for every change of the entry
//! 32  the millisecond at which it ends; 0 is never
//! 40  the key, then the value, each filled up to a multiple of 8 with whatever was there
//! ```

use crate::map::shape::{Shape, UNIT};
use crate::memory::{Memory, Region};
use crate::sync::{AtomicU64, Ordering};

/// The longest key, in bytes.
pub const MAX_KEY: usize = u16::MAX as usize;

const HASH: usize = 8;
const LENGTHS: usize = 16;
const VERSION: usize = 24;
const EXPIRES: usize = 32;
const KEY: usize = 40;

const COUNTER: u64 = 1 << 16;

/// What an entry's words say, read once and found to lie in its shard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// Its first unit.
    pub(super) unit: usize,
    /// Offset of its first byte in the memory.
    at: usize,
    key: usize,
    value: usize,
    pub(super) counter: bool,
}

/// A new entry.
pub(super) struct New<'a> {
    pub(super) next: u64,
    pub(super) hash: u64,
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
    pub(super) counter: bool,
    pub(super) version: u64,
    pub(super) expires: u64,
}

/// Units that an entry takes.
pub(super) fn units(key: usize, value: usize) -> usize {
    (KEY + key.next_multiple_of(8))
        .saturating_add(value.saturating_add(7) & !7)
        .div_ceil(UNIT)
}

impl New<'_> {
    /// Writes the entry to where nobody looks for it yet; who still reads what was there before
    /// finds out from the version of the shard.
    pub(super) fn write<M: Memory>(&self, region: &Region<M>, at: usize) {
        let counter = if self.counter { COUNTER } else { 0 };
        let lengths = (self.value.len() as u64) << 32 | counter | self.key.len() as u64;
        let words = [
            (0, self.next),
            (HASH, self.hash),
            (LENGTHS, lengths),
            (VERSION, self.version),
            (EXPIRES, self.expires),
        ];
        for (offset, word) in words {
            region.word(at + offset).store(word, Ordering::Relaxed);
        }
        region.write_racing(at + KEY, self.key);
        let value = at + KEY + self.key.len().next_multiple_of(8);
        region.write_racing(value, self.value);
    }
}

impl Found {
    /// The entry that a link names, or nothing if no entry can lie there. `first` is the offset of
    /// the shard's units.
    #[inline]
    pub(super) fn at<M: Memory>(
        region: &Region<M>,
        shape: Shape,
        first: usize,
        link: u64,
    ) -> Option<Found> {
        let unit = usize::try_from(link).ok()?.checked_sub(1)?;
        if unit >= shape.units() {
            return None;
        }
        let at = first + unit * UNIT;
        let lengths = region.word(at + LENGTHS).load(Ordering::Relaxed);
        let found = Found {
            unit,
            at,
            key: (lengths & 0xFFFF) as usize,
            value: (lengths >> 32) as usize,
            counter: lengths & COUNTER != 0,
        };
        (found.units() <= shape.units() - unit).then_some(found)
    }

    /// How many units it takes.
    pub(super) fn units(&self) -> usize {
        units(self.key, self.value)
    }

    /// The word that links to the next entry.
    pub(super) fn link(&self) -> usize {
        self.at
    }

    pub(super) fn next<M: Memory>(&self, region: &Region<M>) -> u64 {
        region.word(self.at).load(Ordering::Acquire)
    }

    pub(super) fn version<'a, M: Memory>(&self, region: &'a Region<M>) -> &'a AtomicU64 {
        region.word(self.at + VERSION)
    }

    pub(super) fn expires<'a, M: Memory>(&self, region: &'a Region<M>) -> &'a AtomicU64 {
        region.word(self.at + EXPIRES)
    }

    /// Whether it is the entry of this key.
    #[inline]
    pub(super) fn is<M: Memory>(&self, region: &Region<M>, hash: u64, key: &[u8]) -> bool {
        if self.key != key.len() || region.word(self.at + HASH).load(Ordering::Relaxed) != hash {
            return false;
        }
        let words = region.words(self.at + KEY, key.len().div_ceil(8));
        words.iter().zip(key.chunks(8)).all(|(word, chunk)| {
            let mut wanted = [0; 8];
            wanted[..chunk.len()].copy_from_slice(chunk);
            // What fills up the last word is left from an earlier entry.
            let mask = !0 >> (64 - 8 * chunk.len());
            word.load(Ordering::Relaxed) & mask == u64::from_le_bytes(wanted)
        })
    }

    fn value_at(&self) -> usize {
        self.at + KEY + self.key.next_multiple_of(8)
    }

    /// Copies the key.
    pub(super) fn copy_key<M: Memory>(&self, region: &Region<M>) -> Vec<u8> {
        let mut key = vec![0; self.key];
        region.read_racing(self.at + KEY, &mut key);
        key
    }

    /// Copies the value.
    #[inline]
    pub(super) fn copy_value<M: Memory>(&self, region: &Region<M>, value: &mut Vec<u8>) {
        value.clear();
        value.resize(self.value, 0);
        region.read_racing(self.value_at(), value);
    }

    /// The number of a counter.
    pub(super) fn number<'a, M: Memory>(&self, region: &'a Region<M>) -> Option<&'a AtomicU64> {
        (self.counter && self.value == 8).then(|| region.word(self.value_at()))
    }
}
