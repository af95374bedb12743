//! The decoder against a model: whatever the bytes and however they are cut, it tells what a
//! splitter of a few lines tells, and holds no more than it may.
//!
//! The first bytes of the input choose the format, the limits and the pieces; the rest, repeated,
//! is the stream.

#![no_main]

use libfuzzer_sys::fuzz_target;
use memchr::memmem;
use rsipc_core::codec::envelope::{Envelope, MARKER, classify};
use rsipc_core::codec::{Decoder, Frame, Serialization, depth};

/// The longest stream: several times what is read at once, so that every way to make room is taken.
const LONGEST: usize = 200_000;
/// The most pieces it comes in: enough for every cut, and few enough to try many streams.
const MOST_PIECES: usize = 500;
const LENGTH_BYTES: usize = 4;

#[derive(Debug, PartialEq, Eq)]
enum Said {
    Plain(Vec<u8>),
    Envelope(Envelope, Vec<u8>, u64),
    Broken(&'static str),
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    serialization: Serialization,
    max_size: usize,
    max_depth: usize,
    /// The size of a piece, before it is cut to the room there is.
    piece: usize,
    /// Runs are taken after every so many pieces, and at the end.
    turns: usize,
    /// How often the bytes of the input are repeated.
    times: usize,
}

impl Settings {
    fn read(bytes: &[u8; 4]) -> Settings {
        let [flags, size, piece, times] = *bytes;
        Settings {
            serialization: if flags & 1 == 0 {
                Serialization::Json
            } else {
                Serialization::Advanced
            },
            max_size: 1 << (size % 20),
            max_depth: 1 << (flags >> 1 & 7),
            piece: 1 << (piece % 19),
            turns: usize::from(flags >> 4) + 1,
            times: usize::from(times) + 1,
        }
    }
}

/// A payload, or the code it is refused with.
type Refusable<'a> = Result<&'a [u8], &'static str>;

/// The frames of a stream: where each begins, and its payload.
fn split(stream: &[u8], settings: Settings) -> Vec<(u64, Refusable<'_>)> {
    let mut frames = Vec::new();
    let mut rest = stream;
    while !rest.is_empty() {
        let offset = (stream.len() - rest.len()) as u64;
        let (size, begin, end) = match settings.serialization {
            Serialization::Json => {
                let line_feed = rest.iter().position(|&byte| byte == b'\n');
                let size = line_feed.unwrap_or(rest.len());
                (size, 0, line_feed.map_or(usize::MAX, |at| at + 1))
            }
            Serialization::Advanced => {
                let Some(length) = rest.first_chunk::<LENGTH_BYTES>() else {
                    break;
                };
                let size = u32::from_be_bytes(*length) as usize;
                (size, LENGTH_BYTES, LENGTH_BYTES + size)
            }
        };
        let whole = end <= rest.len();
        let foreign = match settings.serialization {
            Serialization::Json => rest.first() == Some(&0),
            Serialization::Advanced => rest
                .iter()
                .take(LENGTH_BYTES)
                .all(|&byte| byte == b'\n' || (b' '..=b'~').contains(&byte)),
        };
        // A refusal is told as soon as it is known, which may be before the frame's end.
        if foreign && (settings.serialization == Serialization::Json || size > settings.max_size) {
            frames.push((offset, Err("ERR_RSIPC_MALFORMED_FRAME")));
        } else if size > settings.max_size {
            frames.push((offset, Err("ERR_RSIPC_MESSAGE_TOO_LARGE")));
        } else if whole {
            frames.push((offset, Ok(&rest[begin..begin + size])));
        }
        rest = rest.get(end..).unwrap_or_default();
    }
    frames
}

fn expected(stream: &[u8], settings: Settings) -> Vec<Said> {
    let judge = |(offset, payload): (u64, Refusable<'_>)| {
        let payload = match payload {
            Ok(payload) => payload,
            Err(code) => return Said::Broken(code),
        };
        if payload.is_empty() {
            return Said::Broken("ERR_RSIPC_MALFORMED_FRAME");
        }
        let json = settings.serialization == Serialization::Json;
        if json && depth::exceeds(payload, settings.max_depth) {
            return Said::Broken("ERR_RSIPC_TOO_DEEP");
        }
        let marked = memmem::find(payload, MARKER).is_some();
        match marked
            .then(|| classify(settings.serialization, payload))
            .flatten()
        {
            Some(envelope) => Said::Envelope(envelope, payload.to_vec(), offset),
            None => Said::Plain(payload.to_vec()),
        }
    };
    split(stream, settings).into_iter().map(judge).collect()
}

/// What a frame of the decoder says; a run says as much as it holds frames.
fn tell(frame: Frame, settings: Settings, said: &mut Vec<Said>) {
    match frame {
        Frame::Plain { bytes, count } => {
            let frames = split(
                &bytes,
                Settings {
                    max_size: usize::MAX,
                    ..settings
                },
            );
            assert_eq!(frames.len(), count, "the count of a run");
            said.extend(
                frames
                    .into_iter()
                    .map(|(_, payload)| Said::Plain(payload.unwrap().to_vec())),
            );
        }
        Frame::Envelope {
            envelope,
            payload,
            offset,
        } => said.push(Said::Envelope(envelope, payload, offset)),
        Frame::Switch => panic!("nobody has shared memory here"),
        Frame::Broken(error) => said.push(Said::Broken(error.code())),
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((first, bytes)) = input.split_first_chunk::<4>() else {
        return;
    };
    let settings = Settings::read(first);
    let mut stream = bytes.repeat(settings.times.min(LONGEST / bytes.len().max(1)).max(1));
    stream.truncate(LONGEST);
    let size = settings.piece.max(stream.len() / MOST_PIECES);

    let mut decoder = Decoder::new(
        settings.serialization,
        settings.max_size,
        settings.max_depth,
    );
    let mut said = Vec::new();
    let mut rest = &stream[..];
    for turn in 1.. {
        if rest.is_empty() {
            break;
        }
        let room = decoder.make_room();
        let (piece, after) = rest.split_at(size.min(room).min(rest.len()));
        assert!(!piece.is_empty(), "there is always room");
        decoder.buffer().extend_from_slice(piece);
        rest = after;
        while let Some(frame) = decoder.next_frame() {
            tell(frame, settings, &mut said);
        }
        decoder.note_time();
        if turn % settings.turns == 0
            && let Some(run) = decoder.take_run()
        {
            tell(run, settings, &mut said);
        }
        assert_eq!(decoder.received(), (stream.len() - rest.len()) as u64);
        assert_eq!(
            decoder.begun().is_some(),
            decoder.partial() > 0 || decoder.discarding()
        );
        assert!(
            decoder.discarding() || decoder.partial() <= settings.max_size + LENGTH_BYTES,
            "more is held than a frame may have"
        );
    }
    if let Some(run) = decoder.take_run() {
        tell(run, settings, &mut said);
    }
    let expected = expected(&stream, settings);
    // Not all of it: a frame may have half a million bytes.
    let differs = said.iter().zip(&expected).position(|(a, b)| a != b);
    assert!(
        differs.is_none() && said.len() == expected.len(),
        "{settings:?}: {} said, {} expected, first difference at {differs:?}",
        said.len(),
        expected.len()
    );
});
