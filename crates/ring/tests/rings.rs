//! What every flavor of ring promises, and what only one of them does.

#![cfg(not(rsipc_loom))]

mod common;

use std::mem::forget;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use common::{FLAVORS, Heap, Process, World};
use rsipc_ring::table::NO_ENVIRONMENT;
use rsipc_ring::{
    ClaimError, Consumer, EndError, Flavor, MAX_CAPACITY, MIN_CAPACITY, OpenError, Patience,
    Policy, Producer, ReadError, Ring, WriteError,
};

type Rings = Ring<Heap, Process>;

/// Flavors in which a full ring keeps the producer out.
const WAITING: [Flavor; 3] = [FLAVORS[0], FLAVORS[1], FLAVORS[2]];

/// A ring, attached to by two processes of a world.
struct Setup {
    memory: Heap,
    world: Arc<World>,
    two: Process,
    mine: Rings,
    theirs: Rings,
}

fn setup(flavor: Flavor, capacity: usize) -> Setup {
    let memory = Heap::new(Rings::size(capacity));
    let world = World::new();
    let (one, two) = (world.process(1), world.process(2));
    let mine = Ring::create(memory.clone(), one, flavor, capacity).expect("a ring");
    let theirs = Ring::attach(memory.clone(), two.clone(), flavor.kind()).expect("the ring");
    Setup {
        memory,
        world,
        two,
        mine,
        theirs,
    }
}

fn ends(setup: &Setup) -> (Producer<Heap, Process>, Consumer<Heap, Process>) {
    let consumer = setup.theirs.consumer(NO_ENVIRONMENT).expect("a consumer");
    let producer = setup.mine.producer(NO_ENVIRONMENT).expect("a producer");
    (producer, consumer)
}

fn read(consumer: &mut Consumer<Heap, Process>) -> Option<Vec<u8>> {
    let mut out = vec![1, 2, 3];
    consumer
        .read_into(&mut out)
        .expect("a sound ring")
        .then_some(out)
}

/// A record that tells its number and has a length that depends on it.
fn record(number: usize, limit: usize) -> Vec<u8> {
    let len = number * 7 % (limit + 1);
    (0..len).map(|at| (number * 31 + at) as u8).collect()
}

#[test]
fn records_are_read_as_they_were_written_over_many_wraps() {
    for flavor in FLAVORS {
        let setup = setup(flavor, 256);
        let (mut producer, mut consumer) = ends(&setup);
        let limit = producer.limit();
        for number in 0..3000 {
            let bytes = record(number, limit);
            producer.try_write(&bytes).expect("room");
            assert_eq!(read(&mut consumer), Some(bytes), "{flavor:?} {number}");
            assert_eq!(read(&mut consumer), None);
        }
    }
}

#[test]
fn the_longest_record_fits_an_empty_ring_from_every_position() {
    for flavor in FLAVORS {
        for before in 0..64 {
            let setup = setup(flavor, 128);
            let (mut producer, mut consumer) = ends(&setup);
            let limit = producer.limit();
            for _ in 0..before {
                producer.try_write(b"").expect("room");
                assert_eq!(read(&mut consumer), Some(Vec::new()));
            }
            let bytes: Vec<u8> = (0..limit).map(|at| (before + at) as u8).collect();
            producer.try_write(&bytes).expect("room");
            assert_eq!(read(&mut consumer), Some(bytes), "{flavor:?} {before}");
            let longer = WriteError::TooLarge {
                size: limit + 1,
                limit,
            };
            assert_eq!(producer.try_write(&vec![0; limit + 1]), Err(longer));
        }
    }
}

#[test]
fn a_full_ring_takes_nothing_until_something_is_released() {
    for flavor in WAITING {
        let setup = setup(flavor, 256);
        let (mut producer, mut consumer) = ends(&setup);
        let mut written = 0;
        while producer.try_write(&[written; 8]).is_ok() {
            written += 1;
        }
        assert!(written >= 10, "{flavor:?}");
        assert_eq!(producer.try_write(&[0; 8]), Err(WriteError::Full));
        assert_eq!(producer.fits(8), Ok(false));
        let kept = consumer.peek().expect("sound").expect("a record").keep();
        assert_eq!(producer.try_write(&[0; 8]), Err(WriteError::Full));
        consumer.release(&kept.expect("a ring that waits"));
        assert_eq!(producer.fits(8), Ok(true));
        producer.try_write(&[written; 8]).expect("room");
        for number in 1..=written {
            assert_eq!(read(&mut consumer), Some(vec![number; 8]));
        }
        assert_eq!(read(&mut consumer), None);
    }
}

#[test]
fn a_staged_record_is_seen_when_it_is_published() {
    for flavor in FLAVORS {
        let setup = setup(flavor, 1024);
        let (mut producer, mut consumer) = ends(&setup);
        for number in 0..5 {
            let mut slot = producer.reserve(1).expect("room");
            slot.write(0, &[number]);
            slot.stage();
        }
        if flavor != Flavor::Mpsc {
            assert_eq!(read(&mut consumer), None, "{flavor:?}");
        }
        producer.publish();
        let mut seen = Vec::new();
        let count = consumer.read_batch(3, |record| {
            let mut byte = [0];
            record.copy(0, &mut byte);
            seen.push(byte[0]);
        });
        assert_eq!(count, Ok(3));
        assert_eq!(seen, [0, 1, 2]);
        let mut slot = producer.reserve(1).expect("room");
        slot.write(0, &[5]);
        slot.stage();
        drop(producer);
        for number in 3..6 {
            assert_eq!(read(&mut consumer), Some(vec![number]));
        }
        assert_eq!(read(&mut consumer), None);
    }
}

#[test]
fn a_batch_is_written_as_far_as_there_is_room() {
    for flavor in WAITING {
        let setup = setup(flavor, 256);
        let (mut producer, mut consumer) = ends(&setup);
        let records: Vec<Vec<u8>> = (0..40).map(|number| vec![number; 8]).collect();
        let written = producer
            .try_write_batch(records.iter().map(Vec::as_slice))
            .expect("room");
        assert!(written > 5 && written < 40);
        assert_eq!(
            producer.try_write_batch([[0; 8].as_slice()]),
            Ok(0),
            "a full ring is no error of a batch"
        );
        let mut seen = 0;
        let count = consumer.read_batch(usize::MAX, |record| {
            let mut bytes = Vec::new();
            record.read_into(&mut bytes);
            assert_eq!(bytes, records[seen]);
            seen += 1;
        });
        assert_eq!(count, Ok(written));
    }
}

#[test]
fn an_abandoned_slot_is_never_read() {
    for flavor in FLAVORS {
        let setup = setup(flavor, 256);
        let (mut producer, mut consumer) = ends(&setup);
        for number in 0..100 {
            producer.reserve(40).expect("room").write(0, &[9; 40]);
            producer.try_write(&[number]).expect("room");
            drop(producer.reserve(3).expect("room"));
            assert_eq!(read(&mut consumer), Some(vec![number]), "{flavor:?}");
            assert_eq!(read(&mut consumer), None);
        }
    }
}

#[test]
fn a_forgotten_slot_keeps_nobody_waiting_once_the_producer_goes_on() {
    for flavor in FLAVORS {
        let setup = setup(flavor, 256);
        let (mut producer, mut consumer) = ends(&setup);
        forget(producer.reserve(8).expect("room"));
        assert_eq!(read(&mut consumer), None);
        producer.try_write(b"a").expect("room");
        assert_eq!(read(&mut consumer), Some(b"a".to_vec()), "{flavor:?}");
        forget(producer.reserve(8).expect("room"));
        drop(producer);
        let mut producer = setup.mine.producer(NO_ENVIRONMENT).expect("a producer");
        producer.try_write(b"b").expect("room");
        assert_eq!(read(&mut consumer), Some(b"b".to_vec()), "{flavor:?}");
    }
}

#[test]
fn a_peeked_record_stays_the_next_one() {
    for flavor in FLAVORS {
        let setup = setup(flavor, 256);
        let (mut producer, mut consumer) = ends(&setup);
        producer.try_write(b"first").expect("room");
        producer.try_write(b"second").expect("room");
        for _ in 0..3 {
            let record = consumer.peek().expect("sound").expect("a record");
            assert_eq!(record.len(), 5);
            let mut part = [0; 3];
            record.copy(2, &mut part);
            assert_eq!(&part, b"rst");
        }
        assert_eq!(read(&mut consumer), Some(b"first".to_vec()));
        assert_eq!(read(&mut consumer), Some(b"second".to_vec()));
    }
}

#[test]
fn kept_records_stay_where_they_are_until_they_are_released() {
    for flavor in WAITING {
        let setup = setup(flavor, 256);
        let (mut producer, mut consumer) = ends(&setup);
        for round in 0..50u8 {
            for number in 0..3 {
                producer.try_write(&[round, number]).expect("room");
            }
            let mut keep = || {
                let record = consumer.peek().expect("sound").expect("a record");
                record.keep().expect("a ring that waits")
            };
            let leases = [keep(), keep(), keep()];
            assert_eq!(read(&mut consumer), None);
            while producer.try_write(&[99; 8]).is_ok() {}
            for (number, lease) in leases.iter().enumerate() {
                let mut bytes = [0; 2];
                assert!(consumer.copy(lease, 0, &mut bytes));
                assert_eq!(bytes, [round, number as u8], "{flavor:?}");
                assert_eq!(lease.offset() % 8, 0);
            }
            consumer.release(&leases[1]);
            assert!(!consumer.copy(&leases[0], 0, &mut [0]), "it is released");
            assert!(consumer.copy(&leases[2], 0, &mut [0]));
            consumer.release(&leases[0]);
            consumer.release(&leases[2]);
            assert!(!consumer.copy(&leases[2], 0, &mut [0]));
            while read(&mut consumer).is_some() {}
        }
    }
}

#[test]
fn a_dead_producer_leaves_what_it_had_published_and_nothing_else() {
    for flavor in FLAVORS {
        for staged in [false, true] {
            let setup = setup(flavor, 256);
            let mut consumer = setup.mine.consumer(NO_ENVIRONMENT).expect("a consumer");
            let mut producer = setup.theirs.producer(NO_ENVIRONMENT).expect("a producer");
            producer.try_write(b"published").expect("room");
            let mut slot = producer.reserve(10).expect("room");
            slot.write(0, b"unfinished");
            if staged && flavor != Flavor::Mpsc {
                slot.stage();
            } else {
                forget(slot);
            }
            forget(producer);
            setup.two.kill();
            let mut next = setup.mine.producer(NO_ENVIRONMENT).expect("a producer");
            next.try_write(b"after").expect("room");
            assert_eq!(read(&mut consumer), Some(b"published".to_vec()));
            assert_eq!(read(&mut consumer), Some(b"after".to_vec()), "{flavor:?}");
            assert_eq!(read(&mut consumer), None);
            assert_eq!(consumer.lost(), 0);
        }
    }
}

#[test]
fn what_a_dead_consumer_had_not_released_is_read_again() {
    for flavor in [Flavor::Spsc, Flavor::Mpsc] {
        let setup = setup(flavor, 256);
        let (mut producer, mut consumer) = ends(&setup);
        for number in 0..4 {
            producer.try_write(&[number]).expect("room");
        }
        assert_eq!(read(&mut consumer), Some(vec![0]));
        let kept = consumer.peek().expect("sound").expect("a record").keep();
        assert!(kept.is_some());
        forget(consumer);
        assert!(matches!(
            setup.mine.consumer(NO_ENVIRONMENT),
            Err(EndError::Claim(ClaimError::Taken { .. }))
        ));
        setup.two.kill();
        let mut next = setup.mine.consumer(NO_ENVIRONMENT).expect("a consumer");
        for number in 1..4 {
            assert_eq!(read(&mut next), Some(vec![number]), "{flavor:?}");
        }
        assert_eq!(read(&mut next), None);
    }
}

#[test]
fn a_reservation_of_a_dead_producer_is_skipped() {
    let setup = setup(Flavor::Mpsc, 256);
    let mut mine = setup.mine.producer(NO_ENVIRONMENT).expect("a producer");
    let mut consumer = setup.mine.consumer(NO_ENVIRONMENT).expect("a consumer");
    let mut theirs = setup.theirs.producer(NO_ENVIRONMENT).expect("a producer");
    forget(theirs.reserve(8).expect("room"));
    mine.try_write(b"behind").expect("room");
    assert_eq!(read(&mut consumer), None, "the living are waited for");
    forget(theirs);
    setup.two.kill();
    let patience = Patience {
        timeout: Some(Duration::from_secs(10)),
        ..Patience::default()
    };
    assert_eq!(consumer.wait(patience), Ok(true));
    assert_eq!(read(&mut consumer), Some(b"behind".to_vec()));
    assert_eq!(read(&mut consumer), None);
}

#[test]
fn a_ring_full_of_abandoned_records_gets_room() {
    let setup = setup(Flavor::Mpsc, 256);
    let (mut producer, mut consumer) = ends(&setup);
    for _ in 0..10 {
        producer.try_write(b"kept").expect("room");
        let kept = consumer.peek().expect("sound").expect("a record").keep();
        while producer.reserve(8).is_ok() {}
        assert_eq!(read(&mut consumer), None);
        assert_eq!(producer.fits(8), Ok(false), "the kept record is in the way");
        consumer.release(&kept.expect("a lease"));
        assert_eq!(producer.fits(100), Ok(true));
        while producer.reserve(8).is_ok() {}
        assert_eq!(read(&mut consumer), None);
        assert_eq!(producer.fits(8), Ok(true));
    }
}

#[test]
fn records_of_each_producer_keep_their_order() {
    let setup = setup(Flavor::Mpsc, 1024);
    let mut consumer = setup.mine.consumer(NO_ENVIRONMENT).expect("a consumer");
    let count = if cfg!(miri) { 50 } else { 5000 };
    thread::scope(|scope| {
        for number in 0..3u64 {
            let system = setup.world.process(number + 10);
            let ring: Rings =
                Ring::attach(setup.memory.clone(), system, Flavor::Mpsc.kind()).expect("the ring");
            scope.spawn(move || {
                let mut producer = ring.producer(NO_ENVIRONMENT).expect("a producer");
                for turn in 0..count {
                    let mut bytes = vec![number as u8; 8 + turn as usize % 90];
                    bytes[..8].copy_from_slice(&u64::to_le_bytes(turn));
                    bytes.push(number as u8);
                    if turn % 5 == 0 {
                        drop(producer.reserve(turn as usize % 50));
                    }
                    producer.write(&bytes, Patience::default()).expect("room");
                }
            });
        }
        let mut next = [0; 3];
        let mut bytes = Vec::new();
        while next.iter().sum::<u64>() < 3 * count {
            assert_eq!(consumer.wait(Patience::default()), Ok(true));
            while consumer.read_into(&mut bytes).expect("a sound ring") {
                let producer = usize::from(*bytes.last().expect("bytes"));
                let turn = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes"));
                assert_eq!(turn, next[producer]);
                assert_eq!(bytes.len(), 9 + turn as usize % 90);
                assert!(bytes[8..].iter().all(|&byte| byte == producer as u8));
                next[producer] += 1;
            }
        }
    });
}

#[test]
fn two_threads_exchange_records_of_all_lengths() {
    for flavor in WAITING {
        let setup = setup(flavor, 512);
        let (mut producer, mut consumer) = ends(&setup);
        let limit = producer.limit();
        let count = if cfg!(miri) { 100 } else { 10_000 };
        thread::scope(|scope| {
            scope.spawn(move || {
                for number in 0..count {
                    let bytes = record(number, limit);
                    producer.write(&bytes, Patience::default()).expect("room");
                }
            });
            let mut number = 0;
            while number < count {
                assert_eq!(consumer.wait(Patience::default()), Ok(true));
                consumer
                    .read_batch(usize::MAX, |found| {
                        let mut bytes = Vec::new();
                        found.read_into(&mut bytes);
                        assert_eq!(bytes, record(number, limit), "{flavor:?} {number}");
                        number += 1;
                    })
                    .expect("a sound ring");
            }
        });
    }
}

#[test]
fn every_consumer_sees_everything_from_its_arrival_on() {
    let setup = setup(Flavor::Broadcast(Policy::Wait), 512);
    let (mut producer, mut first) = ends(&setup);
    producer.try_write(b"1").expect("room");
    let mut second = setup.mine.consumer(NO_ENVIRONMENT).expect("a consumer");
    producer.try_write(b"2").expect("room");
    assert_eq!(read(&mut first), Some(b"1".to_vec()));
    assert_eq!(read(&mut first), Some(b"2".to_vec()));
    assert_eq!(read(&mut second), Some(b"2".to_vec()));
    assert_eq!(read(&mut second), None);
}

#[test]
fn the_slowest_consumer_keeps_the_producer_waiting_until_it_goes_or_dies() {
    let setup = setup(Flavor::Broadcast(Policy::Wait), 256);
    let (mut producer, dying) = ends(&setup);
    let leaving = setup.mine.consumer(NO_ENVIRONMENT).expect("a consumer");
    let mut reading = setup.mine.consumer(NO_ENVIRONMENT).expect("a consumer");
    while producer.try_write(&[0; 8]).is_ok() {}
    while read(&mut reading).is_some() {}
    assert_eq!(producer.fits(8), Ok(false));
    drop(leaving);
    assert_eq!(producer.fits(8), Ok(false));
    forget(dying);
    setup.two.kill();
    let patience = Patience {
        timeout: Some(Duration::from_secs(10)),
        ..Patience::default()
    };
    assert_eq!(producer.wait(8, patience), Ok(true));
    while producer.try_write(&[0; 8]).is_ok() {}
    drop(reading);
    assert_eq!(
        producer.fits(100),
        Ok(true),
        "without consumers nothing is kept"
    );
}

#[test]
fn an_overtaken_consumer_counts_what_it_lost() {
    let setup = setup(Flavor::Broadcast(Policy::DropOldest), 256);
    let (mut producer, mut consumer) = ends(&setup);
    for number in 0..100u8 {
        producer.try_write(&[number; 5]).expect("room, always");
    }
    let mut read_so_far = 0;
    let mut last = None;
    while let Some(bytes) = read(&mut consumer) {
        assert!(last.is_none_or(|last| bytes[0] == last + 1));
        last = Some(bytes[0]);
        read_so_far += 1;
    }
    assert_eq!(last, Some(99));
    assert!(read_so_far >= 5);
    assert_eq!(consumer.lost() + read_so_far, 100);
    assert!(consumer.peek().expect("sound").is_none());
    producer.try_write(b"x").expect("room");
    let record = consumer.peek().expect("sound").expect("a record");
    assert!(record.keep().is_none(), "records may be written over");
}

#[test]
fn an_overtaken_consumer_is_disconnected_where_that_is_the_policy() {
    let setup = setup(Flavor::Broadcast(Policy::Disconnect), 256);
    let (mut producer, mut slow) = ends(&setup);
    let mut quick = setup.mine.consumer(NO_ENVIRONMENT).expect("a consumer");
    for number in 0..100u8 {
        producer.try_write(&[number; 5]).expect("room, always");
        assert_eq!(read(&mut quick), Some(vec![number; 5]));
    }
    assert_eq!(
        slow.read_into(&mut Vec::new()),
        Err(ReadError::Disconnected)
    );
    assert_eq!(slow.peek().err(), Some(ReadError::Disconnected));
}

#[test]
fn a_racing_consumer_reads_only_whole_records() {
    let setup = setup(Flavor::Broadcast(Policy::DropOldest), 1024);
    let (mut producer, mut consumer) = ends(&setup);
    let count = if cfg!(miri) { 200u64 } else { 100_000 };
    thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0..count {
                let mut slot = producer.reserve(16 + number as usize % 100).expect("room");
                let len = slot.len();
                for at in 0..len / 8 {
                    slot.write(at * 8, &number.to_le_bytes());
                }
                let rest = len % 8;
                slot.write(len - rest, &number.to_le_bytes()[..rest]);
                slot.commit();
            }
        });
        let mut bytes = Vec::new();
        let (mut last, mut seen) = (None, 0);
        while last != Some(count - 1) {
            if !consumer.read_into(&mut bytes).expect("a sound ring") {
                thread::yield_now();
                continue;
            }
            let number = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes"));
            assert!(last.is_none_or(|last| number > last));
            assert_eq!(bytes.len(), 16 + number as usize % 100);
            for part in bytes.chunks(8) {
                assert_eq!(part, &number.to_le_bytes()[..part.len()], "a torn record");
            }
            last = Some(number);
            seen += 1;
        }
        assert_eq!(seen + consumer.lost(), count);
    });
}

#[test]
fn a_producer_that_follows_a_dead_one_goes_on_counting() {
    for at in [3, 50] {
        let setup = setup(Flavor::Broadcast(Policy::DropOldest), 256);
        let mut consumer = setup.mine.consumer(NO_ENVIRONMENT).expect("a consumer");
        let mut producer = setup.theirs.producer(NO_ENVIRONMENT).expect("a producer");
        for number in 0..at {
            producer.try_write(&[number; 5]).expect("room");
        }
        let mut slot = producer.reserve(100).expect("room");
        slot.write(0, &[77; 100]);
        slot.stage();
        forget(producer);
        setup.two.kill();
        let mut producer = setup.mine.producer(NO_ENVIRONMENT).expect("a producer");
        producer.try_write(&[at; 5]).expect("room");
        let mut seen = 0;
        let mut last = Vec::new();
        while let Some(bytes) = read(&mut consumer) {
            last = bytes;
            seen += 1;
        }
        assert_eq!(last, vec![at; 5]);
        assert_eq!(seen + consumer.lost(), u64::from(at) + 1);
    }
}

#[test]
fn waits_end_with_the_ring() {
    for flavor in FLAVORS {
        let setup = setup(flavor, 256);
        let (mut producer, mut consumer) = ends(&setup);
        producer.try_write(b"last").expect("room");
        thread::scope(|scope| {
            let waiting = scope.spawn(move || {
                assert_eq!(read(&mut consumer), Some(b"last".to_vec()));
                consumer.wait(Patience::default())
            });
            setup.mine.object().destroy();
            assert_eq!(waiting.join().expect("join"), Err(ReadError::Destroyed));
        });
        assert_eq!(producer.try_write(b""), Err(WriteError::Destroyed));
    }
}

#[test]
fn a_wait_that_ends_early_has_written_nothing() {
    for flavor in WAITING {
        let setup = setup(flavor, 256);
        let (mut producer, mut consumer) = ends(&setup);
        while producer.try_write(&[1; 8]).is_ok() {}
        let patience = Patience {
            spin: Duration::from_micros(50),
            timeout: Some(Duration::from_millis(12)),
        };
        assert_eq!(producer.write(b"late", patience), Err(WriteError::Full));
        assert_eq!(producer.wait(8, patience), Ok(false));
        while let Some(bytes) = read(&mut consumer) {
            assert_eq!(bytes, [1; 8]);
        }
        assert_eq!(consumer.wait(patience), Ok(false));
    }
}

#[test]
fn a_capacity_out_of_range_is_refused() {
    let world = World::new();
    for capacity in [0, 1, MIN_CAPACITY / 2, 100, MAX_CAPACITY * 2, 1 << 63] {
        let ring: Result<Rings, _> =
            Ring::create(Heap::new(1 << 14), world.process(1), Flavor::Spsc, capacity);
        assert_eq!(ring.err(), Some(OpenError::Parameter("capacity")));
    }
    let ring: Result<Rings, _> =
        Ring::create(Heap::new(1 << 14), world.process(1), Flavor::Spsc, 1 << 20);
    assert!(matches!(ring, Err(OpenError::TooSmall { .. })));
}
