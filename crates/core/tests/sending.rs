//! How frames and handles leave: at once, gathered, pipelined, held.

#![cfg(unix)]

mod peer;

use std::os::fd::AsFd;
use std::time::Duration;

use peer::{ACK, NACK, Peer, envelope, envelope_of, outgoing, receive};
use proptest::prelude::*;
use rsipc_core::channel::{Channel, Event, Limits, Outgoing, Sent, Serialization};
use rsipc_sys::stream;

fn send_envelope(channel: &mut Channel, payload: &[u8]) -> Sent {
    channel
        .send_handle(outgoing(), |buf| buf.extend_from_slice(payload))
        .unwrap()
}

fn bytes(peer: &Peer) -> Vec<u8> {
    peer.read_all()
        .into_iter()
        .flat_map(|read| read.bytes)
        .collect()
}

#[test]
fn a_frame_is_with_the_kernel_when_send_returns() {
    let (mut channel, peer) = Peer::json();
    assert_eq!(
        channel
            .send(false, |buf| buf.extend_from_slice(b"1"))
            .unwrap(),
        Sent::Written
    );
    assert_eq!(channel.send_slice(false, b"[2]").unwrap(), Sent::Written);
    assert_eq!(bytes(&peer), b"1\n[2]\n");
    assert_eq!(
        (
            channel.accepted(),
            channel.written(),
            channel.queued_messages()
        ),
        (2, 2, 0)
    );
}

#[test]
fn advanced_frames_have_their_length_before_them() {
    let (mut channel, peer) = Peer::with(Serialization::Advanced, Limits::default());
    channel
        .send(false, |buf| buf.extend_from_slice(b"\xff\x0fT"))
        .unwrap();
    channel.send_slice(false, b"\xff\x0fF").unwrap();
    assert_eq!(bytes(&peer), b"\0\0\0\x03\xff\x0fT\0\0\0\x03\xff\x0fF");
}

#[test]
fn gathered_frames_leave_with_flush_or_when_64_kib_have_come_together() {
    let (mut channel, peer) = Peer::json();
    for _ in 0..10 {
        assert_eq!(channel.send_slice(true, b"1").unwrap(), Sent::Gathered);
    }
    assert!(peer.read(10).is_none());
    assert_eq!(
        (channel.queued_bytes(), channel.queued_messages()),
        (20, 10)
    );
    assert_eq!(channel.flush().unwrap(), Sent::Written);
    assert_eq!(bytes(&peer), b"1\n".repeat(10));
    let kib = [b'7'; 1023];
    let sent: Vec<Sent> = (0..64)
        .map(|_| channel.send_slice(true, &kib).unwrap())
        .collect();
    assert_eq!(
        sent.iter().filter(|sent| **sent == Sent::Gathered).count(),
        63
    );
    assert_eq!(sent.last(), Some(&Sent::Written));
    assert_eq!(bytes(&peer).len(), 65_536);
    assert_eq!(channel.written(), 74);
}

#[test]
fn what_cannot_be_a_frame_is_refused_and_nothing_is_written() {
    let (mut channel, peer) = Peer::json();
    for payload in [&b""[..], b"1\n2", b"\n"] {
        let error = channel.send_slice(false, payload).unwrap_err();
        assert!(error.to_string().contains("malformed"), "{error}");
        assert!(
            channel
                .send(true, |buf| buf.extend_from_slice(payload))
                .is_err()
        );
    }
    assert_eq!((channel.accepted(), channel.queued_bytes()), (0, 0));
    assert_eq!(channel.flush().unwrap(), Sent::Written);
    assert!(peer.read(10).is_none());
}

#[test]
fn counters_grow_by_whole_frames_while_a_full_peer_takes_a_little_at_a_time() {
    let (mut channel, peer) = Peer::json();
    let frame = vec![b'1'; 9_999];
    let mut sent = 0u64;
    while channel.send_slice(false, &frame).unwrap() == Sent::Written {
        sent += 1;
    }
    for _ in 0..100 {
        assert_eq!(channel.send_slice(true, &frame).unwrap(), Sent::Blocked);
    }
    assert_eq!(channel.accepted(), sent + 101);
    assert_eq!(channel.written(), sent);
    assert!(channel.interest().writable);
    let mut read = 0usize;
    while channel.written() < channel.accepted() {
        read += peer.read(30_000).map_or(0, |read| read.bytes.len());
        let before = channel.written();
        channel.flush().unwrap();
        assert!(channel.written() >= before);
        let whole = channel.accepted() - channel.written();
        assert_eq!(channel.queued_bytes().div_ceil(10_000) as u64, whole);
    }
    assert!(!channel.interest().writable);
    read += bytes(&peer).len();
    assert_eq!(read as u64, (sent + 101) * 10_000);
}

#[test]
fn small_handles_are_pipelined_up_to_64_and_the_rest_waits_for_answers() {
    let (mut channel, peer) = Peer::json();
    for index in 0..70u32 {
        let sent = send_envelope(&mut channel, &envelope("net.Native", &index.to_string()));
        assert_eq!(sent == Sent::Written, index < 64, "{index}");
    }
    assert_eq!(
        channel.send_slice(false, b"\"behind\"").unwrap(),
        Sent::Blocked
    );
    assert!(!channel.interest().writable, "only the peer can end this");
    let reads = peer.read_all();
    assert_eq!(reads.len(), 64, "one read a descriptor");
    assert!(reads.iter().all(|read| read.fds.len() == 1));
    assert_eq!(channel.unacknowledged(), 70);
    peer.write(&ACK.repeat(3));
    let events = receive(&mut channel);
    let taken: Vec<u64> = events
        .iter()
        .map(|event| match event {
            Event::HandleTaken { sequence } => *sequence,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(taken, [1, 2, 3]);
    assert_eq!(
        peer.read_all().len(),
        3,
        "what the answers set free is written at once"
    );
    peer.write(&ACK.repeat(64));
    assert_eq!(receive(&mut channel).len(), 64);
    peer.write(&ACK.repeat(3));
    assert_eq!(receive(&mut channel).len(), 3);
    let rest: Vec<u8> = bytes(&peer);
    assert!(rest.ends_with(b"\"behind\"\n"));
    assert_eq!((channel.unacknowledged(), channel.written()), (0, 71));
}

/// Sends a first handle of this frame length behind `plain` bytes, then a second one; says
/// whether the second left without waiting.
fn second_follows(plain: usize, length: usize) -> bool {
    let (mut channel, peer) = Peer::json();
    if plain > 0 {
        channel.send_slice(false, &vec![b'1'; plain - 1]).unwrap();
    }
    assert_eq!(
        send_envelope(&mut channel, &envelope_of(length)),
        Sent::Written
    );
    let follows = send_envelope(&mut channel, &envelope_of(100)) == Sent::Written;
    let descriptors = |peer: &Peer| -> usize { peer.read_all().iter().map(|r| r.fds.len()).sum() };
    assert_eq!(descriptors(&peer), if follows { 2 } else { 1 });
    peer.write(ACK);
    receive(&mut channel);
    assert_eq!(
        descriptors(&peer),
        usize::from(!follows),
        "the answer lets it go"
    );
    follows
}

#[test]
fn a_handle_is_pipelined_only_behind_one_that_a_plain_node_reads_whole() {
    for (plain, length, follows) in [
        (0, 100, true),
        (0, 16_384, true),
        (0, 16_385, false),
        (65_536 - 16_384, 16_384, true),
        (65_536 - 16_384 + 1, 16_384, false),
        (65_436, 100, true),
        (65_437, 100, false),
    ] {
        assert_eq!(
            second_follows(plain, length),
            follows,
            "{plain} then {length}"
        );
    }
}

/// Ways to send a plain frame.
const PLAIN: [fn(&mut Channel) -> Sent; 4] = [
    |channel| channel.send_slice(false, b"\"plain\"").unwrap(),
    |channel| {
        let pieces = [&b"\"pla"[..], b"in\""];
        channel.send_slices(false, &pieces).unwrap()
    },
    |channel| {
        let send = |buf: &mut Vec<u8>| buf.extend_from_slice(b"\"plain\"");
        channel.send(false, send).unwrap()
    },
    |channel| {
        channel.send_slice(true, b"\"plain\"").unwrap();
        channel.flush().unwrap()
    },
];

#[test]
fn plain_frames_wait_behind_a_handle_frame_that_a_reader_may_not_read_whole() {
    for (before, length) in [(0, 16_385), (0, 36_000), (65_437, 100), (60_000, 6_000)] {
        for plain in PLAIN {
            let (mut channel, peer) = Peer::json();
            if before > 0 {
                channel.send_slice(false, &vec![b'1'; before - 1]).unwrap();
            }
            let sent = send_envelope(&mut channel, &envelope_of(length));
            assert_eq!(sent, Sent::Written);
            assert_eq!(plain(&mut channel), Sent::Blocked);
            assert_eq!(plain(&mut channel), Sent::Blocked);
            assert_eq!(channel.flush().unwrap(), Sent::Blocked);
            assert!(!channel.interest().writable, "only the peer can end this");
            assert_eq!(bytes(&peer).len(), before + length, "{before} {length}");
            assert_eq!(channel.queued_messages(), 2);
            peer.write(ACK);
            receive(&mut channel);
            assert_eq!(bytes(&peer), b"\"plain\"\n\"plain\"\n");
            assert_eq!(plain(&mut channel), Sent::Written, "nothing holds now");
        }
    }
}

#[test]
fn plain_frames_follow_a_handle_frame_that_is_read_whole_at_once() {
    for (before, length) in [(0, 100), (0, 16_384), (65_436, 100)] {
        for plain in PLAIN {
            let (mut channel, peer) = Peer::json();
            if before > 0 {
                channel.send_slice(false, &vec![b'1'; before - 1]).unwrap();
            }
            send_envelope(&mut channel, &envelope_of(length));
            assert_eq!(plain(&mut channel), Sent::Written);
            assert_eq!(plain(&mut channel), Sent::Written);
            let stream = bytes(&peer);
            assert_eq!(stream.len(), before + length + 16, "{before} {length}");
            assert!(stream.ends_with(b"\"plain\"\n\"plain\"\n"));
        }
    }
}

#[test]
fn plain_frames_wait_behind_a_handle_frame_that_the_kernel_took_in_parts() {
    for plain in PLAIN {
        let (mut channel, peer) = Peer::json();
        narrow(&channel);
        // A length that would be safe in one piece.
        let length = 16_000;
        let sent = send_envelope(&mut channel, &envelope_of(length));
        assert_eq!(sent, Sent::Blocked);
        assert_eq!(plain(&mut channel), Sent::Blocked);
        let first = peer.read(65_536).expect("the kernel took some");
        assert!(first.bytes.len() < length && first.fds.len() == 1);
        let mut stream = first.bytes;
        while channel.queued_messages() > 1 {
            channel.flush().unwrap();
            stream.extend(bytes(&peer));
        }
        assert_eq!(channel.flush().unwrap(), Sent::Blocked);
        assert!(!channel.interest().writable, "only the peer can end this");
        stream.extend(bytes(&peer));
        assert_eq!(stream, peer::line(envelope_of(length)));
        peer.write(ACK);
        receive(&mut channel);
        assert_eq!(bytes(&peer), b"\"plain\"\n");
    }
}

/// Gives the channel the least socket buffers the kernel allows.
fn narrow(channel: &Channel) {
    let copy = rsipc_sys::fd::duplicate_raw(channel.raw_fd()).unwrap();
    stream::set_buffers(copy.as_fd(), 1).unwrap();
}

/// Sends `payload` over a channel with the least socket buffer, then one frame more; gives what
/// arrives when it is read a little at a time.
fn through_a_narrow_socket(
    serialization: Serialization,
    send: impl FnOnce(&mut Channel) -> Sent,
    take: usize,
) -> Vec<u8> {
    let (mut channel, peer) = Peer::with(serialization, Limits::default());
    narrow(&channel);
    let sent = send(&mut channel);
    let mut stream = Vec::new();
    if sent == Sent::Blocked {
        assert!(channel.interest().writable);
        stream.extend(peer.read(take).expect("the kernel took some").bytes);
    }
    channel.send_slice(false, b"\"next\"").unwrap();
    while channel.flush().unwrap() == Sent::Blocked {
        stream.extend(peer.read(take).expect("the kernel took some").bytes);
    }
    stream.extend(bytes(&peer));
    let counts = (channel.accepted(), channel.written());
    assert_eq!((counts, channel.queued_bytes()), ((2, 2), 0));
    stream
}

#[test]
fn a_payload_in_pieces_is_sent_as_if_it_were_whole_wherever_it_is_cut() {
    let config = ProptestConfig {
        cases: 150,
        failure_persistence: None,
        ..Default::default()
    };
    let lengths = prop_oneof![1usize..200, 1usize..70_000, 200_000usize..300_000];
    // Up to three times as many pieces as one call to the kernel takes.
    let cuts = prop::collection::vec(any::<prop::sample::Index>(), 0..200);
    let strategy = (
        lengths,
        cuts,
        any::<bool>(),
        any::<bool>(),
        500usize..50_000,
    );
    proptest!(config, |((length, cuts, gather, json, take) in strategy)| {
        let serialization = if json { Serialization::Json } else { Serialization::Advanced };
        let payload: Vec<u8> = (0..length).map(|at| b'a' + (at % 23) as u8).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(length + 1)).collect();
        cuts.sort_unstable();
        cuts.push(length);
        let mut from = 0;
        let pieces: Vec<&[u8]> = cuts
            .iter()
            .map(|&to| &payload[std::mem::replace(&mut from, to)..to])
            .collect();
        let whole = through_a_narrow_socket(
            serialization,
            |channel| channel.send_slice(gather, &payload).unwrap(),
            take,
        );
        let in_pieces = through_a_narrow_socket(
            serialization,
            |channel| channel.send_slices(gather, &pieces).unwrap(),
            take,
        );
        let expected = match serialization {
            Serialization::Json => [&payload[..], b"\n\"next\"\n"].concat(),
            Serialization::Advanced => {
                let head = u32::try_from(length).unwrap().to_be_bytes();
                [&head[..], &payload, b"\0\0\0\x06\"next\""].concat()
            }
        };
        prop_assert!(whole == expected, "whole");
        prop_assert!(in_pieces == expected, "in pieces");
    });
}

#[test]
fn plain_frames_never_overtake_a_held_handle_and_answers_do() {
    let (mut channel, peer) = Peer::json();
    send_envelope(&mut channel, &envelope_of(20_000));
    assert_eq!(
        send_envelope(&mut channel, &envelope_of(100)),
        Sent::Blocked
    );
    assert_eq!(
        channel.send_slice(false, b"\"last\"").unwrap(),
        Sent::Blocked
    );
    bytes(&peer);
    let theirs = peer::socket();
    peer.write_with(&peer::line(envelope("net.Socket", "1")), &[&theirs]);
    let events = receive(&mut channel);
    assert!(
        matches!(
            &events[..],
            [Event::Handle {
                descriptor: Some(_),
                ..
            }]
        ),
        "{events:?}"
    );
    assert_eq!(bytes(&peer), ACK, "the answer goes before what is held");
    assert_eq!(channel.queued_messages(), 2);
    peer.write(ACK);
    receive(&mut channel);
    assert!(bytes(&peer).ends_with(b"\"last\"\n"));
}

#[test]
fn an_answer_never_breaks_into_a_frame_that_is_half_written() {
    let (mut channel, peer) = Peer::json();
    let big = vec![b'1'; 1_000_000];
    assert_eq!(channel.send_slice(false, &big).unwrap(), Sent::Blocked);
    assert_eq!(channel.send_slice(false, b"2").unwrap(), Sent::Blocked);
    peer.write_with(&peer::line(envelope("net.Socket", "1")), &[&peer::socket()]);
    let events = receive(&mut channel);
    assert_eq!(events.len(), 1);
    let mut stream = Vec::new();
    while channel.flush().unwrap() != Sent::Written {
        stream.extend(bytes(&peer));
    }
    stream.extend(bytes(&peer));
    let expected = [&big[..], b"\n", ACK, b"2\n"].concat();
    assert!(
        stream == expected,
        "{} bytes, {} expected",
        stream.len(),
        expected.len()
    );
}

#[test]
fn a_lost_handle_is_sent_three_times_more_and_then_given_up() {
    let (mut channel, peer) = Peer::json();
    let payload = envelope("net.Socket", "\"retry\"");
    let handle = Outgoing {
        descriptor: peer::socket(),
        retry: true,
    };
    channel
        .send_handle(handle, |buf| buf.extend_from_slice(&payload))
        .unwrap();
    let frame = peer::line(payload);
    for _ in 0..3 {
        let reads = peer.read_all();
        assert_eq!(
            (reads.len(), &reads[0].bytes, reads[0].fds.len()),
            (1, &frame, 1)
        );
        peer.write(NACK);
        assert!(receive(&mut channel).is_empty());
    }
    assert_eq!(peer.read_all().len(), 1);
    peer.write(NACK);
    assert!(matches!(
        &receive(&mut channel)[..],
        [Event::HandleLost { sequence: 1 }]
    ));
    assert!(peer.read_all().is_empty());
    assert_eq!(
        (
            channel.unacknowledged(),
            channel.written(),
            channel.accepted()
        ),
        (0, 1, 1)
    );
}

#[test]
fn a_lost_handle_without_retry_is_given_up_at_once() {
    let (mut channel, peer) = Peer::json();
    send_envelope(&mut channel, &envelope("net.Native", "1"));
    peer.write(NACK);
    assert!(matches!(
        &receive(&mut channel)[..],
        [Event::HandleLost { sequence: 1 }]
    ));
}

#[test]
fn repeated_handles_keep_their_order_and_go_before_what_is_queued() {
    let (mut channel, peer) = Peer::json();
    for name in ["\"a\"", "\"b\""] {
        let handle = Outgoing {
            descriptor: peer::socket(),
            retry: true,
        };
        let payload = envelope("net.Socket", name);
        channel
            .send_handle(handle, |buf| buf.extend_from_slice(&payload))
            .unwrap();
    }
    bytes(&peer);
    channel.send_slice(true, b"\"plain\"").unwrap();
    peer.write(&NACK.repeat(2));
    receive(&mut channel);
    let again = String::from_utf8(bytes(&peer)).unwrap();
    let names: Vec<&str> = again
        .split('"')
        .filter(|w| ["a", "b", "plain"].contains(w))
        .collect();
    assert_eq!(names, ["a", "b", "plain"]);
}

#[test]
fn an_answer_nobody_waits_for_is_a_problem_told_once_and_not_a_crash() {
    let (mut channel, peer) = Peer::json();
    peer.write(&[ACK.repeat(50), NACK.repeat(50)].concat());
    let events = receive(&mut channel);
    let [Event::Problem(error)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(error.code(), "ERR_RSIPC_UNEXPECTED_ACK");
}

#[test]
fn each_descriptor_leaves_exactly_once_through_a_buffer_that_cuts_every_frame() {
    let (mut channel, peer) = Peer::json();
    narrow(&channel);
    let count = 20usize;
    for index in 0..count {
        let message = format!("\"{index} {}\"", "x".repeat(30_000));
        send_envelope(&mut channel, &envelope("net.Native", &message));
        channel
            .send_slice(false, format!("\"plain {index}\"").as_bytes())
            .unwrap();
    }
    assert!(channel.interest().writable);
    let (mut stream, mut descriptors, mut answered) = (Vec::new(), 0, 0);
    for _ in 0..100_000 {
        channel.flush().unwrap();
        if let Some(read) = peer.read(777) {
            stream.extend(read.bytes);
            descriptors += read.fds.len();
        }
        let whole = stream
            .split(|&b| b == b'\n')
            .filter(|line| line.ends_with(b"xx\"}"))
            .count();
        for _ in answered..whole {
            peer.write(ACK);
        }
        answered = whole;
        receive(&mut channel);
        if channel.written() == channel.accepted() && channel.unacknowledged() == 0 {
            break;
        }
    }
    stream.extend(bytes(&peer));
    assert_eq!(descriptors, count);
    let lines: Vec<&[u8]> = stream
        .strip_suffix(b"\n")
        .unwrap()
        .split(|&b| b == b'\n')
        .collect();
    assert_eq!(lines.len(), 2 * count);
    for (index, pair) in lines.chunks(2).enumerate() {
        let begin = format!(r#"{{"cmd":"NODE_HANDLE","type":"net.Native","msg":"{index} x"#);
        assert!(pair[0].starts_with(begin.as_bytes()));
        assert_eq!(pair[1], format!("\"plain {index}\"").as_bytes());
    }
}

#[test]
fn a_closed_peer_is_an_error_of_this_send_and_of_every_later_one() {
    let (mut channel, peer) = Peer::json();
    channel.send_slice(true, b"1").unwrap();
    drop(peer);
    let error = channel.send_slice(false, b"2").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    assert_eq!(
        channel.send_slice(true, b"3").unwrap_err().kind(),
        error.kind()
    );
    assert_eq!(channel.flush().unwrap_err().kind(), error.kind());
    assert_eq!(
        (
            channel.accepted(),
            channel.written(),
            channel.queued_bytes()
        ),
        (1, 0, 0)
    );
    let left = channel.flush_blocking(Duration::from_secs(5));
    assert_eq!((left.messages, left.bytes), (1, 2));
    assert!(!channel.interest().writable && channel.interest().readable);
}

#[test]
fn a_closed_channel_refuses_and_holds_nothing() {
    let (mut channel, peer) = Peer::json();
    send_envelope(&mut channel, &envelope("net.Native", "1"));
    channel.send_slice(true, b"1").unwrap();
    channel.close();
    assert_eq!(channel.raw_fd(), -1);
    assert!(channel.send_slice(false, b"1").is_err());
    assert!(channel.flush().is_err());
    assert!(receive(&mut channel).is_empty());
    assert_eq!(channel.unacknowledged() + channel.queued_messages(), 0);
    let reads = peer.read_all();
    assert_eq!(reads.len(), 1, "what was written arrives all the same");
}

#[test]
fn two_peers_that_both_flush_make_room_for_each_other() {
    let (a, b) = stream::pair().unwrap();
    let size = 20 * 1024 * 1024usize;
    let limits = Limits {
        max_message_size: 64 << 20,
        ..Limits::default()
    };
    let ends = [a, b].map(|fd| {
        std::thread::spawn(move || {
            let mut channel = Channel::new(fd, Serialization::Json, limits).unwrap();
            let frame = vec![b'5'; 99_999];
            for _ in 0..size / 100_000 {
                channel.send_slice(true, &frame).unwrap();
            }
            let left = channel.flush_blocking(Duration::from_secs(20));
            assert_eq!((left.messages, left.bytes), (0, 0));
            let count = (size / 100_000) as u64;
            let mut received = 0;
            peer::receive_until(&mut channel, |events| {
                received = events
                    .iter()
                    .map(|event| match event {
                        Event::Messages { count, .. } => *count as u64,
                        _ => 0,
                    })
                    .sum();
                received >= count
            });
            assert_eq!((received, channel.written()), (count, count));
            channel
        })
    });
    let channels = ends.map(|end| end.join().unwrap());
    drop(channels);
}

#[test]
fn a_blocking_flush_gives_up_when_the_peer_takes_nothing_and_says_what_is_left() {
    let (mut channel, _peer) = Peer::json();
    channel.send_slice(false, &vec![b'1'; 1_000_000]).unwrap();
    channel.send_slice(false, b"2").unwrap();
    let begin = std::time::Instant::now();
    let left = channel.flush_blocking(Duration::from_millis(50));
    assert!(begin.elapsed() >= Duration::from_millis(50));
    assert_eq!((left.messages, left.bytes), (2, channel.queued_bytes()));
}

#[test]
fn a_blocking_flush_waits_for_the_answers_that_held_handles_need() {
    let (mut channel, peer) = Peer::json();
    let answering = std::thread::spawn(move || {
        let mut descriptors = 0;
        while descriptors < 3 {
            if let Some(read) = peer.read(65_536) {
                descriptors += read.fds.len();
                if read.bytes.ends_with(b"\n") {
                    peer.write(ACK);
                }
            }
        }
        peer
    });
    for _ in 0..3 {
        send_envelope(&mut channel, &envelope_of(20_000));
    }
    let left = channel.flush_blocking(Duration::from_secs(20));
    assert_eq!(left.messages, 0);
    drop(answering.join().unwrap());
    assert!(channel.pending());
    let mut taken = 0;
    peer::receive_until(&mut channel, |events| {
        taken = events
            .iter()
            .filter(|event| matches!(event, Event::HandleTaken { .. }))
            .count();
        events
            .iter()
            .any(|event| matches!(event, Event::Ended { .. }))
    });
    assert_eq!(taken, 3);
}
