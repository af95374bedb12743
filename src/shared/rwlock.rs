//! A lock with one writer or many readers, as JavaScript attaches to it.

use napi_derive::napi;
use rsipc_core::shm::RwLock;
use rsipc_ring::lock::{LockError, Reading};

use super::error::{Result, failed};
use super::lock::{Lock, busy, number, wait};
use super::object::{self, Attachment};

fn release(lock: &mut RwLock) -> std::result::Result<(), LockError> {
    let held = lock.held().ok_or(LockError::NotHeld)?;
    lock.unlock_write(held.fence)
}

fn reading(reading: Option<Reading>) -> f64 {
    match reading {
        None => 0.0,
        Some(Reading { recovered: false }) => 1.0,
        Some(Reading { recovered: true }) => -1.0,
    }
}

/// An attachment to a read-write lock.
#[napi]
pub struct SharedRwLock {
    lock: Lock<RwLock>,
}

impl SharedRwLock {
    fn of(attachment: Attachment<RwLock>, environment: u32) -> SharedRwLock {
        SharedRwLock {
            lock: Lock::new(attachment, environment),
        }
    }
}

#[napi]
impl SharedRwLock {
    /// Makes a read-write lock, under a name or without.
    #[napi(factory, catch_unwind)]
    pub fn create(name: Option<String>, environment: u32) -> Result<SharedRwLock> {
        let make = |memory, os| RwLock::create(memory, os, environment);
        let made = object::create(name.as_deref(), RwLock::SIZE, make)?;
        Ok(SharedRwLock::of(made, environment))
    }

    /// Opens a read-write lock by name.
    #[napi(factory, catch_unwind)]
    pub fn open(name: String, environment: u32) -> Result<SharedRwLock> {
        let attach = |memory, os| RwLock::attach(memory, os, environment);
        Ok(SharedRwLock::of(object::open(&name, attach)?, environment))
    }

    /// Opens a read-write lock by name, or makes it.
    #[napi(factory, catch_unwind)]
    pub fn open_or_create(name: String, environment: u32) -> Result<SharedRwLock> {
        let make = |memory, os| RwLock::create(memory, os, environment);
        let attach = |memory, os| RwLock::attach(memory, os, environment);
        let found = object::open_or_create(&name, RwLock::SIZE, make, attach)?;
        Ok(SharedRwLock::of(found, environment))
    }

    /// Attaches to a read-write lock whose descriptor was received and stays the caller's.
    #[napi(factory, catch_unwind)]
    pub fn adopt(fd: i32, environment: u32) -> Result<SharedRwLock> {
        let attach = |memory, os| RwLock::attach(memory, os, environment);
        Ok(SharedRwLock::of(object::adopt(fd, attach)?, environment))
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

    /// Reads if nobody writes. What is answered here and below for reading is 1, negative if the last
    /// writer died with the lock; 0 if it is not taken.
    #[napi(catch_unwind)]
    pub fn try_read(&self) -> Result<f64> {
        self.lock.with(|lock| busy(lock.try_read()).map(reading))
    }

    /// Writes if nobody reads or writes. What is answered here and below for writing is the fencing
    /// number, negative if the writer before died with the lock; 0 if it is not taken.
    #[napi(catch_unwind)]
    pub fn try_write(&self) -> Result<f64> {
        self.lock.with(|lock| busy(lock.try_write()).map(number))
    }

    /// Reads; else the bell of the environment rings when it is to be called again.
    #[napi(catch_unwind)]
    pub fn poll_read(&self) -> Result<f64> {
        self.lock.with(|lock| busy(lock.poll_read()).map(reading))
    }

    /// Writes; else the bell of the environment rings when it is to be called again.
    #[napi(catch_unwind)]
    pub fn poll_write(&self) -> Result<f64> {
        self.lock.with(|lock| busy(lock.poll_write()).map(number))
    }

    /// Ends the wait that `poll_read` or `poll_write` has begun.
    #[napi(catch_unwind)]
    pub fn cancel(&self) -> Result<()> {
        self.lock.with(|lock| {
            lock.cancel();
            Ok(())
        })
    }

    /// Reads, blocking the thread for so many milliseconds.
    #[napi(catch_unwind)]
    pub fn read_sync(&self, spin: u32, milliseconds: f64) -> Result<f64> {
        let own = |lock: &RwLock| self.lock.is_ours(lock.object(), lock.holder());
        let take = |lock: &mut RwLock| wait(lock, RwLock::read, own, spin, milliseconds);
        self.lock.with(take).map(reading)
    }

    /// Writes, blocking the thread for so many milliseconds.
    #[napi(catch_unwind)]
    pub fn write_sync(&self, spin: u32, milliseconds: f64) -> Result<f64> {
        let own = |lock: &RwLock| self.lock.is_ours(lock.object(), lock.holder());
        let take = |lock: &mut RwLock| wait(lock, RwLock::write, own, spin, milliseconds);
        self.lock.with(take).map(number)
    }

    /// Ends one reading.
    #[napi(catch_unwind)]
    pub fn unlock_read(&self) -> Result<()> {
        self.lock.with(|lock| lock.unlock_read().map_err(failed))
    }

    /// Ends the writing.
    #[napi(catch_unwind)]
    pub fn unlock_write(&self) -> Result<()> {
        self.lock.with(|lock| release(lock).map_err(failed))
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

    /// Lets go of the read-write lock, which it unlocks. Safe to call twice.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        self.lock.close(|lock| {
            // Dropping it ends what it reads.
            let _ = release(lock);
        });
    }
}
