//! The ring beside the least that can do the same, between two threads on two cores:
//! `cargo bench --package rsipc-ring --bench native`, and a part of what is to be measured: `small`,
//! `large`, `trip`. Interleaved rounds, medians; the second column is the ratio to the first row,
//! formed within a round.
//!
//! What the first row is:
//!
//! - 64 B: a loop by hand that does what records of any size take, and nothing else. It writes a
//!   length and 64 bytes in one piece, skips the end of the memory where they do not fit, publishes
//!   as many together as the ring does, and its receiver copies every record out and looks into it.
//!   It checks nothing it reads and rings for nobody. `bare, fixed slots` has no lengths either.
//! - 64 KiB: one thread that copies as much, from one half of as much memory as the ring has into
//!   the other: each byte is read from memory once and written once, as in the ring. Both ends of the
//!   ring copy, though, and two virtual cores may be one: `bare, two threads` has as many copies as
//!   the ring and nothing else, `in place` has the one copy and a reader that reads. `in cache`
//!   copies within 128 KiB.
//! - round trip: two words on two cache lines.

#![cfg(not(rsipc_loom))]
#![expect(clippy::print_stdout, reason = "a benchmark is a program")]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::hint::{black_box, spin_loop};
use std::ptr::NonNull;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rsipc_ring::sync::{AtomicU32, AtomicU64, Ordering};
use rsipc_ring::table::NO_ENVIRONMENT;
use rsipc_ring::{Consumer, Flavor, Memory, Producer, Record, Region, Ring, System};

const ROUNDS: usize = 7;

/// Records of 64 bytes in a round, and between two publications.
const SMALL: usize = BATCH * 50_000;
const BATCH: usize = 64;
const SMALL_RING: usize = 256 * 1024;

/// Records of 64 KiB in a round.
const LARGE: usize = 5_000;
const LARGE_RING: usize = 32 * 1024 * 1024;
const BLOCK: usize = 64 * 1024;

/// Round trips in a round.
const TRIPS: u64 = 50_000;

#[derive(Clone)]
struct Heap {
    block: Arc<Block>,
}

struct Block {
    base: NonNull<u8>,
    layout: Layout,
}

// SAFETY: plain memory, freed once.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Heap {
    fn new(size: usize) -> Heap {
        let layout = Layout::from_size_align(size, 4096).expect("a layout");
        // SAFETY: the layout is not empty.
        let base = NonNull::new(unsafe { alloc_zeroed(layout) }).expect("memory");
        // SAFETY: the block has these bytes. Every page is touched before anything is measured.
        unsafe { base.write_bytes(0, size) };
        Heap {
            block: Arc::new(Block { base, layout }),
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.base.as_ptr(), self.layout) }
    }
}

// SAFETY: the block lives as long as any clone and does not move.
unsafe impl Memory for Heap {
    fn base(&self) -> NonNull<u8> {
        self.block.base
    }

    fn size(&self) -> usize {
        self.block.layout.size()
    }
}

/// One process that lives for ever and never sleeps.
struct Awake;

impl System for Awake {
    fn identity(&self) -> u64 {
        1
    }

    fn world(&self) -> u64 {
        1
    }

    fn alive(&self, _identity: u64) -> bool {
        true
    }

    fn wait(&self, _word: &AtomicU32, _expected: u32, _timeout: Option<Duration>) {}

    fn wake(&self, _word: &AtomicU32, _count: u32) {}

    fn ring(&self, _identity: u64, _environment: u32) {}

    fn now_ms(&self) -> u64 {
        0
    }
}

type Ends = (Producer<Heap, Awake>, Consumer<Heap, Awake>);

fn ends(flavor: Flavor, capacity: usize) -> Ends {
    let memory = Heap::new(Ring::<Heap, Awake>::size(capacity));
    let ring = Ring::create(memory, Awake, flavor, capacity).expect("a ring");
    let consumer = ring.consumer(NO_ENVIRONMENT).expect("a consumer");
    let producer = ring.producer(NO_ENVIRONMENT).expect("a producer");
    (producer, consumer)
}

#[cfg(target_os = "linux")]
fn pin(core: usize) {
    // SAFETY: all zero is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is ours.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: the set has the size that is given.
    unsafe { libc::sched_setaffinity(0, size_of_val(&set), &set) };
}

#[cfg(not(target_os = "linux"))]
fn pin(_core: usize) {}

/// Runs one function on each core; the time until both are done.
fn race(first: impl FnOnce() + Send, second: impl FnOnce() + Send) -> Duration {
    let begin = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            pin(0);
            first();
        });
        scope.spawn(|| {
            pin(1);
            second();
        });
    });
    begin.elapsed()
}

fn ring_small(flavor: Flavor) -> f64 {
    let (mut producer, mut consumer) = ends(flavor, SMALL_RING);
    let took = race(
        move || {
            // The number apart from the rest: a record put together in private memory first would
            // be read before its parts have left the processor's store buffer, which waits for
            // every store before, those into the ring included.
            let rest = black_box([7u8; 56]);
            let mut number = 0u64;
            while number < SMALL as u64 {
                let mut staged = 0;
                while staged < BATCH {
                    let Ok(mut slot) = producer.reserve(64) else {
                        break;
                    };
                    slot.write(0, &number.to_le_bytes());
                    slot.write(8, &rest);
                    slot.stage();
                    number += 1;
                    staged += 1;
                }
                producer.publish();
                if staged < BATCH {
                    spin_loop();
                }
            }
        },
        move || {
            let mut record = [0u8; 64];
            let mut number = 0u64;
            while number < SMALL as u64 {
                let count = consumer
                    .read_batch(BATCH, |found| {
                        found.copy(0, &mut record);
                        assert_eq!(record[..8], number.to_le_bytes());
                        black_box(&record);
                        number += 1;
                    })
                    .expect("a sound ring");
                if count == 0 {
                    spin_loop();
                }
            }
        },
    );
    SMALL as f64 / took.as_secs_f64() / 1e6
}

/// Words of the bare loops, each on a line of its own.
const TAIL: usize = 0;
const HEAD: usize = 128;
const SLOTS: usize = 256;

/// Fixed slots, two positions, the other's position cached, no check of anything.
fn fixed_small() -> f64 {
    let memory = Heap::new(SLOTS + SMALL_RING);
    let slots = SMALL_RING / 64;
    let sender = Region::new(memory.clone()).expect("memory");
    let receiver = Region::new(memory).expect("memory");
    let took = race(
        move || {
            let (tail_word, head_word) = (sender.word(TAIL), sender.word(HEAD));
            let base = sender.pointer(SLOTS, SMALL_RING);
            let rest = black_box([7u8; 56]);
            let (mut tail, mut head) = (0, 0);
            while tail < SMALL {
                let end = tail + BATCH;
                while end - head > slots {
                    head = head_word.load(Ordering::Acquire) as usize;
                    spin_loop();
                }
                while tail < end {
                    // SAFETY: the slot is in the memory.
                    let slot = unsafe { base.add(tail % slots * 64) };
                    // SAFETY: as above, and the receiver is done with it.
                    unsafe { slot.cast::<[u8; 8]>().write((tail as u64).to_le_bytes()) };
                    // SAFETY: the slot has 64 bytes.
                    let after = unsafe { slot.add(8) };
                    // SAFETY: as for the first bytes.
                    unsafe { after.cast::<[u8; 56]>().write(rest) };
                    tail += 1;
                }
                tail_word.store(tail as u64, Ordering::Release);
            }
        },
        move || {
            let (tail_word, head_word) = (receiver.word(TAIL), receiver.word(HEAD));
            let base = receiver.pointer(SLOTS, SMALL_RING);
            let (mut tail, mut head) = (0, 0);
            while head < SMALL {
                if head == tail {
                    tail = tail_word.load(Ordering::Acquire) as usize;
                    spin_loop();
                    continue;
                }
                let end = tail.min(head + BATCH);
                while head < end {
                    // SAFETY: the slot is in the memory.
                    let slot = unsafe { base.add(head % slots * 64) };
                    // SAFETY: as above, and the sender has filled it.
                    let record = unsafe { slot.cast::<[u8; 64]>().read() };
                    assert_eq!(record[..8], (head as u64).to_le_bytes());
                    black_box(&record);
                    head += 1;
                }
                head_word.store(head as u64, Ordering::Release);
            }
        },
    );
    SMALL as f64 / took.as_secs_f64() / 1e6
}

/// What a ring of records of any size comes down to when nobody is careful: a length and the bytes,
/// all in one piece, a mark where the rest of the ring is skipped, two positions, the other's
/// position cached. No check of anything, nobody who sleeps.
fn bare_small() -> f64 {
    /// A length no record has.
    const SKIP: u64 = u64::MAX;
    let memory = Heap::new(SLOTS + SMALL_RING);
    let sender = Region::new(memory.clone()).expect("memory");
    let receiver = Region::new(memory).expect("memory");
    let took = race(
        move || {
            let (tail_word, head_word) = (sender.word(TAIL), sender.word(HEAD));
            let base = sender.pointer(SLOTS, SMALL_RING);
            let rest = black_box([7u8; 56]);
            let (mut tail, mut head, mut number) = (0, 0, 0);
            while number < SMALL as u64 {
                for _ in 0..BATCH {
                    let len = black_box(64usize);
                    let size = 8 + len.next_multiple_of(8);
                    let room = SMALL_RING - tail % SMALL_RING;
                    let skipped = if room < size { room } else { 0 };
                    while tail + skipped + size - head > SMALL_RING {
                        // What is staged goes out first: the receiver may be waiting for it.
                        tail_word.store(tail as u64, Ordering::Release);
                        head = head_word.load(Ordering::Acquire) as usize;
                        spin_loop();
                    }
                    // SAFETY: in the memory, and the receiver is done with it.
                    unsafe {
                        if skipped > 0 {
                            base.add(tail % SMALL_RING).cast::<u64>().write(SKIP);
                            tail += skipped;
                        }
                        let record = base.add(tail % SMALL_RING);
                        record.cast::<u64>().write(len as u64);
                        record.add(8).cast::<u64>().write_unaligned(number);
                        record.add(16).cast::<[u8; 56]>().write(rest);
                    }
                    tail += size;
                    number += 1;
                }
                tail_word.store(tail as u64, Ordering::Release);
            }
        },
        move || {
            let (tail_word, head_word) = (receiver.word(TAIL), receiver.word(HEAD));
            let base = receiver.pointer(SLOTS, SMALL_RING);
            let mut record = [0u8; 64];
            let (mut tail, mut head, mut number) = (0, 0, 0);
            while number < SMALL as u64 {
                if head == tail {
                    tail = tail_word.load(Ordering::Acquire) as usize;
                    spin_loop();
                    continue;
                }
                let mut count = 0;
                while head != tail && count < BATCH {
                    // SAFETY: in the memory, and the sender has filled it.
                    let len = unsafe { base.add(head % SMALL_RING).cast::<u64>().read() };
                    if len == SKIP {
                        head += SMALL_RING - head % SMALL_RING;
                        continue;
                    }
                    let len = (len as usize).min(record.len());
                    // SAFETY: as above, and not longer than the target.
                    unsafe {
                        base.add(head % SMALL_RING + 8)
                            .copy_to_nonoverlapping(NonNull::from(&mut record).cast(), len);
                    }
                    assert_eq!(record[..8], number.to_le_bytes());
                    black_box(&record);
                    head += 8 + len.next_multiple_of(8);
                    number += 1;
                    count += 1;
                }
                head_word.store(head as u64, Ordering::Release);
            }
        },
    );
    SMALL as f64 / took.as_secs_f64() / 1e6
}

fn ring_large(flavor: Flavor) -> f64 {
    let mut block = vec![0u8; BLOCK];
    large(flavor, move |record| {
        record.read_into(&mut block);
        black_box(&block);
    })
}

/// The same, but the receiver reads the bytes where they lie.
fn ring_in_place(flavor: Flavor) -> f64 {
    large(flavor, |record| {
        black_box(sum(record.pointer()));
    })
}

fn large(flavor: Flavor, mut take: impl FnMut(&Record<'_, Heap, Awake>) + Send) -> f64 {
    let (mut producer, mut consumer) = ends(flavor, LARGE_RING);
    let took = race(
        move || {
            let block = vec![7u8; BLOCK];
            for _ in 0..LARGE {
                while producer.try_write(&block).is_err() {
                    spin_loop();
                }
            }
        },
        move || {
            let mut count = 0;
            while count < LARGE {
                if let Some(record) = consumer.peek().expect("a sound ring") {
                    take(&record);
                    record.release();
                    count += 1;
                } else {
                    spin_loop();
                }
            }
        },
    );
    (LARGE * BLOCK) as f64 / took.as_secs_f64() / 1e9
}

/// Reads all of a block.
fn sum(block: NonNull<u8>) -> u64 {
    let lines = block.cast::<[u64; 8]>();
    (0..BLOCK / 64).fold(0, |total, index| {
        // SAFETY: the block has these bytes, at a multiple of 8, and nobody writes them meanwhile.
        let line = unsafe { lines.add(index).read() };
        line.iter()
            .fold(total, |total, word| total.wrapping_add(*word))
    })
}

/// Two threads that copy as the ends of the ring do, with nothing but two positions between them.
fn bare_large() -> f64 {
    let memory = Heap::new(SLOTS + LARGE_RING);
    let blocks = LARGE_RING / BLOCK;
    let sender = Region::new(memory.clone()).expect("memory");
    let receiver = Region::new(memory).expect("memory");
    let took = race(
        move || {
            let (tail_word, head_word) = (sender.word(TAIL), sender.word(HEAD));
            let base = sender.pointer(SLOTS, LARGE_RING);
            let block = vec![7u8; BLOCK];
            for tail in 0..LARGE {
                while tail - head_word.load(Ordering::Acquire) as usize >= blocks {
                    spin_loop();
                }
                let block = NonNull::from(black_box(&block[..])).cast();
                // SAFETY: in the memory, and the receiver is done with it.
                unsafe {
                    let slot = base.add(tail % blocks * BLOCK);
                    slot.copy_from_nonoverlapping(block, BLOCK);
                }
                tail_word.store(tail as u64 + 1, Ordering::Release);
            }
        },
        move || {
            let (tail_word, head_word) = (receiver.word(TAIL), receiver.word(HEAD));
            let base = receiver.pointer(SLOTS, LARGE_RING);
            let mut block = vec![0u8; BLOCK];
            for head in 0..LARGE {
                while tail_word.load(Ordering::Acquire) as usize == head {
                    spin_loop();
                }
                // SAFETY: in the memory, and the sender has filled it.
                unsafe {
                    let slot = base.add(head % blocks * BLOCK);
                    slot.copy_to_nonoverlapping(NonNull::from(&mut block[..]).cast(), BLOCK);
                }
                black_box(&block);
                head_word.store(head as u64 + 1, Ordering::Release);
            }
        },
    );
    (LARGE * BLOCK) as f64 / took.as_secs_f64() / 1e9
}

/// One thread copies blocks from one half of this much memory into the other.
fn copies(footprint: usize) -> f64 {
    let mut memory = vec![7u8; footprint];
    let took = race(
        || {
            let (source, target) = memory.split_at_mut(footprint / 2);
            for number in 0..LARGE {
                let at = number * BLOCK % source.len();
                target[at..at + BLOCK].copy_from_slice(black_box(&source[at..at + BLOCK]));
                black_box(&mut *target);
            }
        },
        || {},
    );
    (LARGE * BLOCK) as f64 / took.as_secs_f64() / 1e9
}

/// Nanoseconds of a round trip of 8 bytes through two rings.
fn ring_trip(flavor: Flavor) -> f64 {
    let (mut asks, mut hears) = ends(flavor, 4096);
    let (mut answers, mut gets) = ends(flavor, 4096);
    fn take(consumer: &mut Consumer<Heap, Awake>) -> u64 {
        loop {
            if let Some(record) = consumer.peek().expect("a sound ring") {
                let mut word = [0; 8];
                record.copy(0, &mut word);
                record.release();
                return u64::from_le_bytes(word);
            }
            spin_loop();
        }
    }
    let took = race(
        move || {
            for number in 1..=TRIPS {
                asks.try_write(&number.to_le_bytes()).expect("room");
                assert_eq!(take(&mut gets), number);
            }
        },
        move || {
            for number in 1..=TRIPS {
                assert_eq!(take(&mut hears), number);
                answers.try_write(&number.to_le_bytes()).expect("room");
            }
        },
    );
    took.as_nanos() as f64 / TRIPS as f64
}

/// The same through two words on two lines.
fn bare_trip() -> f64 {
    let memory = Heap::new(4096);
    let first = Region::new(memory.clone()).expect("memory");
    let second = Region::new(memory).expect("memory");
    fn turn(word: &AtomicU64, number: u64) {
        while word.load(Ordering::Acquire) != number {
            spin_loop();
        }
    }
    let took = race(
        move || {
            for number in 1..=TRIPS {
                first.word(TAIL).store(number, Ordering::Release);
                turn(first.word(HEAD), number);
            }
        },
        move || {
            for number in 1..=TRIPS {
                turn(second.word(TAIL), number);
                second.word(HEAD).store(number, Ordering::Release);
            }
        },
    );
    took.as_nanos() as f64 / TRIPS as f64
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// What is compared, by name.
type Row = (String, Box<dyn Fn() -> f64>);

fn row(name: &str, measure: impl Fn() -> f64 + 'static) -> Row {
    (name.to_owned(), Box::new(measure))
}

/// The same with a ring of each flavor.
fn rows(mut rows: Vec<Row>, ring: fn(Flavor) -> f64) -> Vec<Row> {
    let waiting = Flavor::Broadcast(rsipc_ring::Policy::Wait);
    for flavor in [Flavor::Spsc, Flavor::Mpsc, waiting] {
        rows.push(row(&format!("{flavor:?}"), move || ring(flavor)));
    }
    rows
}

/// Runs what is compared in turns, the measure of the others first.
fn compare(name: &str, unit: &str, rows: &[Row]) {
    let mut found = vec![Vec::new(); rows.len()];
    let mut ratios = vec![Vec::new(); rows.len()];
    for round in 0..ROUNDS {
        for (index, (_, measure)) in rows.iter().enumerate() {
            found[index].push(measure());
            ratios[index].push(found[index][round] / found[0][round]);
        }
    }
    for (((row, _), found), ratios) in rows.iter().zip(found).zip(ratios) {
        let (value, ratio) = (median(found), median(ratios));
        println!("{name:<20} {row:<18} {value:>8.1} {unit}  {ratio:.2}x");
    }
}

fn main() {
    let part = std::env::args().skip(1).find(|part| !part.starts_with('-'));
    let wanted = |name: &str| part.as_deref().is_none_or(|part| name.contains(part));
    if wanted("small") {
        let bare = vec![
            row("bare", bare_small),
            row("bare, fixed slots", fixed_small),
        ];
        compare("64 B, batches of 64", "M/s", &rows(bare, ring_small));
    }
    if wanted("large") {
        let bare = vec![
            row("memcpy", || copies(LARGE_RING)),
            row("memcpy, in cache", || copies(2 * BLOCK)),
            row("bare, two threads", bare_large),
            row("Spsc, in place", || ring_in_place(Flavor::Spsc)),
        ];
        compare("64 KiB, copied out", "GB/s", &rows(bare, ring_large));
    }
    if wanted("trip") {
        let bare = vec![row("bare", bare_trip)];
        compare("8 B round trip", "ns", &rows(bare, ring_trip));
    }
}
