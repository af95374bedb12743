//! Descriptors that JavaScript holds as numbers.
//!
//! One that has arrived and that nobody was given yet is kept here as well: a worker thread can be
//! terminated with messages that wait, and then no JavaScript is left to close it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

use napi::bindgen_prelude::Result;
use napi_derive::napi;
use rsipc_sys::fd;

thread_local! {
    /// By number. Closed when the thread, and with it its environment, ends.
    static UNDELIVERED: RefCell<BTreeMap<RawFd, OwnedFd>> = const { RefCell::new(BTreeMap::new()) };
}

/// On their way from one thread of this process to another, by the number of the ticket.
static PARKED: Mutex<Parked> = Mutex::new(Parked {
    next: 1,
    waiting: BTreeMap::new(),
});

struct Parked {
    next: u32,
    waiting: BTreeMap<u32, OwnedFd>,
}

/// Keeps a duplicate of `number` for another thread; answers the ticket to claim it with.
#[napi(catch_unwind)]
pub fn park_fd(number: i32) -> Result<u32> {
    let copy = fd::duplicate_raw(number)?;
    let mut parked = PARKED.lock().unwrap_or_else(PoisonError::into_inner);
    let ticket = parked.next;
    parked.next += 1;
    parked.waiting.insert(ticket, copy);
    Ok(ticket)
}

/// The descriptor of a ticket, as one that has arrived; -1 when it has been claimed already.
#[napi(catch_unwind)]
pub fn claim_fd(ticket: u32) -> i32 {
    let mut parked = PARKED.lock().unwrap_or_else(PoisonError::into_inner);
    parked.waiting.remove(&ticket).map_or(-1, hold)
}

/// Keeps `fd` until `releaseFd` or `closeFd`, and answers its number.
pub(crate) fn hold(fd: OwnedFd) -> RawFd {
    let number = fd.as_raw_fd();
    UNDELIVERED.with_borrow_mut(|held| held.insert(number, fd));
    number
}

/// The descriptor `number`, if it is kept here.
pub(crate) fn taken(number: RawFd) -> Option<OwnedFd> {
    UNDELIVERED.with_borrow_mut(|held| held.remove(&number))
}

/// Somebody has been given the descriptor `number`, who owns it from now on.
#[napi(catch_unwind)]
pub fn release_fd(number: i32) {
    if let Some(fd) = UNDELIVERED.with_borrow_mut(|held| held.remove(&number)) {
        let _ = fd.into_raw_fd();
    }
}

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

/// Has this process's standard output be its standard error from now on, for this program, its libraries
/// and its children; answers a descriptor of what the standard output was.
#[napi(catch_unwind)]
pub fn guard_stdout() -> Result<i32> {
    let output = fd::duplicate_raw(1)?;
    let elsewhere = match fd::duplicate_raw(2) {
        Ok(error) => error,
        Err(_) => std::fs::File::options()
            .write(true)
            .open("/dev/null")?
            .into(),
    };
    fd::redirect(elsewhere.as_fd(), 1)?;
    Ok(output.into_raw_fd())
}

/// Closes the descriptor `number`, which must be the caller's own.
#[napi(catch_unwind)]
pub fn close_fd(number: i32) -> Result<()> {
    match UNDELIVERED.with_borrow_mut(|held| held.remove(&number)) {
        Some(fd) => drop(fd),
        None => drop(fd::adopt(number)?),
    }
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
