//! A ring as an object: made, attached to, and its ends taken.

use std::fmt;
use std::sync::Arc;

use crate::consumer::{self, Consumer};
use crate::error::{EndError, OpenError};
use crate::flavors::broadcast::{self, Policy};
use crate::flavors::{Place, mpsc, spsc};
use crate::layout::{BODY, Kind};
use crate::memory::Memory;
use crate::object::{Cleanup, Object};
use crate::producer::{self, Producer};
use crate::record::{CONTROL, Geometry};
use crate::system::System;
use crate::table::{Party, Role};

/// Role of a producer in the table of parties.
pub const PRODUCER: Role = 1;

/// Role of a consumer in the table of parties.
pub const CONSUMER: Role = broadcast::CONSUMER;

/// How many ends a ring has, and what becomes of a slow one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// One producer, one consumer.
    Spsc,
    /// Many producers, one consumer.
    Mpsc,
    /// One producer, many consumers that each see everything.
    Broadcast(Policy),
}

impl Flavor {
    /// The kind of object a ring of this flavor is.
    pub fn kind(self) -> Kind {
        match self {
            Flavor::Spsc => Kind::Spsc,
            Flavor::Mpsc => Kind::Mpsc,
            Flavor::Broadcast(_) => Kind::Broadcast,
        }
    }

    fn extra(self) -> usize {
        match self {
            Flavor::Broadcast(_) => broadcast::EXTRA,
            _ => 0,
        }
    }

    fn cleanup<M: Memory, S: System>(self) -> Cleanup<M, S> {
        match self {
            Flavor::Mpsc => mpsc::cleanup,
            _ => |_, _| {},
        }
    }
}

/// A ring of variable-size records.
pub struct Ring<M: Memory, S: System> {
    object: Arc<Object<M, S>>,
    flavor: Flavor,
    geometry: Geometry,
}

impl<M: Memory, S: System> Ring<M, S> {
    /// Bytes of memory a ring needs whose records share `capacity` bytes.
    pub fn size(capacity: usize) -> usize {
        BODY.saturating_add(CONTROL).saturating_add(capacity)
    }

    /// Makes a ring in memory that nobody else uses yet and whose bytes are 0. The capacity is in
    /// bytes: a power of two, at least 64, at most 2^40.
    pub fn create(
        memory: M,
        system: S,
        flavor: Flavor,
        capacity: usize,
    ) -> Result<Ring<M, S>, OpenError> {
        let geometry = Geometry::new(capacity as u64, flavor.extra())?;
        let policy = match flavor {
            Flavor::Broadcast(policy) => policy as u64,
            _ => 0,
        };
        let object = Object::create(
            memory,
            system,
            flavor.kind(),
            CONTROL + capacity,
            [capacity as u64, policy, 0],
            flavor.cleanup(),
            |_| {},
        )?;
        Ok(Ring {
            object: Arc::new(object),
            flavor,
            geometry,
        })
    }

    /// Attaches to a ring of this kind, one of the three.
    pub fn attach(memory: M, system: S, kind: Kind) -> Result<Ring<M, S>, OpenError> {
        let cleanup = match kind {
            Kind::Mpsc => Flavor::Mpsc.cleanup(),
            _ => Flavor::Spsc.cleanup(),
        };
        let object = Object::attach(memory, system, kind, cleanup)?;
        let [capacity, policy, unused] = object.header().parameters;
        let policy = Policy::from_number(policy).ok_or(OpenError::Parameter("policy"))?;
        let flavor = match kind {
            Kind::Broadcast => Flavor::Broadcast(policy),
            _ if policy as u64 != 0 => return Err(OpenError::Parameter("policy")),
            Kind::Spsc => Flavor::Spsc,
            Kind::Mpsc => Flavor::Mpsc,
            _ => return Err(OpenError::Parameter("kind")),
        };
        let geometry = Geometry::new(capacity, flavor.extra())?;
        if unused != 0 || object.header().total != Self::size(capacity as usize) as u64 {
            return Err(OpenError::Parameter("total size"));
        }
        Ok(Ring {
            object: Arc::new(object),
            flavor,
            geometry,
        })
    }

    /// The ring as an object.
    pub fn object(&self) -> &Arc<Object<M, S>> {
        &self.object
    }

    /// The ring's flavor.
    pub fn flavor(&self) -> Flavor {
        self.flavor
    }

    /// Bytes that records share, their heads included.
    pub fn capacity(&self) -> usize {
        self.geometry.capacity as usize
    }

    /// The longest record the ring takes, in bytes.
    pub fn limit(&self) -> usize {
        self.geometry.limit
    }

    /// Takes an end that writes. `environment` is the event loop to ring for it, or
    /// [`NO_ENVIRONMENT`](crate::table::NO_ENVIRONMENT).
    pub fn producer(&self, environment: u32) -> Result<Producer<M, S>, EndError> {
        let exclusive = self.flavor != Flavor::Mpsc;
        let object = Arc::clone(&self.object);
        let party = Party::claim(object, environment, PRODUCER, exclusive, |_, _| {})?;
        let place = self.place(party);
        let flavor = match self.flavor {
            Flavor::Spsc => producer::Flavor::Spsc(spsc::Producer::new(&place)?),
            Flavor::Mpsc => producer::Flavor::Mpsc(mpsc::Producer::new(&place)),
            Flavor::Broadcast(policy) => {
                producer::Flavor::Broadcast(broadcast::Producer::new(&place, policy)?)
            }
        };
        Ok(Producer::new(place, flavor))
    }

    /// Takes an end that reads. `environment` is the event loop to ring for it, or
    /// [`NO_ENVIRONMENT`](crate::table::NO_ENVIRONMENT).
    pub fn consumer(&self, environment: u32) -> Result<Consumer<M, S>, EndError> {
        let object = Arc::clone(&self.object);
        let party = match self.flavor {
            Flavor::Broadcast(_) => {
                let arrive = broadcast::Consumer::arrive;
                Party::claim(object, environment, CONSUMER, false, arrive)?
            }
            _ => Party::claim(object, environment, CONSUMER, true, |_, _| {})?,
        };
        let place = self.place(party);
        let flavor = match self.flavor {
            Flavor::Spsc => consumer::Flavor::Spsc(spsc::Consumer::new(&place)?),
            Flavor::Mpsc => consumer::Flavor::Mpsc(mpsc::Consumer::new(&place)?),
            Flavor::Broadcast(policy) => {
                consumer::Flavor::Broadcast(broadcast::Consumer::new(&place, policy)?)
            }
        };
        Ok(Consumer::new(place, flavor))
    }

    fn place(&self, party: Party<M, S>) -> Place<M, S> {
        Place {
            party,
            geometry: self.geometry,
            races: matches!(self.flavor, Flavor::Broadcast(policy) if policy != Policy::Wait),
        }
    }
}

impl<M: Memory, S: System> fmt::Debug for Ring<M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("flavor", &self.flavor)
            .field("capacity", &self.geometry.capacity)
            .finish_non_exhaustive()
    }
}
