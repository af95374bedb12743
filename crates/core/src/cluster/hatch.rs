//! A way to a worker beside its channel, on which connections come several at a time.
//!
//! The channel brings each connection as a message of Node's, which the worker's JavaScript reads and answers twice. Here
//! a message is a batch: an entry for each of its descriptors. The answers are words in memory that both have: the worker
//! writes one just before it uses a connection, and rings once behind the batch. So the primary knows of every connection
//! whether the worker has begun with it, also when the worker is killed halfway through a batch, and can withdraw what
//! the worker has not begun with.
//!
//! ```text
//! an entry   slot, number, place: three little-endian words of 4 bytes
//! memory     64 + 4 * slot: the number of the connection, and what has become of it
//! ```
//!
//! A word counts only with the number that the primary has given it. A worker that writes anything else there harms what
//! it was given itself.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rsipc_ring::Region;
use rsipc_sys::chime::Chime;
use rsipc_sys::shm::{Mapping, Pages};
use rsipc_sys::{claim, rights, stream};

/// Connections that may be on their way or unanswered.
const SLOTS: u32 = 64;
/// Connections in one message.
const BATCH: usize = 16;
/// What `/proc/<pid>/maps` calls the memory.
const LABEL: &str = "rsipc-cluster";
const SIZE: u64 = 4096;
const WORDS: usize = 64;
const ENTRY: usize = 12;
/// The first message, which brings the memory and the chime.
const HELLO: &[u8] = b"rsipc 1\n";

const _: () = assert!(WORDS + SLOTS as usize * 4 <= SIZE as usize && ENTRY > HELLO.len());

/// What the lowest bits of a word say.
const STATE: u32 = 3;
const WITHDRAWN: u32 = 0;
const GIVEN: u32 = 1;
const ADOPTED: u32 = 2;
const REFUSED: u32 = 3;

fn at(slot: u32) -> usize {
    WORDS + slot as usize * 4
}

/// A connection that was put through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    slot: u32,
    number: u32,
}

impl Ticket {
    /// The number of the claim that the worker takes when it adopts the connection, and loses when it closes it. Those of
    /// connections on the channel are higher.
    pub(super) fn claim(self) -> u64 {
        self.number.into()
    }
}

/// What has become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing yet.
    Given,
    Adopted,
    /// The worker has no room for it, or has seen that it was withdrawn.
    Refused,
    /// Something that no worker says.
    Nonsense,
}

/// The primary's end.
#[derive(Debug)]
pub(super) struct Hatch {
    socket: OwnedFd,
    region: Region<Pages>,
    free: Vec<u32>,
    number: u32,
    /// To be sent together.
    batch: Vec<(Arc<OwnedFd>, Ticket)>,
    entries: Vec<u8>,
}

impl Hatch {
    /// A hatch, the worker's end of it, and what the worker rings.
    pub(super) fn new() -> io::Result<(Hatch, OwnedFd, Chime)> {
        let memory = Mapping::anonymous(LABEL, SIZE).map_err(io::Error::other)?;
        let chime = Chime::new()?;
        let (ours, theirs) = stream::pair()?;
        stream::set_nonblocking(ours.as_fd(), true)?;
        let sent = [memory.file(), chime.as_fd()];
        rights::send(ours.as_fd(), &[IoSlice::new(HELLO)], &sent)?;
        let hatch = Hatch {
            socket: ours,
            region: Region::new(memory.pages()).map_err(io::Error::other)?,
            free: (0..SLOTS).rev().collect(),
            number: 0,
            batch: Vec::new(),
            entries: Vec::new(),
        };
        Ok((hatch, theirs, chime))
    }

    /// Adds a connection to the batch, for the server that the worker calls `place`; nothing when there is no room.
    pub(super) fn put(&mut self, connection: &Arc<OwnedFd>, place: u32) -> Option<Ticket> {
        let slot = self.free.pop()?;
        self.number = self.number.wrapping_add(1) & (u32::MAX >> 2);
        let number = self.number;
        // The message that follows makes it visible to the worker.
        let word = self.region.half(at(slot));
        word.store(number << 2 | GIVEN, Ordering::Relaxed);
        for part in [slot, number, place] {
            self.entries.extend_from_slice(&part.to_le_bytes());
        }
        let ticket = Ticket { slot, number };
        self.batch.push((connection.clone(), ticket));
        Some(ticket)
    }

    /// Sends the batch. On an error, whatever is left of it has not been sent, and its tickets are answered.
    pub(super) fn flush(&mut self) -> Result<(), (io::Error, Vec<Ticket>)> {
        let mut outcome: Result<(), (io::Error, Vec<Ticket>)> = Ok(());
        for (batch, entries) in self
            .batch
            .chunks(BATCH)
            .zip(self.entries.chunks(BATCH * ENTRY))
        {
            let mut descriptors = [self.socket.as_fd(); BATCH];
            for (place, (connection, _)) in descriptors.iter_mut().zip(batch) {
                *place = connection.as_fd();
            }
            let descriptors = descriptors.get(..batch.len()).unwrap_or_default();
            let sent = match &outcome {
                // It takes a message whole or not at all.
                Ok(()) => rights::send(self.socket.as_fd(), &[IoSlice::new(entries)], descriptors),
                Err(_) => Ok(0),
            };
            let unsent = || batch.iter().map(|&(_, ticket)| ticket);
            match (sent, &mut outcome) {
                (Err(error), _) => outcome = Err((error, unsent().collect())),
                (Ok(_), Err((_, tickets))) => tickets.extend(unsent()),
                (Ok(_), Ok(())) => {}
            }
        }
        self.batch.clear();
        self.entries.clear();
        if let Err((_, tickets)) = &outcome {
            for &ticket in tickets {
                self.done(ticket);
            }
        }
        outcome
    }

    /// What has become of a connection.
    pub(super) fn fate(&self, ticket: Ticket) -> Fate {
        // SYNC answer: pairs with the release in `Intake::answer`.
        let word = self.region.half(at(ticket.slot)).load(Ordering::Acquire);
        match (word >> 2 == ticket.number, word & STATE) {
            (true, GIVEN | WITHDRAWN) => Fate::Given,
            (true, ADOPTED) => Fate::Adopted,
            (true, REFUSED) => Fate::Refused,
            _ => Fate::Nonsense,
        }
    }

    /// Takes a connection back that the worker has not begun with. It will refuse it when it comes to it.
    pub(super) fn withdraw(&self, ticket: Ticket) -> bool {
        let number = ticket.number << 2;
        let word = self.region.half(at(ticket.slot));
        let withdrawn = word.compare_exchange(
            number | GIVEN,
            number | WITHDRAWN,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        withdrawn.is_ok()
    }

    /// Forgets a connection of which the worker says nothing more.
    pub(super) fn done(&mut self, ticket: Ticket) {
        self.free.push(ticket.slot);
    }
}

/// A connection that has come.
#[derive(Debug)]
struct Arrival {
    /// `None` when this process had no descriptor left for it.
    connection: Option<OwnedFd>,
    slot: u32,
    number: u32,
    place: u32,
}

/// The worker's end.
#[derive(Debug)]
pub struct Intake {
    socket: OwnedFd,
    region: Region<Pages>,
    chime: Chime,
    arrivals: VecDeque<Arrival>,
    bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
    /// There is an answer that the primary has not been told of.
    answered: bool,
}

impl Intake {
    /// The worker's end, through a descriptor that came from the primary.
    pub fn open(socket: OwnedFd) -> io::Result<Intake> {
        stream::set_nonblocking(socket.as_fd(), true)?;
        let (mut bytes, mut descriptors) = (Vec::new(), Vec::new());
        rights::receive(socket.as_fd(), &mut bytes, HELLO.len(), &mut descriptors)?;
        let mut descriptors = descriptors.into_iter();
        let (Some(memory), Some(chime), HELLO) = (descriptors.next(), descriptors.next(), &*bytes)
        else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let memory = Mapping::received(memory).map_err(io::Error::other)?;
        if (memory.len() as u64) < SIZE {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Intake {
            socket,
            region: Region::new(memory.pages()).map_err(io::Error::other)?,
            chime: Chime::received(chime),
            arrivals: VecDeque::new(),
            bytes: Vec::new(),
            descriptors: Vec::new(),
            answered: false,
        })
    }

    /// Takes a batch, if one is there; answers how many connections wait. An error is the end of all.
    pub fn receive(&mut self) -> io::Result<usize> {
        self.bytes.clear();
        let Intake {
            socket,
            bytes,
            descriptors,
            ..
        } = self;
        match rights::receive(socket.as_fd(), bytes, BATCH * ENTRY, descriptors) {
            Ok(received) if received.bytes == 0 => {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(self.arrivals.len());
            }
            Err(error) => return Err(error),
        }
        let mut connections = self.descriptors.drain(..);
        for entry in self.bytes.chunks_exact(ENTRY) {
            let part = |at: usize| {
                let bytes = entry.get(at..at + 4).and_then(|part| part.try_into().ok());
                bytes.map_or(0, u32::from_le_bytes)
            };
            self.arrivals.push_back(Arrival {
                connection: connections.next(),
                slot: part(0) % SLOTS,
                number: part(4),
                place: part(8),
            });
        }
        Ok(self.arrivals.len())
    }

    /// Connections that have come and wait for `adopt` or `refuse`.
    pub fn waiting(&self) -> usize {
        self.arrivals.len()
    }

    /// Which server the first of them is for.
    pub fn place(&self) -> Option<u32> {
        Some(self.arrivals.front()?.place)
    }

    /// Takes the first: it is this process's from now on. Nothing if the primary has withdrawn it.
    pub fn adopt(&mut self) -> Option<OwnedFd> {
        let arrival = self.arrivals.pop_front()?;
        let Some(connection) = arrival.connection else {
            self.answer(arrival.slot, arrival.number, REFUSED);
            return None;
        };
        self.answered = true;
        let number = arrival.number << 2;
        let adopted = self.region.half(at(arrival.slot)).compare_exchange(
            number | GIVEN,
            number | ADOPTED,
            // SYNC answer: pairs with the Acquire load in `Hatch::fate`.
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        if adopted.is_ok() {
            // Nobody else takes it: the word is the answer, and this tells how long the connection is here.
            let _ = claim::take(connection.as_raw_fd(), arrival.number.into());
            return Some(connection);
        }
        drop(connection);
        self.answer(arrival.slot, arrival.number, REFUSED);
        None
    }

    /// Leaves the first to other workers.
    pub fn refuse(&mut self) {
        if let Some(arrival) = self.arrivals.pop_front() {
            // Closed first: whoever gets it is to be the only one who has it.
            drop(arrival.connection);
            self.answer(arrival.slot, arrival.number, REFUSED);
        }
    }

    fn answer(&mut self, slot: u32, number: u32, state: u32) {
        self.answered = true;
        // SYNC answer: pairs with the Acquire load in `Hatch::fate`.
        let word = self.region.half(at(slot));
        word.store(number << 2 | state, Ordering::Release);
    }

    /// Tells the primary of answers, if there are any.
    pub fn ring(&mut self) {
        if std::mem::take(&mut self.answered) {
            self.chime.ring();
        }
    }
}

impl AsFd for Intake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Intake {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both() -> (Hatch, Intake) {
        let (hatch, theirs, _chime) = Hatch::new().expect("a hatch");
        (hatch, Intake::open(theirs).expect("an intake"))
    }

    fn connection() -> Arc<OwnedFd> {
        Arc::new(stream::pair().expect("a pair").0)
    }

    #[test]
    fn a_batch_comes_in_one_piece_and_each_connection_has_an_answer_of_its_own() {
        let (mut hatch, mut intake) = both();
        let tickets: Vec<_> = (0..20)
            .map(|place| hatch.put(&connection(), place).expect("room"))
            .collect();
        hatch.flush().expect("send");
        assert_eq!(intake.receive().expect("receive"), BATCH);
        assert_eq!(intake.receive().expect("receive"), 20);
        for place in 0..20 {
            assert_eq!(intake.place(), Some(place));
            match place % 2 {
                0 => assert!(intake.adopt().is_some()),
                _ => intake.refuse(),
            }
        }
        for (place, ticket) in tickets.into_iter().enumerate() {
            let fate = [Fate::Adopted, Fate::Refused][place % 2];
            assert_eq!(hatch.fate(ticket), fate);
        }
    }

    #[test]
    fn what_was_withdrawn_is_refused_and_what_was_begun_with_stays() {
        let (mut hatch, mut intake) = both();
        let first = hatch.put(&connection(), 0).expect("room");
        let second = hatch.put(&connection(), 0).expect("room");
        hatch.flush().expect("send");
        intake.receive().expect("receive");
        assert!(intake.adopt().is_some());
        assert!(!hatch.withdraw(first));
        assert!(hatch.withdraw(second));
        assert_eq!(hatch.fate(second), Fate::Given);
        assert!(intake.adopt().is_none());
        assert_eq!(hatch.fate(second), Fate::Refused);
    }

    #[test]
    fn a_number_that_was_not_given_is_nonsense() {
        let (mut hatch, mut intake) = both();
        let ticket = hatch.put(&connection(), 0).expect("room");
        intake.answer(ticket.slot, ticket.number + 1, ADOPTED);
        assert_eq!(hatch.fate(ticket), Fate::Nonsense);
    }

    #[test]
    fn there_is_room_for_so_many_and_again_when_they_are_answered() {
        let (mut hatch, intake) = both();
        let tickets: Vec<_> = (0..SLOTS)
            .map(|_| hatch.put(&connection(), 0).expect("room"))
            .collect();
        assert_eq!(hatch.put(&connection(), 0), None);
        drop(intake);
        let (_, unsent) = hatch.flush().expect_err("nobody takes them");
        assert_eq!(unsent, tickets);
        assert!(hatch.put(&connection(), 0).is_some());
    }
}
