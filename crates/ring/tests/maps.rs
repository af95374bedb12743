//! What the map promises: against the standard library's, beside other writers, and over bytes that
//! make no sense.

#![cfg(not(rsipc_loom))]

mod common;

use std::collections::{BTreeMap, HashMap};
use std::mem::forget;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use common::{Heap, Process, Random, World};
use rsipc_ring::OpenError;
use rsipc_ring::layout::BODY;
use rsipc_ring::map::{Entry, MAX_KEY, MapError, Set, Shape, SharedMap, When};

type TestMap = SharedMap<Heap, Process>;

fn new_map(shape: Shape) -> (Heap, Arc<World>, TestMap) {
    let (memory, world) = (Heap::new(shape.size()), World::new());
    let map = SharedMap::create(memory.clone(), world.process(1), shape, 99).expect("a map");
    (memory, world, map)
}

fn get(map: &TestMap, key: &[u8]) -> Option<Vec<u8>> {
    let mut value = vec![1, 2, 3];
    let found = map.get(key, &mut value).expect("a map");
    assert!(found.is_some() || value.is_empty());
    found.map(|_| value)
}

fn set(map: &TestMap, key: &[u8], value: &[u8]) -> u64 {
    match map.set(key, value, None, When::Always).expect("room") {
        Set::Done(version) => version,
        Set::Refused(version) => panic!("refused by {version}"),
    }
}

fn all(map: &TestMap) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut step = Some(0);
    while let Some(at) = step {
        step = map.scan(at, &mut entries).expect("a map");
    }
    entries
}

#[test]
fn a_map_does_what_the_one_of_the_standard_library_does() {
    let (memory, world, one) = new_map(Shape::with_shards(1 << 16, 64, 4));
    let two = SharedMap::attach(memory, world.process(2)).expect("the map");
    let mut random = Random(42);
    let mut model: HashMap<Vec<u8>, (Vec<u8>, u64)> = HashMap::new();
    for round in 0..60_000 {
        let map = if random.below(2) == 0 { &one } else { &two };
        let number = random.below(150);
        let key = format!("{number}:{}", "k".repeat(number % 90)).into_bytes();
        let value = vec![round as u8; random.below(700)];
        match random.below(10) {
            0..=3 => {
                let Ok(Set::Done(version)) = map.set(&key, &value, None, When::Always) else {
                    // Full: nothing has changed.
                    let old = model.get(&key).map(|(value, _)| value.clone());
                    assert_eq!(get(map, &key), old);
                    continue;
                };
                model.insert(key, (value, version));
            }
            4 => {
                let gone = map.delete(&key, When::Always).expect("a map");
                assert_eq!(gone, model.remove(&key).is_some());
            }
            5 => {
                let version = model.get(&key).map_or(0, |&(_, version)| version);
                let guess = if random.below(2) == 0 {
                    version
                } else {
                    version ^ 1
                };
                match map.set(&key, &value, None, When::Version(guess)) {
                    Ok(Set::Done(new)) => {
                        assert!(guess == version && version != 0 && new != version);
                        model.insert(key, (value, new));
                    }
                    Ok(Set::Refused(found)) => {
                        assert_eq!(found, version);
                        assert!(guess != version || version == 0);
                    }
                    Err(error) => assert!(matches!(error, MapError::Full { .. })),
                }
            }
            6 => match map.set(&key, &value, None, When::Absent) {
                Ok(Set::Done(version)) => {
                    assert_eq!(model.insert(key, (value, version)), None);
                }
                Ok(Set::Refused(found)) => assert_eq!(model[&key].1, found),
                Err(error) => assert!(matches!(error, MapError::Full { .. })),
            },
            7 if round % 5_000 == 0 => {
                map.clear().expect("a map");
                model.clear();
            }
            _ => {
                let mut value = Vec::new();
                let found = map.get(&key, &mut value).expect("a map");
                let found = found.map(|found| (value, found.version));
                assert_eq!(found, model.get(&key).cloned());
            }
        }
    }
    assert_eq!(one.len(), model.len() as u64);
    let found: BTreeMap<_, _> = all(&two)
        .into_iter()
        .map(|entry| (entry.key, (entry.value, entry.found.version)))
        .collect();
    assert_eq!(found, model.into_iter().collect());
}

#[test]
fn a_key_has_its_value_until_its_time_is_over() {
    let (_, world, map) = new_map(Shape::new(1 << 16, 16));
    let ttl = Some(Duration::from_secs(100));
    map.set(b"a", b"1", ttl, When::Always).expect("room");
    map.set(b"b", b"2", ttl, When::Always).expect("room");
    map.add(b"c", 5, ttl).expect("room");
    assert_eq!(map.expire(b"b", None), Ok(true));
    assert_eq!(map.expire(b"nobody", None), Ok(false));
    world.skip(99_000);
    assert_eq!(get(&map, b"a"), Some(b"1".to_vec()));
    assert_eq!(map.add(b"c", 1, None), Ok(6), "a counter keeps its end");
    world.skip(1_001);
    assert_eq!(get(&map, b"a"), None);
    assert_eq!(get(&map, b"b"), Some(b"2".to_vec()));
    assert_eq!(all(&map).len(), 1);
    assert_eq!(map.delete(b"a", When::Always), Ok(false));
    assert_eq!(map.add(b"c", 1, None), Ok(1), "and begins anew");
    let absent = map.set(b"a", b"3", ttl, When::Absent).expect("room");
    assert!(matches!(absent, Set::Done(_)));
    world.skip(200_000);
    assert_eq!(map.len(), 3);
    assert_eq!(map.purge(), Ok(1));
    assert_eq!(map.len(), 2);
}

#[test]
fn a_full_map_gives_up_what_is_over_and_then_refuses() {
    let (_, world, map) = new_map(Shape::with_shards(64 * 64, 64, 1));
    let ttl = Some(Duration::from_secs(1));
    for number in 0..32_u8 {
        map.set(&[number], b"short", ttl, When::Always)
            .expect("room");
        map.set(&[number, 0], b"long", None, When::Always)
            .expect("room");
    }
    let full = MapError::Full { needed: 64 };
    assert_eq!(map.set(b"new", b"", None, When::Always), Err(full));
    assert_eq!(map.add(b"new", 1, None), Err(full));
    assert_eq!(
        get(&map, &[3, 0]),
        Some(b"long".to_vec()),
        "nothing is lost"
    );
    world.skip(2_000);
    for number in 0..32_u8 {
        map.set(&[number, 1], b"new", None, When::Always)
            .expect("room");
    }
    assert_eq!(map.set(b"new", b"", None, When::Always), Err(full));
    assert_eq!(map.len(), 64);
    let large = map.set(b"new", &[0; 5_000], None, When::Always);
    assert!(matches!(large, Err(MapError::TooLarge { limit: 4096, .. })));
    let long = map.set(&[0; MAX_KEY + 1], b"", None, When::Always);
    assert!(matches!(long, Err(MapError::KeyTooLong { .. })));
}

#[test]
fn memory_is_used_again_and_none_is_lost() {
    let (_, _, map) = new_map(Shape::with_shards(64 * 256, 64, 1));
    let mut random = Random(7);
    for _ in 0..20_000 {
        let key = [random.below(40) as u8];
        let value = vec![0; random.below(600)];
        let _ = map.set(&key, &value, None, When::Always);
        let _ = map.delete(&[random.below(40) as u8], When::Always);
    }
    for number in 0..40 {
        let _ = map.delete(&[number], When::Always);
    }
    assert!(map.is_empty());
    let whole = vec![7; 64 * 256 - 48];
    set(&map, b"whole", &whole);
    assert_eq!(get(&map, b"whole"), Some(whole));
}

#[test]
fn a_counter_counts_what_all_add_and_nothing_else() {
    let (memory, world, map) = new_map(Shape::new(1 << 16, 16));
    thread::scope(|scope| {
        for number in 2..5 {
            let map = SharedMap::attach(memory.clone(), world.process(number)).expect("the map");
            scope.spawn(move || {
                for round in 0..2_000 {
                    map.add(b"sum", if round % 2 == 0 { 3 } else { -1 }, None)
                        .expect("room");
                }
            });
        }
    });
    assert_eq!(map.add(b"sum", 0, None), Ok(6_000));
    let mut value = Vec::new();
    let found = map.get(b"sum", &mut value).expect("a map").expect("there");
    assert!(found.counter);
    assert_eq!(value, 6_000_i64.to_le_bytes());
    set(&map, b"text", b"12345678");
    assert_eq!(map.add(b"text", 1, None), Err(MapError::NotACounter));
    map.add(b"max", i64::MAX, None).expect("room");
    assert_eq!(map.add(b"max", 1, None), Err(MapError::Overflow));
    assert_eq!(map.add(b"max", 0, None), Ok(i64::MAX));
}

#[test]
fn compare_and_set_loses_no_update() {
    let (memory, world, map) = new_map(Shape::new(1 << 16, 16));
    set(&map, b"n", b"0");
    thread::scope(|scope| {
        for number in 2..5 {
            let map = SharedMap::attach(memory.clone(), world.process(number)).expect("the map");
            scope.spawn(move || {
                let mut value = Vec::new();
                for _ in 0..500 {
                    loop {
                        let found = map.get(b"n", &mut value).expect("a map").expect("there");
                        let text = std::str::from_utf8(&value).expect("digits");
                        let next = text.parse::<u64>().expect("a number") + 1;
                        let when = When::Version(found.version);
                        let next = next.to_string();
                        let set = map.set(b"n", next.as_bytes(), None, when).expect("room");
                        if matches!(set, Set::Done(_)) {
                            break;
                        }
                    }
                }
            });
        }
    });
    assert_eq!(get(&map, b"n"), Some(b"1500".to_vec()));
}

#[test]
fn a_version_does_not_come_back_when_a_key_does() {
    let (_, _, map) = new_map(Shape::new(1 << 16, 16));
    let mut seen = std::collections::HashSet::new();
    for _ in 0..100 {
        assert!(seen.insert(set(&map, b"k", b"v")));
        assert_eq!(map.delete(b"k", When::Version(1 << 60)), Ok(false));
        assert_eq!(map.delete(b"k", When::Always), Ok(true));
    }
}

#[test]
fn readers_never_see_a_torn_or_missing_value_beside_writers() {
    let (memory, world, map) = new_map(Shape::with_shards(64 * 200, 4, 1));
    let keys: Vec<[u8; 1]> = (0..8).map(|key| [key]).collect();
    for key in &keys {
        set(&map, key, &[0; 300]);
    }
    thread::scope(|scope| {
        let (writing, writes) = (&keys, &map);
        let writer = scope.spawn(move || {
            let mut random = Random(3);
            for _ in 0..20_000 {
                let key = writing[random.below(8)];
                let length = 100 + random.below(400);
                set(writes, &key, &vec![random.below(256) as u8; length]);
            }
        });
        let map = SharedMap::attach(memory.clone(), world.process(2)).expect("the map");
        let mut random = Random(5);
        while !writer.is_finished() {
            let value = get(&map, &keys[random.below(8)]).expect("always there");
            assert!(value.iter().all(|&byte| byte == value[0]));
            if random.below(16) == 0 {
                let mut found: Vec<_> = all(&map).into_iter().map(|entry| entry.key).collect();
                found.sort_unstable();
                assert_eq!(found, keys, "each key once");
            }
        }
    });
}

#[test]
fn a_map_whose_header_makes_no_sense_is_refused() {
    let shape = Shape::new(1 << 12, 16);
    for counts in [0, 3 | 16 << 32, 1 | 3 << 32, 1 << 11 | 16 << 32, u64::MAX] {
        for units in [64, 0, u64::MAX, 1 << 40] {
            let (memory, world, _) = new_map(shape);
            let mut header = [0; 64];
            header.copy_from_slice(&memory.look(0, 64));
            let mut header = rsipc_ring::layout::Header::decode(&header, u64::MAX).expect("valid");
            header.parameters[0] = counts;
            header.parameters[1] = units;
            memory.poke(0, &header.encode());
            let found: Result<TestMap, OpenError> = SharedMap::attach(memory, world.process(2));
            assert!(matches!(found, Err(OpenError::Parameter(_))));
        }
    }
}

#[test]
fn a_dead_writers_shard_is_taken_over() {
    let (memory, world, map) = new_map(Shape::with_shards(1 << 12, 4, 1));
    set(&map, b"k", b"v");
    // A writer that died with the latch.
    memory.poke_word(BODY, 9 << 42 | 7);
    memory.poke_word(BODY + 16, 1);
    world.process(9).kill();
    assert_eq!(get(&map, b"k"), Some(b"v".to_vec()));
    set(&map, b"k", b"w");
    assert_eq!(get(&map, b"k"), Some(b"w".to_vec()));
    assert_eq!(map.len(), 1);
    forget(world);
}

#[test]
fn a_map_full_of_random_bytes_neither_panics_nor_hangs() {
    let shape = Shape::with_shards(64 * 32, 4, 1);
    let mut random = Random(11);
    for round in 0..1_500 {
        let (memory, _, map) = new_map(shape);
        for key in 0..12_u8 {
            set(&map, &[key], &[key; 70]);
        }
        // All but the latch: a living process that never lets go of it keeps all writers out.
        let body = shape.size() - BODY;
        let pokes = if round % 3 == 0 {
            body / 8 - 2
        } else {
            1 + random.below(6)
        };
        for poke in 0..pokes {
            let at = if round % 3 == 0 {
                poke
            } else {
                random.below(body / 8 - 2)
            };
            let word = random.next() >> random.below(64);
            memory.poke_word(BODY + 16 + at * 8, word);
        }
        let mut entries = Vec::new();
        let mut value = Vec::new();
        for step in 0..5 {
            let _ = map.scan(step, &mut entries);
        }
        for key in 0..14_u8 {
            let _ = map.get(&[key], &mut value);
            assert!(value.len() <= shape.shard_bytes());
            let _ = map.set(&[key], &[key; 90], None, When::Always);
            let _ = map.add(&[key], 1, None);
            let _ = map.delete(&[key], When::Always);
        }
        assert!(map.len() <= (shape.size() - BODY) as u64);
        let _ = (map.purge(), map.clear());
        set(&map, b"k", b"v");
        assert_eq!(
            get(&map, b"k"),
            Some(b"v".to_vec()),
            "cleared, it works again"
        );
    }
}

#[test]
fn a_count_of_entries_that_is_a_lie_is_not_believed() {
    let shape = Shape::with_shards(64 * 64, 8, 4);
    let (memory, _, map) = new_map(shape);
    for word in (BODY..shape.size()).step_by(8) {
        memory.poke_word(word, u64::MAX);
    }
    assert!(map.len() <= 64);
}

#[test]
fn a_destroyed_map_answers_with_an_error() {
    let (_, _, map) = new_map(Shape::new(1 << 12, 16));
    map.object().destroy();
    let error = Err(MapError::Destroyed);
    assert_eq!(map.get(b"k", &mut Vec::new()).map(|_| ()), error);
    assert_eq!(map.add(b"k", 1, None).map(|_| ()), error);
    assert_eq!(map.clear(), error);
}
