//! Slabs: memory beside a channel or a connection, in which the bytes of large Buffers lie while their message travels.
//!
//! Each direction has one of its own, which its sender makes and divides into blocks. Whoever is given a
//! block holds a lease on it, a word that both ends write:
//!
//! ```text
//!      0  1 while the sender waits for blocks to be taken
//!     64  the words of leases: number of the lending, and what has become of it
//!   DATA  blocks
//! ```
//!
//! A word goes from sent to taken to back, or from sent to back where the receiver copies. It counts only
//! with the number that its sender has given it, so whatever is given back twice, or late, is nothing.
//! What a sender keeps of its blocks it keeps for itself: a peer that writes anything it likes into the
//! words harms the blocks that it was lent, and what was lent to it is bounded.
//!
//! A second slab, without words, is shared by all channels of an environment: a [`Pool`] of Buffers that lie
//! there from the beginning. They are lent by the words of the channel that sends them.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rsipc_ring::Region;
use rsipc_sys::shm::{Mapping, Pages};

pub use crate::place::Place;

mod ends;

pub(crate) use ends::Ends;

/// What `/proc/<pid>/maps` calls the memory.
const LABEL: &str = "rsipc-slab";
/// Blocks lent at once.
const LEASES: usize = 4096;
const WAITING: usize = 0;
const WORDS: usize = 64;
/// Where blocks begin: at a page.
const DATA: usize = 20 * 1024;
/// The most bytes of a slab, also of one that a peer has made.
pub const MAX_BYTES: usize = 1 << 30;
/// Blocks begin and end at pages, so that two of them share no line.
const GRAIN: usize = 4096;
/// Bytes that may be sent and not taken before the sender is told to wait: enough for both to work at once,
/// and little enough to stay in the processor's memory.
const WINDOW: usize = 4 * 1024 * 1024;

const _: () = assert!(WORDS + LEASES * 4 <= DATA && DATA.is_multiple_of(GRAIN));

/// What the lowest bits of a word say.
const STATE: u32 = 3;
const BACK: u32 = 0;
const SENT: u32 = 1;
const TAKEN: u32 = 2;

/// The slabs of a channel's direction, by the numbers that messages call them by.
pub const OWN: u32 = 0;
/// The slab of the sender's [`Pool`].
pub const POOL: u32 = 1;
/// How many there are.
const SLABS: usize = 2;

/// Which stretches of a slab are free. The lowest is given first: what is used again soon is still in the
/// processor's memory, and what is never used is no memory at all.
#[derive(Debug)]
struct Extents(BTreeMap<usize, usize>);

impl Extents {
    fn new(begin: usize, len: usize) -> Extents {
        Extents(BTreeMap::from([(begin, len)]))
    }

    fn take(&mut self, len: usize) -> Option<usize> {
        let (&at, &free) = self.0.iter().find(|(_, free)| **free >= len)?;
        self.0.remove(&at);
        if free > len {
            self.0.insert(at + len, free - len);
        }
        Some(at)
    }

    fn give(&mut self, mut at: usize, mut len: usize) {
        if let Some(behind) = self.0.remove(&(at + len)) {
            len += behind;
        }
        if let Some((&before, &free)) = self.0.range(..at).next_back()
            && before + free == at
        {
            self.0.remove(&before);
            at = before;
            len += free;
        }
        self.0.insert(at, len);
    }
}

/// The `n`th word to be used: those of leases that follow each other lie in lines of their own, so that the
/// two ends, of which one is a little ahead, do not write into the same.
fn apart(n: u32) -> u32 {
    const IN_LINE: u32 = 16;
    const LINES: u32 = LEASES as u32 / IN_LINE;
    n % LINES * IN_LINE + n / LINES
}

fn grains(len: usize) -> usize {
    len.next_multiple_of(GRAIN)
}

/// A slab for Buffers that are made in it, to be sent through any channel.
#[derive(Debug)]
pub struct Pool {
    memory: Mapping,
    extents: Arc<Mutex<Extents>>,
}

/// A stretch of a [`Pool`], free again when this is dropped.
#[derive(Debug)]
pub struct Stretch {
    extents: Arc<Mutex<Extents>>,
    offset: usize,
    len: usize,
}

impl Stretch {
    /// Where in the pool it begins.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// How many bytes it has.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Stretch {
    fn drop(&mut self) {
        lock(&self.extents).give(self.offset, grains(self.len));
    }
}

fn lock(extents: &Mutex<Extents>) -> MutexGuard<'_, Extents> {
    // Nothing panics halfway through a change.
    extents.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// So many bytes, of which none is taken from the system before it is used.
    pub fn new(bytes: usize) -> io::Result<Pool> {
        let bytes = grains(bytes.clamp(GRAIN, MAX_BYTES));
        let memory = Mapping::unreserved(LABEL, bytes as u64).map_err(io::Error::other)?;
        Ok(Pool {
            memory,
            extents: Arc::new(Mutex::new(Extents::new(0, bytes))),
        })
    }

    /// A stretch of so many bytes; nothing where there is no room.
    pub fn take(&self, len: usize) -> Option<Stretch> {
        if len == 0 || len > MAX_BYTES {
            return None;
        }
        let offset = lock(&self.extents).take(grains(len))?;
        Some(Stretch {
            extents: Arc::clone(&self.extents),
            offset,
            len,
        })
    }

    /// The memory.
    pub fn pages(&self) -> Pages {
        self.memory.pages()
    }

    /// Its file, for a peer.
    pub fn file(&self) -> BorrowedFd<'_> {
        self.memory.file()
    }
}

/// What is lent.
#[derive(Debug)]
enum Lent {
    Block { offset: usize, len: usize },
    Stretch { _held: Arc<Stretch> },
}

#[derive(Debug)]
struct Lease {
    word: u32,
    number: u32,
    bytes: usize,
    /// How many messages were accepted before the one that it is for.
    before: u64,
    lent: Lent,
}

/// The sender's end of a slab.
#[derive(Debug)]
pub(crate) struct Outgoing {
    region: Region<Pages>,
    /// For the peer, until it has been sent.
    file: Option<Mapping>,
    capacity: usize,
    extents: Extents,
    /// In the order in which they were lent.
    leases: VecDeque<Lease>,
    /// Bytes of them.
    lent: usize,
    /// Those at the front that are known to be taken, and the bytes of the others.
    taken: usize,
    unread: usize,
    /// Words that are not in use.
    words: Vec<u32>,
    number: u32,
    /// The slabs that the peer has.
    ready: [bool; SLABS],
    /// What there was too much of when the owner was told so last.
    told: usize,
}

impl Outgoing {
    pub(crate) fn new(capacity: usize) -> io::Result<Outgoing> {
        let capacity = grains(capacity.clamp(GRAIN, MAX_BYTES - DATA));
        let file =
            Mapping::unreserved(LABEL, (DATA + capacity) as u64).map_err(io::Error::other)?;
        Ok(Outgoing {
            region: Region::new(file.pages()).map_err(io::Error::other)?,
            file: Some(file),
            capacity,
            extents: Extents::new(DATA, capacity),
            leases: VecDeque::new(),
            lent: 0,
            taken: 0,
            unread: 0,
            words: (0..LEASES as u32).rev().map(apart).collect(),
            number: 0,
            ready: [false; SLABS],
            told: 0,
        })
    }

    pub(crate) fn take_file(&mut self) -> Option<Mapping> {
        self.file.take()
    }

    /// The peer has this slab.
    pub(crate) fn ready(&mut self, slab: u32) {
        if let Some(ready) = self.ready.get_mut(slab as usize) {
            *ready = true;
        }
    }

    fn state(&self, lease: &Lease) -> u32 {
        // SYNC lease: pairs with the release in `Received::move_on`.
        let word = self.region.half(WORDS + lease.word as usize * 4);
        let word = word.load(Ordering::Acquire);
        if word >> 2 == lease.number {
            word & STATE
        } else {
            SENT // nonsense, which brings nothing back
        }
    }

    /// Finds out what has become of leases: of those at the front, which as a rule come back first, or of all.
    fn look(&mut self, all: bool) {
        if all {
            self.give_up();
        }
        while let Some(lease) = self.leases.get(self.taken) {
            if self.state(lease) == SENT {
                break;
            }
            self.unread -= lease.bytes;
            self.taken += 1;
        }
        while let Some(lease) = self.leases.front().filter(|_| self.taken > 0) {
            if self.state(lease) != BACK {
                break;
            }
            self.end(0);
        }
        if all {
            for at in (0..self.taken).rev() {
                if self
                    .leases
                    .get(at)
                    .is_some_and(|lease| self.state(lease) == BACK)
                {
                    self.end(at);
                }
            }
        }
    }

    /// Has back what the peer has not taken and will not: messages are read in their order, and of one that it
    /// refuses it need not take all.
    fn give_up(&mut self) {
        let unread = || self.leases.iter().skip(self.taken);
        let Some(last) = unread().rev().find(|lease| self.state(lease) != SENT) else {
            return;
        };
        for lease in unread().take_while(|lease| lease.before < last.before) {
            let word = self.region.half(WORDS + lease.word as usize * 4);
            let (sent, back) = (lease.number << 2 | SENT, lease.number << 2 | BACK);
            let _ = word.compare_exchange(sent, back, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Has one of the leases back.
    fn end(&mut self, at: usize) {
        let Some(lease) = self.leases.remove(at) else {
            return;
        };
        if at < self.taken {
            self.taken -= 1;
        } else {
            self.unread -= lease.bytes;
        }
        self.lent -= lease.bytes;
        self.words.push(lease.word);
        if let Lent::Block { offset, len } = lease.lent {
            self.extents.give(offset, grains(len));
        }
    }

    fn has_room(&self, len: usize) -> bool {
        !self.words.is_empty() && len <= self.capacity - self.lent
    }

    /// Copies bytes into a block. Nothing where there is none.
    pub(crate) fn lay(&mut self, before: u64, bytes: &[u8]) -> Option<Place> {
        let len = bytes.len();
        if len == 0 || len > self.capacity || self.ready[..1] != [true] {
            return None;
        }
        self.look(false);
        let mut offset = None;
        for all in [false, true] {
            if all {
                self.look(true);
            }
            if self.has_room(len) {
                offset = self.extents.take(grains(len));
            }
            if offset.is_some() {
                break;
            }
        }
        let offset = offset?;
        self.region.write(offset, bytes);
        let lent = Lent::Block { offset, len };
        Some(self.lend(before, OWN, offset, len, lent))
    }

    /// Lends what lies in a pool already, `len` bytes from `at` on in its stretch.
    pub(crate) fn lay_stretch(
        &mut self,
        before: u64,
        stretch: &Arc<Stretch>,
        at: usize,
        len: usize,
    ) -> Option<Place> {
        let inside = at <= stretch.len && len <= stretch.len - at;
        if len == 0 || !inside || self.ready != [true; SLABS] {
            return None;
        }
        self.look(!self.has_room(len));
        if !self.has_room(len) {
            return None;
        }
        let lent = Lent::Stretch {
            _held: Arc::clone(stretch),
        };
        Some(self.lend(before, POOL, stretch.offset + at, len, lent))
    }

    fn lend(&mut self, before: u64, slab: u32, offset: usize, bytes: usize, lent: Lent) -> Place {
        // `has_room` has seen one.
        let word = self.words.pop().unwrap_or(0);
        self.number = (self.number + 1) & (u32::MAX >> 2);
        let number = self.number;
        // What the block holds is published by the record of its message.
        self.region
            .half(WORDS + word as usize * 4)
            .store(number << 2 | SENT, Ordering::Relaxed);
        self.leases.push_back(Lease {
            word,
            number,
            bytes,
            before,
            lent,
        });
        self.lent += bytes;
        self.unread += bytes;
        Place {
            slab,
            lease: word,
            number,
            offset: offset as u32,
            length: bytes as u32,
        }
    }

    /// The last so many were not sent after all.
    pub(crate) fn take_back(&mut self, count: usize) {
        for _ in 0..count {
            if let Some(last) = self.leases.len().checked_sub(1) {
                self.end(last);
            }
        }
    }

    /// Bytes that the peer has not taken and should before more is sent.
    pub(crate) fn excess(&self) -> usize {
        self.unread.saturating_sub(WINDOW)
    }

    /// The message from which on nothing is as good as written, by how many were accepted before it.
    pub(crate) fn held_up(&self) -> Option<u64> {
        if self.excess() == 0 {
            return None;
        }
        let mut unread = 0;
        let held_up = self.leases.iter().skip(self.taken).find(|lease| {
            unread += lease.bytes;
            unread > WINDOW
        });
        held_up.map(|lease| lease.before)
    }

    /// Whether the peer has taken something that the owner waits for.
    pub(crate) fn eased(&mut self) -> bool {
        let told = self.told;
        if self.waits() {
            self.look_and_arm();
            self.told = told.min(self.excess());
        }
        self.told < told
    }

    /// Whether the owner has to wait; it is told by `eased` when that changes.
    pub(crate) fn wait(&mut self) -> bool {
        if self.excess() == 0 {
            return false;
        }
        self.look_and_arm();
        self.told = self.told.max(self.excess());
        self.excess() > 0
    }

    /// Whether the owner waits.
    pub(crate) fn waits(&self) -> bool {
        self.told > 0
    }

    /// Has the peer wake us when it has taken something, if there is too much that it has not.
    fn look_and_arm(&mut self) {
        self.look(true);
        if self.excess() > 0 {
            self.region.half(WAITING).store(1, Ordering::Relaxed);
            // SYNC slab-waiting: said before, the words are read after. Pairs with `Incoming::wanted`.
            fence(Ordering::SeqCst);
            self.look(true);
        }
    }
}

/// The receiver's end: slabs that the peer has made.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    slabs: [Option<Arc<Region<Pages>>>; SLABS],
}

impl Incoming {
    /// Takes the slab that the peer calls by this number.
    pub(crate) fn accept(&mut self, slab: u32, file: OwnedFd) -> io::Result<()> {
        let place = match self.slabs.get_mut(slab as usize) {
            Some(place @ None) => place,
            _ => return Err(io::Error::from(io::ErrorKind::InvalidInput)),
        };
        let memory = Mapping::received(file).map_err(io::Error::other)?;
        let least = if slab == OWN { DATA + GRAIN } else { GRAIN };
        if !(least..=MAX_BYTES).contains(&memory.len()) {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        let region = Region::new(memory.pages()).map_err(io::Error::other)?;
        *place = Some(Arc::new(region));
        Ok(())
    }

    /// The most bytes that a peer which keeps the rules has lent at once.
    pub(crate) fn capacity(&self) -> usize {
        let own = self.slabs.first().and_then(Option::as_ref);
        own.map_or(0, |own| own.size() - DATA)
    }

    /// What a message says is here. Nothing if it cannot be.
    pub(crate) fn find(&self, place: &Place) -> Option<Received> {
        let words = self.slabs.first()?.as_ref()?;
        let memory = self.slabs.get(place.slab as usize)?.as_ref()?;
        let (offset, len) = (place.offset as usize, place.length as usize);
        let least = if place.slab == OWN { DATA } else { 0 };
        let inside = offset >= least && offset <= memory.size() && len <= memory.size() - offset;
        if !inside || len == 0 || place.lease as usize >= LEASES || place.number > u32::MAX >> 2 {
            return None;
        }
        Some(Received {
            words: Arc::clone(words),
            memory: Arc::clone(memory),
            place: *place,
        })
    }

    /// Whether the peer waits for what has just been taken.
    pub(crate) fn wanted(&self) -> bool {
        let Some(own) = self.slabs.first().and_then(Option::as_ref) else {
            return false;
        };
        // SYNC slab-waiting: the words were written before. Pairs with `Outgoing::wait`.
        fence(Ordering::SeqCst);
        let waiting = own.half(WAITING);
        waiting.load(Ordering::Relaxed) != 0 && waiting.swap(0, Ordering::Relaxed) != 0
    }
}

/// Bytes that the peer has sent, where they lie. It may write them at any time.
#[derive(Clone, Debug)]
pub struct Received {
    words: Arc<Region<Pages>>,
    memory: Arc<Region<Pages>>,
    place: Place,
}

impl Received {
    /// How many there are.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.place.length as usize
    }

    /// The memory that they are in, and which is there as long as this value.
    pub fn memory(&self) -> &Arc<Region<Pages>> {
        &self.memory
    }

    /// Where in the memory they begin.
    pub fn offset(&self) -> usize {
        self.place.offset as usize
    }

    /// Copies them out.
    ///
    /// # Panics
    ///
    /// When `out` is longer.
    pub fn copy_to(&self, out: &mut [u8]) {
        assert!(out.len() <= self.len(), "more than there is");
        self.memory.read(self.offset(), out);
    }

    /// Keeps them until [`give_back`](Received::give_back). False if they are not what was sent.
    pub fn keep(&self) -> bool {
        self.move_on(SENT, TAKEN)
    }

    /// Does not keep them after all.
    pub fn keep_not(&self) {
        self.move_on(TAKEN, SENT);
    }

    /// Has done with them after a copy. False if they are not what was sent.
    pub fn done(&self) -> bool {
        self.move_on(SENT, BACK)
    }

    /// Has done with what was kept. The second time it does nothing.
    pub fn give_back(&self) {
        self.move_on(TAKEN, BACK);
    }

    fn move_on(&self, from: u32, to: u32) -> bool {
        let Place { lease, number, .. } = self.place;
        let word = self.words.half(WORDS + lease as usize * 4);
        let (from, to) = (number << 2 | from, number << 2 | to);
        // SYNC lease: pairs with the acquire in `Outgoing::state`.
        word.compare_exchange(from, to, Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }
}
