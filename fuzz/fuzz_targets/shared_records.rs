//! Rings of each flavor and a map in use, while another process writes anything anywhere between any
//! two calls: a record, nothing, or a typed error, and nothing outside is touched.

#![no_main]

#[path = "../common/alone.rs"]
mod alone;

use std::mem::forget;
use std::time::Duration;

use alone::{Alone, Heap, disturb};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use rsipc_ring::layout::{BODY, STATE};
use rsipc_ring::map::{Shape, SharedMap, When};
use rsipc_ring::table::NO_ENVIRONMENT;
use rsipc_ring::{Flavor, Policy, Ring};

const CAPACITY: usize = 256;

fn ring(plan: &mut Unstructured<'_>, flavor: Flavor) -> Result<()> {
    let size = Ring::<Heap, Alone>::size(CAPACITY);
    let memory = Heap::new(size);
    let ring = Ring::create(memory.clone(), Alone, flavor, CAPACITY).expect("a ring");
    let mut consumer = ring.consumer(NO_ENVIRONMENT).ok();
    let mut producer = ring.producer(NO_ENVIRONMENT).ok();
    let (mut out, mut leases) = (Vec::new(), Vec::new());
    while !plan.is_empty() {
        match plan.int_in_range(0..=11)? {
            0 | 1 => disturb(plan, &memory, BODY, size)?,
            2 => disturb(plan, &memory, BODY, BODY + 136)?,
            3 => disturb(plan, &memory, STATE, BODY)?,
            4 | 5 => {
                let bytes = vec![7; plan.int_in_range(0..=130)?];
                if let Some(producer) = &mut producer {
                    let _ = producer.try_write(&bytes);
                    let _ = producer.fits(bytes.len());
                    let _ = producer.try_write_batch([&bytes[..], b"more"]);
                }
            }
            6 => {
                let len = plan.int_in_range(0..=100)?;
                let end = plan.int_in_range(0..=2)?;
                if let Some(producer) = &mut producer
                    && let Ok(mut slot) = producer.reserve(len)
                {
                    let len = slot.len();
                    slot.write(len / 2, &vec![9; len - len / 2]);
                    match end {
                        0 => slot.stage(),
                        1 => forget(slot),
                        _ => drop(slot),
                    }
                }
            }
            7 => {
                if let Some(consumer) = &mut consumer {
                    let _ = consumer.read_into(&mut out);
                    assert!(out.len() <= CAPACITY / 2);
                }
            }
            8 => {
                if let Some(consumer) = &mut consumer {
                    let _ = consumer.read_batch(3, |record| record.read_into(&mut out));
                    if let Ok(Some(record)) = consumer.peek() {
                        leases.extend(record.keep());
                    }
                }
            }
            9 => {
                if let (Some(consumer), Some(lease)) = (&mut consumer, leases.pop()) {
                    out.resize(lease.len(), 0);
                    consumer.copy(&lease, 0, &mut out);
                    consumer.release(&lease);
                }
            }
            10 => {
                drop((consumer.take(), leases.drain(..)));
                consumer = ring.consumer(NO_ENVIRONMENT).ok();
                ring.object().sweep();
            }
            _ => {
                drop(producer.take());
                producer = ring.producer(NO_ENVIRONMENT).ok();
                ring.object().sweep();
            }
        }
    }
    Ok(())
}

fn map(plan: &mut Unstructured<'_>) -> Result<()> {
    let shape = Shape::with_shards(2048, 16, plan.int_in_range(1..=2)?);
    let memory = Heap::new(shape.size());
    let map = SharedMap::create(memory.clone(), Alone, shape, 5).expect("a map");
    let (mut value, mut entries) = (Vec::new(), Vec::new());
    while !plan.is_empty() {
        let key = [plan.int_in_range(0..=9)?];
        match plan.int_in_range(0..=10)? {
            0 | 1 => disturb(plan, &memory, BODY, shape.size())?,
            2 => disturb(plan, &memory, BODY, BODY + 256)?,
            3 | 4 => {
                let bytes = vec![3; plan.int_in_range(0..=300)?];
                let ttl = (bytes.len() % 3 == 0).then_some(Duration::from_millis(0));
                let _ = map.set(&key, &bytes, ttl, When::Always);
            }
            5 => {
                let _ = map.add(&key, 1, None);
            }
            6 => {
                let _ = map.delete(&key, When::Always);
            }
            7 => {
                let _ = map.expire(&key, None);
            }
            8 => {
                entries.clear();
                let mut step = Some(0);
                while let Some(at) = step {
                    step = map.scan(at, &mut entries).unwrap_or(None);
                }
            }
            9 => {
                let _ = if plan.ratio(1, 4)? {
                    map.clear()
                } else {
                    map.purge().map(drop)
                };
            }
            _ => {
                let _ = map.get(&key, &mut value);
                assert!(value.len() <= shape.shard_bytes());
                let _ = map.len();
            }
        }
    }
    Ok(())
}

fn run(plan: &mut Unstructured<'_>) -> Result<()> {
    match plan.int_in_range(0..=6)? {
        0 => ring(plan, Flavor::Spsc),
        1 => ring(plan, Flavor::Mpsc),
        2 => ring(plan, Flavor::Broadcast(Policy::Wait)),
        3 => ring(plan, Flavor::Broadcast(Policy::DropOldest)),
        4 => ring(plan, Flavor::Broadcast(Policy::Disconnect)),
        _ => map(plan),
    }
}

fuzz_target!(|input: &[u8]| {
    // A plan that is too short ends in the middle and says nothing.
    let _ = run(&mut Unstructured::new(input));
});
