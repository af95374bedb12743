//! What the calls of a `Peer` and the task behind it share.
//!
//! All of it is under one lock that is never held across a wait. Who waits is woken by one of three
//! bells: `arrived` for `recv`, `room` for everything that waits for the peer, `work` for the task.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{self, Notify, oneshot};

use super::message::{self, Handle, HandleProblem, Message, Route};
use super::sharing::{HELLO, OFFER, REFUSED, Sharing, Step};
use super::{HIGH_WATER_MARK, HandleType, Limits, Serialization};
use crate::channel::{Channel, Event, Outgoing, Sent};
use crate::error::{Error, ErrorKind};

/// Bytes that may wait for `recv` before the peer is no longer read.
const INBOX_LIMIT: usize = 1024 * 1024;
/// What a waiting message takes besides its bytes, so that many small ones are as bounded as a few
/// large ones.
const OVERHEAD: usize = 128;
/// Answers to the peer's questions about sockets that may wait to be written, and bytes of each: a
/// peer that asks and never reads must not fill the memory. An honest one asks for a few servers, by
/// their addresses.
const MAX_ANSWERS: usize = 1024;
const LONGEST_ANSWER: usize = 1024;

#[derive(Debug)]
pub(super) struct Inner {
    state: Mutex<State>,
    /// Who is next to send. Fair: messages leave in the order in which they came here.
    turn: sync::Mutex<()>,
    /// Calls that wait for the peer. Meanwhile it is read further than `INBOX_LIMIT`: what they
    /// wait for may be behind messages, and a peer that also waits must be let go on.
    waiting: AtomicUsize,
    pub(super) arrived: Notify,
    pub(super) room: Notify,
    pub(super) work: Notify,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) channel: Channel,
    serialization: Serialization,
    pub(super) sharing: Sharing,
    /// Descriptors of any kind are for the program, and not only for memory.
    descriptors: bool,
    /// What was read last has left more in shared memory, or reading goes on after a pause.
    pub(super) again: bool,
    paused: bool,
    max_inbox: usize,
    inbox: VecDeque<io::Result<Message>>,
    inbox_bytes: usize,
    /// Answers that were accepted, by their bytes, and the number each had then. Some may be written.
    answers: HashMap<Vec<u8>, u64>,
    /// Handles not yet confirmed, by their number, and who waits to hear.
    fates: HashMap<u64, oneshot::Sender<bool>>,
    /// `disconnect` was called: nothing more is accepted.
    pub(super) leaving: bool,
    /// The `Peer` was dropped.
    pub(super) dropped: bool,
    /// The peer's end of the stream was reached.
    pub(super) ended: bool,
    /// The channel is closed.
    over: bool,
}

impl Inner {
    pub(super) fn new(
        channel: Channel,
        serialization: Serialization,
        limits: Limits,
        sharing: Sharing,
    ) -> Arc<Inner> {
        Arc::new(Inner {
            state: Mutex::new(State {
                channel,
                serialization,
                sharing,
                descriptors: limits.accept.contains(HandleType::Descriptor),
                again: false,
                paused: false,
                max_inbox: limits.max_message_size.max(INBOX_LIMIT),
                inbox: VecDeque::new(),
                inbox_bytes: 0,
                answers: HashMap::new(),
                fates: HashMap::new(),
                leaving: false,
                dropped: false,
                ended: false,
                over: false,
            }),
            turn: sync::Mutex::new(()),
            waiting: AtomicUsize::new(0),
            arrived: Notify::new(),
            room: Notify::new(),
            work: Notify::new(),
        })
    }

    /// Nothing that runs under the lock panics half-way through a change.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a message may be accepted. Nobody else's is while the result is held.
    pub(super) async fn room(&self) -> io::Result<sync::MutexGuard<'_, ()>> {
        let turn = self.turn.lock().await;
        let mut waiting = None;
        loop {
            let mut freed = pin!(self.room.notified());
            freed.as_mut().enable();
            {
                let state = self.lock();
                if !state.is_connected() {
                    return Err(closed());
                }
                if let Some(failure) = state.channel.failure() {
                    return Err(failure);
                }
                if state.channel.queued_bytes() <= HIGH_WATER_MARK {
                    return Ok(turn);
                }
            }
            waiting.get_or_insert_with(|| Waiting::new(self));
            freed.await;
        }
    }

    pub(super) async fn recv(&self) -> io::Result<Option<Message>> {
        loop {
            let arrived = self.arrived.notified();
            {
                let mut state = self.lock();
                let full = !state.reads(false);
                if let Some(message) = state.take() {
                    if full && state.reads(false) {
                        self.work.notify_one();
                    }
                    if !state.inbox.is_empty() {
                        self.arrived.notify_one();
                    }
                    return message.map(Some);
                }
                if state.over {
                    // For the next one that waits.
                    self.arrived.notify_one();
                    return Ok(None);
                }
            }
            arrived.await;
        }
    }

    pub(super) async fn disconnect(&self) -> io::Result<()> {
        let turn = self.turn.lock().await;
        self.lock().leaving = true;
        drop(turn);
        self.work.notify_one();
        // The next one in turn finds out that it is too late.
        self.room.notify_waiters();
        let _waiting = Waiting::new(self);
        loop {
            let mut freed = pin!(self.room.notified());
            freed.as_mut().enable();
            {
                let state = self.lock();
                if state.over {
                    let left = state.channel.accepted() - state.channel.written();
                    return match left {
                        0 => Ok(()),
                        _ => Err(io::Error::new(
                            io::ErrorKind::BrokenPipe,
                            format!("the peer has gone, {left} messages were not written to it"),
                        )),
                    };
                }
            }
            freed.await;
        }
    }

    /// Whether to read on.
    pub(super) fn reads(&self, state: &mut State) -> bool {
        // SYNC waiting: pairs with the increment in `Waiting::new`, whose bell comes after it.
        let paused = !state.reads(self.waiting.load(Ordering::Acquire) > 0);
        if paused != state.paused {
            state.paused = paused;
            state.channel.pause(paused);
            // What waits in shared memory makes no descriptor readable.
            state.again |= !paused;
        }
        // A paused channel is read for as long as it needs a wake to go on writing.
        state.channel.interest().readable
    }

    /// Closes the channel and wakes everybody.
    pub(super) fn close(&self) {
        {
            let mut state = self.lock();
            state.channel.close();
            state.fates.clear();
            state.over = true;
        }
        self.arrived.notify_one();
        self.room.notify_waiters();
    }
}

impl State {
    pub(super) fn is_connected(&self) -> bool {
        !self.leaving && !self.ended && !self.over
    }

    pub(super) fn send(&mut self, payload: &[u8]) -> io::Result<Sent> {
        self.check()?;
        self.sharing.count(payload.len());
        self.channel.send_slice(false, payload)
    }

    pub(super) fn send_handle(
        &mut self,
        outgoing: Outgoing,
        envelope: &[u8],
        confirmed: oneshot::Sender<bool>,
    ) -> io::Result<Sent> {
        self.check()?;
        let sent = self
            .channel
            .send_handle(outgoing, |buf| buf.extend_from_slice(envelope))?;
        self.fates.insert(self.channel.accepted(), confirmed);
        Ok(sent)
    }

    /// Whether everything accepted is written and confirmed, or never will be.
    pub(super) fn is_drained(&self) -> bool {
        self.channel.failure().is_some()
            || self.channel.queued_messages() == 0 && self.channel.unacknowledged() == 0
    }

    /// Takes in what the channel tells; says whether it brought anything for `recv`.
    pub(super) fn take_in(&mut self, events: &mut Vec<Event>) -> bool {
        let before = self.inbox.len();
        for event in events.drain(..) {
            match event {
                Event::Messages { bytes, .. } => {
                    for payload in message::payloads(self.serialization, &bytes) {
                        self.tell(payload.to_vec(), None);
                    }
                    self.channel.recycle(bytes);
                }
                Event::Handle {
                    frame,
                    nested,
                    kind,
                    descriptor,
                    problem,
                    ..
                } => {
                    let Some(kind) = HandleType::from_name(kind) else {
                        continue;
                    };
                    let lost = || HandleProblem::from_name(problem.unwrap_or_default());
                    let descriptor = descriptor.ok_or_else(lost);
                    let bytes = message::unwrap(self.serialization, frame, nested);
                    self.tell(bytes, Some(Handle { kind, descriptor }));
                }
                // Only for an end that has not said that it takes plain frames alone.
                Event::Batch(_) => self.trouble(invalid(ErrorKind::MalformedFrame.into())),
                Event::Switched => {
                    // Fails if the peer has gone since, or if this end has switched first.
                    let _ = self.channel.share();
                }
                Event::HandleTaken { sequence } => self.confirm(sequence, true),
                Event::HandleLost { sequence } => self.confirm(sequence, false),
                Event::Problem(error) => self.trouble(invalid(error)),
                Event::Ended { error, truncated } => {
                    self.ended = true;
                    if truncated > 0 {
                        let bytes = truncated;
                        self.trouble(invalid(ErrorKind::Truncated { bytes }.into()));
                    }
                    // A peer that closes without having read everything resets; to Node that is
                    // an end like any other.
                    match error {
                        Some(error) if error.kind() != io::ErrorKind::ConnectionReset => {
                            self.trouble(error);
                        }
                        _ => {}
                    }
                }
            }
        }
        self.consider();
        self.inbox.len() > before
    }

    /// Moves the channel into shared memory, a step at a time; answers whether something was sent.
    pub(super) fn consider(&mut self) -> bool {
        if !self.is_connected() {
            return false;
        }
        // If there is no memory, no descriptor or no peer left, the socket does it.
        match self.sharing.step() {
            Step::Nothing => false,
            Step::Greet => self.channel.send_slice(false, HELLO).is_ok(),
            Step::Offer => self.channel.offer_lanes(OFFER).is_ok(),
        }
    }

    /// A part of an offer of memory has come.
    fn take_lanes(&mut self, second: bool, handle: Option<Handle>) {
        let descriptor = handle.and_then(|handle| handle.descriptor.ok());
        let taken = match self.sharing.part(second, descriptor) {
            Ok(None) => return,
            Ok(Some(offer)) => self.channel.accept_lanes(offer).is_ok(),
            Err(()) => false,
        };
        // A peer that has gone is told of neither.
        let _ = if taken {
            self.channel.share()
        } else {
            self.channel.send_slice(false, REFUSED).map(drop)
        };
    }

    fn check(&self) -> io::Result<()> {
        if self.is_connected() {
            Ok(())
        } else {
            Err(closed())
        }
    }

    fn tell(&mut self, bytes: Vec<u8>, handle: Option<Handle>) {
        match message::route(self.serialization, &bytes) {
            Route::Tell => {
                self.sharing.count(bytes.len());
                let handle = handle.map(|handle| self.accepted(handle));
                self.inbox_bytes += bytes.len() + OVERHEAD;
                self.inbox.push_back(Ok(Message { bytes, handle }));
            }
            Route::Ignore => {}
            Route::Answer(answer) => self.answer(answer),
            Route::Hello { lanes, reply } => {
                if let Some(hello) = self.sharing.hear(lanes, reply) {
                    // A peer that has gone needs no answer.
                    let _ = self.channel.send_slice(false, hello);
                }
            }
            Route::Lanes { second } => self.take_lanes(second, handle),
        }
    }

    /// The channel takes descriptors of any kind, for memory; the program perhaps not.
    fn accepted(&self, handle: Handle) -> Handle {
        match handle {
            Handle {
                kind: HandleType::Descriptor,
                descriptor: Ok(_),
            } if !self.descriptors => Handle {
                kind: HandleType::Descriptor,
                descriptor: Err(HandleProblem::Refused),
            },
            other => other,
        }
    }

    /// The same answer is for all who have asked before it is written.
    fn answer(&mut self, answer: Vec<u8>) {
        let written = self.channel.written();
        if self
            .answers
            .get(&answer)
            .is_some_and(|&number| number > written)
        {
            return;
        }
        if self.answers.len() >= MAX_ANSWERS {
            self.answers.retain(|_, number| *number > written);
        }
        if self.answers.len() >= MAX_ANSWERS || answer.len() > LONGEST_ANSWER {
            return;
        }
        // A peer that has gone needs no answer.
        if self.channel.send_slice(false, &answer).is_ok() {
            self.answers.insert(answer, self.channel.accepted());
        }
    }

    fn trouble(&mut self, error: io::Error) {
        self.inbox_bytes += OVERHEAD;
        self.inbox.push_back(Err(error));
    }

    fn take(&mut self) -> Option<io::Result<Message>> {
        let message = self.inbox.pop_front()?;
        let bytes = message.as_ref().map_or(0, |message| message.bytes.len());
        self.inbox_bytes -= bytes + OVERHEAD;
        Some(message)
    }

    fn reads(&self, waiting: bool) -> bool {
        let limit = if waiting { self.max_inbox } else { INBOX_LIMIT };
        self.inbox_bytes < limit
    }

    fn confirm(&mut self, sequence: u64, taken: bool) {
        if let Some(fate) = self.fates.remove(&sequence) {
            // Fails if nobody waits for it any more.
            let _ = fate.send(taken);
        }
    }
}

/// A call that waits for the peer, for as long as it lives.
#[derive(Debug)]
pub(super) struct Waiting<'a>(&'a Inner);

impl Waiting<'_> {
    pub(super) fn new(inner: &Inner) -> Waiting<'_> {
        // SYNC waiting: pairs with the load in `Inner::reads`.
        inner.waiting.fetch_add(1, Ordering::Release);
        inner.work.notify_one();
        Waiting(inner)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Release);
    }
}

/// The limits of a channel that can be offered memory.
pub(super) fn with_memory(limits: Limits) -> Limits {
    let mut limits = limits;
    limits.accept = limits.accept.with(HandleType::Descriptor);
    limits
}

pub(super) fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the channel is closed")
}

fn invalid(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
