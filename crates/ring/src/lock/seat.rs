//! One party at a lock: an object of one line, and a slot of its table.

use std::sync::Arc;

use crate::error::{ClaimError, OpenError};
use crate::layout::{BODY, Kind};
use crate::lock::error::{JoinError, LockError};
use crate::memory::Memory;
use crate::object::{Cleanup, Object};
use crate::sync::{AtomicU64, Ordering};
use crate::system::System;
use crate::table::Party;

/// Bytes of the body of every lock.
const LINE: usize = 64;

/// Bytes of memory that a lock needs.
pub(super) const SIZE: usize = BODY + LINE;

/// The role of everybody at a lock.
const ROLE: u32 = 1;

/// A party.
pub(super) struct Seat<M: Memory, S: System> {
    party: Party<M, S>,
    identity: u64,
}

impl<M: Memory, S: System> Seat<M, S> {
    /// Makes the lock and takes the first slot. `first` is the first word of the body.
    pub(super) fn create(
        memory: M,
        system: S,
        environment: u32,
        kind: Kind,
        parameter: u64,
        cleanup: Cleanup<M, S>,
        first: u64,
    ) -> Result<Seat<M, S>, JoinError> {
        let object = Object::create(
            memory,
            system,
            kind,
            LINE,
            [parameter, 0, 0],
            cleanup,
            |region| region.word(BODY).store(first, Ordering::Relaxed),
        )?;
        Ok(Seat::claim(Arc::new(object), environment)?)
    }

    /// Attaches to a lock whose parameter is in `range`.
    pub(super) fn attach(
        memory: M,
        system: S,
        environment: u32,
        kind: Kind,
        range: std::ops::RangeInclusive<u64>,
        cleanup: Cleanup<M, S>,
    ) -> Result<Seat<M, S>, JoinError> {
        let object = Object::attach(memory, system, kind, cleanup)?;
        if object.body() != LINE {
            return Err(OpenError::Parameter("total size").into());
        }
        let [parameter, rest @ ..] = object.header().parameters;
        if !range.contains(&parameter) || rest != [0, 0] {
            return Err(OpenError::Parameter("parameter of the lock").into());
        }
        Ok(Seat::claim(Arc::new(object), environment)?)
    }

    fn claim(object: Arc<Object<M, S>>, environment: u32) -> Result<Seat<M, S>, ClaimError> {
        let identity = object.system().identity();
        let party = Party::claim(object, environment, ROLE, false, |_, _| {})?;
        Ok(Seat { party, identity })
    }

    /// One more party of this process, at the same mapping.
    pub(super) fn another(&self, environment: u32) -> Result<Seat<M, S>, ClaimError> {
        Seat::claim(Arc::clone(self.party.object()), environment)
    }

    #[inline]
    pub(super) fn object(&self) -> &Arc<Object<M, S>> {
        self.party.object()
    }

    /// Number of the slot.
    #[inline]
    pub(super) fn index(&self) -> usize {
        self.party.index()
    }

    /// A word of the slot.
    #[inline]
    pub(super) fn own(&self, index: usize) -> &AtomicU64 {
        self.party.own(index)
    }

    /// The number that the lock was made with.
    pub(super) fn parameter(&self) -> u64 {
        self.object().header().parameters[0]
    }

    #[inline]
    pub(super) fn check(&self) -> Result<(), LockError> {
        if self.object().is_destroyed() {
            return Err(LockError::Destroyed);
        }
        Ok(())
    }

    /// Whether this is the copy that a fork without exec left: what is held is the parent's.
    pub(super) fn is_copy(&self) -> bool {
        self.identity != self.object().system().identity()
    }
}
