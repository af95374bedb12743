//! One shard: chains of entries, changed by one writer at a time and read by anybody.
//!
//! ```text
//!   0  latch, 16 bytes; a writer holds it
//!  16  1 while a writer is at work
//!  24  the last version given to an entry
//!  32  how many entries there are
//!  40  a unit before which none is free
//!  64  version of the shard, on the readers' line: another whenever an entry was taken out
//! 128  chains: a link each; then the bits; then the units
//! ```

use std::hint;

use crate::error::Corrupt;
use crate::failpoint::failpoint;
use crate::latch::{Latch, LatchGuard};
use crate::map::arena::Arena;
use crate::map::entry::{self, New};
use crate::map::error::MapError;
use crate::map::shape::{HEAD, Shape, UNIT};
use crate::memory::{Memory, Region};
use crate::object::Object;
use crate::sync::{AtomicU64, Ordering, fence};
use crate::system::System;

const LATCH: usize = 0;
const CHANGING: usize = 16;
const STAMP: usize = 24;
const ENTRIES: usize = 32;
const SEARCH: usize = 40;
const VERSION: usize = 64;

/// The longest chain. There are as many chains as entries were foreseen, so one that is longer is
/// none of ours, or belongs to a map with a hundred times as many entries.
const LONGEST: usize = 1 << 12;

/// Looks that were disturbed, after which a reader keeps writers out.
const PERSISTENCE: u32 = if cfg!(rsipc_loom) { 1 } else { 32 };

/// What is known of an entry that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Another for every change of the key's entry, never 0, and not used again for this key.
    pub version: u64,
    /// The millisecond, of [`System::now_ms`], at which it ends, if it does.
    pub expires: Option<u64>,
    /// Whether the value is a counter: 8 bytes, little-endian, two's complement.
    pub counter: bool,
}

/// An entry that an iteration found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
    /// What else is known.
    pub found: Found,
}

/// On what condition an entry is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// On none.
    Always,
    /// If the key is not there.
    Absent,
    /// If the key is there.
    Present,
    /// If the entry has this version: nobody has changed it since.
    Version(u64),
}

impl When {
    /// Whether an entry of this version, 0 for none, meets the condition.
    fn holds(self, version: u64) -> bool {
        match self {
            When::Always => true,
            When::Absent => version == 0,
            When::Present => version != 0,
            When::Version(wanted) => version == wanted && version != 0,
        }
    }
}

/// What became of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// It is done; the entry has this version.
    Done(u64),
    /// The condition did not hold: the entry has this version, 0 for none.
    Refused(u64),
}

/// Where a key is in its chain.
struct Place {
    /// Offset of the word that links to it, or to where it would be.
    link: usize,
    entry: Option<entry::Found>,
    /// Entries before it.
    before: usize,
}

/// A shard of a map.
pub(super) struct Shard<'a, M, S> {
    object: &'a Object<M, S>,
    region: &'a Region<M>,
    shape: Shape,
    /// Offset of the shard.
    at: usize,
}

const NO_ENTRY: Corrupt = Corrupt {
    what: "a link of a map leads to no entry",
};

const NO_END: Corrupt = Corrupt {
    what: "a chain of a map does not end",
};

impl<'a, M: Memory, S: System> Shard<'a, M, S> {
    #[inline]
    pub(super) fn new(object: &'a Object<M, S>, shape: Shape, index: usize) -> Shard<'a, M, S> {
        Shard {
            object,
            region: object.region(),
            shape,
            at: shape.shard(index),
        }
    }

    #[inline]
    fn word(&self, offset: usize) -> &'a AtomicU64 {
        self.region.word(self.at + offset)
    }

    fn bucket(&self, index: usize) -> usize {
        debug_assert!(index < self.shape.buckets());
        self.at + HEAD + index * 8
    }

    fn buckets(&self) -> impl Iterator<Item = usize> {
        (0..self.shape.buckets()).map(|index| self.bucket(index))
    }

    fn arena(&self) -> Arena<'a, M> {
        let bits = self.at + self.shape.bits();
        Arena::new(self.region, bits, self.shape.units())
    }

    fn unit(&self, unit: usize) -> usize {
        self.at + self.shape.first_unit() + unit * UNIT
    }

    #[inline]
    fn entry(&self, link: u64) -> Result<entry::Found, Corrupt> {
        entry::Found::at(
            self.region,
            self.shape,
            self.at + self.shape.first_unit(),
            link,
        )
        .ok_or(NO_ENTRY)
    }

    /// Not more than there is room for, whatever another process wrote.
    pub(super) fn len(&self) -> u64 {
        let entries = self.word(ENTRIES).load(Ordering::Relaxed);
        entries.min(self.shape.units() as u64)
    }

    // Reading.

    /// Looks at the shard until nobody has taken an entry out meanwhile.
    #[inline]
    fn look<T>(&self, mut look: impl FnMut() -> Result<T, Corrupt>) -> Result<T, Corrupt> {
        let version = self.word(VERSION);
        for _ in 0..PERSISTENCE {
            // SYNC map-version: pairs with the release in `taken_out`.
            let before = version.load(Ordering::Acquire);
            let answer = look();
            // SYNC map-reuse: what was read was read before the version is. Pairs with the fence
            // in `insert`.
            fence(Ordering::Acquire);
            if version.load(Ordering::Relaxed) == before {
                return answer;
            }
            hint::spin_loop();
        }
        let _guard = self.latch();
        look()
    }

    #[inline]
    fn find(&self, key: &[u8], hash: u64) -> Result<Place, Corrupt> {
        let mut link = self.bucket(self.shape.bucket_of(hash));
        for before in 0..=LONGEST {
            // SYNC map-link: pairs with the release in `insert`.
            let next = self.region.word(link).load(Ordering::Acquire);
            if next == 0 {
                return Ok(Place {
                    link,
                    entry: None,
                    before,
                });
            }
            let entry = self.entry(next)?;
            if entry.is(self.region, hash, key) {
                return Ok(Place {
                    link,
                    entry: Some(entry),
                    before,
                });
            }
            link = entry.link();
        }
        Err(NO_END)
    }

    #[inline]
    fn describe(&self, entry: &entry::Found) -> Found {
        // Before the value: whoever reads a version has read what it stands for, or later.
        let version = entry.version(self.region).load(Ordering::Acquire);
        let expires = entry.expires(self.region).load(Ordering::Relaxed);
        Found {
            version,
            expires: (expires != 0).then_some(expires),
            counter: entry.counter,
        }
    }

    #[inline]
    fn is_over(&self, expires: Option<u64>) -> bool {
        expires.is_some_and(|expires| expires <= self.object.system().now_ms())
    }

    #[inline]
    pub(super) fn get(
        &self,
        key: &[u8],
        hash: u64,
        value: &mut Vec<u8>,
    ) -> Result<Option<Found>, MapError> {
        let found = self.look(|| {
            let Some(entry) = self.find(key, hash)?.entry else {
                return Ok(None);
            };
            let found = self.describe(&entry);
            entry.copy_value(self.region, value);
            Ok(Some(found))
        })?;
        let found = found.filter(|found| !self.is_over(found.expires));
        if found.is_none() {
            value.clear();
        }
        Ok(found)
    }

    pub(super) fn scan(&self, bucket: usize, entries: &mut Vec<Entry>) -> Result<(), MapError> {
        let first = entries.len();
        self.look(|| {
            entries.truncate(first);
            let mut link = self
                .region
                .word(self.bucket(bucket))
                .load(Ordering::Acquire);
            let mut copied = 0;
            for _ in 0..=LONGEST {
                if link == 0 {
                    return Ok(());
                }
                let entry = self.entry(link)?;
                let found = self.describe(&entry);
                let mut value = Vec::new();
                entry.copy_value(self.region, &mut value);
                let key = entry.copy_key(self.region);
                entries.push(Entry { key, value, found });
                // Entries do not overlap, so a chain is not larger than the shard.
                copied += entry.units();
                if copied > self.shape.units() {
                    break;
                }
                link = entry.next(self.region);
            }
            Err(NO_END)
        })
        .inspect_err(|_| entries.truncate(first))?;
        let mut index = first;
        while index < entries.len() {
            if self.is_over(entries[index].found.expires) {
                entries.remove(index);
            } else {
                index += 1;
            }
        }
        Ok(())
    }

    // Writing, all under the latch.

    fn latch(&self) -> LatchGuard<'a> {
        let guard = Latch::at(self.at + LATCH).lock(self.region, self.object.system());
        if guard.recovered() || self.word(CHANGING).load(Ordering::Relaxed) != 0 {
            self.mend();
        }
        guard
    }

    fn begin(&self) {
        self.word(CHANGING).store(1, Ordering::Release);
    }

    fn end(&self) {
        self.word(CHANGING).store(0, Ordering::Release);
    }

    /// Finds out from the chains what memory is taken. What is damaged is cut off. Cut short, it
    /// is done again by the next.
    #[cold]
    fn mend(&self) {
        self.begin();
        // An entry may have been taken out without a word.
        self.taken_out();
        failpoint!(MapBeforeMended);
        let arena = self.arena();
        arena.clear();
        self.word(SEARCH).store(0, Ordering::Relaxed);
        let mut entries = 0;
        for bucket in self.buckets() {
            let mut link = bucket;
            for length in 0..=LONGEST {
                let next = self.region.word(link).load(Ordering::Relaxed);
                if next == 0 {
                    break;
                }
                match self.entry(next) {
                    Ok(entry) if length < LONGEST && arena.is_free(entry.unit, entry.units()) => {
                        arena.mark(entry.unit, entry.units(), true);
                        entries += 1;
                        link = entry.link();
                    }
                    _ => {
                        self.region.word(link).store(0, Ordering::Release);
                        break;
                    }
                }
            }
        }
        self.word(ENTRIES).store(entries, Ordering::Relaxed);
        self.end();
    }

    /// Tells readers that an entry they may be reading is none any more. Before its memory is used
    /// again.
    fn taken_out(&self) {
        let version = self.word(VERSION);
        let next = version.load(Ordering::Relaxed).wrapping_add(1);
        // SYNC map-version: pairs with the acquire in `look`.
        version.store(next, Ordering::Release);
    }

    /// Takes an entry out of its chain.
    fn unlink(&self, link: usize, entry: &entry::Found) {
        let next = entry.next(self.region);
        self.region.word(link).store(next, Ordering::Release);
        self.forget(entry);
        let entries = self.word(ENTRIES);
        let left = entries.load(Ordering::Relaxed).saturating_sub(1);
        entries.store(left, Ordering::Relaxed);
    }

    /// Frees an entry that nothing links to any more.
    fn forget(&self, entry: &entry::Found) {
        // Before the version moves: afterwards a reader may hold other words for these.
        let (unit, units) = (entry.unit, entry.units());
        failpoint!(MapBeforeVersion);
        self.taken_out();
        failpoint!(MapBeforeFree);
        self.give_back(unit, units);
    }

    /// Takes units, giving up what is over when there are too few.
    fn allocate(&self, units: usize) -> Result<usize, MapError> {
        let arena = self.arena();
        let search = self.word(SEARCH);
        let first = |from| arena.find(1, from).unwrap_or(0);
        let mut free = first(search.load(Ordering::Relaxed) as usize);
        let mut found = arena.find(units, free);
        if found.is_none() && self.purge_latched()? > 0 {
            free = first(0);
            found = arena.find(units, free);
        }
        let unit = found.ok_or(MapError::Full {
            needed: (units * UNIT) as u64,
        })?;
        arena.mark(unit, units, true);
        let next = if unit == free { unit + units } else { free };
        search.store(next as u64, Ordering::Relaxed);
        Ok(unit)
    }

    /// Frees units.
    fn give_back(&self, unit: usize, units: usize) {
        self.arena().mark(unit, units, false);
        let search = self.word(SEARCH);
        let first = search.load(Ordering::Relaxed).min(unit as u64);
        search.store(first, Ordering::Relaxed);
    }

    /// A version that no entry of this shard has had.
    fn stamp(&self) -> u64 {
        let stamp = self.word(STAMP);
        let next = stamp.load(Ordering::Relaxed).wrapping_add(1).max(1);
        stamp.store(next, Ordering::Relaxed);
        next
    }

    /// Puts a new entry where the key is, or would be.
    fn insert(&self, new: &mut New<'_>) -> Result<u64, MapError> {
        let units = entry::units(new.key.len(), new.value.len());
        if units > self.shape.units() {
            return Err(MapError::TooLarge {
                size: units.saturating_mul(UNIT) as u64,
                limit: self.shape.shard_bytes() as u64,
            });
        }
        self.begin();
        let unit = match self.allocate(units) {
            Ok(unit) => unit,
            Err(error) => {
                self.end();
                return Err(error);
            }
        };
        failpoint!(MapAllocated);
        // Now: the old entry may have been given up for its time.
        let place = self.find(new.key, new.hash)?;
        if place.entry.is_none() && place.before >= LONGEST {
            self.give_back(unit, units);
            self.end();
            return Err(MapError::Full {
                needed: (units * UNIT) as u64,
            });
        }
        new.next = place
            .entry
            .as_ref()
            .map_or(0, |entry| entry.next(self.region));
        new.version = self.stamp();
        // SYNC map-reuse: the version was moved before these bytes are. Pairs with the fence in
        // `look`.
        fence(Ordering::Release);
        new.write(self.region, self.unit(unit));
        failpoint!(MapBeforePublish);
        // SYNC map-link: pairs with the acquire in `find`.
        self.region
            .word(place.link)
            .store(unit as u64 + 1, Ordering::Release);
        match place.entry {
            Some(old) => self.forget(&old),
            None => {
                let entries = self.word(ENTRIES);
                entries.store(
                    entries.load(Ordering::Relaxed).wrapping_add(1),
                    Ordering::Relaxed,
                );
            }
        }
        failpoint!(MapBeforeDone);
        self.end();
        Ok(new.version)
    }

    /// The version of a living entry; 0 if there is none.
    fn living(&self, place: &Place) -> u64 {
        let found = place.entry.as_ref().map(|entry| self.describe(entry));
        found.map_or(0, |found| {
            if self.is_over(found.expires) {
                0
            } else {
                found.version
            }
        })
    }

    pub(super) fn set(
        &self,
        key: &[u8],
        hash: u64,
        value: &[u8],
        expires: u64,
        when: When,
    ) -> Result<Set, MapError> {
        let _guard = self.latch();
        if when != When::Always {
            let version = self.living(&self.find(key, hash)?);
            if !when.holds(version) {
                return Ok(Set::Refused(version));
            }
        }
        self.insert(&mut New {
            next: 0,
            hash,
            key,
            value,
            counter: false,
            version: 0,
            expires,
        })
        .map(Set::Done)
    }

    pub(super) fn add(
        &self,
        key: &[u8],
        hash: u64,
        delta: i64,
        expires: u64,
    ) -> Result<i64, MapError> {
        let _guard = self.latch();
        let place = self.find(key, hash)?;
        if let Some(entry) = place.entry.filter(|_| self.living(&place) != 0) {
            let number = entry.number(self.region).ok_or(MapError::NotACounter)?;
            let sum = (number.load(Ordering::Relaxed) as i64)
                .checked_add(delta)
                .ok_or(MapError::Overflow)?;
            let version = self.stamp();
            // The value first: whoever reads the new version reads the new value with it.
            number.store(sum as u64, Ordering::Release);
            failpoint!(MapCounted);
            entry.version(self.region).store(version, Ordering::Release);
            return Ok(sum);
        }
        self.insert(&mut New {
            next: 0,
            hash,
            key,
            value: &delta.to_le_bytes(),
            counter: true,
            version: 0,
            expires,
        })?;
        Ok(delta)
    }

    pub(super) fn expire(&self, key: &[u8], hash: u64, expires: u64) -> Result<bool, MapError> {
        let _guard = self.latch();
        let place = self.find(key, hash)?;
        let Some(entry) = place.entry.filter(|_| self.living(&place) != 0) else {
            return Ok(false);
        };
        entry.expires(self.region).store(expires, Ordering::Release);
        Ok(true)
    }

    pub(super) fn delete(&self, key: &[u8], hash: u64, when: When) -> Result<bool, MapError> {
        let _guard = self.latch();
        let place = self.find(key, hash)?;
        let Some(entry) = place.entry else {
            return Ok(false);
        };
        let version = self.living(&place);
        if version != 0 && !when.holds(version) {
            return Ok(false);
        }
        self.begin();
        self.unlink(place.link, &entry);
        self.end();
        Ok(version != 0)
    }

    pub(super) fn clear(&self) -> Result<(), MapError> {
        let _guard = self.latch();
        self.begin();
        for bucket in self.buckets() {
            self.region.word(bucket).store(0, Ordering::Release);
        }
        failpoint!(MapBeforeVersion);
        self.taken_out();
        failpoint!(MapBeforeFree);
        self.arena().clear();
        self.word(SEARCH).store(0, Ordering::Relaxed);
        self.word(ENTRIES).store(0, Ordering::Relaxed);
        self.end();
        Ok(())
    }

    pub(super) fn purge(&self) -> Result<u64, MapError> {
        let _guard = self.latch();
        self.begin();
        let purged = self.purge_latched();
        self.end();
        Ok(purged?)
    }

    fn purge_latched(&self) -> Result<u64, Corrupt> {
        let now = self.object.system().now_ms();
        let mut purged = 0;
        for bucket in self.buckets() {
            let mut link = bucket;
            for length in 0.. {
                let next = self.region.word(link).load(Ordering::Relaxed);
                if next == 0 {
                    break;
                }
                if length > LONGEST {
                    return Err(NO_END);
                }
                let entry = self.entry(next)?;
                let expires = entry.expires(self.region).load(Ordering::Relaxed);
                if expires != 0 && expires <= now {
                    self.unlink(link, &entry);
                    purged += 1;
                } else {
                    link = entry.link();
                }
            }
        }
        Ok(purged)
    }
}
