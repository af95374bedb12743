//! Which units of a shard are taken: a bit for each, under the shard's latch.
//!
//! First fit: what is freed is used again before what lies behind it, so large stretches stay whole.
//! The bits are no more than a summary of the chains: they are made anew when a writer died.

use crate::memory::{Memory, Region};
use crate::sync::{AtomicU64, Ordering};

/// The bits of a shard.
pub(super) struct Arena<'a, M> {
    region: &'a Region<M>,
    /// Offset of the first word.
    bits: usize,
    units: usize,
}

impl<'a, M: Memory> Arena<'a, M> {
    pub(super) fn new(region: &'a Region<M>, bits: usize, units: usize) -> Arena<'a, M> {
        Arena {
            region,
            bits,
            units,
        }
    }

    fn words(&self) -> &'a [AtomicU64] {
        self.region.words(self.bits, self.units.div_ceil(64))
    }

    /// The first of `count` units in a row that are free, looked for from `from` on.
    pub(super) fn find(&self, count: usize, from: usize) -> Option<usize> {
        self.find_in(count, from, self.units)
    }

    fn find_in(&self, count: usize, from: usize, to: usize) -> Option<usize> {
        let words = self.words();
        let (mut at, mut run) = (from, 0);
        while at < to {
            let word = words[at / 64].load(Ordering::Relaxed) >> (at % 64);
            let left = (64 - at % 64).min(to - at);
            if word & 1 == 0 {
                let free = left.min(word.trailing_zeros() as usize);
                at += free;
                run += free;
                if run >= count {
                    return Some(at - run);
                }
            } else {
                at += left.min(word.trailing_ones() as usize);
                run = 0;
            }
        }
        None
    }

    /// Says of units whether they are taken. They are in the shard.
    pub(super) fn mark(&self, first: usize, count: usize, taken: bool) {
        let words = self.words();
        let (mut at, end) = (first, self.units.min(first + count));
        while at < end {
            let some = (64 - at % 64).min(end - at);
            let mask = (!0 >> (64 - some)) << (at % 64);
            let word = &words[at / 64];
            let before = word.load(Ordering::Relaxed);
            let after = if taken { before | mask } else { before & !mask };
            word.store(after, Ordering::Relaxed);
            at += some;
        }
    }

    /// Whether all of these units are free.
    pub(super) fn is_free(&self, first: usize, count: usize) -> bool {
        self.find_in(count, first, self.units.min(first + count)) == Some(first)
    }

    /// Frees everything.
    pub(super) fn clear(&self) {
        for word in self.words() {
            word.store(0, Ordering::Relaxed);
        }
    }
}
