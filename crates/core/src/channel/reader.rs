//! Bytes and descriptors to events.

use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

use rsipc_sys::{fd, rights};

use super::arrivals::{Claim, digest};
use super::window::Answered;
use super::{Channel, Event, HandleType};
use crate::codec::envelope::Envelope;
use crate::codec::{Decoder, Frame, encode};
use crate::error::{Error, ErrorKind};

/// A run of plain frames from this size on is told at once, so that its vector can be given
/// away whole and the next read has a fresh one.
const RUN: usize = 64 * 1024;
/// Runs up to this size are joined when something told earlier lay between them.
const JOIN: usize = 16 * 1024;
/// A frame of this size, in bytes, is read in one go although that goes beyond the budget.
const WHOLE_FRAME: usize = 2 * 1024 * 1024;
/// What is read at once while nobody wants to read.
const PAUSED_BUDGET: usize = 4 * 1024;
/// What a descriptor takes of the budget, in bytes: a flood of handles must not open thousands
/// before the owner gets its turn.
const DESCRIPTOR_COST: usize = 1024;

impl Channel {
    /// Reads until the kernel, and the ring if `lanes`, have no more (false) or the budget is spent
    /// (true).
    pub(super) fn read(&mut self, budget: usize, lanes: bool, events: &mut Vec<Event>) -> bool {
        let told = events.len();
        let before = self.decoder.received() + self.incoming.received;
        let mut spent = 0usize;
        let mut end = None;
        let mut more = loop {
            if std::mem::take(&mut self.unread) {
                self.frames(events, told);
            }
            if self.ended || self.outbox.answers_pile_up() || self.incoming.full() {
                break false;
            }
            if spent >= budget && !nearly_whole(&self.decoder, spent) {
                break true;
            }
            let Some(fd) = &self.fd else {
                break false;
            };
            let room = self.decoder.make_room();
            let buffer = self.decoder.buffer();
            match rights::receive(fd.as_fd(), buffer, room, &mut self.scratch) {
                Ok(received) if received.bytes == 0 => {
                    end = Some(None);
                    break false;
                }
                Ok(received) => {
                    let cost = received.bytes + self.scratch.len() * DESCRIPTOR_COST;
                    spent = spent.saturating_add(cost);
                    self.decoder.note_read(received.bytes, room);
                    let with_handles = received.truncated || !self.scratch.is_empty();
                    if with_handles {
                        let end = self.decoder.received();
                        self.arrivals
                            .add(&mut self.scratch, received.truncated, end);
                    }
                    self.frames(events, told);
                    self.arrivals.expire(self.decoder.position());
                    if self.decoder.run_len() >= RUN {
                        self.tell_run(events, told);
                    }
                    // A short read has emptied the socket, unless it stopped at a descriptor.
                    if received.bytes < room && !with_handles {
                        break false;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break false,
                Err(error) => {
                    end = Some(Some(error));
                    break false;
                }
            }
        };
        self.tell_run(events, told);
        let socket_over = end.is_some();
        // Nothing more will come of a peer that is gone: what it has left there is told before its end.
        if (lanes || socket_over) && self.incoming.reading && !self.ended {
            more |= self.read_lanes(budget, socket_over, events, told);
        }
        // What was published before the end is told before it.
        if let Some(error) = end.filter(|_| !more) {
            self.end(error, events);
        } else {
            self.decoder.note_time();
        }
        if self.decoder.received() + self.incoming.received != before && !self.ended {
            self.proof = Instant::now();
        }
        self.write_answers();
        more
    }

    /// Reads the ring alone, of an end that has looked there and not at the socket.
    pub(super) fn read_shared(&mut self, budget: usize, events: &mut Vec<Event>) -> bool {
        let (told, before) = (events.len(), self.incoming.received);
        let reading = self.incoming.reading && !self.ended;
        let more = reading && self.read_lanes(budget, false, events, told);
        if self.incoming.received != before {
            self.proof = Instant::now();
        }
        self.write_answers();
        more
    }

    /// Reads the socket alone, for a wake that we need in order to write; what comes with it is kept.
    pub(super) fn read_while_paused(&mut self) {
        let mut events = Vec::new();
        let before = self.decoder.received() + self.incoming.received;
        self.read(PAUSED_BUDGET, false, &mut events);
        let read = (self.decoder.received() + self.incoming.received).saturating_sub(before);
        if !events.is_empty() {
            self.kept_bytes += usize::try_from(read).unwrap_or(0);
            self.kept.extend(events);
        }
    }

    /// Handles every complete frame in the decoder. `told`: how many events there were before
    /// this call to `read`.
    fn frames(&mut self, events: &mut Vec<Event>, told: usize) {
        while let Some(frame) = self.decoder.next_frame() {
            match frame {
                Frame::Plain { bytes, count } => self.tell(bytes, count, events, told),
                Frame::Broken(error) => problem(error, events, told),
                Frame::Switch => {
                    if self.incoming.reading {
                        self.incoming.announced = true;
                        // The descriptor came with this frame, and is the next one's.
                        self.arrivals.prolong(self.decoder.position());
                    } else if self.lanes.is_some() {
                        self.incoming.reading = true;
                        events.push(Event::Switched);
                    }
                }
                Frame::Envelope {
                    envelope: Envelope::Ack,
                    ..
                } => self.answered(true, events, told),
                Frame::Envelope {
                    envelope: Envelope::Nack,
                    ..
                } => {
                    self.answered(false, events, told);
                }
                Frame::Envelope {
                    envelope: Envelope::Handle { kind, nested },
                    payload,
                    offset,
                } => {
                    self.arrivals.expire(offset);
                    self.handle(kind, nested, payload, events, told);
                }
            }
        }
    }

    pub(super) fn tell_run(&mut self, events: &mut Vec<Event>, told: usize) {
        if let Some(Frame::Plain { bytes, count }) = self.decoder.take_run() {
            self.tell(bytes, count, events, told);
        }
    }

    pub(super) fn tell(
        &mut self,
        bytes: Vec<u8>,
        count: usize,
        events: &mut Vec<Event>,
        told: usize,
    ) {
        let fresh = events.get_mut(told..).unwrap_or_default();
        if let Some(Event::Messages {
            bytes: last,
            count: counted,
        }) = fresh.last_mut()
            && last.len() + bytes.len() <= JOIN
        {
            last.extend_from_slice(&bytes);
            *counted += count;
            return;
        }
        events.push(Event::Messages { bytes, count });
    }

    fn answered(&mut self, taken: bool, events: &mut Vec<Event>, told: usize) {
        match self.outbox.answered(taken) {
            Answered::Taken(sequence) => events.push(Event::HandleTaken { sequence }),
            Answered::Lost(sequence) => events.push(Event::HandleLost { sequence }),
            Answered::Again(frame) => {
                let again = encode::switch(self.serialization);
                self.outbox.repeat(frame, again);
            }
            Answered::Unexpected => problem(ErrorKind::UnexpectedAck.into(), events, told),
        }
    }

    /// A `NODE_HANDLE` frame: answers it, once, and tells of it.
    fn handle(
        &mut self,
        kind: Option<HandleType>,
        nested: bool,
        frame: Vec<u8>,
        events: &mut Vec<Event>,
        told: usize,
    ) {
        let claim = self.arrivals.claim();
        let repeated = std::mem::take(&mut self.incoming.announced);
        let Some(kind) = kind else {
            let arrived = matches!(claim, Claim::Descriptor(_));
            self.answer(arrived);
            self.incoming.skip_handle();
            problem(ErrorKind::UnknownHandleType.into(), events, told);
            return;
        };
        let (descriptor, fd_kind, trouble) = match claim {
            Claim::Descriptor(descriptor) => {
                self.answer(true);
                self.arrivals.arrived(&frame, nested);
                let fd_kind = fd::kind(descriptor.as_fd());
                let trouble = if !self.limits.accept.contains(kind) {
                    Some("refused")
                } else if !kind.fits(fd_kind) {
                    Some("kind")
                } else {
                    None
                };
                (
                    Some(descriptor).filter(|_| trouble.is_none()),
                    Some(fd_kind),
                    trouble,
                )
            }
            Claim::Dropped | Claim::Missing => {
                self.answer(false);
                let again = kind == HandleType::NetSocket;
                if again && self.incoming.reading {
                    let before = self.arrivals.forget(&frame, nested);
                    if self.incoming.lose_handle(&frame, repeated, before) {
                        return;
                    }
                } else if again && self.arrivals.ask_again(&frame, nested) {
                    return;
                }
                (None, None, Some("lost"))
            }
        };
        let place = repeated.then(|| digest(&frame));
        let event = Event::Handle {
            frame,
            nested,
            kind: kind.name(),
            descriptor,
            fd_kind,
            problem: trouble,
        };
        if self.incoming.reading {
            self.incoming.keep_handle(event, place);
        } else {
            events.push(event);
        }
    }

    fn answer(&mut self, taken: bool) {
        if self.failed.is_none() {
            self.outbox
                .push_answer(encode::answer(self.serialization, taken));
        }
    }

    /// Writes the answers to handles, and whatever an answer of the peer has set free.
    fn write_answers(&mut self) {
        let Some(fd) = &self.fd else { return };
        if self.failed.is_some() {
            return;
        }
        let result = if self.outbox.freed() {
            self.outbox.flush(fd.as_fd(), self.lanes.as_mut()).map(drop)
        } else {
            self.outbox.flush_answers(fd.as_fd())
        };
        if let Err(error) = result.and_then(|()| self.wake_peer()) {
            // Told by the next send; what the peer has still to say is read first.
            self.fail(error);
        }
    }

    fn end(&mut self, error: Option<io::Error>, events: &mut Vec<Event>) {
        self.tell_run(events, events.len());
        self.ended = true;
        self.arrivals.clear();
        let truncated = if self.decoder.discarding() {
            0
        } else {
            self.decoder.partial() + self.incoming.partial().map_or(0, |(_, bytes)| bytes)
        };
        events.push(Event::Ended { error, truncated });
    }
}

/// Tells of a breach, once for each kind and read: a peer that breaks the rules does so often.
pub(super) fn problem(error: Error, events: &mut Vec<Event>, told: usize) {
    let fresh = events.get(told..).unwrap_or_default();
    let known = fresh.iter().any(|event| match event {
        Event::Problem(known) => known.code() == error.code(),
        _ => false,
    });
    if !known {
        events.push(Event::Problem(error));
    }
}

/// Whether a large frame is under way whose rest had better be read before the owner gets its turn: it
/// could do nothing with a part of it.
pub(super) fn nearly_whole(decoder: &Decoder, spent: usize) -> bool {
    spent < WHOLE_FRAME && decoder.missing().is_some_and(|rest| rest <= WHOLE_FRAME)
}
