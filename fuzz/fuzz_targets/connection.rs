//! A connection against itself: whatever the bytes, cut in pieces they say what they say whole, nothing is kept beyond
//! the limits, and what arrives keeps to the form that the binding relies on.
//!
//! The first bytes of the input choose the framing, whether a hello comes first, and the pieces; the rest is the stream.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rsipc_core::endpoint::{Connection, Event, Framing, Kind, Limits};
use rsipc_core::slab::Place;

const LIMITS: Limits = Limits {
    max_message_size: 2_048,
    max_depth: 16,
};
/// What a decoder may keep beside the beginning of one message: a hello, or the head of a frame.
const BESIDE: usize = 1_100;

#[derive(Debug, PartialEq, Eq)]
enum Said {
    Bytes(u8, Vec<u8>),
    Hello(Vec<u8>),
    Bye(Vec<u8>),
    Handles(Vec<u8>, usize),
    Broken(&'static str),
    Ended(usize),
}

/// What events say, with neighbours of one kind joined.
fn said(events: Vec<Event>, text: bool) -> Vec<Said> {
    let mut all: Vec<Said> = Vec::new();
    for event in events {
        let said = match event {
            Event::Run { kind, bytes } => {
                if text && !matches!(kind, Kind::Beside | Kind::Batch) {
                    assert_eq!(
                        bytes.last(),
                        Some(&b'\n'),
                        "a run of texts ends in a line feed"
                    );
                } else {
                    let mut rest = bytes.as_slice();
                    while let Some((length, after)) = rest.split_first_chunk::<4>() {
                        let (payload, behind) =
                            after.split_at(u32::from_le_bytes(*length) as usize);
                        rest = behind;
                        assert!(
                            kind != Kind::Beside || payload.len() > Place::SIZE,
                            "a frame that stands for another says for which, and where"
                        );
                    }
                    assert!(
                        rest.is_empty(),
                        "a run of bytes is payloads and nothing else"
                    );
                }
                Said::Bytes(kind as u8, bytes)
            }
            Event::Large { kind, bytes } => {
                let mut framed = (bytes.len() as u32).to_le_bytes().to_vec();
                framed.extend(bytes);
                Said::Bytes(kind as u8, framed)
            }
            Event::Hello(bytes) => Said::Hello(bytes),
            Event::Bye(bytes) => Said::Bye(bytes),
            Event::Handles {
                bytes, announced, ..
            } => Said::Handles(bytes, announced),
            Event::Problem(error) => Said::Broken(error.code()),
            Event::Ended { truncated } => Said::Ended(truncated),
        };
        match (all.last_mut(), said) {
            (Some(Said::Bytes(kind, joined)), Said::Bytes(same, more)) if *kind == same => {
                joined.extend(more)
            }
            (_, said) => all.push(said),
        }
    }
    // What is missing behind a problem is nobody's business.
    if all.iter().any(|said| matches!(said, Said::Broken(_))) {
        all.retain(|said| !matches!(said, Said::Ended(_)));
    }
    all
}

fn read(framing: Framing, stream: &[u8], piece: usize) -> Vec<Said> {
    let mut connection = Connection::new(framing, LIMITS);
    let mut events = Vec::new();
    for bytes in stream.chunks(piece) {
        connection.feed(bytes, &mut events);
        assert!(connection.partial() <= LIMITS.max_message_size + BESIDE + piece);
        assert!(connection.queued() <= 6, "one pong at most");
    }
    connection.end(&mut events);
    assert!(connection.is_over());
    said(events, framing.is_text())
}

fuzz_target!(|data: &[u8]| {
    let Some(([which, piece], rest)) = data.split_first_chunk::<2>() else {
        return;
    };
    let framing =
        [Framing::Text, Framing::Bytes, Framing::Lines, Framing::Lsp][usize::from(which & 3)];
    let mut stream = Vec::new();
    if framing.is_own() && which & 4 == 0 {
        stream.extend_from_slice(b"rsipc/1 {}\n");
    }
    stream.extend_from_slice(rest);
    let whole = read(framing, &stream, stream.len().max(1));
    let apart = read(framing, &stream, usize::from(*piece).max(1));
    assert_eq!(whole, apart);
});
