//! Locks that come back when their owner dies.
//!
//! - [`mutex`]: one owner at a time.
//! - [`rwlock`]: one writer or many readers.
//! - [`semaphore`]: so many permits.
//! - [`event`]: a flag that is waited for.
//! - [`barrier`]: a meeting point.
//!
//! Below them `word` is the packed word that a lock is taken by, `gate` what is done with it,
//! `waiting` the order of those who wait, and `seat` the slot of one party. `docs/shared-locks.md`
//! draws all of it and says what is promised.
//!
//! Each value is one *party*: it does one thing at a time (`&mut self`), and waits for its own
//! process's other parties as for those of any process. Every wait has two forms. The blocking form
//! takes a [`Patience`](crate::Patience). The split form is for event loops:
//!
//! ```text
//! start()                 takes a place among those who wait
//! poll()                  tries; after `None` the loop may sleep, its bell is armed
//!   … the bell rings, or LOOK_AGAIN has passed …
//! poll()                  tries again
//! cancel()                gives the place up
//! ```
//!
//! A process that was killed rings no bell, so a loop that waits looks again every [`LOOK_AGAIN`],
//! or when the process that [`Mutex::owner`] and its likes name has ended.

pub mod barrier;
pub mod error;
pub mod event;
mod gate;
pub mod mutex;
pub mod rwlock;
mod seat;
pub mod semaphore;
mod waiting;
mod word;

use std::time::Duration;

pub use barrier::{Barrier, Passed};
pub use error::{JoinError, LockError};
pub use event::{Event, Reset};
pub use mutex::{Held, Mutex};
pub use rwlock::{Reading, RwLock};
pub use semaphore::Semaphore;

/// How often to look again, at least, while a split wait is going on.
pub const LOOK_AGAIN: Duration = crate::doorbell::SLICE;
