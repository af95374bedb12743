//! A ring as JavaScript attaches to it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use napi_derive::napi;
use rsipc_core::shm::Ring;
use rsipc_ring::layout::Kind as ObjectKind;
use rsipc_ring::object::read_header;
use rsipc_ring::ring::Flavor;
use rsipc_ring::{OpenError, Policy, Region};
use rsipc_sys::os::Os;
use rsipc_sys::shm::Mapping;

use super::consumer::SharedConsumer;
use super::error::{Result, closed, failed};
use super::object::{self, Attachment};
use super::producer::SharedProducer;

/// A ring to be made.
#[napi(object)]
pub struct RingShape {
    /// Bytes for records, a power of two.
    pub capacity: f64,
    /// `spsc`, `mpsc` or `broadcast`.
    pub flavor: String,
    /// Of a broadcast ring: `wait`, `drop-oldest` or `disconnect`.
    pub slow_consumer: String,
}

impl RingShape {
    fn flavor(&self) -> Flavor {
        let policy = match self.slow_consumer.as_str() {
            "drop-oldest" => Policy::DropOldest,
            "disconnect" => Policy::Disconnect,
            _ => Policy::Wait,
        };
        match self.flavor.as_str() {
            "mpsc" => Flavor::Mpsc,
            "broadcast" => Flavor::Broadcast(policy),
            _ => Flavor::Spsc,
        }
    }

    fn size(&self) -> usize {
        Ring::size(self.capacity as usize)
    }

    fn make(&self, memory: Mapping, os: Arc<Os>) -> std::result::Result<Ring, OpenError> {
        Ring::create(memory, os, self.flavor(), self.capacity as usize)
    }
}

/// Attaches to a ring of whichever flavor it is.
fn attach(memory: Mapping, os: Arc<Os>) -> std::result::Result<Ring, OpenError> {
    let found = read_header(&Region::new(memory.clone())?)?.kind;
    let kind = [ObjectKind::Spsc, ObjectKind::Mpsc, ObjectKind::Broadcast]
        .into_iter()
        .find(|kind| *kind as u32 == found)
        .unwrap_or(ObjectKind::Spsc);
    Ring::attach(memory, os, kind)
}

/// An attachment to a ring.
#[napi]
pub struct SharedRing {
    ring: RefCell<Option<Rc<Attachment<Ring>>>>,
}

impl SharedRing {
    fn of(attachment: Attachment<Ring>) -> SharedRing {
        SharedRing {
            ring: RefCell::new(Some(Rc::new(attachment))),
        }
    }

    fn get(&self) -> Result<Rc<Attachment<Ring>>> {
        self.ring.borrow().clone().ok_or_else(closed)
    }
}

#[napi]
impl SharedRing {
    /// Makes a ring, under a name or without.
    #[napi(factory, catch_unwind)]
    pub fn create(shape: RingShape, name: Option<String>) -> Result<SharedRing> {
        let make = |memory, os| shape.make(memory, os);
        object::create(name.as_deref(), shape.size(), make).map(SharedRing::of)
    }

    /// Opens a ring by name.
    #[napi(factory, catch_unwind)]
    pub fn open(name: String) -> Result<SharedRing> {
        object::open(&name, attach).map(SharedRing::of)
    }

    /// Opens a ring by name, or makes it.
    #[napi(factory, catch_unwind)]
    pub fn open_or_create(shape: RingShape, name: String) -> Result<SharedRing> {
        let make = |memory, os| shape.make(memory, os);
        object::open_or_create(&name, shape.size(), make, attach).map(SharedRing::of)
    }

    /// Attaches to a ring whose descriptor was received and stays the caller's.
    #[napi(factory, catch_unwind)]
    pub fn adopt(fd: i32) -> Result<SharedRing> {
        object::adopt(fd, attach).map(SharedRing::of)
    }

    /// `spsc`, `mpsc` or `broadcast`.
    #[napi(getter, catch_unwind)]
    pub fn flavor(&self) -> Result<&'static str> {
        Ok(match self.get()?.object.flavor() {
            Flavor::Spsc => "spsc",
            Flavor::Mpsc => "mpsc",
            Flavor::Broadcast(_) => "broadcast",
        })
    }

    /// Bytes for records.
    #[napi(getter, catch_unwind)]
    pub fn capacity(&self) -> Result<f64> {
        Ok(self.get()?.object.capacity() as f64)
    }

    /// The longest record.
    #[napi(getter, catch_unwind)]
    pub fn limit(&self) -> Result<f64> {
        Ok(self.get()?.object.limit() as f64)
    }

    /// Bytes of the mapping.
    #[napi(getter, catch_unwind)]
    pub fn size(&self) -> Result<f64> {
        Ok(self.get()?.size())
    }

    /// The descriptor, to be sent.
    #[napi(getter, catch_unwind)]
    pub fn fd(&self) -> Result<i32> {
        Ok(self.get()?.fd())
    }

    /// Takes the name away from the ring, if it has it still.
    #[napi(catch_unwind)]
    pub fn unlink(&self, name: String) -> Result<bool> {
        self.get()?.unlink(&name)
    }

    /// Takes an end that writes, for this environment.
    #[napi(catch_unwind)]
    pub fn producer(&self, environment: u32) -> Result<SharedProducer> {
        let ring = self.get()?;
        let end = ring.object.producer(environment).map_err(failed)?;
        Ok(SharedProducer::new(end, ring))
    }

    /// Takes an end that reads, for this environment.
    #[napi(catch_unwind)]
    pub fn consumer(&self, environment: u32) -> Result<SharedConsumer> {
        let ring = self.get()?;
        let end = ring.object.consumer(environment).map_err(failed)?;
        Ok(SharedConsumer::new(end, ring))
    }

    /// Lets go of the ring; its ends are closed on their own. Safe to call twice.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        self.ring.take();
    }
}
