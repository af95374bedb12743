//! The end of a ring that writes, as JavaScript has it.
//!
//! No call waits for long: JavaScript arms the bell of its environment and comes back, or blocks for
//! a slice at a time, so that a thread that is terminated ends.

use std::cell::{RefCell, RefMut};
use std::rc::Rc;
use std::time::{Duration, Instant};

use napi::bindgen_prelude::{BufferSlice, Either, Object};
use napi::{Env, JsString};
use napi_derive::napi;
use rsipc_core::shm::{Producer, Ring};
use rsipc_ring::ring::Flavor;
use rsipc_ring::{Doorbell, Patience, WriteError};

use super::error::{Result, closed, failed, failure, refused, unless_full};
use super::object::Attachment;
use crate::env::append_utf8;

/// An end of a ring that writes.
#[napi]
pub struct SharedProducer {
    state: RefCell<Option<State>>,
}

struct State {
    end: Producer,
    ring: Rc<Attachment<Ring>>,
    /// Where the record lies that JavaScript is filling in place.
    open: Option<usize>,
    text: Vec<u8>,
}

/// Memory that stays with a producer for its next text.
const KEPT: usize = 1024 * 1024;

impl State {
    fn write(&mut self, bytes: &[u8], spin: u32, arm: bool) -> Result<bool> {
        let end = &mut self.end;
        let mut written = self::spin(spin, || unless_full(end.try_write(bytes)))?;
        if written.is_none() && arm {
            end.object().arm(Doorbell::Space, end.slot());
            written = unless_full(end.try_write(bytes))?;
            if written.is_some() {
                end.object().disarm(Doorbell::Space, end.slot());
            }
        }
        Ok(written.is_some())
    }
}

/// Tries again for so many microseconds.
pub(super) fn spin<T, E>(
    microseconds: u32,
    mut attempt: impl FnMut() -> std::result::Result<Option<T>, E>,
) -> std::result::Result<Option<T>, E> {
    if let Some(value) = attempt()? {
        return Ok(Some(value));
    }
    if microseconds == 0 {
        return Ok(None);
    }
    let limit = Duration::from_micros(microseconds.into());
    let begin = Instant::now();
    while begin.elapsed() < limit {
        // Reading the clock costs as much as several looks.
        for _ in 0..32 {
            std::hint::spin_loop();
            if let Some(value) = attempt()? {
                return Ok(Some(value));
            }
        }
    }
    Ok(None)
}

/// How a blocking call passes one slice of its time.
pub(super) fn patience(spin: u32, milliseconds: f64) -> Patience {
    let timeout = Duration::try_from_secs_f64(milliseconds.max(0.0) / 1e3);
    Patience {
        spin: Duration::from_micros(spin.into()),
        timeout: Some(timeout.unwrap_or(Duration::MAX)),
    }
}

fn taken(outcome: std::result::Result<(), WriteError>) -> Result<bool> {
    Ok(unless_full(outcome)?.is_some())
}

impl SharedProducer {
    pub(super) fn new(end: Producer, ring: Rc<Attachment<Ring>>) -> SharedProducer {
        SharedProducer {
            state: RefCell::new(Some(State {
                end,
                ring,
                open: None,
                text: Vec::new(),
            })),
        }
    }

    fn state(&self) -> Result<RefMut<'_, State>> {
        RefMut::filter_map(self.state.borrow_mut(), Option::as_mut).map_err(|_| closed())
    }
}

#[napi]
impl SharedProducer {
    /// Writes a record; `false` if there is no room, also not within `spin` microseconds. With `arm` the
    /// next room that is made then rings the bell of the environment.
    #[napi(catch_unwind)]
    pub fn write(&self, bytes: BufferSlice, spin: u32, arm: bool) -> Result<bool> {
        self.state()?.write(&bytes, spin, arm)
    }

    /// The same with a text, as UTF-8.
    #[napi(catch_unwind)]
    pub fn write_text(&self, env: &Env, text: JsString, spin: u32) -> Result<bool> {
        let mut state = self.state()?;
        let mut utf8 = std::mem::take(&mut state.text);
        utf8.clear();
        let units = text.utf16_len().map_err(refused)?;
        append_utf8(env, &text, units, &mut utf8).map_err(refused)?;
        let written = state.write(&utf8, spin, false);
        // Kept for the next text, unless it was an uncommonly long one.
        if utf8.capacity() <= KEPT {
            state.text = utf8;
        }
        written
    }

    /// Writes a record, blocking the thread for so many milliseconds if there is no room.
    #[napi(catch_unwind)]
    pub fn write_sync(&self, bytes: BufferSlice, spin: u32, milliseconds: f64) -> Result<bool> {
        let State { end, .. } = &mut *self.state()?;
        taken(end.write(&bytes, patience(spin, milliseconds)))
    }

    /// Writes records that stand one behind the other in `bytes`; `sizes` are 32-bit numbers, of which
    /// there are `count`. Answers how many had room. Nobody sees them before `publish`.
    #[napi(catch_unwind)]
    pub fn stage(&self, bytes: BufferSlice, sizes: BufferSlice, count: u32) -> Result<u32> {
        let State { end, .. } = &mut *self.state()?;
        let mut rest: &[u8] = &bytes;
        let mut staged = 0;
        for size in sizes.chunks_exact(4).take(count as usize) {
            let size = size.try_into().map_or(0, u32::from_le_bytes) as usize;
            let Some((record, behind)) = rest.split_at_checked(size) else {
                return Err(failure("ERR_RSIPC_SYSTEM", "a record outside of its bytes"));
            };
            match end.reserve(size) {
                Ok(mut slot) => {
                    slot.write(0, record);
                    slot.stage();
                }
                Err(WriteError::Full) => break,
                Err(error) if staged == 0 => return Err(failed(error)),
                Err(_) => break,
            }
            rest = behind;
            staged += 1;
        }
        Ok(staged)
    }

    /// Shows consumers what was staged.
    #[napi(catch_unwind)]
    pub fn publish(&self) -> Result<()> {
        self.state()?.end.publish();
        Ok(())
    }

    /// Room for a record: an ArrayBuffer over it, `false` if there is none, `true` if there is and the
    /// record has to be filled elsewhere and written.
    #[napi(catch_unwind)]
    pub fn reserve<'a>(&self, env: &'a Env, len: u32) -> Result<Either<bool, Object<'a>>> {
        let State {
            end, ring, open, ..
        } = &mut *self.state()?;
        let len = len as usize;
        if ring.object.flavor() == Flavor::Mpsc {
            // What one producer has reserved holds up the records of all others.
            return end.fits(len).map(Either::A).map_err(failed);
        }
        // The only producer finds the same place again: nothing is kept by dropping the slot.
        let offset = match unless_full(end.reserve(len).map(|slot| slot.offset()))? {
            Some(offset) => offset,
            None => return Ok(Either::A(false)),
        };
        match ring.memory.lend(env, offset, len).map_err(refused)? {
            Some(buffer) => {
                *open = Some(offset);
                Ok(Either::B(buffer))
            }
            None => Ok(Either::A(true)),
        }
    }

    /// Makes `len` bytes of the record in place visible; its ArrayBuffer is empty from then on.
    #[napi(catch_unwind)]
    pub fn commit(&self, buffer: Object<'_>, len: u32) -> Result<bool> {
        let State {
            end, ring, open, ..
        } = &mut *self.state()?;
        let Some(offset) = open.take() else {
            return Ok(false);
        };
        ring.memory.take_back(offset, &buffer).map_err(refused)?;
        let len = len as usize;
        let slot = match end.reserve(len) {
            Ok(slot) => slot,
            Err(error) => return taken(Err(error)),
        };
        if slot.offset() == offset {
            slot.commit();
            return Ok(true);
        }
        drop(slot);
        // A shorter record may fit before the end of the ring, where the longer one did not.
        let mut bytes = vec![0; len];
        end.object().region().read_racing(offset, &mut bytes);
        taken(end.try_write(&bytes))
    }

    /// Gives the room of the record in place back; its ArrayBuffer is empty from then on.
    #[napi(catch_unwind)]
    pub fn abandon(&self, buffer: Object<'_>) -> Result<()> {
        let State { ring, open, .. } = &mut *self.state()?;
        match open.take() {
            Some(offset) => ring.memory.take_back(offset, &buffer).map_err(refused),
            None => Ok(()),
        }
    }

    /// Has nobody ring any more for what was armed.
    #[napi(catch_unwind)]
    pub fn disarm(&self) -> Result<()> {
        let state = self.state()?;
        state.end.object().disarm(Doorbell::Space, state.end.slot());
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
