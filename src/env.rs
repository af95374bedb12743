//! Raw calls into an environment: text out of V8 and into it without a detour, the bytes of Buffers, and
//! code that runs when the environment goes away.

#![allow(unsafe_code, reason = "Node-API is a C interface")]

#[cfg(unix)]
use std::{
    marker::PhantomData,
    ptr::{self, NonNull},
};

use napi::bindgen_prelude::JsValue;
#[cfg(unix)]
use napi::bindgen_prelude::Object;
use napi::{Env, Error, JsString, Result, Status, sys};

#[cfg(unix)]
use crate::poll::Wake;

/// Strings up to this many UTF-16 units are copied with one call, into three bytes a unit.
const ONE_CALL: usize = 16 * 1024;

/// Appends the UTF-8 bytes of `text`, which is `units` UTF-16 units long, to `out`.
///
/// Lone surrogates become U+FFFD; `JSON.stringify` writes none.
pub(crate) fn append_utf8(
    env: &Env,
    text: &JsString<'_>,
    units: usize,
    out: &mut Vec<u8>,
) -> Result<()> {
    let room = if units <= ONE_CALL {
        units * 3
    } else {
        let mut bytes = 0;
        // SAFETY: `text` is a live value of `env`; a null buffer asks for the length alone.
        let status = unsafe {
            sys::napi_get_value_string_utf8(
                env.raw(),
                text.raw(),
                std::ptr::null_mut(),
                0,
                &mut bytes,
            )
        };
        check(status)?;
        bytes
    };
    // One more byte than the text: Node-API ends what it writes with a NUL.
    out.reserve(room + 1);
    let start = out.len();
    let mut written = 0;
    // SAFETY: `reserve` made `room + 1` bytes behind `start` writable, the size passed.
    let status = unsafe {
        sys::napi_get_value_string_utf8(
            env.raw(),
            text.raw(),
            out.as_mut_ptr().add(start).cast(),
            room + 1,
            &mut written,
        )
    };
    check(status)?;
    // SAFETY: Node-API initialised `written <= room` bytes behind `start`.
    unsafe { out.set_len(start + written) };
    Ok(())
}

/// Appends the UTF-16 units of `text`, of which there are `units`, to `out`.
#[cfg(unix)]
pub(crate) fn append_utf16(
    env: &Env,
    text: &JsString<'_>,
    units: usize,
    out: &mut Vec<u16>,
) -> Result<()> {
    // One more than the text: Node-API ends what it writes with a NUL.
    out.reserve(units + 1);
    let start = out.len();
    let mut written = 0;
    // SAFETY: `reserve` made `units + 1` units behind `start` writable, the size passed.
    let status = unsafe {
        sys::napi_get_value_string_utf16(
            env.raw(),
            text.raw(),
            out.as_mut_ptr().add(start),
            units + 1,
            &mut written,
        )
    };
    check(status)?;
    // SAFETY: Node-API initialised `written <= units` units behind `start`.
    unsafe { out.set_len(start + written) };
    Ok(())
}

/// The bytes of a Buffer that a call was given, as long as that call.
///
/// For calls that every message makes: an argument that is a `BufferSlice` is entered in a table of all
/// threads, and taken out again, which takes longer than many of the calls.
#[cfg(unix)]
pub(crate) struct Bytes<'a> {
    start: NonNull<u8>,
    len: usize,
    call: PhantomData<&'a [u8]>,
}

#[cfg(unix)]
impl<'a> Bytes<'a> {
    pub(crate) fn of(buffer: &'a Object<'_>) -> Result<Bytes<'a>> {
        let value = buffer.value();
        let mut is = false;
        // SAFETY: a live value of its environment; the place is a local.
        check(unsafe { sys::napi_is_buffer(value.env, value.value, &mut is) })?;
        if !is {
            return Err(Error::new(Status::InvalidArg, "not a Buffer"));
        }
        let (mut data, mut len) = (ptr::null_mut(), 0);
        // SAFETY: a Buffer, as was just found; both places are locals.
        let status =
            unsafe { sys::napi_get_buffer_info(value.env, value.value, &mut data, &mut len) };
        check(status)?;
        Ok(match NonNull::new(data.cast()) {
            Some(start) => Bytes {
                start,
                len,
                call: PhantomData,
            },
            None => Bytes {
                start: NonNull::dangling(),
                len: 0,
                call: PhantomData,
            },
        })
    }

    /// All of them.
    pub(crate) fn read(&self) -> &[u8] {
        // SAFETY: the Buffer keeps its memory, and no JavaScript runs during the call. `write` needs `self` for
        // itself; of another Buffer over the same memory nothing is borrowed while it is written.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// Has `fill` write them.
    pub(crate) fn write<T>(&mut self, fill: impl FnOnce(&mut [u8]) -> T) -> T {
        // SAFETY: as for `read`.
        fill(unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) })
    }
}

/// Whether a threadsafe function keeps the environment's loop alive. To be called on its thread.
#[cfg(unix)]
pub(crate) fn reference(env: &Env, wake: &Wake, on: bool) {
    // SAFETY: the threadsafe function is alive as long as `wake`, and `env` shows that this is a
    // JavaScript thread.
    unsafe {
        if on {
            sys::napi_ref_threadsafe_function(env.raw(), wake.raw());
        } else {
            sys::napi_unref_threadsafe_function(env.raw(), wake.raw());
        }
    }
}

/// Text for V8: plain ASCII needs no decoding.
pub(crate) fn text<'a>(env: &'a Env, bytes: &[u8]) -> Result<JsString<'a>> {
    if bytes.is_ascii() {
        env.create_string_latin1(bytes)
    } else {
        env.create_string(String::from_utf8_lossy(bytes))
    }
}

fn check(status: sys::napi_status) -> Result<()> {
    match Status::from(status) {
        Status::Ok => Ok(()),
        other => Err(Error::new(other, "cannot read the value")),
    }
}
