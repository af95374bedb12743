//! What the locks have in common as JavaScript attaches to them.
//!
//! A call that blocks does so for a slice at a time, so that a thread that is terminated ends. The
//! others try, and where they do not succeed the bell of the environment rings when it is time to
//! try again.

use std::cell::RefCell;

use rsipc_core::shm::Object;
use rsipc_ring::lock::{Held, LockError};
use rsipc_ring::table::Occupant;
use rsipc_ring::{Patience, System};

use super::error::{Failure, Result, closed, failed};
use super::object::Attachment;
use super::producer::patience;

/// An attachment to a lock, until it is closed.
pub(super) struct Lock<T> {
    state: RefCell<Option<Attachment<T>>>,
    environment: u32,
}

impl<T> Lock<T> {
    pub(super) fn new(attachment: Attachment<T>, environment: u32) -> Lock<T> {
        Lock {
            state: RefCell::new(Some(attachment)),
            environment,
        }
    }

    #[inline]
    pub(super) fn with<R>(&self, use_it: impl FnOnce(&mut T) -> Result<R>) -> Result<R> {
        match &mut *self.state.borrow_mut() {
            Some(attachment) => use_it(&mut attachment.object),
            None => Err(closed()),
        }
    }

    pub(super) fn size(&self) -> Result<f64> {
        match &*self.state.borrow() {
            Some(attachment) => Ok(attachment.size()),
            None => Err(closed()),
        }
    }

    pub(super) fn fd(&self) -> Result<i32> {
        match &*self.state.borrow() {
            Some(attachment) => Ok(attachment.fd()),
            None => Err(closed()),
        }
    }

    pub(super) fn unlink(&self, name: &str) -> Result<bool> {
        match &*self.state.borrow() {
            Some(attachment) => attachment.unlink(name),
            None => Err(closed()),
        }
    }

    /// Whether a party is of the thread that this attachment is of.
    pub(super) fn is_ours(&self, object: &Object, party: Option<Occupant>) -> bool {
        party.is_some_and(|party| {
            party.environment == self.environment && party.identity == object.system().identity()
        })
    }

    /// Lets go of the lock, after `release` has given back what it holds.
    pub(super) fn close(&self, release: impl FnOnce(&mut T)) {
        if let Some(mut attachment) = self.state.take() {
            release(&mut attachment.object);
        }
    }
}

/// What is held, in one number: its fencing number, negative if the owner before left it undone; 0 if
/// it is not held.
#[inline]
pub(super) fn number(held: Option<Held>) -> f64 {
    match held {
        None => 0.0,
        Some(Held { fence, recovered }) => {
            let fence = fence as f64;
            if recovered { -fence } else { fence }
        }
    }
}

/// What an attempt answers; while this party itself has what it asks for, it is not to be had.
#[inline]
pub(super) fn busy<T>(answer: std::result::Result<Option<T>, LockError>) -> Result<Option<T>> {
    match answer {
        Err(LockError::AlreadyHeld) => Ok(None),
        other => other.map_err(failed),
    }
}

/// One look.
pub(super) const NOW: Patience = Patience {
    spin: std::time::Duration::ZERO,
    timeout: Some(std::time::Duration::ZERO),
};

/// Blocks the thread for so many milliseconds, unless the first look succeeds. `is_own` says whether
/// the wait would be for this thread itself.
#[inline]
pub(super) fn wait<T, H>(
    lock: &mut T,
    take: fn(&mut T, Patience) -> std::result::Result<Option<H>, LockError>,
    is_own: impl FnOnce(&T) -> bool,
    spin: u32,
    milliseconds: f64,
) -> Result<Option<H>> {
    if let Some(held) = take(lock, NOW).map_err(failed)? {
        return Ok(Some(held));
    }
    if is_own(lock) {
        return Err(deadlock());
    }
    take(lock, patience(spin, milliseconds)).map_err(failed)
}

/// The thread would wait for itself.
pub(super) fn deadlock() -> napi::Error<Failure> {
    failed(LockError::AlreadyHeld)
}
