//! What is done with the word of a lock: taking it, having oneself woken, letting go.
//!
//! Whoever finds the word open takes it with one exchange, also past those who wait: they may be
//! asleep, and waking them takes longer than most locks are held. A party that has been overtaken
//! for a while insists: it puts the one who has waited longest into the word as *next*, and from
//! then on nobody else takes it. So that a party which does not come (stopped, or busy with
//! something else) stops nobody, the word is kept for it only so long; then it goes behind all
//! others.

use crate::doorbell::Doorbell;
use crate::failpoint::failpoint;
use crate::layout::BODY;
use crate::lock::waiting::{self, Waiting};
use crate::lock::word::{ABANDONED, CROWD, FREE, NOBODY, UNSET, Word, number, party};
use crate::memory::Memory;
use crate::object::Object;
use crate::sync::{AtomicU64, Ordering};
use crate::system::System;

/// Offset of the word.
const WORD: usize = BODY;

/// The word of a lock. A place to stand for its functions.
pub(super) struct Gate<'a, M, S> {
    object: &'a Object<M, S>,
}

/// What a taking found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    /// The word as it is now.
    pub(super) word: Word,
    /// Whether the last holder did not let go of it itself.
    pub(super) recovered: bool,
}

impl<'a, M: Memory, S: System> Gate<'a, M, S> {
    #[inline]
    pub(super) fn of(object: &'a Object<M, S>) -> Gate<'a, M, S> {
        Gate { object }
    }

    #[inline]
    fn word(&self) -> &'a AtomicU64 {
        self.object.region().word(WORD)
    }

    /// The word now.
    #[inline]
    pub(super) fn load(&self) -> Word {
        Word(self.word().load(Ordering::Acquire))
    }

    #[inline]
    fn exchange(&self, seen: Word, new: Word) -> Result<(), Word> {
        // SYNC gate: what the holder did is seen by the next one; that somebody waits, by the
        // holder who lets go.
        match self
            .word()
            .compare_exchange(seen.0, new.0, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => Ok(()),
            Err(now) => Err(Word(now)),
        }
    }

    /// Takes the word for `holder`, on behalf of the party `me`, if it is open to it. With `look` a
    /// holder whose process no longer runs is none.
    #[inline]
    pub(super) fn take(&self, me: usize, holder: u8, look: bool) -> Option<Taken> {
        let mut seen = self.load();
        loop {
            let recovered = match seen.holder() {
                FREE => false,
                ABANDONED => true,
                _ if look && self.is_orphan(seen) => true,
                _ => return None,
            };
            if seen.is_open() && !self.is_open_to(seen, me) {
                return None;
            }
            let next = if seen.next() == NOBODY { NOBODY } else { CROWD };
            let word = seen.taken(next, holder);
            match self.exchange(seen, word) {
                Ok(()) => return Some(Taken { word, recovered }),
                Err(now) => seen = now,
            }
        }
    }

    /// Whether the holder's process no longer runs. If the word is the same afterwards the answer
    /// is about this holder.
    pub(super) fn is_orphan(&self, seen: Word) -> bool {
        match party(seen.holder()) {
            Some(holder) => {
                let (identity, _) = self.object.address(holder);
                identity == 0 || !self.object.is_alive(identity)
            }
            // No number that anybody writes.
            None => !matches!(seen.holder(), FREE | UNSET | ABANDONED),
        }
    }

    /// Whether the word, which is open, is open to this party.
    #[inline]
    pub(super) fn is_open_to(&self, seen: Word, me: usize) -> bool {
        let next = seen.next();
        next == NOBODY || next == CROWD || next == number(me) || self.gives_up(next)
    }

    /// Whether the party that the word is kept for has had its chance. Then it goes to the end.
    #[cold]
    fn gives_up(&self, next: u8) -> bool {
        let Some(next) = party(next) else {
            return true;
        };
        let ticket = waiting::ticket(self.object, next).load(Ordering::Acquire);
        if ticket == 0 {
            return true;
        }
        let over = waiting::is_over(self.object);
        if over {
            waiting::demote(self.object, next, ticket);
        }
        over
    }

    /// Has the next letting go wake us. Answers `false` if the word is open to us: try again.
    ///
    /// The caller is entered at the doorbell already, so whoever lets go after this finds it there.
    pub(super) fn announce(&self, me: usize, insists: bool) -> bool {
        let mut seen = self.load();
        loop {
            if seen.is_open() && self.is_open_to(seen, me) {
                return false;
            }
            let next = match seen.next() {
                NOBODY | CROWD if insists => {
                    let turn = waiting::oldest(self.object).map_or(me, |(party, _)| party);
                    number(turn)
                }
                NOBODY => CROWD,
                next => next,
            };
            if next == seen.next() {
                return true;
            }
            match self.exchange(seen, seen.with(next, seen.holder())) {
                Ok(()) => return true,
                Err(now) => seen = now,
            }
        }
    }

    /// Says that nobody has a word whose holder's process no longer runs. Answers whether that was
    /// so, or the word is another by now.
    pub(super) fn bury(&self, seen: Word) -> bool {
        if seen.is_open() || !self.is_orphan(seen) {
            return false;
        }
        waiting::keep(self.object);
        if self
            .exchange(seen, seen.with(seen.next(), ABANDONED))
            .is_ok()
        {
            self.object.ring(Doorbell::Items);
        }
        true
    }

    /// Gives up the right of being next without leaving the wait. Answers whether we had it.
    pub(super) fn pass(&self, me: usize) -> bool {
        let mut seen = self.load();
        while seen.next() == number(me) {
            match self.exchange(seen, seen.with(CROWD, seen.holder())) {
                Ok(()) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// One attempt of a wait: takes the word, or has us woken.
    pub(super) fn attempt(
        &self,
        me: usize,
        holder: u8,
        waiting: &mut Waiting,
        idle: bool,
    ) -> Option<Taken> {
        let look = waiting.look(idle);
        loop {
            if let Some(taken) = self.take(me, holder, look) {
                return Some(taken);
            }
            if self.announce(me, waiting.insists()) {
                return None;
            }
        }
    }

    /// Ends a wait, successful or not.
    pub(super) fn leave(&self, me: usize) {
        waiting::ticket(self.object, me).store(0, Ordering::Release);
        failpoint!(LeaveBeforePassing);
        // It may be kept for us, and others wait.
        if self.pass(me) && self.load().is_open() {
            self.object.ring(Doorbell::Items);
        }
    }

    /// Lets go of a word that is `from`'s; afterwards it is `to`'s. Answers whether it was.
    pub(super) fn release(&self, from: u8, to: u8) -> bool {
        let mut seen = self.load();
        loop {
            if seen.holder() != from {
                return false;
            }
            let (next, waited) = match seen.next() {
                NOBODY => (NOBODY, false),
                CROWD => (NOBODY, true),
                next => {
                    waiting::keep(self.object);
                    (next, true)
                }
            };
            failpoint!(UnlockBeforeFree);
            match self.exchange(seen, seen.with(next, to)) {
                Ok(()) => {
                    failpoint!(UnlockBeforeRing);
                    if waited {
                        self.object.ring(Doorbell::Items);
                    }
                    return true;
                }
                Err(now) => seen = now,
            }
        }
    }

    /// Opens the word whoever's it is. Answers whether it was not open. Nobody is woken.
    pub(super) fn open(&self) -> bool {
        let mut seen = self.load();
        while !seen.is_open() {
            let next = match seen.next() {
                NOBODY | CROWD => NOBODY,
                next => {
                    waiting::keep(self.object);
                    next
                }
            };
            match self.exchange(seen, seen.with(next, FREE)) {
                Ok(()) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// Lets go of a word that is exactly this, which nobody waits for. Else nothing is done.
    #[inline]
    pub(super) fn release_quietly(&self, held: Word) -> bool {
        if held.next() != NOBODY {
            return false;
        }
        failpoint!(UnlockBeforeFree);
        self.exchange(held, held.with(NOBODY, FREE)).is_ok()
    }
}
