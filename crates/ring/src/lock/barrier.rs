//! A meeting point: so many parties wait for each other, again and again.
//!
//! A word has the number of the round and says whether the barrier is broken. Who arrives notes the
//! round in its slot; the last one, under a latch, moves the word on. A party whose process dies
//! breaks the barrier, because the others may be waiting for it: everybody who waits, and everybody
//! who comes, is told, until somebody resets it. A party that leaves in good order breaks nothing.

use std::fmt;

use crate::doorbell::{Doorbell, Patience};
use crate::error::ClaimError;
use crate::failpoint::failpoint;
use crate::latch::{Latch, LatchGuard};
use crate::layout::{BODY, Kind, PARTIES};
use crate::lock::error::{JoinError, LockError};
use crate::lock::seat::{SIZE, Seat};
use crate::lock::waiting::{self, Waiting};
use crate::memory::Memory;
use crate::object::Object;
use crate::sync::Ordering;
use crate::system::System;

/// Offset of the latch, 16 bytes.
const LATCH: usize = BODY;

/// Offset of the word: twice the round, and 1 if the barrier is broken.
const ROUND: usize = BODY + 32;

/// Offset of a bit for each of the last 64 rounds: whether it ended because it was broken.
const OUTCOMES: usize = BODY + 40;

/// Word of a slot: the round that the party has arrived in, plus 1.
const ARRIVED: usize = 1;

/// What a party that passed a barrier knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The number of the round, from 0 on.
    pub round: u64,
    /// Whether this party came last. One of each round did.
    pub last: bool,
}

/// A meeting point, as one party has it.
pub struct Barrier<M: Memory, S: System> {
    seat: Seat<M, S>,
    /// The round it waits in.
    arrived: Option<u64>,
    waiting: Option<Waiting>,
}

fn latch<M: Memory, S: System>(object: &Object<M, S>) -> LatchGuard<'_> {
    Latch::at(LATCH).lock(object.region(), object.system())
}

fn cleanup<M: Memory, S: System>(object: &Object<M, S>, _dead: usize) {
    let _guard = latch(object);
    object.region().word(ROUND).fetch_or(1, Ordering::AcqRel);
}

/// Ends the round, with this outcome. The latch is held. The outcome goes first: until the word
/// has moved nobody asks for it.
fn end<M: Memory, S: System>(object: &Object<M, S>, round: u64, broken: bool) {
    let outcomes = object.region().word(OUTCOMES);
    let bit = 1 << (round % 64);
    let others = outcomes.load(Ordering::Relaxed) & !bit;
    let outcome = if broken { bit } else { 0 };
    outcomes.store(others | outcome, Ordering::Relaxed);
    // SYNC round: pairs with the acquire in `look`.
    object
        .region()
        .word(ROUND)
        .store(round.wrapping_add(1) << 1, Ordering::Release);
    failpoint!(BarrierBeforeRing);
}

/// What has become of a round.
fn look<M: Memory, S: System>(object: &Object<M, S>, round: u64) -> Result<bool, LockError> {
    // SYNC round: pairs with the release in `end`.
    let word = object.region().word(ROUND).load(Ordering::Acquire);
    let ended = (word >> 1).wrapping_sub(round);
    let broken = match ended {
        0 => word & 1 != 0,
        // More rounds have passed than are remembered: nobody knows.
        64.. => true,
        _ => object.region().word(OUTCOMES).load(Ordering::Relaxed) >> (round % 64) & 1 != 0,
    };
    if broken {
        return Err(LockError::Broken);
    }
    Ok(ended != 0)
}

impl<M: Memory, S: System> Barrier<M, S> {
    /// Bytes of memory a barrier needs.
    pub const SIZE: usize = SIZE;

    /// Makes a barrier for so many parties, 1 to the number of slots, in memory that nobody else
    /// uses yet and whose bytes are 0, and attaches this party to it. `environment` is the event
    /// loop to ring, or [`NO_ENVIRONMENT`](crate::table::NO_ENVIRONMENT).
    pub fn create(
        memory: M,
        system: S,
        environment: u32,
        parties: usize,
    ) -> Result<Barrier<M, S>, JoinError> {
        let parties = parties.clamp(1, PARTIES) as u64;
        let kind = Kind::Barrier;
        Seat::create(memory, system, environment, kind, parties, cleanup, 0).map(Barrier::sit)
    }

    /// Attaches a party to a barrier.
    pub fn attach(memory: M, system: S, environment: u32) -> Result<Barrier<M, S>, JoinError> {
        let (kind, parties) = (Kind::Barrier, 1..=PARTIES as u64);
        Seat::attach(memory, system, environment, kind, parties, cleanup).map(Barrier::sit)
    }

    /// Attaches one more party of this process, at the same mapping: for another thread.
    pub fn another(&self, environment: u32) -> Result<Barrier<M, S>, ClaimError> {
        self.seat.another(environment).map(Barrier::sit)
    }

    fn sit(seat: Seat<M, S>) -> Barrier<M, S> {
        Barrier {
            seat,
            arrived: None,
            waiting: None,
        }
    }

    /// The barrier as an object.
    pub fn object(&self) -> &Object<M, S> {
        self.seat.object()
    }

    /// How many have to arrive.
    pub fn parties(&self) -> usize {
        self.seat.parameter() as usize
    }

    /// Whether it is broken, at this moment.
    pub fn is_broken(&self) -> bool {
        self.object().region().word(ROUND).load(Ordering::Acquire) & 1 != 0
    }

    /// Arrives and waits for the others. `None` when patience ended first: then this party has not
    /// arrived, and the others wait on.
    pub fn wait(&mut self, patience: Patience) -> Result<Option<Passed>, LockError> {
        if let Some(passed) = self.arrive()? {
            return Ok(Some(passed));
        }
        let object = self.seat.object().clone();
        let answer = object.wait(Doorbell::Items, self.seat.index(), patience, |idle| {
            self.attempt(idle).transpose()
        });
        match answer {
            Some(answer) => {
                self.finish();
                answer.map(Some)
            }
            None => self.withdraw(),
        }
    }

    /// Arrives, the first time, and tells whether the others have; see
    /// [`Mutex::poll`](crate::lock::Mutex::poll).
    pub fn poll(&mut self) -> Result<Option<Passed>, LockError> {
        if self.arrived.is_none()
            && let Some(passed) = self.arrive()?
        {
            return Ok(Some(passed));
        }
        self.seat.object().arm(Doorbell::Items, self.seat.index());
        let answer = self.attempt(false);
        if !matches!(answer, Ok(None)) {
            self.finish();
        }
        answer
    }

    /// Ends a wait: this party has not arrived, unless the others have passed with it meanwhile.
    /// Then that is the answer.
    pub fn cancel(&mut self) -> Result<Option<Passed>, LockError> {
        self.withdraw()
    }

    /// Breaks the barrier: who waits, and who comes, gets an error.
    pub fn abort(&self) -> Result<(), LockError> {
        self.seat.check()?;
        let object = self.seat.object();
        let guard = latch(object);
        object.region().word(ROUND).fetch_or(1, Ordering::AcqRel);
        drop(guard);
        object.ring(Doorbell::Items);
        Ok(())
    }

    /// Makes a barrier that is broken whole again. Nothing if it is whole. Those who still wait get
    /// their error.
    pub fn reset(&self) -> Result<(), LockError> {
        self.seat.check()?;
        let object = self.seat.object();
        // Before, so that the dead do not break the new round.
        object.sweep();
        let guard = latch(object);
        let word = object.region().word(ROUND).load(Ordering::Acquire);
        if word & 1 != 0 {
            end(object, word >> 1, true);
        }
        drop(guard);
        object.ring(Doorbell::Items);
        Ok(())
    }

    fn arrive(&mut self) -> Result<Option<Passed>, LockError> {
        self.seat.check()?;
        let object = self.seat.object();
        let guard = latch(object);
        let word = object.region().word(ROUND).load(Ordering::Acquire);
        if word & 1 != 0 {
            return Err(LockError::Broken);
        }
        let round = word >> 1;
        let mark = round.wrapping_add(1);
        self.seat.own(ARRIVED).store(mark, Ordering::Release);
        failpoint!(BarrierArrived);
        let arrived = object
            .owns(ARRIVED)
            .filter(|arrived| arrived.load(Ordering::Acquire) == mark)
            .count();
        let last = arrived >= self.parties();
        if last {
            end(object, round, false);
        }
        drop(guard);
        if last {
            object.ring(Doorbell::Items);
            return Ok(Some(Passed { round, last }));
        }
        self.arrived = Some(round);
        self.waiting = Some(Waiting::unordered());
        Ok(None)
    }

    fn attempt(&mut self, idle: bool) -> Result<Option<Passed>, LockError> {
        self.seat.check()?;
        let (Some(round), Some(waiting)) = (self.arrived, &mut self.waiting) else {
            return Ok(None);
        };
        if waiting.look(idle) {
            waiting::sweep(self.seat.object());
        }
        let last = false;
        let passed = look(self.seat.object(), round)?.then_some(Passed { round, last });
        if passed.is_none() {
            failpoint!(LockWaiting);
        }
        Ok(passed)
    }

    fn finish(&mut self) {
        self.arrived = None;
        self.waiting = None;
        self.seat
            .object()
            .disarm(Doorbell::Items, self.seat.index());
    }

    fn withdraw(&mut self) -> Result<Option<Passed>, LockError> {
        let Some(round) = self.arrived else {
            return Ok(None);
        };
        let guard = latch(self.seat.object());
        let answer = look(self.seat.object(), round);
        // A mark of an earlier round means nothing.
        self.seat.own(ARRIVED).store(0, Ordering::Release);
        drop(guard);
        self.finish();
        let last = false;
        answer.map(|ended| ended.then_some(Passed { round, last }))
    }
}

impl<M: Memory, S: System> Drop for Barrier<M, S> {
    fn drop(&mut self) {
        if !self.seat.is_copy() {
            let _ = self.withdraw();
        }
    }
}

impl<M: Memory, S: System> fmt::Debug for Barrier<M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("parties", &self.parties())
            .field("arrived", &self.arrived)
            .finish_non_exhaustive()
    }
}
