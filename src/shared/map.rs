//! A key-value map, as JavaScript attaches to it.

use std::cell::RefCell;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use napi::bindgen_prelude::{BigInt, BufferSlice};
use napi::{Env, JsString};
use napi_derive::napi;
use rsipc_core::shm::{Party, SharedMap as Map};
use rsipc_ring::OpenError;
use rsipc_ring::map::{Entry, Found, MapError, Set, Shape, When};
use rsipc_sys::os::Os;
use rsipc_sys::shm::Mapping;

use super::error::{Result, closed, failed, refused};
use super::object::{self, Attachment};
use crate::env::append_utf8;

/// Entries of one step of an iteration, about.
const STEP: usize = 64;

/// What makes a map of this shape.
fn maker(shape: Shape) -> impl FnOnce(Mapping, Arc<Os>) -> std::result::Result<Map, OpenError> {
    // What nobody else knows, so that nobody can choose keys of one chain.
    let seed = RandomState::new().hash_one("map");
    move |memory, os| Map::create(memory, os, shape, seed)
}

/// An attachment to a map.
#[napi]
pub struct SharedMap {
    state: RefCell<Option<State>>,
}

struct State {
    map: Attachment<Map>,
    /// Shows that the map is used; a map with too many users is used all the same.
    _party: Option<Party>,
    key: Vec<u8>,
    value: Vec<u8>,
    /// Of the value that was read last.
    version: u64,
    /// Where the iteration goes on that made the last step.
    next: Option<u64>,
}

impl State {
    /// Copies a value to its place. Answers its size; -1 if there is none; if it has no room, -2 and less
    /// by its size.
    #[inline]
    fn put(
        &mut self,
        found: std::result::Result<Option<Found>, MapError>,
        target: &mut [u8],
        at: u32,
    ) -> Result<f64> {
        let Some(found) = found.map_err(failed)? else {
            return Ok(-1.0);
        };
        self.version = found.version;
        let (at, len) = (at as usize, self.value.len());
        match target.get_mut(at..at.saturating_add(len)) {
            Some(place) => {
                place.copy_from_slice(&self.value);
                Ok(len as f64)
            }
            None => Ok(-2.0 - len as f64),
        }
    }
}

/// A time to live; negative is for ever.
fn duration(milliseconds: f64) -> Option<Duration> {
    (milliseconds >= 0.0)
        .then(|| Duration::try_from_secs_f64(milliseconds / 1e3).unwrap_or(Duration::MAX))
}

/// A condition; a negative version is none, 0 that the key is not there.
fn condition(version: f64) -> When {
    if version < 0.0 {
        When::Always
    } else if version == 0.0 {
        When::Absent
    } else {
        When::Version(version as u64)
    }
}

impl SharedMap {
    fn of(map: Attachment<Map>, environment: u32) -> SharedMap {
        let party = map.object.party(environment).ok();
        SharedMap {
            state: RefCell::new(Some(State {
                map,
                _party: party,
                key: Vec::new(),
                value: Vec::new(),
                version: 0,
                next: None,
            })),
        }
    }

    #[inline]
    fn with<T>(&self, use_it: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        match &mut *self.state.borrow_mut() {
            Some(state) => use_it(state),
            None => Err(closed()),
        }
    }
}

#[napi]
impl SharedMap {
    /// Makes a map, under a name or without.
    #[napi(factory, catch_unwind)]
    pub fn create(
        capacity: f64,
        entries: f64,
        name: Option<String>,
        environment: u32,
    ) -> Result<SharedMap> {
        let shape = Shape::new(capacity as usize, entries as usize);
        let made = object::create(name.as_deref(), shape.size(), maker(shape))?;
        Ok(SharedMap::of(made, environment))
    }

    /// Opens a map by name.
    #[napi(factory, catch_unwind)]
    pub fn open(name: String, environment: u32) -> Result<SharedMap> {
        Ok(SharedMap::of(
            object::open(&name, Map::attach)?,
            environment,
        ))
    }

    /// Opens a map by name, or makes it.
    #[napi(factory, catch_unwind)]
    pub fn open_or_create(
        capacity: f64,
        entries: f64,
        name: String,
        environment: u32,
    ) -> Result<SharedMap> {
        let shape = Shape::new(capacity as usize, entries as usize);
        let found = object::open_or_create(&name, shape.size(), maker(shape), Map::attach)?;
        Ok(SharedMap::of(found, environment))
    }

    /// Attaches to a map whose descriptor was received and stays the caller's.
    #[napi(factory, catch_unwind)]
    pub fn adopt(fd: i32, environment: u32) -> Result<SharedMap> {
        Ok(SharedMap::of(object::adopt(fd, Map::attach)?, environment))
    }

    /// Bytes of the mapping.
    #[napi(getter, catch_unwind)]
    pub fn size(&self) -> Result<f64> {
        self.with(|state| Ok(state.map.size()))
    }

    /// The descriptor, to be sent.
    #[napi(getter, catch_unwind)]
    pub fn fd(&self) -> Result<i32> {
        self.with(|state| Ok(state.map.fd()))
    }

    /// Takes the name away from the map, if it has it still.
    #[napi(catch_unwind)]
    pub fn unlink(&self, name: String) -> Result<bool> {
        self.with(|state| state.map.unlink(&name))
    }

    /// Copies the value of a key to `at` in `target`. Answers its size; -1 if there is none; if it has no
    /// room, -2 and less by its size.
    #[napi(catch_unwind)]
    pub fn get(&self, key: BufferSlice, mut target: BufferSlice, at: u32) -> Result<f64> {
        self.with(|state| {
            let found = state.map.object.get(&key, &mut state.value);
            state.put(found, &mut target, at)
        })
    }

    /// The same with a key that is a text.
    #[napi(catch_unwind)]
    pub fn get_text(
        &self,
        env: &Env,
        key: JsString,
        mut target: BufferSlice,
        at: u32,
    ) -> Result<f64> {
        self.with(|state| {
            state.key.clear();
            let units = key.utf16_len().map_err(refused)?;
            append_utf8(env, &key, units, &mut state.key).map_err(refused)?;
            let found = state.map.object.get(&state.key, &mut state.value);
            state.put(found, &mut target, at)
        })
    }

    /// The version of the value that was read last.
    #[napi(getter, catch_unwind)]
    pub fn version(&self) -> Result<f64> {
        self.with(|state| Ok(state.version as f64))
    }

    /// Sets a value for so many milliseconds, for ever if that is negative. `version` is what the entry
    /// must be, 0 for not there, negative for anything; whether it was.
    #[napi(catch_unwind)]
    pub fn set(
        &self,
        key: BufferSlice,
        value: BufferSlice,
        ttl: f64,
        version: f64,
    ) -> Result<bool> {
        self.with(|state| {
            let map = &state.map.object;
            let set = map.set(&key, &value, duration(ttl), condition(version));
            Ok(matches!(set.map_err(failed)?, Set::Done(_)))
        })
    }

    /// Takes a key out; whether it was there.
    #[napi(catch_unwind)]
    pub fn delete(&self, key: BufferSlice) -> Result<bool> {
        self.with(|state| {
            let deleted = state.map.object.delete(&key, When::Always);
            deleted.map_err(failed)
        })
    }

    /// Adds to a counter. Answers its new value.
    #[napi(catch_unwind)]
    pub fn add(&self, key: BufferSlice, delta: BigInt, ttl: f64) -> Result<BigInt> {
        let (delta, is_exact) = delta.get_i64();
        if !is_exact {
            return Err(failed(MapError::Overflow));
        }
        self.with(|state| {
            let sum = state.map.object.add(&key, delta, duration(ttl));
            sum.map(BigInt::from).map_err(failed)
        })
    }

    /// The value of a counter.
    #[napi(catch_unwind)]
    pub fn count(&self, key: BufferSlice) -> Result<BigInt> {
        self.with(|state| {
            let found = state.map.object.get(&key, &mut state.value);
            match (found.map_err(failed)?, state.value.as_slice().try_into()) {
                (None, _) => Ok(BigInt::from(0_i64)),
                (Some(Found { counter: true, .. }), Ok(bytes)) => {
                    Ok(BigInt::from(i64::from_le_bytes(bytes)))
                }
                _ => Err(failed(MapError::NotACounter)),
            }
        })
    }

    /// Takes everything out.
    #[napi(catch_unwind)]
    pub fn clear(&self) -> Result<()> {
        self.with(|state| state.map.object.clear().map_err(failed))
    }

    /// Gives up all entries whose time is over. Answers how many.
    #[napi(catch_unwind)]
    pub fn purge(&self) -> Result<f64> {
        self.with(|state| {
            let purged = state.map.object.purge().map_err(failed)?;
            Ok(purged as f64)
        })
    }

    /// How many entries there are.
    #[napi(getter, catch_unwind)]
    pub fn length(&self) -> Result<f64> {
        self.with(|state| Ok(state.map.object.len() as f64))
    }

    /// One step of an iteration, begun with 0: keys, each followed by its value. `next` says where to go
    /// on.
    #[napi(catch_unwind)]
    pub fn scan<'a>(&self, env: &'a Env, step: f64) -> Result<Vec<BufferSlice<'a>>> {
        self.with(|state| {
            let mut entries: Vec<Entry> = Vec::new();
            let mut step = step as u64;
            state.next = loop {
                match state.map.object.scan(step, &mut entries).map_err(failed)? {
                    Some(next) if entries.len() < STEP => step = next,
                    next => break next,
                }
            };
            entries
                .iter()
                .flat_map(|entry| [&entry.key, &entry.value])
                .map(|bytes| BufferSlice::copy_from(env, bytes).map_err(refused))
                .collect()
        })
    }

    /// Where the iteration goes on that made the last step; `null` at its end.
    #[napi(getter, catch_unwind)]
    pub fn next(&self) -> Result<Option<f64>> {
        self.with(|state| Ok(state.next.map(|next| next as f64)))
    }

    /// Lets go of the map. Safe to call twice.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        self.state.take();
    }
}
