//! The decoder gives the same frames however the stream is cut, and survives any bytes.

use proptest::prelude::*;
use rsipc_core::ErrorKind;
use rsipc_core::codec::envelope::Envelope;
use rsipc_core::codec::{Decoder, Frame, Serialization, encode};
use rsipc_core::handle::HandleType;

const MAX: usize = 200_000;
const DEPTH: usize = 8;

/// What a stream says, independent of how plain frames were bundled.
#[derive(Debug, Clone, PartialEq)]
enum Said {
    Plain(Vec<u8>),
    Envelope(Envelope, Vec<u8>),
    Broken(&'static str),
}

fn split_run(serialization: Serialization, bytes: &[u8], count: usize) -> Vec<Said> {
    let mut frames = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (frame, after) = match serialization {
            Serialization::Json => {
                let at = rest.iter().position(|&b| b == b'\n').unwrap();
                (&rest[..at], &rest[at + 1..])
            }
            Serialization::Advanced => {
                let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
                (&rest[4..4 + length], &rest[4 + length..])
            }
        };
        frames.push(Said::Plain(frame.to_vec()));
        rest = after;
    }
    assert_eq!(frames.len(), count, "the count of a run is right");
    frames
}

/// Feeds `stream` in pieces of the given sizes (the last one repeats), taking runs now and then.
fn decode(serialization: Serialization, stream: &[u8], pieces: &[usize]) -> (Vec<Said>, usize) {
    let mut decoder = Decoder::new(serialization, MAX, DEPTH);
    let mut said = Vec::new();
    let mut rest = stream;
    let mut turn = 0;
    while !rest.is_empty() {
        let wanted = *pieces.get(turn).or(pieces.last()).unwrap_or(&1);
        let room = decoder.make_room();
        let (piece, after) = rest.split_at(wanted.min(room).clamp(1, rest.len()));
        decoder.buffer().extend_from_slice(piece);
        rest = after;
        turn += 1;
        while let Some(frame) = decoder.next_frame() {
            say(serialization, frame, &mut said);
        }
        decoder.note_time();
        if wanted % 3 != 0
            && let Some(run) = decoder.take_run()
        {
            say(serialization, run, &mut said);
        }
        assert_eq!(decoder.received(), (stream.len() - rest.len()) as u64);
    }
    if let Some(run) = decoder.take_run() {
        say(serialization, run, &mut said);
    }
    (said, decoder.partial())
}

fn say(serialization: Serialization, frame: Frame, said: &mut Vec<Said>) {
    match frame {
        Frame::Plain { bytes, count } => said.extend(split_run(serialization, &bytes, count)),
        Frame::Envelope {
            envelope, payload, ..
        } => said.push(Said::Envelope(envelope, payload)),
        Frame::Switch => panic!("nobody has shared memory here"),
        Frame::Broken(error) => said.push(Said::Broken(error.code())),
    }
}

fn string(text: &str) -> Vec<u8> {
    [
        &[b'"', u8::try_from(text.len()).unwrap()][..],
        text.as_bytes(),
    ]
    .concat()
}

fn handle_payload(serialization: Serialization) -> Vec<u8> {
    match serialization {
        Serialization::Json => {
            br#"{"cmd":"NODE_HANDLE","type":"net.Socket","msg":{"a":1}}"#.to_vec()
        }
        Serialization::Advanced => [
            b"\xff\x0fo".to_vec(),
            string("cmd"),
            string("NODE_HANDLE"),
            string("type"),
            string("net.Socket"),
            string("msg"),
            b"_{\x03".to_vec(),
        ]
        .concat(),
    }
}

/// One piece of a stream and what it says.
fn part(serialization: Serialization) -> BoxedStrategy<(Vec<u8>, Said)> {
    let framed = move |payload: Vec<u8>| {
        let mut bytes = Vec::new();
        encode::frame(serialization, &mut bytes, |buf| {
            buf.extend_from_slice(&payload)
        })
        .unwrap();
        bytes
    };
    let plain = move |payload: Vec<u8>| (framed(payload.clone()), Said::Plain(payload));
    let small = prop::collection::vec(0x20u8..0x5a, 1..40).prop_map(plain);
    let large = (1usize..100_000).prop_map(move |length| plain(vec![b'x'; length]));
    let quoting = Just(plain(b"\"about NODE_HANDLE\"".to_vec()));
    let handle = Just({
        let payload = handle_payload(serialization);
        let envelope = Envelope::Handle {
            kind: Some(HandleType::NetSocket),
            nested: false,
        };
        (framed(payload.clone()), Said::Envelope(envelope, payload))
    });
    let ack = any::<bool>().prop_map(move |taken| {
        let bytes = encode::answer(serialization, taken).to_vec();
        let payload = match serialization {
            Serialization::Json => bytes[..bytes.len() - 1].to_vec(),
            Serialization::Advanced => bytes[4..].to_vec(),
        };
        let envelope = if taken { Envelope::Ack } else { Envelope::Nack };
        (bytes, Said::Envelope(envelope, payload))
    });
    let too_large = Just({
        let payload = vec![b'y'; MAX + 1];
        (framed(payload), Said::Broken("ERR_RSIPC_MESSAGE_TOO_LARGE"))
    });
    let empty = Just((
        match serialization {
            Serialization::Json => vec![b'\n'],
            Serialization::Advanced => vec![0; 4],
        },
        Said::Broken("ERR_RSIPC_MALFORMED_FRAME"),
    ));
    prop_oneof![
        20 => small,
        3 => large,
        2 => quoting,
        3 => handle,
        3 => ack,
        1 => too_large,
        1 => empty,
    ]
    .boxed()
}

fn any_split(serialization: Serialization) {
    let sizes = prop_oneof![
        1usize..8,
        1usize..5_000,
        60_000usize..70_000,
        Just(usize::MAX)
    ];
    let strategy = (
        prop::collection::vec(part(serialization), 1..30),
        prop::collection::vec(sizes, 1..60),
        0usize..30,
    );
    let config = ProptestConfig {
        cases: 100,
        failure_persistence: None,
        ..Default::default()
    };
    proptest!(config, |((parts, mut pieces, cut) in strategy)| {
        // The rest of a long stream in pieces that do not take for ever.
        pieces.push(30_000);
        let (bytes, said): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let stream = bytes.concat();
        let (decoded, partial) = decode(serialization, &stream, &pieces);
        prop_assert_eq!(&decoded, &said);
        prop_assert_eq!(partial, 0);
        // Cut short, everything before the cut is still said.
        let last = bytes.last().unwrap().len();
        let cut = cut.clamp(1, last);
        let (decoded, _) = decode(serialization, &stream[..stream.len() - cut], &pieces);
        prop_assert_eq!(&decoded[..said.len() - 1], &said[..said.len() - 1]);
    });
}

#[test]
fn json_frames_are_the_same_however_the_stream_is_cut() {
    any_split(Serialization::Json);
}

#[test]
fn advanced_frames_are_the_same_however_the_stream_is_cut() {
    any_split(Serialization::Advanced);
}

#[test]
fn one_byte_at_a_time_is_as_good_as_all_at_once() {
    for serialization in [Serialization::Json, Serialization::Advanced] {
        let mut stream = Vec::new();
        for turn in 0..50usize {
            let payload = match turn % 4 {
                0 => handle_payload(serialization),
                _ => vec![b'a'; turn * 7 + 1],
            };
            encode::frame(serialization, &mut stream, |buf| {
                buf.extend_from_slice(&payload)
            })
            .unwrap();
            stream.extend_from_slice(encode::answer(serialization, turn % 2 == 0));
        }
        let whole = decode(serialization, &stream, &[usize::MAX]);
        assert_eq!(whole.0.len(), 100);
        assert_eq!(decode(serialization, &stream, &[1]), whole);
    }
}

#[test]
fn garbage_never_panics_and_never_grows_the_buffer_past_the_limit() {
    let config = ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..Default::default()
    };
    let bytes = prop::collection::vec(
        prop_oneof![any::<u8>(), Just(b'\n'), Just(0u8), Just(b'{'), Just(b'"')],
        0..150,
    );
    let words = prop::collection::vec((bytes, any::<bool>(), 1usize..500), 1..8);
    proptest!(config, |(words in words)| {
        for serialization in [Serialization::Json, Serialization::Advanced] {
            let mut decoder = Decoder::new(serialization, 1_000, 4);
            for (bytes, marker, size) in &words {
                for piece in bytes.chunks(*size) {
                    decoder.make_room();
                    decoder.buffer().extend_from_slice(piece);
                    if *marker {
                        decoder.buffer().extend_from_slice(b"{\"cmd\":\"NODE_HANDLE\"");
                    }
                    while decoder.next_frame().is_some() {}
                    decoder.note_time();
                    decoder.take_run();
                    let held = decoder.received() - decoder.position();
                    prop_assert!(held <= 1_004, "{} bytes are held", held);
                }
            }
        }
    });
}

#[test]
fn announced_lengths_around_the_limit_are_told_apart_before_anything_is_allocated() {
    let limit = 64 * 1024 * 1024u32;
    for (length, refused) in [
        (1, false),
        (limit - 1, false),
        (limit, false),
        (limit + 1, true),
        (0x7fff_ffff, true),
        (0x8000_0000, true),
        (0x8000_0001, true),
        (u32::MAX, true),
    ] {
        let mut decoder = Decoder::new(Serialization::Advanced, limit as usize, DEPTH);
        decoder.buffer().extend_from_slice(&length.to_be_bytes());
        let frame = decoder.next_frame();
        if refused {
            let Some(Frame::Broken(error)) = frame else {
                panic!("{length}: {frame:?}")
            };
            let size = u64::from(length);
            let limit = u64::from(limit);
            assert_eq!(error.kind(), ErrorKind::MessageTooLarge { size, limit });
        } else {
            assert_eq!(frame, None, "{length}");
        }
        decoder.make_room();
        assert!(
            decoder.buffer().capacity() <= 2 * 1024 * 1024,
            "{length} is believed"
        );
    }
}

#[test]
fn the_other_serialization_is_recognised_by_its_first_bytes() {
    let mut value = Vec::new();
    encode::frame(Serialization::Advanced, &mut value, |buf| {
        buf.extend_from_slice(b"\xff\x0fo\"\x01aI\x02{\x01")
    })
    .unwrap();
    for (ours, bytes, theirs) in [
        (Serialization::Json, &value[..1], "advanced"),
        (Serialization::Json, &value[..], "advanced"),
        (Serialization::Advanced, &b"{\"a\":1}\n"[..], "json"),
        (Serialization::Advanced, &b"\"a\"\n"[..], "json"),
    ] {
        let mut decoder = Decoder::new(ours, MAX, DEPTH);
        decoder.buffer().extend_from_slice(bytes);
        let Some(Frame::Broken(error)) = decoder.next_frame() else {
            panic!("{ours:?} takes {bytes:?}")
        };
        assert_eq!(error.kind(), ErrorKind::OtherSerialization { theirs });
        assert_eq!(error.code(), "ERR_RSIPC_MALFORMED_FRAME");
    }
}

#[test]
fn a_large_frame_is_given_away_in_the_vector_it_was_received_in() {
    let mut stream = Vec::new();
    let payload = vec![b'z'; 300_000];
    encode::frame(Serialization::Advanced, &mut stream, |buf| {
        buf.extend_from_slice(b"first")
    })
    .unwrap();
    let before = stream.len();
    encode::frame(Serialization::Advanced, &mut stream, |buf| {
        buf.extend_from_slice(&payload)
    })
    .unwrap();
    let mut decoder = Decoder::new(Serialization::Advanced, 2 * MAX, DEPTH);
    decoder.buffer().extend_from_slice(&stream[..before + 100]);
    let Some(Frame::Plain { count: 1, bytes }) = decoder.next_frame() else {
        panic!()
    };
    assert_eq!(bytes.len(), before);
    assert_eq!(decoder.next_frame(), None);
    let room = decoder.make_room();
    assert_eq!(
        room,
        stream.len() - before - 100,
        "exactly the rest is asked for"
    );
    decoder.buffer().extend_from_slice(&stream[before + 100..]);
    let place = decoder.buffer().as_ptr();
    assert_eq!(decoder.next_frame(), None);
    let Some(Frame::Plain { count: 1, bytes }) = decoder.take_run() else {
        panic!()
    };
    assert_eq!((bytes.as_ptr(), bytes.len()), (place, payload.len() + 4));
}

#[test]
fn a_text_that_nests_too_deeply_is_dropped_and_the_next_is_read() {
    let deep = [
        b"[".repeat(DEPTH + 1),
        b"]".repeat(DEPTH + 1),
        b"\n{}\n".to_vec(),
    ]
    .concat();
    let (said, _) = decode(Serialization::Json, &deep, &[usize::MAX]);
    assert_eq!(
        said,
        [
            Said::Broken("ERR_RSIPC_TOO_DEEP"),
            Said::Plain(b"{}".to_vec())
        ]
    );
}
