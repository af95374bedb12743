//! What the targets for shared memory give the objects: memory whose ends AddressSanitizer knows,
//! and a system with one process in which nobody ever sleeps.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use rsipc_ring::System;

#[path = "../../crates/ring/tests/common/mod.rs"]
mod common;
pub use common::Heap;

/// The only process that lives. No word of the memory is made this one from outside: a process that
/// claims to be its victim makes it wait for itself, and is not kept from it.
pub const ME: u64 = 0xA11A_11A1_1A11_A11A;

#[derive(Clone)]
pub struct Alone;

impl System for Alone {
    fn identity(&self) -> u64 {
        ME
    }

    fn world(&self) -> u64 {
        1
    }

    fn alive(&self, identity: u64) -> bool {
        identity == ME
    }

    fn wait(&self, _word: &AtomicU32, _expected: u32, _timeout: Option<Duration>) {}

    fn wake(&self, _word: &AtomicU32, _count: u32) {}

    fn ring(&self, _identity: u64, _environment: u32) {}

    fn now_ms(&self) -> u64 {
        1 << 40
    }
}

/// A word such as breaks things.
pub fn word(plan: &mut Unstructured<'_>) -> Result<u64> {
    let value = match plan.int_in_range(0..=6)? {
        0 => plan.arbitrary()?,
        1 => u64::from(plan.arbitrary::<u16>()? & 0xFFF8),
        2 => plan.int_in_range(0..=300)?,
        3 => u64::MAX - plan.int_in_range(0..=64)?,
        4 => 1 << plan.int_in_range(0..=63)?,
        5 => plan.int_in_range(0..=5)? << 32 | plan.int_in_range(0..=300)?,
        _ => 0,
    };
    Ok(if value == ME { 0 } else { value })
}

/// Writes such a word between `from` and `to`.
pub fn disturb(plan: &mut Unstructured<'_>, memory: &Heap, from: usize, to: usize) -> Result<()> {
    let at = plan.int_in_range(from / 8..=to / 8 - 1)? * 8;
    memory.poke_word(at, word(plan)?);
    Ok(())
}
