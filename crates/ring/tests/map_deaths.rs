//! Writers that die at every failpoint of the map, and what the others find then.

#![cfg(all(feature = "failpoints", not(rsipc_loom)))]

mod common;
#[path = "common/victim.rs"]
mod victim;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{Heap, Process, World};
use rsipc_ring::failpoint::Failpoint;
use rsipc_ring::map::{Shape, SharedMap, When};
use victim::{dies_at, spared, victim};

type TestMap = SharedMap<Heap, Process>;

const POINTS: &[Failpoint] = &[
    Failpoint::MapAllocated,
    Failpoint::MapBeforePublish,
    Failpoint::MapBeforeVersion,
    Failpoint::MapBeforeFree,
    Failpoint::MapBeforeDone,
    Failpoint::MapCounted,
    Failpoint::MapBeforeMended,
];

const UNITS: usize = 64;

/// The entries as text, in order.
fn all(map: &TestMap) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let (mut entries, mut step) = (Vec::new(), Some(0));
    while let Some(at) = step {
        step = map.scan(at, &mut entries).expect("a map");
    }
    let found: BTreeMap<_, _> = entries
        .iter()
        .map(|entry| (entry.key.clone(), entry.value.clone()))
        .collect();
    assert_eq!(found.len(), entries.len(), "each key once");
    found
}

#[test]
fn a_writer_that_dies_leaves_each_key_old_or_new_and_no_memory_is_lost() {
    for &point in POINTS {
        for passed in 0..6 {
            let shape = Shape::with_shards(64 * UNITS, 4, 1);
            let (memory, world) = (Heap::new(shape.size()), World::new());
            let process = |number| world.process(number);
            let survivor = SharedMap::create(memory.clone(), process(1), shape, 9).expect("a map");
            let always = |map: &TestMap, key: &[u8], value: &[u8]| {
                map.set(key, value, None, When::Always).expect("room");
            };
            for key in 0..10_u8 {
                always(&survivor, &[key], &[key; 90]);
            }
            survivor.add(b"count", 1, None).expect("room");
            let ttl = Some(Duration::from_millis(1));
            survivor.set(b"over", b"", ttl, When::Always).expect("room");
            world.skip(10);
            let mine = SharedMap::attach(memory.clone(), process(2)).expect("the map");
            let other = SharedMap::attach(memory.clone(), process(3)).expect("the map");
            let dead = process(4);
            let before = all(&survivor);
            let died = dies_at(point, passed, vec![process(2), process(3)], move || {
                victim(|| always(&mine, &[3], &[33; 200]));
                victim(|| always(&mine, &[20], &[20; 20]));
                victim(|| mine.add(b"count", 1, None)).expect("room");
                victim(|| mine.purge()).expect("a map");
                victim(|| mine.delete(&[5], When::Always)).expect("a map");
                // Somebody else died at work.
                memory.poke_word(rsipc_ring::layout::BODY, 4 << 42 | 7);
                memory.poke_word(rsipc_ring::layout::BODY + 16, 1);
                dead.kill();
                victim(|| always(&mine, &[5], &[55; 10]));
                assert_eq!(other.len(), 12);
                victim(|| mine.clear()).expect("a map");
                victim(|| always(&mine, &[1], &[11; 10]));
            });
            // Readers first, before anybody has repaired anything.
            let now = all(&survivor);
            if died && now.len() > 2 {
                for (key, value) in &before {
                    match key.as_slice() {
                        [3] => assert!(now[key] == *value || now[key] == [33; 200]),
                        [5] => assert!(
                            now.get(key)
                                .is_none_or(|now| now == value || *now == [55; 10])
                        ),
                        b"count" => assert!(now[key] == *value || now[key][0] == 2),
                        _ => assert_eq!(now[key], *value),
                    }
                }
            }
            // Then writers.
            always(&survivor, b"new", b"value");
            let mut expected = now.clone();
            expected.insert(b"new".to_vec(), b"value".to_vec());
            assert_eq!(all(&survivor), expected);
            for key in expected.keys() {
                assert_eq!(survivor.delete(key, When::Always), Ok(true));
            }
            survivor.purge().expect("a map");
            assert_eq!(survivor.len(), 0);
            always(&survivor, b"all", &[1; 64 * UNITS - 48]);
            assert_eq!(all(&survivor).len(), 1);
        }
    }
    assert_eq!(spared(POINTS), Vec::<&str>::new(), "nobody died there");
}

#[test]
fn every_failpoint_of_locks_and_map_is_in_a_list_of_deaths() {
    let text = concat!(
        include_str!("map_deaths.rs"),
        include_str!("lock_deaths.rs")
    );
    let ours = [
        "Lock", "Leave", "Unlock", "Read", "Write", "Permits", "Event", "Barrier", "Map",
    ];
    for point in Failpoint::ALL {
        let name = point.name();
        if ours.iter().any(|prefix| name.starts_with(prefix)) {
            assert!(text.contains(&format!("Failpoint::{name},")), "{name}");
        }
    }
}
