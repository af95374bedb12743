//! What the locks and the map cost when nobody else wants them, beside the least that can do the
//! same: `cargo bench --package rsipc-ring --bench locks`. One thread; medians of rounds, in
//! nanoseconds.

#![cfg(not(rsipc_loom))]
#![expect(clippy::print_stdout, reason = "a benchmark is a program")]
#![expect(clippy::disallowed_methods, reason = "the bare word to compare with")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::time::{Duration, Instant};

use common::Heap;
use rsipc_ring::lock::{Event, Mutex, Reset, RwLock, Semaphore};
use rsipc_ring::map::{Shape, SharedMap, When};
use rsipc_ring::sync::{AtomicU32, AtomicU64, Ordering};
use rsipc_ring::table::NO_ENVIRONMENT;
use rsipc_ring::{Patience, System};

const ROUNDS: usize = 9;
const TURNS: u32 = 1_000_000;

/// One process that lives for ever and never sleeps.
#[derive(Clone)]
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

fn time(name: &str, mut turn: impl FnMut(u32)) {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begin = Instant::now();
            for number in 0..TURNS {
                turn(number);
            }
            begin.elapsed().as_nanos() as f64 / f64::from(TURNS)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    println!("{name:<52} {:>7.1} ns", rounds[ROUNDS / 2]);
}

fn main() {
    let word = AtomicU64::new(0);
    time("two exchanges of a word", |_| {
        let _ = black_box(&word).compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed);
        let _ = black_box(&word).compare_exchange(1, 0, Ordering::AcqRel, Ordering::Relaxed);
    });

    let memory = || Heap::new(Mutex::<Heap, Awake>::SIZE);
    let mut mutex = Mutex::create(memory(), Awake, NO_ENVIRONMENT).expect("a mutex");
    time("mutex: lock, unlock", |_| {
        let held = mutex.lock(Patience::default()).expect("a lock");
        mutex.unlock(held.expect("it is free").fence).expect("ours");
    });

    let mut lock = RwLock::create(memory(), Awake, NO_ENVIRONMENT).expect("a lock");
    time("rwlock: read, unlock", |_| {
        black_box(lock.read(Patience::default()).expect("a lock"));
        lock.unlock_read().expect("ours");
    });
    time("rwlock: write, unlock", |_| {
        let held = lock.write(Patience::default()).expect("a lock");
        lock.unlock_write(held.expect("it is free").fence)
            .expect("ours");
    });

    let mut permits = Semaphore::create(memory(), Awake, NO_ENVIRONMENT, 4).expect("a semaphore");
    time("semaphore: acquire, release", |_| {
        assert!(permits.acquire(1, Patience::default()).expect("a permit"));
        permits.release(1).expect("ours");
    });

    let mut event =
        Event::create(memory(), Awake, NO_ENVIRONMENT, Reset::Auto, false).expect("an event");
    time("event: set, wait", |_| {
        event.set().expect("set");
        assert!(event.wait(Patience::default()).expect("an event"));
    });

    const KEYS: u32 = 10_000;
    let shape = Shape::new(16 << 20, KEYS as usize);
    let map = SharedMap::create(Heap::new(shape.size()), Awake, shape, 1).expect("a map");
    let keys: Vec<Vec<u8>> = (0..KEYS)
        .map(|number| format!("session:{number:08}").into_bytes())
        .collect();
    let key = |turn: u32| &keys[(turn.wrapping_mul(7919) % KEYS) as usize];
    for (size, name) in [(64, "64 B"), (1024, "1 KiB")] {
        let value = vec![7; size];
        for key in &keys {
            map.set(key, &value, None, When::Always).expect("room");
        }
        let mut out = Vec::new();
        time(&format!("map: get {name}, one key"), |_| {
            black_box(map.get(&keys[0], &mut out).expect("a map"));
        });
        time(&format!("map: get {name}, 10,000 keys in turn"), |turn| {
            black_box(map.get(key(turn), &mut out).expect("a map"));
        });
        time(
            &format!("map: replace {name}, 10,000 keys in turn"),
            |turn| {
                black_box(
                    map.set(key(turn), &value, None, When::Always)
                        .expect("room"),
                );
            },
        );
    }
    time("map: get, no such key", |_| {
        black_box(map.get(b"nobody", &mut Vec::new()).expect("a map"));
    });
    time("map: add to a counter", |_| {
        black_box(map.add(b"counter", 1, None).expect("a counter"));
    });
    let mut entries = Vec::new();
    let begin = Instant::now();
    let mut step = Some(0);
    while let Some(at) = step {
        step = map.scan(at, &mut entries).expect("a map");
    }
    let each = begin.elapsed().as_nanos() as f64 / entries.len() as f64;
    println!("{:<52} {each:>7.1} ns", "map: iterate, each entry");
}
