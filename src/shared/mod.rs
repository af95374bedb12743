//! Shared memory.
//!
//! - `error`: what JavaScript is told when something fails.
//! - `environment`: the bell of an environment, in its loop.
//! - `object`: made, opened, received; what all kinds of object have in common.
//! - `ring`, `producer`, `consumer`: rings and their ends.
//! - `memory`: bytes without a rule.
//! - `cell`: the latest value.
//! - `lock`: what the locks have in common.
//! - `mutex`, `rwlock`, `semaphore`, `event`, `barrier`: the locks.
//! - `map`: a key-value map.
//! - `listing`: what there is, and removing what is dead.

mod barrier;
mod cell;
mod consumer;
mod environment;
mod error;
mod event;
mod listing;
mod lock;
mod map;
mod memory;
mod mutex;
mod object;
mod producer;
mod ring;
mod rwlock;
mod semaphore;
