//! The locks and the map under the model checker: `ci/loom.sh`. What a lock guards is a cell in which the model
//! finds two accesses at once, and a store that the next owner does not see. A thread that sleeps
//! and is not woken is a deadlock, which fails the model.
//!
//! In the model a party insists on its turn at once, and time does not pass: a death wakes who
//! sleeps, as the end of a slice does.

#![cfg(rsipc_loom)]
#![expect(clippy::disallowed_methods, reason = "the model's own state")]

use std::collections::HashMap;
use std::mem::forget;
use std::sync::Arc;
use std::time::Duration;

use loom::cell::UnsafeCell;
use loom::sync::{Condvar, Mutex as Guarded};
use loom::thread;
use rsipc_ring::layout::{DOORBELL, DOORBELLS, LATCH};
use rsipc_ring::lock::{Barrier, Event, LockError, Mutex, Reset, RwLock, Semaphore};
use rsipc_ring::map::{Shape, SharedMap, When};
use rsipc_ring::memory::ModelMemory;
use rsipc_ring::sync::{AtomicU32, Ordering};
use rsipc_ring::{Patience, System};

#[derive(Default)]
struct Fates {
    dead: u64,
    deaths: u64,
    /// How many deaths each process had seen when it last woke.
    seen: HashMap<u64, u64>,
    /// Rings of each process's bell that were not waited for yet.
    rings: HashMap<u64, u64>,
}

struct World {
    fates: Guarded<Fates>,
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
                fates: Guarded::new(Fates::default()),
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

    /// The last thing a process does. Whoever sees the death sees what was done before.
    fn die(&self) {
        let mut fates = self.world.fates.lock().unwrap();
        fates.dead |= 1 << self.identity;
        fates.deaths += 1;
        drop(fates);
        self.world.woken.notify_all();
    }

    /// The event loop of this process sleeps until its bell rings.
    fn sleep(&self) {
        let mut fates = self.world.fates.lock().unwrap();
        while fates.rings.remove(&self.identity).is_none() {
            fates = self.world.woken.wait(fates).unwrap();
        }
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
        self.world.fates.lock().unwrap().dead & 1 << identity == 0
    }

    fn wait(&self, word: &AtomicU32, expected: u32, _timeout: Option<Duration>) {
        let mut fates = self.world.fates.lock().unwrap();
        loop {
            let deaths = fates.deaths;
            if fates.seen.insert(self.identity, deaths).unwrap_or(0) != deaths {
                return;
            }
            if word.load(Ordering::SeqCst) != expected {
                return;
            }
            fates = self.world.woken.wait(fates).unwrap();
        }
    }

    fn wake(&self, _word: &AtomicU32, _count: u32) {
        drop(self.world.fates.lock().unwrap());
        self.world.woken.notify_all();
    }

    fn ring(&self, identity: u64, _environment: u32) {
        let mut fates = self.world.fates.lock().unwrap();
        *fates.rings.entry(identity).or_default() += 1;
        drop(fates);
        self.world.woken.notify_all();
    }

    fn now_ms(&self) -> u64 {
        0
    }
}

fn memory(size: usize) -> ModelMemory {
    let halves = [LATCH + 8, DOORBELLS, DOORBELLS + DOORBELL];
    ModelMemory::new(size, &halves, size)
}

/// What a lock guards.
struct Guarding(UnsafeCell<u64>);

// SAFETY: the cell is the model's, which fails when two threads use it at once.
unsafe impl Send for Guarding {}
// SAFETY: as above.
unsafe impl Sync for Guarding {}

impl Guarding {
    fn new() -> Arc<Guarding> {
        Arc::new(Guarding(UnsafeCell::new(0)))
    }

    fn add(&self) -> u64 {
        self.0.with_mut(|value| {
            // SAFETY: the model has checked that nobody else uses the cell now.
            let value = unsafe { &mut *value };
            *value += 1;
            *value
        })
    }

    fn read(&self) -> u64 {
        self.0.with(|value| {
            // SAFETY: the model has checked that nobody writes the cell now.
            unsafe { *value }
        })
    }
}

const NEVER: Patience = Patience {
    spin: Duration::ZERO,
    timeout: None,
};

type TestMutex = Mutex<ModelMemory, Process>;
type TestRwLock = RwLock<ModelMemory, Process>;
type TestSemaphore = Semaphore<ModelMemory, Process>;
type TestEvent = Event<ModelMemory, Process>;
type TestBarrier = Barrier<ModelMemory, Process>;

fn mutexes(process: &Process) -> (TestMutex, TestMutex, TestMutex) {
    let memory = memory(TestMutex::SIZE);
    let one = Mutex::create(memory.clone(), process.clone(), 0).unwrap();
    let other = |number| Mutex::attach(memory.clone(), process.other(number), 0).unwrap();
    (one, other(2), other(3))
}

fn rwlocks(process: &Process) -> (TestRwLock, TestRwLock, TestRwLock) {
    let memory = memory(TestMutex::SIZE);
    let one = RwLock::create(memory.clone(), process.clone(), 0).unwrap();
    let other = |number| RwLock::attach(memory.clone(), process.other(number), 0).unwrap();
    (one, other(2), other(3))
}

fn semaphores(process: &Process, limit: u64) -> (TestSemaphore, TestSemaphore, TestSemaphore) {
    let memory = memory(TestMutex::SIZE);
    let one = Semaphore::create(memory.clone(), process.clone(), 0, limit).unwrap();
    let other = |number| Semaphore::attach(memory.clone(), process.other(number), 0).unwrap();
    (one, other(2), other(3))
}

fn events(process: &Process, kind: Reset) -> (TestEvent, TestEvent, TestEvent) {
    let memory = memory(TestMutex::SIZE);
    let one = Event::create(memory.clone(), process.clone(), 0, kind, false).unwrap();
    let other = |number| Event::attach(memory.clone(), process.other(number), 0).unwrap();
    (one, other(2), other(3))
}

/// Takes a mutex, uses what it guards, lets go. Answers whether it was recovered.
fn use_once(mutex: &mut TestMutex, guarding: &Guarding) -> bool {
    let held = mutex.lock(NEVER).unwrap().unwrap();
    assert_eq!(guarding.add(), held.fence);
    mutex.unlock(held.fence).unwrap();
    held.recovered
}

#[test]
fn a_mutex_excludes_and_wakes() {
    loom::model(|| {
        let (mut one, mut two, three) = mutexes(&Process::first());
        let guarding = Guarding::new();
        let inside = Arc::clone(&guarding);
        let thread = thread::spawn(move || {
            assert!(!use_once(&mut two, &inside));
            forget(two);
        });
        assert!(!use_once(&mut one, &guarding));
        thread.join().unwrap();
        assert_eq!(guarding.read(), 2);
        forget((one, three));
    });
}

#[test]
fn a_mutex_with_three_contenders_wakes_them_all() {
    loom::model(|| {
        let (mut one, two, three) = mutexes(&Process::first());
        let guarding = Guarding::new();
        let held = one.lock(NEVER).unwrap().unwrap();
        guarding.add();
        let threads = [two, three].map(|mut mutex| {
            let guarding = Arc::clone(&guarding);
            thread::spawn(move || {
                use_once(&mut mutex, &guarding);
                forget(mutex);
            })
        });
        one.unlock(held.fence).unwrap();
        for thread in threads {
            thread.join().unwrap();
        }
        forget(one);
    });
}

#[test]
fn an_event_loop_that_waits_for_a_mutex_is_rung() {
    loom::model(|| {
        let process = Process::first();
        let (mut one, mut two, three) = mutexes(&process);
        let guarding = Guarding::new();
        let inside = Arc::clone(&guarding);
        let held = one.lock(NEVER).unwrap().unwrap();
        let thread = thread::spawn(move || {
            let held = loop {
                if let Some(held) = two.poll().unwrap() {
                    break held;
                }
                process.other(2).sleep();
            };
            inside.add();
            two.unlock(held.fence).unwrap();
            forget(two);
        });
        guarding.add();
        one.unlock(held.fence).unwrap();
        thread.join().unwrap();
        forget((one, three));
    });
}

#[test]
fn a_wait_that_is_cancelled_keeps_a_mutex_from_nobody() {
    loom::model(|| {
        let (mut one, mut two, mut three) = mutexes(&Process::first());
        let held = one.lock(NEVER).unwrap().unwrap();
        // Its turn is next, and it does not want it.
        assert_eq!(two.poll(), Ok(None));
        let thread = thread::spawn(move || {
            let held = three.lock(NEVER).unwrap().unwrap();
            three.unlock(held.fence).unwrap();
            forget(three);
        });
        one.unlock(held.fence).unwrap();
        two.cancel();
        thread.join().unwrap();
        forget((one, two));
    });
}

#[test]
fn a_dead_owners_mutex_is_recovered_by_one() {
    loom::model(|| {
        let process = Process::first();
        let (mut one, mut two, mut three) = mutexes(&process);
        let guarding = Guarding::new();
        let held = three.lock(NEVER).unwrap().unwrap();
        assert_eq!(guarding.add(), held.fence);
        process.other(3).die();
        forget(three);
        let inside = Arc::clone(&guarding);
        let thread = thread::spawn(move || {
            let recovered = use_once(&mut two, &inside);
            forget(two);
            recovered
        });
        let recovered = use_once(&mut one, &guarding);
        assert!(recovered != thread.join().unwrap());
        forget(one);
    });
}

#[test]
fn a_mutex_is_taken_over_while_its_owner_is_swept() {
    loom::model(|| {
        let process = Process::first();
        let (mut one, two, mut three) = mutexes(&process);
        let guarding = Guarding::new();
        let inside = Arc::clone(&guarding);
        let dying = process.other(3);
        let thread = thread::spawn(move || {
            let held = three.lock(NEVER).unwrap().unwrap();
            assert_eq!(inside.add(), held.fence);
            forget(three);
            dying.die();
            two.object().sweep();
            forget(two);
        });
        // Before the one who dies, or after.
        let recovered = use_once(&mut one, &guarding);
        thread.join().unwrap();
        let held = one.lock(NEVER).unwrap().unwrap();
        assert!(held.recovered != recovered);
        forget(one);
    });
}

#[test]
fn a_writer_excludes_readers_and_is_woken_by_the_last() {
    loom::model(|| {
        let (mut one, mut two, three) = rwlocks(&Process::first());
        let guarding = Guarding::new();
        let inside = Arc::clone(&guarding);
        let thread = thread::spawn(move || {
            two.read(NEVER).unwrap().unwrap();
            inside.read();
            two.unlock_read().unwrap();
            forget(two);
        });
        let held = one.write(NEVER).unwrap().unwrap();
        guarding.add();
        one.unlock_write(held.fence).unwrap();
        thread.join().unwrap();
        forget((one, three));
    });
}

#[test]
fn writers_exclude_each_other() {
    loom::model(|| {
        let (mut one, mut two, three) = rwlocks(&Process::first());
        let guarding = Guarding::new();
        let inside = Arc::clone(&guarding);
        let write = |lock: &mut TestRwLock, guarding: &Guarding| {
            let held = lock.write(NEVER).unwrap().unwrap();
            assert_eq!(guarding.add(), held.fence);
            lock.unlock_write(held.fence).unwrap();
        };
        let thread = thread::spawn(move || {
            write(&mut two, &inside);
            forget(two);
        });
        write(&mut one, &guarding);
        thread.join().unwrap();
        forget((one, three));
    });
}

#[test]
fn a_writer_does_not_wait_for_a_dead_reader() {
    loom::model(|| {
        let process = Process::first();
        let (mut one, mut two, three) = rwlocks(&process);
        two.read(NEVER).unwrap().unwrap();
        forget(two);
        let dying = process.other(2);
        let thread = thread::spawn(move || dying.die());
        let held = one.write(NEVER).unwrap().unwrap();
        assert!(!held.recovered);
        thread.join().unwrap();
        forget((one, three));
    });
}

#[test]
fn two_readers_that_wait_for_a_writer_both_come_in() {
    loom::model(|| {
        let (mut one, two, three) = rwlocks(&Process::first());
        let held = one.write(NEVER).unwrap().unwrap();
        let threads = [two, three].map(|mut reader| {
            thread::spawn(move || {
                reader.read(NEVER).unwrap().unwrap();
                reader.unlock_read().unwrap();
                forget(reader);
            })
        });
        one.unlock_write(held.fence).unwrap();
        for thread in threads {
            thread.join().unwrap();
        }
        forget(one);
    });
}

#[test]
fn a_semaphore_gives_a_permit_to_one_and_wakes_the_next() {
    loom::model(|| {
        let (mut one, mut two, three) = semaphores(&Process::first(), 1);
        let guarding = Guarding::new();
        let inside = Arc::clone(&guarding);
        let thread = thread::spawn(move || {
            assert_eq!(two.acquire(1, NEVER), Ok(true));
            inside.add();
            two.release(1).unwrap();
            forget(two);
        });
        assert_eq!(one.acquire(1, NEVER), Ok(true));
        guarding.add();
        one.release(1).unwrap();
        thread.join().unwrap();
        assert_eq!(guarding.read(), 2);
        forget((one, three));
    });
}

#[test]
fn permits_of_the_dead_come_back_to_who_waits() {
    loom::model(|| {
        let process = Process::first();
        let (mut one, mut two, three) = semaphores(&process, 2);
        let dying = process.other(2);
        assert_eq!(two.acquire(1, NEVER), Ok(true));
        let thread = thread::spawn(move || {
            forget(two);
            dying.die();
        });
        assert_eq!(one.acquire(2, NEVER), Ok(true));
        thread.join().unwrap();
        forget((one, three));
    });
}

#[test]
fn an_event_that_is_set_wakes_who_waits_though_it_is_reset() {
    loom::model(|| {
        let (one, mut two, three) = events(&Process::first(), Reset::Manual);
        two.start();
        let thread = thread::spawn(move || {
            assert_eq!(two.wait(NEVER), Ok(true));
            forget(two);
        });
        one.set().unwrap();
        one.reset().unwrap();
        thread.join().unwrap();
        forget((one, three));
    });
}

#[test]
fn each_setting_of_an_automatic_event_lets_one_pass() {
    loom::model(|| {
        let (mut one, mut two, three) = events(&Process::first(), Reset::Auto);
        let guarding = Guarding::new();
        let inside = Arc::clone(&guarding);
        one.set().unwrap();
        let thread = thread::spawn(move || {
            assert_eq!(two.wait(NEVER), Ok(true));
            inside.add();
            two.set().unwrap();
            forget(two);
        });
        assert_eq!(one.wait(NEVER), Ok(true));
        guarding.add();
        one.set().unwrap();
        thread.join().unwrap();
        assert_eq!(guarding.read(), 2);
        forget((one, three));
    });
}

#[test]
fn a_barrier_lets_both_pass_and_orders_what_they_did() {
    loom::model(|| {
        let process = Process::first();
        let memory = memory(TestMutex::SIZE);
        let mut one: TestBarrier = Barrier::create(memory.clone(), process.clone(), 0, 2).unwrap();
        let mut two: TestBarrier = Barrier::attach(memory, process.other(2), 0).unwrap();
        let guarding = Guarding::new();
        let inside = Arc::clone(&guarding);
        let thread = thread::spawn(move || {
            let passed = two.wait(NEVER).unwrap().unwrap();
            assert_eq!(inside.read(), 1);
            forget(two);
            passed.last
        });
        guarding.add();
        let passed = one.wait(NEVER).unwrap().unwrap();
        assert!(passed.last != thread.join().unwrap());
        forget(one);
    });
}

#[test]
fn a_death_breaks_a_barrier_that_somebody_waits_at() {
    loom::model(|| {
        let process = Process::first();
        let memory = memory(TestMutex::SIZE);
        let mut one: TestBarrier = Barrier::create(memory.clone(), process.clone(), 0, 2).unwrap();
        let two: TestBarrier = Barrier::attach(memory, process.other(2), 0).unwrap();
        let dying = process.other(2);
        let thread = thread::spawn(move || {
            forget(two);
            dying.die();
        });
        assert_eq!(one.wait(NEVER), Err(LockError::Broken));
        thread.join().unwrap();
        forget(one);
    });
}

#[test]
fn a_maps_reader_sees_the_old_value_or_the_new_one_while_memory_is_used_again() {
    loom::model(|| {
        let process = Process::first();
        let shape = Shape::with_shards(2 * 64, 1, 1);
        let memory = memory(shape.size());
        let one = SharedMap::create(memory.clone(), process.clone(), shape, 0).unwrap();
        let two = SharedMap::attach(memory, process.other(2)).unwrap();
        let set = |value: u8| {
            one.set(b"k", &[value; 16], None, When::Always).unwrap();
        };
        set(1);
        let thread = thread::spawn(move || {
            let mut value = Vec::new();
            let found = two.get(b"k", &mut value).unwrap().unwrap();
            assert!((1..=3).contains(&found.version));
            assert_eq!(value, [found.version as u8; 16]);
        });
        // Into the other unit, then into the first one again.
        set(2);
        set(3);
        thread.join().unwrap();
    });
}

#[test]
fn a_counters_new_version_is_not_seen_with_its_old_value() {
    loom::model(|| {
        let process = Process::first();
        let shape = Shape::with_shards(2 * 64, 1, 1);
        let memory = memory(shape.size());
        let one = SharedMap::create(memory.clone(), process.clone(), shape, 0).unwrap();
        let two = SharedMap::attach(memory, process.other(2)).unwrap();
        one.add(b"k", 1, None).unwrap();
        let thread = thread::spawn(move || {
            let mut value = Vec::new();
            let found = two.get(b"k", &mut value).unwrap().unwrap();
            assert!(u64::from(value[0]) >= found.version);
        });
        one.add(b"k", 1, None).unwrap();
        one.add(b"k", 1, None).unwrap();
        thread.join().unwrap();
    });
}
