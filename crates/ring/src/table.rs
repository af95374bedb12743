//! Who is attached to an object.
//!
//! A slot belongs to the process whose identity it carries. It is claimed by one store of that
//! identity and given back by the last store of leaving; in between it also says which event loop
//! to ring, what the party does, and six words of the object's own. A slot whose process no longer
//! runs is dead: anybody may sweep it. Claiming and sweeping happen under the object's latch, so
//! a slow sweeper never clears what a newcomer has begun to fill.

use std::fmt;
use std::sync::Arc;

use crate::doorbell::Doorbell;
use crate::error::ClaimError;
use crate::failpoint::failpoint;
use crate::layout::{PARTIES, SLOT, TABLE};
use crate::memory::Memory;
use crate::object::Object;
use crate::sync::{AtomicU64, Ordering};
use crate::system::System;

/// Words of a slot that are the object's own.
pub const OWN: usize = 6;

/// The environment of a party without an event loop.
pub const NO_ENVIRONMENT: u32 = u32::MAX;

/// Offsets in a slot.
const IDENTITY: usize = 0;
const WHAT: usize = 8;
const OWN_AT: usize = 16;

const _: () = assert!(OWN_AT + OWN * 8 == SLOT);

/// What a party is to an object; its meaning is the kind's. 0 is none.
pub type Role = u32;

/// A look at one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupant {
    /// Number of the slot.
    pub party: usize,
    /// Identity of the process.
    pub identity: u64,
    /// Event loop to ring, or [`NO_ENVIRONMENT`].
    pub environment: u32,
    /// What it does; 0 while it arrives or leaves.
    pub role: Role,
}

impl<M: Memory, S: System> Object<M, S> {
    fn slot_word(&self, party: usize, at: usize) -> &AtomicU64 {
        assert!(party < PARTIES, "no slot {party}");
        self.region().word(TABLE + party * SLOT + at)
    }

    /// A word of a slot that is the object's own.
    #[inline]
    pub fn own(&self, party: usize, index: usize) -> &AtomicU64 {
        assert!(index < OWN, "no word {index} in a slot");
        self.slot_word(party, OWN_AT + index * 8)
    }

    /// The same word of every slot, in order.
    #[inline]
    pub(crate) fn owns(&self, index: usize) -> impl Iterator<Item = &AtomicU64> {
        assert!(index < OWN, "no word {index} in a slot");
        let words = self.region().words(TABLE, PARTIES * SLOT / 8);
        words.iter().skip((OWN_AT / 8) + index).step_by(SLOT / 8)
    }

    /// Identity and environment of a slot.
    pub(crate) fn address(&self, party: usize) -> (u64, u32) {
        let identity = self.slot_word(party, IDENTITY).load(Ordering::Acquire);
        let what = self.slot_word(party, WHAT).load(Ordering::Relaxed);
        (identity, what as u32)
    }

    /// Who is in a slot; nobody if it is free.
    pub fn occupant(&self, party: usize) -> Option<Occupant> {
        // SYNC party: pairs with the release of the role in `claim`.
        let what = self.slot_word(party, WHAT).load(Ordering::Acquire);
        let identity = self.slot_word(party, IDENTITY).load(Ordering::Acquire);
        (identity != 0).then_some(Occupant {
            party,
            identity,
            environment: what as u32,
            role: (what >> 32) as Role,
        })
    }

    /// Everybody who is attached, the dead among them until they are swept.
    pub fn occupants(&self) -> impl Iterator<Item = Occupant> {
        (0..PARTIES).filter_map(|party| self.occupant(party))
    }

    /// Frees the slots of processes that no longer run and gives back what they held. Answers how
    /// many there were, and wakes everybody if there was one.
    pub fn sweep(&self) -> usize {
        if !self
            .occupants()
            .any(|occupant| !self.is_alive(occupant.identity))
        {
            return 0;
        }
        let guard = self.latch();
        let swept = self.sweep_latched();
        drop(guard);
        if swept > 0 {
            failpoint!(SweepBeforeRing);
            for doorbell in Doorbell::ALL {
                self.ring(doorbell);
            }
        }
        swept
    }

    /// Whether the process of a party runs.
    pub fn is_alive(&self, identity: u64) -> bool {
        identity == self.system().identity() || self.system().alive(identity)
    }

    /// The same for who holds the latch already. Whoever finds a slot half swept begins it anew:
    /// the identity goes last.
    fn sweep_latched(&self) -> usize {
        let mut swept = 0;
        for occupant in self.occupants() {
            if self.is_alive(occupant.identity) {
                continue;
            }
            failpoint!(SweepBeforeCleanup);
            (self.cleanup)(self, occupant.party);
            failpoint!(SweepBeforeClear);
            self.clear(occupant.party);
            failpoint!(SweepBeforeFree);
            self.free(occupant.party, occupant.identity);
            swept += 1;
        }
        swept
    }

    fn clear(&self, party: usize) {
        self.slot_word(party, WHAT).store(0, Ordering::Release);
        for index in 0..OWN {
            self.own(party, index).store(0, Ordering::Relaxed);
        }
    }

    fn free(&self, party: usize, identity: u64) {
        // SYNC slot: pairs with the acquire of the exchange in `claim`.
        let _ = self.slot_word(party, IDENTITY).compare_exchange(
            identity,
            0,
            Ordering::Release,
            Ordering::Relaxed,
        );
    }
}

/// One attachment to an object: a slot of its table, given back when this is dropped.
pub struct Party<M: Memory, S: System> {
    object: Arc<Object<M, S>>,
    index: usize,
    identity: u64,
}

impl<M: Memory, S: System> Party<M, S> {
    /// Takes a slot. With `exclusive` nobody else may have the same role; the dead are swept first.
    ///
    /// `arrive` fills the slot's own words, which are all 0 before, and runs under the latch,
    /// before the role can be seen.
    pub fn claim(
        object: Arc<Object<M, S>>,
        environment: u32,
        role: Role,
        exclusive: bool,
        arrive: impl FnOnce(&Object<M, S>, usize),
    ) -> Result<Party<M, S>, ClaimError> {
        if object.is_destroyed() {
            return Err(ClaimError::Destroyed);
        }
        let identity = object.system().identity();
        let guard = object.latch();
        let swept = object.sweep_latched();
        let index = Self::claim_latched(&object, identity, role, exclusive);
        if let Ok(index) = index {
            failpoint!(ClaimBeforeRole);
            arrive(&object, index);
            // SYNC party: pairs with the acquire in `occupant`.
            object.slot_word(index, WHAT).store(
                u64::from(role) << 32 | u64::from(environment),
                Ordering::Release,
            );
        }
        drop(guard);
        if swept > 0 {
            failpoint!(SweepBeforeRing);
            for doorbell in Doorbell::ALL {
                object.ring(doorbell);
            }
        }
        Ok(Party {
            index: index?,
            object,
            identity,
        })
    }

    fn claim_latched(
        object: &Object<M, S>,
        identity: u64,
        role: Role,
        exclusive: bool,
    ) -> Result<usize, ClaimError> {
        if exclusive && let Some(holder) = object.occupants().find(|other| other.role == role) {
            return Err(ClaimError::Taken {
                holder: holder.identity,
            });
        }
        (0..PARTIES)
            .find(|&party| {
                // SYNC slot: pairs with the release in `free`.
                object
                    .slot_word(party, IDENTITY)
                    .compare_exchange(0, identity, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
            })
            .ok_or(ClaimError::Full { limit: PARTIES })
    }

    /// The object.
    #[inline]
    pub fn object(&self) -> &Arc<Object<M, S>> {
        &self.object
    }

    /// Number of the slot.
    #[inline]
    pub fn index(&self) -> usize {
        self.index
    }

    /// A word of the slot that is the object's own.
    #[inline]
    pub fn own(&self, index: usize) -> &AtomicU64 {
        self.object.own(self.index, index)
    }
}

impl<M: Memory, S: System> Drop for Party<M, S> {
    fn drop(&mut self) {
        // After a fork without exec the child holds a copy of this. The slot is the parent's.
        if self.identity != self.object.system().identity() {
            return;
        }
        for doorbell in Doorbell::ALL {
            self.object.disarm(doorbell, self.index);
        }
        self.object.clear(self.index);
        failpoint!(ReleaseBeforeFree);
        self.object.free(self.index, self.identity);
        // Whoever waits for this party to do something finds it gone.
        for doorbell in Doorbell::ALL {
            self.object.ring(doorbell);
        }
    }
}

impl<M: Memory, S: System> fmt::Debug for Party<M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Party")
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}
