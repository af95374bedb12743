//! What waits goes to workers; what they do not answer for goes to others.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rsipc_sys::{claim, rights};

use super::State;
use super::listener::{Connection, Listener, Waiting};
use super::worker::{STALLED, Unanswered};
use crate::channel::Serialization;
use crate::cluster::acceptor;
use crate::cluster::balance::Rota;
use crate::cluster::protocol::{Reply, Said};
use crate::cluster::seat::Answer;

/// How many the workers must have together for the I/O thread to rest, when each has one.
const ENOUGH: usize = 2;
/// How long a worker that has refused a connection is passed over at first, and how often that is doubled.
const REFUSED: Duration = Duration::from_millis(5);
const REFUSED_DOUBLED: u32 = 6;
/// How long nothing is handed over when this process is out of descriptors.
const EXHAUSTED: Duration = Duration::from_millis(20);

impl State {
    /// What a worker has said of a connection.
    pub(in crate::cluster) fn answered(&mut self, worker: u32, answer: Answer) {
        match answer {
            Answer::Gone => self.gone(worker),
            Answer::Said(Said::Reply(reply)) => self.replied(worker, reply),
            Answer::Said(Said::Load(load)) => self.reported(worker, load),
            Answer::Lost(number) => self.lost(worker, number),
        }
    }

    pub(super) fn reported(&mut self, id: u32, load: u64) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.reported = load;
            worker.since_report = 0;
        }
    }

    pub(super) fn replied(&mut self, id: u32, reply: Reply) {
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
            if reply.accepted {
                let claim = worker.claims.then_some(reply.sequence);
                self.keep(id, claim, listener, connection);
            } else {
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
    pub(in crate::cluster) fn resume(&mut self, listener: u32, worker: Option<u32>) {
        if let Some(entry) = self.listeners.get_mut(&listener) {
            match worker {
                Some(worker) if entry.workers.contains(&worker) => entry.rota.add(worker),
                Some(_) => {}
                None => entry.resting = false,
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

    /// A worker answers no more: others get what it has not answered for or not touched, before newer ones.
    pub(super) fn gone(&mut self, id: u32) {
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
        let kept = self.kept.take_of(id);
        let waiting = waiting
            .into_values()
            .filter_map(|unanswered| Some((unanswered.listener, unanswered.connection?)));
        let all: Vec<_> = kept.chain(waiting).collect();
        for (listener, connection) in all.into_iter().rev() {
            self.bequeath(listener, connection);
        }
        self.hand_out_all();
    }

    /// Takes connections back from workers that do not answer, where that can be told from a worker that has just taken
    /// them. Says whether to look again.
    pub(in crate::cluster) fn look_for_stalled(&mut self) -> bool {
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

    pub(super) fn hand_out_all(&mut self) {
        let waiting = |(&number, listener): (&u32, &Listener)| {
            (!listener.pending.is_empty()).then_some(number)
        };
        let listeners: Vec<u32> = self.listeners.iter().filter_map(waiting).collect();
        for listener in listeners {
            self.hand_out(listener);
        }
    }

    /// Gives waiting connections to workers that can take them.
    pub(super) fn hand_out(&mut self, listener: u32) {
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
        if entry.pending.is_empty() || entry.resting {
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
    pub(super) fn give(&mut self, id: u32, waiting: Waiting) -> bool {
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
                } else if !std::mem::replace(&mut entry.resting, true) {
                    self.thread
                        .later(EXHAUSTED, self.itself.clone(), listener, None);
                }
                !exhausted
            }
        }
    }
}
