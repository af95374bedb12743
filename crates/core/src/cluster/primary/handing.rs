//! What waits goes to workers; what they do not answer for goes to others.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rsipc_sys::{claim, rights};

use super::apart::Apart;
use super::listener::{Connection, Listener, Waiting};
use super::worker::{Unanswered, Way};
use super::{STALL, State};
use crate::cluster::acceptor;
use crate::cluster::balance::Rota;
use crate::cluster::hatch::{Fate, Hatch};
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
        // What came through the hatch is answered there.
        let by_channel = |unanswered: &Unanswered| matches!(unanswered.way, Way::Channel(_));
        if !worker
            .unanswered
            .get(&reply.sequence)
            .is_some_and(by_channel)
        {
            worker.seat.breach();
            return;
        }
        self.settle(id, reply);
        self.hand_out_all();
    }

    /// The worker has answered at its hatch.
    pub(in crate::cluster) fn rung(&mut self, id: u32) {
        if self.look_through(id) {
            self.hand_out_all();
        }
    }

    /// Finds out which of the connections that went through its hatch a worker has answered; says whether it has any.
    fn look_through(&mut self, id: u32) -> bool {
        let Some(worker) = self.workers.get_mut(&id) else {
            return false;
        };
        let Some(hatch) = &mut worker.hatch else {
            return false;
        };
        let mut replies = Vec::new();
        for (&sequence, unanswered) in &worker.unanswered {
            let Way::Hatch(ticket) = unanswered.way else {
                continue;
            };
            let accepted = match hatch.fate(ticket) {
                Fate::Given => continue,
                Fate::Adopted => true,
                Fate::Refused => false,
                Fate::Nonsense => {
                    if !std::mem::replace(&mut worker.lied, true) {
                        worker.seat.breach();
                    }
                    continue;
                }
            };
            hatch.done(ticket);
            replies.push(Reply { sequence, accepted });
        }
        for &reply in &replies {
            self.settle(id, reply);
        }
        !replies.is_empty()
    }

    /// A connection is answered for.
    fn settle(&mut self, id: u32, reply: Reply) {
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        let Some(unanswered) = worker.unanswered.remove(&reply.sequence) else {
            return;
        };
        let listener = unanswered.listener;
        let mut refusals = 0;
        let free = worker.unanswered.is_empty();
        if let Some(connection) = unanswered.connection {
            worker.adopted += u64::from(reply.accepted);
            worker.since_report += u64::from(reply.accepted);
            if reply.accepted {
                let claim = match unanswered.way {
                    Way::Hatch(ticket) => (ticket.claim(), true),
                    Way::Channel(_) => (reply.sequence, worker.claims),
                };
                self.keep(id, claim, listener, connection);
            } else {
                refusals = self.refused(id, listener, connection);
            }
        }
        if refusals > 0 || free {
            self.free(id, listener, refusals);
        }
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
        // The worker has not seen what came with it either: nothing is to be expected any more.
        let mut all = worker.unanswered.iter();
        let lost = all.find(|(_, unanswered)| unanswered.way == Way::Channel(number));
        let lost = lost.map(|(&sequence, _)| sequence);
        let Some(unanswered) = lost.and_then(|lost| worker.unanswered.remove(&lost)) else {
            return;
        };
        let listener = unanswered.listener;
        let refusals = match unanswered.connection {
            Some(connection) => self.refused(id, listener, connection),
            None => 0, // another worker has it by now
        };
        self.free(id, listener, refusals);
        self.hand_out_all();
    }

    /// A worker answers no more: others get what it has not answered for or not touched, before newer ones.
    pub(super) fn gone(&mut self, id: u32) {
        self.look_through(id);
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        worker.gone = true;
        let waiting = std::mem::take(&mut worker.unanswered);
        for entry in self.listeners.values_mut() {
            entry.forget(id);
        }
        let kept = self.kept.take_of(id);
        let waiting = waiting.into_values().filter_map(|unanswered| {
            let withdrawn = match (unanswered.way, &worker.hatch) {
                (Way::Hatch(ticket), Some(hatch)) => hatch.withdraw(ticket),
                _ => true,
            };
            Some((unanswered.listener, unanswered.connection?)).filter(|_| withdrawn)
        });
        let all: Vec<_> = kept.chain(waiting).collect();
        for (listener, connection) in all.into_iter().rev() {
            self.bequeath(listener, connection);
        }
        self.spread_all();
        self.hand_out_all();
    }

    /// Has somebody look for workers that do not answer, until there is none who should.
    pub(super) fn look_later(&self) {
        // It may be made shorter meanwhile.
        let time = self.stall.min(STALL) / 2;
        self.thread.look_later(time, self.itself.clone());
    }

    /// Takes connections back from workers that do not answer, where that can be told from a worker that has just taken
    /// them. Says whether to look again.
    pub(in crate::cluster) fn look_for_stalled(&mut self) -> bool {
        self.watched = self.look_for_waiting();
        let workers: Vec<u32> = self.workers.keys().copied().collect();
        let mut moved = false;
        // One that is in the middle of a batch has not rung yet.
        for id in workers {
            moved |= self.look_through(id);
        }
        for worker in self.workers.values_mut() {
            self.watched |= !worker.unanswered.is_empty();
            for (&sequence, unanswered) in &mut worker.unanswered {
                if unanswered.since.elapsed() < self.stall {
                    break;
                }
                let Some(entry) = self.listeners.get_mut(&unanswered.listener) else {
                    continue;
                };
                let withdrawn = |connection: &mut Connection| match (unanswered.way, &worker.hatch)
                {
                    (Way::Hatch(ticket), Some(hatch)) => hatch.withdraw(ticket),
                    (Way::Hatch(_), None) => false,
                    (Way::Channel(_), _) => {
                        worker.claims
                            && claim::withdraw(connection.socket.as_fd(), sequence).unwrap_or(false)
                    }
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
        loop {
            while let Some((worker, waiting)) = self.match_next(listener) {
                if !self.give(worker, waiting) {
                    break;
                }
            }
            if !self.send_batches() {
                break;
            }
        }
        self.make_room();
        let busy = || self.workers.values().map(|worker| worker.unanswered.len());
        // Who waits for a worker is not kept waiting by the thread's rest.
        let nobody_waits = self
            .listeners
            .values()
            .all(|entry| entry.pending.is_empty());
        acceptor::may_rest(
            nobody_waits && busy().all(|count| count > 0) && busy().sum::<usize>() >= ENOUGH,
        );
    }

    /// Sends what was put into hatches. True if there is something to be given anew.
    fn send_batches(&mut self) -> bool {
        let mut again = false;
        for id in std::mem::take(&mut self.loaded) {
            let Some(worker) = self.workers.get_mut(&id) else {
                continue;
            };
            let Some(Err((error, unsent))) = worker.hatch.as_mut().map(Hatch::flush) else {
                continue;
            };
            let exhausted = rights::is_refusal(&error);
            let is_unsent = |way| matches!(way, Way::Hatch(ticket) if unsent.contains(&ticket));
            let numbers: Vec<u64> = worker
                .unanswered
                .iter()
                .filter_map(|(&number, unanswered)| is_unsent(unanswered.way).then_some(number))
                .collect();
            for number in numbers.into_iter().rev() {
                let Some(unanswered) = worker.unanswered.remove(&number) else {
                    continue;
                };
                let listener = unanswered.listener;
                let (Some(entry), Some(connection)) =
                    (self.listeners.get_mut(&listener), unanswered.connection)
                else {
                    continue;
                };
                entry.pending.push_front(connection);
                if exhausted {
                    self.thread
                        .later(EXHAUSTED, self.itself.clone(), listener, None);
                } else {
                    // The worker has closed it: the channel is there still, or tells its end.
                    entry.places.remove(&id);
                    again = true;
                }
            }
        }
        again
    }

    /// The next connection and who gets it.
    fn match_next(&mut self, listener: u32) -> Option<(u32, Waiting)> {
        let (workers, policy, stall) = (&self.workers, self.policy, self.stall);
        let entry = self.listeners.get_mut(&listener)?;
        if entry.pending.is_empty() || entry.resting {
            return None;
        }
        let apart = entry.apart.as_ref();
        let passed_over = apart.map(Apart::passed_over).unwrap_or_default();
        let next = |rota: &mut Rota| {
            rota.next(|id| {
                let worker = workers.get(&id).filter(|_| !passed_over.contains(&id));
                worker?.load(policy)
            })
        };
        let (worker, connection) = match &self.sticky {
            None => (next(&mut entry.rota)?, entry.pending.pop_front()?),
            Some(sticky) => {
                let (place, worker) = entry.match_client(sticky, workers, stall, next)?;
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
        match entry.send(worker, id, &connection, sequence) {
            Ok(way) => {
                self.sequence += 1;
                if matches!(way, Way::Hatch(_)) && !self.loaded.contains(&id) {
                    self.loaded.push(id);
                }
                let unanswered = Unanswered {
                    listener,
                    connection: Some(connection),
                    way,
                    since: Instant::now(),
                };
                worker.unanswered.insert(sequence, unanswered);
                if !std::mem::replace(&mut self.watched, true) {
                    self.look_later();
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
