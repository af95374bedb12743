//! When a channel leaves the socket for shared memory, and what its two ends say to each other for that.
//!
//! The parent makes the memory, as between two ends of JavaScript, once the child has said that it can
//! use it and there is enough to send. A Rust program speaks of nothing else: it has no receipts or
//! requests, and what is sent to it through memory are the frames that would stand on the socket.

use std::os::fd::OwnedFd;

use rsipc_sys::caps;

/// Traffic, in both directions together, that deserves memory.
const WORTH_MESSAGES: u64 = 64;
const WORTH_BYTES: u64 = 256 * 1024;
/// An end that has not answered is asked again at so many times the traffic.
const AGAIN: u64 = 16;
/// How often a child that may load rsipc later is asked.
pub(super) const MOST: u32 = 4;

/// A hello, and the answer to one. `plain`: this end knows of memory, and of nothing else.
pub(super) const HELLO: &[u8] =
    br#"{"cmd":"NODE_RSIPC","act":"hello","version":1,"lanes":1,"plain":1}"#;
pub(super) const REPLY: &[u8] =
    br#"{"cmd":"NODE_RSIPC","act":"hello","version":1,"reply":true,"lanes":1,"plain":1}"#;
/// Of an end that stays on the socket.
pub(super) const NO_REPLY: &[u8] =
    br#"{"cmd":"NODE_RSIPC","act":"hello","version":1,"reply":true,"lanes":0,"plain":1}"#;
/// Memory was offered that cannot be used here.
pub(super) const REFUSED: &[u8] = br#"{"cmd":"NODE_RSIPC","act":"lanes","refused":true}"#;
/// The two parts of an offer.
pub(super) const OFFER: [&[u8]; 2] = [
    br#"{"cmd":"NODE_HANDLE","type":"fd","msg":{"cmd":"NODE_RSIPC","act":"lanes","part":0}}"#,
    br#"{"cmd":"NODE_HANDLE","type":"fd","msg":{"cmd":"NODE_RSIPC","act":"lanes","part":1}}"#,
];

/// What carries the messages of a channel whose other end is rsipc.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Memory that both processes share, when there is much to send, and the socket before.
    #[default]
    Auto,
    /// Never anything but the socket.
    Socket,
    /// As `Auto`, asked for at once.
    Ring,
}

impl Transport {
    /// What the variable `RSIPC_TRANSPORT` says, `auto`, `socket` or `ring`; otherwise the default.
    pub(super) fn from_env() -> Transport {
        match std::env::var("RSIPC_TRANSPORT").as_deref() {
            Ok("socket") => Transport::Socket,
            Ok("ring") => Transport::Ring,
            _ => Transport::Auto,
        }
    }
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Nothing,
    /// Ask the other end.
    Greet,
    /// Make memory and send it.
    Offer,
}

#[derive(Debug)]
pub(super) struct Sharing {
    /// This end makes the memory.
    offers: bool,
    /// How often the other end may be asked.
    asks: u32,
    transport: Transport,
    /// The channel can: its messages are JSON, and the system shares memory.
    able: bool,
    messages: u64,
    bytes: u64,
    asked: u32,
    /// What the other end has said.
    heard: Option<bool>,
    answered: bool,
    offered: bool,
    /// The first part of an offer.
    first: Option<OwnedFd>,
}

impl Sharing {
    pub(super) fn new(offers: bool, asks: u32, json: bool) -> Sharing {
        Sharing {
            offers,
            asks,
            transport: Transport::from_env(),
            able: json && caps::caps().shared_memory,
            messages: 0,
            bytes: 0,
            asked: 0,
            heard: None,
            answered: false,
            offered: false,
            first: None,
        }
    }

    pub(super) fn set(&mut self, transport: Transport) {
        self.transport = transport;
    }

    fn wanted(&self) -> bool {
        self.able && self.transport != Transport::Socket
    }

    /// A message was sent or has come.
    pub(super) fn count(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes as u64;
    }

    fn is_worth(&self, times: u64) -> bool {
        self.messages >= WORTH_MESSAGES * times || self.bytes >= WORTH_BYTES * times
    }

    pub(super) fn step(&mut self) -> Step {
        if self.offered || !self.wanted() {
            return Step::Nothing;
        }
        let demanded = self.transport == Transport::Ring;
        match self.heard {
            Some(true) if self.offers && (demanded || self.is_worth(1)) => {
                self.offered = true;
                Step::Offer
            }
            None if demanded && self.asked == 0
                || self.asked < self.asks && self.is_worth(AGAIN.pow(self.asked)) =>
            {
                self.asked += 1;
                Step::Greet
            }
            _ => Step::Nothing,
        }
    }

    /// The other end has said whether it can share memory. Answers what is to be answered, if anything.
    pub(super) fn hear(&mut self, lanes: bool, reply: bool) -> Option<&'static [u8]> {
        self.heard.get_or_insert(lanes);
        // Once: a peer that greets all the time and never reads must not fill the queue.
        if reply || std::mem::replace(&mut self.answered, true) {
            return None;
        }
        Some(if self.wanted() { REPLY } else { NO_REPLY })
    }

    /// A part of an offer has come. Answers both descriptors with the second, nothing if there is more to
    /// come or this end makes the memory itself, and an error if the offer cannot be used.
    pub(super) fn part(
        &mut self,
        second: bool,
        descriptor: Option<OwnedFd>,
    ) -> Result<Option<[OwnedFd; 2]>, ()> {
        if self.offers {
            return Ok(None);
        }
        if !second {
            self.first = descriptor;
            return Ok(None);
        }
        match (self.first.take(), descriptor) {
            (Some(there), Some(back)) if self.wanted() => Ok(Some([there, back])),
            // Once, as above.
            _ if std::mem::replace(&mut self.offered, true) => Ok(None),
            _ => Err(()),
        }
    }
}
