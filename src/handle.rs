//! Descriptors that JavaScript holds as numbers.

use std::os::fd::{AsFd, IntoRawFd};

use napi::bindgen_prelude::Result;
use napi_derive::napi;
use rsipc_sys::fd;

/// What the open descriptor `number` is: `tcp`, `udp`, `pipe`, `file`, …
#[napi(catch_unwind)]
pub fn fd_kind(number: i32) -> Result<String> {
    let copy = fd::duplicate_raw(number)?;
    Ok(fd::kind(copy.as_fd()).name().into())
}

/// A duplicate of `number`, close-on-exec.
#[napi(catch_unwind)]
pub fn duplicate_fd(number: i32) -> Result<i32> {
    Ok(fd::duplicate_raw(number)?.into_raw_fd())
}

/// Closes the descriptor `number`, which must be the caller's own.
#[napi(catch_unwind)]
pub fn close_fd(number: i32) -> Result<()> {
    drop(fd::adopt(number)?);
    Ok(())
}

/// A fresh, unconnected TCP (`tcp`) or UNIX stream (`pipe`) socket.
#[napi(catch_unwind)]
pub fn new_socket(kind: String) -> Result<i32> {
    Ok(rsipc_sys::socket::unconnected(kind == "tcp")?.into_raw_fd())
}

/// Ends this process when the process `parent` does.
#[napi(catch_unwind)]
pub fn die_with(parent: u32) -> Result<()> {
    Ok(rsipc_sys::process::die_with(parent)?)
}
