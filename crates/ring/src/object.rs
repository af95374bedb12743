//! One object in one memory: the header, checked, and what every kind of object needs.

use std::fmt;

use crate::doorbell::Doorbell;
use crate::error::OpenError;
use crate::failpoint::failpoint;
use crate::latch::{Latch, LatchGuard};
use crate::layout::{BODY, DOORBELLS, HEADER, Header, Kind, LATCH, STATE, State, TABLE};
use crate::memory::{Memory, Region, WORD};
use crate::sync::Ordering;
use crate::system::System;

/// Gives back what the party with this slot number held; called with the latch held, after the
/// party's process died. May be cut short by a kill and is then called again: it must be idempotent.
pub type Cleanup<M, S> = fn(&Object<M, S>, usize);

/// An object that is attached to.
pub struct Object<M, S> {
    region: Region<M>,
    system: S,
    header: Header,
    pub(crate) cleanup: Cleanup<M, S>,
}

impl<M: Memory, S: System> Object<M, S> {
    /// Makes a new object whose body has `body` bytes, in memory that nobody else uses yet and
    /// whose bytes are 0. `prepare` writes what of the body is not 0.
    pub fn create(
        memory: M,
        system: S,
        kind: Kind,
        body: usize,
        parameters: [u64; 3],
        cleanup: Cleanup<M, S>,
        prepare: impl FnOnce(&Region<M>),
    ) -> Result<Object<M, S>, OpenError> {
        let region = Region::new(memory)?;
        let total = BODY.saturating_add(body);
        if total > region.size() {
            return Err(OpenError::TooSmall {
                found: region.size() as u64,
                needed: total as u64,
            });
        }
        let header = Header {
            kind: kind as u32,
            total: total as u64,
            world: system.world(),
            parameters,
        };
        region.write_racing(0, &header.encode());
        prepare(&region);
        failpoint!(CreateBeforeReady);
        // SYNC object-ready: pairs with the acquire in `attach`.
        region
            .word(STATE)
            .store(State::Ready as u64, Ordering::Release);
        Ok(Object {
            region,
            system,
            header,
            cleanup,
        })
    }

    /// Attaches to an object that exists. The kind's own parameters are the caller's to check, in
    /// [`Object::header`], before anything else is done.
    pub fn attach(
        memory: M,
        system: S,
        kind: Kind,
        cleanup: Cleanup<M, S>,
    ) -> Result<Object<M, S>, OpenError> {
        let region = Region::new(memory)?;
        let header = read_header(&region)?;
        if header.kind != kind as u32 {
            return Err(OpenError::Kind {
                found: header.kind,
                expected: kind as u32,
            });
        }
        // Its owners would look dead from here, and what they hold would be held twice.
        if header.world != system.world() {
            return Err(OpenError::World);
        }
        Ok(Object {
            region,
            system,
            header,
            cleanup,
        })
    }

    /// The memory.
    #[inline]
    pub fn region(&self) -> &Region<M> {
        &self.region
    }

    /// The system.
    #[inline]
    pub fn system(&self) -> &S {
        &self.system
    }

    /// The header as it was when the object was attached to.
    #[inline]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Bytes of the body.
    pub fn body(&self) -> usize {
        self.header.total as usize - BODY
    }

    /// Whether somebody has destroyed the object.
    #[inline]
    pub fn is_destroyed(&self) -> bool {
        self.region.word(STATE).load(Ordering::Acquire) == State::Destroyed as u64
    }

    /// Tells everybody that the object is not to be used any more, and wakes who waits for it.
    pub fn destroy(&self) {
        self.region
            .word(STATE)
            .store(State::Destroyed as u64, Ordering::Release);
        for doorbell in Doorbell::ALL {
            self.ring(doorbell);
        }
    }

    /// Takes the object's latch: it guards the table of parties and what the kind puts under it.
    #[inline]
    pub fn latch(&self) -> LatchGuard<'_> {
        Latch::at(LATCH).lock(&self.region, &self.system)
    }
}

/// Reads and checks the header of any kind of object.
pub fn read_header<M: Memory>(region: &Region<M>) -> Result<Header, OpenError> {
    const _: () = assert!(STATE + WORD <= LATCH && LATCH < DOORBELLS && DOORBELLS < TABLE);
    if region.size() < BODY {
        return Err(OpenError::TooSmall {
            found: region.size() as u64,
            needed: BODY as u64,
        });
    }
    // SYNC object-ready: pairs with the release in `create`.
    let state = region.word(STATE).load(Ordering::Acquire);
    let mut copy = [0; HEADER];
    region.read_racing(0, &mut copy);
    // Memory whose creator has not begun is all 0 and must not be called foreign.
    if state == State::Making as u64 && copy == [0; HEADER] {
        return Err(OpenError::NotReady);
    }
    let header = Header::decode(&copy, region.size() as u64)?;
    match state {
        state if state == State::Ready as u64 => Ok(header),
        state if state == State::Making as u64 => Err(OpenError::NotReady),
        state if state == State::Destroyed as u64 => Err(OpenError::Destroyed),
        _ => Err(OpenError::Parameter("state")),
    }
}

impl<M, S> fmt::Debug for Object<M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}
