//! Workers, listeners and connections, and what becomes of them.
//!
//! - `apart`: workers that accept for themselves.
//! - `choosing`: a new connection, until it waits for a worker.
//! - `handing`: what waits goes to workers; what they do not answer for goes to others.
//! - `kept`: what workers have adopted and not touched yet.
//! - `worker`, `listener`: what is known of each.

mod apart;
mod choosing;
mod handing;
mod kept;
mod listener;
mod worker;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::acceptor::{self, Thread};
use super::balance::Policy;
use super::hatch::Hatch;
use super::protocol::{Announcement, FIRST_SEQUENCE, Reply};
use super::seat::Seat;
use super::sticky::{By, Sticky};
use crate::channel::Serialization;
use crate::runtime::Shared;
use apart::Apart;
use kept::Kept;
use listener::{Listener, Waiting};
use worker::Worker;

/// How long a worker may leave a connection unanswered, unless told.
const STALL: Duration = Duration::from_millis(250);

/// The primary of a cluster: takes listening sockets and workers' channels, and brings connections from one to the other.
#[derive(Debug)]
pub struct Primary {
    state: Arc<Mutex<State>>,
    thread: Thread,
}

#[derive(Debug)]
pub(super) struct State {
    /// For what is to be done later.
    itself: Weak<Mutex<State>>,
    thread: Thread,
    workers: HashMap<u32, Worker>,
    listeners: HashMap<u32, Listener>,
    last_listener: u32,
    sequence: u64,
    policy: Policy,
    /// Somebody will look for workers that do not answer.
    watched: bool,
    /// Who says which worker a new connection is for.
    oracle: Option<Oracle>,
    /// Connections whose worker has been asked for, by their tickets.
    asked: BTreeMap<u64, Waiting>,
    questions: Vec<Question>,
    /// What tells clients apart whose connections go to one worker.
    sticky: Option<Sticky>,
    /// Connections whose first bytes are awaited, by their tickets.
    looked_at: BTreeMap<u64, Looked>,
    /// Some listener has as many connections as it may, and waits.
    full: bool,
    /// What workers have adopted and may not have touched yet.
    kept: Kept,
    /// How long a worker may leave a connection unanswered before others get it.
    stall: Duration,
    /// Workers whose hatch has a batch to send.
    loaded: Vec<u32>,
}

/// A connection whose first bytes are awaited, and the task that does so.
#[derive(Debug)]
struct Looked {
    listener: u32,
    socket: Arc<OwnedFd>,
    peer: Option<SocketAddr>,
    task: AbortHandle,
}

/// Somebody who chooses workers, and is not waited for longer than `budget`.
struct Oracle {
    budget: Duration,
    tell: Box<dyn Fn() + Send>,
}

impl fmt::Debug for Oracle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Oracle")
    }
}

/// Which worker is a connection for?
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// To be named in the answer.
    pub ticket: u64,
    /// Who has connected, where that has an address.
    pub peer: Option<SocketAddr>,
}
impl Primary {
    /// A primary without workers. Starts the process's I/O thread, if there is none yet.
    pub fn new() -> io::Result<Primary> {
        let thread = Thread::get()?;
        let state = Arc::new_cyclic(|itself| {
            Mutex::new(State {
                itself: itself.clone(),
                thread: thread.clone(),
                workers: HashMap::new(),
                listeners: HashMap::new(),
                last_listener: 0,
                sequence: FIRST_SEQUENCE,
                policy: Policy::default(),
                watched: false,
                oracle: None,
                asked: BTreeMap::new(),
                questions: Vec::new(),
                sticky: None,
                looked_at: BTreeMap::new(),
                full: false,
                kept: Kept::default(),
                stall: STALL,
                loaded: Vec::new(),
            })
        });
        Ok(Primary { state, thread })
    }

    /// Takes over reading a worker's channel. What is not about connections is at the seat for its owner.
    pub fn seat(
        &self,
        worker: u32,
        channel: Arc<Shared>,
        serialization: Serialization,
    ) -> io::Result<Arc<Seat>> {
        let seat = Seat::new(channel, serialization)?;
        let entry = Worker::new(seat.clone(), worker);
        lock(&self.state).workers.insert(worker, entry);
        let attended = acceptor::attend(&self.thread, &self.state, worker, &seat);
        if attended.is_err() {
            lock(&self.state).workers.remove(&worker);
        }
        attended.map(|()| seat)
    }

    /// Forgets a worker. Connections that it has not answered for go to others.
    pub fn unseat(&self, worker: u32) {
        let mut state = lock(&self.state);
        state.gone(worker);
        if let Some(worker) = state.workers.remove(&worker) {
            worker.seat.leave();
        }
    }

    /// Accepts connections of a socket that listens, for workers that are still to be added. The announcements are for
    /// JSON and for the other serialization.
    /// With `held` it accepts nothing before [`hold`](Primary::hold) says so.
    pub fn listen(
        &self,
        socket: OwnedFd,
        announcements: [Announcement; 2],
        held: bool,
    ) -> io::Result<u32> {
        self.listen_with(socket, announcements, held, None)
    }

    /// As [`listen`](Primary::listen), at an address, for workers that accept for themselves from a socket each:
    /// [`socket_for`](Primary::socket_for). An error where the system does not spread connections over them.
    pub fn listen_apart(
        &self,
        address: SocketAddr,
        only_v6: bool,
        backlog: u32,
        announcements: [Announcement; 2],
    ) -> io::Result<u32> {
        let (apart, socket) = Apart::new(address, only_v6, backlog)?;
        self.listen_with(socket, announcements, false, Some(apart))
    }

    /// The worker's socket at such a listener. It is still to be [added](Primary::add).
    pub fn socket_for(&self, listener: u32, worker: u32) -> io::Result<OwnedFd> {
        lock(&self.state).socket_for(listener, worker)
    }

    fn listen_with(
        &self,
        socket: OwnedFd,
        announcements: [Announcement; 2],
        held: bool,
        apart: Option<Apart>,
    ) -> io::Result<u32> {
        let changed = Arc::new(Notify::new());
        let tells = rsipc_sys::socket::is_untouched(socket.as_fd()).is_ok();
        let number = {
            let mut state = lock(&self.state);
            state.last_listener += 1;
            let number = state.last_listener;
            let listener = Listener::new(announcements, changed.clone(), tells, held, apart);
            state.listeners.insert(number, listener);
            number
        };
        let state = Arc::downgrade(&self.state);
        match acceptor::listen(&self.thread, state, number, socket, changed) {
            Ok(accepting) => {
                if let Some(entry) = lock(&self.state).listeners.get_mut(&number) {
                    entry.accepting = Some(accepting);
                }
            }
            Err(error) => {
                lock(&self.state).listeners.remove(&number);
                return Err(error);
            }
        }
        Ok(number)
    }

    /// Accepts no more, and closes the connections that nobody has got.
    pub fn close(&self, listener: u32) {
        let mut state = lock(&self.state);
        state.looked_at.retain(|_, one| {
            let stays = one.listener != listener;
            if !stays {
                one.task.abort();
            }
            stays
        });
        let removed = state.listeners.remove(&listener);
        drop(state);
        if let Some(listener) = removed {
            listener.end();
        }
    }

    /// Accepts no more until that is undone, and still hands out what has been accepted.
    pub fn hold(&self, listener: u32, held: bool) {
        if let Some(entry) = lock(&self.state).listeners.get_mut(&listener) {
            entry.held = held;
            entry.rests = false;
            entry.changed.notify_one();
        }
    }

    /// How many connections of a listener that is held no worker has answered for. Not 0 while one may still be accepted.
    pub fn unfinished(&self, listener: u32) -> usize {
        let state = lock(&self.state);
        let Some(entry) = state.listeners.get(&listener) else {
            return 0;
        };
        let asked = state.asked.values();
        let looked_at = state.looked_at.values();
        let given = state
            .workers
            .values()
            .flat_map(|worker| worker.unanswered.values());
        usize::from(!entry.rests)
            + entry.pending.len()
            + asked.filter(|one| one.listener == listener).count()
            + looked_at.filter(|one| one.listener == listener).count()
            + given
                .filter(|one| one.listener == listener && one.connection.is_some())
                .count()
    }

    /// From now on the worker gets connections of this listener.
    pub fn add(&self, listener: u32, worker: u32) {
        let mut state = lock(&self.state);
        if let Some(entry) = state.listeners.get_mut(&listener) {
            if !entry.workers.contains(&worker) {
                entry.workers.push(worker);
            }
            entry.rota.add(worker);
            state.hand_out(listener);
        }
    }

    /// The worker gets no more connections of this listener.
    pub fn remove(&self, listener: u32, worker: u32) {
        let mut state = lock(&self.state);
        if let Some(entry) = state.listeners.get_mut(&listener) {
            entry.forget(worker);
            state.spread(listener);
        }
    }

    /// The worker is passed over, or not any more.
    pub fn pause(&self, worker: u32, paused: bool) {
        let mut state = lock(&self.state);
        if let Some(entry) = state.workers.get_mut(&worker) {
            entry.paused = paused;
            state.spread_all();
            state.hand_out_all();
        }
    }

    /// The worker takes claims: see [`rsipc_sys::claim`].
    pub fn claims(&self, worker: u32) {
        if let Some(entry) = lock(&self.state).workers.get_mut(&worker) {
            entry.claims = true;
        }
    }

    /// Gives a worker its end of a way beside its channel, with an envelope: the payload of a frame, for JSON and for the
    /// other serialization. An error where there is no such way.
    pub fn open_hatch(&self, worker: u32, [json, advanced]: [&[u8]; 2]) -> io::Result<()> {
        let (hatch, theirs, chime) = Hatch::new()?;
        let mut state = lock(&self.state);
        let Some(entry) = state.workers.get_mut(&worker) else {
            return Ok(());
        };
        if entry.gone || entry.hatch.is_some() {
            return Ok(());
        }
        let envelope = match entry.seat.serialization() {
            Serialization::Json => json,
            Serialization::Advanced => advanced,
        };
        entry.seat.send_ours(theirs, envelope)?;
        entry.hearing = Some(acceptor::hear(&self.thread, &self.state, worker, chime)?);
        entry.hatch = Some(hatch);
        Ok(())
    }

    /// The worker takes connections of this listener on that way, and calls it `place` there.
    pub fn direct(&self, listener: u32, worker: u32, place: u32) {
        if let Some(entry) = lock(&self.state).listeners.get_mut(&listener)
            && entry.workers.contains(&worker)
        {
            entry.places.insert(worker, place);
        }
    }

    /// How much the worker has to do by its own account.
    pub fn report(&self, worker: u32, load: u64) {
        lock(&self.state).reported(worker, load);
    }

    /// How workers are chosen from now on.
    pub fn set_policy(&self, policy: Policy) {
        let mut state = lock(&self.state);
        state.policy = policy;
        state.oracle = None;
    }

    /// How long a worker may leave a connection unanswered before others get it: 250 ms unless said.
    pub fn set_stall(&self, stall: Duration) {
        lock(&self.state).stall = stall;
    }

    /// From now on all connections of a client go to one worker, as long as that is there and answers. Where nothing tells
    /// whose a connection is, or the bytes that do have not come within `time`, the worker is chosen as otherwise.
    pub fn stick(&self, by: Option<By>, time: Duration) {
        let mut state = lock(&self.state);
        match (&mut state.sticky, by) {
            // Those who are known stay where they are.
            (Some(sticky), Some(by)) if sticky.by == by => sticky.time = time,
            (sticky, by) => *sticky = by.map(|by| Sticky::new(by, time)),
        }
        state.hand_out_all();
    }

    /// The place of a worker, which is its number otherwise: who takes the place of another gets its clients.
    pub fn place(&self, worker: u32, place: u32) {
        if let Some(entry) = lock(&self.state).workers.get_mut(&worker) {
            entry.place = place;
        }
    }

    /// From now on `tell` is called when there are [`questions`](Primary::questions), from the I/O thread. A connection
    /// for which no worker is chosen within `budget` goes to the next one.
    pub fn ask(&self, budget: Duration, tell: impl Fn() + Send + 'static) {
        let tell = Box::new(tell);
        lock(&self.state).oracle = Some(Oracle { budget, tell });
    }

    /// The questions since the last call.
    pub fn questions(&self) -> Vec<Question> {
        std::mem::take(&mut lock(&self.state).questions)
    }

    /// Answers a question. One that is answered too late, or with a worker that is not there, has been decided otherwise.
    pub fn choose(&self, ticket: u64, worker: Option<u32>) {
        lock(&self.state).chosen(ticket, worker);
    }

    /// Reads all that the channel of a worker that has ended still holds.
    pub fn read_to_end(&self, worker: u32, seat: &Seat) {
        let mut answers = Vec::new();
        while seat.read(usize::MAX, &mut answers) {}
        acceptor::tell(&self.state, worker, &mut answers);
    }

    /// A reply in a form that was not recognized here.
    pub fn reply(&self, worker: u32, sequence: u64, accepted: bool) {
        let reply = Reply { sequence, accepted };
        lock(&self.state).replied(worker, reply);
    }

    /// Connections that the worker has adopted, and those it has not answered for.
    pub fn counts(&self, worker: u32) -> (u64, usize) {
        lock(&self.state)
            .workers
            .get(&worker)
            .map_or((0, 0), |worker| (worker.adopted, worker.unanswered.len()))
    }
}

impl Drop for Primary {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.listeners.clear();
        for (_, worker) in state.workers.drain() {
            worker.seat.leave();
        }
        for (_, looked) in std::mem::take(&mut state.looked_at) {
            looked.task.abort();
        }
    }
}

pub(super) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
