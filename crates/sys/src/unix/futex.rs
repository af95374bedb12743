//! Waiting on a word in shared memory.

use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::shared;

/// Sleeps while `*word == expected`, at most `timeout`; without one for ever. Answers `false`
/// when the time has passed, `true` otherwise: woken, changed, or for no reason at all. So the
/// caller looks at its condition again and is told only how long it may go on.
///
/// The word may be shared with other processes. The time is measured by a clock that nobody
/// sets. Where memory is not shared ([`caps`](crate::caps::caps)) this returns at once.
pub fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> bool {
    // A time too far away to be told is for ever.
    let deadline = timeout.map(|timeout| Instant::now().checked_add(timeout));
    loop {
        let left = match deadline {
            Some(Some(deadline)) => Some(deadline.saturating_duration_since(Instant::now())),
            _ => None,
        };
        match shared::futex_wait(word, expected, left) {
            Err(Errno::EINTR) => {}
            // The kernel's clock may be a little ahead of what we read.
            Err(Errno::ETIMEDOUT) if left.is_some_and(|left| !left.is_zero()) => {}
            Err(Errno::ETIMEDOUT) => return false,
            _ => return true,
        }
    }
}

/// Wakes up to `count` of those who sleep on the word, in any process; answers how many.
pub fn wake(word: &AtomicU32, count: u32) -> u32 {
    shared::futex_wake(word, count)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_wait_never_ends_before_its_time_and_a_changed_word_is_not_waited_for() {
        let word = AtomicU32::new(7);
        let begin = Instant::now();
        let timeout = Duration::from_micros(20_500);
        assert!(!wait(&word, 7, Some(timeout)));
        assert!(begin.elapsed() >= timeout);
        assert!(!wait(&word, 7, Some(Duration::ZERO)));
        assert!(wait(&word, 8, None));
        assert!(wait(&word, 8, Some(Duration::MAX)));
    }

    #[test]
    fn as_many_wake_as_are_asked_for() {
        let word = AtomicU32::new(0);
        assert_eq!(wake(&word, u32::MAX), 0);
        thread::scope(|scope| {
            let sleepers: Vec<_> = (0..3)
                .map(|_| scope.spawn(|| wait(&word, 0, Some(Duration::MAX))))
                .collect();
            let mut woken = 0;
            while woken < 3 {
                let now = wake(&word, 1);
                assert!(now <= 1);
                woken += now;
                thread::yield_now();
            }
            assert_eq!(wake(&word, 1), 0);
            for sleeper in sleepers {
                assert!(sleeper.join().unwrap());
            }
        });
    }
}
