//! Descriptors that an environment waits for.
//!
//! In the environment's own libuv loop (`in_loop`): no second thread in between. Node and Electron
//! export libuv's functions. Other runtimes do not, or export ones that only look like them; there a
//! thread waits instead (`thread`) and wakes JavaScript through a threadsafe function.

mod in_loop;
mod thread;

use std::os::fd::RawFd;
use std::time::Instant;

use napi::bindgen_prelude::{Either, Function, JsValue};
use napi::{Env, Error, JsString, Result};
use rsipc_core::spin::Spin;

use in_loop::{LoopPoll, Uv};
use thread::ThreadPoll;
pub(crate) use thread::Wake;

/// libuv's `UV_READABLE`, also what JavaScript is told.
pub(crate) const READABLE: u32 = 1;
/// libuv's `UV_WRITABLE`.
pub(crate) const WRITABLE: u32 = 2;
/// libuv's `UV_DISCONNECT`: the peer has closed its side.
pub(crate) const DISCONNECT: u32 = 4;
/// No bit of libuv's: behind this turn nobody looks for more.
pub(crate) const LAST: u32 = 1 << 16;
/// No bit of libuv's: what was looked for behind the last turn is there. The descriptor was not asked.
pub(crate) const MORE: u32 = 1 << 17;

/// What the loop found in a turn: see `State::turn`.
pub(crate) type Found<'a> = Either<u32, JsString<'a>>;
/// Reads and writes in the loop's callback.
pub(crate) type Turn = Box<dyn for<'a> Fn(&'a Env, u32) -> Result<Found<'a>>>;

/// Looks for more after JavaScript has run; answers whether another turn is due at once.
pub(crate) type Linger = Box<dyn Fn() -> bool>;

/// A descriptor watched for a JavaScript function.
pub(crate) enum Poll {
    /// In the loop itself.
    Loop(LoopPoll),
    /// By a thread, where libuv is out of reach.
    Thread(ThreadPoll),
}

impl Poll {
    /// Watches `fd`, which stays the caller's and must stay open until [`Poll::close`].
    ///
    /// In the loop, `turn` runs first and `found` is called with its answer; a thread, without `libuv`,
    /// can only have `ready` called with the events.
    pub(crate) fn new(
        env: &Env,
        fd: RawFd,
        found: &Function<'_, Found<'static>, ()>,
        turn: (Turn, Linger),
        ready: &Function<'_, u32, ()>,
        libuv: bool,
    ) -> Result<Poll> {
        match Uv::get().filter(|_| libuv) {
            Some(uv) => Ok(Poll::Loop(LoopPoll::new(uv, env, fd, found.raw(), turn)?)),
            None => Ok(Poll::Thread(ThreadPoll::new(env, fd, ready)?)),
        }
    }

    /// Watches `fd` in the loop itself; an error where libuv is out of reach.
    pub(crate) fn in_loop(
        env: &Env,
        fd: RawFd,
        found: &Function<'_, Found<'static>, ()>,
        turn: (Turn, Linger),
    ) -> Result<Poll> {
        match Uv::get() {
            Some(uv) => Ok(Poll::Loop(LoopPoll::new(uv, env, fd, found.raw(), turn)?)),
            None => Err(Error::from_reason("this runtime has no libuv")),
        }
    }

    /// Asks for exactly these events from now on (`READABLE`, `WRITABLE`, `DISCONNECT`).
    pub(crate) fn watch(&mut self, events: u32) -> Result<()> {
        match self {
            Poll::Loop(poll) => poll.watch(events),
            Poll::Thread(poll) => {
                poll.watch(events);
                Ok(())
            }
        }
    }

    /// Whether the process stays alive for this descriptor.
    pub(crate) fn set_ref(&mut self, env: &Env, on: bool) {
        match self {
            Poll::Loop(poll) => poll.set_ref(on),
            Poll::Thread(poll) => poll.set_ref(env, on),
        }
    }

    /// Whether the loop would sleep now, as far as what it knows goes.
    pub(crate) fn would_sleep(&self) -> bool {
        match self {
            Poll::Loop(poll) => poll.would_sleep(),
            Poll::Thread(_) => false,
        }
    }

    /// Whether a descriptor of the loop is ready.
    pub(crate) fn others_wait(&self) -> bool {
        match self {
            Poll::Loop(poll) => poll.others_wait(),
            Poll::Thread(_) => false,
        }
    }

    /// Looks on until a descriptor of the loop is ready, as long as `spin` says: what comes meanwhile finds a
    /// processor that is awake. The loop itself sees what it is.
    pub(crate) fn look_on(&self, spin: &mut Spin, begin: Instant) {
        // What is ready already says nothing of what looking brings.
        if !self.would_sleep() || self.others_wait() {
            return;
        }
        loop {
            for _ in 0..8 {
                std::hint::spin_loop();
            }
            let ready = self.others_wait();
            let elapsed = begin.elapsed();
            if ready || elapsed >= spin.time() {
                spin.note(ready.then_some(elapsed));
                return;
            }
        }
    }

    pub(crate) fn has_ref(&self) -> bool {
        match self {
            Poll::Loop(poll) => poll.has_ref(),
            Poll::Thread(poll) => poll.referenced,
        }
    }

    /// Stops watching. libuv forgets the descriptor before this returns: it may be closed then.
    pub(crate) fn close(&mut self) {
        match self {
            Poll::Loop(poll) => poll.close(),
            Poll::Thread(poll) => poll.close(),
        }
    }
}
