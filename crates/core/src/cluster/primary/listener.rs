//! What is known of a listener, and the connections that wait there.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::apart::Apart;
use super::worker::{MOST_UNANSWERED, Way, Worker};
use crate::channel::Serialization;
use crate::cluster::acceptor::Watch;
use crate::cluster::balance::Rota;
use crate::cluster::protocol::Announcement;
use crate::cluster::sticky::{Client, Sticky};

#[derive(Debug)]
pub(super) struct Listener {
    pub(super) announcements: [Announcement; 2],
    pub(super) workers: Vec<u32>,
    /// Workers that take connections through their hatch, and what they call this listener there.
    pub(super) places: HashMap<u32, u32>,
    pub(super) rota: Rota,
    pub(super) pending: VecDeque<Connection>,
    /// How often in a row a worker has refused.
    pub(super) refusals: HashMap<u32, u32>,
    pub(super) changed: Arc<Notify>,
    pub(super) accepting: Option<Watch>,
    /// Its workers accept for themselves.
    pub(super) apart: Option<Apart>,
    /// It accepts nothing until it is told that there is room.
    pub(super) full: bool,
    /// It accepts nothing until that is undone: another process does, or will.
    pub(super) held: bool,
    /// The thread has seen that.
    pub(super) rests: bool,
    /// Of its connections the system tells whether a worker has touched them.
    pub(super) tells: bool,
    /// Nothing can be sent for now; it is tried again after a while.
    pub(super) resting: bool,
}

/// A connection, and whose it is, where that counts.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: Arc<OwnedFd>,
    pub(super) client: Option<Client>,
    /// How many workers have died that had it: it may be what they die of.
    pub(super) deaths: u8,
}

/// A connection and where it came from.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) listener: u32,
    pub(super) connection: Connection,
}

impl Connection {
    pub(super) fn new(socket: Arc<OwnedFd>, client: Option<Client>) -> Connection {
        Connection {
            socket,
            client,
            deaths: 0,
        }
    }
}

impl Listener {
    pub(super) fn new(
        announcements: [Announcement; 2],
        changed: Arc<Notify>,
        tells: bool,
        held: bool,
        apart: Option<Apart>,
    ) -> Listener {
        Listener {
            announcements,
            workers: Vec::new(),
            places: HashMap::new(),
            rota: Rota::default(),
            pending: VecDeque::new(),
            refusals: HashMap::new(),
            changed,
            accepting: None,
            apart,
            full: false,
            held,
            rests: false,
            tells,
            resting: false,
        }
    }

    /// Sends a connection to a worker: through its hatch, if nothing is before it on the channel, or on the channel.
    pub(super) fn send(
        &self,
        worker: &mut Worker,
        id: u32,
        connection: &Connection,
        sequence: u64,
    ) -> io::Result<Way> {
        if let (Some(hatch), Some(&place)) = (&mut worker.hatch, self.places.get(&id))
            && worker.seat.is_clear()
            && let Some(ticket) = hatch.put(&connection.socket, place)
        {
            return Ok(Way::Hatch(ticket));
        }
        let [json, advanced] = &self.announcements;
        let announcement = match worker.seat.serialization() {
            Serialization::Json => json,
            Serialization::Advanced => advanced,
        };
        let number = worker
            .seat
            .announce(&connection.socket, announcement, sequence)?;
        Ok(Way::Channel(number))
    }

    /// There is room again.
    pub(super) fn look_again(&self) {
        self.changed.notify_one();
        if let Some(apart) = &self.apart {
            apart.look_again();
        }
    }

    /// Waits until the thread has closed what it has of a listener that has been removed.
    pub(super) fn end(&self) {
        if let Some(accepting) = &self.accepting {
            accepting.end();
        }
        if let Some(apart) = &self.apart {
            apart.end();
        }
    }

    /// The worker gets nothing more.
    pub(super) fn forget(&mut self, worker: u32) {
        self.workers.retain(|&other| other != worker);
        self.rota.remove(worker);
        self.refusals.remove(&worker);
        self.places.remove(&worker);
    }

    /// The first connection that somebody can take, and who: a client's worker, or the next one. A client waits for its
    /// worker while that answers, and holds nobody up.
    pub(super) fn match_client(
        &mut self,
        sticky: &Sticky,
        workers: &HashMap<u32, Worker>,
        stall: Duration,
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
                    (worker.answers(stall)).then(|| sticky.weight(client, worker.place))
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
