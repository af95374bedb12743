//! So many permits.
//!
//! What a party holds is counted in its slot, so what a dead one held is known; the sum over all
//! slots is kept beside, and everything changes under a latch of the semaphore's own. A mark says
//! that a change is going on: whoever finds the latch free, or taken from the dead, and the mark
//! set, counts anew.
//!
//! Those who wait are served in the order of their tickets, whatever they ask for: who asks for
//! many is not starved by those who ask for few. So that one that does not come stops nobody, it
//! has a while, once there are enough permits for it, and then goes behind all others.

use std::fmt;

use crate::doorbell::{Doorbell, Patience};
use crate::error::ClaimError;
use crate::failpoint::failpoint;
use crate::latch::{Latch, LatchGuard};
use crate::layout::{BODY, Kind, PARTIES};
use crate::lock::error::{JoinError, LockError};
use crate::lock::seat::{SIZE, Seat};
use crate::lock::waiting::{self, TICKET, TICKETS, Waiting};
use crate::memory::Memory;
use crate::object::Object;
use crate::sync::Ordering;
use crate::system::System;

/// Offset of the latch, 16 bytes. (Tickets and grace come after it: `waiting`.)
const LATCH: usize = BODY;

/// Offset of the mark that a change is going on.
const CHANGING: usize = BODY + 32;

/// Offset of the sum of what all parties hold.
const TAKEN: usize = BODY + 40;

/// Offset of a word that is 0 while nobody waits for sure.
const CROWD: usize = BODY + 48;

/// Word of a slot: permits that the party holds.
const HELD: usize = 1;

/// Word of a slot: permits that the party waits for.
const WANTED: usize = 2;

/// The most permits a semaphore has. The sum over all parties fits a word.
pub const MAX_PERMITS: u64 = 1 << 48;

/// Permits that parties hold, as one party has it.
///
/// Dropping it gives back what it holds.
pub struct Semaphore<M: Memory, S: System> {
    seat: Seat<M, S>,
    waiting: Option<Waiting>,
}

fn latch<M: Memory, S: System>(object: &Object<M, S>) -> LatchGuard<'_> {
    let guard = Latch::at(LATCH).lock(object.region(), object.system());
    if guard.recovered() || object.region().word(CHANGING).load(Ordering::Relaxed) != 0 {
        mend(object);
    }
    guard
}

/// Counts anew. Cut short, it is done again by the next.
#[cold]
fn mend<M: Memory, S: System>(object: &Object<M, S>) {
    let region = object.region();
    region.word(CHANGING).store(1, Ordering::Relaxed);
    let held = object.owns(HELD).fold(0, |sum: u64, held| {
        sum.saturating_add(held.load(Ordering::Relaxed))
    });
    region.word(TAKEN).store(held, Ordering::Relaxed);
    region.word(CROWD).store(1, Ordering::Relaxed);
    region.word(CHANGING).store(0, Ordering::Release);
}

/// Sets what a party holds. The latch is held.
fn change<M: Memory, S: System>(object: &Object<M, S>, party: usize, held: u64) {
    let region = object.region();
    let (slot, sum) = (object.own(party, HELD), region.word(TAKEN));
    region.word(CHANGING).store(1, Ordering::Release);
    let before = slot.load(Ordering::Relaxed);
    slot.store(held, Ordering::Release);
    failpoint!(PermitsBeforeSum);
    let taken = sum.load(Ordering::Relaxed);
    let taken = taken.saturating_sub(before).saturating_add(held);
    sum.store(taken, Ordering::Release);
    region.word(CHANGING).store(0, Ordering::Release);
}

fn cleanup<M: Memory, S: System>(object: &Object<M, S>, dead: usize) {
    let _guard = latch(object);
    change(object, dead, 0);
    object.own(dead, TICKET).store(0, Ordering::Release);
    waiting::keep(object);
}

/// Whether the party `me` may take `asked` of `free` permits, or has others before it. The latch
/// is held.
fn is_turn<M: Memory, S: System>(
    object: &Object<M, S>,
    me: usize,
    asked: u64,
    free: u64,
    limit: u64,
) -> bool {
    if asked > free {
        return false;
    }
    let crowd = object.region().word(CROWD);
    if crowd.load(Ordering::Relaxed) == 0 {
        return true;
    }
    // Who has no ticket comes after all that there are now.
    let newest = object.region().word(TICKETS).load(Ordering::Relaxed);
    // Each turn puts one behind all others, so after as many as there are it is ours.
    for _ in 0..=PARTIES {
        let Some((front, ticket)) = waiting::oldest(object) else {
            crowd.store(0, Ordering::Relaxed);
            return true;
        };
        if front == me || ticket > newest {
            return true;
        }
        let wanted = object.own(front, WANTED).load(Ordering::Relaxed);
        let sane = (1..=limit).contains(&wanted);
        if sane && (wanted > free || !waiting::is_over(object)) {
            return false;
        }
        waiting::demote(object, front, ticket);
    }
    false
}

impl<M: Memory, S: System> Semaphore<M, S> {
    /// Bytes of memory a semaphore needs.
    pub const SIZE: usize = SIZE;

    /// Makes a semaphore of `limit` permits, 1 to [`MAX_PERMITS`], in memory that nobody else uses
    /// yet and whose bytes are 0, and attaches this party to it. `environment` is the event loop to
    /// ring, or [`NO_ENVIRONMENT`](crate::table::NO_ENVIRONMENT).
    pub fn create(
        memory: M,
        system: S,
        environment: u32,
        limit: u64,
    ) -> Result<Semaphore<M, S>, JoinError> {
        let limit = limit.clamp(1, MAX_PERMITS);
        let kind = Kind::Semaphore;
        Seat::create(memory, system, environment, kind, limit, cleanup, 0).map(Semaphore::sit)
    }

    /// Attaches a party to a semaphore.
    pub fn attach(memory: M, system: S, environment: u32) -> Result<Semaphore<M, S>, JoinError> {
        let (kind, limits) = (Kind::Semaphore, 1..=MAX_PERMITS);
        Seat::attach(memory, system, environment, kind, limits, cleanup).map(Semaphore::sit)
    }

    /// Attaches one more party of this process, at the same mapping: for another thread.
    pub fn another(&self, environment: u32) -> Result<Semaphore<M, S>, ClaimError> {
        self.seat.another(environment).map(Semaphore::sit)
    }

    fn sit(seat: Seat<M, S>) -> Semaphore<M, S> {
        Semaphore {
            seat,
            waiting: None,
        }
    }

    /// The semaphore as an object.
    pub fn object(&self) -> &Object<M, S> {
        self.seat.object()
    }

    /// How many permits there are.
    pub fn limit(&self) -> u64 {
        self.seat.parameter()
    }

    /// How many nobody holds, at this moment. What dead parties held counts as held until somebody
    /// needs it.
    pub fn available(&self) -> u64 {
        let taken = self.object().region().word(TAKEN).load(Ordering::Acquire);
        self.limit().saturating_sub(taken)
    }

    /// How many this party holds.
    pub fn held(&self) -> u64 {
        self.seat.own(HELD).load(Ordering::Relaxed)
    }

    /// Takes so many permits if they are free and nobody waits for them. If not, returns what dead
    /// parties held, unless somebody has looked for it within 10 ms: it costs some microseconds for
    /// each party.
    pub fn try_acquire(&mut self, permits: u64) -> Result<bool, LockError> {
        self.check(permits)?;
        if self.take(permits, false) {
            self.cancel();
            return Ok(true);
        }
        let taken = waiting::sweep(self.seat.object()) && self.take(permits, false);
        if taken {
            self.cancel();
        }
        Ok(taken)
    }

    /// Takes so many permits, waiting for them. `false` when patience ended first.
    pub fn acquire(&mut self, permits: u64, patience: Patience) -> Result<bool, LockError> {
        self.check(permits)?;
        if self.take(permits, false) {
            self.cancel();
            return Ok(true);
        }
        self.start();
        let object = self.seat.object().clone();
        let answer = object.wait(Doorbell::Items, self.seat.index(), patience, |idle| {
            self.attempt(permits, idle).transpose()
        });
        self.cancel();
        answer.unwrap_or(Ok(())).map(|()| answer.is_some())
    }

    /// Tries to take so many permits, as part of a wait; see
    /// [`Mutex::poll`](crate::lock::Mutex::poll). The number is the same in one wait.
    pub fn poll(&mut self, permits: u64) -> Result<bool, LockError> {
        self.check(permits)?;
        self.start();
        self.seat.object().arm(Doorbell::Items, self.seat.index());
        let answer = self.attempt(permits, false);
        if !matches!(answer, Ok(None)) {
            self.cancel();
        }
        answer.map(|taken| taken.is_some())
    }

    /// Gives back so many permits.
    pub fn release(&mut self, permits: u64) -> Result<(), LockError> {
        let object = self.seat.object();
        let guard = latch(object);
        let held = self.held();
        if permits == 0 || permits > held {
            return Err(LockError::NotHeld);
        }
        change(object, self.seat.index(), held - permits);
        self.pass_on(guard);
        Ok(())
    }

    /// Lets go of the latch, and has those who wait look again.
    fn pass_on(&self, guard: LatchGuard<'_>) {
        let object = self.seat.object();
        let waited = object.region().word(CROWD).load(Ordering::Relaxed) != 0;
        if waited {
            waiting::keep(object);
        }
        drop(guard);
        failpoint!(PermitsBeforeRing);
        if waited {
            object.ring(Doorbell::Items);
        }
    }

    fn check(&self, permits: u64) -> Result<(), LockError> {
        self.seat.check()?;
        let limit = self.limit();
        if !(1..=limit).contains(&permits) {
            return Err(LockError::Permits {
                asked: permits,
                limit,
            });
        }
        Ok(())
    }

    /// Takes permits, or enters what is waited for.
    fn take(&self, permits: u64, waits: bool) -> bool {
        let object = self.seat.object();
        let me = self.seat.index();
        let guard = latch(object);
        if !is_turn(object, me, permits, self.available(), self.limit()) {
            if waits {
                self.seat.own(WANTED).store(permits, Ordering::Relaxed);
                object.region().word(CROWD).store(1, Ordering::Relaxed);
            }
            return false;
        }
        change(object, me, self.held().saturating_add(permits));
        failpoint!(LockHeld);
        if waits {
            // Whoever is next may find enough as well.
            self.seat.own(TICKET).store(0, Ordering::Release);
            self.pass_on(guard);
        }
        true
    }

    fn attempt(&mut self, permits: u64, idle: bool) -> Result<Option<()>, LockError> {
        self.seat.check()?;
        let Some(waiting) = &mut self.waiting else {
            return Ok(None);
        };
        let look = waiting.look(idle);
        if self.take(permits, true) {
            return Ok(Some(()));
        }
        if look && waiting::sweep(self.seat.object()) && self.take(permits, true) {
            return Ok(Some(()));
        }
        failpoint!(LockWaiting);
        Ok(None)
    }

    /// Takes a place among those who wait; [`Semaphore::poll`] is next. Nothing if it has one.
    pub fn start(&mut self) {
        if self.waiting.is_none() {
            // What it wants is not known yet; a want that makes no sense is passed over.
            self.seat.own(WANTED).store(0, Ordering::Relaxed);
            self.waiting = Some(Waiting::begin(self.seat.object(), self.seat.index()));
        }
    }

    /// Ends a wait. Nothing if there is none.
    pub fn cancel(&mut self) {
        if self.waiting.take().is_none() {
            return;
        }
        failpoint!(LockBeforeLeave);
        let object = self.seat.object();
        object.disarm(Doorbell::Items, self.seat.index());
        let guard = latch(object);
        // Others may have waited behind us.
        if self.seat.own(TICKET).swap(0, Ordering::AcqRel) != 0 {
            self.pass_on(guard);
        }
    }
}

impl<M: Memory, S: System> Drop for Semaphore<M, S> {
    fn drop(&mut self) {
        if self.seat.is_copy() {
            return;
        }
        self.cancel();
        let held = self.held();
        if held > 0 {
            let _ = self.release(held);
        }
    }
}

impl<M: Memory, S: System> fmt::Debug for Semaphore<M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("limit", &self.limit())
            .field("held", &self.held())
            .finish_non_exhaustive()
    }
}
