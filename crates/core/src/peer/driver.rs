//! The task that reads and writes for a `Peer`.

use std::os::fd::AsFd;
use std::os::unix::net;
use std::sync::Arc;
use std::time::Duration;

use rsipc_sys::wait;
use tokio::io::{self, Interest};
use tokio::net::UnixStream;
use tokio::{runtime, select, task, time};

use super::inner::Inner;
use crate::channel::Event;

/// How much is read before other tasks have their turn.
const BUDGET: usize = 256 * 1024;
/// How often a kernel that is out of room for handles is asked again: nothing tells when it is not.
const REFUSED_RETRY: Duration = Duration::from_millis(5);

/// What the task waits for.
#[derive(Clone, Copy, Debug, Default)]
struct Wants {
    reading: bool,
    writing: bool,
    retry: bool,
    again: bool,
}

/// Starts the task. It ends with the channel, or with the runtime, and closes the channel then.
pub(super) fn start(runtime: &runtime::Handle, inner: &Arc<Inner>) -> io::Result<()> {
    // A descriptor of its own for the runtime to watch: the channel's belongs to the channel. Both
    // are the same open socket, which the channel has made non-blocking.
    let watched = rsipc_sys::fd::duplicate_raw(inner.lock().channel.raw_fd())?;
    let ending = Ending(inner.clone());
    let watched = UnixStream::from_std(net::UnixStream::from(watched))?;
    runtime.spawn(async move {
        // Dropped in the reverse order: the second descriptor goes before the first.
        let ending = ending;
        let watched = watched;
        drive(&ending.0, &watched).await;
    });
    Ok(())
}

struct Ending(Arc<Inner>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.close();
    }
}

async fn drive(inner: &Inner, watched: &UnixStream) {
    let mut events = Vec::new();
    while let Some(wants) = wants(inner) {
        let ready = select! {
            () = inner.work.notified() => Ok(()),
            // Also a flood through memory lets others have their turn.
            () = task::yield_now(), if wants.again => {
                read(inner, watched, &mut events);
                Ok(())
            }
            () = time::sleep(REFUSED_RETRY), if wants.retry => {
                write(inner);
                Ok(())
            }
            ready = watched.writable(), if wants.writing => {
                note(watched, Interest::WRITABLE, || write(inner));
                ready
            }
            ready = watched.readable(), if wants.reading => {
                note(watched, Interest::READABLE, || read(inner, watched, &mut events));
                // A flood is ready at once, again and again.
                task::yield_now().await;
                ready
            }
        };
        // Only a runtime that shuts down answers with an error.
        if ready.is_err() {
            return;
        }
    }
}

/// Does something that may exhaust what the socket is ready for. The runtime hears of changes only,
/// so it must be told whether that is so.
fn note(watched: &UnixStream, interest: Interest, exhausts: impl FnOnce() -> bool) {
    let _ = watched.try_io(interest, || {
        if exhausts() {
            Err(io::ErrorKind::WouldBlock.into())
        } else {
            Ok(())
        }
    });
}

/// What to wait for; `None` when the channel is to be closed.
fn wants(inner: &Inner) -> Option<Wants> {
    let mut state = inner.lock();
    if state.dropped || state.ended || state.leaving && state.is_drained() {
        return None;
    }
    let reading = inner.reads(&mut state);
    Some(Wants {
        reading,
        again: reading && state.again,
        writing: state.channel.interest().writable,
        retry: state.channel.wants_flush() || state.channel.blind(),
    })
}

/// Reads once; says whether the kernel has nothing more.
fn read(inner: &Inner, watched: &UnixStream, events: &mut Vec<Event>) -> bool {
    let mut state = inner.lock();
    let more = state.channel.receive(BUDGET, events);
    state.again = more && state.channel.lanes_readable();
    let arrived = state.take_in(events);
    // A wake says that there is room in the ring. A failure is told by the next send.
    let _ = state.channel.flush();
    drop(state);
    if arrived {
        inner.arrived.notify_one();
    }
    // Answers to our handles make room, and so does what they have set free.
    inner.room.notify_waiters();
    // `receive` also stops for other reasons than an empty socket, so the socket is asked.
    let readable = wait::Interest {
        readable: true,
        writable: false,
    };
    !more
        && wait::ready(watched.as_fd(), readable, Some(Duration::ZERO))
            .is_ok_and(|ready| !ready.readable)
}

/// Writes what is queued; says whether the kernel is full.
fn write(inner: &Inner) -> bool {
    let mut state = inner.lock();
    // A failure is remembered by the channel and told by the next send.
    let _ = state.channel.flush();
    let full = state.channel.interest().writable;
    drop(state);
    inner.room.notify_waiters();
    full
}
