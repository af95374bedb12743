//! A thread in place of libuv's poll handle.

use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use napi::bindgen_prelude::Function;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Result, Status};
use rsipc_sys::wait::Interest;

use super::{DISCONNECT, READABLE, WRITABLE};
use crate::env::reference;

pub(crate) type Wake = ThreadsafeFunction<u32, (), u32, Status, false, true, 0>;

/// A thread that waits for the descriptor and calls JavaScript. One event at a time: it waits
/// again when JavaScript has told it what to watch.
pub(crate) struct ThreadPoll {
    shared: Arc<ThreadState>,
    wake: Arc<Wake>,
    pub(super) referenced: bool,
}

struct ThreadState {
    watching: AtomicU32,
    ended: AtomicBool,
    /// Rings when `watching` or `ended` has changed.
    bell: rsipc_sys::bell::Bell,
}

impl ThreadPoll {
    pub(super) fn new(
        env: &Env,
        fd: RawFd,
        callback: &Function<'_, u32, ()>,
    ) -> Result<ThreadPoll> {
        let wake: Arc<Wake> = Arc::new(
            callback
                .build_threadsafe_function()
                .weak::<true>()
                .build_callback(|context| Ok(context.value))?,
        );
        let fd = rsipc_sys::fd::duplicate_raw(fd)?;
        let shared = Arc::new(ThreadState {
            watching: AtomicU32::new(0),
            ended: AtomicBool::new(false),
            bell: rsipc_sys::bell::Bell::new()?,
        });
        let (state, caller) = (shared.clone(), wake.clone());
        std::thread::Builder::new()
            .name("rsipc-poll".into())
            .spawn(move || state.run(&fd, &caller))?;
        let mut poll = ThreadPoll {
            shared,
            wake,
            referenced: false,
        };
        poll.set_ref(env, true);
        Ok(poll)
    }

    pub(super) fn watch(&mut self, events: u32) {
        self.shared.watching.store(events, Ordering::Release);
        self.shared.bell.ring();
    }

    pub(super) fn set_ref(&mut self, env: &Env, on: bool) {
        if self.referenced != on {
            self.referenced = on;
            reference(env, &self.wake, on);
        }
    }

    pub(super) fn close(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        self.shared.bell.ring();
    }
}

impl Drop for ThreadPoll {
    fn drop(&mut self) {
        self.close();
    }
}

impl ThreadState {
    fn run(&self, fd: &OwnedFd, wake: &Wake) {
        while !self.ended.load(Ordering::Acquire) {
            let wanted = self.watching.load(Ordering::Acquire);
            let interest = (wanted != 0).then_some(Interest {
                readable: wanted & READABLE != 0,
                writable: wanted & WRITABLE != 0,
            });
            let Ok(found) = self.bell.wait_or_ready(fd.as_fd(), interest) else {
                return;
            };
            // Who waits for the end alone does not read; an end counts as readable.
            let readable = match wanted & (READABLE | DISCONNECT) {
                DISCONNECT => DISCONNECT,
                _ => READABLE,
            };
            let events =
                (u32::from(found.readable) * readable) | (u32::from(found.writable) * WRITABLE);
            if events != 0 && !self.ended.load(Ordering::Acquire) {
                // Not again until JavaScript has looked: `watch` names the next events.
                let _ =
                    self.watching
                        .compare_exchange(wanted, 0, Ordering::AcqRel, Ordering::Acquire);
                wake.call(events, ThreadsafeFunctionCallMode::NonBlocking);
            }
        }
    }
}
