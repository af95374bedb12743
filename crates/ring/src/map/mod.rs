//! A key-value map that processes share without a server.
//!
//! - `shape`: how many shards, where they lie; checked when the map is attached to.
//! - `entry`: one key with its value.
//! - `arena`: which parts of a shard's memory are taken.
//! - `shard`: looking up without a lock; changing under the shard's latch; repair.
//! - `hash`: which shard and which chain a key belongs to.
//!
//! A key belongs to one shard. A reader takes no lock: it notes the shard's version, walks and
//! copies, and looks whether the version is still the same. The version moves whenever an entry is
//! taken out, before its memory can be used again; so a reader that saw it stand still has read
//! nothing but entries that were there. An entry is complete before one store links it in, and that
//! store replaces the entry it stands for: a reader sees the old value or the new one. A writer that
//! dies leaves the chains whole; the next one finds its mark and counts what memory they use.
//!
//! `docs/shared-locks.md` draws it and says what is promised.

mod arena;
mod entry;
pub mod error;
mod hash;
mod shape;
mod shard;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{ClaimError, OpenError};
use crate::layout::Kind;
use crate::memory::Memory;
use crate::object::Object;
use crate::system::System;
use crate::table::Party;

pub use entry::MAX_KEY;
pub use error::MapError;
pub use shape::Shape;
use shard::Shard;
pub use shard::{Entry, Found, Set, When};

/// A key-value map. Any number of threads may use one value at once.
pub struct SharedMap<M: Memory, S: System> {
    object: Arc<Object<M, S>>,
    shape: Shape,
    seed: u64,
}

impl<M: Memory, S: System> SharedMap<M, S> {
    /// Makes an empty map in memory that nobody else uses yet and whose bytes are 0:
    /// [`Shape::size`] says how much. `seed` should be random: it keeps others from choosing keys
    /// that all fall into one chain.
    pub fn create(
        memory: M,
        system: S,
        shape: Shape,
        seed: u64,
    ) -> Result<SharedMap<M, S>, OpenError> {
        let [counts, units] = shape.encode();
        let parameters = [counts, units, seed];
        let kind = Kind::Map;
        let object = Object::create(
            memory,
            system,
            kind,
            shape.body(),
            parameters,
            |_, _| {},
            |_| {},
        )?;
        Ok(SharedMap {
            object: Arc::new(object),
            shape,
            seed,
        })
    }

    /// Attaches to a map.
    pub fn attach(memory: M, system: S) -> Result<SharedMap<M, S>, OpenError> {
        let object = Object::attach(memory, system, Kind::Map, |_, _| {})?;
        let [counts, units, seed] = object.header().parameters;
        let shape = Shape::decode([counts, units]).ok_or(OpenError::Parameter("shape"))?;
        if object.body() != shape.body() {
            return Err(OpenError::Parameter("total size"));
        }
        Ok(SharedMap {
            object: Arc::new(object),
            shape,
            seed,
        })
    }

    /// The map as an object.
    pub fn object(&self) -> &Arc<Object<M, S>> {
        &self.object
    }

    /// How it is laid out.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Takes a place in the table of parties, which shows who uses the map. Nothing else needs one.
    pub fn party(&self, environment: u32) -> Result<Party<M, S>, ClaimError> {
        Party::claim(Arc::clone(&self.object), environment, 1, false, |_, _| {})
    }

    #[inline]
    fn place(&self, key: &[u8]) -> Result<(Shard<'_, M, S>, u64), MapError> {
        self.check()?;
        if key.len() > MAX_KEY {
            return Err(MapError::KeyTooLong {
                size: key.len(),
                limit: MAX_KEY,
            });
        }
        let hash = hash::hash(self.seed, key);
        Ok((self.shard(self.shape.shard_of(hash)), hash))
    }

    fn shard(&self, index: usize) -> Shard<'_, M, S> {
        Shard::new(&self.object, self.shape, index)
    }

    fn shards(&self) -> impl Iterator<Item = Shard<'_, M, S>> {
        (0..self.shape.shards()).map(|index| self.shard(index))
    }

    fn check(&self) -> Result<(), MapError> {
        if self.object.is_destroyed() {
            return Err(MapError::Destroyed);
        }
        Ok(())
    }

    /// Copies the value of a key into `value`, which holds nothing else afterwards. Takes no lock
    /// unless its shard changes all the time.
    #[inline]
    pub fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<Option<Found>, MapError> {
        let (shard, hash) = self.place(key)?;
        shard.get(key, hash, value)
    }

    /// Sets the value of a key, if `when` says so. Answers the entry's new version, or what was in
    /// the way: the version that is there, 0 for none.
    ///
    /// With `ttl` the entry is gone after that time, to the millisecond above. Room is needed for
    /// the new entry beside the old one; entries whose time is over are given up first.
    pub fn set(
        &self,
        key: &[u8],
        value: &[u8],
        ttl: Option<Duration>,
        when: When,
    ) -> Result<Set, MapError> {
        let (shard, hash) = self.place(key)?;
        let expires = self.expires(ttl);
        shard.set(key, hash, value, expires, when)
    }

    /// Adds to a counter, which begins at 0 and then gets this `ttl`. Answers its new value.
    pub fn add(&self, key: &[u8], delta: i64, ttl: Option<Duration>) -> Result<i64, MapError> {
        let (shard, hash) = self.place(key)?;
        let expires = self.expires(ttl);
        shard.add(key, hash, delta, expires)
    }

    /// Has a key end after this time from now on, or never. Answers whether it is there.
    pub fn expire(&self, key: &[u8], ttl: Option<Duration>) -> Result<bool, MapError> {
        let (shard, hash) = self.place(key)?;
        let expires = self.expires(ttl);
        shard.expire(key, hash, expires)
    }

    /// Takes a key out, if `when` says so. Answers whether it was there and is gone.
    pub fn delete(&self, key: &[u8], when: When) -> Result<bool, MapError> {
        let (shard, hash) = self.place(key)?;
        shard.delete(key, hash, when)
    }

    /// Takes everything out, shard by shard: what others set meanwhile may stay.
    pub fn clear(&self) -> Result<(), MapError> {
        self.check()?;
        self.shards().try_for_each(|shard| shard.clear())
    }

    /// Gives up all entries whose time is over. Answers how many.
    pub fn purge(&self) -> Result<u64, MapError> {
        self.check()?;
        self.shards()
            .try_fold(0, |purged, shard| Ok(purged + shard.purge()?))
    }

    /// How many entries there are, those among them whose time is over and that nobody has missed.
    pub fn len(&self) -> u64 {
        self.shards().map(|shard| shard.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One step of an iteration: appends the entries of one chain to `entries` and answers where to
    /// go on, `None` at the end. Begin with 0.
    ///
    /// A key that is there from the first step to the last appears once, with a value it had when
    /// its step was made. One that comes or goes meanwhile may appear, and at most once.
    pub fn scan(&self, step: u64, entries: &mut Vec<Entry>) -> Result<Option<u64>, MapError> {
        self.check()?;
        let Some((shard, bucket)) = self.shape.step(step) else {
            return Ok(None);
        };
        self.shard(shard).scan(bucket, entries)?;
        Ok(Some(step + 1).filter(|&next| self.shape.step(next).is_some()))
    }

    fn expires(&self, ttl: Option<Duration>) -> u64 {
        ttl.map_or(0, |ttl| {
            let whole = u64::try_from(ttl.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
            self.object.system().now_ms().saturating_add(whole).max(1)
        })
    }
}

impl<M: Memory, S: System> fmt::Debug for SharedMap<M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMap")
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}
