//! The process's channel to its parent, as its worker threads reach it.
//!
//! The main thread owns the channel; a thread may send on it directly, because the core channel
//! has a lock and a late writer. What arrives is handed on by the main thread in JavaScript.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use napi::bindgen_prelude::{BufferSlice, Result};
use napi::{Env, JsString};
use napi_derive::napi;
use rsipc_core::channel::{Channel, Sent};
use rsipc_core::runtime::{self, Shared};

use crate::env::append_utf8;

/// The channel, and whether it speaks the `advanced` serialization.
static PARENT: Mutex<(Weak<Shared>, bool)> = Mutex::new((Weak::new(), false));

fn parent() -> MutexGuard<'static, (Weak<Shared>, bool)> {
    PARENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Remembers the main thread's channel for the process's other threads.
pub(crate) fn share(channel: &Arc<Shared>, advanced: bool) {
    *parent() = (Arc::downgrade(channel), advanced);
}

/// Forgets it again, if it is this one.
pub(crate) fn hide(channel: &Arc<Shared>) {
    let mut parent = parent();
    if parent.0.as_ptr() == Arc::as_ptr(channel) {
        parent.0 = Weak::new();
    }
}

/// The sending half of the channel to the parent, for a worker thread.
#[napi]
pub struct ThreadSender {
    shared: Arc<Shared>,
    advanced: bool,
}

#[napi]
impl ThreadSender {
    /// The process's channel, or null when it has none or its main thread has not opened it.
    #[napi(catch_unwind)]
    pub fn find() -> Option<ThreadSender> {
        let parent = parent();
        let shared = parent.0.upgrade()?;
        Some(ThreadSender {
            shared,
            advanced: parent.1,
        })
    }

    /// Whether the channel takes serialized values rather than JSON texts.
    #[napi(getter, catch_unwind)]
    pub fn advanced(&self) -> bool {
        self.advanced
    }

    /// Whether the main thread has neither disconnected nor heard of the end.
    #[napi(getter, catch_unwind)]
    pub fn connected(&self) -> bool {
        parent().0.as_ptr() == Arc::as_ptr(&self.shared)
    }

    /// Sends under the lock. The main loop may be busy or asleep: the late writer sees to the rest.
    fn send_with(&self, send: impl FnOnce(&mut Channel) -> std::io::Result<Sent>) -> i32 {
        let outcome = {
            let mut core = self.shared.lock();
            let outcome = send(&mut core);
            if matches!(outcome, Ok(Sent::Blocked)) {
                core.leave_unattended();
            }
            outcome
        };
        match outcome {
            Ok(Sent::Written) => 0,
            Ok(_) => {
                runtime::watch(&self.shared);
                1
            }
            Err(error) => -crate::state::number(&error),
        }
    }

    /// Sends one JSON text of `units` UTF-16 units; codes as `Channel.send`.
    #[napi(catch_unwind)]
    pub fn send(&self, env: &Env, text: JsString, units: u32) -> Result<i32> {
        let mut failed = Ok(());
        let code = self.send_with(|core| {
            core.send(false, |out| {
                failed = append_utf8(env, &text, units as usize, out)
            })
        });
        failed?;
        Ok(code)
    }

    /// Sends one serialized value.
    #[napi(catch_unwind)]
    pub fn send_bytes(&self, payload: BufferSlice) -> i32 {
        self.send_with(|core| core.send_slice(false, &payload))
    }

    /// Bytes accepted and not written.
    #[napi(getter, catch_unwind)]
    pub fn queued_bytes(&self) -> f64 {
        self.shared.lock().queued_bytes() as f64
    }
}
