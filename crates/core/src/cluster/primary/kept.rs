//! Connections that workers have adopted and may not have touched yet.
//!
//! A worker that has adopted a connection fetches its bytes a moment later, or much later when the client is slow. If it
//! dies before that, nothing has been done with the connection, and another worker can serve it as if it were new. So
//! this process keeps a descriptor of it until the worker has fetched or written something, which the kernel tells.
//!
//! A descriptor that is kept also keeps the connection open when the worker closes it. Who writes before that, or ends
//! its side, is not delayed; who closes an untouched connection is, by [`UNCLAIMED`] looks.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rsipc_sys::{claim, socket};

use super::State;
use super::listener::Connection;

/// When a connection is looked at first: most have been touched by then.
const LOOK: Duration = Duration::from_millis(5);
/// And how often then.
const LOOK_AGAIN: Duration = Duration::from_millis(25);
/// How long one is kept that nobody touches, and whose worker has a claim that ends when it closes the connection.
const LONGEST: Duration = Duration::from_secs(5);
/// At how many looks in a row there must be no claim for the connection to be let go: a worker that dies loses its claims
/// before the end of its channel is seen here, and on a busy machine that takes a while.
const UNCLAIMED: u32 = 10;
/// How many are kept. Of more, those are let go that have been kept longest.
const MOST: usize = 512;
/// How many workers may die that have a connection: it may be what they die of.
const MOST_DEATHS: u8 = 5;

/// What is kept, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Not looked at yet.
    fresh: VecDeque<Entry>,
    /// Untouched when they were looked at.
    silent: VecDeque<Entry>,
    /// When those were looked at last.
    looked: Option<Instant>,
    /// Somebody will look.
    watched: bool,
}

#[derive(Debug)]
struct Entry {
    worker: u32,
    /// The number of the worker's claim, if it takes one, and whether it says so or was seen to have it: what it says is
    /// heard too late for its first connections.
    claim: u64,
    claimed: bool,
    listener: u32,
    connection: Connection,
    since: Instant,
    /// At how many looks in a row the worker had no claim.
    unclaimed: u32,
}

/// What is to become of a connection that is kept.
enum Fate {
    Stays,
    LetGo,
    /// The worker has closed it, untouched.
    Closed,
}

impl Entry {
    fn is_untouched(&self) -> bool {
        is_untouched(&self.connection)
    }

    fn look(&mut self) -> Fate {
        if !self.is_untouched() {
            return Fate::LetGo;
        }
        if claim::is_taken(self.connection.socket.as_fd(), self.claim).unwrap_or(false) {
            self.claimed = true;
            self.unclaimed = 0;
        } else {
            self.unclaimed += 1;
        }
        let unclaimed = self.unclaimed >= UNCLAIMED;
        match (unclaimed, self.claimed) {
            (true, true) => Fate::Closed,
            // A worker that takes no claims may have it still.
            (true, false) => Fate::LetGo,
            (false, _) if self.since.elapsed() >= LONGEST => Fate::LetGo,
            (false, _) => Fate::Stays,
        }
    }
}

impl Kept {
    /// Takes out what this worker has left.
    pub(super) fn take_of(
        &mut self,
        worker: u32,
    ) -> impl Iterator<Item = (u32, Connection)> + use<> {
        let mut taken = Vec::new();
        for entries in [&mut self.silent, &mut self.fresh] {
            let (of_worker, others) = std::mem::take(entries)
                .into_iter()
                .partition(|entry| entry.worker == worker);
            *entries = others;
            taken.push(of_worker);
        }
        let entries = taken
            .into_iter()
            .flat_map(|entries: VecDeque<Entry>| entries);
        entries.map(|entry| (entry.listener, entry.connection))
    }
}

impl State {
    /// A worker has adopted a connection. `claim` is the number of its claim, if it takes one, and
    /// whether it says that it does.
    pub(super) fn keep(
        &mut self,
        worker: u32,
        (claim, claimed): (u64, bool),
        listener: u32,
        connection: Connection,
    ) {
        if !self
            .listeners
            .get(&listener)
            .is_some_and(|entry| entry.tells)
        {
            return;
        }
        let kept = &mut self.kept;
        kept.fresh.push_back(Entry {
            worker,
            claim,
            claimed,
            listener,
            connection,
            since: Instant::now(),
            unclaimed: 0,
        });
        if kept.fresh.len() + kept.silent.len() > MOST && kept.silent.pop_front().is_none() {
            kept.fresh.pop_front();
        }
        if !std::mem::replace(&mut kept.watched, true) {
            self.thread.look_at_kept(LOOK, self.itself.clone());
        }
    }

    /// Lets go of what has been touched. Answers when to look again, if there is anything left.
    pub(in crate::cluster) fn look_at_kept(&mut self) -> Option<Duration> {
        self.look_at_silent();
        self.look_at_fresh();
        let Kept { fresh, silent, .. } = &self.kept;
        let next = match (fresh.is_empty(), silent.is_empty()) {
            (false, _) => Some(LOOK),
            (true, false) => Some(LOOK_AGAIN),
            (true, true) => None,
        };
        self.kept.watched = next.is_some();
        next
    }

    fn look_at_silent(&mut self) {
        if self.kept.looked.is_some_and(|at| at.elapsed() < LOOK_AGAIN) {
            return;
        }
        self.kept.looked = Some(Instant::now());
        for mut entry in std::mem::take(&mut self.kept.silent) {
            match entry.look() {
                Fate::Stays => self.kept.silent.push_back(entry),
                Fate::LetGo => {}
                Fate::Closed => {
                    let worker = self.workers.get(&entry.worker);
                    // Of a worker that is being replaced the clients are still welcome.
                    if worker.is_none_or(|worker| worker.paused) {
                        self.bequeath(entry.listener, entry.connection);
                        self.hand_out(entry.listener);
                    }
                }
            }
        }
    }

    fn look_at_fresh(&mut self) {
        while self
            .kept
            .fresh
            .front()
            .is_some_and(|entry| entry.since.elapsed() >= LOOK)
        {
            let Some(mut entry) = self.kept.fresh.pop_front() else {
                return;
            };
            if matches!(entry.look(), Fate::Stays) {
                self.kept.silent.push_back(entry);
            }
        }
    }

    /// Puts a connection that a worker has left before the others, if that worker has not touched it.
    pub(super) fn bequeath(&mut self, listener: u32, mut connection: Connection) {
        let Some(entry) = self.listeners.get_mut(&listener) else {
            return;
        };
        connection.deaths += 1;
        if connection.deaths < MOST_DEATHS && (!entry.tells || is_untouched(&connection)) {
            entry.pending.push_front(connection);
        }
    }

    /// This process has no descriptors left: what is kept for the case of need alone goes first.
    pub(in crate::cluster) fn let_go_of_kept(&mut self) {
        self.kept.fresh.clear();
        self.kept.silent.clear();
    }
}

fn is_untouched(connection: &Connection) -> bool {
    socket::is_untouched(connection.socket.as_fd()).unwrap_or(false)
}
