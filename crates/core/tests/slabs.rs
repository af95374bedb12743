//! Slabs: blocks that are lent and come back, what is too much, and peers that write what they like.

#![cfg(target_os = "linux")]

mod both;
mod peer;

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use both::{Both, End, Got, envelope};
use rsipc_core::channel::Sent;
use rsipc_core::slab::{Place, Pool};
use rsipc_ring::Region;
use rsipc_sys::shm::Mapping;

const MIB: usize = 1024 * 1024;
/// Where the leases of a slab are.
const WORDS: usize = 64;

/// The descriptor in the next message that has one.
fn descriptor(end: &mut End) -> OwnedFd {
    end.messages()
        .into_iter()
        .find_map(|got| match got {
            Got::Handle(_, descriptor, _) => descriptor,
            _ => None,
        })
        .expect("a descriptor")
}

/// A parent with a slab of so many bytes that its child has, and the memory for whoever wants to spoil it.
fn with_slab(capacity: usize) -> (Both, Region<Mapping>) {
    let mut both = Both::new();
    let offer = envelope("fd", "{}");
    both.parent.channel.offer_slab(&offer, capacity).unwrap();
    both.settle();
    let file = descriptor(&mut both.child);
    let memory = Mapping::received(file.try_clone().unwrap()).unwrap();
    both.child.channel.accept_slab(0, file).unwrap();
    assert_eq!(
        both.parent.channel.lay(&[1; 100]),
        None,
        "before the child says that it has it"
    );
    both.parent.channel.slab_ready(0);
    (both, Region::new(memory).unwrap())
}

fn read(both: &Both, place: &Place) -> Vec<u8> {
    let found = both.child.channel.find(place).expect("bytes");
    let mut out = vec![0; found.len()];
    found.copy_to(&mut out);
    out
}

#[test]
fn bytes_are_where_their_place_says_and_places_survive_their_bytes() {
    let (mut both, _) = with_slab(MIB);
    for len in [1, 4095, 4096, 4097, 100_000] {
        let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
        let place = both.parent.channel.lay(&bytes).unwrap();
        assert_eq!(Place::from_bytes(&place.to_bytes()), place);
        assert_eq!(read(&both, &place), bytes);
        let found = both.child.channel.find(&place).unwrap();
        assert!(found.done());
        assert!(!found.done() && !found.keep(), "it is back");
    }
}

#[test]
fn a_block_comes_back_once_when_its_copy_is_made_or_its_view_ends() {
    let (mut both, _) = with_slab(MIB);
    let places: Vec<Place> = (0..4)
        .map(|i| both.parent.channel.lay(&vec![i; MIB / 4]).unwrap())
        .collect();
    assert_eq!(both.parent.channel.lay(&[9]), None, "all is lent");
    let found: Vec<_> = places
        .iter()
        .map(|place| both.child.channel.find(place).unwrap())
        .collect();
    assert!(found[0].keep() && found[1].done() && found[2].keep());
    found[2].give_back();
    found[2].give_back();
    let again = both.parent.channel.lay(&vec![7; MIB / 2]).unwrap();
    assert_eq!(
        both.parent.channel.lay(&[9]),
        None,
        "those two blocks and no others are back"
    );
    assert_eq!(again.offset, places[1].offset);
    found[1].give_back();
    assert!(
        !found[2].done() && !found[1].keep(),
        "a lending that is over is nothing"
    );
    assert_eq!(read(&both, &again), vec![7; MIB / 2]);
    assert_eq!(read(&both, &places[0]), vec![0; MIB / 4]);
}

#[test]
fn what_a_message_had_that_was_refused_comes_back_with_the_next() {
    let (mut both, _) = with_slab(MIB);
    let mut places = Vec::new();
    for _ in 0..3 {
        for _ in 0..2 {
            places.push(both.parent.channel.lay(&[4; 10_000]).unwrap());
        }
        both.parent.channel.send_slice(false, b"\"x\"").unwrap();
    }
    let found: Vec<_> = places
        .iter()
        .map(|place| both.child.channel.find(place).unwrap())
        .collect();
    // Nothing of the first message, and half of the second.
    assert!(found[2].keep() && found[4].keep() && found[5].keep());
    assert_eq!(both.parent.channel.lay(&[0; MIB]), None);
    assert!(!found[0].keep() && !found[1].keep() && !found[3].keep());
    for found in &found {
        found.give_back();
    }
    assert!(both.parent.channel.lay(&[0; MIB]).is_some());
}

#[test]
fn what_is_taken_back_was_never_lent() {
    let (mut both, _) = with_slab(MIB);
    for _ in 0..10_000 {
        both.parent.channel.lay(&[1; MIB / 2]).unwrap();
        both.parent.channel.lay(&[2; 10]).unwrap();
        both.parent.channel.take_back(2);
    }
    both.parent.channel.take_back(5);
    assert_eq!(both.parent.channel.queued_bytes(), 0);
}

#[test]
fn leases_are_as_bounded_as_bytes() {
    let (mut both, _) = with_slab(64 * MIB);
    let lent = (0..10_000)
        .take_while(|_| both.parent.channel.lay(&[1]).is_some())
        .count();
    assert_eq!(lent, 4096);
    assert_eq!(both.parent.channel.lay(&[]), None);
    assert_eq!(both.parent.channel.lay(&vec![0; 65 * MIB]), None);
}

#[test]
fn a_sender_that_is_ahead_is_told_to_wait_and_woken_when_bytes_are_taken() {
    let (mut both, _) = with_slab(64 * MIB);
    let mut places = Vec::new();
    let parent = &mut both.parent.channel;
    let mut sent = Sent::Written;
    while sent == Sent::Written {
        places.push(parent.lay(&vec![0; MIB]).unwrap());
        sent = parent.send_slice(false, b"\"x\"").unwrap();
    }
    assert_eq!((sent, places.len()), (Sent::Blocked, 5));
    assert_eq!(parent.queued_bytes(), MIB);
    assert_eq!(parent.written() + 1, parent.accepted());
    assert!(!parent.eased());
    both.settle();
    assert_eq!(both.child.messages().len(), 5);
    let found = both.child.channel.find(&places[0]).unwrap();
    assert!(found.keep());
    both.child.channel.taken().unwrap();
    both.settle();
    assert!(both.parent.channel.eased());
    assert_eq!(both.parent.channel.queued_bytes(), 0);
    assert_eq!(
        both.parent.channel.written(),
        both.parent.channel.accepted()
    );
}

#[test]
fn a_stretch_of_a_pool_is_lent_in_slices_and_free_when_all_have_done_with_it() {
    let (mut both, _) = with_slab(MIB);
    let pool = Pool::new(MIB).unwrap();
    let stretch = Arc::new(pool.take(600_000).unwrap());
    assert_eq!(
        both.parent.channel.lay_stretch(&stretch, 0, 10),
        None,
        "the child has it not"
    );
    both.parent
        .channel
        .offer_pool(&envelope("fd", "{}"), &pool)
        .unwrap();
    both.settle();
    let file = descriptor(&mut both.child);
    both.child.channel.accept_slab(1, file).unwrap();
    both.parent.channel.slab_ready(1);
    let memory = Region::new(pool.pages()).unwrap();
    memory.write(stretch.offset() + 1000, b"here");
    let parent = &mut both.parent.channel;
    for (at, len) in [(599_999, 2), (600_001, 0), (usize::MAX, 1), (0, usize::MAX)] {
        assert_eq!(parent.lay_stretch(&stretch, at, len), None);
    }
    let place = parent.lay_stretch(&stretch, 1000, 4).unwrap();
    assert_eq!(read(&both, &place), b"here");
    drop(stretch);
    assert!(pool.take(600_000).is_none(), "the lease has it");
    assert!(both.child.channel.find(&place).unwrap().done());
    both.parent.channel.lay(&[1]).unwrap(); // looks what is back
    assert!(pool.take(600_000).is_some());
}

#[test]
fn places_that_cannot_be_are_refused() {
    let (mut both, memory) = with_slab(MIB);
    let good = both.parent.channel.lay(&[5; 4096]).unwrap();
    let size = u32::try_from(memory.size()).unwrap();
    for bad in [
        Place { slab: 1, ..good },
        Place { slab: 2, ..good },
        Place {
            slab: u32::MAX,
            ..good
        },
        Place {
            lease: 4096,
            ..good
        },
        Place {
            lease: u32::MAX,
            ..good
        },
        Place {
            number: u32::MAX,
            ..good
        },
        Place { offset: 0, ..good },
        Place {
            offset: size,
            ..good
        },
        Place {
            offset: size - 4095,
            ..good
        },
        Place {
            offset: u32::MAX,
            ..good
        },
        Place { length: 0, ..good },
        Place {
            length: size,
            ..good
        },
        Place {
            length: u32::MAX,
            ..good
        },
    ] {
        assert!(both.child.channel.find(&bad).is_none(), "{bad:?}");
    }
    let other = Place {
        number: good.number + 1,
        ..good
    };
    assert!(!both.child.channel.find(&other).unwrap().keep());
}

#[test]
fn memory_that_is_no_slab_is_refused() {
    let mut both = Both::new();
    let child = &mut both.child.channel;
    assert!(
        child
            .accept_slab(0, File::open("/dev/null").unwrap().into())
            .is_err()
    );
    let small = Mapping::unreserved("rsipc-test", 4096).unwrap();
    assert!(
        child
            .accept_slab(0, small.file().try_clone_to_owned().unwrap())
            .is_err()
    );
    let large = Mapping::unreserved("rsipc-test", 1 << 31).unwrap();
    assert!(
        child
            .accept_slab(0, large.file().try_clone_to_owned().unwrap())
            .is_err()
    );
    let fine = Mapping::unreserved("rsipc-test", 1 << 20).unwrap();
    for (slab, taken) in [
        (2, false),
        (u32::MAX, false),
        (0, true),
        (0, false),
        (1, true),
        (1, false),
    ] {
        let file = fine.file().try_clone_to_owned().unwrap();
        assert_eq!(child.accept_slab(slab, file).is_ok(), taken, "{slab}");
    }
}

#[test]
fn a_peer_that_writes_anything_into_the_leases_harms_what_it_was_lent_alone() {
    let (mut both, memory) = with_slab(MIB);
    let mut seed = 1u32;
    let mut random = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed >> 8
    };
    for _ in 0..20_000 {
        let parent = &mut both.parent.channel;
        if let Some(place) = parent.lay(&vec![3; 1 + random() as usize % 300_000]) {
            assert!(place.offset as usize + place.length as usize <= memory.size());
            let word = memory.half(WORDS + place.lease as usize * 4);
            match random() % 4 {
                0 => word.store(random(), SeqCst),
                1 => word.store(place.number << 2, SeqCst),
                2 => word.store(place.number << 2 | 2, SeqCst),
                _ => drop(both.child.channel.find(&place).map(|found| found.done())),
            }
        }
        memory
            .half(WORDS + random() as usize % 4096 * 4)
            .store(random(), SeqCst);
        let _ = parent.eased();
        assert!(parent.queued_bytes() <= MIB);
    }
}
