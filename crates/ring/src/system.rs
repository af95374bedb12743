//! What the algorithms need of the operating system. crates/sys has the real one, tests have
//! systems whose processes die when they are told to.

use std::sync::Arc;
use std::time::Duration;

use crate::sync::AtomicU32;

/// What the algorithms need of the system.
///
/// An *identity* is one process in one life: its number together with its start time, so that a
/// number used again by another process is another identity. 0 is nobody's.
pub trait System: Send + Sync {
    /// Identity of the calling process. Never 0.
    fn identity(&self) -> u64;

    /// Names the boot and the namespaces in which [`System::identity`] means something: in two
    /// worlds one identity may be two processes, and a process of the other one looks dead. Never 0.
    fn world(&self) -> u64;

    /// Whether the process with this identity still runs. A zombie does not run. Where it cannot be
    /// told the answer is `true`: a living owner must not be robbed.
    fn alive(&self, identity: u64) -> bool;

    /// Sleeps while `*word == expected`, at most `timeout`; may wake for no reason. The word may be
    /// shared between processes.
    fn wait(&self, word: &AtomicU32, expected: u32, timeout: Option<Duration>);

    /// Wakes up to `count` sleepers of [`System::wait`].
    fn wake(&self, word: &AtomicU32, count: u32);

    /// Rings the bell of an environment (an event loop) of a process; does nothing when it is gone.
    fn ring(&self, identity: u64, environment: u32);

    /// Milliseconds on a clock that all processes of the machine share, that never goes back, and
    /// that goes on while the machine sleeps.
    fn now_ms(&self) -> u64;
}

impl<S: System + ?Sized> System for Arc<S> {
    fn identity(&self) -> u64 {
        (**self).identity()
    }

    fn world(&self) -> u64 {
        (**self).world()
    }

    fn alive(&self, identity: u64) -> bool {
        (**self).alive(identity)
    }

    fn wait(&self, word: &AtomicU32, expected: u32, timeout: Option<Duration>) {
        (**self).wait(word, expected, timeout);
    }

    fn wake(&self, word: &AtomicU32, count: u32) {
        (**self).wake(word, count);
    }

    fn ring(&self, identity: u64, environment: u32) {
        (**self).ring(identity, environment);
    }

    fn now_ms(&self) -> u64 {
        (**self).now_ms()
    }
}
