//! Two rings in shared memory, one for each direction, which take the place of the socket between two
//! ends of rsipc.
//!
//! What was the stream of frames travels through the rings. The socket stays for what only it can
//! do: handles and their answers, a wake for an end that sleeps, and the news that the peer is gone,
//! killed ones included. What a record holds is in its first word: a stretch of the stream of
//! frames, a stretch of the stream of batches, or a mark where a handle belongs that came by socket.
//!
//! A frame may be cut over several records: rings are small, messages are not. Records are published
//! as they are filled, so the reader copies the beginning of a large one while its end is written.

use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use rsipc_ring::layout::Kind;
use rsipc_ring::{
    Consumer, Corrupt, Doorbell, Flavor, OpenError, Producer, ReadError, Ring, System, WriteError,
};
use rsipc_sys::shm::{Mapping, Pages};

/// Bytes of one direction's ring.
pub(super) const CAPACITY: usize = 2 * 1024 * 1024;
/// What a ring may have that a peer has made, whose version may be another: room for several stretches,
/// and not all memory.
const CAPACITIES: RangeInclusive<usize> = 4 * STRETCH..=64 * 1024 * 1024;
/// The longest stretch in one record: the reader works while the next is filled.
const STRETCH: usize = 32 * 1024;
/// Bytes before the stretch.
const HEAD: usize = 8;
/// What `/proc/<pid>/maps` calls the memory.
const LABEL: &str = "rsipc-channel";
/// The number of the only event loop at each end.
const ENVIRONMENT: u32 = 0;
/// The two processes.
const MAKER: u64 = 1;
const TAKER: u64 = 2;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A stretch of frames, as they would stand on the socket.
    Frames,
    /// A stretch of batches.
    Batches,
    /// So many handles have been sent: this is where the last of them belongs.
    Handle(u64),
}

impl Content {
    fn word(self) -> u64 {
        match self {
            Content::Frames => 1,
            Content::Batches => 2,
            Content::Handle(number) => 3 | number << 8,
        }
    }

    fn from_word(word: u64) -> Option<Content> {
        match word {
            1 => Some(Content::Frames),
            2 => Some(Content::Batches),
            _ if word & 0xFF == 3 => Some(Content::Handle(word >> 8)),
            _ => None,
        }
    }
}

/// The two processes as the rings see them. Nobody dies here: the socket tells that.
#[derive(Debug)]
struct Pair {
    identity: u64,
    /// The peer's loop has to be woken.
    rung: AtomicBool,
}

impl System for Pair {
    fn identity(&self) -> u64 {
        self.identity
    }

    fn world(&self) -> u64 {
        1
    }

    fn alive(&self, identity: u64) -> bool {
        // Whatever else a hostile peer has written there is nobody's to wait for.
        matches!(identity, MAKER | TAKER)
    }

    fn wait(&self, _: &AtomicU32, _: u32, timeout: Option<Duration>) {
        // Only a thread that meets the latch of a table waits here, and nobody holds that for long.
        std::thread::sleep(
            timeout
                .unwrap_or(Duration::ZERO)
                .min(Duration::from_millis(1)),
        );
    }

    fn wake(&self, _: &AtomicU32, _: u32) {}

    fn ring(&self, _: u64, _: u32) {
        self.rung.store(true, Ordering::Relaxed);
    }

    fn now_ms(&self) -> u64 {
        0
    }
}

type Shared = Arc<Pair>;

/// Our ends of both rings. They hold the memory and not its files: a channel takes one descriptor.
pub(super) struct Lanes {
    pair: Shared,
    outgoing: Producer<Pages, Shared>,
    incoming: Consumer<Pages, Shared>,
}

impl Lanes {
    /// Makes both rings. The memory is for the peer to [`attach`](Lanes::attach): first the ring it reads
    /// from.
    pub(super) fn create() -> io::Result<(Lanes, [Mapping; 2])> {
        let size = Ring::<Pages, Shared>::size(CAPACITY) as u64;
        let memory = [
            Mapping::unreserved(LABEL, size).map_err(io::Error::other)?,
            Mapping::unreserved(LABEL, size).map_err(io::Error::other)?,
        ];
        let pair = pair(MAKER);
        let [out, back] = memory
            .each_ref()
            .map(|memory| Ring::create(memory.pages(), Arc::clone(&pair), Flavor::Spsc, CAPACITY));
        Ok((Lanes::of(pair, out, back)?, memory))
    }

    /// Takes the other ends of the rings that a peer has made.
    pub(super) fn attach(memory: [Mapping; 2]) -> io::Result<Lanes> {
        let pair = pair(TAKER);
        let [back, out] =
            memory.map(|memory| Ring::attach(memory.pages(), Arc::clone(&pair), Kind::Spsc));
        Lanes::of(pair, out, back)
    }

    fn of(
        pair: Shared,
        out: Result<Ring<Pages, Shared>, OpenError>,
        back: Result<Ring<Pages, Shared>, OpenError>,
    ) -> io::Result<Lanes> {
        let (out, back) = (
            out.map_err(io::Error::other)?,
            back.map_err(io::Error::other)?,
        );
        for ring in [&out, &back] {
            if !CAPACITIES.contains(&ring.capacity()) {
                return Err(io::Error::from(io::ErrorKind::InvalidData));
            }
        }
        Ok(Lanes {
            outgoing: out.producer(ENVIRONMENT).map_err(io::Error::other)?,
            incoming: back.consumer(ENVIRONMENT).map_err(io::Error::other)?,
            pair,
        })
    }

    /// Whether the peer's loop has to be woken for what was done since the last call.
    pub(super) fn rung(&self) -> bool {
        self.pair.rung.load(Ordering::Relaxed) && self.pair.rung.swap(false, Ordering::Relaxed)
    }

    /// Writes as much of the slices, one behind the other from `skip` on, as there is room for;
    /// answers how much.
    pub(super) fn write(
        &mut self,
        content: Content,
        slices: &[&[u8]],
        mut skip: usize,
    ) -> Result<usize, Corrupt> {
        let mut left: usize = slices.iter().map(|slice| slice.len()).sum::<usize>() - skip;
        let mut slices = slices.iter();
        let mut slice: &[u8] = &[];
        let mut written = 0;
        while left > 0 {
            let stretch = left.min(STRETCH);
            let mut slot = match self.outgoing.reserve(HEAD + stretch) {
                Ok(slot) => slot,
                Err(error) => return full(error).map(|()| written),
            };
            slot.write(0, &content.word().to_le_bytes());
            let mut at = 0;
            while at < stretch {
                if slice.is_empty() {
                    let Some(next) = slices.next() else { break };
                    let from = skip.min(next.len());
                    skip -= from;
                    slice = next.get(from..).unwrap_or_default();
                    continue;
                }
                let (now, later) = slice.split_at(slice.len().min(stretch - at));
                slot.write(HEAD + at, now);
                at += now.len();
                slice = later;
            }
            slot.commit();
            written += stretch;
            left -= stretch;
        }
        Ok(written)
    }

    /// Marks where the handle with this number belongs. Answers whether there was room.
    pub(super) fn mark(&mut self, number: u64) -> Result<bool, Corrupt> {
        match self.outgoing.reserve(HEAD) {
            Ok(mut slot) => {
                slot.write(0, &Content::Handle(number).word().to_le_bytes());
                slot.commit();
                Ok(true)
            }
            Err(error) => full(error).map(|()| false),
        }
    }

    /// Has the peer wake us when there is room. Look once more after the call.
    pub(super) fn wait_for_room(&self) {
        let party = self.outgoing.slot();
        self.outgoing.object().arm(Doorbell::Space, party);
    }

    /// Has the peer wake us when there is something to read; answers whether there is already.
    pub(super) fn wait_for_items(&mut self) -> Result<bool, ReadError> {
        let party = self.incoming.slot();
        self.incoming.object().arm(Doorbell::Items, party);
        let more = self.incoming.peek()?.is_some();
        if more {
            self.incoming.object().disarm(Doorbell::Items, party);
        }
        Ok(more)
    }

    /// Whether there is something to read.
    pub(super) fn readable(&mut self) -> bool {
        !matches!(self.incoming.peek(), Ok(None))
    }

    /// What the next record holds; `take` appends it to a vector and goes on to the next.
    pub(super) fn next(&mut self) -> Result<Option<(Content, usize)>, ReadError> {
        let Some(record) = self.incoming.peek()? else {
            return Ok(None);
        };
        let mut word = [0; HEAD];
        let content = (record.len() >= HEAD).then(|| {
            record.copy(0, &mut word);
            Content::from_word(u64::from_le_bytes(word))
        });
        match content.flatten() {
            Some(content) => Ok(Some((content, record.len() - HEAD))),
            None => Err(ReadError::Corrupt(Corrupt {
                what: "a record of no known content",
            })),
        }
    }

    /// Appends the stretch in the next record to `out` and gives its room back.
    pub(super) fn take(&mut self, out: &mut Vec<u8>) -> Result<(), ReadError> {
        let Some(record) = self.incoming.peek()? else {
            return Ok(());
        };
        // Its length is read once more, and a hostile peer may have written another meanwhile.
        if record.len() < HEAD {
            return Err(ReadError::Corrupt(Corrupt {
                what: "a record that has become shorter",
            }));
        }
        record.append_to(HEAD, out);
        record.release();
        Ok(())
    }
}

impl std::fmt::Debug for Lanes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lanes").finish_non_exhaustive()
    }
}

fn pair(identity: u64) -> Shared {
    Arc::new(Pair {
        identity,
        rung: AtomicBool::new(false),
    })
}

/// A full ring is none of the errors.
fn full(error: WriteError) -> Result<(), Corrupt> {
    match error {
        WriteError::Full => Ok(()),
        WriteError::Corrupt(corrupt) => Err(corrupt),
        // Stretches are shorter than that, and nobody destroys these rings: a peer's doing.
        _ => Err(Corrupt {
            what: "a ring that its owner has not made so",
        }),
    }
}
