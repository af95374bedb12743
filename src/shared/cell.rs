//! The latest value of something, as JavaScript attaches to it.

use std::cell::RefCell;
use std::convert::Infallible;

use napi::Env;
use napi::bindgen_prelude::BufferSlice;
use napi_derive::napi;
use rsipc_core::shm::{Cell, Party};
use rsipc_ring::Doorbell;

use super::error::{Result, closed, failed, failure, refused};
use super::object::{self, Attachment};
use super::producer::spin;

/// An attachment to a cell.
#[napi]
pub struct SharedCell {
    state: RefCell<Option<State>>,
}

struct State {
    cell: Attachment<Cell>,
    environment: u32,
    /// Taken by the first wait.
    party: Option<Party>,
    value: Vec<u8>,
}

impl SharedCell {
    fn of(cell: Attachment<Cell>, environment: u32) -> SharedCell {
        SharedCell {
            state: RefCell::new(Some(State {
                cell,
                environment,
                party: None,
                value: Vec::new(),
            })),
        }
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        match &mut *self.state.borrow_mut() {
            Some(state) => use_it(state),
            None => Err(closed()),
        }
    }
}

#[napi]
impl SharedCell {
    /// Makes a cell, under a name or without.
    #[napi(factory, catch_unwind)]
    pub fn create(capacity: f64, name: Option<String>, environment: u32) -> Result<SharedCell> {
        let capacity = capacity as usize;
        let make = |memory, os| Cell::create(memory, os, capacity);
        let made = object::create(name.as_deref(), Cell::size(capacity), make)?;
        Ok(SharedCell::of(made, environment))
    }

    /// Opens a cell by name.
    #[napi(factory, catch_unwind)]
    pub fn open(name: String, environment: u32) -> Result<SharedCell> {
        let found = object::open(&name, Cell::attach)?;
        Ok(SharedCell::of(found, environment))
    }

    /// Opens a cell by name, or makes it.
    #[napi(factory, catch_unwind)]
    pub fn open_or_create(capacity: f64, name: String, environment: u32) -> Result<SharedCell> {
        let capacity = capacity as usize;
        let make = |memory, os| Cell::create(memory, os, capacity);
        let size = Cell::size(capacity);
        let found = object::open_or_create(&name, size, make, Cell::attach)?;
        Ok(SharedCell::of(found, environment))
    }

    /// Attaches to a cell whose descriptor was received and stays the caller's.
    #[napi(factory, catch_unwind)]
    pub fn adopt(fd: i32, environment: u32) -> Result<SharedCell> {
        Ok(SharedCell::of(
            object::adopt(fd, Cell::attach)?,
            environment,
        ))
    }

    /// The longest value.
    #[napi(getter, catch_unwind)]
    pub fn capacity(&self) -> Result<f64> {
        self.with(|state| Ok(state.cell.object.limit() as f64))
    }

    /// Bytes of the mapping.
    #[napi(getter, catch_unwind)]
    pub fn size(&self) -> Result<f64> {
        self.with(|state| Ok(state.cell.size()))
    }

    /// The descriptor, to be sent.
    #[napi(getter, catch_unwind)]
    pub fn fd(&self) -> Result<i32> {
        self.with(|state| Ok(state.cell.fd()))
    }

    /// Takes the name away from the cell, if it has it still.
    #[napi(catch_unwind)]
    pub fn unlink(&self, name: String) -> Result<bool> {
        self.with(|state| state.cell.unlink(&name))
    }

    /// The number of the value: how often it was set.
    #[napi(getter, catch_unwind)]
    pub fn version(&self) -> Result<f64> {
        self.with(|state| Ok(state.cell.object.version() as f64))
    }

    /// Sets the value; answers its number.
    #[napi(catch_unwind)]
    pub fn set(&self, bytes: BufferSlice) -> Result<f64> {
        self.with(|state| {
            let set = state.cell.object.set(&bytes);
            set.map(|version| version as f64).map_err(failed)
        })
    }

    /// A copy of the value; `null` if it was never set.
    #[napi(catch_unwind)]
    pub fn get<'a>(&self, env: &'a Env) -> Result<Option<BufferSlice<'a>>> {
        self.with(|state| match state.cell.object.get(&mut state.value) {
            Ok(0) => Ok(None),
            Ok(_) => BufferSlice::copy_from(env, &state.value)
                .map(Some)
                .map_err(refused),
            Err(error) => Err(failed(error)),
        })
    }

    /// A copy of the value if its number is larger than `seen`, or becomes so within `spin`
    /// microseconds; `null` if not, and then the next value rings the bell of the environment.
    #[napi(catch_unwind)]
    pub fn newer<'a>(&self, env: &'a Env, seen: f64, spin: u32) -> Result<Option<BufferSlice<'a>>> {
        let is_newer = self.with(|state| {
            let cell = &state.cell.object;
            let newer = || cell.version() as f64 > seen;
            let look = || Ok::<_, Infallible>(newer().then_some(()));
            if self::spin(spin, look).is_ok_and(|found| found.is_some()) {
                return Ok(true);
            }
            if cell.object().is_destroyed() {
                return Err(failure("ERR_RSIPC_DESTROYED", "the object was destroyed"));
            }
            let party = match &state.party {
                Some(party) => party,
                None => {
                    let party = cell.party(state.environment).map_err(failed)?;
                    state.party.insert(party)
                }
            };
            party.object().arm(Doorbell::Items, party.index());
            Ok(newer())
        })?;
        if is_newer { self.get(env) } else { Ok(None) }
    }

    /// Has nobody ring any more for what was armed.
    #[napi(catch_unwind)]
    pub fn disarm(&self) -> Result<()> {
        self.with(|state| {
            if let Some(party) = &state.party {
                party.object().disarm(Doorbell::Items, party.index());
            }
            Ok(())
        })
    }

    /// Gives back what the dead held.
    #[napi(catch_unwind)]
    pub fn sweep(&self) -> Result<u32> {
        self.with(|state| Ok(state.cell.object.object().sweep() as u32))
    }

    /// Lets go of the cell. Safe to call twice.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        self.state.take();
    }
}
