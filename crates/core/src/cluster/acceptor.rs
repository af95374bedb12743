//! The I/O thread of the process's primaries: accepts, and reads workers' channels.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::thread;
use std::time::Duration;

use rsipc_sys::chime::Chime;
use rsipc_sys::socket::{self, NotAccepted};
use rsipc_sys::{process, stream};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::{runtime, select, task, time};

use super::primary::{State, lock};
use super::seat::{Answer, Seat};
use crate::endpoint::peek::{self, Sought};

/// Connections accepted before others have their turn.
const ACCEPTS: usize = 32;
/// How much of a channel is read before others have their turn.
const BUDGET: usize = 256 * 1024;
/// How long accepting rests when this process is out of descriptors. Clients wait in the kernel meanwhile.
const EXHAUSTED: Duration = Duration::from_millis(50);
/// How long the closing of a socket is waited for, which takes one turn of the thread.
const CLOSING: Duration = Duration::from_millis(200);
/// How often a kernel that is out of room for descriptors on their way is asked again.
const REFUSED_RETRY: Duration = Duration::from_millis(5);

/// How long the thread rests when every worker has enough to do. What arrives meanwhile costs one turn together.
const REST: Duration = Duration::from_micros(100);

/// Whether every worker had enough to do when connections were handed out last.
static MAY_REST: AtomicBool = AtomicBool::new(false);

/// Says whether every worker has enough to do for now.
pub(super) fn may_rest(may: bool) {
    MAY_REST.store(may, Ordering::Relaxed);
}

/// Called before the thread waits. Each new connection and each reply would wake it, and on a busy machine that costs
/// more than all it does then.
fn rest() {
    if MAY_REST.swap(false, Ordering::Relaxed) {
        thread::sleep(REST);
    }
}

/// The way to the thread.
#[derive(Clone)]
pub(super) struct Thread(runtime::Handle);

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Thread")
    }
}

impl Thread {
    /// The process's thread, which runs from the first call on.
    pub(super) fn get() -> io::Result<Thread> {
        static THREAD: Mutex<Option<Thread>> = Mutex::new(None);
        let mut known = THREAD.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = &*known {
            return Ok(thread.clone());
        }
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .on_thread_park(rest)
            .build()?;
        let thread = Thread(runtime.handle().clone());
        thread::Builder::new()
            .name("rsipc-io".into())
            .spawn(move || {
                process::leave_signals();
                runtime.block_on(std::future::pending::<()>());
            })?;
        Ok(known.insert(thread).clone())
    }

    /// After `time` hands out connections of `listener` again, to `worker` too.
    pub(super) fn later(
        &self,
        time: Duration,
        state: Weak<Mutex<State>>,
        listener: u32,
        worker: Option<u32>,
    ) {
        self.0.spawn(async move {
            time::sleep(time).await;
            if let Some(state) = state.upgrade() {
                lock(&state).resume(listener, worker);
            }
        });
    }

    /// After `time` a connection goes to the next worker, if none has been chosen for it.
    pub(super) fn decide_later(&self, time: Duration, state: Weak<Mutex<State>>, ticket: u64) {
        self.0.spawn(async move {
            time::sleep(time).await;
            if let Some(state) = state.upgrade() {
                lock(&state).chosen(ticket, None);
            }
        });
    }

    /// Looks for what a connection begins with, for at most `time`, and leaves it there. Before it is answered it can be
    /// ended.
    pub(super) fn look(
        &self,
        connection: Arc<OwnedFd>,
        sought: Sought,
        time: Duration,
        state: Weak<Mutex<State>>,
        ticket: u64,
    ) -> AbortHandle {
        let looking = self.0.spawn(async move {
            let peeked = peek::peek(connection.as_fd(), sought, time).await;
            // Whoever gets it is to be the only one who has it.
            drop(connection);
            if let Some(state) = state.upgrade() {
                lock(&state).looked(ticket, peeked.ok().as_ref());
            }
        });
        looking.abort_handle()
    }

    /// Looks at connections that workers have adopted after `time`, and again until none is kept.
    pub(super) fn look_at_kept(&self, mut time: Duration, state: Weak<Mutex<State>>) {
        self.0.spawn(async move {
            loop {
                time::sleep(time).await;
                let Some(state) = state.upgrade() else { return };
                let Some(next) = lock(&state).look_at_kept() else {
                    return;
                };
                time = next;
            }
        });
    }

    /// Looks for workers that do not answer every `time`, until there is nothing to answer.
    pub(super) fn look_later(&self, time: Duration, state: Weak<Mutex<State>>) {
        self.0.spawn(async move {
            loop {
                time::sleep(time).await;
                let Some(state) = state.upgrade() else { return };
                if !lock(&state).look_for_stalled() {
                    return;
                }
            }
        });
    }
}

/// A socket that listens and that the thread has, until this is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    task: AbortHandle,
    end: mpsc::Receiver<()>,
}

impl Watch {
    /// Waits until the thread has closed the socket: whoever asks for its address next gets it.
    pub(super) fn end(&self) {
        self.task.abort();
        let _ = self.end.recv_timeout(CLOSING);
    }

    /// Whether there is nothing to wait for any more.
    pub(super) fn is_over(&self) -> bool {
        self.task.is_finished()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The thread's descriptor of such a socket. Its end is told when that is closed.
struct Open {
    socket: AsyncFd<OwnedFd>,
    _ends: mpsc::Sender<()>,
}

impl Open {
    /// Within the thread's runtime.
    fn new(socket: OwnedFd) -> io::Result<(Open, mpsc::Receiver<()>)> {
        #[expect(
            deprecated,
            reason = "its successor is unsafe for what may close a descriptor early, which an OwnedFd does not"
        )]
        let socket = AsyncFd::with_interest(socket, Interest::READABLE)?;
        let (ends, end) = mpsc::channel();
        let open = Open {
            socket,
            _ends: ends,
        };
        Ok((open, end))
    }
}

/// Accepts connections of `socket` until the listener is closed.
pub(super) fn listen(
    thread: &Thread,
    state: Weak<Mutex<State>>,
    listener: u32,
    socket: OwnedFd,
    changed: Arc<Notify>,
) -> io::Result<Watch> {
    stream::set_nonblocking(socket.as_fd(), true)?;
    let _within = thread.0.enter();
    let (open, end) = Open::new(socket)?;
    let listening = thread.0.spawn(async move {
        let open = open;
        let socket = &open.socket;
        let mut accepted = Vec::new();
        // `None` when the listener, or its primary, is gone.
        while let Some(room) = state
            .upgrade()
            .and_then(|state| lock(&state).accepts(listener))
        {
            let ready = select! {
                () = changed.notified() => continue,
                ready = socket.readable(), if room > 0 => ready,
            };
            let Ok(mut ready) = ready else { return };
            let Some(state) = state.upgrade() else { return };
            let outcome = accept_some(socket.get_ref(), room.min(ACCEPTS), &mut accepted);
            lock(&state).accepted(listener, accepted.drain(..));
            match outcome {
                Ok(true) => {
                    drop(state);
                    task::yield_now().await;
                }
                Ok(false) => ready.clear_ready(),
                Err(_) => {
                    lock(&state).let_go_of_kept();
                    drop(state);
                    time::sleep(EXHAUSTED).await;
                }
            }
        }
    });
    Ok(Watch {
        task: listening.abort_handle(),
        end,
    })
}

/// Tells once, when somebody waits at a socket from which others accept. Further connections do not wake the thread.
pub(super) fn look_out(
    thread: &Thread,
    state: Weak<Mutex<State>>,
    socket: OwnedFd,
) -> io::Result<Watch> {
    let _within = thread.0.enter();
    let (open, end) = Open::new(socket)?;
    let looking = thread.0.spawn(async move {
        let waits = open.socket.readable().await.is_ok();
        drop(open);
        if waits && let Some(state) = state.upgrade() {
            lock(&state).somebody_waits();
        }
    });
    Ok(Watch {
        task: looking.abort_handle(),
        end,
    })
}

/// Accepts what is there, up to `room`; says whether there may be more.
fn accept_some(
    socket: &OwnedFd,
    room: usize,
    accepted: &mut Vec<OwnedFd>,
) -> Result<bool, NotAccepted> {
    while accepted.len() < room {
        match socket::accept(socket.as_fd()) {
            Ok(connection) => accepted.push(connection),
            Err(NotAccepted::None) => return Ok(false),
            // What is over for good is over as well when the listener is looked at again.
            Err(refusal @ (NotAccepted::Full | NotAccepted::Os(_))) => return Err(refusal),
            // A client that has gone meanwhile.
            Err(_) => {}
        }
    }
    Ok(true)
}

/// Reads and writes a worker's channel until its owner closes it.
pub(super) fn attend(
    thread: &Thread,
    state: &Arc<Mutex<State>>,
    worker: u32,
    seat: &Arc<Seat>,
) -> io::Result<()> {
    // A descriptor of its own for the thread to watch: the channel's belongs to the channel. Both are the same open
    // socket, which the channel has made non-blocking.
    let watched = seat.watched()?;
    let _within = thread.0.enter();
    let watched = UnixStream::from_std(net::UnixStream::from(watched))?;
    let (state, seat) = (Arc::downgrade(state), seat.clone());
    thread.0.spawn(async move {
        let mut answers = Vec::new();
        while let Some(wants) = seat.wants() {
            let ready = select! {
                () = seat.work.notified() => Ok(()),
                () = time::sleep(REFUSED_RETRY), if wants.retry => {
                    seat.write();
                    Ok(())
                }
                ready = watched.writable(), if wants.writing => {
                    note(&watched, Interest::WRITABLE, || {
                        seat.write();
                        seat.wants().is_some_and(|wants| wants.writing)
                    });
                    ready
                }
                ready = watched.readable(), if wants.reading => {
                    note(&watched, Interest::READABLE, || {
                        !seat.read(BUDGET, &mut answers) && seat.is_exhausted()
                    });
                    if let Some(state) = state.upgrade() {
                        tell(&state, worker, &mut answers);
                    }
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
    });
    Ok(())
}

/// Looks through a worker's hatch whenever the worker rings, as long as the primary has the worker.
pub(super) fn hear(
    thread: &Thread,
    state: &Arc<Mutex<State>>,
    worker: u32,
    chime: Chime,
) -> io::Result<AbortHandle> {
    let _within = thread.0.enter();
    #[expect(
        deprecated,
        reason = "its successor is unsafe for what may close a descriptor early, which an OwnedFd does not"
    )]
    let chime = AsyncFd::with_interest(OwnedFd::from(chime), Interest::READABLE)?;
    let state = Arc::downgrade(state);
    let hearing = thread.0.spawn(async move {
        while let Ok(mut rung) = chime.readable().await {
            // Before the look: what is rung meanwhile is heard again.
            rung.clear_ready();
            let Some(state) = state.upgrade() else { return };
            lock(&state).rung(worker);
        }
    });
    Ok(hearing.abort_handle())
}

pub(super) fn tell(state: &Mutex<State>, worker: u32, answers: &mut Vec<Answer>) {
    if answers.is_empty() {
        return;
    }
    let mut state = lock(state);
    for answer in answers.drain(..) {
        state.answered(worker, answer);
    }
}

/// Does something that may exhaust what the socket is ready for. The runtime hears of changes only, so it must be told
/// whether that is so.
fn note(watched: &UnixStream, interest: Interest, exhausts: impl FnOnce() -> bool) {
    let _ = watched.try_io(interest, || {
        if exhausts() {
            Err(io::ErrorKind::WouldBlock.into())
        } else {
            Ok(())
        }
    });
}
