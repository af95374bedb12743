//! So many permits, as JavaScript attaches to it.

use napi_derive::napi;
use rsipc_core::shm::Semaphore;

use super::error::{Result, failed};
use super::lock::{Lock, deadlock};
use super::object::{self, Attachment};
use super::producer::patience;

/// An attachment to a semaphore.
#[napi]
pub struct SharedSemaphore {
    lock: Lock<Semaphore>,
}

impl SharedSemaphore {
    fn of(attachment: Attachment<Semaphore>, environment: u32) -> SharedSemaphore {
        SharedSemaphore {
            lock: Lock::new(attachment, environment),
        }
    }
}

#[napi]
impl SharedSemaphore {
    /// Makes a semaphore, under a name or without.
    #[napi(factory, catch_unwind)]
    pub fn create(permits: f64, name: Option<String>, environment: u32) -> Result<SharedSemaphore> {
        let make = |memory, os| Semaphore::create(memory, os, environment, permits as u64);
        let made = object::create(name.as_deref(), Semaphore::SIZE, make)?;
        Ok(SharedSemaphore::of(made, environment))
    }

    /// Opens a semaphore by name.
    #[napi(factory, catch_unwind)]
    pub fn open(name: String, environment: u32) -> Result<SharedSemaphore> {
        let attach = |memory, os| Semaphore::attach(memory, os, environment);
        Ok(SharedSemaphore::of(
            object::open(&name, attach)?,
            environment,
        ))
    }

    /// Opens a semaphore by name, or makes it.
    #[napi(factory, catch_unwind)]
    pub fn open_or_create(permits: f64, name: String, environment: u32) -> Result<SharedSemaphore> {
        let make = |memory, os| Semaphore::create(memory, os, environment, permits as u64);
        let attach = |memory, os| Semaphore::attach(memory, os, environment);
        let found = object::open_or_create(&name, Semaphore::SIZE, make, attach)?;
        Ok(SharedSemaphore::of(found, environment))
    }

    /// Attaches to a semaphore whose descriptor was received and stays the caller's.
    #[napi(factory, catch_unwind)]
    pub fn adopt(fd: i32, environment: u32) -> Result<SharedSemaphore> {
        let attach = |memory, os| Semaphore::attach(memory, os, environment);
        Ok(SharedSemaphore::of(object::adopt(fd, attach)?, environment))
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

    /// How many permits there are.
    #[napi(getter, catch_unwind)]
    pub fn permits(&self) -> Result<f64> {
        self.lock.with(|lock| Ok(lock.limit() as f64))
    }

    /// How many nobody holds.
    #[napi(getter, catch_unwind)]
    pub fn available(&self) -> Result<f64> {
        self.lock.with(|lock| Ok(lock.available() as f64))
    }

    /// Takes so many permits if they are free and nobody waits for them; whether it did.
    #[napi(catch_unwind)]
    pub fn try_acquire(&self, count: f64) -> Result<bool> {
        self.lock
            .with(|lock| lock.try_acquire(count as u64).map_err(failed))
    }

    /// Takes so many permits; else the bell of the environment rings when it is to be called again.
    #[napi(catch_unwind)]
    pub fn poll(&self, count: f64) -> Result<bool> {
        self.lock
            .with(|lock| lock.poll(count as u64).map_err(failed))
    }

    /// Ends the wait that `poll` has begun.
    #[napi(catch_unwind)]
    pub fn cancel(&self) -> Result<()> {
        self.lock.with(|lock| {
            lock.cancel();
            Ok(())
        })
    }

    /// Takes so many permits, blocking the thread for so many milliseconds; whether it did.
    #[napi(catch_unwind)]
    pub fn acquire_sync(&self, count: f64, spin: u32, milliseconds: f64) -> Result<bool> {
        let count = count as u64;
        self.lock.with(|lock| {
            // The others can never have enough.
            if lock.held().saturating_add(count) > lock.limit() && count <= lock.limit() {
                return Err(deadlock());
            }
            let patience = patience(spin, milliseconds);
            lock.acquire(count, patience).map_err(failed)
        })
    }

    /// Gives back so many permits.
    #[napi(catch_unwind)]
    pub fn release(&self, count: f64) -> Result<()> {
        self.lock
            .with(|lock| lock.release(count as u64).map_err(failed))
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

    /// Lets go of the semaphore and the permits it holds. Safe to call twice.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        self.lock.close(|_| {});
    }
}
