//! Memory of another process, attached to as every kind of object: whatever its header and the rest of
//! it say, it is refused or it can be used, and nothing outside of it is touched.

#![no_main]

#[path = "../common/alone.rs"]
mod alone;

use alone::{Alone, Heap, disturb, word};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use rsipc_ring::layout::{BODY, HEADER, Header, Kind, STATE};
use rsipc_ring::lock::{Barrier, Event, Mutex, RwLock, Semaphore};
use rsipc_ring::map::{SharedMap, When};
use rsipc_ring::object::read_header;
use rsipc_ring::table::NO_ENVIRONMENT;
use rsipc_ring::{Cell, Region, Ring};

fn run(plan: &mut Unstructured<'_>) -> Result<()> {
    let size = BODY + plan.int_in_range(0..=1024)? * 8;
    let memory = Heap::new(size);
    let mut bytes = Header {
        kind: plan.int_in_range(0..=12)?,
        total: if plan.ratio(1, 4)? {
            word(plan)?
        } else {
            size as u64
        },
        world: plan.ratio(15, 16)?.into(),
        parameters: [word(plan)?, word(plan)?, word(plan)?],
    }
    .encode();
    if plan.ratio(1, 8)? {
        // Seldom right from here on.
        let at = plan.choose_index(HEADER)?;
        bytes[at] ^= plan.arbitrary::<u8>()?;
    }
    memory.poke(0, &bytes);
    let state = if plan.ratio(1, 16)? { word(plan)? } else { 1 };
    memory.poke_word(STATE, state);
    for _ in 0..plan.int_in_range(0..=40)? {
        let from = *plan.choose(&[HEADER + 8, BODY - 8, BODY - 8])?;
        let to = if from == BODY - 8 { size } else { BODY };
        disturb(plan, &memory, from, to)?;
    }
    let region = Region::new(memory.clone()).expect("aligned");
    let header = read_header(&region);
    let _ = format!("{header:?}");
    attach(&memory);
    Ok(())
}

fn attach(memory: &Heap) {
    let memory = || memory.clone();
    let mut out = Vec::new();
    for kind in [Kind::Spsc, Kind::Mpsc, Kind::Broadcast] {
        let Ok(ring) = Ring::attach(memory(), Alone, kind) else {
            continue;
        };
        ring.object().sweep();
        if let Ok(mut consumer) = ring.consumer(NO_ENVIRONMENT) {
            for _ in 0..8 {
                let _ = consumer.read_into(&mut out);
                assert!(out.len() <= ring.capacity());
            }
        }
        if let Ok(mut producer) = ring.producer(NO_ENVIRONMENT) {
            let _ = producer.try_write(b"bytes");
        }
    }
    if let Ok(cell) = Cell::attach(memory(), Alone) {
        let _ = cell.get(&mut out);
        assert!(out.len() <= cell.limit());
        let _ = cell.set(b"");
        let _ = cell.party(NO_ENVIRONMENT);
    }
    if let Ok(mut lock) = Mutex::attach(memory(), Alone, NO_ENVIRONMENT) {
        if let Ok(Some(held)) = lock.poll() {
            let _ = lock.unlock(held.fence);
        }
        lock.cancel();
    }
    if let Ok(mut lock) = RwLock::attach(memory(), Alone, NO_ENVIRONMENT) {
        if let Ok(Some(_)) = lock.poll_read() {
            let _ = lock.unlock_read();
        }
        lock.cancel();
        if let Ok(Some(held)) = lock.poll_write() {
            let _ = lock.unlock_write(held.fence);
        }
        lock.cancel();
    }
    if let Ok(mut permits) = Semaphore::attach(memory(), Alone, NO_ENVIRONMENT) {
        if permits.poll(1) == Ok(true) {
            let _ = permits.release(1);
        }
        permits.cancel();
        let _ = permits.available();
    }
    if let Ok(mut event) = Event::attach(memory(), Alone, NO_ENVIRONMENT) {
        let _ = event.poll();
        let _ = event.set();
        event.cancel();
    }
    if let Ok(mut barrier) = Barrier::attach(memory(), Alone, NO_ENVIRONMENT) {
        let _ = barrier.poll();
        let _ = barrier.cancel();
        let _ = barrier.reset();
    }
    if let Ok(map) = SharedMap::attach(memory(), Alone) {
        let _ = map.get(b"key", &mut out);
        let _ = map.set(b"key", b"value", None, When::Always);
        let _ = map.add(b"count", 1, None);
        let _ = map.delete(b"key", When::Always);
        let (mut entries, mut step) = (Vec::new(), Some(0));
        while let Some(at) = step {
            step = map.scan(at, &mut entries).unwrap_or(None);
        }
        let _ = map.purge();
        let _ = map.len();
    }
}

fuzz_target!(|input: &[u8]| {
    // A plan that is too short ends in the middle and says nothing.
    let _ = run(&mut Unstructured::new(input));
});
