//! Sleeping until somebody rings, without a ring that is missed.
//!
//! A doorbell is a line of its own: a sequence number that threads sleep at, and two sets of the
//! parties that sleep, one of those with a thread at the sequence number and one of those whose
//! event loop waits for the bell of its environment.
//!
//! The sleeper enters itself into a set, then looks once more for what it waits for, then sleeps.
//! The waker makes true what is waited for, then looks at the sets. Between the two steps both
//! have a sequentially consistent fence, so at least one sees what the other did. (Dekker's
//! algorithm; the model checker has it in `tests/loom.rs`.)
//!
//! The waker takes the sets away before it wakes, so a flood of records rings once. A waker that is
//! killed in between has rung for nobody, just as one that is killed before it rang at all: who
//! sleeps without an end has to look again when a party dies, and sleeping threads look again every
//! [`SLICE`].

use std::time::{Duration, Instant};

use crate::failpoint::failpoint;
use crate::layout::{DOORBELL, DOORBELLS, PARTIES};
use crate::memory::Memory;
use crate::object::Object;
use crate::sync::{Ordering, fence};
use crate::system::System;

/// The longest a thread sleeps without looking again.
pub const SLICE: Duration = Duration::from_millis(10);

/// Words of a set of parties.
const SET: usize = 2;

/// Where the sets are in a doorbell.
const THREADS: usize = 8;
const LOOPS: usize = THREADS + SET * 8;

const _: () = assert!(PARTIES <= SET * 64 && LOOPS + SET * 8 <= DOORBELL);

/// One of an object's two doorbells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doorbell {
    /// Rung when there is something to take: records, a value, a free lock.
    Items,
    /// Rung when there is room.
    Space,
}

impl Doorbell {
    /// Both.
    pub const ALL: [Doorbell; 2] = [Doorbell::Items, Doorbell::Space];

    /// Where it is. The sequence number is the half word there.
    pub const fn offset(self) -> usize {
        match self {
            Doorbell::Items => DOORBELLS,
            Doorbell::Space => DOORBELLS + DOORBELL,
        }
    }
}

/// How a wait passes its time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patience {
    /// How long to look again and again before sleeping.
    pub spin: Duration,
    /// When to give up; never if absent.
    pub timeout: Option<Duration>,
}

impl<M: Memory, S: System> Object<M, S> {
    /// Wakes everybody who sleeps at this doorbell. Call it after the store that they wait for.
    #[inline]
    pub fn ring(&self, doorbell: Doorbell) {
        // SYNC doorbell: the caller's store comes before, the sets are read after. Pairs with the
        // fences in `wait` and `arm`.
        fence(Ordering::SeqCst);
        if self
            .region()
            .words(doorbell.offset() + THREADS, 2 * SET)
            .iter()
            .any(|word| word.load(Ordering::Relaxed) != 0)
        {
            self.ring_slow(doorbell);
        }
    }

    #[cold]
    fn ring_slow(&self, doorbell: Doorbell) {
        let take = |at: usize| {
            let words = self.region().words(doorbell.offset() + at, SET);
            let mut taken = [0; SET];
            for (word, taken) in words.iter().zip(&mut taken) {
                if word.load(Ordering::Relaxed) != 0 {
                    *taken = word.swap(0, Ordering::AcqRel);
                }
            }
            taken
        };
        let threads = take(THREADS);
        let loops = take(LOOPS);
        failpoint!(RingBeforeWake);
        if threads != [0; SET] {
            let sequence = self.region().half(doorbell.offset());
            sequence.fetch_add(1, Ordering::Release);
            self.system().wake(sequence, u32::MAX);
        }
        for (index, mut set) in loops.into_iter().enumerate() {
            while set != 0 {
                let party = index * 64 + set.trailing_zeros() as usize;
                set &= set - 1;
                if party >= PARTIES {
                    break;
                }
                let (identity, environment) = self.address(party);
                if identity != 0 {
                    self.system().ring(identity, environment);
                }
            }
        }
    }

    fn enter(&self, doorbell: Doorbell, set: usize, party: usize) {
        self.region()
            .word(doorbell.offset() + set + party / 64 * 8)
            .fetch_or(1 << (party % 64), Ordering::AcqRel);
        // SYNC doorbell: entered before, what is waited for is read after. Pairs with `ring`.
        fence(Ordering::SeqCst);
    }

    /// Has the next ring wake the event loop of this party. Look once more for what is waited for
    /// after the call, and only then let the loop sleep.
    pub fn arm(&self, doorbell: Doorbell, party: usize) {
        self.enter(doorbell, LOOPS, party);
    }

    /// Takes back [`Object::arm`]; a ring may be on its way all the same.
    pub fn disarm(&self, doorbell: Doorbell, party: usize) {
        self.region()
            .word(doorbell.offset() + LOOPS + party / 64 * 8)
            .fetch_and(!(1 << (party % 64)), Ordering::AcqRel);
    }

    /// Blocks the thread until `ready` answers with something, or patience ends.
    ///
    /// `ready` is called again after every ring and every [`SLICE`]. Its argument says that a slice
    /// has passed without a ring: the time to look whether somebody died.
    pub fn wait<T>(
        &self,
        doorbell: Doorbell,
        party: usize,
        patience: Patience,
        mut ready: impl FnMut(bool) -> Option<T>,
    ) -> Option<T> {
        if let Some(answer) = ready(false) {
            return Some(answer);
        }
        if patience.timeout == Some(Duration::ZERO) {
            return None;
        }
        let limited = patience.timeout.is_some() || !patience.spin.is_zero();
        let begin = limited.then(Instant::now);
        let waited = || begin.map_or(Duration::ZERO, |begin| begin.elapsed());
        if !patience.spin.is_zero() {
            let spin = patience.spin.min(patience.timeout.unwrap_or(Duration::MAX));
            while waited() < spin {
                // Reading the clock costs as much as several looks.
                for _ in 0..32 {
                    std::hint::spin_loop();
                    if let Some(answer) = ready(false) {
                        return Some(answer);
                    }
                }
            }
        }
        let sequence = self.region().half(doorbell.offset());
        let mut idle = false;
        loop {
            let seen = sequence.load(Ordering::Acquire);
            self.enter(doorbell, THREADS, party);
            if let Some(answer) = ready(idle) {
                return Some(answer);
            }
            let mut slice = SLICE;
            if let Some(timeout) = patience.timeout {
                let left = timeout.saturating_sub(waited());
                if left.is_zero() {
                    return None;
                }
                slice = slice.min(left);
            }
            self.system().wait(sequence, seen, Some(slice));
            idle = sequence.load(Ordering::Acquire) == seen;
        }
    }
}
