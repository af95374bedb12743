//! A tiny lock that a killed owner does not keep.
//!
//! Its word holds the identity of the owner's process. Whoever finds an owner that no longer runs
//! puts its own identity in its place; since an identity never comes back, only one succeeds. What
//! the latch guards is written in an order that leaves it valid after every single store, or is
//! repaired by whoever [`recovered`](LatchGuard::recovered) the latch.
//!
//! It is held for a few stores. Nobody is woken by it: a long wait sleeps a millisecond at a time.

use std::time::Duration;

use crate::memory::{Memory, Region};
use crate::sync::{AtomicU64, Backoff, Ordering};
use crate::system::System;

/// Turns of waiting between two looks whether the owner still runs.
const PATIENCE: u32 = if cfg!(rsipc_loom) { 1 } else { 256 };

/// Turns after which a wait sleeps instead.
const RESTLESS: u32 = 4096;

/// How long it sleeps at a time.
const NAP: Duration = Duration::from_millis(1);

/// Bytes of a latch: the word, and a half word to sleep at that stays 0.
pub const LATCH_SIZE: usize = 16;

/// Names a latch by its offset.
#[derive(Clone, Copy, Debug)]
pub struct Latch {
    offset: usize,
}

impl Latch {
    /// The latch at this offset, a multiple of 8. [`LATCH_SIZE`] zero bytes are a free latch.
    pub const fn at(offset: usize) -> Latch {
        Latch { offset }
    }

    /// Takes the latch, waiting for as long as a living process holds it.
    #[inline]
    pub fn lock<'a, M: Memory, S: System>(
        self,
        region: &'a Region<M>,
        system: &S,
    ) -> LatchGuard<'a> {
        let word = region.word(self.offset);
        let me = system.identity();
        // SYNC latch: pairs with the release in `LatchGuard::drop`.
        if word
            .compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
        {
            return LatchGuard {
                word,
                me,
                recovered: false,
            };
        }
        self.lock_slow(region, system, me)
    }

    #[cold]
    fn lock_slow<'a, M: Memory, S: System>(
        self,
        region: &'a Region<M>,
        system: &S,
        me: u64,
    ) -> LatchGuard<'a> {
        let word = region.word(self.offset);
        let mut backoff = Backoff::new();
        loop {
            let turn = backoff.turn();
            // Only looked at until it seems free: an exchange takes the line from its owner. (The
            // model checker would let the look give the same old answer for ever.)
            if cfg!(rsipc_loom) || word.load(Ordering::Relaxed) == 0 {
                // SYNC latch: pairs with the release in `LatchGuard::drop`.
                let taken = word.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed);
                if taken.is_ok() {
                    return LatchGuard {
                        word,
                        me,
                        recovered: false,
                    };
                }
            }
            if turn.is_multiple_of(PATIENCE) {
                let owner = word.load(Ordering::Relaxed);
                let dead = owner != 0 && owner != me && !system.alive(owner);
                // What the dead owner stored can be seen: its end came after, and was seen.
                if dead
                    && word
                        .compare_exchange(owner, me, Ordering::Acquire, Ordering::Relaxed)
                        .is_ok()
                {
                    return LatchGuard {
                        word,
                        me,
                        recovered: true,
                    };
                }
            }
            if turn > RESTLESS && !cfg!(rsipc_loom) {
                system.wait(region.half(self.offset + 8), 0, Some(NAP));
            }
        }
    }
}

/// The latch is held until this is dropped.
#[derive(Debug)]
pub struct LatchGuard<'a> {
    word: &'a AtomicU64,
    me: u64,
    recovered: bool,
}

impl LatchGuard<'_> {
    /// Whether the latch was taken from an owner that died with it.
    pub fn recovered(&self) -> bool {
        self.recovered
    }
}

impl Drop for LatchGuard<'_> {
    fn drop(&mut self) {
        // Only what is ours is given up, whatever others may have put there.
        // SYNC latch: pairs with the acquires in `Latch::lock`.
        let _ = self
            .word
            .compare_exchange(self.me, 0, Ordering::Release, Ordering::Relaxed);
    }
}
