//! ArrayBuffers over a mapping: memory that JavaScript sees where it lies.
//!
//! Each holds a clone of the mapping, which is given back when V8 has done with the memory: after it
//! was detached or collected, or when its environment ended. So the memory under a view is never
//! gone, whatever is closed first.
//!
//! V8 ends the process when two ArrayBuffers begin at one address. [`Lendable`] lends no stretch of
//! its mapping that begins where one that is out begins, and every attachment has a mapping of its
//! own. [`Lending`] does the same for the Buffers of messages, which come and go by the thousand.

#![allow(unsafe_code, reason = "Node-API is a C interface")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::hash::{BuildHasherDefault, Hasher};
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use napi::bindgen_prelude::{JsValue, Object};
use napi::{Env, Error, Result, Status, sys};
use rsipc_core::slab::{Received, Stretch};
use rsipc_ring::{Memory, Region};
use rsipc_sys::shm::{Mapping, Pages, Private};

/// A mapping of which stretches can be lent to JavaScript.
pub(crate) struct Lendable<M: Memory + Clone + 'static = Mapping> {
    mapping: M,
    /// Where the stretches that are out begin.
    out: RefCell<Vec<usize>>,
}

impl<M: Memory + Clone + 'static> Lendable<M> {
    pub(crate) fn new(mapping: M) -> Lendable<M> {
        Lendable {
            mapping,
            out: RefCell::new(Vec::new()),
        }
    }

    pub(crate) fn mapping(&self) -> &M {
        &self.mapping
    }

    /// An ArrayBuffer over `len` bytes at `offset`. `None` where the runtime has none over memory that
    /// is not its own, where one begins at this address already, and of no bytes.
    pub(crate) fn lend<'a>(
        &self,
        env: &'a Env,
        offset: usize,
        len: usize,
    ) -> Result<Option<Object<'a>>> {
        let end = offset.checked_add(len);
        if end.is_none_or(|end| end > self.mapping.size()) {
            return Err(Error::from_reason("a stretch outside of its mapping"));
        }
        if len == 0 || self.out.borrow().contains(&offset) || forbidden() {
            return Ok(None);
        }
        // SAFETY: `offset` is within the mapping, as was just checked.
        let start = unsafe { self.mapping.base().add(offset) };
        // SAFETY: the mapping has these bytes, as was checked, and the clone keeps it.
        let lent = unsafe { array_buffer(env, start, len, self.mapping.clone()) }?;
        if lent.is_some() {
            self.out.borrow_mut().push(offset);
        }
        Ok(lent)
    }

    /// Takes the stretch at `offset` back: every view of it is empty from now on.
    pub(crate) fn take_back(&self, offset: usize, buffer: &Object<'_>) -> Result<()> {
        let value = buffer.value();
        let (mut data, mut len) = (ptr::null_mut(), 0);
        // SAFETY: a live value of its environment; both places are locals.
        let status =
            unsafe { sys::napi_get_arraybuffer_info(value.env, value.value, &mut data, &mut len) };
        let start = self.mapping.base().as_ptr().wrapping_add(offset);
        if status != sys::Status::napi_ok || data != start.cast() {
            return Err(Error::from_reason("not the ArrayBuffer that was lent"));
        }
        // SAFETY: an ArrayBuffer, as the call above found.
        let status = unsafe { sys::napi_detach_arraybuffer(value.env, value.value) };
        if status != sys::Status::napi_ok {
            return Err(failed(status));
        }
        self.out.borrow_mut().retain(|start| *start != offset);
        Ok(())
    }
}

/// An ArrayBuffer over memory that lies outside of V8. It drops `keeper` when it has done with it, or now
/// where the runtime has no such ArrayBuffers: `None`.
///
/// # Safety
///
/// `keeper` keeps `len` bytes at `start` readable and writable.
unsafe fn array_buffer<'a, K: 'static>(
    env: &'a Env,
    start: NonNull<u8>,
    len: usize,
    keeper: K,
) -> Result<Option<Object<'a>>> {
    let hint = Box::into_raw(Box::new(keeper));
    let mut value = ptr::null_mut();
    // SAFETY: the bytes stay readable and writable until `done` drops the keeper behind `hint`.
    let status = unsafe {
        sys::napi_create_external_arraybuffer(
            env.raw(),
            start.as_ptr().cast(),
            len,
            Some(done::<K>),
            hint.cast(),
            &mut value,
        )
    };
    // SAFETY: the hint of that very call.
    unsafe { made(env, status, value, hint) }
}

/// The same with the Buffer over all of it, which costs nothing more: Node makes one in any case.
///
/// # Safety
///
/// As for `array_buffer`.
unsafe fn buffer<'a, K: 'static>(
    env: &'a Env,
    start: NonNull<u8>,
    len: usize,
    keeper: K,
) -> Result<Option<Object<'a>>> {
    let hint = Box::into_raw(Box::new(keeper));
    let mut value = ptr::null_mut();
    // SAFETY: the bytes stay readable and writable until `done` drops the keeper behind `hint`.
    let status = unsafe {
        sys::napi_create_external_buffer(
            env.raw(),
            len,
            start.as_ptr().cast(),
            Some(done::<K>),
            hint.cast(),
            &mut value,
        )
    };
    // SAFETY: the hint of that very call.
    unsafe { made(env, status, value, hint) }
}

/// What a call has answered that makes a value over memory outside of V8.
///
/// # Safety
///
/// `hint` is the box that was given to it, and `value` is a value if it says so.
unsafe fn made<K>(
    env: &Env,
    status: sys::napi_status,
    value: sys::napi_value,
    hint: *mut K,
) -> Result<Option<Object<'_>>> {
    if status == sys::Status::napi_ok {
        return Ok(Some(Object::from_raw(env.raw(), value)));
    }
    // SAFETY: a call that fails has not taken the hint, and nobody else has it.
    drop(unsafe { Box::from_raw(hint) });
    if status == sys::Status::napi_no_external_buffers_allowed {
        return Ok(None);
    }
    Err(failed(status))
}

/// V8 has done with the memory.
unsafe extern "C" fn done<K>(_env: sys::napi_env, _data: *mut c_void, hint: *mut c_void) {
    // SAFETY: the box made in `array_buffer`; Node-API calls this once.
    drop(unsafe { Box::from_raw(hint.cast::<K>()) });
}

/// What ends, when it is dropped, the use of memory that was lent.
#[expect(dead_code, reason = "held to be dropped")]
enum Held {
    Received(Kept),
    Block(Block),
    Stretch(Arc<Stretch>),
}

/// The Buffers of messages that one environment has been lent.
#[derive(Default)]
pub(crate) struct Lending {
    out: Mutex<Out>,
}

#[derive(Default)]
struct Out {
    /// By where they begin: the number of the lending, and who holds the memory for it.
    lent: HashMap<usize, (u64, Held), BuildHasherDefault<Address>>,
    number: u64,
}

/// A hash of an address that nobody chooses: what differs in the middle of it has to differ in all of it.
#[derive(Default)]
struct Address(u64);

impl Hasher for Address {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }

    fn write_usize(&mut self, address: usize) {
        let mixed = (self.0 ^ address as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

/// What an ArrayBuffer holds until V8 has done with it.
struct Lent<M> {
    lending: Arc<Lending>,
    start: usize,
    number: u64,
    /// Keeps the memory where it is.
    _memory: M,
}

impl<M> Drop for Lent<M> {
    fn drop(&mut self) {
        let mut out = self.lending.out();
        let ours = out
            .lent
            .get(&self.start)
            .is_some_and(|(number, _)| *number == self.number);
        let held = if ours {
            out.lent.remove(&self.start)
        } else {
            None
        };
        drop(out);
        drop(held);
    }
}

impl Lending {
    fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A Buffer over what was received and is [kept](Received::keep), where it lies; it is given back
    /// with it. `None` where there can be none.
    pub(crate) fn view<'a>(
        self: &Arc<Self>,
        env: &'a Env,
        received: &Received,
    ) -> Result<Option<Object<'a>>> {
        let memory: Arc<Region<Pages>> = Arc::clone(received.memory());
        let len = received.len();
        let start = memory.pointer(received.offset(), len);
        let kept = received.clone();
        // SAFETY: `pointer` has checked that the region has these bytes, and it is what keeps them.
        unsafe { self.lend(env, start, len, memory, || Held::Received(Kept(kept))) }
    }

    /// A Buffer over the first `len` bytes of a block, which goes back to its shelf with it.
    pub(crate) fn block<'a>(
        self: &Arc<Self>,
        env: &'a Env,
        block: Block,
        len: usize,
    ) -> Result<Option<Object<'a>>> {
        let memory = block.memory.clone();
        let len = len.min(memory.size());
        // SAFETY: the memory has these bytes, and is kept by its clone.
        unsafe { self.lend(env, memory.base(), len, memory, || Held::Block(block)) }
    }

    /// A Buffer over a stretch of a pool.
    pub(crate) fn stretch<'a>(
        self: &Arc<Self>,
        env: &'a Env,
        pages: Pages,
        stretch: Stretch,
    ) -> Result<Option<Object<'a>>> {
        let (offset, len) = (stretch.offset(), stretch.len());
        if offset > pages.size() || len > pages.size() - offset {
            return Err(Error::from_reason("a stretch of another pool"));
        }
        // SAFETY: within the memory, as was just checked.
        let start = unsafe { pages.base().add(offset) };
        // SAFETY: the bytes are there as long as `pages`.
        unsafe { self.lend(env, start, len, pages, || Held::Stretch(Arc::new(stretch))) }
    }

    /// # Safety
    ///
    /// `memory` keeps `len` bytes at `start` readable and writable.
    unsafe fn lend<'a>(
        self: &Arc<Self>,
        env: &'a Env,
        start: NonNull<u8>,
        len: usize,
        memory: impl Send + 'static,
        held: impl FnOnce() -> Held,
    ) -> Result<Option<Object<'a>>> {
        let begin = start.as_ptr() as usize;
        if len == 0 || forbidden() {
            return Ok(None);
        }
        let number = {
            let mut out = self.out();
            if out.lent.contains_key(&begin) {
                return Ok(None);
            }
            out.number += 1;
            out.number
        };
        let lent = Lent {
            lending: Arc::clone(self),
            start: begin,
            number,
            _memory: memory,
        };
        // SAFETY: as the caller promises, and what keeps the bytes is in `lent`.
        let lent = unsafe { buffer(env, start, len, lent) }?;
        if lent.is_some() {
            self.out().lent.insert(begin, (number, held()));
        }
        Ok(lent)
    }

    /// Ends the use of an ArrayBuffer that was lent: it is empty from now on. False if it was not, or no
    /// more.
    pub(crate) fn release(&self, buffer: &Object<'_>) -> Result<bool> {
        let Some(begin) = begin(buffer) else {
            return Ok(false);
        };
        if !self.out().lent.contains_key(&begin) {
            return Ok(false);
        }
        let value = buffer.value();
        // SAFETY: an ArrayBuffer, as `begin` found.
        let status = unsafe { sys::napi_detach_arraybuffer(value.env, value.value) };
        if status != sys::Status::napi_ok {
            return Err(failed(status));
        }
        let held = self.out().lent.remove(&begin);
        drop(held);
        Ok(true)
    }

    /// The stretch of a pool that an ArrayBuffer lies in.
    pub(crate) fn find_stretch(&self, buffer: &Object<'_>) -> Option<Arc<Stretch>> {
        let begin = begin(buffer)?;
        let out = self.out();
        match out.lent.get(&begin)? {
            (_, Held::Stretch(stretch)) => Some(Arc::clone(stretch)),
            _ => None,
        }
    }
}

/// Where an ArrayBuffer begins; nothing for one without bytes, and for all that is none.
fn begin(buffer: &Object<'_>) -> Option<usize> {
    let value = buffer.value();
    let (mut data, mut len) = (ptr::null_mut(), 0);
    // SAFETY: a live value of its environment; both places are locals.
    let status =
        unsafe { sys::napi_get_arraybuffer_info(value.env, value.value, &mut data, &mut len) };
    (status == sys::Status::napi_ok && len > 0).then_some(data as usize)
}

/// What was received and is not copied. Goes back to its sender when this is dropped.
struct Kept(Received);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

/// Memory for copies of what was received. Fresh memory costs more than the copy that goes into it, so
/// what V8 has done with is used again.
#[derive(Default)]
pub(crate) struct Shelf {
    free: Mutex<Shelved>,
}

#[derive(Default)]
struct Shelved {
    /// By size.
    blocks: HashMap<usize, Vec<Private>>,
    bytes: usize,
}

/// Memory of one copy.
pub(crate) struct Block {
    memory: Private,
    shelf: Arc<Shelf>,
}

impl Shelf {
    /// The largest block, and how much is kept while copies are made: V8 looks after 32 MiB what of them is
    /// garbage, and what it has done with comes back some time later, all at once.
    const LARGEST: usize = 8 * 1024 * 1024;
    const KEPT: usize = 96 * 1024 * 1024;
    const GRAIN: usize = 16 * 1024;

    /// A block that holds a copy of what was received; none of what is larger than blocks are.
    pub(crate) fn copy(self: &Arc<Self>, received: &Received) -> Option<Block> {
        let size = received.len().next_multiple_of(Self::GRAIN);
        if size > Self::LARGEST {
            return None;
        }
        let memory = {
            let mut free = self.free();
            let found = free.blocks.get_mut(&size).and_then(Vec::pop);
            free.bytes -= found.as_ref().map_or(0, Private::size);
            found
        };
        let memory = match memory {
            Some(memory) => memory,
            None => Private::new(size as u64).ok()?,
        };
        // SAFETY: nobody else has this memory: it was not lent before, or V8 has done with it.
        let out = unsafe { std::slice::from_raw_parts_mut(memory.base().as_ptr(), received.len()) };
        received.copy_to(out);
        Some(Block {
            memory,
            shelf: Arc::clone(self),
        })
    }

    /// Gives the memory to the system that nobody uses.
    pub(crate) fn clear(&self) {
        *self.free() = Shelved::default();
    }

    fn free(&self) -> MutexGuard<'_, Shelved> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let mut free = self.shelf.free();
        let size = self.memory.size();
        if free.bytes + size <= Shelf::KEPT {
            free.bytes += size;
            free.blocks
                .entry(size)
                .or_default()
                .push(self.memory.clone());
        }
    }
}

/// For tests of what happens where the runtime refuses, as Electron does.
fn forbidden() -> bool {
    static FORBIDDEN: OnceLock<bool> = OnceLock::new();
    *FORBIDDEN.get_or_init(|| std::env::var_os("RSIPC_NO_EXTERNAL_BUFFERS").is_some())
}

fn failed(status: sys::napi_status) -> Error {
    Error::new(
        Status::from(status),
        "the runtime refuses an ArrayBuffer over shared memory",
    )
}
