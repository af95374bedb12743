//! A flag that is waited for, as JavaScript attaches to it.

use napi_derive::napi;
use rsipc_core::shm::Event;
use rsipc_ring::lock::Reset;

use super::error::{Result, failed};
use super::lock::Lock;
use super::object::{self, Attachment};
use super::producer::patience;

fn kind(auto_reset: bool) -> Reset {
    match auto_reset {
        false => Reset::Manual,
        true => Reset::Auto,
    }
}

/// An attachment to an event.
#[napi]
pub struct SharedEvent {
    lock: Lock<Event>,
}

impl SharedEvent {
    fn of(attachment: Attachment<Event>, environment: u32) -> SharedEvent {
        SharedEvent {
            lock: Lock::new(attachment, environment),
        }
    }
}

#[napi]
impl SharedEvent {
    /// Makes an event, under a name or without.
    #[napi(factory, catch_unwind)]
    pub fn create(auto_reset: bool, name: Option<String>, environment: u32) -> Result<SharedEvent> {
        let make = |memory, os| Event::create(memory, os, environment, kind(auto_reset), false);
        let made = object::create(name.as_deref(), Event::SIZE, make)?;
        Ok(SharedEvent::of(made, environment))
    }

    /// Opens an event by name.
    #[napi(factory, catch_unwind)]
    pub fn open(name: String, environment: u32) -> Result<SharedEvent> {
        let attach = |memory, os| Event::attach(memory, os, environment);
        Ok(SharedEvent::of(object::open(&name, attach)?, environment))
    }

    /// Opens an event by name, or makes it.
    #[napi(factory, catch_unwind)]
    pub fn open_or_create(auto_reset: bool, name: String, environment: u32) -> Result<SharedEvent> {
        let make = |memory, os| Event::create(memory, os, environment, kind(auto_reset), false);
        let attach = |memory, os| Event::attach(memory, os, environment);
        let found = object::open_or_create(&name, Event::SIZE, make, attach)?;
        Ok(SharedEvent::of(found, environment))
    }

    /// Attaches to an event whose descriptor was received and stays the caller's.
    #[napi(factory, catch_unwind)]
    pub fn adopt(fd: i32, environment: u32) -> Result<SharedEvent> {
        let attach = |memory, os| Event::attach(memory, os, environment);
        Ok(SharedEvent::of(object::adopt(fd, attach)?, environment))
    }

    /// Bytes of the mapping.
    #[napi(getter, catch_unwind)]
    pub fn size(&self) -> Result<f64> {
        self.lock.size()
    }

    /// The descriptor, to be sent.
    #[napi(getter, catch_unwind)]
    pub fn fd(&self) -> Result<i32> {
        self.lock.fd()
    }

    /// Whether the first who passes resets it.
    #[napi(getter, catch_unwind)]
    pub fn auto_reset(&self) -> Result<bool> {
        self.lock.with(|lock| Ok(lock.kind() == Reset::Auto))
    }

    /// Whether it is set.
    #[napi(getter, catch_unwind)]
    pub fn is_set(&self) -> Result<bool> {
        self.lock.with(|lock| Ok(lock.is_set()))
    }

    /// How often it was set while it was not.
    #[napi(getter, catch_unwind)]
    pub fn settings(&self) -> Result<f64> {
        self.lock.with(|lock| Ok(lock.settings() as f64))
    }

    /// Sets it; whether it was not set before.
    #[napi(catch_unwind)]
    pub fn set(&self) -> Result<bool> {
        self.lock.with(|lock| lock.set().map_err(failed))
    }

    /// Resets it; whether it was set before.
    #[napi(catch_unwind)]
    pub fn reset(&self) -> Result<bool> {
        self.lock.with(|lock| lock.reset().map_err(failed))
    }

    /// Passes if it is set; whether it did.
    #[napi(catch_unwind)]
    pub fn try_wait(&self) -> Result<bool> {
        self.lock.with(|lock| lock.try_wait().map_err(failed))
    }

    /// Passes if it is set, or was since the wait began; else the bell of the environment rings when it
    /// is to be called again.
    #[napi(catch_unwind)]
    pub fn poll(&self) -> Result<bool> {
        self.lock.with(|lock| lock.poll().map_err(failed))
    }

    /// Ends the wait that `poll` has begun.
    #[napi(catch_unwind)]
    pub fn cancel(&self) -> Result<()> {
        self.lock.with(|lock| {
            lock.cancel();
            Ok(())
        })
    }

    /// Waits for it, blocking the thread for so many milliseconds; whether it passed.
    #[napi(catch_unwind)]
    pub fn wait_sync(&self, spin: u32, milliseconds: f64) -> Result<bool> {
        let patience = patience(spin, milliseconds);
        self.lock.with(|lock| lock.wait(patience).map_err(failed))
    }

    /// Takes the name away from it, if it has it still.
    #[napi(catch_unwind)]
    pub fn unlink(&self, name: String) -> Result<bool> {
        self.lock.unlink(&name)
    }

    /// Gives back what the dead held.
    #[napi(catch_unwind)]
    pub fn sweep(&self) -> Result<u32> {
        self.lock.with(|lock| Ok(lock.object().sweep() as u32))
    }

    /// Lets go of the event. Safe to call twice.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        self.lock.close(|_| {});
    }
}
