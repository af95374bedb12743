//! One writer or many readers.
//!
//! The writer has the word, as the owner of a mutex has. Readers are counted in their own slots,
//! so that they do not fight for one line, and a reader that dies takes its count with it. A reader
//! counts itself, then looks at the word; a writer takes the word, then looks at the counts. Each
//! has a sequentially consistent fence between the two steps, so at least one sees the other, and
//! it is the reader who gives way: a writer that has the word lets no new reader in and waits for
//! the last one to leave. Readers that have waited long enough insist like everybody else, so
//! writers do not shut them out either.

use std::fmt;
use std::time::Instant;

use crate::doorbell::{Doorbell, Patience};
use crate::error::ClaimError;
use crate::failpoint::failpoint;
use crate::layout::Kind;
use crate::lock::error::{JoinError, LockError};
use crate::lock::gate::{Gate, Taken};
use crate::lock::mutex::{self, Held};
use crate::lock::seat::{SIZE, Seat};
use crate::lock::waiting::Waiting;
use crate::lock::word::{ABANDONED, FREE, Word, number};
use crate::memory::Memory;
use crate::object::Object;
use crate::sync::{Ordering, fence};
use crate::system::System;

/// Word of a slot: how often the party reads at the moment.
const READERS: usize = 1;

/// What a reader knows about the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Whether the last writer died, or went away, without letting go, and no writer has come
    /// since: what the lock guards may be half done.
    pub recovered: bool,
}

/// How far a writer is.
#[derive(Clone, Copy, Debug)]
enum Writing {
    No,
    /// It has the word and waits for readers to leave.
    Draining(Taken),
    Yes(Word, Held),
}

/// A lock with one writer or many readers, as one party has it.
///
/// Dropping it lets go of what it reads; a writer's lock is handed on as after a death.
pub struct RwLock<M: Memory, S: System> {
    seat: Seat<M, S>,
    reading: u64,
    writing: Writing,
    waiting: Option<Waiting>,
}

fn cleanup<M: Memory, S: System>(object: &Object<M, S>, dead: usize) {
    Gate::of(object).release(number(dead), ABANDONED);
}

impl<M: Memory, S: System> RwLock<M, S> {
    /// Bytes of memory a read-write lock needs.
    pub const SIZE: usize = SIZE;

    /// Makes a free lock in memory that nobody else uses yet and whose bytes are 0, and attaches
    /// this party to it. `environment` is the event loop to ring, or
    /// [`NO_ENVIRONMENT`](crate::table::NO_ENVIRONMENT).
    pub fn create(memory: M, system: S, environment: u32) -> Result<RwLock<M, S>, JoinError> {
        Seat::create(memory, system, environment, Kind::RwLock, 0, cleanup, 0).map(RwLock::sit)
    }

    /// Attaches a party to a lock.
    pub fn attach(memory: M, system: S, environment: u32) -> Result<RwLock<M, S>, JoinError> {
        Seat::attach(memory, system, environment, Kind::RwLock, 0..=0, cleanup).map(RwLock::sit)
    }

    /// Attaches one more party of this process, at the same mapping: for another thread.
    pub fn another(&self, environment: u32) -> Result<RwLock<M, S>, ClaimError> {
        self.seat.another(environment).map(RwLock::sit)
    }

    fn sit(seat: Seat<M, S>) -> RwLock<M, S> {
        RwLock {
            seat,
            reading: 0,
            writing: Writing::No,
            waiting: None,
        }
    }

    /// The lock as an object.
    pub fn object(&self) -> &Object<M, S> {
        self.seat.object()
    }

    /// How often this party reads.
    pub fn reading(&self) -> u64 {
        self.reading
    }

    /// What this party holds as a writer.
    pub fn held(&self) -> Option<Held> {
        match self.writing {
            Writing::Yes(_, held) => Some(held),
            _ => None,
        }
    }

    /// The process of the writer, at this moment, or of one that waits for readers to leave.
    pub fn owner(&self) -> Option<u64> {
        mutex::owner(self.object())
    }

    /// Reads if there is no writer.
    pub fn try_read(&mut self) -> Result<Option<Reading>, LockError> {
        self.check_read()?;
        let reading = self.enter(false).or_else(|| self.enter(true));
        if reading.is_some() {
            self.cancel();
        }
        Ok(reading)
    }

    /// Reads, waiting for a writer to let go. `None` when patience ended first.
    pub fn read(&mut self, patience: Patience) -> Result<Option<Reading>, LockError> {
        self.check_read()?;
        if let Some(reading) = self.enter(false) {
            self.cancel();
            return Ok(Some(reading));
        }
        self.start();
        let object = self.seat.object().clone();
        let answer = object.wait(Doorbell::Items, self.seat.index(), patience, |idle| {
            self.attempt_read(idle).transpose()
        });
        self.cancel();
        answer.transpose()
    }

    /// Tries to read, as part of a wait; see [`Mutex::poll`](crate::lock::Mutex::poll).
    pub fn poll_read(&mut self) -> Result<Option<Reading>, LockError> {
        self.check_read()?;
        self.start();
        self.seat.object().arm(Doorbell::Items, self.seat.index());
        let answer = self.attempt_read(false);
        if !matches!(answer, Ok(None)) {
            self.cancel();
        }
        answer
    }

    /// Ends one reading.
    pub fn unlock_read(&mut self) -> Result<(), LockError> {
        if self.reading == 0 {
            return Err(LockError::NotHeld);
        }
        self.reading -= 1;
        self.count(self.reading);
        self.tell_writer();
        Ok(())
    }

    fn check_read(&self) -> Result<(), LockError> {
        self.seat.check()?;
        match self.writing {
            Writing::No => Ok(()),
            _ => Err(LockError::AlreadyHeld),
        }
    }

    /// Says how often this party reads.
    fn count(&self, readings: u64) {
        // SYNC readers: what was read was read before; pairs with the acquire in `is_drained`.
        self.seat.own(READERS).store(readings, Ordering::Release);
    }

    /// Has a writer that waits for readers look again.
    fn tell_writer(&self) {
        // SYNC drain: the count is written before, the word read after. Pairs with `is_drained`.
        fence(Ordering::SeqCst);
        failpoint!(ReadBeforeRing);
        if !Gate::of(self.seat.object()).load().is_open() {
            self.seat.object().ring(Doorbell::Space);
        }
    }

    /// Reads, if no writer has the word and it is kept for nobody else.
    fn enter(&mut self, look: bool) -> Option<Reading> {
        let me = self.seat.index();
        let gate = Gate::of(self.seat.object());
        // Who reads already keeps writers out, and must not wait for one that waits for it.
        let again = self.reading > 0;
        let may = |seen: Word| again || seen.is_open() && gate.is_open_to(seen, me);
        loop {
            let seen = gate.load();
            if !may(seen) {
                if look && gate.bury(seen) {
                    continue;
                }
                return None;
            }
            self.count(self.reading + 1);
            failpoint!(ReadBeforeLook);
            // SYNC drain: counted before, the word is read after. Pairs with `is_drained`.
            fence(Ordering::SeqCst);
            let seen = gate.load();
            if may(seen) {
                if gate.pass(me) {
                    // Other readers may come in with us.
                    self.seat.object().ring(Doorbell::Items);
                }
                self.reading += 1;
                failpoint!(LockHeld);
                return Some(Reading {
                    recovered: seen.holder() == ABANDONED,
                });
            }
            // A writer came in between and has seen us, perhaps.
            self.count(self.reading);
            self.tell_writer();
        }
    }

    fn attempt_read(&mut self, idle: bool) -> Result<Option<Reading>, LockError> {
        self.seat.check()?;
        let Some(waiting) = &mut self.waiting else {
            return Ok(None);
        };
        let (look, insists) = (waiting.look(idle), waiting.insists());
        loop {
            if let Some(reading) = self.enter(look) {
                return Ok(Some(reading));
            }
            if Gate::of(self.seat.object()).announce(self.seat.index(), insists) {
                failpoint!(LockWaiting);
                return Ok(None);
            }
        }
    }

    /// Writes if nobody reads or writes.
    pub fn try_write(&mut self) -> Result<Option<Held>, LockError> {
        self.check_write()?;
        if !self.take(false) && !self.take(true) {
            return Ok(None);
        }
        let held = self.drained(true);
        self.cancel();
        Ok(held)
    }

    /// Writes, waiting for everybody else to let go. `None` when patience ended first.
    pub fn write(&mut self, patience: Patience) -> Result<Option<Held>, LockError> {
        self.check_write()?;
        if self.take(false)
            && let Some(held) = self.drained(false)
        {
            self.cancel();
            return Ok(Some(held));
        }
        self.start();
        let begin = patience.timeout.map(|_| Instant::now());
        let object = self.seat.object().clone();
        let me = self.seat.index();
        let mut answer = Ok(None);
        // First for the word, then for the readers, each at the doorbell where it is told.
        for doorbell in [Doorbell::Items, Doorbell::Space] {
            let mut left = patience;
            if let (Some(timeout), Some(begin)) = (patience.timeout, begin) {
                left.timeout = Some(timeout.saturating_sub(begin.elapsed()));
            }
            answer = object
                .wait(doorbell, me, left, |idle| match self.attempt_write(idle) {
                    Ok(None) if doorbell == Doorbell::Items && self.is_draining() => Some(Ok(None)),
                    other => other.transpose().map(|held| held.map(Some)),
                })
                .unwrap_or(Ok(None));
            if !matches!(answer, Ok(None)) || !self.is_draining() {
                break;
            }
        }
        self.cancel();
        answer
    }

    /// Tries to write, as part of a wait; see [`Mutex::poll`](crate::lock::Mutex::poll).
    pub fn poll_write(&mut self) -> Result<Option<Held>, LockError> {
        if !self.is_draining() {
            self.check_write()?;
        }
        self.start();
        for doorbell in Doorbell::ALL {
            self.seat.object().arm(doorbell, self.seat.index());
        }
        let answer = self.attempt_write(false);
        if !matches!(answer, Ok(None)) {
            self.cancel();
        }
        answer
    }

    /// Ends the writing, which is done under this fencing number.
    pub fn unlock_write(&mut self, fence: u64) -> Result<(), LockError> {
        let Writing::Yes(word, held) = self.writing else {
            return Err(LockError::NotHeld);
        };
        if held.fence != fence {
            return Err(LockError::NotHeld);
        }
        self.writing = Writing::No;
        let gate = Gate::of(self.seat.object());
        if gate.release_quietly(word) || gate.release(number(self.seat.index()), FREE) {
            return Ok(());
        }
        Err(LockError::NotHeld)
    }

    fn check_write(&self) -> Result<(), LockError> {
        self.seat.check()?;
        match self.writing {
            Writing::No if self.reading == 0 => Ok(()),
            _ => Err(LockError::AlreadyHeld),
        }
    }

    fn is_draining(&self) -> bool {
        matches!(self.writing, Writing::Draining(_))
    }

    /// Takes the word.
    fn take(&mut self, look: bool) -> bool {
        let me = self.seat.index();
        let Some(taken) = Gate::of(self.seat.object()).take(me, number(me), look) else {
            return false;
        };
        self.writing = Writing::Draining(taken);
        failpoint!(WriteBeforeDrained);
        true
    }

    /// Becomes the writer, if it has the word and nobody reads any more.
    fn drained(&mut self, look: bool) -> Option<Held> {
        let Writing::Draining(taken) = self.writing else {
            return None;
        };
        if !self.is_drained(look) {
            return None;
        }
        let held = mutex::count(self.seat.object(), taken);
        self.writing = Writing::Yes(taken.word, held);
        failpoint!(LockHeld);
        Some(held)
    }

    /// Whether nobody reads. With `look` a reader whose process no longer runs is none.
    fn is_drained(&self, look: bool) -> bool {
        // SYNC drain: the word is written before, the counts are read after. Pairs with `enter`
        // and `tell_writer`.
        fence(Ordering::SeqCst);
        let object = self.seat.object();
        object.owns(READERS).enumerate().all(|(party, readings)| {
            // SYNC readers: pairs with the release in `count`.
            if readings.load(Ordering::Acquire) == 0 {
                return true;
            }
            let (identity, _) = object.address(party);
            identity == 0 || look && !object.is_alive(identity)
        })
    }

    fn attempt_write(&mut self, idle: bool) -> Result<Option<Held>, LockError> {
        self.seat.check()?;
        let Some(waiting) = &mut self.waiting else {
            return Ok(None);
        };
        let (look, insists) = (waiting.look(idle), waiting.insists());
        let me = self.seat.index();
        while !self.is_draining() {
            if self.take(look) {
                // Its turn has come; whoever waited behind it is the oldest now.
                Gate::of(self.seat.object()).leave(me);
            } else if Gate::of(self.seat.object()).announce(me, insists) {
                failpoint!(LockWaiting);
                return Ok(None);
            }
        }
        Ok(self.drained(look))
    }

    /// Takes a place among those who wait; [`RwLock::poll_read`] or [`RwLock::poll_write`] is next.
    /// Nothing if it has one.
    pub fn start(&mut self) {
        if self.waiting.is_none() {
            self.waiting = Some(Waiting::begin(self.seat.object(), self.seat.index()));
        }
    }

    /// Ends a wait. Nothing if there is none.
    pub fn cancel(&mut self) {
        let me = self.seat.index();
        let object = self.seat.object();
        if let Writing::Draining(taken) = self.writing {
            self.writing = Writing::No;
            // Nothing was written, so what the last writer left is still what is there.
            let to = if taken.recovered { ABANDONED } else { FREE };
            Gate::of(object).release(number(me), to);
        }
        if self.waiting.take().is_some() {
            failpoint!(LockBeforeLeave);
            for doorbell in Doorbell::ALL {
                object.disarm(doorbell, me);
            }
            Gate::of(object).leave(me);
        }
    }
}

impl<M: Memory, S: System> Drop for RwLock<M, S> {
    fn drop(&mut self) {
        if self.seat.is_copy() {
            return;
        }
        self.cancel();
        if self.reading > 0 {
            self.count(0);
            self.tell_writer();
        }
        if let Writing::Yes(..) = self.writing {
            Gate::of(self.seat.object()).release(number(self.seat.index()), ABANDONED);
        }
    }
}

impl<M: Memory, S: System> fmt::Debug for RwLock<M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RwLock")
            .field("reading", &self.reading)
            .field("writing", &self.writing)
            .finish_non_exhaustive()
    }
}
