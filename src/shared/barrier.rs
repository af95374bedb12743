//! A meeting point, as JavaScript attaches to it.

use napi_derive::napi;
use rsipc_core::shm::Barrier;
use rsipc_ring::lock::{LockError, Passed};

use super::error::{Result, failed};
use super::lock::Lock;
use super::object::{self, Attachment};
use super::producer::patience;

fn answer(passed: std::result::Result<Option<Passed>, LockError>) -> Result<Option<bool>> {
    let passed = passed.map_err(failed)?;
    Ok(passed.map(|passed| passed.last))
}

/// An attachment to a barrier.
#[napi]
pub struct SharedBarrier {
    lock: Lock<Barrier>,
}

impl SharedBarrier {
    fn of(attachment: Attachment<Barrier>, environment: u32) -> SharedBarrier {
        SharedBarrier {
            lock: Lock::new(attachment, environment),
        }
    }
}

#[napi]
impl SharedBarrier {
    /// Makes a barrier, under a name or without.
    #[napi(factory, catch_unwind)]
    pub fn create(parties: u32, name: Option<String>, environment: u32) -> Result<SharedBarrier> {
        let make = |memory, os| Barrier::create(memory, os, environment, parties as usize);
        let made = object::create(name.as_deref(), Barrier::SIZE, make)?;
        Ok(SharedBarrier::of(made, environment))
    }

    /// Opens a barrier by name.
    #[napi(factory, catch_unwind)]
    pub fn open(name: String, environment: u32) -> Result<SharedBarrier> {
        let attach = |memory, os| Barrier::attach(memory, os, environment);
        Ok(SharedBarrier::of(object::open(&name, attach)?, environment))
    }

    /// Opens a barrier by name, or makes it.
    #[napi(factory, catch_unwind)]
    pub fn open_or_create(parties: u32, name: String, environment: u32) -> Result<SharedBarrier> {
        let make = |memory, os| Barrier::create(memory, os, environment, parties as usize);
        let attach = |memory, os| Barrier::attach(memory, os, environment);
        let found = object::open_or_create(&name, Barrier::SIZE, make, attach)?;
        Ok(SharedBarrier::of(found, environment))
    }

    /// Attaches to a barrier whose descriptor was received and stays the caller's.
    #[napi(factory, catch_unwind)]
    pub fn adopt(fd: i32, environment: u32) -> Result<SharedBarrier> {
        let attach = |memory, os| Barrier::attach(memory, os, environment);
        Ok(SharedBarrier::of(object::adopt(fd, attach)?, environment))
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

    /// How many have to come.
    #[napi(getter, catch_unwind)]
    pub fn parties(&self) -> Result<u32> {
        self.lock.with(|lock| Ok(lock.parties() as u32))
    }

    /// Whether it is broken.
    #[napi(getter, catch_unwind)]
    pub fn broken(&self) -> Result<bool> {
        self.lock.with(|lock| Ok(lock.is_broken()))
    }

    /// Comes, the first time. Answers, here and below, `null` while others are missing, then whether
    /// it came last. The bell of the environment rings when it is to be called again.
    #[napi(catch_unwind)]
    pub fn poll(&self) -> Result<Option<bool>> {
        self.lock.with(|lock| answer(lock.poll()))
    }

    /// Ends the wait that `poll` has begun, unless the others have passed meanwhile.
    #[napi(catch_unwind)]
    pub fn cancel(&self) -> Result<Option<bool>> {
        self.lock.with(|lock| answer(lock.cancel()))
    }

    /// Comes and waits for the others, blocking the thread for so many milliseconds. It has not come
    /// if it does not pass.
    #[napi(catch_unwind)]
    pub fn wait_sync(&self, spin: u32, milliseconds: f64) -> Result<Option<bool>> {
        let patience = patience(spin, milliseconds);
        self.lock.with(|lock| answer(lock.wait(patience)))
    }

    /// Makes a broken barrier whole.
    #[napi(catch_unwind)]
    pub fn reset(&self) -> Result<()> {
        self.lock.with(|lock| lock.reset().map_err(failed))
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

    /// Lets go of the barrier. Safe to call twice.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        self.lock.close(|_| {});
    }
}
