//! One owner at a time.
//!
//! The word says who; a counter beside it, which only the owner moves, numbers the ownerships. The
//! number is a *fencing number*: it grows with every owner, so a store that is told it can refuse
//! what comes late from an owner that was thought dead.

use std::fmt;

use crate::doorbell::{Doorbell, Patience};
use crate::error::ClaimError;
use crate::failpoint::failpoint;
use crate::layout::{BODY, Kind};
use crate::lock::error::{JoinError, LockError};
use crate::lock::gate::{Gate, Taken};
use crate::lock::seat::{SIZE, Seat};
use crate::lock::waiting::Waiting;
use crate::lock::word::{ABANDONED, FREE, Word, number, party};
use crate::memory::Memory;
use crate::object::Object;
use crate::sync::Ordering;
use crate::system::System;
use crate::table::Occupant;

/// Offset of the last fencing number.
pub(super) const FENCE: usize = BODY + 8;

/// What the owner of a lock knows about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The fencing number: greater than that of every owner before.
    pub fence: u64,
    /// Whether the owner before died, or went away, without letting go: what the lock guards may be
    /// half done.
    pub recovered: bool,
}

/// A lock with one owner at a time, as one party has it.
///
/// Dropping it while it is held hands the lock on as after a death, with [`Held::recovered`].
pub struct Mutex<M: Memory, S: System> {
    seat: Seat<M, S>,
    held: Option<(Word, Held)>,
    waiting: Option<Waiting>,
}

/// Numbers a new ownership.
pub(super) fn count<M: Memory, S: System>(object: &Object<M, S>, taken: Taken) -> Held {
    failpoint!(LockBeforeFence);
    let word = object.region().word(FENCE);
    let fence = word.load(Ordering::Relaxed).wrapping_add(1);
    word.store(fence, Ordering::Relaxed);
    Held {
        fence,
        recovered: taken.recovered,
    }
}

/// The process of the party that holds the word.
pub(super) fn owner<M: Memory, S: System>(object: &Object<M, S>) -> Option<u64> {
    let holder = party(Gate::of(object).load().holder())?;
    Some(object.address(holder).0).filter(|&identity| identity != 0)
}

/// The party that holds the word.
pub(super) fn holder<M: Memory, S: System>(object: &Object<M, S>) -> Option<Occupant> {
    object.occupant(party(Gate::of(object).load().holder())?)
}

fn cleanup<M: Memory, S: System>(object: &Object<M, S>, dead: usize) {
    Gate::of(object).release(number(dead), ABANDONED);
}

impl<M: Memory, S: System> Mutex<M, S> {
    /// Bytes of memory a mutex needs.
    pub const SIZE: usize = SIZE;

    /// Makes a free mutex in memory that nobody else uses yet and whose bytes are 0, and attaches
    /// this party to it. `environment` is the event loop to ring, or
    /// [`NO_ENVIRONMENT`](crate::table::NO_ENVIRONMENT).
    pub fn create(memory: M, system: S, environment: u32) -> Result<Mutex<M, S>, JoinError> {
        Seat::create(memory, system, environment, Kind::Mutex, 0, cleanup, 0).map(Mutex::sit)
    }

    /// Attaches a party to a mutex.
    pub fn attach(memory: M, system: S, environment: u32) -> Result<Mutex<M, S>, JoinError> {
        Seat::attach(memory, system, environment, Kind::Mutex, 0..=0, cleanup).map(Mutex::sit)
    }

    /// Attaches one more party of this process, at the same mapping: for another thread.
    pub fn another(&self, environment: u32) -> Result<Mutex<M, S>, ClaimError> {
        self.seat.another(environment).map(Mutex::sit)
    }

    fn sit(seat: Seat<M, S>) -> Mutex<M, S> {
        Mutex {
            seat,
            held: None,
            waiting: None,
        }
    }

    /// The mutex as an object.
    pub fn object(&self) -> &Object<M, S> {
        self.seat.object()
    }

    /// What this party holds.
    pub fn held(&self) -> Option<Held> {
        self.held.map(|(_, held)| held)
    }

    /// The process that holds the mutex, at this moment.
    pub fn owner(&self) -> Option<u64> {
        owner(self.object())
    }

    /// The party that holds the mutex, at this moment.
    pub fn holder(&self) -> Option<Occupant> {
        holder(self.object())
    }

    #[inline]
    fn check(&self) -> Result<(), LockError> {
        self.seat.check()?;
        if self.held.is_some() {
            return Err(LockError::AlreadyHeld);
        }
        Ok(())
    }

    #[inline]
    fn hold(&mut self, taken: Taken) -> Held {
        let held = count(self.seat.object(), taken);
        self.held = Some((taken.word, held));
        failpoint!(LockHeld);
        if self.waiting.is_some() {
            self.cancel();
        }
        held
    }

    #[inline]
    fn take(&mut self, look: bool) -> Option<Held> {
        let me = self.seat.index();
        let taken = Gate::of(self.seat.object()).take(me, number(me), look)?;
        Some(self.hold(taken))
    }

    /// Takes the mutex if nobody has it. If somebody has, asks the system whether its process
    /// lives, which costs some microseconds.
    #[inline]
    pub fn try_lock(&mut self) -> Result<Option<Held>, LockError> {
        self.check()?;
        if let Some(held) = self.take(false) {
            return Ok(Some(held));
        }
        Ok(self.take(true))
    }

    /// Takes the mutex, waiting for it. `None` when patience ended first.
    #[inline]
    pub fn lock(&mut self, patience: Patience) -> Result<Option<Held>, LockError> {
        self.check()?;
        if let Some(held) = self.take(false) {
            return Ok(Some(held));
        }
        self.lock_slow(patience)
    }

    #[cold]
    fn lock_slow(&mut self, patience: Patience) -> Result<Option<Held>, LockError> {
        self.start();
        let seat = &self.seat;
        let waiting = &mut self.waiting;
        let answer = seat
            .object()
            .wait(Doorbell::Items, seat.index(), patience, |idle| {
                attempt(seat, waiting, idle).transpose()
            });
        match answer {
            Some(Ok(taken)) => Ok(Some(self.hold(taken))),
            Some(Err(error)) => {
                self.cancel();
                Err(error)
            }
            None => {
                self.cancel();
                Ok(None)
            }
        }
    }

    /// Takes a place among those who wait; [`Mutex::poll`] is next. Nothing if it has one.
    pub fn start(&mut self) {
        if self.waiting.is_none() {
            self.waiting = Some(Waiting::begin(self.seat.object(), self.seat.index()));
        }
    }

    /// Tries to take the mutex; without success the bell of this party's environment rings when it
    /// is to be tried again. Ends the wait when it succeeds or fails with an error.
    pub fn poll(&mut self) -> Result<Option<Held>, LockError> {
        self.check()?;
        self.start();
        let me = self.seat.index();
        self.seat.object().arm(Doorbell::Items, me);
        match attempt(&self.seat, &mut self.waiting, false) {
            Ok(taken) => Ok(taken.map(|taken| self.hold(taken))),
            Err(error) => {
                self.cancel();
                Err(error)
            }
        }
    }

    /// Ends a wait. Nothing if there is none.
    pub fn cancel(&mut self) {
        if self.waiting.take().is_some() {
            failpoint!(LockBeforeLeave);
            let me = self.seat.index();
            self.seat.object().disarm(Doorbell::Items, me);
            Gate::of(self.seat.object()).leave(me);
        }
    }

    /// Lets go of the mutex, which is held under this fencing number.
    #[inline]
    pub fn unlock(&mut self, fence: u64) -> Result<(), LockError> {
        let Some((word, held)) = self.held else {
            return Err(LockError::NotHeld);
        };
        if held.fence != fence {
            return Err(LockError::NotHeld);
        }
        self.held = None;
        let gate = Gate::of(self.seat.object());
        if gate.release_quietly(word) || gate.release(number(self.seat.index()), FREE) {
            return Ok(());
        }
        // Only a process that keeps no rules takes it from a living owner.
        Err(LockError::NotHeld)
    }
}

/// One attempt of a wait.
fn attempt<M: Memory, S: System>(
    seat: &Seat<M, S>,
    waiting: &mut Option<Waiting>,
    idle: bool,
) -> Result<Option<Taken>, LockError> {
    seat.check()?;
    let me = seat.index();
    let Some(waiting) = waiting else {
        return Ok(None);
    };
    let taken = Gate::of(seat.object()).attempt(me, number(me), waiting, idle);
    if taken.is_none() {
        failpoint!(LockWaiting);
    }
    Ok(taken)
}

impl<M: Memory, S: System> Drop for Mutex<M, S> {
    fn drop(&mut self) {
        if self.seat.is_copy() {
            return;
        }
        self.cancel();
        if self.held.take().is_some() {
            Gate::of(self.seat.object()).release(number(self.seat.index()), ABANDONED);
        }
    }
}

impl<M: Memory, S: System> fmt::Debug for Mutex<M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex")
            .field("held", &self.held())
            .finish_non_exhaustive()
    }
}
