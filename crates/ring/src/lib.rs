//! Objects in memory that several processes share: what lies where, and what is done with it in
//! which order. No operating system, no runtime, no dependency.
//!
//! Built from the bottom up:
//!
//! - [`sync`]: atomics, the standard library's or the model checker's.
//! - [`memory`]: [`Memory`], which the caller promises, and checked access to it.
//! - [`system`]: [`System`], which the caller supplies: who lives, sleeping, waking.
//! - [`layout`]: the header of every object, and its check.
//! - [`latch`]: a tiny lock that a killed owner does not keep.
//! - [`object`]: an object made or attached to.
//! - [`table`]: its parties; the dead are swept.
//! - [`doorbell`]: sleeping until somebody rings.
//! - [`ring`]: rings, whose ends are [`producer`] and [`consumer`]; `flavors/` are the kinds.
//! - [`cell`]: the latest value.
//! - [`lock`]: mutex, read-write lock, semaphore, event, barrier.
//! - [`map`]: a key-value map.
//! - [`failpoint`]: places at which a test ends the process.
//!
//! Two rules hold everywhere. A process may be killed between any two stores, so every store leaves
//! a state from which the others go on. And a peer may write anything at any time, so what is read
//! is read once, checked, and used as it was checked.

#[cfg(target_endian = "big")]
compile_error!("the layout is little-endian, and words are used where they lie");

pub mod cell;
pub mod consumer;
pub mod doorbell;
pub mod error;
pub mod failpoint;
mod flavors;
pub mod latch;
pub mod layout;
pub mod lock;
pub mod map;
pub mod memory;
pub mod object;
pub mod producer;
mod record;
pub mod ring;
pub mod sync;
pub mod system;
pub mod table;

pub use cell::Cell;
pub use consumer::{Consumer, Record};
pub use doorbell::{Doorbell, Patience};
pub use error::{ClaimError, Corrupt, EndError, OpenError, ReadError, WriteError};
pub use flavors::broadcast::Policy;
pub use memory::{Memory, Region};
pub use object::Object;
pub use producer::{Producer, Slot};
pub use record::{Lease, MAX_CAPACITY, MIN_CAPACITY};
pub use ring::{Flavor, Ring};
pub use system::System;
pub use table::Party;
