//! The orderings, under the model checker: `ci/loom.sh`. Every interleaving within the bound on
//! preemptions is tried, and every value a load may give. A thread that sleeps and is not woken is
//! a deadlock, which fails the model.
//!
//! Of two accesses to a word loom only compares each with the last one before it, so a thread that
//! loads and then stores hides its store from an earlier load of another. So here the main thread,
//! which runs first, writes, and others read; and ends are taken before the threads begin.
//!
//! Two fences cannot be missed here, because the fence of a ring stands in for them: the one before
//! the cursors of a broadcast ring are read, and the one before a place of a cell is written again.

#![cfg(rsipc_loom)]

use std::mem::forget;
use std::sync::Arc;
use std::time::Duration;

use loom::sync::{Condvar, Mutex};
use loom::thread;
use rsipc_ring::layout::{BODY, COUNTER, DOORBELL, DOORBELLS, Kind, LATCH};
use rsipc_ring::memory::ModelMemory;
use rsipc_ring::sync::{AtomicU32, AtomicU64, Ordering};
use rsipc_ring::table::NO_ENVIRONMENT;
use rsipc_ring::{
    Cell, Doorbell, Flavor, Object, Party, Patience, Policy, ReadError, Ring, System, WriteError,
};

/// Processes are numbers from 1 on; a bit says that one is dead.
struct World {
    dead: AtomicU64,
    sleepers: Mutex<()>,
    woken: Condvar,
}

#[derive(Clone)]
struct Process {
    world: Arc<World>,
    identity: u64,
}

impl Process {
    fn first() -> Process {
        Process {
            world: Arc::new(World {
                dead: AtomicU64::new(0),
                sleepers: Mutex::new(()),
                woken: Condvar::new(),
            }),
            identity: 1,
        }
    }

    fn other(&self, identity: u64) -> Process {
        Process {
            world: Arc::clone(&self.world),
            identity,
        }
    }

    /// The last thing a process does. Whoever sees the death sees what was done before: the kernel
    /// says so of a process that is gone.
    fn die(&self) {
        self.world
            .dead
            .fetch_or(1 << self.identity, Ordering::AcqRel);
    }
}

impl System for Process {
    fn identity(&self) -> u64 {
        self.identity
    }

    fn world(&self) -> u64 {
        1
    }

    fn alive(&self, identity: u64) -> bool {
        // Not a load, which might give an old answer again and again.
        self.world.dead.fetch_or(0, Ordering::AcqRel) & 1 << identity == 0
    }

    fn wait(&self, word: &AtomicU32, expected: u32, _timeout: Option<Duration>) {
        let guard = self.world.sleepers.lock().unwrap();
        if word.load(Ordering::SeqCst) == expected {
            drop(self.world.woken.wait(guard).unwrap());
        }
    }

    fn wake(&self, _word: &AtomicU32, _count: u32) {
        drop(self.world.sleepers.lock().unwrap());
        self.world.woken.notify_all();
    }

    fn ring(&self, _identity: u64, _environment: u32) {}

    fn now_ms(&self) -> u64 {
        0
    }
}

type Plain = Object<ModelMemory, Process>;
type Rings = Ring<ModelMemory, Process>;

fn memory(size: usize) -> ModelMemory {
    let halves = [LATCH + 8, DOORBELLS, DOORBELLS + DOORBELL];
    ModelMemory::new(size, &halves, BODY + 256)
}

fn plain(memory: &ModelMemory, process: &Process) -> Arc<Plain> {
    let object = Object::attach(memory.clone(), process.clone(), Kind::Event, |_, _| {});
    Arc::new(object.unwrap())
}

fn new_plain(process: &Process) -> (ModelMemory, Arc<Plain>) {
    let memory = memory(BODY + 64);
    let object = Object::create(
        memory.clone(),
        process.clone(),
        Kind::Event,
        64,
        [0; 3],
        |object, party| {
            let held = object.own(party, 0).load(Ordering::Relaxed);
            object
                .region()
                .word(COUNTER)
                .fetch_add(held, Ordering::Relaxed);
            object.own(party, 0).store(0, Ordering::Relaxed);
        },
        |_| {},
    );
    (memory, Arc::new(object.unwrap()))
}

fn new_ring(process: &Process, flavor: Flavor, capacity: usize) -> (ModelMemory, Rings) {
    let memory = memory(Rings::size(capacity));
    let ring = Ring::create(memory.clone(), process.clone(), flavor, capacity).unwrap();
    (memory, ring)
}

fn attach(memory: &ModelMemory, process: Process, flavor: Flavor) -> Rings {
    Ring::attach(memory.clone(), process, flavor.kind()).unwrap()
}

/// A record that shows what is torn: words of one number.
fn record(number: u64, words: usize) -> Vec<u8> {
    number.to_le_bytes().repeat(words)
}

#[test]
fn the_latch_lets_in_one_at_a_time() {
    loom::model(|| {
        let one = Process::first();
        let (memory, object) = new_plain(&one);
        let add = |object: &Plain| {
            let _guard = object.latch();
            let word = object.region().word(COUNTER);
            let value = word.load(Ordering::Relaxed);
            word.store(value + 1, Ordering::Relaxed);
        };
        let other = plain(&memory, &one.other(2));
        let adds = thread::spawn(move || {
            add(&other);
            add(&other);
        });
        add(&object);
        add(&object);
        adds.join().unwrap();
        let _guard = object.latch();
        assert_eq!(object.region().word(COUNTER).load(Ordering::Relaxed), 4);
    });
}

#[test]
fn the_latch_of_the_dead_goes_to_exactly_one_as_recovered() {
    loom::model(|| {
        let one = Process::first();
        let (memory, object) = new_plain(&one);
        let dying = one.other(2);
        let held = plain(&memory, &dying);
        let guard = held.latch();
        held.region().word(COUNTER).store(1, Ordering::Relaxed);
        forget(guard);
        let other = plain(&memory, &one.other(3));
        let takes = thread::spawn(move || {
            let guard = other.latch();
            let counter = other.region().word(COUNTER).load(Ordering::Relaxed);
            assert_eq!(counter, 1);
            guard.recovered()
        });
        dying.die();
        let mine = object.latch().recovered();
        let theirs = takes.join().unwrap();
        let later = object.latch().recovered();
        let count = [mine, theirs, later].iter().filter(|&&yes| yes).count();
        assert_eq!(count, 1);
        assert_eq!(object.region().word(COUNTER).load(Ordering::Relaxed), 1);
    });
}

#[test]
fn no_ring_is_missed() {
    loom::model(|| {
        let one = Process::first();
        let (memory, object) = new_plain(&one);
        let other = plain(&memory, &one.other(2));
        let wakes = thread::spawn(move || {
            for value in 1..=2 {
                other.region().word(BODY).store(value, Ordering::Relaxed);
                other.ring(Doorbell::Items);
            }
        });
        for value in 1..=2 {
            object.wait(Doorbell::Items, 0, Patience::default(), |_| {
                (object.region().word(BODY).load(Ordering::Relaxed) >= value).then_some(())
            });
        }
        wakes.join().unwrap();
    });
}

#[test]
fn two_sleepers_are_both_woken() {
    loom::model(|| {
        let one = Process::first();
        let (memory, object) = new_plain(&one);
        let sleep = |object: &Plain, party| {
            object.wait(Doorbell::Items, party, Patience::default(), |_| {
                (object.region().word(BODY).load(Ordering::Relaxed) == 1).then_some(())
            });
        };
        let other = plain(&memory, &one.other(2));
        // Threads of one party share its place in the set.
        let sleeps = thread::spawn(move || sleep(&other, 1));
        let third = plain(&memory, &one.other(2));
        let wakes = thread::spawn(move || {
            third.region().word(BODY).store(1, Ordering::Relaxed);
            third.ring(Doorbell::Items);
        });
        sleep(&object, 1);
        sleeps.join().unwrap();
        wakes.join().unwrap();
    });
}

#[test]
fn what_the_dead_held_is_given_back_once_and_a_newcomer_is_left_alone() {
    loom::model(|| {
        let one = Process::first();
        let (memory, object) = new_plain(&one);
        let dying = one.other(2);
        let held = plain(&memory, &dying);
        let party = Party::claim(held, NO_ENVIRONMENT, 1, true, |_, _| {}).unwrap();
        party.own(0).store(5, Ordering::Relaxed);
        forget(party);
        dying.die();
        // The clean-up is the attacher's own function, so both have to have it.
        let second = one.other(3);
        let again = memory.clone();
        let sweeps = thread::spawn(move || {
            let object: Plain = Object::attach(again, second, Kind::Event, |object, party| {
                let held = object.own(party, 0).load(Ordering::Relaxed);
                object
                    .region()
                    .word(COUNTER)
                    .fetch_add(held, Ordering::Relaxed);
                object.own(party, 0).store(0, Ordering::Relaxed);
            })
            .unwrap();
            object.sweep();
        });
        let party = Party::claim(
            Arc::clone(&object),
            NO_ENVIRONMENT,
            1,
            true,
            |object, party| {
                object.own(party, 0).store(7, Ordering::Relaxed);
            },
        )
        .unwrap();
        sweeps.join().unwrap();
        assert_eq!(party.own(0).load(Ordering::Relaxed), 7);
        assert_eq!(object.region().word(COUNTER).load(Ordering::Relaxed), 5);
        assert_eq!(object.occupants().count(), 1);
    });
}

#[test]
fn a_role_for_one_has_one_holder() {
    loom::model(|| {
        let one = Process::first();
        let (memory, object) = new_plain(&one);
        let other = plain(&memory, &one.other(2));
        let claims = thread::spawn(move || {
            let party = Party::claim(other, NO_ENVIRONMENT, 1, true, |_, _| {});
            party.map(forget).is_ok()
        });
        let mine = Party::claim(object, NO_ENVIRONMENT, 1, true, |_, _| {});
        let mine = mine.map(forget).is_ok();
        assert!(mine != claims.join().unwrap());
    });
}

/// One producer sends, one consumer receives, both asleep when they have to wait.
fn exchange(flavor: Flavor, lengths: &'static [usize]) {
    loom::model(move || {
        let one = Process::first();
        let (memory, ring) = new_ring(&one, flavor, 64);
        let theirs = attach(&memory, one.other(2), flavor);
        let mut consumer = theirs.consumer(NO_ENVIRONMENT).unwrap();
        let mut producer = ring.producer(NO_ENVIRONMENT).unwrap();
        let receives = thread::spawn(move || {
            let mut bytes = Vec::new();
            for (number, &words) in lengths.iter().enumerate() {
                assert_eq!(consumer.wait(Patience::default()), Ok(true));
                assert_eq!(consumer.read_into(&mut bytes), Ok(true));
                assert_eq!(bytes, record(number as u64, words));
            }
            assert_eq!(consumer.read_into(&mut bytes), Ok(false));
        });
        for (number, &words) in lengths.iter().enumerate() {
            let bytes = record(number as u64, words);
            producer.write(&bytes, Patience::default()).unwrap();
        }
        receives.join().unwrap();
    });
}

// 64 bytes hold four records of a word; the third pair of lengths wraps with padding.
#[test]
fn spsc_records_arrive_whole_and_in_order() {
    exchange(Flavor::Spsc, &[2, 1, 2]);
}

#[test]
fn mpsc_records_arrive_whole_and_in_order() {
    exchange(Flavor::Mpsc, &[2, 1, 2]);
}

#[test]
fn broadcast_records_arrive_whole_and_in_order() {
    exchange(Flavor::Broadcast(Policy::Wait), &[1, 2, 1]);
}

#[test]
fn spsc_batches_are_seen_from_the_front() {
    loom::model(|| {
        let one = Process::first();
        let (memory, ring) = new_ring(&one, Flavor::Spsc, 64);
        let theirs = attach(&memory, one.other(2), Flavor::Spsc);
        let mut consumer = theirs.consumer(NO_ENVIRONMENT).unwrap();
        let mut producer = ring.producer(NO_ENVIRONMENT).unwrap();
        let receives = thread::spawn(move || {
            let mut seen = 0;
            for _ in 0..3 {
                consumer
                    .read_batch(3, |found| {
                        let mut bytes = Vec::new();
                        found.read_into(&mut bytes);
                        assert_eq!(bytes, record(seen, 1));
                        seen += 1;
                    })
                    .unwrap();
            }
            seen
        });
        let mut sent = 0;
        for batch in [2, 3] {
            for _ in 0..batch {
                match producer.reserve(8) {
                    Ok(mut slot) => {
                        slot.write(0, &record(sent, 1));
                        slot.stage();
                        sent += 1;
                    }
                    Err(error) => assert_eq!(error, WriteError::Full),
                }
            }
            producer.publish();
        }
        assert!(receives.join().unwrap() <= sent);
    });
}

#[test]
fn a_dead_spsc_producer_is_followed_where_it_had_published() {
    loom::model(|| {
        let one = Process::first();
        let (memory, ring) = new_ring(&one, Flavor::Spsc, 64);
        let theirs = attach(&memory, one.other(2), Flavor::Spsc);
        let mut consumer = theirs.consumer(NO_ENVIRONMENT).unwrap();
        let mut producer = ring.producer(NO_ENVIRONMENT).unwrap();
        let receives = thread::spawn(move || {
            let mut bytes = Vec::new();
            for number in 1..=2 {
                assert_eq!(consumer.wait(Patience::default()), Ok(true));
                assert_eq!(consumer.read_into(&mut bytes), Ok(true));
                assert_eq!(bytes, record(number, 1));
            }
        });
        producer.try_write(&record(1, 1)).unwrap();
        let mut slot = producer.reserve(16).unwrap();
        slot.write(0, &record(9, 2));
        slot.stage();
        forget(producer);
        one.die();
        let next = attach(&memory, one.other(3), Flavor::Spsc);
        let mut producer = next.producer(NO_ENVIRONMENT).unwrap();
        producer.try_write(&record(2, 1)).unwrap();
        receives.join().unwrap();
    });
}

#[test]
fn mpsc_producers_do_not_disturb_each_other() {
    loom::model(|| {
        let one = Process::first();
        let (memory, ring) = new_ring(&one, Flavor::Mpsc, 64);
        let mut consumer = ring.consumer(NO_ENVIRONMENT).unwrap();
        let threads: Vec<_> = (2..4)
            .map(|number| {
                let mut producer = attach(&memory, one.other(number), Flavor::Mpsc)
                    .producer(NO_ENVIRONMENT)
                    .unwrap();
                thread::spawn(move || producer.try_write(&record(number, 2)).unwrap())
            })
            .collect();
        let mut bytes = Vec::new();
        let mut seen = 0;
        for _ in 0..2 {
            assert_eq!(consumer.wait(Patience::default()), Ok(true));
            assert_eq!(consumer.read_into(&mut bytes), Ok(true));
            assert_eq!(bytes.len(), 16);
            assert_eq!(bytes[..8], bytes[8..]);
            seen += u64::from(bytes[0]);
        }
        assert_eq!(seen, 5);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_dead_mpsc_reservation_is_skipped_while_others_write() {
    loom::model(|| {
        let one = Process::first();
        let (memory, ring) = new_ring(&one, Flavor::Mpsc, 64);
        let mut consumer = ring.consumer(NO_ENVIRONMENT).unwrap();
        let dying = one.other(2);
        let mut producer = attach(&memory, dying.clone(), Flavor::Mpsc)
            .producer(NO_ENVIRONMENT)
            .unwrap();
        forget(producer.reserve(8).unwrap());
        forget(producer);
        let reads = thread::spawn(move || {
            let mut bytes = Vec::new();
            assert_eq!(consumer.wait(Patience::default()), Ok(true));
            assert_eq!(consumer.read_into(&mut bytes), Ok(true));
            assert_eq!(bytes, record(7, 2));
            assert_eq!(consumer.read_into(&mut bytes), Ok(false));
        });
        dying.die();
        // The newcomer may get the slot of the dead, and its reservation must not.
        let mut producer = attach(&memory, dying.other(3), Flavor::Mpsc)
            .producer(NO_ENVIRONMENT)
            .unwrap();
        producer.try_write(&record(7, 2)).unwrap();
        reads.join().unwrap();
    });
}

#[test]
fn broadcast_does_not_write_over_what_a_newcomer_reads() {
    loom::model(|| {
        let one = Process::first();
        let flavor = Flavor::Broadcast(Policy::Wait);
        let (memory, ring) = new_ring(&one, flavor, 64);
        let mut producer = ring.producer(NO_ENVIRONMENT).unwrap();
        let theirs = attach(&memory, one.other(2), flavor);
        let reads = thread::spawn(move || {
            let mut consumer = theirs.consumer(NO_ENVIRONMENT).unwrap();
            let mut bytes = Vec::new();
            let mut last = None;
            for _ in 0..2 {
                if consumer.read_into(&mut bytes).unwrap() {
                    assert_eq!(bytes.len(), 8);
                    let number = bytes[0];
                    assert!(last.is_none_or(|last| number == last + 1));
                    last = Some(number);
                }
            }
        });
        let mut number = 0;
        for _ in 0..4 {
            if producer.try_write(&record(number, 1)).is_ok() {
                number += 1;
            }
        }
        reads.join().unwrap();
    });
}

#[test]
fn an_overtaken_broadcast_consumer_reads_whole_records_and_counts_the_rest() {
    loom::model(|| {
        let one = Process::first();
        let flavor = Flavor::Broadcast(Policy::DropOldest);
        let (memory, ring) = new_ring(&one, flavor, 64);
        let theirs = attach(&memory, one.other(2), flavor);
        let mut consumer = theirs.consumer(NO_ENVIRONMENT).unwrap();
        let mut producer = ring.producer(NO_ENVIRONMENT).unwrap();
        let mut bytes = Vec::new();
        let mut next = 0;
        let mut read = move || {
            let lost = consumer.lost();
            if !consumer.read_into(&mut bytes).unwrap() {
                return None;
            }
            assert_eq!(bytes.len(), 16);
            assert_eq!(bytes[..8], bytes[8..], "a torn record");
            let number = u64::from(bytes[0]);
            assert_eq!(number, next + consumer.lost() - lost);
            next = number + 1;
            Some(next)
        };
        let reads = thread::spawn(move || {
            read();
            read();
            read
        });
        for number in 0..4 {
            producer.try_write(&record(number, 2)).unwrap();
        }
        let mut read = reads.join().unwrap();
        producer.try_write(&record(4, 2)).unwrap();
        let mut last = None;
        while let Some(next) = read() {
            last = Some(next);
        }
        assert_eq!(last, Some(5));
    });
}

#[test]
fn a_slow_broadcast_consumer_is_disconnected_or_reads_on() {
    loom::model(|| {
        let one = Process::first();
        let flavor = Flavor::Broadcast(Policy::Disconnect);
        let (memory, ring) = new_ring(&one, flavor, 64);
        let theirs = attach(&memory, one.other(2), flavor);
        let mut consumer = theirs.consumer(NO_ENVIRONMENT).unwrap();
        let mut producer = ring.producer(NO_ENVIRONMENT).unwrap();
        let reads = thread::spawn(move || {
            let mut bytes = Vec::new();
            let mut next = 0;
            for _ in 0..2 {
                match consumer.read_into(&mut bytes) {
                    Ok(true) => {
                        assert_eq!(bytes, record(next, 2));
                        next += 1;
                    }
                    Ok(false) => {}
                    Err(error) => assert_eq!(error, ReadError::Disconnected),
                }
            }
        });
        for number in 0..3 {
            producer.try_write(&record(number, 2)).unwrap();
        }
        reads.join().unwrap();
    });
}

#[test]
fn a_cell_is_never_torn() {
    loom::model(|| {
        let one = Process::first();
        let memory = memory(Cell::<ModelMemory, Process>::size(16));
        let cell = Cell::create(memory.clone(), one.clone(), 16).unwrap();
        cell.set(&record(1, 2)).unwrap();
        let other = Cell::attach(memory, one.other(2)).unwrap();
        let gets = thread::spawn(move || {
            let mut bytes = Vec::new();
            let version = other.get(&mut bytes).unwrap();
            assert_eq!(bytes, record(version, 2));
        });
        for number in 2..=5 {
            cell.set(&record(number, 2)).unwrap();
        }
        gets.join().unwrap();
        let mut bytes = Vec::new();
        assert_eq!(cell.get(&mut bytes), Ok(5));
        assert_eq!(bytes, record(5, 2));
    });
}

#[test]
fn two_writers_of_a_cell_take_turns() {
    loom::model(|| {
        let one = Process::first();
        let memory = memory(Cell::<ModelMemory, Process>::size(16));
        let cell = Cell::create(memory.clone(), one.clone(), 16).unwrap();
        let other = Cell::attach(memory.clone(), one.other(2)).unwrap();
        let sets = thread::spawn(move || other.set(&record(7, 2)).unwrap());
        let mine = cell.set(&record(8, 2)).unwrap();
        let theirs = sets.join().unwrap();
        let mut bytes = Vec::new();
        assert_eq!(cell.get(&mut bytes), Ok(2));
        let last = if mine > theirs { 8 } else { 7 };
        assert_eq!(bytes, record(last, 2));
    });
}

#[test]
fn a_dead_writer_of_a_cell_leaves_the_old_value() {
    loom::model(|| {
        let one = Process::first();
        let memory = memory(Cell::<ModelMemory, Process>::size(16));
        let cell = Cell::create(memory.clone(), one.clone(), 16).unwrap();
        cell.set(&record(1, 2)).unwrap();
        let dying = one.other(2);
        let other = Cell::attach(memory.clone(), dying.clone()).unwrap();
        let dies = thread::spawn(move || {
            // As far as a writer gets without the store that publishes.
            forget(other.object().latch());
            let place = BODY + 64 + 2 * 64;
            let region = other.object().region();
            region.word(place).store(99, Ordering::Relaxed);
            region.write_racing(place + 8, &record(99, 2));
            dying.die();
        });
        let mut bytes = Vec::new();
        assert_eq!(cell.get(&mut bytes), Ok(1));
        assert_eq!(bytes, record(1, 2));
        dies.join().unwrap();
        assert_eq!(cell.set(&record(2, 2)), Ok(2));
        assert_eq!(cell.get(&mut bytes), Ok(2));
        assert_eq!(bytes, record(2, 2));
    });
}
