//! Two threads on two cores.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

fn pin(core: usize) {
    // SAFETY: all zero is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is ours.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: the set has the size that is given.
    unsafe { libc::sched_setaffinity(0, size_of_val(&set), &set) };
}

/// Prepares one thing on each core, then uses both; the time of the use.
pub fn race<A, B>(
    first: (impl FnOnce() -> A + Send, impl FnOnce(A) + Send),
    second: (impl FnOnce() -> B + Send, impl FnOnce(B) + Send),
) -> Duration {
    let start = Barrier::new(3);
    let end = Barrier::new(3);
    thread::scope(|scope| {
        scope.spawn(|| {
            pin(0);
            let ready = first.0();
            start.wait();
            first.1(ready);
            end.wait();
        });
        scope.spawn(|| {
            pin(1);
            let ready = second.0();
            start.wait();
            second.1(ready);
            end.wait();
        });
        start.wait();
        let begin = Instant::now();
        end.wait();
        begin.elapsed()
    })
}
