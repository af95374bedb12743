//! What lies beside a connection's messages: see `src/beside.rs`, which does the same for channels.

use std::cell::RefCell;

use napi::bindgen_prelude::{BufferSlice, Error, Object, Result};
use napi::{Env, JsString};
use napi_derive::napi;
use rsipc_core::endpoint::Kind;
use rsipc_core::slab::{Place, Received};

use super::connection::{MessageConnection, State};
use super::crossing::wire;
use crate::beside;
use crate::env::{Bytes, append_utf8, text};

/// From this size on bytes are laid beside a message that has nothing else. A shorter one costs more to be found and
/// given back than the kernel takes for it.
pub(super) const LEAST: usize = 16 * 1024;

/// The same of texts, in UTF-16 units.
pub(super) const LEAST_TEXT: usize = 48 * 1024;

thread_local! {
    /// Where texts are written, or copied to before they are read: the peer may write what lies beside at any time.
    static COPY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}
/// What of that is kept.
const KEPT: usize = 4 * 1024 * 1024;

#[napi]
impl MessageConnection {
    /// Whether large messages may lie in memory shared with the peer: a process of this user.
    #[napi(getter, catch_unwind)]
    pub fn shares_memory(&self) -> bool {
        let same =
            |peer: rsipc_core::endpoint::Peer| peer.uid == rsipc_sys::process::effective_user();
        rsipc_sys::caps::caps().shared_memory
            && self.passes_handles()
            && self.state().peer.is_some_and(same)
    }

    /// Makes memory of `capacity` bytes for large messages that are sent from here, and offers it in a message of this
    /// payload. Answers like `send`.
    #[napi(catch_unwind)]
    pub fn offer_slab(&self, payload: BufferSlice<'_>, capacity: f64) -> Result<f64> {
        let mut state = self.state();
        let connection = state.end.connection().ok_or_else(closed)?;
        connection.offer_slab(&payload, capacity as usize)?;
        state.flush(true)
    }

    /// Offers the memory in which `allocate` makes Buffers. Answers like `send`.
    #[napi(catch_unwind)]
    pub fn offer_pool(&self, payload: BufferSlice<'_>) -> Result<f64> {
        let pool = beside::pool().ok_or_else(|| Error::from_reason("there is no memory"))?;
        let mut state = self.state();
        let connection = state.end.connection().ok_or_else(closed)?;
        connection.offer_pool(&payload, &pool)?;
        state.flush(true)
    }

    /// Takes memory that the peer has offered under this number. The descriptor stays the caller's.
    #[napi(catch_unwind)]
    pub fn accept_slab(&self, slab: u32, fd: i32) -> Result<()> {
        let file = rsipc_sys::fd::duplicate_raw(fd)?;
        let mut state = self.state();
        let connection = state.end.connection().ok_or_else(closed)?;
        Ok(connection.accept_slab(slab, file)?)
    }

    /// The peer has taken the memory that was offered under this number.
    #[napi(catch_unwind)]
    pub fn slab_ready(&self, slab: u32) {
        if let Some(connection) = self.state().end.connection() {
            connection.slab_ready(slab);
        }
    }

    /// Copies bytes into shared memory for the message that is sent next, and puts into `place` where they
    /// are. False where there is no room.
    #[napi(catch_unwind)]
    pub fn lay(
        &self,
        #[napi(ts_arg_type = "Buffer")] bytes: Object<'_>,
        #[napi(ts_arg_type = "Buffer")] place: Object<'_>,
    ) -> Result<bool> {
        let bytes = Bytes::of(&bytes)?;
        let mut state = self.state();
        let laid = state
            .end
            .connection()
            .and_then(|connection| connection.lay(bytes.read()));
        beside::put(laid, &place)
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
        let Some(stretch) = beside::stretch_of(&memory) else {
            return Ok(false);
        };
        let mut state = self.state();
        let laid = state
            .end
            .connection()
            .and_then(|connection| connection.lay_stretch(&stretch, at as usize, length as usize));
        beside::put(laid, &place)
    }

    /// So many that were laid last are not sent after all.
    #[napi(catch_unwind)]
    pub fn take_back(&self, count: u32) {
        if let Some(connection) = self.state().end.connection() {
            connection.take_back(count as usize);
        }
    }

    /// Sends one frame whose payload is `head` and then the bytes that were laid at `place`. Answers like `send`.
    #[napi(catch_unwind)]
    pub fn send_beside(
        &self,
        kind: u32,
        head: BufferSlice<'_>,
        place: BufferSlice<'_>,
    ) -> Result<f64> {
        let place = place.first_chunk().map(Place::from_bytes);
        let mut state = self.state();
        let (Some(place), Some(connection)) = (place, state.end.connection()) else {
            return Ok(-f64::from(libc::EPIPE));
        };
        if connection.send_beside(wire(kind), &head, &place).is_err() {
            return Ok(-f64::from(libc::EMSGSIZE));
        }
        state.flush(true)
    }

    /// The most bytes that a peer which keeps the rules has lent at once.
    #[napi(catch_unwind)]
    pub fn lent_to_us(&self) -> f64 {
        let mut state = self.state();
        let connection = state.end.connection();
        connection.map_or(0.0, |connection| connection.lent_to_us() as f64)
    }

    fn find(&self, message: &Object<'_>, at: u32) -> Result<Received> {
        beside::find(message, at, |place| {
            self.state().end.connection()?.find(place)
        })
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
        beside::fetch(env, &self.find(&message, at)?, view)
    }

    /// Copies them into a Buffer of their length.
    #[napi(catch_unwind)]
    pub fn fetch_into(
        &self,
        #[napi(ts_arg_type = "Buffer")] message: Object<'_>,
        at: u32,
        #[napi(ts_arg_type = "Buffer")] out: Object<'_>,
    ) -> Result<()> {
        beside::fetch_into(&self.find(&message, at)?, &out)
    }

    /// The JSON texts at `place`, each with its line feed; `null` if they are nested too deeply.
    #[napi(catch_unwind)]
    pub fn fetch_text<'a>(
        &self,
        env: &'a Env,
        #[napi(ts_arg_type = "Buffer")] place: Object<'_>,
    ) -> Result<Option<JsString<'a>>> {
        let received = self.find(&place, 0)?;
        let mut state = self.state();
        let connection = state.end.connection().ok_or_else(closed)?;
        with_copy(|copy| {
            copy.resize(received.len(), 0);
            received.copy_to(copy);
            beside::done(&received)?;
            if connection.nests_too_deeply(copy) {
                return Ok(None);
            }
            text(env, copy).map(Some)
        })
    }

    /// Bytes accepted and not written, without those beside.
    #[napi(getter, catch_unwind)]
    pub fn unwritten(&self) -> f64 {
        let mut state = self.state();
        let connection = state.end.connection();
        connection.map_or(0.0, |connection| connection.queued() as f64)
    }

    /// Some were fetched: wakes a peer that waits for that.
    #[napi(catch_unwind)]
    pub fn fetched(&self) -> Result<()> {
        let mut state = self.state();
        if state
            .end
            .connection()
            .is_some_and(|connection| connection.taken())
        {
            // A peer that cannot be woken is gone, which is found elsewhere.
            state.flush(true)?;
        }
        Ok(())
    }
}

impl State {
    /// Sends one frame of texts beside the connection, or within it where there is no room.
    pub(super) fn send_text(
        &mut self,
        env: &Env,
        kind: Kind,
        text: &JsString<'_>,
        units: usize,
        flush: bool,
    ) -> Result<f64> {
        let connection = self.end.connection().ok_or_else(closed)?;
        let sent: Result<_> = with_copy(|copy| {
            append_utf8(env, text, units, copy)?;
            Ok(match connection.lay(copy) {
                Some(place) => connection.send_beside(kind, &[], &place),
                None => connection.send(kind, |out| out.extend_from_slice(copy)),
            })
        });
        if sent?.is_err() {
            return Ok(-f64::from(libc::EMSGSIZE));
        }
        self.flush(flush)
    }
}

fn with_copy<T>(work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    COPY.with_borrow_mut(|copy| {
        copy.clear();
        let done = work(copy);
        if copy.capacity() > KEPT {
            *copy = Vec::new();
        }
        done
    })
}

fn closed() -> Error {
    Error::from_reason("the connection is closed")
}
