//! The latest value, never torn, whoever dies.

#![cfg(not(rsipc_loom))]

mod common;

use std::mem::forget;
use std::thread;
use std::time::Duration;

use common::{Heap, Process, World};
use rsipc_ring::table::NO_ENVIRONMENT;
use rsipc_ring::{Cell, Corrupt, OpenError, Patience, WriteError};

type Cells = Cell<Heap, Process>;

#[test]
fn the_latest_value_is_read() {
    let (memory, world) = (Heap::new(Cells::size(100)), World::new());
    let cell = Cell::create(memory.clone(), world.process(1), 100).expect("a cell");
    let other = Cell::attach(memory, world.process(2)).expect("the cell");
    let mut out = vec![1];
    assert_eq!(other.get(&mut out), Ok(0));
    assert!(out.is_empty());
    for len in 0..=100u8 {
        assert_eq!(cell.set(&vec![len; len.into()]), Ok(u64::from(len) + 1));
        assert_eq!(other.get(&mut out), Ok(u64::from(len) + 1));
        assert_eq!(out, vec![len; len.into()]);
    }
    let too_large = WriteError::TooLarge {
        size: 101,
        limit: 100,
    };
    assert_eq!(cell.set(&[0; 101]), Err(too_large));
}

#[test]
fn a_racing_reader_never_sees_a_torn_value() {
    let (memory, world) = (Heap::new(Cells::size(333)), World::new());
    let cell = Cell::create(memory.clone(), world.process(1), 333).expect("a cell");
    let count = if cfg!(miri) { 30 } else { 20_000u64 };
    thread::scope(|scope| {
        for number in 0..2 {
            let writer = Cell::attach(memory.clone(), world.process(number + 2)).expect("the cell");
            scope.spawn(move || {
                for turn in 0..count {
                    let byte = (turn * 2 + number) as u8;
                    let len = usize::from(byte) + 1;
                    writer.set(&vec![byte; len]).expect("a sound cell");
                }
            });
        }
        let mut out = Vec::new();
        let mut last = 0;
        while last < 2 * count {
            let version = cell.get(&mut out).expect("a sound cell");
            assert!(version >= last);
            last = version;
            if version > 0 {
                assert_eq!(out.len(), usize::from(out[0]) + 1);
                assert!(out.iter().all(|&byte| byte == out[0]), "a torn value");
            }
        }
    });
}

#[test]
fn a_waiting_thread_hears_of_a_new_value() {
    let (memory, world) = (Heap::new(Cells::size(8)), World::new());
    let cell = Cell::create(memory.clone(), world.process(1), 8).expect("a cell");
    let other = Cell::attach(memory, world.process(2)).expect("the cell");
    thread::scope(|scope| {
        scope.spawn(move || {
            let party = other.party(NO_ENVIRONMENT).expect("a slot");
            let mut seen = 0;
            while seen < 50 {
                assert!(other.wait(&party, seen, Patience::default()));
                seen = other.version();
            }
            let patience = Patience {
                timeout: Some(Duration::from_millis(1)),
                ..Patience::default()
            };
            assert!(!other.wait(&party, seen, patience));
        });
        for _ in 0..50 {
            cell.set(b"value").expect("a sound cell");
            thread::yield_now();
        }
    });
}

#[test]
fn a_dead_writer_keeps_nobody_from_setting() {
    let (memory, world) = (Heap::new(Cells::size(8)), World::new());
    let dying = world.process(2);
    let cell = Cell::create(memory.clone(), world.process(1), 8).expect("a cell");
    let other = Cell::attach(memory, dying.clone()).expect("the cell");
    cell.set(b"old").expect("a sound cell");
    forget(other.object().latch());
    dying.kill();
    let mut out = Vec::new();
    assert_eq!(cell.get(&mut out), Ok(1));
    assert_eq!(cell.set(b"new"), Ok(2));
    assert_eq!(cell.get(&mut out), Ok(2));
    assert_eq!(out, b"new");
}

#[test]
fn a_length_that_cannot_be_is_an_error() {
    let (memory, world) = (Heap::new(Cells::size(8)), World::new());
    let cell = Cell::create(memory.clone(), world.process(1), 8).expect("a cell");
    cell.set(b"value").expect("a sound cell");
    let place = rsipc_ring::layout::BODY + 64 + 64;
    assert_eq!(memory.look_word(place), 5);
    memory.poke_word(place, 9);
    assert!(matches!(cell.get(&mut Vec::new()), Err(Corrupt { .. })));
    let large: Result<Cells, _> = Cell::create(memory, world.process(1), usize::MAX);
    assert_eq!(large.err(), Some(OpenError::Parameter("value size")));
}
