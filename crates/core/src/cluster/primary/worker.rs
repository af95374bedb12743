//! What is known of a worker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;

use super::listener::Connection;
use crate::cluster::balance::Policy;
use crate::cluster::hatch::{Hatch, Ticket};
use crate::cluster::seat::Seat;

/// Connections that a worker may have been given and not have answered. One is what Node allows, and its load balancing:
/// who is busy does not answer, and gets nothing more. Further ones, which cost the two processes fewer turns, are for a
/// worker that has been given the first a moment ago.
const UNANSWERED: usize = 4;
/// The same through its hatch, where each is answered when the worker comes to it: it tells after some of them, and so has
/// something to do until there are more.
const UNANSWERED_HATCH: usize = 8;
/// How many a worker may have that was chosen by name.
pub(super) const MOST_UNANSWERED: usize = 64;
/// How long that moment is.
const PROMPT: Duration = Duration::from_millis(2);

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) seat: Arc<Seat>,
    /// The way beside its channel, once it has one.
    pub(super) hatch: Option<Hatch>,
    /// Who hears when the worker rings there.
    pub(super) hearing: Option<AbortHandle>,
    /// By their numbers: connections given and not answered.
    pub(super) unanswered: BTreeMap<u64, Unanswered>,
    /// Where it stands among the others, for clients that keep to one place.
    pub(super) place: u32,
    pub(super) paused: bool,
    pub(super) gone: bool,
    /// It takes a claim before it uses a connection, so one that it has not used can be withdrawn.
    pub(super) claims: bool,
    /// It has written into its hatch what no worker says, and its owner has been told.
    pub(super) lied: bool,
    pub(super) adopted: u64,
    /// What it has to do by its own account, and what it has adopted since.
    pub(super) reported: u64,
    pub(super) since_report: u64,
}

/// How a connection has come to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By the channel, as the handle of this number.
    Channel(u64),
    Hatch(Ticket),
}

#[derive(Debug)]
pub(super) struct Unanswered {
    pub(super) listener: u32,
    /// `None` when it was taken back and given to another worker.
    pub(super) connection: Option<Connection>,
    pub(super) way: Way,
    pub(super) since: Instant,
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(hearing) = &self.hearing {
            hearing.abort();
        }
    }
}

impl Worker {
    pub(super) fn new(seat: Arc<Seat>, place: u32) -> Worker {
        Worker {
            seat,
            hatch: None,
            hearing: None,
            unanswered: BTreeMap::new(),
            place,
            paused: false,
            gone: false,
            claims: false,
            lied: false,
            adopted: 0,
            reported: 0,
            since_report: 0,
        }
    }

    /// Whether it is there for its clients: it may have much to do, but does it.
    pub(super) fn answers(&self, stall: Duration) -> bool {
        let stalled = self
            .unanswered
            .first_key_value()
            .is_some_and(|(_, oldest)| oldest.since.elapsed() >= stall);
        !(self.paused || self.gone || stalled)
    }

    /// How much it has to do; `None` when it must not be given more.
    pub(super) fn load(&self, policy: Policy) -> Option<u64> {
        let busy = match self.unanswered.first_key_value() {
            Some((_, oldest)) => {
                let most = match self.hatch {
                    Some(_) => UNANSWERED_HATCH,
                    None => UNANSWERED,
                };
                self.unanswered.len() >= most || oldest.since.elapsed() >= PROMPT
            }
            None => false,
        };
        if self.paused || self.gone || busy {
            return None;
        }
        let unanswered = self.unanswered.len() as u64;
        Some(match policy {
            Policy::RoundRobin => unanswered,
            Policy::Least => (self.reported)
                .saturating_add(self.since_report)
                .saturating_add(unanswered),
        })
    }
}
