//! A flag that is waited for.
//!
//! The word of a lock says whether it is set: open is set. With [`Reset::Manual`] everybody passes
//! while it is; a counter of settings lets those pass as well who waited when it was set and look
//! only after it was reset. With [`Reset::Auto`] the one who passes takes the word, as a lock is
//! taken, and so resets it: one setting lets one pass, in the order that `gate` keeps.
//!
//! Nobody owns an event, so nobody's death changes it. A process that dies after it has passed an
//! event with [`Reset::Auto`] has used that setting up.

use std::fmt;

use crate::doorbell::{Doorbell, Patience};
use crate::error::ClaimError;
use crate::failpoint::failpoint;
use crate::layout::{BODY, Kind};
use crate::lock::error::{JoinError, LockError};
use crate::lock::gate::Gate;
use crate::lock::seat::{SIZE, Seat};
use crate::lock::waiting::Waiting;
use crate::lock::word::{FREE, UNSET};
use crate::memory::Memory;
use crate::object::Object;
use crate::sync::Ordering;
use crate::system::System;

/// Offset of the number of settings.
const SETTINGS: usize = BODY + 8;

/// What resets an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Reset {
    /// [`Event::reset`].
    Manual = 0,
    /// The first who passes.
    Auto = 1,
}

/// A flag that is waited for, as one party has it.
pub struct Event<M: Memory, S: System> {
    seat: Seat<M, S>,
    kind: Reset,
    waiting: Option<(Waiting, u64)>,
}

impl<M: Memory, S: System> Event<M, S> {
    /// Bytes of memory an event needs.
    pub const SIZE: usize = SIZE;

    /// Makes an event in memory that nobody else uses yet and whose bytes are 0, and attaches this
    /// party to it. `environment` is the event loop to ring, or
    /// [`NO_ENVIRONMENT`](crate::table::NO_ENVIRONMENT).
    pub fn create(
        memory: M,
        system: S,
        environment: u32,
        kind: Reset,
        set: bool,
    ) -> Result<Event<M, S>, JoinError> {
        let first = u64::from(if set { FREE } else { UNSET });
        let kind = kind as u64;
        Seat::create(
            memory,
            system,
            environment,
            Kind::Event,
            kind,
            |_, _| {},
            first,
        )
        .map(Event::sit)
    }

    /// Attaches a party to an event.
    pub fn attach(memory: M, system: S, environment: u32) -> Result<Event<M, S>, JoinError> {
        Seat::attach(memory, system, environment, Kind::Event, 0..=1, |_, _| {}).map(Event::sit)
    }

    /// Attaches one more party of this process, at the same mapping: for another thread.
    pub fn another(&self, environment: u32) -> Result<Event<M, S>, ClaimError> {
        self.seat.another(environment).map(Event::sit)
    }

    fn sit(seat: Seat<M, S>) -> Event<M, S> {
        let kind = match seat.parameter() {
            0 => Reset::Manual,
            _ => Reset::Auto,
        };
        Event {
            seat,
            kind,
            waiting: None,
        }
    }

    /// The event as an object.
    pub fn object(&self) -> &Object<M, S> {
        self.seat.object()
    }

    /// What resets it.
    pub fn kind(&self) -> Reset {
        self.kind
    }

    /// Whether it is set, at this moment.
    pub fn is_set(&self) -> bool {
        Gate::of(self.object()).load().is_open()
    }

    /// How often it was set while it was not. Who waits in pieces sees by it that it was set between two.
    pub fn settings(&self) -> u64 {
        self.object()
            .region()
            .word(SETTINGS)
            .load(Ordering::Acquire)
    }

    /// Sets the event and wakes who waits for it. Answers whether it was not set before.
    pub fn set(&self) -> Result<bool, LockError> {
        self.seat.check()?;
        let object = self.seat.object();
        if !Gate::of(object).open() {
            return Ok(false);
        }
        failpoint!(EventBeforeCount);
        object
            .region()
            .word(SETTINGS)
            .fetch_add(1, Ordering::AcqRel);
        object.ring(Doorbell::Items);
        Ok(true)
    }

    /// Resets the event. Answers whether it was set before.
    pub fn reset(&self) -> Result<bool, LockError> {
        self.seat.check()?;
        let gate = Gate::of(self.seat.object());
        Ok(gate.take(self.seat.index(), UNSET, false).is_some())
    }

    /// Passes if the event is set.
    pub fn try_wait(&mut self) -> Result<bool, LockError> {
        self.seat.check()?;
        let passed = self.passes();
        if passed {
            self.cancel();
        }
        Ok(passed)
    }

    /// Waits until the event is set. `false` when patience ended first.
    pub fn wait(&mut self, patience: Patience) -> Result<bool, LockError> {
        if self.try_wait()? {
            return Ok(true);
        }
        self.start();
        let seat = &self.seat;
        let (kind, waiting) = (self.kind, &mut self.waiting);
        let answer = seat
            .object()
            .wait(Doorbell::Items, seat.index(), patience, |idle| {
                attempt(seat, kind, waiting, idle).transpose()
            });
        self.cancel();
        match answer {
            Some(Ok(())) => Ok(true),
            Some(Err(error)) => Err(error),
            None => Ok(false),
        }
    }

    /// Tries to pass, as part of a wait; see [`Mutex::poll`](crate::lock::Mutex::poll).
    pub fn poll(&mut self) -> Result<bool, LockError> {
        self.start();
        let me = self.seat.index();
        self.seat.object().arm(Doorbell::Items, me);
        let answer = attempt(&self.seat, self.kind, &mut self.waiting, false);
        if !matches!(answer, Ok(None)) {
            self.cancel();
        }
        answer.map(|passed| passed.is_some())
    }

    /// Takes a place among those who wait; [`Event::poll`] is next. Nothing if it has one.
    pub fn start(&mut self) {
        if self.waiting.is_none() {
            let object = self.seat.object();
            let settings = object.region().word(SETTINGS).load(Ordering::Acquire);
            self.waiting = Some((Waiting::begin(object, self.seat.index()), settings));
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

    fn passes(&self) -> bool {
        let gate = Gate::of(self.seat.object());
        match self.kind {
            Reset::Manual => gate.load().is_open(),
            Reset::Auto => gate.take(self.seat.index(), UNSET, false).is_some(),
        }
    }
}

/// One attempt of a wait.
fn attempt<M: Memory, S: System>(
    seat: &Seat<M, S>,
    kind: Reset,
    waiting: &mut Option<(Waiting, u64)>,
    idle: bool,
) -> Result<Option<()>, LockError> {
    seat.check()?;
    let Some((waiting, begun)) = waiting else {
        return Ok(None);
    };
    let (me, object) = (seat.index(), seat.object());
    let gate = Gate::of(object);
    if kind == Reset::Auto {
        let taken = gate.attempt(me, UNSET, waiting, idle);
        if taken.is_none() {
            failpoint!(LockWaiting);
        }
        return Ok(taken.map(|_| ()));
    }
    if !gate.announce(me, false) {
        return Ok(Some(()));
    }
    failpoint!(LockWaiting);
    let settings = object.region().word(SETTINGS).load(Ordering::Acquire);
    Ok((settings != *begun).then_some(()))
}

impl<M: Memory, S: System> Drop for Event<M, S> {
    fn drop(&mut self) {
        if !self.seat.is_copy() {
            self.cancel();
        }
    }
}

impl<M: Memory, S: System> fmt::Debug for Event<M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("kind", &self.kind)
            .field("set", &self.is_set())
            .finish_non_exhaustive()
    }
}
