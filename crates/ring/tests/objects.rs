//! What every object has: a header that is checked, parties that come, go and die, a latch and
//! doorbells.

#![cfg(not(rsipc_loom))]

mod common;

use std::mem::forget;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use common::{Heap, Process, World};
use rsipc_ring::layout::{BODY, COUNTER, Kind, PARTIES, STATE};
use rsipc_ring::sync::Ordering;
use rsipc_ring::table::NO_ENVIRONMENT;
use rsipc_ring::{ClaimError, Doorbell, Object, OpenError, Party, Patience, System};

type Plain = Object<Heap, Process>;

fn create(memory: &Heap, process: &Process) -> Arc<Plain> {
    let object = Object::create(
        memory.clone(),
        process.clone(),
        Kind::Event,
        64,
        [1, 2, 3],
        |object, party| {
            object.region().word(COUNTER).fetch_add(
                1 + object.own(party, 0).load(Ordering::Relaxed),
                Ordering::Relaxed,
            );
        },
        |_| {},
    );
    Arc::new(object.expect("an object"))
}

fn attach(memory: &Heap, process: &Process) -> Result<Plain, OpenError> {
    Object::attach(memory.clone(), process.clone(), Kind::Event, |_, _| {})
}

fn join(
    object: &Arc<Plain>,
    role: u32,
    exclusive: bool,
) -> Result<Party<Heap, Process>, ClaimError> {
    Party::claim(Arc::clone(object), 4, role, exclusive, |_, _| {})
}

#[test]
fn an_object_is_found_as_it_was_made() {
    let (memory, world) = (Heap::new(BODY + 64), World::new());
    let made = create(&memory, &world.process(1));
    let found = attach(&memory, &world.process(2)).expect("the object");
    assert_eq!(found.header(), made.header());
    assert_eq!(found.header().parameters, [1, 2, 3]);
}

#[test]
fn memory_that_holds_no_valid_object_is_a_typed_error() {
    let (memory, world) = (Heap::new(BODY + 64), World::new());
    let process = world.process(1);
    assert_eq!(attach(&memory, &process).err(), Some(OpenError::NotReady));
    create(&memory, &process);

    let intact = memory.look(0, 64);
    let check = |offset: usize, bytes: &[u8], expected: OpenError| {
        memory.poke(offset, bytes);
        assert_eq!(attach(&memory, &process).err(), Some(expected));
        memory.poke(0, &intact);
    };
    check(0, b"X", OpenError::NotAnObject);
    check(8, &[2], OpenError::Version { found: 2, known: 1 });
    check(40, &[9], OpenError::Checksum);

    memory.poke_word(STATE, 0);
    assert_eq!(attach(&memory, &process).err(), Some(OpenError::NotReady));
    memory.poke_word(STATE, 77);
    assert_eq!(
        attach(&memory, &process).err(),
        Some(OpenError::Parameter("state"))
    );
    memory.poke_word(STATE, 1);
    let other = Object::attach(memory.clone(), process.clone(), Kind::Cell, |_, _| {});
    assert_eq!(
        other.err(),
        Some(OpenError::Kind {
            found: 10,
            expected: 4
        })
    );

    let short = Heap::new(64);
    assert!(matches!(
        attach(&short, &process),
        Err(OpenError::TooSmall { .. })
    ));
    let truncated = Heap::new(BODY);
    truncated.poke(0, &memory.look(0, BODY));
    assert!(matches!(
        attach(&truncated, &process),
        Err(OpenError::TooSmall { .. })
    ));
}

#[test]
fn an_object_of_another_world_is_refused() {
    let (memory, world) = (Heap::new(BODY + 64), World::new());
    let process = world.process(1);
    let object = create(&memory, &process);
    let elsewhere = world.process(2).elsewhere();
    assert_eq!(attach(&memory, &elsewhere).err(), Some(OpenError::World));
    assert_eq!(object.header().world, process.world());
    assert!(attach(&memory, &world.process(2)).is_ok());
}

#[test]
fn a_destroyed_object_takes_nobody_more() {
    let (memory, world) = (Heap::new(BODY + 64), World::new());
    let process = world.process(1);
    let object = create(&memory, &process);
    object.destroy();
    assert_eq!(attach(&memory, &process).err(), Some(OpenError::Destroyed));
    assert_eq!(join(&object, 1, false).err(), Some(ClaimError::Destroyed));
}

#[test]
fn a_role_for_one_is_free_again_when_its_holder_leaves_or_dies() {
    let (memory, world) = (Heap::new(BODY + 64), World::new());
    let (one, two) = (world.process(1), world.process(2));
    let object = create(&memory, &one);
    let mine = join(&object, 1, true).expect("the role");
    let other = Arc::new(attach(&memory, &two).expect("the object"));
    assert!(matches!(
        join(&other, 1, true),
        Err(ClaimError::Taken { .. })
    ));
    drop(mine);
    forget(join(&other, 1, true).expect("the role"));
    assert!(matches!(
        join(&object, 1, true),
        Err(ClaimError::Taken { .. })
    ));
    two.kill();
    join(&object, 1, true).expect("the role");
}

#[test]
fn a_full_table_has_room_again_when_the_dead_are_swept() {
    let (memory, world) = (Heap::new(BODY + 64), World::new());
    let (one, two) = (world.process(1), world.process(2));
    let object = create(&memory, &one);
    let other = Arc::new(attach(&memory, &two).expect("the object"));
    for _ in 0..PARTIES {
        forget(join(&other, 1, false).expect("a slot"));
    }
    assert_eq!(
        join(&object, 1, false).err(),
        Some(ClaimError::Full { limit: PARTIES })
    );
    two.kill();
    assert_eq!(object.sweep(), PARTIES);
    assert_eq!(object.sweep(), 0);
    let cleaned = object.region().word(COUNTER).load(Ordering::Relaxed);
    assert_eq!(
        cleaned, PARTIES as u64,
        "each of the dead is cleaned up once"
    );
    assert_eq!(join(&object, 1, false).expect("a slot").index(), 0);
}

#[test]
fn a_new_party_finds_its_own_words_empty() {
    let (memory, world) = (Heap::new(BODY + 64), World::new());
    let (one, two) = (world.process(1), world.process(2));
    let object = create(&memory, &one);
    let other = Arc::new(attach(&memory, &two).expect("the object"));
    let party = join(&other, 1, false).expect("a slot");
    party.own(0).store(5, Ordering::Relaxed);
    party.own(5).store(5, Ordering::Relaxed);
    forget(party);
    two.kill();
    let party = join(&object, 1, false).expect("a slot");
    assert_eq!(party.index(), 0);
    assert!((0..6).all(|index| party.own(index).load(Ordering::Relaxed) == 0));
    assert_eq!(
        object.region().word(COUNTER).load(Ordering::Relaxed),
        6,
        "the clean-up saw what the dead held"
    );
}

#[test]
fn the_latch_of_a_dead_owner_is_recovered() {
    let (memory, world) = (Heap::new(BODY + 64), World::new());
    let (one, two) = (world.process(1), world.process(2));
    let object = create(&memory, &one);
    let other = attach(&memory, &two).expect("the object");
    let guard = other.latch();
    assert!(!guard.recovered());
    forget(guard);
    two.kill();
    assert!(object.latch().recovered());
    assert!(!object.latch().recovered());
}

#[test]
fn the_latch_lets_in_one_at_a_time() {
    let (memory, world) = (Heap::new(BODY + 64), World::new());
    let object = create(&memory, &world.process(1));
    thread::scope(|scope| {
        for number in 0..3 {
            let other = attach(&memory, &world.process(number + 2)).expect("the object");
            scope.spawn(move || {
                for _ in 0..200 {
                    let _guard = other.latch();
                    let word = other.region().word(COUNTER);
                    word.store(word.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(object.region().word(COUNTER).load(Ordering::Relaxed), 600);
}

#[test]
fn a_sleeping_thread_is_woken_by_the_ring() {
    let (memory, world) = (Heap::new(BODY + 64), World::new());
    let object = create(&memory, &world.process(1));
    let other = Arc::new(attach(&memory, &world.process(2)).expect("the object"));
    thread::scope(|scope| {
        scope.spawn(move || {
            let party = join(&other, 1, false).expect("a slot");
            for round in 1..=100 {
                other.wait(Doorbell::Items, party.index(), Patience::default(), |_| {
                    (other.region().word(BODY).load(Ordering::Acquire) >= round).then_some(())
                });
                other
                    .region()
                    .word(BODY + 8)
                    .store(round, Ordering::Release);
                other.ring(Doorbell::Space);
            }
        });
        let party = join(&object, 2, false).expect("a slot");
        for round in 1..=100 {
            object.region().word(BODY).store(round, Ordering::Release);
            object.ring(Doorbell::Items);
            let patience = Patience {
                spin: Duration::from_micros(round % 3 * 20),
                timeout: None,
            };
            object.wait(Doorbell::Space, party.index(), patience, |_| {
                (object.region().word(BODY + 8).load(Ordering::Acquire) >= round).then_some(())
            });
        }
    });
}

#[test]
fn a_wait_ends_when_its_time_is_over() {
    let (memory, world) = (Heap::new(BODY + 64), World::new());
    let object = create(&memory, &world.process(1));
    let party = join(&object, 1, false).expect("a slot");
    let patience = Patience {
        spin: Duration::from_millis(1),
        timeout: Some(Duration::from_millis(15)),
    };
    let begin = std::time::Instant::now();
    let mut idle = false;
    let answer = object.wait(Doorbell::Items, party.index(), patience, |slept| {
        idle |= slept;
        None::<()>
    });
    assert_eq!(answer, None);
    assert!(begin.elapsed() >= Duration::from_millis(15));
    assert!(idle, "a slice without a ring is told");
}

#[test]
fn an_armed_event_loop_is_rung_once() {
    let (memory, world) = (Heap::new(BODY + 64), World::new());
    let object = create(&memory, &world.process(1));
    let first = join(&object, 1, false).expect("a slot");
    let second =
        Party::claim(Arc::clone(&object), NO_ENVIRONMENT, 1, false, |_, _| {}).expect("a slot");
    object.arm(Doorbell::Items, first.index());
    object.arm(Doorbell::Space, second.index());
    object.disarm(Doorbell::Space, second.index());
    for _ in 0..3 {
        object.ring(Doorbell::Items);
        object.ring(Doorbell::Space);
    }
    assert_eq!(world.rung(), [(1 << 42 | 7, 4)]);
}
