//! What becomes of descriptors when the process runs out of them, and that none is ever left
//! over. Alone in its process: the ledger is `/proc/self/fd` and the limit is everyone's.

#![cfg(target_os = "linux")]

mod peer;

use std::fs;
use std::os::fd::OwnedFd;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use peer::{ACK, NACK, Peer, envelope, line, receive};
use rsipc_core::channel::{Event, Limits, Outgoing, Serialization};

/// Open descriptors, apart from the one that looks.
fn ledger() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count() - 1
}

fn answers(peer: &Peer) -> Vec<u8> {
    peer.read_all()
        .into_iter()
        .flat_map(|read| read.bytes)
        .collect()
}

/// Runs `body` with room for only `room` more descriptors.
fn with_room_for<T>(room: u64, body: impl FnOnce() -> T) -> T {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let top = fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u64>().ok())
        .max()
        .unwrap();
    // Close every gap below the highest number, so that the limit is exact.
    let filler = peer::not_a_socket();
    let mut fillers: Vec<OwnedFd> = Vec::new();
    while fillers
        .last()
        .is_none_or(|fd| (std::os::fd::AsRawFd::as_raw_fd(fd) as u64) <= top)
    {
        fillers.push(rsipc_sys::fd::duplicate(std::os::fd::AsFd::as_fd(&filler)).unwrap());
    }
    let last = std::os::fd::AsRawFd::as_raw_fd(fillers.last().unwrap()) as u64;
    setrlimit(Resource::RLIMIT_NOFILE, last + 1 + room, hard).unwrap();
    let result = body();
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    result
}

// One test, because its parts would disturb each other's count.
#[test]
fn no_descriptor_is_left_over_and_none_is_lost_in_silence() {
    unasked_and_refused_ones_are_closed();
    out_of_descriptors_is_told_to_both_sides();
    a_socket_lost_for_want_of_descriptors_arrives_when_there_is_room();
    handles_on_their_way_are_closed_with_the_channel();
    more_than_may_wait_are_closed_at_once();
}

fn unasked_and_refused_ones_are_closed() {
    let before = ledger();
    {
        let (mut channel, peer) = Peer::json();
        let fd = peer::not_a_socket();
        for turn in 0..2_000usize {
            let fds: Vec<&OwnedFd> = std::iter::repeat_n(&fd, 1 + turn % 60).collect();
            match turn % 4 {
                0 => peer.write_with(b"\"plain\"\n", &fds),
                1 => peer.write_with(&line(envelope("net.Socket", "1")), &fds),
                2 => peer.write_with(&line(envelope("net.Martian", "1")), &fds),
                _ => peer.write_with(b"\"half of", &fds[..1]),
            }
            for event in receive(&mut channel) {
                assert!(!matches!(
                    event,
                    Event::Handle {
                        descriptor: Some(_),
                        ..
                    }
                ));
            }
            if turn % 4 == 3 {
                peer.write(b" a frame\"\n");
                receive(&mut channel);
            }
            answers(&peer);
        }
        drop(fd);
        assert_eq!(ledger(), before + 2, "while the channel is open");
        assert!(channel.unclaimed() > 500);
    }
    assert_eq!(ledger(), before);
}

fn out_of_descriptors_is_told_to_both_sides() {
    let before = ledger();
    {
        let (mut channel, peer) = Peer::json();
        let fd = peer::socket();
        let frame = line(envelope("net.Native", "1"));
        let events = with_room_for(0, || {
            peer.write_with(&frame, &[&fd]);
            receive(&mut channel)
        });
        let [
            Event::Handle {
                descriptor: None,
                problem: Some("lost"),
                ..
            },
        ] = &events[..]
        else {
            panic!("{events:?}")
        };
        assert_eq!(answers(&peer), NACK);
        // Three sent together and room for one: the first is right, the others are not mixed up.
        let events = with_room_for(1, || {
            peer.write_with(&frame.repeat(3), &[&fd, &fd, &fd]);
            receive(&mut channel)
        });
        let arrived: Vec<bool> = events
            .iter()
            .map(|event| {
                matches!(
                    event,
                    Event::Handle {
                        descriptor: Some(_),
                        ..
                    }
                )
            })
            .collect();
        assert_eq!(arrived, [true, false, false]);
        assert_eq!(answers(&peer), [ACK, NACK, NACK].concat());
    }
    assert_eq!(ledger(), before);
}

fn a_socket_lost_for_want_of_descriptors_arrives_when_there_is_room() {
    let before = ledger();
    {
        let (a, b) = rsipc_sys::stream::pair().unwrap();
        let [mut a, mut b] = [a, b].map(|fd| {
            rsipc_core::channel::Channel::new(fd, Serialization::Json, Limits::default()).unwrap()
        });
        let payload = envelope("net.Socket", "\"precious\"");
        let handle = Outgoing {
            descriptor: peer::socket(),
            retry: true,
        };
        a.send_handle(handle, |buf| buf.extend_from_slice(&payload))
            .unwrap();
        with_room_for(0, || {
            assert!(receive(&mut b).is_empty(), "it is asked for again");
            assert!(receive(&mut a).is_empty(), "it is sent again");
            assert!(receive(&mut b).is_empty());
            assert!(receive(&mut a).is_empty());
        });
        let events = receive(&mut b);
        let [
            Event::Handle {
                descriptor: Some(_),
                problem: None,
                ..
            },
        ] = &events[..]
        else {
            panic!("{events:?}")
        };
        assert!(matches!(
            &receive(&mut a)[..],
            [Event::HandleTaken { sequence: 1 }]
        ));
    }
    assert_eq!(ledger(), before);
}

fn handles_on_their_way_are_closed_with_the_channel() {
    let before = ledger();
    {
        let (mut channel, peer) = Peer::json();
        for _ in 0..100 {
            let payload = envelope("net.Native", "1");
            channel
                .send_handle(peer::outgoing(), |buf| buf.extend_from_slice(&payload))
                .unwrap();
        }
        assert_eq!((channel.unacknowledged(), ledger()), (100, before + 102));
        channel.close();
        assert_eq!(ledger(), before + 1);
        drop(peer);
    }
    assert_eq!(ledger(), before);
}

fn more_than_may_wait_are_closed_at_once() {
    let before = ledger();
    {
        let (mut channel, peer) = Peer::json();
        let fd = peer::socket();
        peer.write_with(b"\"incomplete", &vec![&fd; 253]);
        receive(&mut channel);
        assert_eq!(ledger(), before + 3 + 64);
        assert_eq!(channel.unclaimed(), 253 - 64);
    }
    assert_eq!(ledger(), before);
}
