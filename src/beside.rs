//! Bytes that lie beside messages of a channel or a connection: large Buffers, in memory shared with the peer.
//!
//! JavaScript writes a message with a place in it for each of them, 20 bytes that say where it lies; what
//! they mean is the core's business (`crates/core/src/slab.rs`).

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::{BufferSlice, Error, Object, Result};
use napi_derive::napi;
use rsipc_core::slab::{Place, Pool, Received, Stretch};

use crate::channel::Channel;
use crate::env::Bytes;
use crate::external::{Lending, Shelf};

/// Bytes that Buffers which are made to be sent may have together, in each environment.
const POOL: usize = 64 * 1024 * 1024;

thread_local! {
    /// The Buffers that this environment has been lent.
    static LENDING: Arc<Lending> = Arc::default();
    /// Memory for copies.
    static SHELF: Arc<Shelf> = Arc::default();
    /// Where Buffers are made that are to be sent; made with the first of them.
    static MADE: RefCell<Option<Rc<Pool>>> = const { RefCell::new(None) };
}

pub(crate) fn pool() -> Option<Rc<Pool>> {
    MADE.with_borrow_mut(|made| {
        if made.is_none() {
            *made = Pool::new(POOL).ok().map(Rc::new);
        }
        made.clone()
    })
}

/// A Buffer of `length` bytes that can be sent without a copy; its content is whatever was there. `null`
/// where there is no room, or the runtime has no ArrayBuffer over memory that is not its own.
#[napi(catch_unwind, ts_return_type = "Buffer | null")]
pub fn allocate(env: &Env, length: f64) -> Result<Option<Object<'_>>> {
    let Some(pool) = pool() else {
        return Ok(None);
    };
    let Some(stretch) = pool.take(length as usize) else {
        return Ok(None);
    };
    LENDING.with(|lending| lending.stretch(env, pool.pages(), stretch))
}

/// Ends the use of an ArrayBuffer over memory of rsipc, which is empty from then on. False if it is not one,
/// or no more.
#[napi(catch_unwind)]
pub fn release_memory(buffer: Object<'_>) -> Result<bool> {
    LENDING.with(|lending| lending.release(&buffer))
}

/// Gives the memory to the system that was kept for copies and that nobody uses.
#[napi(catch_unwind)]
pub fn clear_shelf() {
    SHELF.with(|shelf| shelf.clear());
}

/// A message says that bytes are where they cannot be.
fn nowhere() -> Error {
    Error::from_reason("no bytes were sent there")
}

#[napi]
impl Channel {
    /// Makes memory of `capacity` bytes for large Buffers that are sent from here, and sends it in a message
    /// with this envelope. Answers like `send`.
    #[napi(catch_unwind)]
    pub fn offer_slab(&self, envelope: BufferSlice<'_>, capacity: f64) -> Result<i32> {
        self.state()
            .send(|core| core.offer_slab(&envelope, capacity as usize))
    }

    /// Sends the memory in which `allocate` makes Buffers. Answers like `send`.
    #[napi(catch_unwind)]
    pub fn offer_pool(&self, envelope: BufferSlice<'_>) -> Result<i32> {
        let pool = pool().ok_or_else(|| Error::from_reason("there is no memory"))?;
        self.state().send(|core| core.offer_pool(&envelope, &pool))
    }

    /// Takes memory that the peer has offered under this number. The descriptor stays the caller's.
    #[napi(catch_unwind)]
    pub fn accept_slab(&self, slab: u32, fd: i32) -> Result<()> {
        let file = rsipc_sys::fd::duplicate_raw(fd)?;
        Ok(self.state().core().accept_slab(slab, file)?)
    }

    /// The peer has taken the memory that was offered under this number.
    #[napi(catch_unwind)]
    pub fn slab_ready(&self, slab: u32) {
        self.state().core().slab_ready(slab);
    }

    /// Copies bytes into shared memory for the message that is sent next, and puts into `place` where they
    /// are. False where there is no room.
    #[napi(catch_unwind)]
    pub fn lay(
        &self,
        #[napi(ts_arg_type = "Buffer")] bytes: Object<'_>,
        #[napi(ts_arg_type = "Buffer")] place: Object<'_>,
    ) -> Result<bool> {
        let laid = self.state().core().lay(Bytes::of(&bytes)?.read());
        put(laid, &place)
    }

    /// The same for `length` bytes from `at` on of a Buffer's memory, which are not copied if they are from
    /// `allocate`. False if they are not, and where there is no room.
    #[napi(catch_unwind)]
    pub fn lay_allocated(
        &self,
        memory: Object<'_>,
        at: f64,
        length: f64,
        #[napi(ts_arg_type = "Buffer")] place: Object<'_>,
    ) -> Result<bool> {
        let Some(stretch) = stretch_of(&memory) else {
            return Ok(false);
        };
        let state = self.state();
        let laid = state
            .core()
            .lay_stretch(&stretch, at as usize, length as usize);
        put(laid, &place)
    }

    /// So many that were laid last are not sent after all.
    #[napi(catch_unwind)]
    pub fn take_back(&self, count: u32) {
        self.state().core().take_back(count as usize);
    }

    /// The most bytes that a peer which keeps the rules has lent at once.
    #[napi(catch_unwind)]
    pub fn lent_to_us(&self) -> f64 {
        self.state().core().lent_to_us() as f64
    }

    /// The bytes that a message says are at the place at `at` of `message`: a copy, or with `view` where they
    /// lie. `null` where it has to be a copy by `fetchInto`.
    #[napi(catch_unwind, ts_return_type = "Buffer | null")]
    pub fn fetch<'a>(
        &self,
        env: &'a Env,
        #[napi(ts_arg_type = "Buffer")] message: Object<'_>,
        at: u32,
        view: bool,
    ) -> Result<Option<Object<'a>>> {
        fetch(env, &self.find(&message, at)?, view)
    }

    /// Copies them into a Buffer of their length.
    #[napi(catch_unwind)]
    pub fn fetch_into(
        &self,
        #[napi(ts_arg_type = "Buffer")] message: Object<'_>,
        at: u32,
        #[napi(ts_arg_type = "Buffer")] out: Object<'_>,
    ) -> Result<()> {
        fetch_into(&self.find(&message, at)?, &out)
    }

    fn find(&self, message: &Object<'_>, at: u32) -> Result<Received> {
        find(message, at, |place| self.state().core().find(place))
    }

    /// Some were fetched: wakes a peer that waits for that.
    #[napi(catch_unwind)]
    pub fn fetched(&self) {
        // A peer that cannot be woken is gone, which is found elsewhere.
        let _ = self.state().core().taken();
    }
}

/// The stretch of the pool that an ArrayBuffer of `allocate` lies in.
pub(crate) fn stretch_of(memory: &Object<'_>) -> Option<Arc<Stretch>> {
    LENDING.with(|lending| lending.find_stretch(memory))
}

/// What a message says is at the place at `at`, if `look` finds it there.
pub(crate) fn find(
    message: &Object<'_>,
    at: u32,
    look: impl FnOnce(&Place) -> Option<Received>,
) -> Result<Received> {
    let message = Bytes::of(message)?;
    let place = message.read().get(at as usize..);
    let place = place.and_then(<[u8]>::first_chunk).map(Place::from_bytes);
    place.and_then(|place| look(&place)).ok_or_else(nowhere)
}

/// A Buffer with what was received: a copy, or with `view` where it lies. `None` where it has to be a copy into
/// memory of V8's own.
pub(crate) fn fetch<'a>(
    env: &'a Env,
    received: &Received,
    view: bool,
) -> Result<Option<Object<'a>>> {
    let lending = LENDING.with(Arc::clone);
    // Other views than of single bytes want an address that suits them.
    if view && received.offset().is_multiple_of(8) {
        if !received.keep() {
            return Err(nowhere());
        }
        if let Some(buffer) = lending.view(env, received)? {
            return Ok(Some(buffer));
        }
        received.keep_not();
    }
    let Some(block) = SHELF.with(|shelf| shelf.copy(received)) else {
        return Ok(None);
    };
    match lending.block(env, block, received.len())? {
        Some(_) if !received.done() => Err(nowhere()),
        buffer => Ok(buffer),
    }
}

/// Copies what was received into a Buffer of its length.
pub(crate) fn fetch_into(received: &Received, out: &Object<'_>) -> Result<()> {
    let fits = Bytes::of(out)?.write(|out| {
        let fits = out.len() == received.len();
        if fits {
            received.copy_to(out);
        }
        fits
    });
    if fits { done(received) } else { Err(nowhere()) }
}

/// Has done with what was copied.
pub(crate) fn done(received: &Received) -> Result<()> {
    if received.done() {
        Ok(())
    } else {
        Err(nowhere())
    }
}

pub(crate) fn put(laid: Option<Place>, place: &Object<'_>) -> Result<bool> {
    let Some(laid) = laid else {
        return Ok(false);
    };
    Bytes::of(place)?.write(|place| match place.first_chunk_mut() {
        Some(place) => {
            *place = laid.to_bytes();
            Ok(true)
        }
        None => Ok(false),
    })
}
