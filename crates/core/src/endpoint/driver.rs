//! A connection over a descriptor that somebody polls.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use rsipc_sys::fd::Kind;
use rsipc_sys::{rights, socket, stream};

use super::connection::Connection;
use super::event::Event;

/// Bytes received with one call.
const RECEIVE: usize = 64 * 1024;
/// What a UNIX socket may have under way that carries long messages, where the system allows it. With short ones
/// the two processes would take longer turns, and on a busy machine wait longer for the next.
const SOCKET_BUFFER: usize = 1536 * 1024;
/// What is a long message.
const LONG: usize = 128 * 1024;
/// Descriptors that wait for the frame they belong to. More are closed as they come.
const MAX_ARRIVALS: usize = 64;
/// Descriptors received before the owner gets its turn.
const MAX_TAKEN: usize = 64;

/// Memory that is used again: fresh memory costs more than the copy that goes into it. One is enough for a
/// thread.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Where bytes are received before anybody knows what they are.
    received: Vec<u8>,
    /// For the next run.
    spare: Vec<u8>,
}

impl Scratch {
    /// Takes the memory of a run that was read.
    pub fn recycle(&mut self, mut run: Vec<u8>) {
        if run.capacity() <= 4 * RECEIVE && run.capacity() > self.spare.capacity() {
            run.clear();
            self.spare = run;
        }
    }
}

/// What became of an attempt to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// Nothing is left.
    All,
    /// The kernel takes no more; the descriptor becomes writable.
    Full,
    /// The kernel has too many descriptors on their way. Nothing tells when that is over.
    Refused,
}

/// A [`Connection`] and its descriptor, which never blocks.
#[derive(Debug)]
pub struct Driver {
    fd: OwnedFd,
    connection: Connection,
    /// Descriptors no frame has claimed yet.
    arrivals: VecDeque<OwnedFd>,
    /// Descriptors that came without a frame that names them, and were closed.
    unclaimed: u64,
    passes_handles: bool,
    /// The kernel has been asked for room for long messages, or need not be.
    enlarged: bool,
}

impl Driver {
    /// Takes a connected stream socket.
    pub fn new(fd: OwnedFd, connection: Connection) -> io::Result<Driver> {
        stream::set_nonblocking(fd.as_fd(), true)?;
        let kind = rsipc_sys::fd::kind(fd.as_fd());
        if kind == Kind::Tcp {
            // A tick's messages leave with one call: there is nothing to wait for.
            stream::send_at_once(fd.as_fd())?;
        }
        Ok(Driver {
            fd,
            connection,
            arrivals: VecDeque::new(),
            unclaimed: 0,
            passes_handles: kind == Kind::Pipe,
            enlarged: kind != Kind::Pipe,
        })
    }

    /// The state behind it.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// The descriptor's number.
    pub fn raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Whether descriptors can travel with messages.
    pub fn passes_handles(&self) -> bool {
        self.passes_handles
    }

    /// Descriptors that no message has named, and that were closed.
    pub fn unclaimed(&self) -> u64 {
        self.unclaimed
    }

    /// Reads up to `budget` bytes and what they are. Answers whether there may be more.
    pub fn receive(
        &mut self,
        budget: usize,
        scratch: &mut Scratch,
        events: &mut Vec<Event>,
    ) -> bool {
        let mut left = budget;
        let mut taken = 0;
        let mut fds = Vec::new();
        while !self.connection.is_over() {
            let before = events.len();
            let outcome = match self.connection.room() {
                Some((room, missing)) if missing >= RECEIVE / 2 => {
                    let wanted = missing.min(1024 * 1024);
                    rights::receive(self.fd.as_fd(), room, wanted, &mut fds)
                        .map(|got| (got, wanted, true))
                }
                _ => {
                    scratch.received.clear();
                    rights::receive(self.fd.as_fd(), &mut scratch.received, RECEIVE, &mut fds)
                        .map(|got| (got, RECEIVE, false))
                }
            };
            let (received, wanted, in_place) = match outcome {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // A peer that is gone without having read everything: what it sent was read before.
                Err(_) => {
                    self.end(events);
                    return false;
                }
            };
            let came = fds.len();
            taken += came;
            self.arrive(&mut fds);
            if received.bytes == 0 {
                self.end(events);
                return false;
            }
            if in_place {
                self.connection.filled(events);
            } else {
                self.connection
                    .feed_reusing(&scratch.received, events, &mut scratch.spare);
            }
            self.claim(events, before);
            // The kernel gives no more at once than what came with the same descriptors.
            if received.bytes < wanted && came == 0 {
                return false;
            }
            left = left.saturating_sub(received.bytes);
            if left == 0 || taken >= MAX_TAKEN {
                return true;
            }
        }
        false
    }

    fn end(&mut self, events: &mut Vec<Event>) {
        self.connection.end(events);
        self.unclaimed += self.arrivals.len() as u64;
        self.arrivals = VecDeque::new();
    }

    fn arrive(&mut self, fds: &mut Vec<OwnedFd>) {
        for fd in fds.drain(..) {
            if self.arrivals.len() < MAX_ARRIVALS {
                self.arrivals.push_back(fd);
            } else {
                self.unclaimed += 1;
            }
        }
    }

    /// Gives messages the descriptors that have come with them.
    fn claim(&mut self, events: &mut [Event], from: usize) {
        for event in events.iter_mut().skip(from) {
            if let Event::Handles { fds, announced, .. } = event {
                let count = self.arrivals.len().min(*announced);
                fds.extend(self.arrivals.drain(..count));
            }
        }
        // A descriptor comes with its frame or, if that is short, with one before it, both in one piece: when nothing is
        // incomplete, nobody will claim it.
        if !self.arrivals.is_empty() && self.connection.partial() == 0 {
            self.unclaimed += self.arrivals.len() as u64;
            self.arrivals = VecDeque::new();
        }
    }

    /// Asks the kernel for room for a piece of this length.
    fn enlarge(&mut self, length: usize) {
        if !self.enlarged && length > LONG {
            self.enlarged = true;
            let _ = stream::set_buffers(self.fd.as_fd(), SOCKET_BUFFER);
        }
    }

    /// Writes what the kernel takes.
    pub fn flush(&mut self) -> io::Result<Flushed> {
        loop {
            self.connection.answer_ping();
            if self.connection.queued() == 0 {
                return Ok(Flushed::All);
            }
            self.enlarge(self.connection.outbox.first_len());
            let outbox = &self.connection.outbox;
            let (mut pieces, mut fds) = (Vec::new(), Vec::new());
            outbox.next(&mut pieces, &mut fds);
            let count = pieces.len();
            let slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            let outcome = if fds.is_empty() {
                stream::send(self.fd.as_fd(), &slices)
            } else {
                rights::send(self.fd.as_fd(), &slices, &fds)
            };
            match outcome {
                Ok(written) => self.connection.outbox.advance(written, count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Flushed::Full);
                }
                Err(error) if rights::is_refusal(&error) => return Ok(Flushed::Refused),
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes no more: the peer reads what was written, and then the end. What it sends is still read.
    pub fn end_writing(&self) -> io::Result<()> {
        stream::end(self.fd.as_fd())
    }

    /// The error that an attempt to connect has ended with.
    pub fn take_error(&self) -> io::Result<()> {
        socket::take_error(self.fd.as_fd())
    }

    /// Writes bytes that are one frame's without keeping them, if nothing waits before them; answers how
    /// many the kernel took.
    pub fn write_through(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.connection.queued() > 0 {
            return Ok(0);
        }
        self.enlarge(pieces.iter().map(|piece| piece.len()).sum());
        match stream::send(self.fd.as_fd(), pieces) {
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock || rights::is_refusal(&error) =>
            {
                Ok(0)
            }
            other => other,
        }
    }
}
