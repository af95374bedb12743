//! The atomics all of this crate is written with: the standard library's, or loom's when the model
//! checker is what is built.

pub use std::sync::atomic::Ordering;

#[cfg(not(rsipc_loom))]
mod chosen {
    pub use std::sync::atomic::{AtomicU32, AtomicU64, fence};
}

#[cfg(rsipc_loom)]
mod chosen {
    pub use loom::sync::atomic::{AtomicU32, AtomicU64, fence};
}

pub use chosen::{AtomicU32, AtomicU64, fence};

/// Passes the time in a loop that waits for another thread. Cheap the first times, then it lets
/// others run.
#[derive(Debug, Default)]
pub struct Backoff {
    turns: u32,
}

impl Backoff {
    /// Turns that only spin; after them the processor is given away each time.
    const SPINS: u32 = 64;

    /// A loop that has not waited yet.
    pub fn new() -> Backoff {
        Backoff::default()
    }

    /// One turn. Answers how many there have been.
    pub fn turn(&mut self) -> u32 {
        self.turns = self.turns.saturating_add(1);
        #[cfg(rsipc_loom)]
        loom::thread::yield_now();
        #[cfg(not(rsipc_loom))]
        if self.turns < Backoff::SPINS {
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
        self.turns
    }

    /// Whether spinning alone has not helped.
    pub fn is_long(&self) -> bool {
        cfg!(rsipc_loom) || self.turns >= Backoff::SPINS
    }
}
