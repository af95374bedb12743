//! Two channels in one process that share memory, each with a loop of its own: it looks at nothing
//! but what the channel says it waits for.

#![allow(dead_code, reason = "each test file uses some of it")]

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rsipc_core::channel::{Channel, Event, KindSet, Limits, Outgoing, Sent, Serialization};
use rsipc_sys::shm::Mapping;
use rsipc_sys::{fd, stream, wait};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// What one turn of a loop reads.
pub(crate) const BUDGET: usize = 256 * 1024;

/// One thing that arrived.
#[derive(Debug)]
pub(crate) enum Got {
    /// A plain frame's payload.
    Frame(Vec<u8>),
    /// A batch: its numbers, its text as UTF-16, how many messages.
    Batch(Vec<u32>, Vec<u16>, usize),
    /// A handle's payload, its descriptor, what is wrong with it.
    Handle(Vec<u8>, Option<OwnedFd>, Option<&'static str>),
    Switched,
    Taken(u64),
    Lost(u64),
    Problem(&'static str),
    Ended(usize),
}

/// A channel and its place in a loop.
pub(crate) struct End {
    pub(crate) channel: Channel,
    door: OwnedFd,
    advanced: bool,
    /// More is there than the last turn has read.
    again: bool,
    pub(crate) got: VecDeque<Got>,
    /// Turns that the loop has called.
    pub(crate) turns: usize,
}

impl End {
    pub(crate) fn new(fd: OwnedFd, serialization: Serialization, mut limits: Limits) -> End {
        limits.accept = KindSet::ALL;
        let door = fd::duplicate(fd.as_fd()).unwrap();
        End {
            channel: Channel::new(fd, serialization, limits).unwrap(),
            door,
            advanced: serialization == Serialization::Advanced,
            again: false,
            got: VecDeque::new(),
            turns: 0,
        }
    }

    /// What the loop does when the descriptor is ready.
    pub(crate) fn turn(&mut self) {
        self.turn_within(BUDGET);
    }

    /// The same with another budget.
    pub(crate) fn turn_within(&mut self, budget: usize) {
        self.turns += 1;
        let mut events = Vec::new();
        let more = self.channel.receive(budget, &mut events);
        self.again = more && self.channel.lanes_readable();
        let _ = self.channel.flush();
        for event in events {
            self.keep(event);
        }
    }

    /// What the loop does when it has seen that something is in memory, before it looks at any descriptor.
    pub(crate) fn look(&mut self) {
        let mut events = Vec::new();
        self.channel.spin(true);
        self.channel.receive_shared(BUDGET, &mut events);
        self.channel.spin(false);
        for event in events {
            self.keep(event);
        }
    }

    /// Waits as the loop does, at most so long; answers whether there was a turn.
    pub(crate) fn poll(&mut self, timeout: Duration) -> bool {
        let interest = self.channel.interest();
        let nothing = !interest.readable && !interest.writable;
        if self.again {
            self.turn();
            return true;
        }
        if nothing {
            std::thread::sleep(timeout);
            return false;
        }
        let ready = wait::ready(self.door.as_fd(), interest, Some(timeout)).unwrap();
        let due = ready.readable && interest.readable || ready.writable && interest.writable;
        if due {
            self.turn();
        }
        due
    }

    /// Goes on reading, as the binding does.
    pub(crate) fn resume(&mut self) {
        self.channel.pause(false);
        self.again |= self.channel.pending();
    }

    fn keep(&mut self, event: Event) {
        match event {
            Event::Messages { bytes, count } => {
                let payloads = split(self.advanced, &bytes);
                assert_eq!(payloads.len(), count, "the count of a run");
                self.got.extend(payloads.into_iter().map(Got::Frame));
            }
            Event::Batch(batch) => {
                let (words, text) = batch.bytes.split_at(batch.words);
                let words = words.chunks_exact(4);
                let words = words.map(|word| u32::from_le_bytes(word.try_into().unwrap()));
                let text = if batch.wide {
                    let units = text.chunks_exact(2);
                    units
                        .map(|unit| u16::from_le_bytes(unit.try_into().unwrap()))
                        .collect()
                } else {
                    text.iter().map(|&unit| u16::from(unit)).collect()
                };
                let batch = Got::Batch(words.collect(), text, batch.count);
                self.got.push_back(batch);
            }
            Event::Handle {
                frame,
                descriptor,
                problem,
                ..
            } => self.got.push_back(Got::Handle(frame, descriptor, problem)),
            Event::Switched => self.got.push_back(Got::Switched),
            Event::HandleTaken { sequence } => self.got.push_back(Got::Taken(sequence)),
            Event::HandleLost { sequence } => self.got.push_back(Got::Lost(sequence)),
            Event::Problem(error) => self.got.push_back(Got::Problem(error.code())),
            Event::Ended { truncated, .. } => self.got.push_back(Got::Ended(truncated)),
        }
    }

    pub(crate) fn frame(&mut self, text: &str) -> Sent {
        self.channel.send_slice(false, text.as_bytes()).unwrap()
    }

    /// A message of these numbers and this text.
    pub(crate) fn encoded(&mut self, gather: bool, numbers: &[u32], text: &str) -> Sent {
        let words: Vec<u8> = numbers
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect();
        let units = text.encode_utf16().count();
        self.channel
            .send_encoded(gather, &words, units, |out| out.extend(text.encode_utf16()))
            .unwrap()
    }

    pub(crate) fn handle(&mut self, message: &str, descriptor: OwnedFd, retry: bool) -> Sent {
        let kind = if retry { "net.Socket" } else { "fd" };
        let payload = envelope(kind, message);
        let handle = Outgoing { descriptor, retry };
        self.channel
            .send_handle(handle, |out| out.extend_from_slice(&payload))
            .unwrap()
    }

    /// What came, the answers to handles apart.
    pub(crate) fn messages(&mut self) -> Vec<Got> {
        self.got
            .drain(..)
            .filter(|got| !matches!(got, Got::Taken(_) | Got::Switched))
            .collect()
    }
}

pub(crate) fn envelope(kind: &str, message: &str) -> Vec<u8> {
    format!(r#"{{"cmd":"NODE_HANDLE","type":"{kind}","msg":{message}}}"#).into_bytes()
}

/// `{ cmd: 'NODE_HANDLE', type: 'fd' }` as V8 serializes it.
const ENVELOPE: &[u8] = b"\xff\x0fo\"\x03cmd\"\x0bNODE_HANDLE\"\x04type\"\x02fd{\x02";

fn split(advanced: bool, mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    while !bytes.is_empty() {
        let (payload, rest) = if advanced {
            let (length, rest) = bytes.split_first_chunk::<4>().unwrap();
            rest.split_at(u32::from_be_bytes(*length) as usize)
        } else {
            let end = bytes.iter().position(|&byte| byte == b'\n').unwrap();
            (&bytes[..end], &bytes[end + 1..])
        };
        payloads.push(payload.to_vec());
        bytes = rest;
    }
    payloads
}

/// Both ends and, for whoever wants to spoil it, their memory: first the ring that the parent writes.
pub(crate) struct Both {
    pub(crate) parent: End,
    pub(crate) child: End,
    pub(crate) memory: [Mapping; 2],
}

impl Both {
    /// Two ends that know each other and still use the socket.
    pub(crate) fn strangers(serialization: Serialization, limits: Limits) -> Both {
        let (a, b) = stream::pair().unwrap();
        let mut parent = End::new(a, serialization, limits);
        let mut child = End::new(b, serialization, limits);
        let offer = [1, 2].map(|part: i32| match serialization {
            Serialization::Json => envelope("fd", &part.to_string()),
            Serialization::Advanced => ENVELOPE.to_vec(),
        });
        parent.channel.offer_lanes([&offer[0], &offer[1]]).unwrap();
        let (mut descriptors, begin) = (Vec::new(), Instant::now());
        while descriptors.len() < 2 {
            assert!(begin.elapsed() < PATIENCE, "no offer came");
            child.poll(Duration::from_millis(10));
            for got in child.got.drain(..) {
                match got {
                    Got::Handle(_, Some(descriptor), _) => descriptors.push(descriptor),
                    other => panic!("not an offer: {other:?}"),
                }
            }
        }
        let copies = [0, 1].map(|at| {
            let copy = fd::duplicate(descriptors[at as usize].as_fd()).unwrap();
            Mapping::received(copy).unwrap()
        });
        let back = descriptors.pop().unwrap();
        let there = descriptors.pop().unwrap();
        child.channel.accept_lanes([there, back]).unwrap();
        Both {
            parent,
            child,
            memory: copies,
        }
    }

    /// Two ends that have both gone over.
    pub(crate) fn new() -> Both {
        Both::with(Serialization::Json, Limits::default())
    }

    pub(crate) fn with(serialization: Serialization, limits: Limits) -> Both {
        let mut both = Both::strangers(serialization, limits);
        both.child.channel.share().unwrap();
        both.until("the parent hears", |both| {
            both.parent
                .got
                .iter()
                .any(|got| matches!(got, Got::Switched))
        });
        both.parent.channel.share().unwrap();
        both.until("the child hears", |both| {
            both.child
                .got
                .iter()
                .any(|got| matches!(got, Got::Switched))
        });
        both.settle();
        both.parent.got.clear();
        both.child.got.clear();
        both
    }

    /// Gives both loops their turns until something is so.
    pub(crate) fn until(&mut self, what: &str, mut done: impl FnMut(&mut Both) -> bool) {
        let begin = Instant::now();
        while !done(self) {
            assert!(
                begin.elapsed() < PATIENCE,
                "{what}: not in time; the parent has {} and the child {} to write",
                self.parent.channel.queued_messages(),
                self.child.channel.queued_messages()
            );
            let some = self.parent.poll(Duration::ZERO) | self.child.poll(Duration::ZERO);
            if !some {
                std::thread::sleep(Duration::from_micros(100));
            }
        }
    }

    /// Gives both loops their turns until neither has one to take.
    pub(crate) fn settle(&mut self) {
        let begin = Instant::now();
        while self.parent.poll(Duration::ZERO) | self.child.poll(Duration::ZERO) {
            assert!(begin.elapsed() < PATIENCE, "the loops never rest");
        }
    }
}
