//! The late writer: gathered frames leave although their owner is busy.
//!
//! A JavaScript thread gathers the frames of one turn and writes them at its end. When a turn
//! takes long, the peer would wait for frames that were sent long ago. One thread for the whole
//! process, started at the first need, writes what has been waiting for more than a
//! millisecond. It never waits for a lock: who holds it is writing anyway.
//!
//! A thread that sends on a channel whose loop is another's cannot have that loop wait for room in
//! the kernel. Such a channel is unattended, and is tried again every millisecond.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};

use crate::channel::Channel;

/// How long frames may be gathered before they are written here.
const LATE: Duration = Duration::from_millis(1);
/// How long an idle channel is kept under watch.
const IDLE: Duration = Duration::from_millis(50);
/// Channels that may wait to be taken under watch. One more is watched at its next call.
const NEWCOMERS: usize = 256;

/// A channel that the late writer can reach.
#[derive(Debug)]
pub struct Shared {
    channel: Mutex<Channel>,
    /// Set by who puts the channel under watch, cleared under its lock by the late writer. So
    /// whoever gathers under the lock and finds it set is still watched.
    watched: AtomicBool,
}

impl Shared {
    /// A channel not under watch.
    pub fn new(channel: Channel) -> Arc<Shared> {
        Arc::new(Shared {
            channel: Mutex::new(channel),
            watched: AtomicBool::new(false),
        })
    }

    /// The channel. A panic of a previous holder is not passed on: a channel is never left
    /// half-changed by its own code, only by a `write` closure that panics.
    pub fn lock(&self) -> MutexGuard<'_, Channel> {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts a channel under watch, if it is not already. To be called after a send that did not
/// answer [`Sent::Written`](crate::channel::Sent::Written); cheap.
pub fn watch(shared: &Arc<Shared>) {
    // SYNC watched: pairs with the store in `look_after`. Both are under, or after, the lock.
    if shared.watched.load(Ordering::Relaxed) || shared.watched.swap(true, Ordering::AcqRel) {
        return;
    }
    let accepted = match writer() {
        Some(writer) => match writer.try_send(Arc::downgrade(shared)) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        },
        None => false,
    };
    if !accepted {
        shared.watched.store(false, Ordering::Release);
    }
}

/// Puts a channel under watch for what its owner leaves on the stage.
pub fn watch_stage(shared: &Arc<Shared>) {
    let mut channel = shared.lock();
    watch(shared);
    channel.watch_stage(shared.watched.load(Ordering::Relaxed));
}

/// The way to the late writer; `None` if no thread could be started.
fn writer() -> Option<&'static Sender<Weak<Shared>>> {
    static WRITER: OnceLock<Option<Sender<Weak<Shared>>>> = OnceLock::new();
    WRITER
        .get_or_init(|| {
            let (sender, newcomers) = bounded(NEWCOMERS);
            let thread = thread::Builder::new().name("rsipc-late".into());
            thread.spawn(move || run(&newcomers)).ok().map(|_| sender)
        })
        .as_ref()
}

struct Watched {
    channel: Weak<Shared>,
    active: Instant,
}

fn run(newcomers: &Receiver<Weak<Shared>>) {
    rsipc_sys::process::leave_signals();
    let mut list: Vec<Watched> = Vec::new();
    let mut round = Instant::now();
    loop {
        let newcomer = if list.is_empty() {
            newcomers.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            newcomers.recv_timeout(LATE)
        };
        let now = Instant::now();
        match newcomer {
            Ok(channel) => list.push(Watched {
                channel,
                active: now,
            }),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if now.duration_since(round) >= LATE {
            round = now;
            list.retain_mut(|watched| look_after(watched, now));
        }
    }
}

/// Writes what is late. Says whether to go on watching.
fn look_after(watched: &mut Watched, now: Instant) -> bool {
    let Some(shared) = watched.channel.upgrade() else {
        return false;
    };
    let mut channel = match shared.channel.try_lock() {
        Ok(channel) => channel,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => {
            watched.active = now;
            return true;
        }
    };
    if channel.wants_flush() {
        watched.active = now;
        // An error is remembered in the channel; its owner learns of it at the next call.
        let _ = channel.flush_late(LATE);
    } else if now.duration_since(watched.active) >= IDLE {
        // SYNC watched: under the lock, so that nothing is gathered between look and store. What was left on
        // the stage meanwhile is seen here, or its owner sees that nobody looks.
        if channel.watch_stage(false) {
            channel.watch_stage(true);
            return true;
        }
        shared.watched.store(false, Ordering::Release);
        return false;
    }
    true
}
