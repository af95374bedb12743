//! The system as the objects of `rsipc-ring` see it.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rsipc_ring::System;

use super::dir::Dir;
use super::fifo::Ringer;
use super::file::Error;
use super::{futex, identity, shared};

/// The real system: processes, futexes, and the bells that hang in one directory.
#[derive(Debug)]
pub struct Os {
    identity: u64,
    world: u64,
    ringer: Ringer,
}

impl Os {
    /// The system, with the bells in `dir`.
    pub fn new(dir: &Dir) -> Result<Os, Error> {
        Ok(Os {
            identity: identity::own().map_err(Error::io("/proc"))?,
            world: identity::world().map_err(Error::io("/proc"))?,
            ringer: Ringer::new(dir)?,
        })
    }
}

impl System for Os {
    fn identity(&self) -> u64 {
        // A child made by `fork` has another one. It is told whenever it was told before, unless
        // the program has since lost its `/proc`.
        identity::own().unwrap_or(self.identity)
    }

    fn world(&self) -> u64 {
        // A child made by `fork` may have been put into another one.
        if self.identity() == self.identity {
            return self.world;
        }
        identity::world().unwrap_or(self.world)
    }

    fn alive(&self, identity: u64) -> bool {
        identity::alive(identity)
    }

    fn wait(&self, word: &AtomicU32, expected: u32, timeout: Option<Duration>) {
        futex::wait(word, expected, timeout);
    }

    fn wake(&self, word: &AtomicU32, count: u32) {
        futex::wake(word, count);
    }

    fn ring(&self, identity: u64, environment: u32) {
        self.ringer.ring(identity, environment);
    }

    fn now_ms(&self) -> u64 {
        shared::now_ms()
    }
}
