//! The end of a ring that reads, as JavaScript has it.

use std::cell::{RefCell, RefMut};
use std::rc::Rc;

use napi::Env;
use napi::bindgen_prelude::{BufferSlice, JsValue, Object};
use napi_derive::napi;
use rsipc_core::shm::{Consumer, Ring};
use rsipc_ring::ring::Flavor;
use rsipc_ring::{Doorbell, Lease, Policy, ReadError};

use super::error::{Result, closed, failed, failure, refused};
use super::object::Attachment;
use super::producer::{patience, spin};

/// An end of a ring that reads.
#[napi]
pub struct SharedConsumer {
    state: RefCell<Option<State>>,
}

struct State {
    end: Consumer,
    ring: Rc<Attachment<Ring>>,
    /// The record that JavaScript has in place.
    lent: Option<Lease>,
}

impl State {
    /// Releasing a later record would release the one in place as well.
    fn require_nothing_lent(&self) -> Result<()> {
        match self.lent {
            None => Ok(()),
            Some(_) => Err(failure(
                "ERR_RSIPC_BUSY",
                "a record is being used in place; nothing else can be read meanwhile",
            )),
        }
    }

    /// Copies records into `target`, each at a multiple of 8, and their sizes into `sizes`. Answers how
    /// many; if the first one has no room there, the negative number of bytes it needs.
    fn read(&mut self, target: &mut [u8], sizes: &mut [u8]) -> std::result::Result<f64, ReadError> {
        let mut count = 0;
        let mut at = 0;
        let mut last = None;
        for size in sizes.chunks_exact_mut(4) {
            let record = match self.end.peek() {
                Ok(Some(record)) => record,
                Ok(None) => break,
                Err(error) if count == 0 => return Err(error),
                // It is told the next time.
                Err(_) => break,
            };
            let len = record.len();
            let Some(place) = target.get_mut(at..at + len) else {
                if count == 0 {
                    return Ok(-(len as f64));
                }
                break;
            };
            record.copy(0, place);
            size.copy_from_slice(&(len as u32).to_le_bytes());
            if overwrites(self.ring.object.flavor()) {
                record.release();
            } else {
                last = record.keep();
            }
            at += len.next_multiple_of(8);
            count += 1;
        }
        if let Some(lease) = last {
            self.end.release(&lease);
        }
        Ok(f64::from(count))
    }

    /// The same with one record, and its size as the answer.
    fn take(&mut self, target: &mut [u8]) -> std::result::Result<Option<f64>, ReadError> {
        let Some(record) = self.end.peek()? else {
            return Ok(None);
        };
        let len = record.len();
        let Some(place) = target.get_mut(..len) else {
            return Ok(Some(-2.0 - len as f64));
        };
        record.copy(0, place);
        record.release();
        Ok(Some(len as f64))
    }

    /// Has the next record ring the bell of the environment.
    fn arm(&self) {
        self.end.object().arm(Doorbell::Items, self.end.slot());
    }

    fn disarm(&self) {
        self.end.object().disarm(Doorbell::Items, self.end.slot());
    }
}

/// Whether records may be written over before they are read.
fn overwrites(flavor: Flavor) -> bool {
    matches!(flavor, Flavor::Broadcast(policy) if policy != Policy::Wait)
}

impl SharedConsumer {
    pub(super) fn new(end: Consumer, ring: Rc<Attachment<Ring>>) -> SharedConsumer {
        SharedConsumer {
            state: RefCell::new(Some(State {
                end,
                ring,
                lent: None,
            })),
        }
    }

    fn state(&self) -> Result<RefMut<'_, State>> {
        RefMut::filter_map(self.state.borrow_mut(), Option::as_mut).map_err(|_| closed())
    }
}

#[napi]
impl SharedConsumer {
    /// Copies the next record into `target` from `at` on; answers its size. -1 if there is none, also not
    /// within `spin` microseconds; with `arm` the next one then rings the bell of the environment. A
    /// record of n bytes that has no room there stays: -2 - n.
    #[napi(catch_unwind)]
    pub fn take(&self, mut target: BufferSlice, at: u32, spin: u32, arm: bool) -> Result<f64> {
        let mut state = self.state()?;
        state.require_nothing_lent()?;
        let Some(target) = target.get_mut(at as usize..) else {
            return Err(failure("ERR_RSIPC_SYSTEM", "a place outside of its buffer"));
        };
        let mut found = self::spin(spin, || state.take(target)).map_err(failed)?;
        if found.is_none() && arm {
            state.arm();
            found = state.take(target).map_err(failed)?;
            if found.is_some() {
                state.disarm();
            }
        }
        Ok(found.unwrap_or(-1.0))
    }

    /// Copies records into `target`, the first at `at` and each a multiple of 8 behind it, and their
    /// sizes, 32-bit numbers, into `sizes`: as many as there are and both have room for. Answers how many, 0 if there is none, also not within
    /// `spin` microseconds. If the first one has no room, the negative number of bytes it needs.
    #[napi(catch_unwind)]
    pub fn read(
        &self,
        mut target: BufferSlice,
        at: u32,
        mut sizes: BufferSlice,
        max: u32,
    ) -> Result<f64> {
        let mut state = self.state()?;
        state.require_nothing_lent()?;
        let Some(target) = target.get_mut(at as usize..) else {
            return Err(failure("ERR_RSIPC_SYSTEM", "a place outside of its buffer"));
        };
        let room = sizes.len().min((max as usize).saturating_mul(4));
        let sizes = &mut sizes[..room];
        state.read(target, sizes).map_err(failed)
    }

    /// Blocks the thread for so many milliseconds until there is a record; whether there is.
    #[napi(catch_unwind)]
    pub fn wait_sync(&self, spin: u32, milliseconds: f64) -> Result<bool> {
        let waited = self.state()?.end.wait(patience(spin, milliseconds));
        waited.map_err(failed)
    }

    /// The next record where it lies, as an ArrayBuffer, until `giveBack`; or a Buffer with a copy, of
    /// which nothing is given back. `null` if there is none.
    #[napi(catch_unwind)]
    pub fn lend<'a>(&self, env: &'a Env) -> Result<Option<Object<'a>>> {
        let mut state = self.state()?;
        state.require_nothing_lent()?;
        let State { end, ring, lent } = &mut *state;
        let Some(record) = end.peek().map_err(failed)? else {
            return Ok(None);
        };
        if overwrites(ring.object.flavor()) {
            let mut bytes = Vec::new();
            record.read_into(&mut bytes);
            record.release();
            return copied(env, &bytes).map(Some);
        }
        let Some(lease) = record.keep() else {
            return Ok(None);
        };
        let memory = &ring.memory;
        match memory
            .lend(env, lease.offset(), lease.len())
            .map_err(refused)?
        {
            Some(buffer) => {
                *lent = Some(lease);
                Ok(Some(buffer))
            }
            None => {
                let mut bytes = vec![0; lease.len()];
                end.copy(&lease, 0, &mut bytes);
                end.release(&lease);
                copied(env, &bytes).map(Some)
            }
        }
    }

    /// Empties the ArrayBuffer of the record in place and gives its room back.
    #[napi(catch_unwind)]
    pub fn give_back(&self, buffer: Object<'_>) -> Result<()> {
        let State { end, ring, lent } = &mut *self.state()?;
        let Some(lease) = lent.take() else {
            return Ok(());
        };
        let memory = &ring.memory;
        memory.take_back(lease.offset(), &buffer).map_err(refused)?;
        end.release(&lease);
        Ok(())
    }

    /// Records that were written over before they were read.
    #[napi(getter, catch_unwind)]
    pub fn lost(&self) -> Result<f64> {
        Ok(self.state()?.end.lost() as f64)
    }

    /// Has nobody ring any more for what was armed.
    #[napi(catch_unwind)]
    pub fn disarm(&self) -> Result<()> {
        self.state()?.disarm();
        Ok(())
    }

    /// Gives back what the dead held.
    #[napi(catch_unwind)]
    pub fn sweep(&self) -> Result<u32> {
        Ok(self.state()?.end.object().sweep() as u32)
    }

    /// Gives the role back. Safe to call twice.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        self.state.take();
    }
}

/// A Buffer with these bytes.
fn copied<'a>(env: &'a Env, bytes: &[u8]) -> Result<Object<'a>> {
    let buffer = BufferSlice::copy_from(env, bytes).map_err(refused)?;
    Ok(Object::from_raw(env.raw(), buffer.raw()))
}
