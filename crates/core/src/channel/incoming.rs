//! What comes through shared memory, to events.

use std::collections::VecDeque;
use std::time::Instant;

use rsipc_ring::{Corrupt, ReadError};

use super::arrivals::{MAX_REQUESTS, digest};
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

/// What there is for a place that is marked in the ring.
#[derive(Debug)]
enum Place {
    Handle(Event),
    /// Nothing is told there.
    Nothing,
    /// Its handle was lost, and is asked for again: what its frame is told by, and how often it was.
    Awaited {
        frame: u64,
        requests: u8,
    },
}

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
    handles: VecDeque<Place>,
    told: u64,
    /// How many of them are awaited.
    awaited: usize,
    /// The next handle is a repetition.
    pub(super) announced: bool,
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
            awaited: 0,
            announced: false,
        }
    }

    /// Whether so many handles wait for their places that the socket is not read.
    pub(super) fn full(&self) -> bool {
        // A repetition is behind all that was under way when its handle was lost.
        let most = if self.awaited == 0 {
            MAX_HANDLES
        } else {
            2 * MAX_HANDLES
        };
        self.handles.len() >= most
    }

    /// A handle has come; its place is marked in the ring. `repeated`: it is the repetition of this frame.
    pub(super) fn keep_handle(&mut self, event: Event, repeated: Option<u64>) {
        match repeated.and_then(|frame| self.awaited_place(frame)) {
            Some(place) => {
                *place = Place::Handle(event);
                self.awaited -= 1;
            }
            None => self.handles.push_back(Place::Handle(event)),
        }
    }

    /// A handle was lost that can be sent again; `requests`: it has been before, so often, when the peer did
    /// not send through the ring yet. Answers whether to wait for it, as opposed to going on without.
    pub(super) fn lose_handle(&mut self, payload: &[u8], repeated: bool, requests: u8) -> bool {
        let frame = digest(payload);
        if repeated {
            return match self.awaited_place(frame) {
                Some(Place::Awaited { requests, .. }) if *requests < MAX_REQUESTS => {
                    *requests += 1;
                    true
                }
                _ => false,
            };
        }
        if requests >= MAX_REQUESTS {
            return false;
        }
        self.handles.push_back(Place::Awaited {
            frame,
            requests: requests + 1,
        });
        self.awaited += 1;
        true
    }

    /// The place of the handle that is repeated next, of those with this frame: a peer repeats them in the
    /// order in which they were lost.
    fn awaited_place(&mut self, wanted: u64) -> Option<&mut Place> {
        let asked = |place: &Place| match place {
            Place::Awaited { frame, requests } if *frame == wanted => Some(*requests),
            _ => None,
        };
        let next = self.handles.iter().filter_map(asked).min()?;
        self.handles
            .iter_mut()
            .find(|place| asked(place) == Some(next))
    }

    /// A handle has come that is not told.
    pub(super) fn skip_handle(&mut self) {
        if self.reading {
            self.handles.push_back(Place::Nothing);
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
        self.awaited = 0;
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
                        self.tell_handles(u64::MAX, true, events, told);
                    }
                    break false;
                }
                Ok(Some((Content::Handle(number), _))) => {
                    spent += RECORD_COST;
                    if !self.tell_handles(number, over, events, told) && !over {
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

    /// Tells the handles up to this number; answers whether all of them have come. `over`: those that have
    /// not will not.
    fn tell_handles(
        &mut self,
        number: u64,
        over: bool,
        events: &mut Vec<Event>,
        told: usize,
    ) -> bool {
        self.tell_lane_run(events, told);
        let Incoming {
            handles,
            told,
            awaited,
            ..
        } = &mut self.incoming;
        while *told < number {
            match handles.front() {
                None => return false,
                Some(Place::Awaited { .. }) if !over => return false,
                Some(_) => {}
            }
            match handles.pop_front() {
                Some(Place::Handle(event)) => events.push(event),
                Some(Place::Awaited { .. }) => *awaited -= 1,
                Some(Place::Nothing) | None => {}
            }
            *told += 1;
        }
        true
    }
}
