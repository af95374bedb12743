//! A lock with one owner at a time, as JavaScript attaches to it.

use napi_derive::napi;
use rsipc_core::shm::Mutex;
use rsipc_ring::lock::LockError;

use super::error::{Result, failed};
use super::lock::{Lock, busy, number, wait};
use super::object::{self, Attachment};

fn release(lock: &mut Mutex) -> std::result::Result<(), LockError> {
    let held = lock.held().ok_or(LockError::NotHeld)?;
    lock.unlock(held.fence)
}

/// An attachment to a mutex.
#[napi]
pub struct SharedMutex {
    lock: Lock<Mutex>,
}

impl SharedMutex {
    fn of(attachment: Attachment<Mutex>, environment: u32) -> SharedMutex {
        SharedMutex {
            lock: Lock::new(attachment, environment),
        }
    }
}

#[napi]
impl SharedMutex {
    /// Makes a mutex, under a name or without.
    #[napi(factory, catch_unwind)]
    pub fn create(name: Option<String>, environment: u32) -> Result<SharedMutex> {
        let make = |memory, os| Mutex::create(memory, os, environment);
        let made = object::create(name.as_deref(), Mutex::SIZE, make)?;
        Ok(SharedMutex::of(made, environment))
    }

    /// Opens a mutex by name.
    #[napi(factory, catch_unwind)]
    pub fn open(name: String, environment: u32) -> Result<SharedMutex> {
        let attach = |memory, os| Mutex::attach(memory, os, environment);
        Ok(SharedMutex::of(object::open(&name, attach)?, environment))
    }

    /// Opens a mutex by name, or makes it.
    #[napi(factory, catch_unwind)]
    pub fn open_or_create(name: String, environment: u32) -> Result<SharedMutex> {
        let make = |memory, os| Mutex::create(memory, os, environment);
        let attach = |memory, os| Mutex::attach(memory, os, environment);
        let found = object::open_or_create(&name, Mutex::SIZE, make, attach)?;
        Ok(SharedMutex::of(found, environment))
    }

    /// Attaches to a mutex whose descriptor was received and stays the caller's.
    #[napi(factory, catch_unwind)]
    pub fn adopt(fd: i32, environment: u32) -> Result<SharedMutex> {
        let attach = |memory, os| Mutex::attach(memory, os, environment);
        Ok(SharedMutex::of(object::adopt(fd, attach)?, environment))
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

    /// Takes the lock if nobody has it. What is answered here and below is its fencing number,
    /// negative if the owner before died with it; 0 if it is not taken.
    #[napi(catch_unwind)]
    pub fn try_lock(&self) -> Result<f64> {
        self.lock.with(|lock| busy(lock.try_lock()).map(number))
    }

    /// Takes the lock; else the bell of the environment rings when it is to be called again.
    #[napi(catch_unwind)]
    pub fn poll(&self) -> Result<f64> {
        self.lock.with(|lock| busy(lock.poll()).map(number))
    }

    /// Ends the wait that `poll` has begun.
    #[napi(catch_unwind)]
    pub fn cancel(&self) -> Result<()> {
        self.lock.with(|lock| {
            lock.cancel();
            Ok(())
        })
    }

    /// Takes the lock, blocking the thread for so many milliseconds.
    #[napi(catch_unwind)]
    pub fn lock_sync(&self, spin: u32, milliseconds: f64) -> Result<f64> {
        let own = |lock: &Mutex| self.lock.is_ours(lock.object(), lock.holder());
        let take = |lock: &mut Mutex| wait(lock, Mutex::lock, own, spin, milliseconds);
        self.lock.with(take).map(number)
    }

    /// Lets go of the lock.
    #[napi(catch_unwind)]
    pub fn unlock(&self) -> Result<()> {
        self.lock.with(|lock| release(lock).map_err(failed))
    }

    /// Whether a process that runs has it.
    #[napi(getter, catch_unwind)]
    pub fn locked(&self) -> Result<bool> {
        self.lock.with(|lock| {
            let owner = lock.owner();
            Ok(owner.is_some_and(|owner| lock.object().is_alive(owner)))
        })
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

    /// Lets go of the mutex, which it unlocks. Safe to call twice.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        self.lock.close(|lock| {
            let _ = release(lock);
        });
    }
}
