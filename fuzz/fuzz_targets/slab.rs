//! A slab, driven by a script: bytes are laid, sent, found, kept, given back in any order and more than once, places
//! are made up, and, in half of the scripts, words of the memory are spoilt.
//!
//! Nothing panics, and nothing is found outside of the memory. Unless it was spoilt, what was laid is what is found as
//! long as it is lent, and all of it comes back in the end.

#![no_main]

use std::sync::atomic::Ordering::SeqCst;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use rsipc_core::slab::{Place, Received};
use rsipc_ring::Region;
use rsipc_sys::shm::Mapping;

#[path = "../../crates/core/tests/both/mod.rs"]
mod both;

use both::{Both, Got, envelope};

const CAPACITY: usize = 256 * 1024;
const STEPS: usize = 200;

struct Lent {
    place: Place,
    byte: u8,
    found: Option<Received>,
}

fn run(plan: &mut Unstructured<'_>) -> Result<()> {
    let mut both = Both::new();
    both.parent
        .channel
        .offer_slab(&envelope("fd", "{}"), CAPACITY)
        .expect("a slab");
    both.settle();
    let file = both.child.messages().into_iter().find_map(|got| match got {
        Got::Handle(_, descriptor, _) => descriptor,
        _ => None,
    });
    let file = file.expect("its descriptor");
    let memory = Mapping::received(file.try_clone().expect("a duplicate")).expect("its memory");
    let memory = Region::new(memory).expect("a region");
    both.child.channel.accept_slab(0, file).expect("the slab");
    both.parent.channel.slab_ready(0);

    let spoils: bool = plan.arbitrary()?;
    let mut lent: Vec<Lent> = Vec::new();
    for _ in 0..STEPS {
        if plan.is_empty() {
            break;
        }
        match plan.int_in_range(0..=7)? {
            0 | 1 => {
                let (len, byte) = (plan.int_in_range(0..=CAPACITY + 1)?, plan.arbitrary()?);
                if let Some(place) = both.parent.channel.lay(&vec![byte; len]) {
                    lent.push(Lent {
                        place,
                        byte,
                        found: None,
                    });
                    if plan.arbitrary()? {
                        both.parent
                            .channel
                            .send_slice(false, b"\"x\"")
                            .expect("a channel");
                    } else {
                        both.parent.channel.take_back(1);
                        lent.pop();
                    }
                }
            }
            // In the order of the messages, as a channel does; what is passed over is refused.
            2 | 3 => {
                let skip = plan.int_in_range(0..=1)?;
                if let Some(next) = lent
                    .iter_mut()
                    .filter(|lent| lent.found.is_none())
                    .nth(skip)
                {
                    let found = both.child.channel.find(&next.place).expect("what was laid");
                    let mut out = vec![0; found.len()];
                    found.copy_to(&mut out);
                    let whole = out.iter().all(|byte| *byte == next.byte);
                    if found.keep() {
                        assert!(spoils || whole);
                        next.found = Some(found);
                    }
                }
            }
            4 => {
                if !lent.is_empty() {
                    let at = plan.choose_index(lent.len())?;
                    if let Some(found) = &lent[at].found {
                        let mut out = vec![0; found.len()];
                        found.copy_to(&mut out);
                        assert!(spoils || out.iter().all(|byte| *byte == lent[at].byte));
                        found.give_back();
                        found.give_back();
                        lent.remove(at);
                    }
                }
            }
            5 => {
                let mut bytes = [0; Place::SIZE];
                plan.fill_buffer(&mut bytes)?;
                if let Some(found) = both.child.channel.find(&Place::from_bytes(&bytes)) {
                    assert!(found.offset() + found.len() <= memory.size());
                    if spoils {
                        let _ = found.done() || found.keep();
                        found.give_back();
                    }
                }
            }
            6 => {
                both.settle();
                both.child.messages();
                let _ = both.child.channel.taken();
                let _ = both.parent.channel.eased();
            }
            _ => {
                if spoils {
                    let at = plan.int_in_range(0..=5_000)? * 4;
                    memory.half(at).store(plan.arbitrary()?, SeqCst);
                }
            }
        }
    }
    if spoils {
        return Ok(());
    }
    for lent in &lent {
        let found = both.child.channel.find(&lent.place).expect("what was laid");
        let _ = found.keep();
        found.give_back();
    }
    assert!(
        both.parent.channel.lay(&vec![1; CAPACITY]).is_some(),
        "all has come back"
    );
    Ok(())
}

fuzz_target!(|bytes: &[u8]| {
    let _ = run(&mut Unstructured::new(bytes));
});
