//! One end of a channel.
//!
//! [`Channel`] is told when its descriptor is readable or writable and answers with events. It
//! never waits, except in [`flush_blocking`](Channel::flush_blocking).
//!
//! - `outbox`: frames accepted and not yet written, and the writing of them.
//! - `window`: handles written and not yet answered; when the next one may follow.
//! - `arrivals`: descriptors received and not yet claimed by a frame.
//! - `reader`: bytes to events.
//! - `sharing`: the calls of a channel that leaves the socket for shared memory.
//! - `lanes`: rings in shared memory that take the socket's place between two ends of rsipc;
//!   `incoming` reads them, `batch` is the form of messages that JavaScript has encoded, `stage` where
//!   it leaves them; `beside` are the bytes of large Buffers, in memory of their own.
//! - `event`: what the owner is told.

mod arrivals;
mod batch;
mod beside;
mod event;
mod incoming;
mod lanes;
mod outbox;
mod reader;
mod sharing;
pub mod stage;
mod window;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rsipc_sys::{stream, wait};

pub use event::{Batch, Event};
pub use rsipc_sys::wait::Interest;

pub use crate::codec::Serialization;
pub use crate::handle::{HandleType, KindSet};

use crate::codec::{Decoder, encode};
use crate::slab;
use arrivals::Arrivals;
use incoming::Incoming;
use lanes::Lanes;
use outbox::{Outbox, Stop};
use stage::Stage;

/// Gathered bytes that are written without waiting for `flush`.
pub const GATHER_LIMIT: usize = 64 * 1024;
/// How often a kernel that is out of room for handles is asked again.
const REFUSED_RETRY: Duration = Duration::from_millis(5);
/// The longest a blocking flush waits for a peer that takes nothing.
const LONGEST_STALL: Duration = Duration::from_secs(24 * 60 * 60);
/// How much one turn of a blocking flush reads.
const FLUSH_BUDGET: usize = 256 * 1024;
/// How much a blocking flush keeps of what it reads, in messages of the largest size. Two peers that
/// have more than this to flush to each other stand still until one gives up.
const FLUSH_KEEPS: usize = 4;

/// For so long after the peer has shown that it lives, it is not asked. Shorter than any loop's turn, and long
/// enough that a stream of small writes costs no system call each.
const PROOF: Duration = Duration::from_micros(100);

/// How much of what comes by socket, which is little, is kept by an end that nobody reads and that waits
/// for room in the ring.
const PAUSED_KEEPS: usize = 256 * 1024;

/// What a channel puts up with.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest frame that is received, in bytes.
    pub max_message_size: usize,
    /// How deeply a JSON text may nest.
    pub max_depth: usize,
    /// The handle types that are taken.
    pub accept: KindSet,
    /// Descriptors that may wait for the frame they belong to.
    pub max_waiting_descriptors: usize,
}

impl Default for Limits {
    /// 64 MiB, 512 levels, what a plain Node takes, 64 descriptors.
    fn default() -> Limits {
        Limits {
            max_message_size: 64 * 1024 * 1024,
            max_depth: 512,
            accept: KindSet::NODE,
            max_waiting_descriptors: 64,
        }
    }
}

/// Where frames are after a call that sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// All that was accepted is with the kernel.
    Written,
    /// Some waits for [`Channel::flush`].
    Gathered,
    /// Some waits for the peer: its kernel buffer is full, or it has to answer a handle.
    Blocked,
}

/// A handle to send.
#[derive(Debug)]
pub struct Outgoing {
    /// Our own duplicate. It is kept open until the peer has answered.
    pub descriptor: OwnedFd,
    /// Send it again, up to three times, when the peer says it was lost. Only for
    /// `net.Socket`: a rsipc that lost a handle of another type has delivered the message
    /// without it.
    pub retry: bool,
}

/// What a blocking flush could not write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Frames not written, or not completely.
    pub messages: usize,
    /// Bytes not written.
    pub bytes: usize,
}

/// One end of a channel.
///
/// ```
/// use rsipc_core::channel::{Channel, Event, Limits, Sent, Serialization};
///
/// let (a, b) = rsipc_sys::stream::pair()?;
/// let mut a = Channel::new(a, Serialization::Json, Limits::default())?;
/// let mut b = Channel::new(b, Serialization::Json, Limits::default())?;
/// assert_eq!(a.send_slice(false, b"{\"hello\":1}")?, Sent::Written);
/// let mut events = Vec::new();
/// b.receive(usize::MAX, &mut events);
/// assert!(matches!(&events[..], [Event::Messages { count: 1, bytes }] if bytes.ends_with(b"\n")));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Channel {
    /// `None` once closed.
    fd: Option<OwnedFd>,
    serialization: Serialization,
    limits: Limits,
    outbox: Outbox,
    /// A write error, told by every later send. Reading goes on.
    failed: Option<i32>,
    decoder: Decoder,
    arrivals: Arrivals,
    scratch: Vec<OwnedFd>,
    /// Events found by a blocking flush, told by the next `receive`.
    kept: VecDeque<Event>,
    kept_bytes: usize,
    /// The decoder was given bytes that nobody has looked at.
    unread: bool,
    paused: bool,
    ended: bool,
    /// Something is queued, and nobody waits until the descriptor is writable.
    unattended: bool,
    /// Memory shared with the peer, and what comes through it.
    lanes: Option<Lanes>,
    incoming: Incoming,
    /// Where the owner leaves messages without a call.
    stage: Option<Stage>,
    /// The owner looks again by itself: it need not be woken.
    spins: bool,
    /// Where large Buffers lie that are sent, and those that are received.
    slabs: slab::Ends,
    /// When the peer was last known to be there.
    proof: Instant,
}

impl Channel {
    /// A channel over a connected stream socket, which becomes non-blocking.
    pub fn new(fd: OwnedFd, serialization: Serialization, limits: Limits) -> io::Result<Channel> {
        stream::set_nonblocking(fd.as_fd(), true)?;
        Ok(Channel {
            fd: Some(fd),
            serialization,
            limits,
            outbox: Outbox::new(),
            failed: None,
            decoder: Decoder::new(serialization, limits.max_message_size, limits.max_depth),
            arrivals: Arrivals::new(limits.max_waiting_descriptors),
            scratch: Vec::new(),
            kept: VecDeque::new(),
            kept_bytes: 0,
            unread: false,
            paused: false,
            ended: false,
            unattended: false,
            lanes: None,
            incoming: Incoming::new(serialization, limits),
            stage: None,
            spins: false,
            slabs: slab::Ends::default(),
            proof: Instant::now(),
        })
    }

    /// Takes bytes that a previous owner of the descriptor had read already. The next
    /// [`receive`](Channel::receive) tells what is in them.
    pub fn feed_received(&mut self, bytes: &[u8]) {
        self.decoder.buffer().extend_from_slice(bytes);
        self.unread = true;
    }

    /// Sends one frame; `write` appends its payload (JSON text, or a serialized value without
    /// length).
    ///
    /// With `gather` it waits for [`flush`](Channel::flush) until 64 KiB have come together;
    /// without, everything accepted is written at once as far as the kernel takes it. On an
    /// error this frame was not accepted.
    pub fn send(&mut self, gather: bool, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<Sent> {
        self.check()?;
        self.fetch_stage();
        self.outbox.push(self.serialization, write)?;
        self.settle(gather)
    }

    /// As [`send`](Channel::send), for a payload that exists already: when nothing is queued it
    /// is written from where it is and only what the kernel leaves is copied.
    pub fn send_slice(&mut self, gather: bool, payload: &[u8]) -> io::Result<Sent> {
        let head = encode::head(self.serialization, payload)?;
        let (before, after) = head.around();
        self.send_pieces(gather, &[before, payload, after])
    }

    /// As [`send_slice`](Channel::send_slice), for a serialized value that lies in several places,
    /// as when a large buffer inside it is left where it is.
    pub fn send_slices(&mut self, gather: bool, payload: &[&[u8]]) -> io::Result<Sent> {
        let length: usize = payload.iter().map(|piece| piece.len()).sum();
        let head = encode::head_of_length(self.serialization, length)?;
        let (before, after) = head.around();
        let mut pieces = Vec::with_capacity(payload.len() + 2);
        pieces.push(before);
        pieces.extend_from_slice(payload);
        pieces.push(after);
        self.send_pieces(gather, &pieces)
    }

    /// Sends one whole frame that lies in pieces.
    fn send_pieces(&mut self, gather: bool, pieces: &[&[u8]]) -> io::Result<Sent> {
        self.check()?;
        self.fetch_stage();
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        if gather && length < GATHER_LIMIT || !self.outbox.is_empty() || self.outbox.holds() {
            self.outbox.push_slices(pieces);
            return self.settle(gather);
        }
        let Some(fd) = &self.fd else {
            return Err(closed());
        };
        let written = self
            .outbox
            .write_slices(fd.as_fd(), self.lanes.as_mut(), pieces);
        match written {
            // What the ring had no room for waits until it has, which has to be arranged.
            Ok(_) if self.outbox.shares() => self.write_queue(true),
            Ok(stop) => Ok(self.sent(stop)),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Sends one frame with a handle. The payload is the complete `NODE_HANDLE` envelope.
    pub fn send_handle(
        &mut self,
        handle: Outgoing,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> io::Result<Sent> {
        let Outgoing { descriptor, retry } = handle;
        self.send_kept(Arc::new(descriptor), retry, write)
    }

    /// As [`send_handle`](Channel::send_handle), for a descriptor that somebody else keeps open as well.
    pub(crate) fn send_kept(
        &mut self,
        descriptor: Arc<OwnedFd>,
        retry: bool,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> io::Result<Sent> {
        self.check()?;
        self.fetch_stage();
        self.outbox
            .push_handle(self.serialization, descriptor, retry, write)?;
        self.settle(false)
    }

    /// Writes what is queued, as far as the kernel takes it.
    pub fn flush(&mut self) -> io::Result<Sent> {
        self.check()?;
        self.fetch_stage();
        self.write_queue(false)
    }

    /// Frames accepted so far.
    pub fn accepted(&self) -> u64 {
        self.outbox.accepted()
    }

    /// Frames written completely so far, and of which the peer has taken what lies beside them as far as it
    /// has to before more is sent. Answers to handles are not counted.
    pub fn written(&self) -> u64 {
        let held_up = self.slabs.held_up();
        let written = self.outbox.written();
        held_up.map_or(written, |held_up| written.min(held_up))
    }

    /// Bytes accepted and not written.
    pub fn queued_bytes(&self) -> usize {
        let beside = self.slabs.excess();
        self.outbox.bytes() + self.stage.as_ref().map_or(0, Stage::bytes) + beside
    }

    /// Frames accepted and not completely written.
    pub fn queued_messages(&self) -> usize {
        self.outbox.frames() + self.stage.as_ref().map_or(0, Stage::messages)
    }

    /// Handles the peer has not answered yet, queued ones included.
    pub fn unacknowledged(&self) -> usize {
        self.outbox.unacknowledged()
    }

    /// Descriptors that came without a frame that claims them, and were closed.
    pub fn unclaimed(&self) -> u64 {
        self.arrivals.unclaimed()
    }

    /// What to wait for.
    pub fn interest(&self) -> Interest {
        if self.fd.is_none() {
            return Interest::default();
        }
        // A peer whose ring was full wakes us through the socket, also when nobody wants to read.
        let room =
            self.waits_for_room() && self.kept_bytes <= PAUSED_KEEPS && !self.incoming.full();
        let wanted = !self.paused || room;
        Interest {
            // A peer that sends handles and does not read the answers is not read either.
            readable: wanted && !self.ended && !self.outbox.answers_pile_up(),
            writable: self.failed.is_none()
                && (self.outbox.stop() == Stop::Full || self.outbox.answers_wait()),
        }
    }

    /// Whether the peer has to make room in memory, which it tells through the socket.
    fn waits_for_room(&self) -> bool {
        let beside = self.slabs.waits();
        beside || self.outbox.stop() == Stop::NoRoom
    }

    /// Stops or resumes reading.
    pub fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Whether [`receive`](Channel::receive) has something to tell although nothing need be
    /// readable: what a blocking flush has read, or what was fed.
    pub fn pending(&mut self) -> bool {
        !self.kept.is_empty() || self.unread || self.lanes_readable()
    }

    /// Reads and appends what was found to `events`, in the order of the stream, until the
    /// kernel has no more or `budget` bytes were read; then it answers `true` and wants to be
    /// called again. Never waits.
    pub fn receive(&mut self, budget: usize, events: &mut Vec<Event>) -> bool {
        if self.paused {
            if self.waits_for_room() {
                self.read_while_paused();
            }
            return false;
        }
        events.extend(self.kept.drain(..));
        self.kept_bytes = 0;
        self.read(budget, true, events)
    }

    /// As [`receive`](Channel::receive), of what waits in shared memory and nothing else.
    pub fn receive_shared(&mut self, budget: usize, events: &mut Vec<Event>) -> bool {
        if self.paused || !self.kept.is_empty() || self.unread {
            return self.receive(budget, events);
        }
        let before = self.incoming.received;
        let more = self.read_shared(budget, events);
        if self.incoming.received == before {
            // A handle has its place next, and comes by socket.
            return self.receive(budget, events);
        }
        more
    }

    /// Gives the vector of an [`Event::Messages`] back for reuse.
    pub fn recycle(&mut self, bytes: Vec<u8>) {
        self.decoder.recycle(bytes);
    }

    /// Since when an incomplete frame has been waiting for its rest, and how much of it came.
    pub fn partial(&self) -> Option<(Instant, usize)> {
        let by_socket = self.decoder.begun();
        by_socket
            .map(|since| (since, self.decoder.partial()))
            .or_else(|| self.incoming.partial())
    }

    /// Writes everything, waiting for the peer to take it, until `stall` has passed without
    /// the peer taking anything. Says what was not written.
    ///
    /// Reads meanwhile and keeps what it reads, up to four times the largest message, for the next
    /// [`receive`](Channel::receive): two peers that both flush make room for each other.
    pub fn flush_blocking(&mut self, stall: Duration) -> Left {
        // A day without progress is no deadline any more, and does not overflow the clock.
        self.fetch_stage();
        let stall = stall.min(LONGEST_STALL);
        let mut deadline = Instant::now() + stall;
        let mut before = self.outbox.taken();
        // What waits in shared memory already makes no descriptor readable.
        let mut more = self.lanes_readable();
        loop {
            if self.fd.is_none() || self.failed.is_some() || self.write_queue(false).is_err() {
                break;
            }
            if self.outbox.all_written() {
                break;
            }
            let now = Instant::now();
            if self.outbox.taken() != before {
                before = self.outbox.taken();
                deadline = now + stall;
            }
            if now >= deadline {
                break;
            }
            let mut timeout = deadline - now;
            if self.outbox.stop() == Stop::Refused {
                timeout = timeout.min(REFUSED_RETRY);
            }
            if !self.wait_and_read(timeout, &mut more) {
                break;
            }
        }
        self.outbox.left()
    }

    /// Whether this end waits for room in the ring and could not be told of any: it is paused, and so much
    /// that came by socket waits for its place already that not even a wake is read. It has to flush now
    /// and then.
    pub fn blind(&self) -> bool {
        self.paused
            && self.outbox.stop() == Stop::NoRoom
            && (self.kept_bytes > PAUSED_KEEPS || self.incoming.full())
    }

    /// Whether something is queued although neither the kernel buffer nor the peer holds it up, or
    /// nobody would see that the kernel buffer has room again.
    pub fn wants_flush(&self) -> bool {
        let held_up = matches!(self.outbox.stop(), Stop::Full | Stop::NoRoom) && !self.unattended;
        let waits = self.outbox.wants_flush()
            || self
                .stage
                .as_ref()
                .is_some_and(|stage| stage.messages() > 0);
        self.failed.is_none() && self.fd.is_some() && !held_up && waits
    }

    /// Says that the caller, who has just sent, will not wait until the descriptor is writable. Until
    /// all is written [`wants_flush`](Channel::wants_flush) answers yes when the kernel buffer is full.
    pub fn leave_unattended(&mut self) {
        self.unattended = true;
    }

    /// Flushes if [`wants_flush`](Channel::wants_flush) has been true for `age`.
    pub fn flush_late(&mut self, age: Duration) -> io::Result<()> {
        if self.wants_flush() && !self.outbox.gathered_within(age) {
            self.flush()?;
        }
        Ok(())
    }

    /// The write error that has ended sending, if one has. Reading goes on regardless.
    pub fn failure(&self) -> Option<io::Error> {
        self.failed.map(io::Error::from_raw_os_error)
    }

    /// The descriptor to poll; -1 once closed.
    pub fn raw_fd(&self) -> RawFd {
        self.fd.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    /// Whether the peer's end of the stream was reached, or reading failed.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Drops what is queued and closes every descriptor held.
    pub fn close(&mut self) {
        self.fd = None;
        self.outbox.clear();
        self.arrivals.clear();
        self.scratch.clear();
        self.kept.clear();
        self.kept_bytes = 0;
        self.unread = false;
        self.ended = true;
        self.lanes = None;
        self.stage = None;
        self.slabs = slab::Ends::default();
        self.incoming.clear();
    }

    /// Whether sending makes sense.
    fn check(&self) -> io::Result<()> {
        match (&self.fd, self.failed) {
            (None, _) => Err(closed()),
            (_, Some(errno)) => Err(io::Error::from_raw_os_error(errno)),
            _ => Ok(()),
        }
    }

    /// After a frame was queued: writes, unless it is to be gathered or would be in vain.
    fn settle(&mut self, gather: bool) -> io::Result<Sent> {
        match self.outbox.stop() {
            Stop::Nothing if gather && self.outbox.bytes() < GATHER_LIMIT => {
                self.outbox.note_gathered();
                Ok(Sent::Gathered)
            }
            Stop::Nothing => self.write_queue(true),
            _ => Ok(Sent::Blocked),
        }
    }

    /// Writes what is queued. `own`: the last frame is the caller's, who is told of a failure
    /// and so does not count it as accepted.
    fn write_queue(&mut self, own: bool) -> io::Result<Sent> {
        let Some(fd) = &self.fd else {
            return Err(closed());
        };
        let fd = fd.as_fd();
        // Before it is written: a peer that has read it may be gone at once, and rightly so.
        let live = check_peer(fd, self.outbox.shares(), &mut self.proof);
        let flushed = live.and_then(|()| self.outbox.flush(fd, self.lanes.as_mut()));
        let woken = flushed.and_then(|stop| {
            self.wake_peer()?;
            Ok(stop)
        });
        match woken {
            Ok(stop) => {
                self.unattended &= !self.outbox.is_empty();
                Ok(self.sent(stop))
            }
            Err(error) => {
                if own {
                    self.outbox.disown();
                }
                Err(self.fail(error))
            }
        }
    }

    fn sent(&mut self, stop: Stop) -> Sent {
        match stop {
            Stop::Nothing if self.wait_for_slab() => Sent::Blocked,
            Stop::Nothing if self.outbox.all_written() => Sent::Written,
            Stop::Nothing => Sent::Gathered,
            _ => Sent::Blocked,
        }
    }

    /// Remembers a write error and gives up what is queued.
    fn fail(&mut self, error: io::Error) -> io::Error {
        // Every failed system call has a number, and 0 is none.
        self.failed = Some(error.raw_os_error().unwrap_or(stream::BROKEN));
        self.outbox.abandon();
        error
    }

    /// One wait of a blocking flush. False if waiting has become senseless. `more`: there is something
    /// to read whatever the descriptor says.
    fn wait_and_read(&mut self, timeout: Duration, more: &mut bool) -> bool {
        let Some(fd) = &self.fd else {
            return false;
        };
        if self.ended && self.outbox.stop() == Stop::Held {
            return false;
        }
        let keeps = self.kept_bytes <= FLUSH_KEEPS.saturating_mul(self.limits.max_message_size);
        let no_room = self.outbox.stop() == Stop::NoRoom;
        let readable = !self.ended
            && !self.outbox.answers_pile_up()
            && (keeps || no_room && !self.incoming.full());
        let writable = self.outbox.stop() == Stop::Full || self.outbox.answers_wait();
        let again = *more && readable && keeps;
        let timeout = if again { Duration::ZERO } else { timeout };
        let Ok(ready) = wait::ready(fd.as_fd(), Interest { readable, writable }, Some(timeout))
        else {
            return false;
        };
        if (ready.readable || again) && readable {
            let mut events = Vec::new();
            let before = self.decoder.received() + self.incoming.received;
            *more = self.read(FLUSH_BUDGET, keeps, &mut events);
            let read = (self.decoder.received() + self.incoming.received).saturating_sub(before);
            self.kept_bytes = self
                .kept_bytes
                .saturating_add(usize::try_from(read).unwrap_or(0));
            self.kept.extend(events);
        } else if ready.readable && !ready.writable {
            // Hung up, and there is nothing left to read: the next write says so, or nothing
            // will ever answer the handle that is waited for.
            return self.outbox.stop() == Stop::Full;
        }
        true
    }
}

fn closed() -> io::Error {
    io::Error::from(io::ErrorKind::NotConnected)
}

/// Memory takes what is written there whoever may read it: it does not refuse, as a socket does, when the peer is gone.
fn check_peer(fd: BorrowedFd<'_>, shares: bool, proof: &mut Instant) -> io::Result<()> {
    if !shares || proof.elapsed() < PROOF {
        return Ok(());
    }
    if wait::ready(fd, Interest::default(), Some(Duration::ZERO))?.readable {
        return Err(io::Error::from_raw_os_error(stream::BROKEN));
    }
    *proof = Instant::now();
    Ok(())
}
