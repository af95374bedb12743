//! Processes that die at every failpoint of the locks, and what the others find then.

#![cfg(all(feature = "failpoints", not(rsipc_loom)))]

mod common;
#[path = "common/victim.rs"]
mod victim;

use std::mem::forget;
use std::sync::Arc;
use std::time::Duration;

use common::{Heap, Process, World};
use rsipc_ring::Patience;
use rsipc_ring::failpoint::Failpoint;
use rsipc_ring::lock::{Barrier, Event, LockError, Mutex, Reset, RwLock, Semaphore};
use victim::{dies_at, spared, victim};

/// The points in the locks themselves, and those of the objects below that they pass.
const POINTS: &[Failpoint] = &[
    Failpoint::LockBeforeFence,
    Failpoint::LockBeforeLeave,
    Failpoint::LockHeld,
    Failpoint::LockWaiting,
    Failpoint::LeaveBeforePassing,
    Failpoint::UnlockBeforeFree,
    Failpoint::UnlockBeforeRing,
    Failpoint::ReadBeforeLook,
    Failpoint::WriteBeforeDrained,
    Failpoint::ReadBeforeRing,
    Failpoint::PermitsBeforeSum,
    Failpoint::PermitsBeforeRing,
    Failpoint::EventBeforeCount,
    Failpoint::BarrierArrived,
    Failpoint::BarrierBeforeRing,
    Failpoint::ClaimBeforeRole,
    Failpoint::ReleaseBeforeFree,
    Failpoint::SweepBeforeCleanup,
    Failpoint::SweepBeforeClear,
    Failpoint::SweepBeforeFree,
    Failpoint::SweepBeforeRing,
    Failpoint::RingBeforeWake,
];

const VICTIM: u64 = 2;
const CORPSE: u64 = 3;
const BYSTANDER: u64 = 4;

const SOON: Patience = Patience {
    spin: Duration::ZERO,
    timeout: Some(Duration::from_secs(20)),
};

/// Runs a scenario for every point, sparing the victim there up to three times, each in a world of
/// its own, and then what the survivor finds.
fn every_death(scenario: impl Fn(&Arc<World>, &dyn Fn(Box<dyn FnOnce() + Send>) -> bool)) {
    for &point in POINTS {
        for passed in 0..4 {
            let world = World::new();
            scenario(&world, &|acts| {
                // The others' handles are in the thread that stops.
                let processes = [VICTIM, BYSTANDER, CORPSE].map(|number| world.process(number));
                dies_at(point, passed, processes.to_vec(), acts)
            });
        }
    }
}

type TestMutex = Mutex<Heap, Process>;
type TestRwLock = RwLock<Heap, Process>;
type TestSemaphore = Semaphore<Heap, Process>;
type TestEvent = Event<Heap, Process>;
type TestBarrier = Barrier<Heap, Process>;

fn mutexes() {
    every_death(|world, run| {
        let memory = Heap::new(TestMutex::SIZE);
        let mut survivor = TestMutex::create(memory.clone(), world.process(1), 1).expect("a mutex");
        let attach = |number| {
            let (memory, process) = (memory.clone(), world.process(number));
            move || TestMutex::attach(memory, process, number as u32).expect("the mutex")
        };
        let mut corpse = attach(CORPSE)();
        let mut other = attach(BYSTANDER)();
        let (join, death) = (attach(VICTIM), world.process(CORPSE));
        assert!(corpse.try_lock().expect("a lock").is_some());
        let died = run(Box::new(move || {
            let mut mine = victim(join);
            assert_eq!(victim(|| mine.poll()), Ok(None));
            assert_eq!(other.poll(), Ok(None));
            forget(corpse);
            death.kill();
            victim(|| mine.object().sweep());
            let held = victim(|| mine.lock(SOON))
                .expect("a lock")
                .expect("in time");
            assert!(held.recovered);
            assert_eq!(other.poll(), Ok(None));
            victim(|| mine.unlock(held.fence)).expect("ours");
            let held = other.poll().expect("a lock").expect("it is free");
            assert_eq!(victim(|| mine.poll()), Ok(None));
            victim(|| mine.cancel());
            other.unlock(held.fence).expect("ours");
            victim(|| drop(mine));
        }));
        let mut fence = 0;
        for _ in 0..3 {
            let held = survivor.lock(SOON).expect("a lock").expect("in time");
            assert!(held.fence > fence);
            fence = held.fence;
            survivor.unlock(fence).expect("ours");
        }
        survivor.object().sweep();
        assert_eq!(survivor.object().sweep(), 0);
        assert!(
            !died
                || survivor
                    .object()
                    .occupants()
                    .all(|party| party.identity >> 42 != VICTIM)
        );
    });
}

fn rwlocks() {
    every_death(|world, run| {
        let memory = Heap::new(TestRwLock::SIZE);
        let mut survivor = TestRwLock::create(memory.clone(), world.process(1), 1).expect("a lock");
        let attach = |number| {
            let (memory, process) = (memory.clone(), world.process(number));
            move || TestRwLock::attach(memory, process, number as u32).expect("the lock")
        };
        let mut corpse = attach(CORPSE)();
        let (mut other, join, death) = (attach(BYSTANDER)(), attach(VICTIM), world.process(CORPSE));
        assert!(corpse.try_write().expect("a lock").is_some());
        run(Box::new(move || {
            let mut mine = victim(join);
            assert_eq!(victim(|| mine.poll_read()), Ok(None));
            forget(corpse);
            death.kill();
            let reading = victim(|| mine.read(SOON))
                .expect("a lock")
                .expect("in time");
            assert!(reading.recovered);
            assert_eq!(other.poll_write(), Ok(None));
            victim(|| mine.unlock_read()).expect("ours");
            let held = other.poll_write().expect("a lock").expect("nobody reads");
            assert_eq!(victim(|| mine.poll_write()), Ok(None));
            other.unlock_write(held.fence).expect("ours");
            let held = victim(|| mine.write(SOON))
                .expect("a lock")
                .expect("in time");
            assert_eq!(other.poll_read(), Ok(None));
            victim(|| mine.unlock_write(held.fence)).expect("ours");
            assert!(other.poll_read().expect("a lock").is_some());
            assert_eq!(victim(|| mine.poll_write()), Ok(None));
            victim(|| mine.cancel());
            other.unlock_read().expect("ours");
            victim(|| drop(mine));
        }));
        let held = survivor.write(SOON).expect("a lock").expect("in time");
        survivor.unlock_write(held.fence).expect("ours");
        let reading = survivor.read(SOON).expect("a lock").expect("in time");
        assert!(!reading.recovered);
    });
}

fn semaphores() {
    every_death(|world, run| {
        let memory = Heap::new(TestSemaphore::SIZE);
        let process = world.process(1);
        let mut survivor =
            TestSemaphore::create(memory.clone(), process, 1, 4).expect("a semaphore");
        let attach = |number| {
            let (memory, process) = (memory.clone(), world.process(number));
            move || TestSemaphore::attach(memory, process, number as u32).expect("it")
        };
        let mut corpse = attach(CORPSE)();
        let (mut other, join, death) = (attach(BYSTANDER)(), attach(VICTIM), world.process(CORPSE));
        assert_eq!(corpse.try_acquire(3), Ok(true));
        run(Box::new(move || {
            let mut mine = victim(join);
            assert_eq!(victim(|| mine.try_acquire(1)), Ok(true));
            assert_eq!(victim(|| mine.poll(2)), Ok(false));
            forget(corpse);
            death.kill();
            victim(|| mine.object().sweep());
            assert_eq!(victim(|| mine.acquire(2, SOON)), Ok(true));
            assert_eq!(other.poll(4), Ok(false));
            victim(|| mine.release(2)).expect("ours");
            assert_eq!(victim(|| mine.poll(2)), Ok(false));
            victim(|| mine.cancel());
            victim(|| drop(mine));
            assert_eq!(other.poll(4), Ok(true));
        }));
        assert_eq!(survivor.acquire(4, SOON), Ok(true), "all come back");
        assert_eq!(survivor.available(), 0);
        survivor.release(4).expect("ours");
        assert_eq!(survivor.available(), 4);
    });
}

fn events() {
    for kind in [Reset::Manual, Reset::Auto] {
        every_death(|world, run| {
            let memory = Heap::new(TestEvent::SIZE);
            let process = world.process(1);
            let mut survivor =
                TestEvent::create(memory.clone(), process, 1, kind, false).expect("an event");
            let (join, victims) = (memory.clone(), world.process(VICTIM));
            let mut other =
                TestEvent::attach(memory, world.process(BYSTANDER), 4).expect("the event");
            run(Box::new(move || {
                let mut mine = victim(|| TestEvent::attach(join, victims, 2)).expect("the event");
                assert_eq!(victim(|| mine.poll()), Ok(false));
                assert_eq!(other.poll(), Ok(false));
                victim(|| mine.set()).expect("set");
                assert_eq!(victim(|| mine.wait(SOON)), Ok(true));
                victim(|| mine.reset()).expect("reset");
                victim(|| drop(mine));
            }));
            // Whatever was set or used up: set now, it lets one pass.
            survivor.set().expect("set");
            assert_eq!(survivor.wait(SOON), Ok(true));
        });
    }
}

fn barriers() {
    every_death(|world, run| {
        let memory = Heap::new(TestBarrier::SIZE);
        let process = world.process(1);
        let mut survivor = TestBarrier::create(memory.clone(), process, 1, 2).expect("a barrier");
        let (join, victims) = (memory.clone(), world.process(VICTIM));
        let mut other =
            TestBarrier::attach(memory, world.process(BYSTANDER), 4).expect("the barrier");
        let mut another = survivor.another(1).expect("a slot");
        let died = run(Box::new(move || {
            let mut mine = victim(|| TestBarrier::attach(join, victims, 2)).expect("the barrier");
            assert_eq!(victim(|| mine.poll()), Ok(None));
            assert!(other.poll().expect("whole").expect("both").last);
            assert!(victim(|| mine.poll()).expect("whole").is_some());
            assert_eq!(other.poll(), Ok(None));
            assert!(victim(|| mine.poll()).expect("whole").expect("both").last);
            assert!(other.poll().expect("whole").is_some());
            victim(|| drop(mine));
        }));
        survivor.object().sweep();
        assert_eq!(survivor.is_broken(), died);
        if died {
            assert_eq!(survivor.wait(SOON), Err(LockError::Broken));
            survivor.reset().expect("whole again");
        }
        assert_eq!(survivor.poll(), Ok(None));
        assert!(another.wait(SOON).expect("whole").expect("both").last);
        assert!(survivor.poll().expect("whole").is_some());
    });
}

#[test]
fn no_death_at_a_failpoint_keeps_a_lock_from_the_others() {
    mutexes();
    rwlocks();
    semaphores();
    events();
    barriers();
    assert_eq!(spared(POINTS), Vec::<&str>::new(), "nobody died there");
}
