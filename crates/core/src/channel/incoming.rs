//! What comes through shared memory, to events.

use std::collections::VecDeque;
use std::time::Instant;

use rsipc_ring::{Corrupt, ReadError};

use super::batch;
use super::lanes::Content;
use super::reader::{nearly_whole, problem};
use super::{Channel, Event, Limits, Serialization};
use crate::codec::{Decoder, Frame};
use crate::error::ErrorKind;

/// Handles that may have come by socket before their places in the ring are reached. One is written
/// right before its place is marked, so a peer with more than that has marked none.
const MAX_HANDLES: usize = 128;
/// A run of plain frames from this size on is told at once.
const RUN: usize = 64 * 1024;
/// What a record takes of the budget besides its stretch: one may have none.
const RECORD_COST: usize = 64;

#[derive(Debug)]
pub(super) struct Incoming {
    /// The peer has said that it sends through the ring.
    pub(super) reading: bool,
    decoder: Decoder,
    batches: batch::Incoming,
    /// The batch that is incomplete, by how many came before it, and since when it is.
    begun: Option<(u64, Instant)>,
    /// Bytes read.
    pub(super) received: u64,
    /// Handles that have come and are not yet told, and how many came before.
    handles: VecDeque<Option<Event>>,
    told: u64,
}

impl Incoming {
    pub(super) fn new(serialization: Serialization, limits: Limits) -> Incoming {
        Incoming {
            reading: false,
            decoder: Decoder::new(serialization, limits.max_message_size, limits.max_depth),
            batches: batch::Incoming::default(),
            begun: None,
            received: 0,
            handles: VecDeque::new(),
            told: 0,
        }
    }

    /// Whether so many handles wait for their places that the socket is not read.
    pub(super) fn full(&self) -> bool {
        self.handles.len() >= MAX_HANDLES
    }

    /// A handle has come; its place is marked in the ring.
    pub(super) fn keep_handle(&mut self, event: Event) {
        self.handles.push_back(Some(event));
    }

    /// A handle has come that is not told.
    pub(super) fn skip_handle(&mut self) {
        if self.reading {
            self.handles.push_back(None);
        }
    }

    /// Since when something has been waiting for its rest, and how much of it there is.
    pub(super) fn partial(&self) -> Option<(Instant, usize)> {
        let batch = self
            .begun
            .map(|(_, since)| (since, self.batches.bytes.len()));
        batch.or_else(|| {
            let since = self.decoder.begun()?;
            Some((since, self.decoder.partial()))
        })
    }

    /// Notes since when something is incomplete.
    fn note_time(&mut self) {
        self.decoder.note_time();
        let number = self.batches.complete;
        self.begun = match self.begun {
            _ if self.batches.bytes.is_empty() => None,
            Some((begun, since)) if begun == number => Some((begun, since)),
            _ => Some((number, Instant::now())),
        };
    }

    /// Reads no more: what comes behind a fault cannot be told apart from it.
    fn stop(&mut self) {
        self.reading = false;
        self.handles.clear();
        self.batches = batch::Incoming::default();
    }

    pub(super) fn clear(&mut self) {
        self.stop();
        self.begun = None;
    }
}

impl Channel {
    /// Reads the ring until it is empty (false), or the budget is spent (true). `over`: nothing more
    /// comes by socket.
    pub(super) fn read_lanes(
        &mut self,
        budget: usize,
        over: bool,
        events: &mut Vec<Event>,
        told: usize,
    ) -> bool {
        let mut spent = 0;
        let more = loop {
            let Channel {
                lanes: Some(lanes),
                incoming,
                ..
            } = self
            else {
                break false;
            };
            // Whoever leaves an empty ring has to ask for a wake, below.
            if spent >= budget && !nearly_whole(&incoming.decoder, spent) && lanes.readable() {
                break true;
            }
            let next = match lanes.next() {
                Ok(None) if self.spins => Ok(None),
                // Whoever sleeps looks once more before it does.
                Ok(None) => match lanes.wait_for_items() {
                    Ok(true) => continue,
                    other => other.map(|_| None),
                },
                other => other,
            };
            let stretch = match next {
                Ok(None) if incoming.full() => Err(ReadError::Corrupt(Corrupt {
                    what: "handles that belong nowhere",
                })),
                Ok(None) => {
                    if over {
                        // Whoever was killed between a handle and its mark has sent nothing behind them.
                        self.tell_handles(u64::MAX, events, told);
                    }
                    break false;
                }
                Ok(Some((Content::Handle(number), _))) => {
                    spent += RECORD_COST;
                    if !self.tell_handles(number, events, told) && !over {
                        // It is on its way, and makes the socket readable.
                        break false;
                    }
                    self.stretch(None)
                }
                Ok(Some((content, bytes))) => {
                    spent += RECORD_COST + bytes;
                    self.incoming.received += bytes as u64;
                    self.stretch(Some(content))
                }
                Err(error) => Err(error),
            };
            match stretch {
                Ok(Some(Content::Frames)) => self.lane_frames(events, told),
                Ok(Some(_)) => self.lane_batches(events, told),
                Ok(None) => {}
                Err(_) => {
                    self.tell_lane_run(events, told);
                    self.incoming.stop();
                    problem(ErrorKind::DamagedMemory.into(), events, told);
                    break false;
                }
            }
        };
        self.tell_lane_run(events, told);
        self.incoming.note_time();
        more
    }

    /// Takes the next record to where its content goes; nowhere, if it has none.
    fn stretch(&mut self, content: Option<Content>) -> Result<Option<Content>, ReadError> {
        let Channel {
            lanes, incoming, ..
        } = self;
        let mut nothing = Vec::new();
        let out = match content {
            Some(Content::Frames) => {
                incoming.decoder.make_room();
                incoming.decoder.buffer()
            }
            Some(_) => &mut incoming.batches.bytes,
            None => &mut nothing,
        };
        match lanes {
            Some(lanes) => lanes.take(out).map(|()| content),
            None => Ok(None),
        }
    }

    /// Handles every complete frame that came through the ring.
    fn lane_frames(&mut self, events: &mut Vec<Event>, told: usize) {
        while let Some(frame) = self.incoming.decoder.next_frame() {
            match frame {
                Frame::Plain { bytes, count } => self.tell(bytes, count, events, told),
                Frame::Broken(error) => problem(error, events, told),
                // Descriptors do not travel through memory.
                Frame::Envelope { .. } | Frame::Switch => {
                    problem(ErrorKind::MalformedFrame.into(), events, told);
                }
            }
        }
        if self.incoming.decoder.run_len() >= RUN {
            self.tell_lane_run(events, told);
        }
    }

    fn lane_batches(&mut self, events: &mut Vec<Event>, told: usize) {
        self.tell_lane_run(events, told);
        loop {
            match self.incoming.batches.next(self.limits.max_message_size) {
                Ok(Some(batch)) => events.push(Event::Batch(batch)),
                Ok(None) => return,
                Err(batch::Refused { size }) => {
                    let limit = self.limits.max_message_size as u64;
                    self.incoming.stop();
                    problem(
                        ErrorKind::BatchTooLarge { size, limit }.into(),
                        events,
                        told,
                    );
                    return;
                }
            }
        }
    }

    fn tell_lane_run(&mut self, events: &mut Vec<Event>, told: usize) {
        if let Some(Frame::Plain { bytes, count }) = self.incoming.decoder.take_run() {
            self.tell(bytes, count, events, told);
        }
    }

    /// Tells the handles up to this number; answers whether all of them have come.
    fn tell_handles(&mut self, number: u64, events: &mut Vec<Event>, told: usize) -> bool {
        self.tell_lane_run(events, told);
        let Incoming { handles, told, .. } = &mut self.incoming;
        while *told < number {
            match handles.pop_front() {
                Some(event) => events.extend(event),
                None => return false,
            }
            *told += 1;
        }
        true
    }
}
