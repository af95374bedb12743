//! Bytes as an object, and names that are taken away only from what has them.

#![cfg(target_os = "linux")]
#![allow(dead_code, reason = "not every test plays with all of it")]

#[path = "../../sys/tests/again/mod.rs"]
mod again;

use std::sync::Arc;

use again::Scratch;
use rsipc_core::shm::{Bytes, Code, Name, Registry, RunDir, ShmError};
use rsipc_ring::OpenError;
use rsipc_ring::table::NO_ENVIRONMENT;
use rsipc_sys::shm::Mapping;

fn registry(scratch: &Scratch) -> Registry {
    Registry::of(RunDir::at(scratch.path()).unwrap()).unwrap()
}

fn bytes(size: usize, registry: &Registry) -> (Mapping, Bytes) {
    let memory = Mapping::anonymous("test", Bytes::size(size) as u64).unwrap();
    let os = Arc::clone(registry.os());
    (memory.clone(), Bytes::create(memory, os, size).unwrap())
}

#[test]
fn bytes_are_as_many_as_were_asked_for_and_begin_aligned() {
    let scratch = Scratch::new();
    let registry = registry(&scratch);
    for size in [1, 63, 64, 100_000] {
        let (memory, made) = bytes(size, &registry);
        let found = Bytes::attach(memory, Arc::clone(registry.os())).unwrap();
        assert_eq!((made.len(), found.len()), (size, size));
        assert!(!found.is_empty());
    }
    assert_eq!(Bytes::OFFSET % 64, 0);
}

#[test]
fn a_listing_shows_who_uses_bytes_and_more_users_than_places_are_no_error() {
    let scratch = Scratch::new();
    let registry = registry(&scratch);
    let (_memory, made) = bytes(10, &registry);
    let parties: Vec<_> = (0..130).map(|_| made.party(NO_ENVIRONMENT)).collect();
    assert_eq!(parties.iter().flatten().count(), 128);
    assert_eq!(made.object().occupants().count(), 128);
}

#[test]
fn another_kind_is_refused_with_a_stable_code() {
    let scratch = Scratch::new();
    let registry = registry(&scratch);
    let (memory, _made) = bytes(5_000, &registry);
    let error = rsipc_core::shm::Cell::attach(memory, Arc::clone(registry.os())).unwrap_err();
    assert!(matches!(error, OpenError::Kind { .. }));
    assert_eq!(error.code(), "ERR_RSIPC_WRONG_KIND");
}

#[test]
fn a_name_is_taken_away_only_from_the_object_that_has_it() {
    let scratch = Scratch::new();
    let registry = registry(&scratch);
    let name = Name::parse("x").unwrap();
    let make = || {
        let made = registry.create(&name, Bytes::size(8) as u64, |memory| {
            Ok::<_, ShmError>(memory)
        });
        made.unwrap()
    };
    let first = make();
    assert!(registry.unlink_own(&name, &first).unwrap());
    assert!(!registry.unlink_own(&name, &first).unwrap());
    let second = make();
    assert!(!registry.unlink_own(&name, &first).unwrap());
    assert!(registry.open_object(&name).is_ok());
    assert!(registry.unlink_own(&name, &second).unwrap());
    assert!(registry.open_object(&name).is_err());
}
