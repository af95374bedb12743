//! What the locks promise, also when processes die.

#![cfg(not(rsipc_loom))]
#![expect(clippy::disallowed_methods, reason = "counters of the test itself")]

mod common;

use std::mem::forget;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use common::{Heap, Process, World};
use rsipc_ring::lock::{
    Barrier, Event, Held, JoinError, LockError, Mutex, Reset, RwLock, Semaphore,
};
use rsipc_ring::table::NO_ENVIRONMENT;
use rsipc_ring::{OpenError, Patience};

const NEVER: Patience = Patience {
    spin: Duration::ZERO,
    timeout: None,
};

fn within(milliseconds: u64) -> Patience {
    Patience {
        spin: Duration::ZERO,
        timeout: Some(Duration::from_millis(milliseconds)),
    }
}

type TestMutex = Mutex<Heap, Process>;
type TestRwLock = RwLock<Heap, Process>;
type TestSemaphore = Semaphore<Heap, Process>;
type TestEvent = Event<Heap, Process>;
type TestBarrier = Barrier<Heap, Process>;

/// Memory and a world for one lock.
struct Place {
    memory: Heap,
    world: std::sync::Arc<World>,
}

impl Place {
    fn new() -> Place {
        Place {
            memory: Heap::new(TestMutex::SIZE),
            world: World::new(),
        }
    }

    fn process(&self, number: u64) -> Process {
        self.world.process(number)
    }

    fn mutex(&self, number: u64) -> TestMutex {
        let (memory, process) = (self.memory.clone(), self.process(number));
        match Mutex::attach(memory.clone(), process.clone(), number as u32) {
            Err(JoinError::Open(OpenError::NotReady)) => {
                Mutex::create(memory, process, number as u32).expect("a mutex")
            }
            found => found.expect("the mutex"),
        }
    }

    fn rwlock(&self, number: u64) -> TestRwLock {
        let (memory, process) = (self.memory.clone(), self.process(number));
        match RwLock::attach(memory.clone(), process.clone(), number as u32) {
            Err(JoinError::Open(OpenError::NotReady)) => {
                RwLock::create(memory, process, number as u32).expect("a lock")
            }
            found => found.expect("the lock"),
        }
    }

    fn semaphore(&self, number: u64, limit: u64) -> TestSemaphore {
        let (memory, process) = (self.memory.clone(), self.process(number));
        match Semaphore::attach(memory.clone(), process.clone(), number as u32) {
            Err(JoinError::Open(OpenError::NotReady)) => {
                Semaphore::create(memory, process, number as u32, limit).expect("a semaphore")
            }
            found => found.expect("the semaphore"),
        }
    }

    fn event(&self, number: u64, kind: Reset) -> TestEvent {
        let (memory, process) = (self.memory.clone(), self.process(number));
        match Event::attach(memory.clone(), process.clone(), number as u32) {
            Err(JoinError::Open(OpenError::NotReady)) => {
                Event::create(memory, process, number as u32, kind, false).expect("an event")
            }
            found => found.expect("the event"),
        }
    }

    fn barrier(&self, number: u64, parties: usize) -> TestBarrier {
        let (memory, process) = (self.memory.clone(), self.process(number));
        match Barrier::attach(memory.clone(), process.clone(), number as u32) {
            Err(JoinError::Open(OpenError::NotReady)) => {
                Barrier::create(memory, process, number as u32, parties).expect("a barrier")
            }
            found => found.expect("the barrier"),
        }
    }
}

fn lock(mutex: &mut TestMutex) -> Held {
    mutex
        .lock(within(10_000))
        .expect("a lock")
        .expect("in time")
}

#[test]
fn a_mutex_has_one_owner_and_numbers_its_owners() {
    let place = Place::new();
    let (mut one, mut two) = (place.mutex(1), place.mutex(2));
    let first = lock(&mut one);
    assert_eq!((first.fence, first.recovered), (1, false));
    assert_eq!(two.try_lock(), Ok(None));
    assert_eq!(one.owner(), Some(1 << 42 | 7));
    assert_eq!(one.try_lock(), Err(LockError::AlreadyHeld));
    one.unlock(first.fence).expect("ours");
    assert_eq!(one.owner(), None);
    let second = lock(&mut two);
    assert_eq!((second.fence, second.recovered), (2, false));
}

#[test]
fn a_mutex_is_let_go_only_by_its_owner_under_its_fencing_number() {
    let place = Place::new();
    let (mut one, mut two) = (place.mutex(1), place.mutex(2));
    let held = lock(&mut one);
    assert_eq!(two.unlock(held.fence), Err(LockError::NotHeld));
    assert_eq!(one.unlock(held.fence + 1), Err(LockError::NotHeld));
    assert_eq!(two.try_lock(), Ok(None));
    one.unlock(held.fence).expect("ours");
    assert_eq!(one.unlock(held.fence), Err(LockError::NotHeld));
}

#[test]
fn a_mutex_and_a_read_write_lock_tell_which_party_has_them() {
    let place = Place::new();
    let (mut one, two) = (place.mutex(1), place.mutex(2));
    assert_eq!(two.holder(), None);
    let held = lock(&mut one);
    let holder = two.holder().expect("a holder");
    assert_eq!(
        (holder.environment, Some(holder.identity)),
        (1, two.owner())
    );
    one.unlock(held.fence).expect("ours");
    assert_eq!(two.holder(), None);

    let place = Place::new();
    let (mut one, mut two) = (place.rwlock(1), place.rwlock(2));
    assert!(two.try_read().expect("a lock").is_some());
    assert_eq!(one.holder(), None, "readers are not told");
    two.unlock_read().expect("ours");
    assert!(one.try_write().expect("a lock").is_some());
    assert_eq!(two.holder().map(|holder| holder.environment), Some(1));
}

#[test]
fn two_parties_of_one_process_exclude_each_other() {
    let place = Place::new();
    let mut one = place.mutex(1);
    let mut two = one.another(NO_ENVIRONMENT).expect("a slot");
    let held = lock(&mut one);
    assert_eq!(two.lock(within(15)), Ok(None));
    one.unlock(held.fence).expect("ours");
    assert!(two.try_lock().expect("a lock").is_some());
}

#[test]
fn a_dead_owners_mutex_is_handed_on_recovered_once() {
    let place = Place::new();
    let (mut one, mut two) = (place.mutex(1), place.mutex(2));
    let held = lock(&mut one);
    forget(one);
    assert_eq!(two.try_lock(), Ok(None), "the owner lives");
    place.process(1).kill();
    let begin = Instant::now();
    let taken = lock(&mut two);
    assert!(taken.recovered && taken.fence > held.fence);
    assert!(begin.elapsed() < Duration::from_secs(5));
    two.unlock(taken.fence).expect("ours");
    assert!(!lock(&mut two).recovered);
}

#[test]
fn a_mutex_of_a_dead_owner_that_was_swept_is_still_recovered() {
    let place = Place::new();
    let (mut one, mut two) = (place.mutex(1), place.mutex(2));
    lock(&mut one);
    forget(one);
    place.process(1).kill();
    assert_eq!(two.object().sweep(), 1);
    // Its slot is somebody else's by now, who is not the owner.
    let mut three = place.mutex(3);
    assert_eq!(three.owner(), None);
    assert!(lock(&mut three).recovered);
    assert_eq!(two.try_lock(), Ok(None));
}

#[test]
fn owners_that_die_one_after_the_other_pass_the_mutex_on_recovered() {
    let place = Place::new();
    let mut survivor = place.mutex(1);
    for number in 2..20 {
        let mut mutex = place.mutex(number);
        let held = lock(&mut mutex);
        assert_eq!(held.recovered, number > 2);
        forget(mutex);
        place.process(number).kill();
    }
    assert!(lock(&mut survivor).recovered);
}

#[test]
fn a_party_that_goes_away_with_the_mutex_hands_it_on_recovered() {
    let place = Place::new();
    let (mut one, mut two) = (place.mutex(1), place.mutex(2));
    lock(&mut one);
    drop(one);
    assert!(lock(&mut two).recovered);
}

#[test]
fn a_waiting_thread_gets_the_mutex_when_it_is_let_go_or_its_owner_dies() {
    let place = Place::new();
    let mut one = place.mutex(1);
    for dies in [false, true] {
        let held = lock(&mut one);
        let mut two = place.mutex(2);
        let (told, waits) = mpsc::channel();
        let waiter = thread::spawn(move || {
            told.send(()).expect("a listener");
            let held = lock(&mut two);
            two.unlock(held.fence).expect("ours");
            held
        });
        waits.recv().expect("a waiter");
        thread::sleep(Duration::from_millis(5));
        if dies {
            place.process(1).kill();
        } else {
            one.unlock(held.fence).expect("ours");
        }
        assert_eq!(waiter.join().expect("a thread").recovered, dies);
        if dies {
            forget(one);
            break;
        }
    }
}

#[test]
fn a_lock_that_is_not_let_go_in_time_is_given_up() {
    let place = Place::new();
    let (mut one, mut two) = (place.mutex(1), place.mutex(2));
    let held = lock(&mut one);
    let begin = Instant::now();
    assert_eq!(two.lock(within(30)), Ok(None));
    assert!(begin.elapsed() >= Duration::from_millis(30));
    one.unlock(held.fence).expect("ours");
    assert!(
        one.try_lock().expect("a lock").is_some(),
        "a wait that was given up keeps the lock from nobody"
    );
}

#[test]
fn an_event_loop_is_rung_when_the_mutex_is_to_be_tried_again() {
    let place = Place::new();
    let (mut one, mut two) = (place.mutex(1), place.mutex(2));
    let held = lock(&mut one);
    assert_eq!(two.poll(), Ok(None));
    assert_eq!(two.poll(), Ok(None));
    assert_eq!(place.world.rung(), []);
    one.unlock(held.fence).expect("ours");
    assert_eq!(place.world.rung(), [(2 << 42 | 7, 2)]);
    let held = two.poll().expect("a lock").expect("it is free");
    two.unlock(held.fence).expect("ours");
    assert_eq!(place.world.rung(), []);
}

#[test]
fn an_event_loop_that_has_waited_long_is_not_overtaken_and_stops_nobody_for_ever() {
    let place = Place::new();
    let (mut one, mut two) = (place.mutex(1), place.mutex(2));
    let held = lock(&mut one);
    assert_eq!(two.poll(), Ok(None));
    thread::sleep(Duration::from_millis(3));
    assert_eq!(two.poll(), Ok(None));
    one.unlock(held.fence).expect("ours");
    assert_eq!(one.try_lock(), Ok(None), "it is kept for the other");
    place.world.skip(100);
    let held = one.try_lock().expect("a lock").expect("it did not come");
    assert_eq!(two.poll(), Ok(None));
    one.unlock(held.fence).expect("ours");
    let held = two.poll().expect("a lock").expect("its turn");
    two.unlock(held.fence).expect("ours");
}

#[test]
fn a_wait_that_is_cancelled_passes_its_turn_on() {
    let place = Place::new();
    let (mut one, mut two, mut three) = (place.mutex(1), place.mutex(2), place.mutex(3));
    let held = lock(&mut one);
    assert_eq!(two.poll(), Ok(None));
    thread::sleep(Duration::from_millis(3));
    assert_eq!(two.poll(), Ok(None));
    assert_eq!(three.poll(), Ok(None));
    one.unlock(held.fence).expect("ours");
    assert_eq!(three.poll(), Ok(None), "it is kept for the other");
    place.world.rung();
    two.cancel();
    assert_eq!(place.world.rung(), [(3 << 42 | 7, 3)]);
    assert!(three.poll().expect("a lock").is_some());
}

#[test]
fn a_waiter_is_not_starved_by_a_spinning_neighbour() {
    let place = Place::new();
    let (mut one, mut two) = (place.mutex(1), place.mutex(2));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                if let Some(held) = one.try_lock().expect("a lock") {
                    one.unlock(held.fence).expect("ours");
                }
            }
        });
        for _ in 0..20 {
            let held = lock(&mut two);
            two.unlock(held.fence).expect("ours");
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn the_mutex_lets_in_one_at_a_time() {
    let place = Place::new();
    let (counter, fences) = (AtomicU64::new(0), AtomicU64::new(0));
    let keep = place.mutex(1);
    thread::scope(|scope| {
        for number in 2..6 {
            let mut mutex = place.mutex(number);
            let (counter, fences) = (&counter, &fences);
            scope.spawn(move || {
                for _ in 0..2_000 {
                    let held = lock(&mut mutex);
                    let seen = counter.load(Ordering::Relaxed);
                    assert!(fences.swap(held.fence, Ordering::Relaxed) < held.fence);
                    counter.store(seen + 1, Ordering::Relaxed);
                    mutex.unlock(held.fence).expect("ours");
                }
            });
        }
    });
    assert_eq!(counter.load(Ordering::Relaxed), 8_000);
    drop(keep);
}

#[test]
fn a_destroyed_lock_lets_nobody_wait() {
    let place = Place::new();
    let (mut one, mut two) = (place.mutex(1), place.mutex(2));
    let held = lock(&mut one);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| two.lock(NEVER));
        thread::sleep(Duration::from_millis(5));
        one.object().destroy();
        assert_eq!(waiter.join().expect("a thread"), Err(LockError::Destroyed));
    });
    one.unlock(held.fence).expect("ours");
    assert_eq!(one.try_lock(), Err(LockError::Destroyed));
}

#[test]
fn a_lock_of_another_kind_or_with_a_foreign_parameter_is_refused() {
    let place = Place::new();
    drop(place.mutex(1));
    let process = place.process(1);
    let found = RwLock::attach(place.memory.clone(), process.clone(), 0);
    assert_eq!(
        found.err(),
        Some(JoinError::Open(OpenError::Kind {
            found: 7,
            expected: 8
        }))
    );
}

#[test]
fn readers_share_and_a_writer_excludes() {
    let place = Place::new();
    let (mut one, mut two, mut three) = (place.rwlock(1), place.rwlock(2), place.rwlock(3));
    assert!(one.try_read().expect("a lock").is_some());
    assert!(two.try_read().expect("a lock").is_some());
    assert!(two.try_read().expect("a lock").is_some());
    assert_eq!(three.try_write(), Ok(None));
    one.unlock_read().expect("ours");
    two.unlock_read().expect("ours");
    assert_eq!(three.write(within(15)), Ok(None), "somebody reads twice");
    two.unlock_read().expect("ours");
    assert_eq!(two.unlock_read(), Err(LockError::NotHeld));
    let held = three.try_write().expect("a lock").expect("it is free");
    assert_eq!(one.try_read(), Ok(None));
    assert_eq!(one.read(within(15)), Ok(None));
    assert_eq!(one.try_write(), Ok(None));
    three.unlock_write(held.fence).expect("ours");
    assert!(one.try_read().expect("a lock").is_some());
    assert_eq!(one.try_write(), Err(LockError::AlreadyHeld));
}

#[test]
fn a_writer_that_waits_lets_no_new_reader_in_but_those_who_read_already() {
    let place = Place::new();
    let (mut one, mut two, mut three) = (place.rwlock(1), place.rwlock(2), place.rwlock(3));
    assert!(one.try_read().expect("a lock").is_some());
    assert_eq!(two.poll_write(), Ok(None));
    assert_eq!(three.poll_read(), Ok(None));
    assert!(
        one.try_read().expect("a lock").is_some(),
        "or it would wait for itself"
    );
    one.unlock_read().expect("ours");
    assert_eq!(two.poll_write(), Ok(None), "it still reads");
    place.world.rung();
    one.unlock_read().expect("ours");
    assert!(place.world.rung().contains(&(2 << 42 | 7, 2)));
    let held = two.poll_write().expect("a lock").expect("nobody reads");
    assert_eq!(three.poll_read(), Ok(None));
    place.world.rung();
    two.unlock_write(held.fence).expect("ours");
    assert!(place.world.rung().contains(&(3 << 42 | 7, 3)));
    assert!(three.poll_read().expect("a lock").is_some());
}

#[test]
fn a_writer_that_gives_up_lets_readers_in_again() {
    let place = Place::new();
    let (mut one, mut two, mut three) = (place.rwlock(1), place.rwlock(2), place.rwlock(3));
    assert!(one.try_read().expect("a lock").is_some());
    assert_eq!(two.poll_write(), Ok(None));
    assert_eq!(three.poll_read(), Ok(None));
    place.world.rung();
    two.cancel();
    assert!(place.world.rung().contains(&(3 << 42 | 7, 3)));
    assert!(three.poll_read().expect("a lock").is_some());
}

#[test]
fn a_dead_reader_holds_up_no_writer() {
    let place = Place::new();
    let (mut one, mut two) = (place.rwlock(1), place.rwlock(2));
    assert!(one.try_read().expect("a lock").is_some());
    forget(one);
    assert_eq!(two.try_write(), Ok(None));
    place.process(1).kill();
    let held = two.write(within(10_000)).expect("a lock").expect("in time");
    assert!(!held.recovered, "a reader leaves nothing half done");
}

#[test]
fn a_dead_writers_lock_is_recovered_by_every_reader_until_a_writer_has_been() {
    let place = Place::new();
    let (mut one, mut two, mut three) = (place.rwlock(1), place.rwlock(2), place.rwlock(3));
    assert!(one.try_write().expect("a lock").is_some());
    forget(one);
    assert_eq!(two.try_read(), Ok(None));
    place.process(1).kill();
    for reader in [&mut two, &mut three] {
        let reading = reader.read(within(10_000)).expect("a lock");
        assert!(reading.expect("in time").recovered);
        reader.unlock_read().expect("ours");
    }
    let held = two.try_write().expect("a lock").expect("it is free");
    assert!(held.recovered);
    two.unlock_write(held.fence).expect("ours");
    let reading = three.try_read().expect("a lock").expect("it is free");
    assert!(!reading.recovered);
}

#[test]
fn readers_and_writers_do_not_starve_each_other() {
    let place = Place::new();
    let keep = place.rwlock(1);
    let value = [AtomicU64::new(0), AtomicU64::new(0)];
    thread::scope(|scope| {
        for number in 2..4 {
            let (mut reader, mut writer) = (place.rwlock(number), place.rwlock(number + 4));
            let value = &value;
            scope.spawn(move || {
                for _ in 0..1_000 {
                    reader.read(NEVER).expect("a lock").expect("for ever");
                    let seen = value[0].load(Ordering::Relaxed);
                    assert_eq!(seen, value[1].load(Ordering::Relaxed));
                    reader.unlock_read().expect("ours");
                }
            });
            scope.spawn(move || {
                for _ in 0..1_000 {
                    let held = writer.write(NEVER).expect("a lock").expect("for ever");
                    for half in value {
                        half.store(half.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                    }
                    writer.unlock_write(held.fence).expect("ours");
                }
            });
        }
    });
    assert_eq!(value[1].load(Ordering::Relaxed), 2_000);
    drop(keep);
}

#[test]
fn a_semaphore_gives_out_as_many_permits_as_there_are() {
    let place = Place::new();
    let (mut one, mut two) = (place.semaphore(1, 5), place.semaphore(2, 5));
    assert_eq!(one.try_acquire(3), Ok(true));
    assert_eq!(two.try_acquire(3), Ok(false));
    assert_eq!(two.try_acquire(2), Ok(true));
    assert_eq!((one.available(), one.held(), two.held()), (0, 3, 2));
    assert_eq!(two.acquire(1, within(15)), Ok(false));
    assert_eq!(two.release(3), Err(LockError::NotHeld));
    two.release(1).expect("ours");
    assert_eq!(one.try_acquire(1), Ok(true));
    let error = LockError::Permits { asked: 6, limit: 5 };
    assert_eq!(one.try_acquire(6), Err(error));
    drop(one);
    assert_eq!(two.available(), 4, "what goes away gives back what it held");
}

#[test]
fn permits_of_the_dead_come_back() {
    let place = Place::new();
    let mut survivor = place.semaphore(1, 10);
    for round in 0..5 {
        for number in 0..5 {
            let number = 2 + round * 5 + number;
            let mut dying = place.semaphore(number, 10);
            assert_eq!(dying.try_acquire(2), Ok(true));
            forget(dying);
        }
        assert_eq!(survivor.try_acquire(1), Ok(false));
        for number in 0..5 {
            place.process(2 + round * 5 + number).kill();
        }
        assert_eq!(survivor.acquire(10, within(10_000)), Ok(true));
        survivor.release(10).expect("ours");
    }
}

#[test]
fn who_waits_for_many_permits_is_not_starved_by_those_who_take_few() {
    let place = Place::new();
    let mut heavy = place.semaphore(1, 4);
    let (mut one, mut two) = (place.semaphore(2, 4), place.semaphore(3, 4));
    assert_eq!(one.try_acquire(1), Ok(true));
    assert_eq!(heavy.poll(4), Ok(false));
    assert_eq!(
        two.try_acquire(1),
        Ok(false),
        "three are free, but not for it"
    );
    one.release(1).expect("ours");
    assert_eq!(two.try_acquire(1), Ok(false));
    assert_eq!(place.world.rung(), [(1 << 42 | 7, 1)]);
    assert_eq!(heavy.poll(4), Ok(true));
    heavy.release(4).expect("ours");
    assert_eq!(two.try_acquire(1), Ok(true));
}

#[test]
fn who_does_not_fetch_its_permits_stops_nobody_for_ever() {
    let place = Place::new();
    let (mut stopped, mut other) = (place.semaphore(1, 4), place.semaphore(2, 4));
    assert_eq!(other.try_acquire(4), Ok(true));
    assert_eq!(stopped.poll(2), Ok(false));
    other.release(4).expect("ours");
    assert_eq!(other.try_acquire(4), Ok(false));
    place.world.skip(100);
    assert_eq!(other.try_acquire(4), Ok(true));
}

#[test]
fn waiting_for_permits_is_served_in_order_and_as_far_as_they_go() {
    let place = Place::new();
    let mut owner = place.semaphore(9, 6);
    let mut waiters: Vec<_> = (1..=4).map(|number| place.semaphore(number, 6)).collect();
    assert_eq!(owner.try_acquire(6), Ok(true));
    for waiter in &mut waiters {
        assert_eq!(waiter.poll(2), Ok(false));
    }
    owner.release(6).expect("ours");
    assert_eq!(waiters[1].poll(2), Ok(false), "the first has not come");
    assert_eq!(waiters[0].poll(2), Ok(true));
    assert_eq!(waiters[1].poll(2), Ok(true));
    assert_eq!(waiters[2].poll(2), Ok(true));
    assert_eq!(waiters[3].poll(2), Ok(false));
    waiters[2].cancel();
    waiters[0].release(2).expect("ours");
    assert_eq!(waiters[3].poll(2), Ok(true));
}

#[test]
fn threads_never_hold_more_permits_than_there_are() {
    let place = Place::new();
    let keep = place.semaphore(1, 3);
    let held = AtomicU64::new(0);
    thread::scope(|scope| {
        for number in 2..6 {
            let mut semaphore = place.semaphore(number, 3);
            let held = &held;
            scope.spawn(move || {
                for round in 0..500 {
                    let permits = 1 + (round + number) % 3;
                    assert_eq!(semaphore.acquire(permits, NEVER), Ok(true));
                    assert!(held.fetch_add(permits, Ordering::SeqCst) + permits <= 3);
                    held.fetch_sub(permits, Ordering::SeqCst);
                    semaphore.release(permits).expect("ours");
                }
            });
        }
    });
    assert_eq!(keep.available(), 3);
}

#[test]
fn a_manual_event_lets_everybody_pass_until_it_is_reset() {
    let place = Place::new();
    let mut one = place.event(1, Reset::Manual);
    let mut two = place.event(2, Reset::Manual);
    assert_eq!(two.kind(), Reset::Manual);
    assert_eq!(one.try_wait(), Ok(false));
    assert_eq!(two.wait(within(15)), Ok(false));
    assert_eq!(two.set(), Ok(true));
    assert_eq!(two.set(), Ok(false));
    assert_eq!((one.try_wait(), two.try_wait()), (Ok(true), Ok(true)));
    assert_eq!((one.reset(), two.reset()), (Ok(true), Ok(false)));
    assert_eq!(one.try_wait(), Ok(false));
    assert_eq!(one.settings(), 1);
}

#[test]
fn who_waited_when_an_event_was_set_passes_though_it_was_reset_at_once() {
    let place = Place::new();
    let mut one = place.event(1, Reset::Manual);
    let two = place.event(2, Reset::Manual);
    assert_eq!(one.poll(), Ok(false));
    assert_eq!((two.set(), two.reset()), (Ok(true), Ok(true)));
    assert_eq!(place.world.rung(), [(1 << 42 | 7, 1)]);
    assert_eq!(one.poll(), Ok(true));
    assert_eq!(one.try_wait(), Ok(false));
}

#[test]
fn an_automatic_event_lets_one_pass_for_each_setting() {
    let place = Place::new();
    let setter = place.event(1, Reset::Auto);
    let passed = AtomicU64::new(0);
    thread::scope(|scope| {
        for number in 2..5 {
            let mut event = place.event(number, Reset::Auto);
            let passed = &passed;
            scope.spawn(move || {
                for _ in 0..50 {
                    assert_eq!(event.wait(NEVER), Ok(true));
                    passed.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for settings in 1..=150 {
            assert_eq!(setter.set(), Ok(true));
            while passed.load(Ordering::SeqCst) < settings {
                thread::yield_now();
            }
            assert!(!setter.is_set());
        }
    });
}

#[test]
fn a_barrier_lets_all_pass_together_again_and_again() {
    let place = Place::new();
    let keep = place.barrier(1, 3);
    let (arrived, lasts) = (AtomicU64::new(0), AtomicU64::new(0));
    drop(keep);
    thread::scope(|scope| {
        for number in 2..5 {
            let mut barrier = place.barrier(number, 3);
            let (arrived, lasts) = (&arrived, &lasts);
            scope.spawn(move || {
                for round in 0..200 {
                    arrived.fetch_add(1, Ordering::SeqCst);
                    let passed = barrier.wait(NEVER).expect("whole").expect("for ever");
                    assert_eq!(passed.round, round);
                    assert!(arrived.load(Ordering::SeqCst) >= (round + 1) * 3);
                    lasts.fetch_add(u64::from(passed.last), Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(lasts.load(Ordering::SeqCst), 200);
}

#[test]
fn a_party_whose_patience_ends_has_not_arrived() {
    let place = Place::new();
    let (mut one, mut two) = (place.barrier(1, 2), place.barrier(2, 2));
    assert_eq!(one.wait(within(15)), Ok(None));
    assert_eq!(two.poll(), Ok(None));
    assert!(one.poll().expect("whole").expect("both").last);
    assert!(!two.poll().expect("whole").expect("both").last);
}

#[test]
fn a_party_that_dies_breaks_the_barrier_for_those_who_wait_and_who_come() {
    let place = Place::new();
    let (mut one, mut two) = (place.barrier(1, 3), place.barrier(2, 3));
    let three = place.barrier(3, 3);
    assert_eq!(one.poll(), Ok(None));
    forget(three);
    place.process(3).kill();
    assert_eq!(two.wait(within(10_000)), Err(LockError::Broken));
    assert_eq!(one.poll(), Err(LockError::Broken));
    assert_eq!(one.poll(), Err(LockError::Broken));
    one.reset().expect("whole again");
    let mut three = place.barrier(4, 3);
    assert_eq!(one.poll(), Ok(None));
    assert_eq!(two.poll(), Ok(None));
    assert_eq!(three.poll().expect("whole").expect("all").round, 1);
    assert_eq!(one.poll().expect("whole").expect("all").round, 1);
    assert_eq!(two.poll().expect("whole").expect("all").round, 1);
}

#[test]
fn who_waited_in_a_broken_round_is_told_though_the_barrier_was_reset() {
    let place = Place::new();
    let (mut one, mut two) = (place.barrier(1, 2), place.barrier(2, 2));
    assert_eq!(one.poll(), Ok(None));
    two.abort().expect("broken");
    two.reset().expect("whole again");
    assert_eq!(two.poll(), Ok(None));
    assert_eq!(one.poll(), Err(LockError::Broken));
    assert!(one.poll().expect("whole").expect("both").last);
}

/// Four contenders at a time, each of which dies in the end, half of them while they hold.
fn lives(contender: impl Fn(u64) + Sync) {
    let born = AtomicU64::new(2);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while born.load(Ordering::SeqCst) < 600 {
                    contender(born.fetch_add(1, Ordering::SeqCst));
                }
            });
        }
    });
}

#[test]
fn a_mutex_never_has_two_owners_while_its_owners_keep_dying() {
    let place = Place::new();
    let keep = place.mutex(1);
    let (owners, last, died) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    lives(|number| {
        let mut mutex = place.mutex(number);
        for turn in 0..=number % 20 {
            let held = lock(&mut mutex);
            assert_eq!(owners.fetch_add(1, Ordering::SeqCst), 0, "two owners");
            assert!(last.swap(held.fence, Ordering::SeqCst) < held.fence);
            assert_eq!(held.recovered, died.swap(0, Ordering::SeqCst) != 0);
            let dies = number % 2 == 0 && turn == number % 20;
            died.store(u64::from(dies), Ordering::SeqCst);
            owners.fetch_sub(1, Ordering::SeqCst);
            if dies {
                break;
            }
            mutex.unlock(held.fence).expect("ours");
        }
        forget(mutex);
        place.process(number).kill();
    });
    drop(keep);
}

#[test]
fn a_semaphore_loses_no_permit_while_its_holders_keep_dying() {
    let place = Place::new();
    let mut keep = place.semaphore(1, 5);
    let held = AtomicU64::new(0);
    lives(|number| {
        let mut semaphore = place.semaphore(number, 5);
        for turn in 0..=number % 20 {
            let permits = 1 + (number + turn) % 5;
            assert_eq!(semaphore.acquire(permits, within(10_000)), Ok(true));
            assert!(held.fetch_add(permits, Ordering::SeqCst) + permits <= 5);
            held.fetch_sub(permits, Ordering::SeqCst);
            if number % 2 == 0 && turn == number % 20 {
                break;
            }
            semaphore.release(permits).expect("ours");
        }
        forget(semaphore);
        place.process(number).kill();
    });
    assert_eq!(keep.acquire(5, within(10_000)), Ok(true), "all come back");
    assert_eq!(keep.available(), 0);
}

#[test]
fn a_writer_is_alone_while_readers_and_writers_keep_dying() {
    let place = Place::new();
    let keep = place.rwlock(1);
    // Readers, and a thousand for a writer.
    let inside = AtomicU64::new(0);
    lives(|number| {
        let mut lock = place.rwlock(number);
        for turn in 0..=number % 20 {
            let dies = number % 2 == 0 && turn == number % 20;
            if (number + turn) % 3 == 0 {
                let held = lock
                    .write(within(10_000))
                    .expect("a lock")
                    .expect("in time");
                assert_eq!(inside.fetch_add(1_000, Ordering::SeqCst), 0);
                inside.fetch_sub(1_000, Ordering::SeqCst);
                if dies {
                    break;
                }
                lock.unlock_write(held.fence).expect("ours");
            } else {
                lock.read(within(10_000)).expect("a lock").expect("in time");
                assert!(inside.fetch_add(1, Ordering::SeqCst) < 1_000);
                inside.fetch_sub(1, Ordering::SeqCst);
                if dies {
                    break;
                }
                lock.unlock_read().expect("ours");
            }
        }
        forget(lock);
        place.process(number).kill();
    });
    drop(keep);
}

#[test]
fn a_lock_full_of_random_bytes_neither_panics_nor_hangs() {
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for round in 0..200_u64 {
        let body = rsipc_ring::layout::BODY;
        let mut bytes = [0; 64];
        for chunk in bytes.chunks_mut(8) {
            // Also small numbers: those are believed for longer.
            let word = random() >> (random() % 64);
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        let slots: Vec<u64> = (0..8).map(|_| random() >> (random() % 64)).collect();
        let scribble = |place: &Place, latched: bool| {
            // A latch that a living process never gives back keeps everybody out: not this time.
            let from = if latched { 16 } else { 0 };
            place.memory.poke(body + from, &bytes[from..]);
            for (index, &word) in slots.iter().enumerate() {
                // Own words of the first slots.
                let slot = rsipc_ring::layout::TABLE + index / 4 * 64;
                place.memory.poke_word(slot + 16 + index % 4 * 8, word);
            }
        };
        let place = Place::new();
        let (mut one, mut two) = (place.mutex(1), place.mutex(2));
        scribble(&place, false);
        let _ = (one.lock(within(1)), two.try_lock(), one.poll(), two.poll());
        let held = one.held().map_or(round, |held| held.fence);
        let _ = (one.unlock(held), two.owner(), two.object().sweep());
        drop((one, two));

        let place = Place::new();
        let (mut one, mut two) = (place.rwlock(1), place.rwlock(2));
        scribble(&place, false);
        let _ = (one.read(within(1)), two.write(within(1)), two.poll_write());
        drop((one, two));

        let place = Place::new();
        let (mut one, mut two) = (place.semaphore(1, 4), place.semaphore(2, 4));
        scribble(&place, true);
        let _ = (one.acquire(2, within(1)), two.try_acquire(1), two.poll(4));
        let _ = (one.release(1), two.release(1));
        drop((one, two));

        let place = Place::new();
        let kind = [Reset::Manual, Reset::Auto][round as usize % 2];
        let (mut one, two) = (place.event(1, kind), place.event(2, kind));
        scribble(&place, false);
        let _ = (one.wait(within(1)), two.set(), two.reset(), one.poll());
        drop((one, two));

        let place = Place::new();
        let (mut one, mut two) = (place.barrier(1, 2), place.barrier(2, 2));
        scribble(&place, true);
        let _ = (one.wait(within(1)), two.poll(), two.reset(), one.poll());
        drop((one, two));
    }
}
