//! Who waits, and since when.
//!
//! A waiting party has a ticket in its slot: a number of a counter that only grows, 0 while it does
//! not wait. The smallest ticket has waited longest. A ticket goes with the slot when its process
//! dies.

use std::time::{Duration, Instant};

use crate::doorbell::SLICE;
use crate::layout::BODY;
use crate::memory::Memory;
use crate::object::Object;
use crate::sync::{AtomicU64, Ordering};
use crate::system::System;

/// Offset of the counter of tickets.
pub(super) const TICKETS: usize = BODY + 16;

/// Offset of the moment until which a lock is kept for the one whose turn it is, in milliseconds.
pub(super) const GRACE: usize = BODY + 24;

/// Offset of the millisecond at which somebody last looked for the dead.
const SWEPT: usize = BODY + 56;

/// Word of a slot: the ticket.
pub(super) const TICKET: usize = 0;

/// How long others may overtake a party before it insists on its turn. Short enough that nobody
/// notices, long enough that a lock under traffic is not handed from one sleeper to the next.
const MODESTY: Duration = if cfg!(rsipc_loom) {
    Duration::ZERO
} else {
    Duration::from_millis(1)
};

/// How long a free lock is kept for a party that does not come, in milliseconds.
pub(super) const KEEP: u64 = 20;

/// One wait.
#[derive(Debug)]
pub(super) struct Waiting {
    since: Instant,
    looked: Instant,
}

impl Waiting {
    /// Takes a ticket.
    pub(super) fn begin<M: Memory, S: System>(object: &Object<M, S>, me: usize) -> Waiting {
        let ticket = draw(object);
        object.own(me, TICKET).store(ticket, Ordering::Release);
        Waiting::unordered()
    }

    /// A wait without a ticket.
    pub(super) fn unordered() -> Waiting {
        let now = Instant::now();
        Waiting {
            since: now,
            looked: now,
        }
    }

    /// Whether it is time to ask the system who lives: when a wait was `idle`, and every slice.
    pub(super) fn look(&mut self, idle: bool) -> bool {
        // The model has no time.
        let due = idle || !cfg!(rsipc_loom) && self.looked.elapsed() >= SLICE;
        if due {
            self.looked = Instant::now();
        }
        due
    }

    /// Whether this party has been overtaken for long enough.
    pub(super) fn insists(&self) -> bool {
        MODESTY.is_zero() || self.since.elapsed() >= MODESTY
    }
}

/// A ticket behind all that there are.
pub(super) fn draw<M: Memory, S: System>(object: &Object<M, S>) -> u64 {
    let ticket = object
        .region()
        .word(TICKETS)
        .fetch_add(1, Ordering::Relaxed)
        .wrapping_add(1);
    ticket.max(1)
}

/// The ticket of a party; 0 if it does not wait.
pub(super) fn ticket<M: Memory, S: System>(object: &Object<M, S>, party: usize) -> &AtomicU64 {
    object.own(party, TICKET)
}

/// Who has waited longest, and its ticket.
pub(super) fn oldest<M: Memory, S: System>(object: &Object<M, S>) -> Option<(usize, u64)> {
    object
        .owns(TICKET)
        .map(|ticket| ticket.load(Ordering::Acquire))
        .enumerate()
        .filter(|&(_, ticket)| ticket != 0)
        .min_by_key(|&(_, ticket)| ticket)
}

/// Puts a party that did not come behind all others, unless it has changed its mind meanwhile.
pub(super) fn demote<M: Memory, S: System>(object: &Object<M, S>, party: usize, seen: u64) {
    if seen == 0 {
        return;
    }
    let _ = ticket(object, party).compare_exchange(
        seen,
        draw(object),
        Ordering::AcqRel,
        Ordering::Relaxed,
    );
}

/// Keeps a lock that is let go for the one whose turn it is, for a while from now on.
pub(super) fn keep<M: Memory, S: System>(object: &Object<M, S>) {
    let until = object.system().now_ms().saturating_add(KEEP);
    object.region().word(GRACE).store(until, Ordering::Release);
}

/// Whether that while is over. So is one that is longer than anybody grants.
pub(super) fn is_over<M: Memory, S: System>(object: &Object<M, S>) -> bool {
    let until = object.region().word(GRACE).load(Ordering::Acquire);
    let now = object.system().now_ms();
    now >= until || until - now > KEEP
}

/// Looks for the dead, unless somebody has within the last slice: asking about every party costs
/// some microseconds each, and one of all who wait is enough. Answers whether some were found.
pub(super) fn sweep<M: Memory, S: System>(object: &Object<M, S>) -> bool {
    let word = object.region().word(SWEPT);
    let last = word.load(Ordering::Relaxed);
    let now = object.system().now_ms();
    // The model has no time.
    let due = cfg!(rsipc_loom) || now < last || now - last >= SLICE.as_millis() as u64;
    if !due {
        return false;
    }
    let ours = word.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed);
    ours.is_ok() && object.sweep() > 0
}
