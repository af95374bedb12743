//! The flavors against a queue that is simply a queue, over random calls, deaths included.

#![cfg(not(rsipc_loom))]

mod common;

use std::collections::VecDeque;
use std::mem::forget;

use common::{Heap, Process, Random, World};
use rsipc_ring::table::NO_ENVIRONMENT;
use rsipc_ring::{Consumer, Flavor, Policy, Producer, Ring, WriteError};

type Rings = Ring<Heap, Process>;

/// One process after the other, each until it dies.
struct Lives {
    memory: Heap,
    world: std::sync::Arc<World>,
    flavor: Flavor,
    next: u64,
}

impl Lives {
    fn begin(&mut self) -> (Process, Rings) {
        self.next += 1;
        let process = self.world.process(self.next);
        let ring = Ring::attach(self.memory.clone(), process.clone(), self.flavor.kind());
        (process, ring.expect("the ring"))
    }

    fn producer(&mut self) -> (Process, Producer<Heap, Process>) {
        let (process, ring) = self.begin();
        (process, ring.producer(NO_ENVIRONMENT).expect("a producer"))
    }

    fn consumer(&mut self) -> (Process, Consumer<Heap, Process>) {
        let (process, ring) = self.begin();
        (process, ring.consumer(NO_ENVIRONMENT).expect("a consumer"))
    }
}

fn run(flavor: Flavor, seed: u64) {
    let mut random = Random(seed);
    let capacity = 64 << random.below(4);
    let memory = Heap::new(Rings::size(capacity));
    let world = World::new();
    Rings::create(memory.clone(), world.process(1), flavor, capacity).expect("a ring");
    let mut lives = Lives {
        memory,
        world,
        flavor,
        next: 1,
    };
    let (mut reader, mut consumer) = lives.consumer();
    let (mut writer, mut producer) = lives.producer();
    let limit = producer.limit();
    let mut published: VecDeque<Vec<u8>> = VecDeque::new();
    let mut staged: VecDeque<Vec<u8>> = VecDeque::new();
    let mut out = Vec::new();
    for turn in 0..200 {
        match random.below(10) {
            0..=2 => {
                let bytes = vec![turn as u8; random.below(limit + 1)];
                match producer.try_write(&bytes) {
                    Ok(()) => {
                        published.append(&mut staged);
                        published.push_back(bytes);
                    }
                    Err(error) => {
                        assert_eq!(error, WriteError::Full);
                        // What many producers gave up lies there until the consumer passes it.
                        let empty = published.is_empty() && staged.is_empty();
                        assert!(!empty || flavor == Flavor::Mpsc, "{flavor:?}, seed {seed}");
                    }
                }
            }
            3 => {
                let bytes = vec![turn as u8; random.below(limit + 1)];
                if let Ok(mut slot) = producer.reserve(bytes.len()) {
                    slot.write(0, &bytes);
                    slot.stage();
                    // In the ring of many producers a commit is a publication.
                    match flavor {
                        Flavor::Mpsc => published.push_back(bytes),
                        _ => staged.push_back(bytes),
                    }
                }
            }
            4 => {
                producer.publish();
                published.append(&mut staged);
            }
            5 => drop(producer.reserve(random.below(limit + 1))),
            6 | 7 => {
                let found = consumer.read_into(&mut out).expect("a sound ring");
                let expected = published.pop_front();
                assert_eq!(found.then_some(&out), expected.as_ref(), "seed {seed}");
            }
            8 => {
                let count = consumer
                    .read_batch(random.below(5), |record| {
                        record.read_into(&mut out);
                        assert_eq!(Some(&out), published.pop_front().as_ref(), "seed {seed}");
                    })
                    .expect("a sound ring");
                assert!(count < 5);
            }
            _ if random.below(2) == 0 => {
                if let Ok(mut slot) = producer.reserve(random.below(limit + 1)) {
                    slot.write(0, &[]);
                    forget(slot);
                }
                forget(producer);
                writer.kill();
                staged.clear();
                (writer, producer) = lives.producer();
            }
            _ => {
                if let Ok(Some(record)) = consumer.peek() {
                    record.keep();
                }
                forget(consumer);
                reader.kill();
                // A consumer of a broadcast ring begins with what is published after it.
                if matches!(flavor, Flavor::Broadcast(_)) {
                    published.clear();
                }
                (reader, consumer) = lives.consumer();
            }
        }
    }
    assert_eq!(consumer.lost(), 0);
}

#[test]
fn the_flavors_are_queues_whoever_dies() {
    let seeds = if cfg!(miri) { 3 } else { 1500 };
    for flavor in [Flavor::Spsc, Flavor::Mpsc, Flavor::Broadcast(Policy::Wait)] {
        for seed in 1..=seeds {
            run(flavor, u64::wrapping_mul(seed, 0x9E37_79B9_7F4A_7C15) | 1);
        }
    }
}
