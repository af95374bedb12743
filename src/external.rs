//! ArrayBuffers over a mapping: memory that JavaScript sees where it lies.
//!
//! Each holds a clone of the mapping, which is given back when V8 has done with the memory: after it
//! was detached or collected, or when its environment ended. So the memory under a view is never
//! gone, whatever is closed first.
//!
//! V8 ends the process when two ArrayBuffers begin at one address. [`Lendable`] lends no stretch of
//! its mapping that begins where one that is out begins, and every attachment has a mapping of its
//! own.

#![allow(unsafe_code, reason = "Node-API is a C interface")]

use std::cell::RefCell;
use std::ffi::c_void;
use std::ptr;
use std::sync::OnceLock;

use napi::bindgen_prelude::{JsValue, Object};
use napi::{Env, Error, Result, Status, sys};
use rsipc_ring::Memory;
use rsipc_sys::shm::Mapping;

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
        let hint = Box::into_raw(Box::new(self.mapping.clone()));
        let mut value = ptr::null_mut();
        // SAFETY: the bytes stay readable and writable until `done` drops the clone behind `hint`.
        let status = unsafe {
            sys::napi_create_external_arraybuffer(
                env.raw(),
                start.as_ptr().cast(),
                len,
                Some(done::<M>),
                hint.cast(),
                &mut value,
            )
        };
        if status != sys::Status::napi_ok {
            // SAFETY: a call that fails has not taken the hint, and nobody else has it.
            drop(unsafe { Box::from_raw(hint) });
            if status == sys::Status::napi_no_external_buffers_allowed {
                return Ok(None);
            }
            return Err(failed(status));
        }
        self.out.borrow_mut().push(offset);
        Ok(Some(Object::from_raw(env.raw(), value)))
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

/// V8 has done with the memory.
unsafe extern "C" fn done<M>(_env: sys::napi_env, _data: *mut c_void, hint: *mut c_void) {
    // SAFETY: the box made in `lend`; Node-API calls this once.
    drop(unsafe { Box::from_raw(hint.cast::<M>()) });
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
