//! Shared memory.
//!
//! - `error`: what JavaScript is told when something fails.
//! - `environment`: the bell of an environment, in its loop.
//! - `object`: made, opened, received; what all kinds of object have in common.
//! - `ring`, `producer`, `consumer`: rings and their ends.
//! - `memory`: bytes without a rule.
//! - `cell`: the latest value.
//! - `listing`: what there is, and removing what is dead.

mod cell;
mod consumer;
mod environment;
mod error;
mod listing;
mod memory;
mod object;
mod producer;
mod ring;
