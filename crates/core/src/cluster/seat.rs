//! A worker's channel as the primary has it.
//!
//! The I/O thread reads the channel. It keeps what is about connections for itself and the rest for the owner, who is
//! told by a bell. Everybody writes, under the channel's own lock.
//!
//! Locks are taken in this order: what the primary knows, the inbox, the channel.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rsipc_sys::bell::Bell;
use rsipc_sys::fd;
use tokio::sync::Notify;

use super::protocol::{Announcement, Said, take_ours};
use crate::channel::{Event, Sent, Serialization};
use crate::error::ErrorKind;
use crate::runtime::{self, Shared};

/// Unfetched bytes at which the channel is no longer read.
const KEEPS: usize = 4 * 1024 * 1024;
/// What an event takes of them besides its bytes.
const EVENT: usize = 256;

/// A worker's channel, read by the I/O thread.
#[derive(Debug)]
pub struct Seat {
    channel: Arc<Shared>,
    serialization: Serialization,
    inbox: Mutex<Inbox>,
    /// Numbers on the channel of the connections that are on their way.
    ours: Mutex<VecDeque<u64>>,
    bell: Bell,
    /// The owner waits until what it has sent is written.
    owner_waits: AtomicBool,
    left: AtomicBool,
    /// Something about the channel has changed that the I/O thread should look at.
    pub(super) work: Notify,
}

#[derive(Debug, Default)]
struct Inbox {
    events: Vec<Event>,
    bytes: usize,
    /// The owner has been told that there is something.
    rung: bool,
    /// An incomplete frame has been told of.
    partial: bool,
}

/// What a read has brought about connections.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Said(Said),
    /// The connection with this number on the channel did not arrive.
    Lost(u64),
    /// The worker is gone.
    Gone,
}

/// What the I/O thread waits for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wants {
    pub(super) reading: bool,
    pub(super) writing: bool,
    pub(super) retry: bool,
}

impl Seat {
    pub(super) fn new(channel: Arc<Shared>, serialization: Serialization) -> io::Result<Arc<Seat>> {
        Ok(Arc::new(Seat {
            channel,
            serialization,
            inbox: Mutex::default(),
            ours: Mutex::default(),
            bell: Bell::new()?,
            owner_waits: AtomicBool::new(false),
            left: AtomicBool::new(false),
            work: Notify::new(),
        }))
    }

    /// Readable when there is something to take.
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Takes what has been read for the owner.
    pub fn take(&self, events: &mut Vec<Event>) {
        let mut inbox = self.inbox();
        self.bell.hush();
        inbox.rung = false;
        events.append(&mut inbox.events);
        if std::mem::take(&mut inbox.bytes) > KEEPS {
            self.work.notify_one();
        }
    }

    /// Tells the I/O thread that the owner has queued something, closed the channel or read from it.
    pub fn poke(&self) {
        self.owner_waits.store(true, Ordering::Relaxed);
        self.work.notify_one();
    }

    /// The owner lets the channel go: the I/O thread must not keep it open.
    pub fn leave(&self) {
        self.left.store(true, Ordering::Relaxed);
        self.work.notify_one();
    }

    /// Tells the owner of a breach of the cluster's protocol.
    pub(super) fn breach(&self) {
        let mut inbox = self.inbox();
        inbox.bytes += EVENT;
        inbox
            .events
            .push(Event::Problem(ErrorKind::UnexpectedReply.into()));
        self.ring(&mut inbox);
    }

    /// Reads until the kernel has no more (false) or `budget` is spent, and says in `answers` what is about connections.
    pub(super) fn read(&self, budget: usize, answers: &mut Vec<Answer>) -> bool {
        let mut inbox = self.inbox();
        let mut events = Vec::new();
        let (mut more, wrote, partial) = {
            let mut channel = self.channel.lock();
            let before = channel.written();
            let more = channel.receive(budget, &mut events);
            if channel.wants_flush() {
                // Told to the owner by its next send.
                let _ = channel.flush();
            }
            (
                more,
                channel.written() > before,
                channel.partial().is_some(),
            )
        };
        let mut said = Vec::new();
        let mut tell =
            wrote && self.owner_waits.load(Ordering::Relaxed) || partial && !inbox.partial;
        inbox.partial = partial;
        for event in events {
            let event = match event {
                Event::Messages { bytes, count } => {
                    let (bytes, count) = take_ours(self.serialization, bytes, count, &mut said);
                    answers.extend(said.drain(..).map(Answer::Said));
                    if count == 0 {
                        self.channel.lock().recycle(bytes);
                        continue;
                    }
                    inbox.bytes += bytes.len();
                    Event::Messages { bytes, count }
                }
                Event::HandleTaken { sequence } if self.is_ours(sequence) => continue,
                Event::HandleLost { sequence } if self.is_ours(sequence) => {
                    answers.push(Answer::Lost(sequence));
                    continue;
                }
                Event::Ended { .. } => {
                    answers.push(Answer::Gone);
                    more = false;
                    event
                }
                Event::Handle { ref frame, .. } => {
                    inbox.bytes += frame.len();
                    event
                }
                other => other,
            };
            inbox.bytes += EVENT;
            inbox.events.push(event);
            tell = true;
        }
        if tell {
            self.ring(&mut inbox);
        }
        more
    }

    /// Writes what is queued.
    pub(super) fn write(&self) {
        let wrote = {
            let mut channel = self.channel.lock();
            let before = channel.written();
            // A failure is remembered by the channel and told by the next send.
            channel.flush().is_err() || channel.written() > before
        };
        if wrote && self.owner_waits.load(Ordering::Relaxed) {
            self.ring(&mut self.inbox());
        }
    }

    /// What to wait for; `None` when the channel is closed.
    pub(super) fn wants(&self) -> Option<Wants> {
        if self.left.load(Ordering::Relaxed) {
            return None;
        }
        let full = self.inbox().bytes > KEEPS;
        let channel = self.channel.lock();
        if channel.raw_fd() < 0 {
            return None;
        }
        let interest = channel.interest();
        if channel.queued_messages() == 0 {
            self.owner_waits.store(false, Ordering::Relaxed);
        }
        Some(Wants {
            reading: interest.readable && !full,
            writing: interest.writable,
            retry: channel.wants_flush(),
        })
    }

    /// Whether reading was cut short by something else than an empty socket.
    pub(super) fn is_exhausted(&self) -> bool {
        let channel = self.channel.lock();
        channel.ended() || channel.interest().readable
    }

    pub(super) fn watched(&self) -> io::Result<OwnedFd> {
        fd::duplicate_raw(self.channel.lock().raw_fd())
    }

    /// Sends a connection under this number, and answers its number on the channel.
    pub(super) fn announce(
        &self,
        connection: &Arc<OwnedFd>,
        announcement: &Announcement,
        sequence: u64,
    ) -> io::Result<u64> {
        self.hand(connection.clone(), |out| {
            announcement.write(self.serialization, sequence, out);
        })
    }

    /// Sends a descriptor that the owner has no part in, with the payload of its frame.
    pub(super) fn send_ours(&self, descriptor: OwnedFd, payload: &[u8]) -> io::Result<()> {
        self.hand(Arc::new(descriptor), |out| out.extend_from_slice(payload))?;
        Ok(())
    }

    /// Whether the kernel has everything that was sent.
    pub(super) fn is_clear(&self) -> bool {
        self.channel.lock().queued_messages() == 0
    }

    fn hand(&self, descriptor: Arc<OwnedFd>, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<u64> {
        let mut channel = self.channel.lock();
        let sent = channel.send_kept(descriptor, false, write)?;
        let number = channel.accepted();
        // Under the channel's lock: nobody reads the answer before it is known here.
        self.ours().push_back(number);
        drop(channel);
        if sent != Sent::Written {
            runtime::watch(&self.channel);
            self.work.notify_one();
        }
        Ok(number)
    }

    pub(super) fn serialization(&self) -> Serialization {
        self.serialization
    }

    fn is_ours(&self, sequence: u64) -> bool {
        let mut ours = self.ours();
        let found = ours.front() == Some(&sequence);
        if found {
            ours.pop_front();
        }
        found
    }

    fn ring(&self, inbox: &mut Inbox) {
        if !std::mem::replace(&mut inbox.rung, true) {
            self.bell.ring();
        }
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ours(&self) -> MutexGuard<'_, VecDeque<u64>> {
        self.ours.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
