//! What the processes of a kill test write down about themselves, in memory of its own that does not
//! depend on anything under test: whoever is killed has written what it had finished.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::time::{ClockId, clock_gettime};
use rsipc_sys::shm::Mapping;

/// How many processes a test may start.
pub(crate) const LIVES: usize = 1 << 15;
/// How many may be there at once.
pub(crate) const PLACES: usize = 16;

/// One number each.
#[derive(Clone, Copy)]
pub(crate) enum One {
    /// Everybody shall leave.
    Stop,
    /// How often a promise was broken.
    Broken,
    /// How many take-overs are written down.
    TakeOvers,
    /// The life that has the mutex, 0 for none.
    Inside,
    /// The greatest fencing number so far.
    Fence,
    /// What the read-write lock guards: two numbers that a writer makes equal.
    Left,
    Right,
    /// The latest version of the cell.
    CellVersion,
    /// How often the counter of the map was raised at least.
    Added,
    /// The life given to the process started last.
    Lives,
    /// 1 while somebody reads all of the broadcast ring, 2 when it shall end.
    Listening,
}

/// A number for each place.
#[derive(Clone, Copy)]
pub(crate) enum Placed {
    /// Identity of the process if it has a permit, else 0.
    Holding,
    /// The life that has begun to work there.
    Started,
    /// How many turns were made there.
    Turns,
    /// The number last set under the place's key.
    Key,
    /// How many permits it has, while it has any.
    Permits,
}

/// A number for each life.
#[derive(Clone, Copy)]
pub(crate) enum PerLife {
    /// How many records it has committed at least.
    Committed,
    /// How many of its records were read.
    Seen,
    /// When it was killed, in ns.
    Killed,
    /// Not of a life: how long the take-over with this number took, in ns.
    TakeOver,
}

const ONES: usize = 16;
const PLACED: usize = 5 * PLACES;

pub(crate) struct Ledger(Mapping);

impl Ledger {
    pub(crate) const SIZE: u64 = ((ONES + PLACED + 4 * LIVES) * 8) as u64;

    pub(crate) fn new(mapping: Mapping) -> Ledger {
        Ledger(mapping)
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index * 8 + 8 <= self.0.len());
        // SAFETY: `index` was checked against the length.
        let word = unsafe { self.0.start().cast::<u64>().add(index) };
        // SAFETY: in the mapping, which is aligned to pages and only used as words.
        unsafe { AtomicU64::from_ptr(word.as_ptr()) }
    }

    pub(crate) fn one(&self, which: One) -> &AtomicU64 {
        self.word(which as usize)
    }

    pub(crate) fn placed(&self, which: Placed, place: usize) -> &AtomicU64 {
        assert!(place < PLACES);
        self.word(ONES + which as usize * PLACES + place)
    }

    pub(crate) fn life(&self, which: PerLife, life: u64) -> &AtomicU64 {
        assert!((life as usize) < LIVES);
        self.word(ONES + PLACED + which as usize * LIVES + life as usize)
    }

    pub(crate) fn get(&self, which: One) -> u64 {
        self.one(which).load(Ordering::SeqCst)
    }

    /// Says on stderr that a promise was broken, and counts it.
    pub(crate) fn broken(&self, what: &str) {
        self.one(One::Broken).fetch_add(1, Ordering::SeqCst);
        let _ = writeln!(std::io::stderr(), "BROKEN: {what}");
    }
}

/// Nanoseconds on a clock that all processes share.
pub(crate) fn now() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}
