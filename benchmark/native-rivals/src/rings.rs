//! rsipc: a ring of one producer and one consumer, in memory without a name.

use std::hint::{black_box, spin_loop};
use std::path::Path;
use std::sync::Arc;

use rsipc_core::shm::{Consumer, Producer, Ring, RunDir};
use rsipc_ring::ring::Flavor;
use rsipc_ring::table::NO_ENVIRONMENT;
use rsipc_sys::os::Os;
use rsipc_sys::shm::Mapping;

use crate::race::race;
use crate::{BATCH, RECORDS, ROOM, SIZE, TRIPS, record};

/// The system all rings of a run are in.
pub struct Rings {
    os: Arc<Os>,
}

fn take(consumer: &mut Consumer, record: &mut [u8; SIZE]) {
    loop {
        if let Some(found) = consumer.peek().expect("a sound ring") {
            found.copy(0, record);
            found.release();
            return;
        }
        spin_loop();
    }
}

impl Rings {
    pub fn new(scratch: &Path) -> Rings {
        let run_dir = RunDir::at(&scratch.join("rsipc")).expect("a run directory");
        Rings {
            os: Arc::new(Os::new(run_dir.dir()).expect("a system")),
        }
    }

    fn ends(&self, capacity: usize) -> (Producer, Consumer) {
        let memory = Mapping::anonymous("bench", Ring::size(capacity) as u64).expect("memory");
        memory.prefault().expect("memory");
        let ring = Ring::create(memory, Arc::clone(&self.os), Flavor::Spsc, capacity);
        let ring = ring.expect("a ring");
        let consumer = ring.consumer(NO_ENVIRONMENT).expect("a consumer");
        (ring.producer(NO_ENVIRONMENT).expect("a producer"), consumer)
    }

    /// Nanoseconds of a round trip.
    pub fn trip(&self) -> f64 {
        let (mut asks, mut hears) = self.ends(ROOM * SIZE);
        let (mut answers, mut gets) = self.ends(ROOM * SIZE);
        let took = race(
            (
                || {},
                move |()| {
                    let mut found = [0; SIZE];
                    for number in 0..TRIPS {
                        asks.try_write(&record(number)).expect("room");
                        take(&mut gets, &mut found);
                        assert_eq!(black_box(&found)[..8], number.to_le_bytes());
                    }
                },
            ),
            (
                || {},
                move |()| {
                    let mut found = [0; SIZE];
                    for _ in 0..TRIPS {
                        take(&mut hears, &mut found);
                        answers.try_write(&found).expect("room");
                    }
                },
            ),
        );
        took.as_nanos() as f64 / TRIPS as f64
    }

    /// Millions of records a second, so many of them published together.
    pub fn one_way(&self, batch: u64) -> f64 {
        let (mut producer, mut consumer) = self.ends(ROOM * SIZE);
        let took = race(
            (
                || {},
                move |()| {
                    let mut number = 0;
                    while number < RECORDS {
                        let Ok(mut slot) = producer.reserve(SIZE) else {
                            producer.publish();
                            spin_loop();
                            continue;
                        };
                        slot.write(0, &record(number));
                        slot.stage();
                        number += 1;
                        if number % batch == 0 {
                            producer.publish();
                        }
                    }
                    producer.publish();
                },
            ),
            (
                || {},
                move |()| {
                    let mut found = [0; SIZE];
                    let mut number = 0u64;
                    while number < RECORDS {
                        let count = consumer.read_batch(BATCH as usize, |record| {
                            record.copy(0, &mut found);
                            assert_eq!(black_box(&found)[..8], number.to_le_bytes());
                            number += 1;
                        });
                        if count.expect("a sound ring") == 0 {
                            spin_loop();
                        }
                    }
                },
            ),
        );
        RECORDS as f64 / took.as_secs_f64() / 1e6
    }
}
