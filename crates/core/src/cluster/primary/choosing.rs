//! A new connection, until it waits for a worker: its own, the one that somebody has chosen, or the next.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::listener::{Connection, Waiting};
use super::worker::MOST_UNANSWERED;
use super::{Looked, Question, State};
use crate::cluster::sticky::{Client, Sticky};
use crate::endpoint::peek::{Peeked, Sought};

/// Connections of a listener that wait for a worker. Further ones wait in the kernel.
const PENDING: usize = 512;
/// For how many connections the bytes are awaited that say whose they are. Of more, the one that has had the longest time
/// goes on without.
const LOOKS: usize = 256;

impl State {
    /// How many connections to accept for this listener; `None` when it has been closed.
    pub(in crate::cluster) fn accepts(&mut self, listener: u32) -> Option<usize> {
        let undecided = self.asked.len() + self.looked_at.len();
        let entry = self.listeners.get_mut(&listener)?;
        let room = PENDING.saturating_sub(entry.pending.len() + undecided);
        entry.full = room == 0;
        self.full |= entry.full;
        entry.rests = entry.held;
        Some(if entry.held { 0 } else { room })
    }

    /// Lets listeners accept again that had too many connections.
    pub(super) fn make_room(&mut self) {
        if !std::mem::take(&mut self.full) {
            return;
        }
        let undecided = self.asked.len() + self.looked_at.len();
        for entry in self.listeners.values_mut() {
            entry.full &= entry.pending.len() + undecided >= PENDING;
            self.full |= entry.full;
            if !entry.full {
                entry.look_again();
            }
        }
    }

    /// New connections.
    pub(in crate::cluster) fn accepted(
        &mut self,
        listener: u32,
        connections: impl Iterator<Item = OwnedFd>,
    ) {
        if self.sticky.is_some() || self.oracle.is_some() {
            for connection in connections {
                self.sort(listener, connection);
            }
            return;
        }
        if let Some(entry) = self.listeners.get_mut(&listener) {
            entry
                .pending
                .extend(connections.map(|connection| Connection::new(Arc::new(connection), None)));
            self.hand_out(listener);
        }
    }

    /// A new connection that is not simply for the next worker.
    fn sort(&mut self, listener: u32, connection: OwnedFd) {
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
    pub(in crate::cluster) fn looked(&mut self, ticket: u64, peeked: Option<&Peeked>) {
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
    pub(super) fn ask_for(
        &mut self,
        listener: u32,
        socket: Arc<OwnedFd>,
        peer: Option<SocketAddr>,
    ) {
        let Some(oracle) = &self.oracle else {
            return self.wait(listener, socket, None);
        };
        self.sequence += 1;
        let ticket = self.sequence;
        // Those that nobody has asked for are as many as wait, and no more.
        if self.questions.len() >= PENDING {
            let asked = &self.asked;
            self.questions
                .retain(|question| asked.contains_key(&question.ticket));
        }
        self.questions.push(Question { ticket, peer });
        if self.questions.len() == 1 {
            (oracle.tell)();
        }
        self.thread
            .decide_later(oracle.budget, self.itself.clone(), ticket);
        let connection = Connection::new(socket, None);
        let waiting = Waiting {
            listener,
            connection,
        };
        self.asked.insert(ticket, waiting);
    }

    /// A connection waits for its client's worker, or for the next one.
    pub(super) fn wait(&mut self, listener: u32, socket: Arc<OwnedFd>, client: Option<Client>) {
        if let Some(entry) = self.listeners.get_mut(&listener) {
            entry.pending.push_back(Connection::new(socket, client));
            self.hand_out(listener);
        }
    }

    /// Gives a connection to the worker chosen for it, or to the next one.
    pub(in crate::cluster) fn chosen(&mut self, ticket: u64, worker: Option<u32>) {
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
                && self.workers.get(id).is_some_and(|worker| {
                    let full = worker.unanswered.len() >= MOST_UNANSWERED;
                    !(worker.gone || worker.paused || full)
                })
        };
        match worker.filter(takes) {
            Some(worker) => {
                self.give(worker, waiting);
            }
            None => entry.pending.push_back(waiting.connection),
        }
        self.hand_out(listener);
    }
}
