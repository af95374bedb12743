//! A ring by name between real processes: woken, killed, taken over, looked at from outside.

#![cfg(target_os = "linux")]
#![allow(dead_code, reason = "not every test plays with all of it")]

#[path = "../../sys/tests/again/mod.rs"]
mod again;

use std::fs;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use again::{Player, Scratch, listen, role, tell, until};
use rsipc_core::shm::{Found, Name, Registry, RunDir};
use rsipc_ring::layout::Kind;
use rsipc_ring::ring::{Flavor, Ring};
use rsipc_ring::table::NO_ENVIRONMENT;
use rsipc_ring::{Doorbell, OpenError, Patience};
use rsipc_sys::fifo::EnvironmentBell;
use rsipc_sys::os::Os;
use rsipc_sys::shm::Mapping;
use rsipc_sys::wait::{Interest, ready};

const CAPACITY: usize = 4096;
const PATIENCE: Patience = Patience {
    spin: Duration::ZERO,
    timeout: Some(Duration::from_secs(30)),
};

type OurRing = Ring<Mapping, Arc<Os>>;

fn registry(path: &Path) -> Registry {
    Registry::of(RunDir::at(path).unwrap()).unwrap()
}

fn name() -> Name {
    Name::parse("ring").unwrap()
}

fn open(registry: &Registry) -> OurRing {
    let size = OurRing::size(CAPACITY) as u64;
    let found = registry.open_or_create(&name(), size, |memory| {
        let made = Ring::create(memory, Arc::clone(registry.os()), Flavor::Spsc, CAPACITY);
        Ok::<_, Box<dyn std::error::Error>>(made?)
    });
    match found.map_err(|error| error.to_string()).unwrap() {
        Found::Made(ring) => ring,
        Found::There(memory) => {
            Ring::attach(memory, Arc::clone(registry.os()), Kind::Spsc).unwrap()
        }
    }
}

/// A record whose every byte follows from its number.
fn record(number: u64) -> Vec<u8> {
    let length = 8 + (number % 300) as usize;
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(length, number as u8);
    bytes
}

fn number_of(bytes: &[u8]) -> u64 {
    let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    assert_eq!(bytes, record(number), "torn");
    number
}

/// Cleans until the one object is gone: a process that another test is about to start holds all
/// that is open here for a moment.
fn until_removed(registry: &Registry) {
    until("it is removed", || registry.clean().unwrap().objects == 1);
}

#[test]
fn both_ends_sleep_until_the_other_has_done_its_part() {
    let test = "both_ends_sleep_until_the_other_has_done_its_part";
    const RECORDS: u64 = 20_000;
    if let Some(path) = role() {
        let registry = registry(path.as_ref());
        let mut producer = open(&registry).producer(NO_ENVIRONMENT).unwrap();
        for number in 0..RECORDS {
            producer.write(&record(number), PATIENCE).unwrap();
        }
        return;
    }
    let scratch = Scratch::new();
    let registry = registry(scratch.path());
    let mut consumer = open(&registry).consumer(NO_ENVIRONMENT).unwrap();
    let producer = Player::start(again::command(test, scratch.path().to_str().unwrap()));
    let mut bytes = Vec::new();
    for number in 0..RECORDS {
        if !consumer.read_into(&mut bytes).unwrap() {
            assert!(consumer.wait(PATIENCE).unwrap());
            assert!(consumer.read_into(&mut bytes).unwrap());
        }
        assert_eq!(number_of(&bytes), number);
    }
    assert!(producer.end());
}

#[test]
fn an_event_loop_is_woken_by_its_bell_and_only_when_it_sleeps() {
    let test = "an_event_loop_is_woken_by_its_bell_and_only_when_it_sleeps";
    if let Some(path) = role() {
        let registry = registry(path.as_ref());
        let mut producer = open(&registry).producer(NO_ENVIRONMENT).unwrap();
        let mut number = 0;
        while listen().is_some() {
            producer.write(&record(number), PATIENCE).unwrap();
            number += 1;
            tell("written");
        }
        return;
    }
    let scratch = Scratch::new();
    let registry = registry(scratch.path());
    let bell = EnvironmentBell::new(registry.run_dir().dir(), 3).unwrap();
    let ring = open(&registry);
    let mut consumer = ring.consumer(3).unwrap();
    let mut player = Player::start(again::command(test, scratch.path().to_str().unwrap()));
    let readable = Interest {
        readable: true,
        writable: false,
    };
    let mut bytes = Vec::new();
    for number in 0..200 {
        ring.object().arm(Doorbell::Items, consumer.slot());
        assert!(consumer.peek().unwrap().is_none());
        player.say("write");
        let woken = ready(bell.as_fd(), readable, Some(Duration::from_secs(30))).unwrap();
        assert!(woken.readable && bell.drain());
        assert!(consumer.read_into(&mut bytes).unwrap());
        assert_eq!(number_of(&bytes), number);
        player.hear().unwrap();
    }
    // Awake, it is not rung.
    player.say("write");
    player.hear().unwrap();
    assert!(!bell.drain());
    assert!(consumer.read_into(&mut bytes).unwrap());
}

#[test]
fn a_killed_producer_leaves_no_torn_record_and_its_place_to_the_next() {
    let test = "a_killed_producer_leaves_no_torn_record_and_its_place_to_the_next";
    if let Some(path) = role() {
        let registry = registry(path.as_ref());
        let mut producer = open(&registry).producer(NO_ENVIRONMENT).unwrap();
        tell("ready");
        for number in 0.. {
            producer.write(&record(number), PATIENCE).unwrap();
        }
    }
    let scratch = Scratch::new();
    let registry = registry(scratch.path());
    let mut consumer = open(&registry).consumer(NO_ENVIRONMENT).unwrap();
    let mut bytes = Vec::new();
    let mut seed = 7u32;
    for _ in 0..20 {
        let mut player = Player::start(again::command(test, scratch.path().to_str().unwrap()));
        player.hear().unwrap();
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let life = Duration::from_micros(u64::from(seed % 20_000));
        let begin = Instant::now();
        let mut expected = 0;
        while begin.elapsed() < life || expected == 0 {
            while consumer.read_into(&mut bytes).unwrap() {
                assert_eq!(number_of(&bytes), expected);
                expected += 1;
            }
        }
        player.kill();
        drop(player);
        while consumer.read_into(&mut bytes).unwrap() {
            assert_eq!(number_of(&bytes), expected);
            expected += 1;
        }
    }
}

#[test]
fn a_listing_tells_what_an_object_is_and_who_of_its_parties_is_dead() {
    let test = "a_listing_tells_what_an_object_is_and_who_of_its_parties_is_dead";
    if let Some(path) = role() {
        let registry = registry(path.as_ref());
        let _producer = open(&registry).producer(NO_ENVIRONMENT).unwrap();
        tell("ready");
        listen();
        return;
    }
    let scratch = Scratch::new();
    let registry = registry(scratch.path());
    let ring = open(&registry);
    let consumer = ring.consumer(NO_ENVIRONMENT).unwrap();
    let mut player = Player::start(again::command(test, scratch.path().to_str().unwrap()));
    player.hear().unwrap();
    let described = || {
        let mut listing = registry.list().unwrap();
        listing.objects.remove(0).description.unwrap().unwrap()
    };
    let found = described();
    assert_eq!((found.kind, found.parties.len()), (Kind::Spsc, 2));
    assert_eq!(found.parameters[0], CAPACITY as u64);
    assert_eq!(found.parties[1].pid, player.pid());
    player.kill();
    until("its death is told", || !described().parties[1].alive);
    assert!(described().parties[0].alive);
    assert_eq!(ring.object().sweep(), 1);
    assert_eq!(described().parties.len(), 1);
    drop((consumer, ring));
    assert!(described().parties.is_empty());
    until_removed(&registry);
}

#[test]
fn a_damaged_object_is_listed_with_its_reason_and_refused() {
    let scratch = Scratch::new();
    let registry = registry(scratch.path());
    drop(open(&registry));
    let world = format!("{:016x}", rsipc_sys::identity::world().unwrap());
    let path = scratch.path().join(world).join("ring.shm");
    let whole = fs::read(&path).unwrap();
    let mut other_version = whole.clone();
    other_version[8] += 1;
    let mut damaged = whole.clone();
    damaged[20] ^= 1;
    let noise: Vec<u8> = (0..whole.len()).map(|at| (at * 131 % 251) as u8).collect();
    for (bytes, expected) in [
        (other_version, OpenError::Version { found: 2, known: 1 }),
        (damaged, OpenError::Checksum),
        (noise, OpenError::NotAnObject),
        (vec![0; whole.len()], OpenError::NotReady),
    ] {
        fs::write(&path, bytes).unwrap();
        let listed = registry.list().unwrap().objects.remove(0);
        assert_eq!(listed.description, Some(Err(expected)));
        let memory = registry.open_object(&name()).unwrap();
        let error = OurRing::attach(memory, Arc::clone(registry.os()), Kind::Spsc).unwrap_err();
        assert_eq!(error, expected);
    }
    fs::write(&path, &whole[..100]).unwrap();
    let listed = registry.list().unwrap().objects.remove(0);
    let short = listed.description.unwrap().unwrap_err();
    assert!(matches!(short, OpenError::TooSmall { found: 100, .. }));
    // Nobody has it mapped, so it is dead, whatever is in it.
    until_removed(&registry);
}
