//! The latest value, never torn, whoever dies.
//!
//! There are [`BUFFERS`] places for a value and one word, `CURRENT`, that counts how many values
//! there have been. Value number *n* is in place *n* modulo [`BUFFERS`]. A writer, under the latch,
//! fills the next place and then moves the word: one that dies before has changed nothing that is
//! read, and the next one fills the same place again. A reader takes the place the word names,
//! copies, and looks at the word again: the place is written over only when the word has moved by
//! `BUFFERS - 1`.

use std::fmt;
use std::sync::Arc;

use crate::doorbell::{Doorbell, Patience};
use crate::error::{ClaimError, Corrupt, OpenError, WriteError};
use crate::failpoint::failpoint;
use crate::layout::{BODY, Kind};
use crate::memory::{Memory, WORD};
use crate::object::Object;
use crate::sync::{Ordering, fence};
use crate::system::System;
use crate::table::Party;

/// Places for a value.
pub const BUFFERS: usize = 4;

/// Offset of the number of the latest value; 0 is none.
const CURRENT: usize = BODY;

/// Offset of the first place: a word with the length, then the bytes.
const PLACES: usize = BODY + 64;

/// The longest value a cell can be made for, in bytes.
pub const MAX_CELL: usize = 1 << 30;

/// Copies that were written over meanwhile, after which a reader keeps writers out.
const PERSISTENCE: u32 = 16;

/// A value that is set and read as a whole.
pub struct Cell<M: Memory, S: System> {
    object: Arc<Object<M, S>>,
    limit: usize,
}

impl<M: Memory, S: System> Cell<M, S> {
    fn stride(limit: usize) -> usize {
        (WORD + limit).next_multiple_of(64)
    }

    fn body(limit: usize) -> usize {
        PLACES - BODY + BUFFERS * Self::stride(limit)
    }

    /// Bytes of memory a cell needs whose values have at most `limit` bytes.
    pub fn size(limit: usize) -> usize {
        BODY.saturating_add(Self::body(limit.min(MAX_CELL)))
    }

    /// Makes a cell without a value in memory that nobody else uses yet and whose bytes are 0.
    /// Values have at most `limit` bytes, itself at most 2^30.
    pub fn create(memory: M, system: S, limit: usize) -> Result<Cell<M, S>, OpenError> {
        if limit > MAX_CELL {
            return Err(OpenError::Parameter("value size"));
        }
        let object = Object::create(
            memory,
            system,
            Kind::Cell,
            Self::body(limit),
            [limit as u64, 0, 0],
            |_, _| {},
            |_| {},
        )?;
        Ok(Cell {
            object: Arc::new(object),
            limit,
        })
    }

    /// Attaches to a cell.
    pub fn attach(memory: M, system: S) -> Result<Cell<M, S>, OpenError> {
        let object = Object::attach(memory, system, Kind::Cell, |_, _| {})?;
        let [limit, rest @ ..] = object.header().parameters;
        if limit > MAX_CELL as u64 || rest != [0, 0] {
            return Err(OpenError::Parameter("value size"));
        }
        let limit = limit as usize;
        if object.header().total != Self::size(limit) as u64 {
            return Err(OpenError::Parameter("total size"));
        }
        Ok(Cell {
            object: Arc::new(object),
            limit,
        })
    }

    /// The cell as an object.
    pub fn object(&self) -> &Arc<Object<M, S>> {
        &self.object
    }

    /// The longest value the cell takes, in bytes.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Takes a place among those who wait for values. Setting and reading need none.
    pub fn party(&self, environment: u32) -> Result<Party<M, S>, ClaimError> {
        Party::claim(Arc::clone(&self.object), environment, 1, false, |_, _| {})
    }

    /// The number of the latest value: 1 for the first, 0 if there is none.
    pub fn version(&self) -> u64 {
        self.object.region().word(CURRENT).load(Ordering::Acquire)
    }

    fn place(&self, version: u64) -> usize {
        PLACES + (version % BUFFERS as u64) as usize * Self::stride(self.limit)
    }

    /// Sets the value. Waits for other writers, never for readers. Answers its number.
    pub fn set(&self, bytes: &[u8]) -> Result<u64, WriteError> {
        if bytes.len() > self.limit {
            return Err(WriteError::TooLarge {
                size: bytes.len(),
                limit: self.limit,
            });
        }
        if self.object.is_destroyed() {
            return Err(WriteError::Destroyed);
        }
        let region = self.object.region();
        let guard = self.object.latch();
        let current = region.word(CURRENT);
        let version = current.load(Ordering::Relaxed).wrapping_add(1).max(1);
        let place = self.place(version);
        // SYNC cell-reuse: the word has moved past the value that was here before this writes over
        // it. Pairs with the fence in `try_get`.
        fence(Ordering::Release);
        region
            .word(place)
            .store(bytes.len() as u64, Ordering::Relaxed);
        region.write_racing(place + WORD, bytes);
        failpoint!(CellBeforePublish);
        // SYNC cell-value: pairs with the acquire in `try_get`.
        current.store(version, Ordering::Release);
        failpoint!(CellBeforeUnlatch);
        drop(guard);
        self.object.ring(Doorbell::Items);
        Ok(version)
    }

    /// Reads the latest value into `out`, in place of what is there. Answers its number, or 0 and
    /// an empty `out` if there was never one.
    pub fn get(&self, out: &mut Vec<u8>) -> Result<u64, Corrupt> {
        for _ in 0..PERSISTENCE {
            if let Some(version) = self.try_get(out)? {
                return Ok(version);
            }
        }
        // Writers are so much faster than this copy that they have to wait for it.
        let _guard = self.object.latch();
        self.try_get(out)?.ok_or(Corrupt {
            what: "a value that changes without a writer",
        })
    }

    /// One copy; nothing if it was written over meanwhile.
    fn try_get(&self, out: &mut Vec<u8>) -> Result<Option<u64>, Corrupt> {
        let region = self.object.region();
        // SYNC cell-value: pairs with the release in `set`.
        let version = region.word(CURRENT).load(Ordering::Acquire);
        out.clear();
        if version == 0 {
            return Ok(Some(0));
        }
        let place = self.place(version);
        let len = region.word(place).load(Ordering::Relaxed);
        let plausible = len <= self.limit as u64;
        if plausible {
            out.resize(len as usize, 0);
            region.read_racing(place + WORD, out);
        }
        // SYNC cell-reuse: pairs with the fence in `set`.
        fence(Ordering::Acquire);
        let moved = region
            .word(CURRENT)
            .load(Ordering::Relaxed)
            .wrapping_sub(version);
        if moved > BUFFERS as u64 - 2 {
            return Ok(None);
        }
        if plausible {
            Ok(Some(version))
        } else {
            Err(Corrupt {
                what: "a value longer than its place",
            })
        }
    }

    /// Blocks the thread until there is a value with another number than `seen`; answers whether
    /// there is.
    pub fn wait(&self, party: &Party<M, S>, seen: u64, patience: Patience) -> bool {
        let changed = |_| (self.version() != seen || self.object.is_destroyed()).then_some(());
        self.object
            .wait(Doorbell::Items, party.index(), patience, changed);
        self.version() != seen
    }
}

impl<M: Memory, S: System> fmt::Debug for Cell<M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cell")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
