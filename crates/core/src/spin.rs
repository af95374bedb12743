//! Whether who has a channel or a connection looks for more before its loop sleeps, and for how long.
//!
//! A processor that sleeps takes tens of microseconds to wake, longer than two processes that are both
//! awake take for a round trip. So it pays to look on for as long as the peer takes to wake: from then on
//! both are awake, and each finds what the other sends almost at once. It does not pay where nothing comes
//! soon: behind a long wait nobody looks, and where looking has been in vain, or found something only
//! late, it is left out ever more often.

use std::time::{Duration, Instant};

use rsipc_sys::process;

/// What a round trip takes between two processes that are both awake, and half of what it takes to wake
/// one of them. What is found later shows that the peer sleeps, or works.
const SOON: Duration = Duration::from_micros(25);
/// How long it is looked for more: what a peer takes to wake and to answer.
const PATIENCE: Duration = Duration::from_micros(100);
/// A wait that was longer than this is followed by others like it.
const FAR: Duration = Duration::from_micros(300);
/// How often in a row what is found late is borne with: either peer may have been asleep.
const LATE: u32 = 4;
/// One time in so many, as a power of two, it is tried all the same.
const RARELY: u32 = 8;

/// How long a turn looks for more, and what came of it so far.
#[derive(Debug)]
pub struct Spin {
    /// What counts as soon.
    soon: Duration,
    /// How long it is looked for more.
    time: Duration,
    /// How often in a row it was in vain.
    vain: u32,
    /// How often in a row something was found late.
    late: u32,
    /// How often it is left out.
    skip: u32,
    /// Since when the loop may be asleep.
    asleep: Instant,
}

impl Spin {
    /// As it is where nobody has asked for anything else.
    pub fn new(now: Instant) -> Spin {
        // Where there is one processor, the peer waits until we sleep.
        let several = process::others_run_meanwhile();
        Spin {
            soon: SOON,
            time: if several { PATIENCE } else { Duration::ZERO },
            vain: 0,
            late: 0,
            skip: 0,
            asleep: now,
        }
    }

    /// Looks for so long from now on.
    pub fn set(&mut self, time: Duration) {
        self.time = time;
        self.soon = time;
    }

    /// How long it is looked for more.
    pub fn time(&self) -> Duration {
        self.time
    }

    /// Whether the turn that begins now is to look for more. `woken`: the loop may have slept before it.
    pub fn wanted(&mut self, woken: bool, now: Instant) -> bool {
        let far = FAR.max(2 * self.time);
        if self.time.is_zero() || woken && now.duration_since(self.asleep) > far {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        true
    }

    /// Says what looking has brought, and when.
    pub fn note(&mut self, found: Option<Duration>) {
        let late = match found {
            Some(after) if after <= self.soon => {
                self.vain = 0;
                self.late = 0;
                return;
            }
            Some(_) => self.late + 1,
            None => LATE,
        };
        self.late = late % LATE;
        if self.late == 0 {
            self.vain = (self.vain + 1).min(RARELY);
            self.skip = (1 << self.vain) - 1;
        }
    }

    /// Says that the loop may sleep now.
    pub fn sleep(&mut self, now: Instant) {
        self.asleep = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn micros(count: u64) -> Duration {
        Duration::from_micros(count)
    }

    /// One that looks, although this machine may have a single processor.
    fn spin(now: Instant) -> Spin {
        Spin {
            time: PATIENCE,
            ..Spin::new(now)
        }
    }

    /// How many of so many turns, one soon after the other, look for more when this comes of it.
    fn looks(spin: &mut Spin, turns: usize, found: Option<Duration>) -> usize {
        let now = Instant::now();
        spin.sleep(now);
        let mut count = 0;
        for _ in 0..turns {
            if spin.wanted(true, now + micros(50)) {
                count += 1;
                spin.note(found);
            }
        }
        count
    }

    #[test]
    fn what_comes_soon_is_looked_for_every_time() {
        assert_eq!(
            looks(&mut spin(Instant::now()), 1000, Some(micros(5))),
            1000
        );
    }

    #[test]
    fn looking_in_vain_becomes_rare_and_finding_something_once_is_enough_to_go_on() {
        let mut spin = spin(Instant::now());
        let first = looks(&mut spin, 512, None);
        assert!((1..=9).contains(&first), "{first}");
        assert_eq!(looks(&mut spin, 2560, None), 10);
        spin.skip = 0;
        assert_eq!(looks(&mut spin, 100, Some(micros(5))), 100);
    }

    #[test]
    fn what_always_comes_late_is_worth_a_few_looks() {
        let mut spin = spin(Instant::now());
        let first = looks(&mut spin, 1024, Some(micros(60)));
        assert!((4..=50).contains(&first), "{first}");
        // Unless it was asked for.
        spin.set(micros(100));
        spin.skip = 0;
        assert_eq!(looks(&mut spin, 100, Some(micros(60))), 100);
    }

    #[test]
    fn nothing_is_looked_for_behind_a_long_wait_or_where_that_was_forbidden() {
        let now = Instant::now();
        let mut spin = spin(now);
        assert!(!spin.wanted(true, now + 2 * FAR));
        assert!(spin.wanted(false, now + 2 * FAR));
        assert!(spin.wanted(true, now + FAR));
        spin.set(Duration::ZERO);
        assert!(!spin.wanted(true, now));
    }
}
