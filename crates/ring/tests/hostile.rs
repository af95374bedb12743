//! Whatever a peer writes into the memory: a record, nothing, or a typed error, and no access
//! outside. (An access outside panics, by the checks in `memory.rs`.)

#![cfg(not(rsipc_loom))]

mod common;

use std::mem::forget;

use common::{FLAVORS, Heap, Process, Random, World};
use rsipc_ring::layout::{BODY, HEADER, Header, Kind, STATE};
use rsipc_ring::table::NO_ENVIRONMENT;
use rsipc_ring::{Cell, Flavor, Ring};

type Rings = Ring<Heap, Process>;

const CAPACITY: usize = 256;

impl Random {
    /// A word such as breaks things.
    fn word(&mut self) -> u64 {
        match self.below(8) {
            0 => self.next(),
            1 => self.next() & 0xFFF8,
            2 => self.next() & 0x0000_0003_0000_00FF,
            3 => 0,
            4 => u64::MAX - self.next() % 64,
            5 => 1 << self.below(64),
            6 => self.next() % 1024,
            _ => ((self.next() % 5) << 32) | (self.next() % 300),
        }
    }
}

fn rounds(all: usize) -> usize {
    if cfg!(miri) { all / 100 } else { all }
}

#[test]
fn random_headers_are_refused_or_sound() {
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    let world = World::new();
    let memory = Heap::new(Rings::size(CAPACITY));
    let kinds = [
        Kind::Spsc,
        Kind::Mpsc,
        Kind::Broadcast,
        Kind::Cell,
        Kind::Mutex,
    ];
    for _ in 0..rounds(20_000) {
        // A header that says anything, under a checksum that is right.
        let header = Header {
            kind: if random.below(9) == 0 {
                random.next() as u32
            } else {
                kinds[random.below(kinds.len())] as u32
            },
            total: if random.below(3) == 0 {
                random.word()
            } else {
                Rings::size(CAPACITY) as u64
            },
            world: if random.below(9) == 0 {
                random.word()
            } else {
                1
            },
            parameters: [1 << random.below(12), random.word(), random.word()],
        };
        let mut bytes = header.encode();
        if random.below(2) == 0 {
            bytes[random.below(HEADER)] = random.next() as u8;
        }
        memory.poke(0, &bytes);
        memory.poke_word(
            STATE,
            if random.below(9) == 0 {
                random.word()
            } else {
                1
            },
        );
        for kind in kinds {
            if let Ok(ring) = Ring::attach(memory.clone(), world.process(1), kind) {
                assert!(Rings::size(ring.capacity()) <= Rings::size(CAPACITY));
                assert_eq!(ring.flavor().kind(), kind);
            }
        }
        let cell = Cell::attach(memory.clone(), world.process(1));
        assert!(cell.is_err() || header.kind == Kind::Cell as u32);
    }
}

/// What the ends do with a memory in which somebody else writes between any two calls.
fn torment(flavor: Flavor, seed: u64) {
    let mut random = Random(seed);
    let world = World::new();
    let memory = Heap::new(Rings::size(CAPACITY));
    let ring = Ring::create(memory.clone(), world.process(1), flavor, CAPACITY).expect("a ring");
    let mut consumer = ring.consumer(NO_ENVIRONMENT).ok();
    let mut producer = ring.producer(NO_ENVIRONMENT).ok();
    let mut out = Vec::new();
    let mut leases = Vec::new();
    for _ in 0..60 {
        match random.below(10) {
            // The latch is left alone: one that names a living owner is waited for.
            0 | 1 => {
                let at = BODY + random.below((256 + CAPACITY) / 8) * 8;
                memory.poke_word(at, random.word());
            }
            2 => {
                let words = [0, 8, 16, 128];
                let at = BODY + words[random.below(words.len())];
                memory.poke_word(at, random.word());
            }
            3 => {
                let at = 128 + random.below((BODY - 128) / 8) * 8;
                memory.poke_word(at, random.word());
            }
            4 => {
                if let Some(producer) = &mut producer {
                    let bytes = vec![7; random.below(130)];
                    let _ = producer.try_write(&bytes);
                    let _ = producer.fits(bytes.len());
                }
            }
            5 => {
                if let Some(producer) = &mut producer
                    && let Ok(mut slot) = producer.reserve(random.below(100))
                {
                    let len = slot.len();
                    slot.write(len / 2, &vec![9; len - len / 2]);
                    match random.below(3) {
                        0 => slot.stage(),
                        1 => forget(slot),
                        _ => drop(slot),
                    }
                }
            }
            6 => {
                if let Some(consumer) = &mut consumer {
                    let _ = consumer.read_into(&mut out);
                    assert!(out.len() <= CAPACITY / 2);
                }
            }
            7 => {
                if let Some(consumer) = &mut consumer {
                    let _ = consumer.read_batch(3, |record| record.read_into(&mut out));
                    if let Ok(Some(record)) = consumer.peek() {
                        leases.extend(record.keep());
                    }
                }
            }
            8 => {
                if let (Some(consumer), Some(lease)) = (&mut consumer, leases.pop()) {
                    out.resize(lease.len(), 0);
                    consumer.copy(&lease, 0, &mut out);
                    consumer.release(&lease);
                }
            }
            _ => {
                if random.below(2) == 0 {
                    drop((consumer.take(), leases.drain(..)));
                    consumer = ring.consumer(NO_ENVIRONMENT).ok();
                } else {
                    drop(producer.take());
                    producer = ring.producer(NO_ENVIRONMENT).ok();
                }
                ring.object().sweep();
            }
        }
    }
}

#[test]
fn a_peer_that_writes_anywhere_breaks_nothing_outside() {
    for flavor in FLAVORS {
        for seed in 1..=rounds(4000) as u64 {
            torment(flavor, seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        }
    }
}
