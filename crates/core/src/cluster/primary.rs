//! Workers, listeners and connections, and what becomes of them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use rsipc_sys::{claim, rights};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::acceptor::{self, Thread};
use super::balance::{Policy, Rota};
use super::protocol::{Announcement, FIRST_SEQUENCE, Reply, Said};
use super::seat::{Answer, Seat};
use super::sticky::{By, Client, Sticky};
use crate::channel::Serialization;
use crate::endpoint::peek::{Peeked, Sought};
use crate::runtime::Shared;

/// Connections of a listener that wait for a worker. Further ones wait in the kernel.
const PENDING: usize = 512;
/// Connections that a worker may have been given and not have answered. One is what Node allows, and its load balancing:
/// who is busy does not answer, and gets nothing more. Further ones, which cost the two processes fewer turns, are for a
/// worker that has been given the first a moment ago.
const UNANSWERED: usize = 4;
/// How many a worker may have that was chosen by name.
const MOST_UNANSWERED: usize = 64;
/// For how many connections the bytes are awaited that say whose they are. Of more, the one that has had the longest time
/// goes on without.
const LOOKS: usize = 256;
/// How many the workers must have together for the I/O thread to rest, when each has one.
const ENOUGH: usize = 2;
/// How long that moment is.
const PROMPT: Duration = Duration::from_millis(2);
/// How long a worker may leave a connection unanswered before others get it.
const STALLED: Duration = Duration::from_millis(250);
/// How long a worker that has refused a connection is passed over at first, and how often that is doubled.
const REFUSED: Duration = Duration::from_millis(5);
const REFUSED_DOUBLED: u32 = 6;
/// How long nothing is handed over when this process is out of descriptors.
const EXHAUSTED: Duration = Duration::from_millis(20);

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

#[derive(Debug)]
struct Worker {
    seat: Arc<Seat>,
    /// By their numbers: connections given and not answered.
    unanswered: BTreeMap<u64, Unanswered>,
    /// Where it stands among the others, for clients that keep to one place.
    place: u32,
    paused: bool,
    gone: bool,
    /// It takes a claim before it uses a connection, so one that it has not used can be withdrawn.
    claims: bool,
    adopted: u64,
    /// What it has to do by its own account, and what it has adopted since.
    reported: u64,
    since_report: u64,
}

#[derive(Debug)]
struct Unanswered {
    listener: u32,
    /// `None` when it did not arrive there and was given to another worker.
    connection: Option<Connection>,
    /// Its number on the channel.
    number: u64,
    since: Instant,
}

#[derive(Debug)]
struct Listener {
    announcements: [Announcement; 2],
    workers: Vec<u32>,
    rota: Rota,
    pending: VecDeque<Connection>,
    /// How often in a row a worker has refused.
    refusals: HashMap<u32, u32>,
    changed: Arc<Notify>,
    /// It accepts nothing until it is told that there is room.
    full: bool,
}

/// A connection, and whose it is, where that counts.
#[derive(Debug)]
struct Connection {
    socket: Arc<OwnedFd>,
    client: Option<Client>,
}

/// A connection and where it came from.
#[derive(Debug)]
struct Waiting {
    listener: u32,
    connection: Connection,
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
        let entry = Worker {
            seat: seat.clone(),
            unanswered: BTreeMap::new(),
            place: worker,
            paused: false,
            gone: false,
            claims: false,
            adopted: 0,
            reported: 0,
            since_report: 0,
        };
        lock(&self.state).workers.insert(worker, entry);
        acceptor::attend(&self.thread, &self.state, worker, &seat)?;
        Ok(seat)
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
    pub fn listen(&self, socket: OwnedFd, announcements: [Announcement; 2]) -> io::Result<u32> {
        let changed = Arc::new(Notify::new());
        let number = {
            let mut state = lock(&self.state);
            state.last_listener += 1;
            let number = state.last_listener;
            let listener = Listener {
                announcements,
                workers: Vec::new(),
                rota: Rota::default(),
                pending: VecDeque::new(),
                refusals: HashMap::new(),
                changed: changed.clone(),
                full: false,
            };
            state.listeners.insert(number, listener);
            number
        };
        if let Err(error) = acceptor::listen(&self.thread, &self.state, number, socket, changed) {
            lock(&self.state).listeners.remove(&number);
            return Err(error);
        }
        Ok(number)
    }

    /// Accepts no more, and closes the connections that nobody has got.
    pub fn close(&self, listener: u32) {
        if let Some(listener) = lock(&self.state).listeners.remove(&listener) {
            listener.changed.notify_one();
        }
    }

    /// From now on the worker gets connections of this listener.
    pub fn add(&self, listener: u32, worker: u32) {
        let mut state = lock(&self.state);
        if let Some(entry) = state.listeners.get_mut(&listener)
            && !entry.workers.contains(&worker)
        {
            entry.workers.push(worker);
            entry.rota.add(worker);
            state.hand_out(listener);
        }
    }

    /// The worker gets no more connections of this listener.
    pub fn remove(&self, listener: u32, worker: u32) {
        if let Some(entry) = lock(&self.state).listeners.get_mut(&listener) {
            entry.workers.retain(|&other| other != worker);
            entry.rota.remove(worker);
            entry.refusals.remove(&worker);
        }
    }

    /// The worker is passed over, or not any more.
    pub fn pause(&self, worker: u32, paused: bool) {
        let mut state = lock(&self.state);
        if let Some(entry) = state.workers.get_mut(&worker) {
            entry.paused = paused;
            state.hand_out_all();
        }
    }

    /// The worker takes claims: see [`rsipc_sys::claim`].
    pub fn claims(&self, worker: u32) {
        if let Some(entry) = lock(&self.state).workers.get_mut(&worker) {
            entry.claims = true;
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
        for (_, listener) in state.listeners.drain() {
            listener.changed.notify_one();
        }
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

impl State {
    /// Whether to accept for this listener; `None` when it has been closed.
    pub(super) fn accepts(&mut self, listener: u32) -> Option<bool> {
        let undecided = self.asked.len() + self.looked_at.len();
        let entry = self.listeners.get_mut(&listener)?;
        entry.full = entry.pending.len() + undecided >= PENDING;
        self.full |= entry.full;
        Some(!entry.full)
    }

    /// Lets listeners accept again that had too many connections.
    fn make_room(&mut self) {
        if !std::mem::take(&mut self.full) {
            return;
        }
        let undecided = self.asked.len() + self.looked_at.len();
        for entry in self.listeners.values_mut() {
            entry.full &= entry.pending.len() + undecided >= PENDING;
            self.full |= entry.full;
            if !entry.full {
                entry.changed.notify_one();
            }
        }
    }

    /// A new connection.
    pub(super) fn accepted(&mut self, listener: u32, connection: OwnedFd) {
        if self.sticky.is_none() && self.oracle.is_none() {
            self.wait(listener, Arc::new(connection), None);
            return;
        }
        let stream = TcpStream::from(connection);
        let peer = stream.peer_addr().ok();
        let socket = Arc::new(OwnedFd::from(stream));
        let Some(sticky) = &self.sticky else {
            return self.ask_for(listener, socket, peer);
        };
        match sticky.sought() {
            None => match peer.map(|peer| sticky.at(peer.ip())) {
                Some(client) => self.wait(listener, socket, Some(client)),
                None => self.ask_for(listener, socket, peer),
            },
            Some(sought) => {
                let time = sticky.time;
                self.look(listener, socket, peer, sought, time);
            }
        }
    }

    /// Awaits the first bytes of a connection.
    fn look(
        &mut self,
        listener: u32,
        socket: Arc<OwnedFd>,
        peer: Option<SocketAddr>,
        sought: Sought,
        time: Duration,
    ) {
        if self.looked_at.len() >= LOOKS
            && let Some((_, oldest)) = self.looked_at.pop_first()
        {
            oldest.task.abort();
            self.ask_for(oldest.listener, oldest.socket, oldest.peer);
        }
        self.sequence += 1;
        let ticket = self.sequence;
        let looked = Looked {
            listener,
            socket: socket.clone(),
            peer,
            task: self
                .thread
                .look(socket, sought, time, self.itself.clone(), ticket),
        };
        self.looked_at.insert(ticket, looked);
    }

    /// The first bytes of a connection are there, or will not be.
    pub(super) fn looked(&mut self, ticket: u64, peeked: Option<&Peeked>) {
        let Some(looked) = self.looked_at.remove(&ticket) else {
            return;
        };
        let sender = |sticky: &Sticky| sticky.sender(peeked?);
        match self.sticky.as_ref().and_then(sender) {
            Some(client) => self.wait(looked.listener, looked.socket, Some(client)),
            None => self.ask_for(looked.listener, looked.socket, looked.peer),
        }
        self.make_room();
    }

    /// Asks which worker a connection of nobody in particular is for, if there is somebody to ask.
    fn ask_for(&mut self, listener: u32, socket: Arc<OwnedFd>, peer: Option<SocketAddr>) {
        let Some(oracle) = &self.oracle else {
            return self.wait(listener, socket, None);
        };
        self.sequence += 1;
        let ticket = self.sequence;
        self.questions.push(Question { ticket, peer });
        if self.questions.len() == 1 {
            (oracle.tell)();
        }
        self.thread
            .decide_later(oracle.budget, self.itself.clone(), ticket);
        let connection = Connection {
            socket,
            client: None,
        };
        let waiting = Waiting {
            listener,
            connection,
        };
        self.asked.insert(ticket, waiting);
    }

    /// A connection waits for its client's worker, or for the next one.
    fn wait(&mut self, listener: u32, socket: Arc<OwnedFd>, client: Option<Client>) {
        if let Some(entry) = self.listeners.get_mut(&listener) {
            entry.pending.push_back(Connection { socket, client });
            self.hand_out(listener);
        }
    }

    /// Gives a connection to the worker chosen for it, or to the next one.
    pub(super) fn chosen(&mut self, ticket: u64, worker: Option<u32>) {
        let Some(waiting) = self.asked.remove(&ticket) else {
            return;
        };
        let listener = waiting.listener;
        self.make_room();
        let Some(entry) = self.listeners.get_mut(&listener) else {
            return;
        };
        let takes = |id: &u32| {
            entry.workers.contains(id)
                && self
                    .workers
                    .get(id)
                    .is_some_and(|worker| !worker.gone && worker.unanswered.len() < MOST_UNANSWERED)
        };
        match worker.filter(takes) {
            Some(worker) => {
                self.give(worker, waiting);
            }
            None => entry.pending.push_back(waiting.connection),
        }
        self.hand_out(listener);
    }

    /// What a worker has said of a connection.
    pub(super) fn answered(&mut self, worker: u32, answer: Answer) {
        match answer {
            Answer::Gone => self.gone(worker),
            Answer::Said(Said::Reply(reply)) => self.replied(worker, reply),
            Answer::Said(Said::Load(load)) => self.reported(worker, load),
            Answer::Lost(number) => self.lost(worker, number),
        }
    }

    fn reported(&mut self, id: u32, load: u64) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.reported = load;
            worker.since_report = 0;
        }
    }

    fn replied(&mut self, id: u32, reply: Reply) {
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        let Some(unanswered) = worker.unanswered.remove(&reply.sequence) else {
            worker.seat.breach();
            return;
        };
        let listener = unanswered.listener;
        let mut refusals = 0;
        let free = worker.unanswered.is_empty();
        if let Some(connection) = unanswered.connection {
            worker.adopted += u64::from(reply.accepted);
            worker.since_report += u64::from(reply.accepted);
            if !reply.accepted {
                refusals = self.refused(id, listener, connection);
            }
        }
        if refusals > 0 || free {
            self.free(id, listener, refusals);
        }
        self.hand_out_all();
    }

    /// Puts a connection behind the others, and answers how often the worker has refused one.
    fn refused(&mut self, worker: u32, listener: u32, connection: Connection) -> u32 {
        let Some(entry) = self.listeners.get_mut(&listener) else {
            return 1;
        };
        entry.pending.push_back(connection);
        let refusals = entry.refusals.entry(worker).or_default();
        *refusals += 1;
        *refusals
    }

    /// A worker can take a connection of this listener again: at once, or when some time has passed since it refused one.
    fn free(&mut self, worker: u32, listener: u32, refusals: u32) {
        let Some(entry) = self.listeners.get_mut(&listener) else {
            return;
        };
        if !entry.workers.contains(&worker) {
            return;
        }
        if refusals == 0 {
            entry.refusals.remove(&worker);
            entry.rota.add(worker);
        } else {
            entry.rota.remove(worker);
            let time = REFUSED * (1 << refusals.min(REFUSED_DOUBLED));
            self.thread
                .later(time, self.itself.clone(), listener, Some(worker));
        }
        self.hand_out(listener);
    }

    /// The time after a refusal has passed, or that for which nothing was handed over.
    pub(super) fn resume(&mut self, listener: u32, worker: Option<u32>) {
        if let Some(entry) = self.listeners.get_mut(&listener) {
            if let Some(worker) = worker.filter(|worker| entry.workers.contains(worker)) {
                entry.rota.add(worker);
            }
            self.hand_out(listener);
        }
    }

    /// A connection did not arrive: the worker has no descriptor left, or no room for it.
    fn lost(&mut self, id: u32, number: u64) {
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        let Some(unanswered) = worker
            .unanswered
            .values_mut()
            .find(|unanswered| unanswered.number == number)
        else {
            return;
        };
        let listener = unanswered.listener;
        if let Some(connection) = unanswered.connection.take() {
            let refusals = self.refused(id, listener, connection);
            self.free(id, listener, refusals);
            self.hand_out(listener);
        }
    }

    /// A worker answers no more: others get what it has not answered for, before newer ones.
    fn gone(&mut self, id: u32) {
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        worker.gone = true;
        let waiting = std::mem::take(&mut worker.unanswered);
        for entry in self.listeners.values_mut() {
            entry.workers.retain(|&other| other != id);
            entry.rota.remove(id);
            entry.refusals.remove(&id);
        }
        for (_, unanswered) in waiting.into_iter().rev() {
            if let (Some(entry), Some(connection)) = (
                self.listeners.get_mut(&unanswered.listener),
                unanswered.connection,
            ) {
                entry.pending.push_front(connection);
            }
        }
        self.hand_out_all();
    }

    /// Takes connections back from workers that do not answer, where that can be told from a worker that has just taken
    /// them. Says whether to look again.
    pub(super) fn look_for_stalled(&mut self) -> bool {
        self.watched = false;
        let mut moved = false;
        for worker in self.workers.values_mut() {
            self.watched |= !worker.unanswered.is_empty();
            if !worker.claims {
                continue;
            }
            for (&sequence, unanswered) in &mut worker.unanswered {
                if unanswered.since.elapsed() < STALLED {
                    break;
                }
                let Some(entry) = self.listeners.get_mut(&unanswered.listener) else {
                    continue;
                };
                let withdrawn = |connection: &mut Connection| {
                    claim::withdraw(connection.socket.as_fd(), sequence).unwrap_or(false)
                };
                if let Some(connection) = unanswered.connection.take_if(withdrawn) {
                    entry.pending.push_back(connection);
                    moved = true;
                }
            }
        }
        // Who waits for one worker of theirs waits no longer for one that does not answer.
        if moved || self.sticky.is_some() {
            self.hand_out_all();
        }
        self.watched
    }

    fn hand_out_all(&mut self) {
        let waiting = |(&number, listener): (&u32, &Listener)| {
            (!listener.pending.is_empty()).then_some(number)
        };
        let listeners: Vec<u32> = self.listeners.iter().filter_map(waiting).collect();
        for listener in listeners {
            self.hand_out(listener);
        }
    }

    /// Gives waiting connections to workers that can take them.
    fn hand_out(&mut self, listener: u32) {
        while let Some((worker, waiting)) = self.match_next(listener) {
            if !self.give(worker, waiting) {
                return;
            }
        }
        self.make_room();
        let busy = || self.workers.values().map(|worker| worker.unanswered.len());
        acceptor::may_rest(busy().all(|count| count > 0) && busy().sum::<usize>() >= ENOUGH);
    }

    /// The next connection and who gets it.
    fn match_next(&mut self, listener: u32) -> Option<(u32, Waiting)> {
        let (workers, policy) = (&self.workers, self.policy);
        let entry = self.listeners.get_mut(&listener)?;
        if entry.pending.is_empty() {
            return None;
        }
        let next = |rota: &mut Rota| rota.next(|id| workers.get(&id)?.load(policy));
        let (worker, connection) = match &self.sticky {
            None => (next(&mut entry.rota)?, entry.pending.pop_front()?),
            Some(sticky) => {
                let (place, worker) = entry.match_client(sticky, workers, next)?;
                (worker, entry.pending.remove(place)?)
            }
        };
        Some((
            worker,
            Waiting {
                listener,
                connection,
            },
        ))
    }

    /// Sends a connection. False if nothing can be sent for now.
    fn give(&mut self, id: u32, waiting: Waiting) -> bool {
        let Waiting {
            listener,
            connection,
        } = waiting;
        let (Some(worker), Some(entry)) =
            (self.workers.get_mut(&id), self.listeners.get_mut(&listener))
        else {
            return false;
        };
        let sequence = self.sequence;
        let [json, advanced] = &entry.announcements;
        let announcement = match worker.seat.serialization() {
            Serialization::Json => json,
            Serialization::Advanced => advanced,
        };
        match worker
            .seat
            .announce(&connection.socket, announcement, sequence)
        {
            Ok(number) => {
                self.sequence += 1;
                let unanswered = Unanswered {
                    listener,
                    connection: Some(connection),
                    number,
                    since: Instant::now(),
                };
                worker.unanswered.insert(sequence, unanswered);
                if !std::mem::replace(&mut self.watched, true) {
                    self.thread.look_later(STALLED / 2, self.itself.clone());
                }
                true
            }
            Err(error) => {
                entry.pending.push_front(connection);
                let exhausted = rights::is_refusal(&error);
                if !exhausted {
                    // The channel takes nothing any more: its end will be told.
                    entry.rota.remove(id);
                } else {
                    self.thread
                        .later(EXHAUSTED, self.itself.clone(), listener, None);
                }
                !exhausted
            }
        }
    }
}

impl Listener {
    /// The first connection that somebody can take, and who: a client's worker, or the next one. A client waits for its
    /// worker while that answers, and holds nobody up.
    fn match_client(
        &mut self,
        sticky: &Sticky,
        workers: &HashMap<u32, Worker>,
        next: impl Fn(&mut Rota) -> Option<u32>,
    ) -> Option<(usize, u32)> {
        let mut waits = None;
        let mut none_is_next = false;
        for (place, connection) in self.pending.iter().enumerate() {
            if let Some(client) = connection.client {
                if waits == Some(client) {
                    continue;
                }
                let worth = |id: u32| {
                    let worker = workers.get(&id)?;
                    (worker.answers()).then(|| sticky.weight(client, worker.place))
                };
                if let Some(id) = self.rota.favourite(worth) {
                    if workers.get(&id)?.unanswered.len() < MOST_UNANSWERED {
                        return Some((place, id));
                    }
                    waits = Some(client);
                    continue;
                }
            }
            if !none_is_next {
                if let Some(id) = next(&mut self.rota) {
                    return Some((place, id));
                }
                none_is_next = true;
            }
        }
        None
    }
}

impl Worker {
    /// Whether it is there for its clients: it may have much to do, but does it.
    fn answers(&self) -> bool {
        let stalled = self
            .unanswered
            .first_key_value()
            .is_some_and(|(_, oldest)| oldest.since.elapsed() >= STALLED);
        !(self.paused || self.gone || stalled)
    }

    /// How much it has to do; `None` when it must not be given more.
    fn load(&self, policy: Policy) -> Option<u64> {
        let busy = match self.unanswered.first_key_value() {
            Some((_, oldest)) => {
                self.unanswered.len() >= UNANSWERED || oldest.since.elapsed() >= PROMPT
            }
            None => false,
        };
        if self.paused || self.gone || busy {
            return None;
        }
        let unanswered = self.unanswered.len() as u64;
        Some(match policy {
            Policy::RoundRobin => unanswered,
            Policy::Least => self.reported + self.since_report + unanswered,
        })
    }
}
