//! How frames and handles arrive: paired, refused, lost, never leaked, never a crash.

#![cfg(unix)]

mod peer;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::Duration;

use peer::{ACK, NACK, Peer, envelope, line, receive, receive_until};
use rsipc_core::channel::{Channel, Event, HandleType, KindSet, Limits, Serialization};
use rsipc_sys::fd::Kind;

fn messages(events: &[Event]) -> (Vec<u8>, usize) {
    let mut all = (Vec::new(), 0);
    for event in events {
        if let Event::Messages { bytes, count } = event {
            all.0.extend_from_slice(bytes);
            all.1 += count;
        }
    }
    all
}

fn answers(peer: &Peer) -> Vec<u8> {
    peer.read_all()
        .into_iter()
        .flat_map(|read| read.bytes)
        .collect()
}

/// The only event, which must be a handle: its kind, whether it has a descriptor, its problem.
fn handle(events: Vec<Event>) -> (&'static str, Option<OwnedFd>, Option<&'static str>) {
    let mut events = events;
    match (events.pop(), events.is_empty()) {
        (
            Some(Event::Handle {
                kind,
                descriptor,
                problem,
                ..
            }),
            true,
        ) => (kind, descriptor, problem),
        other => panic!("{other:?} after {events:?}"),
    }
}

#[test]
fn several_frames_of_a_read_are_told_at_once() {
    let (mut channel, peer) = Peer::json();
    peer.write(b"1\n{\"a\":2}\n\"half");
    let events = receive(&mut channel);
    assert_eq!(messages(&events), (b"1\n{\"a\":2}\n".to_vec(), 2));
    let (since, bytes) = channel.partial().unwrap();
    assert_eq!(bytes, 5);
    peer.write(b" and");
    receive(&mut channel);
    assert_eq!(
        channel.partial(),
        Some((since, 9)),
        "the clock runs from the first byte"
    );
    peer.write(b"\"\n");
    assert_eq!(
        messages(&receive(&mut channel)),
        (b"\"half and\"\n".to_vec(), 1)
    );
    assert_eq!(channel.partial(), None);
}

#[test]
fn bytes_a_previous_owner_had_read_come_first() {
    let (mut channel, peer) = Peer::json();
    channel.feed_received(b"1\n{\"a\"");
    assert!(channel.pending());
    peer.write(b":2}\n");
    assert_eq!(
        messages(&receive(&mut channel)),
        (b"1\n{\"a\":2}\n".to_vec(), 2)
    );
    assert!(!channel.pending());
}

#[test]
fn a_paused_channel_reads_nothing() {
    let (mut channel, peer) = Peer::json();
    peer.write(b"1\n");
    channel.pause(true);
    assert!(!channel.interest().readable);
    assert!(receive(&mut channel).is_empty());
    channel.pause(false);
    assert_eq!(messages(&receive(&mut channel)).1, 1);
}

#[test]
fn a_budget_ends_a_receive_and_the_next_goes_on() {
    let (mut channel, peer) = Peer::json();
    peer.write(&b"12345\n".repeat(20_000));
    let mut events = Vec::new();
    assert!(channel.receive(1, &mut events));
    let first = messages(&events).1;
    assert!(first > 0 && first < 20_000);
    assert_eq!(first + messages(&receive(&mut channel)).1, 20_000);
}

#[test]
fn handles_are_paired_in_order_answered_once_each_and_work() {
    let (mut channel, peer) = Peer::json();
    let mut far_ends: Vec<TcpStream> = Vec::new();
    for index in 0..20 {
        let (far, near) = peer::connection();
        far_ends.push(far);
        peer.write_with(&line(envelope("net.Socket", &index.to_string())), &[&near]);
        peer.write(b"\"between\"\n");
    }
    let events = receive(&mut channel);
    assert_eq!(messages(&events).1, 20);
    let mut seen = 0;
    for event in events {
        let Event::Handle {
            frame,
            kind,
            descriptor,
            fd_kind,
            problem,
            nested,
        } = event
        else {
            continue;
        };
        assert_eq!(
            (kind, fd_kind, problem, nested),
            ("net.Socket", Some(Kind::Tcp), None, false)
        );
        assert_eq!(frame, envelope("net.Socket", &seen.to_string()));
        let mut near = TcpStream::from(descriptor.unwrap());
        near.write_all(&[seen]).unwrap();
        let mut byte = [0];
        far_ends[usize::from(seen)].read_exact(&mut byte).unwrap();
        assert_eq!(byte, [seen], "the descriptor of another frame");
        seen += 1;
    }
    assert_eq!(seen, 20);
    assert_eq!(answers(&peer), ACK.repeat(20));
}

#[test]
fn a_descriptor_is_paired_wherever_in_its_frame_it_came() {
    let (mut channel, peer) = Peer::json();
    let frame = line(envelope("net.Socket", "1"));
    let (begin, end) = frame.split_at(frame.len() - 1);
    peer.write(begin);
    assert!(receive(&mut channel).is_empty());
    peer.write_with(end, &[&peer::socket()]);
    assert!(handle(receive(&mut channel)).1.is_some());
    // With the first byte of a frame that comes in many reads.
    let frame = line(envelope(
        "net.Socket",
        &format!("\"{}\"", "y".repeat(150_000)),
    ));
    let (begin, end) = frame.split_at(100);
    peer.write_with(begin, &[&peer::socket()]);
    assert!(receive(&mut channel).is_empty());
    peer.write(end);
    assert!(handle(receive(&mut channel)).1.is_some());
    // Two frames and two descriptors in one message.
    let frames = [
        line(envelope("net.Socket", "2")),
        line(envelope("net.Socket", "3")),
    ]
    .concat();
    peer.write_with(&frames, &[&peer::socket(), &peer::socket()]);
    let events = receive(&mut channel);
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|e| matches!(
        e,
        Event::Handle {
            descriptor: Some(_),
            ..
        }
    )));
    assert_eq!(answers(&peer), ACK.repeat(4));
}

#[test]
fn a_descriptor_no_frame_asks_for_is_closed_and_never_given_to_a_later_frame() {
    let (mut channel, peer) = Peer::json();
    peer.write_with(b"\"plain\"\n", &[&peer::socket()]);
    assert_eq!(messages(&receive(&mut channel)).1, 1);
    assert_eq!(channel.unclaimed(), 1);
    peer.write(&line(envelope("net.Native", "1")));
    let (kind, descriptor, problem) = handle(receive(&mut channel));
    assert_eq!(
        (kind, descriptor.is_none(), problem),
        ("net.Native", true, Some("lost"))
    );
    assert_eq!(answers(&peer), NACK);
    // The frame that the read cut in two was plain as well.
    peer.write_with(b"\"half", &[&peer::socket()]);
    assert!(receive(&mut channel).is_empty());
    peer.write(&[b" plain\"\n".to_vec(), line(envelope("net.Native", "2"))].concat());
    let events = receive(&mut channel);
    assert!(matches!(
        &events[..],
        [
            Event::Messages { .. },
            Event::Handle {
                descriptor: None,
                ..
            }
        ]
    ));
    assert_eq!(channel.unclaimed(), 2);
}

#[test]
fn what_is_not_accepted_or_does_not_fit_its_type_is_answered_and_closed() {
    let limits = Limits {
        accept: KindSet::NODE.without(HandleType::NetServer),
        ..Limits::default()
    };
    let (mut channel, peer) = Peer::with(Serialization::Json, limits);
    for (kind, fd, problem) in [
        ("net.Server", peer::socket(), Some("refused")),
        ("fd", peer::socket(), Some("refused")),
        ("net.Socket", peer::not_a_socket(), Some("kind")),
        ("dgram.Socket", peer::socket(), Some("kind")),
        ("net.Native", peer::socket(), None),
    ] {
        peer.write_with(&line(envelope(kind, "1")), &[&fd]);
        let (told, descriptor, why) = handle(receive(&mut channel));
        assert_eq!(
            (told, descriptor.is_some(), why),
            (kind, problem.is_none(), problem)
        );
        assert_eq!(answers(&peer), ACK);
    }
    peer.write_with(&line(envelope("net.Martian", "1")), &[&peer::socket()]);
    let events = receive(&mut channel);
    let [Event::Problem(error)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(error.code(), "ERR_RSIPC_UNKNOWN_HANDLE_TYPE");
    assert_eq!(answers(&peer), ACK);
}

#[test]
fn any_descriptor_is_taken_as_fd_where_that_type_is_accepted() {
    let limits = Limits {
        accept: KindSet::ALL,
        ..Limits::default()
    };
    let (mut channel, peer) = Peer::with(Serialization::Json, limits);
    peer.write_with(&line(envelope("fd", "1")), &[&peer::not_a_socket()]);
    let events = receive(&mut channel);
    let [
        Event::Handle {
            fd_kind,
            descriptor: Some(_),
            ..
        },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(*fd_kind, Some(Kind::CharDevice));
}

#[test]
fn a_lost_socket_is_asked_for_three_times_and_then_told_without_it() {
    let (mut channel, peer) = Peer::json();
    let first = envelope("net.Socket", "{\"a\":1}");
    let again = envelope("net.Native", std::str::from_utf8(&first).unwrap());
    peer.write(&line(first.clone()));
    assert!(receive(&mut channel).is_empty());
    for _ in 0..2 {
        peer.write(&line(again.clone()));
        assert!(receive(&mut channel).is_empty());
    }
    peer.write(&line(again.clone()));
    let events = receive(&mut channel);
    let [
        Event::Handle {
            frame,
            nested: true,
            kind: "net.Socket",
            problem: Some("lost"),
            ..
        },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(*frame, again);
    assert_eq!(
        answers(&peer),
        NACK.repeat(4),
        "the sender is told every time"
    );
}

#[test]
fn a_repetition_that_arrives_is_answered_once_and_told_once() {
    let (mut channel, peer) = Peer::json();
    let first = envelope("net.Socket", "1");
    let again = envelope("net.Native", std::str::from_utf8(&first).unwrap());
    peer.write(&line(first));
    assert!(receive(&mut channel).is_empty());
    peer.write_with(&line(again), &[&peer::socket()]);
    let (kind, descriptor, problem) = handle(receive(&mut channel));
    assert_eq!(
        (kind, descriptor.is_some(), problem),
        ("net.Socket", true, None)
    );
    assert_eq!(answers(&peer), [NACK, ACK].concat());
}

#[test]
fn several_lost_sockets_of_a_peer_that_repeats_the_same_bytes_are_told_once_each() {
    let (mut channel, peer) = Peer::json();
    let frames: Vec<Vec<u8>> = (0..5)
        .map(|index| line(envelope("net.Socket", &index.to_string())))
        .collect();
    for _ in 0..3 {
        for frame in &frames {
            peer.write(frame);
        }
        assert!(receive(&mut channel).is_empty());
    }
    peer.write(&frames.concat());
    let events = receive(&mut channel);
    assert_eq!(events.len(), 5);
    assert_eq!(answers(&peer), NACK.repeat(20));
}

#[test]
fn breaches_are_told_and_the_frames_around_them_are_not_lost() {
    let limits = Limits {
        max_message_size: 100,
        ..Limits::default()
    };
    let (mut channel, peer) = Peer::with(Serialization::Json, limits);
    let long = [b"x".repeat(5_000), b"\n".to_vec()].concat();
    peer.write(&[b"1\n\n2\n".to_vec(), long, b"3\n".to_vec()].concat());
    let events = receive(&mut channel);
    assert_eq!(messages(&events), (b"1\n2\n3\n".to_vec(), 3));
    let codes: Vec<&str> = events
        .iter()
        .filter_map(|event| match event {
            Event::Problem(error) => Some(error.code()),
            _ => None,
        })
        .collect();
    assert_eq!(
        codes,
        ["ERR_RSIPC_MALFORMED_FRAME", "ERR_RSIPC_MESSAGE_TOO_LARGE"]
    );
}

#[test]
fn an_endless_line_is_reported_once_and_not_kept() {
    let limits = Limits {
        max_message_size: 100_000,
        ..Limits::default()
    };
    let (mut channel, peer) = Peer::with(Serialization::Json, limits);
    let mut problems = 0;
    for _ in 0..200 {
        peer.write(&[b'x'; 50_000]);
        problems += receive(&mut channel).len();
    }
    assert_eq!(problems, 1);
    assert_eq!(channel.partial().unwrap().1, 10_000_000);
    peer.write(b"\n7\n");
    assert_eq!(messages(&receive(&mut channel)), (b"7\n".to_vec(), 1));
    assert_eq!(channel.partial(), None);
}

#[test]
fn a_stream_that_ends_tells_first_what_came_and_then_how_much_was_cut() {
    let (mut channel, peer) = Peer::json();
    channel.send_slice(false, b"\"unread\"").unwrap();
    peer.write(b"1\n2\n\"cut");
    drop(peer);
    let events = receive_until(&mut channel, |events| {
        events
            .iter()
            .any(|event| matches!(event, Event::Ended { .. }))
    });
    assert_eq!(messages(&events).1, 2);
    let Some(Event::Ended {
        error,
        truncated: 4,
    }) = events.last()
    else {
        panic!("{events:?}")
    };
    let reset = Some(std::io::ErrorKind::ConnectionReset);
    assert_eq!(
        error.as_ref().map(std::io::Error::kind),
        reset,
        "it closed with bytes unread"
    );
    assert!(!channel.interest().readable);
    assert!(receive(&mut channel).is_empty(), "the end is told once");
}

#[test]
fn every_cut_of_a_session_gives_all_whole_frames_and_one_end() {
    for serialization in [Serialization::Json, Serialization::Advanced] {
        let mut session = Vec::new();
        let mut ends = vec![0];
        for index in 0..20usize {
            rsipc_core::codec::encode::frame(serialization, &mut session, |buf| {
                buf.extend_from_slice(&vec![b'a'; index * 3 + 1]);
            })
            .unwrap();
            ends.push(session.len());
        }
        for cut in 0..=session.len() {
            let (mut channel, peer) = Peer::with(serialization, Limits::default());
            peer.write(&session[..cut]);
            drop(peer);
            let events = receive_until(&mut channel, |events| {
                matches!(events.last(), Some(Event::Ended { .. }))
            });
            let whole = ends.iter().filter(|&&end| end <= cut).count() - 1;
            assert_eq!(messages(&events).1, whole);
            let Some(Event::Ended {
                error: None,
                truncated,
            }) = events.last()
            else {
                panic!()
            };
            assert_eq!(*truncated, cut - ends[whole]);
        }
    }
}

#[test]
fn a_peer_that_floods_handles_and_reads_nothing_is_not_read_any_more() {
    let (mut channel, peer) = Peer::json();
    // Fill the way back, so that no answer can leave.
    while channel.send_slice(false, &[b'1'; 10_000]).unwrap() == rsipc_core::channel::Sent::Written
    {
    }
    let frame = line(envelope("net.Native", "1")).repeat(100);
    let mut read = true;
    for _ in 0..200 {
        peer.write(&frame);
        receive(&mut channel);
        read = channel.interest().readable;
        if !read {
            break;
        }
    }
    assert!(!read, "answers pile up without bound");
    // Once the peer reads, both directions move again.
    for _ in 0..1_000 {
        peer.read_all();
        channel.flush().unwrap();
        receive(&mut channel);
    }
    assert!(channel.interest().readable);
    assert_eq!(channel.queued_bytes(), 0);
}

#[test]
fn garbage_on_the_socket_ends_in_events_and_never_in_a_panic() {
    // A small generator: the same bytes in every run.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let words: [&[u8]; 8] = [
        b"\n",
        b"NODE_HANDLE",
        b"{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Socket\",\"msg\":",
        b"}\n",
        ACK,
        b"\0\0\0\x1b\xff\x0fo\"\x03cmd\"\x0fNODE_HANDLE_ACK{\x01",
        b"\0\0\0\x40\xff\x0fo\"\x03cmd\"\x0bNODE_HANDLE\"\x04type",
        b"\xff\xff\xff\xff",
    ];
    for serialization in [Serialization::Json, Serialization::Advanced] {
        for _ in 0..200 {
            let limits = Limits {
                max_message_size: 5_000,
                ..Limits::default()
            };
            let (mut channel, peer) = Peer::with(serialization, limits);
            let fd = peer::socket();
            for _ in 0..30 {
                let mut bytes = Vec::new();
                for _ in 0..next() % 20 {
                    let random = next();
                    match words.get(random as usize % 12) {
                        Some(word) => bytes.extend_from_slice(word),
                        None => bytes.extend_from_slice(&random.to_le_bytes()),
                    }
                }
                bytes.push(b'x');
                let fds: Vec<&OwnedFd> = (0..next() % 3).map(|_| &fd).collect();
                peer.write_with(&bytes, &fds);
                receive(&mut channel);
            }
            drop(peer);
            let events = receive_until(&mut channel, |events| !events.is_empty());
            assert!(
                matches!(events.last(), Some(Event::Ended { .. })),
                "{events:?}"
            );
        }
    }
}

#[test]
fn an_advanced_handle_is_paired_and_answered_in_kind() {
    let (mut channel, peer) = Peer::with(Serialization::Advanced, Limits::default());
    let text = |text: &str| [&[b'"', text.len() as u8][..], text.as_bytes()].concat();
    let payload = [
        b"\xff\x0fo".to_vec(),
        text("cmd"),
        text("NODE_HANDLE"),
        text("type"),
        text("net.Native"),
        text("msg"),
        b"_{\x03".to_vec(),
    ]
    .concat();
    let frame = [&(payload.len() as u32).to_be_bytes()[..], &payload].concat();
    peer.write_with(&frame, &[&peer::socket()]);
    let (kind, descriptor, problem) = handle(receive(&mut channel));
    assert_eq!(
        (kind, descriptor.is_some(), problem),
        ("net.Native", true, None)
    );
    assert_eq!(
        answers(&peer),
        b"\0\0\0\x1b\xff\x0fo\"\x03cmd\"\x0fNODE_HANDLE_ACK{\x01"
    );
}

#[test]
fn two_ends_pass_ten_thousand_handles_each_way() {
    let (a, b) = rsipc_sys::stream::pair().unwrap();
    let threads = [a, b].map(|fd| {
        std::thread::spawn(move || {
            let mut channel = Channel::new(fd, Serialization::Json, Limits::default()).unwrap();
            let original = peer::socket();
            let (mut sent, mut taken, mut received) = (0u64, 0u64, 0u64);
            let mut events = Vec::new();
            while taken < 10_000 || received < 10_000 {
                while sent < 10_000 && channel.queued_messages() < 50 {
                    use std::os::fd::AsFd;
                    let descriptor = rsipc_sys::fd::duplicate(original.as_fd()).unwrap();
                    let handle = rsipc_core::channel::Outgoing {
                        descriptor,
                        retry: false,
                    };
                    let payload = envelope("net.Native", &sent.to_string());
                    channel
                        .send_handle(handle, |buf| buf.extend_from_slice(&payload))
                        .unwrap();
                    sent += 1;
                }
                let fd = rsipc_sys::fd::duplicate_raw(channel.raw_fd()).unwrap();
                let patience = Some(Duration::from_secs(20));
                use std::os::fd::AsFd;
                let ready =
                    rsipc_sys::wait::ready(fd.as_fd(), channel.interest(), patience).unwrap();
                assert!(
                    ready.readable || ready.writable,
                    "{taken} {received} {channel:?}"
                );
                if ready.writable {
                    channel.flush().unwrap();
                }
                channel.receive(1 << 20, &mut events);
                for event in events.drain(..) {
                    match event {
                        Event::HandleTaken { sequence } => {
                            taken += 1;
                            assert_eq!(sequence, taken);
                        }
                        Event::Handle {
                            frame,
                            descriptor: Some(_),
                            problem: None,
                            ..
                        } => {
                            assert_eq!(frame, envelope("net.Native", &received.to_string()));
                            received += 1;
                        }
                        other => panic!("{other:?}"),
                    }
                }
            }
            assert_eq!((channel.unacknowledged(), channel.unclaimed()), (0, 0));
            channel.flush_blocking(Duration::from_secs(20));
            channel
        })
    });
    let channels = threads.map(|thread| thread.join().unwrap());
    drop(channels);
}
