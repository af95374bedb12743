//! The two messages of Node's cluster protocol that connections take: `newconn`, which brings one, and its reply.
//!
//! The owner of a channel has a counter of its own for the messages it sends. Ours begins where that one never comes, so a
//! reply says by its number whose it is.
//!
//! A third message is rsipc's own: how much a worker has to do, by its own account.

use memchr::memchr;

use crate::channel::Serialization;
use crate::codec::encode::LENGTH_BYTES;

/// The first of our numbers.
pub const FIRST_SEQUENCE: u64 = 1 << 32;

const JSON_REPLY: &[u8] = b"{\"cmd\":\"NODE_CLUSTER\",\"ack\":";
const JSON_LOAD: &[u8] = b"{\"cmd\":\"NODE_RSIPC_CLUSTER\",\"act\":\"load\",\"load\":";
const JSON_ACCEPTED: &[u8] = b",\"accepted\":";
// Header FF 0F, object, "cmd", "NODE_CLUSTER", "ack", a number of eight bytes.
const ADVANCED_REPLY: &[u8] = b"\xff\x0fo\"\x03cmd\"\x0cNODE_CLUSTER\"\x03ackN";
const ADVANCED_ACCEPTED: &[u8] = b"\"\x08accepted";

/// The envelope that brings a connection, in two parts: its number belongs between them.
#[derive(Clone, Debug)]
pub struct Announcement {
    /// What is before the number: digits in JSON, a little-endian double in the other serialization.
    pub before: Vec<u8>,
    /// What is behind it.
    pub after: Vec<u8>,
}

impl Announcement {
    /// Appends the envelope with this number.
    pub(super) fn write(&self, serialization: Serialization, sequence: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.before);
        match serialization {
            Serialization::Json => out.extend_from_slice(sequence.to_string().as_bytes()),
            Serialization::Advanced => out.extend_from_slice(&(sequence as f64).to_le_bytes()),
        }
        out.extend_from_slice(&self.after);
    }
}

/// What a worker says of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// The number of the `newconn`.
    pub(super) sequence: u64,
    /// Whether it is the worker's from now on.
    pub(super) accepted: bool,
}

/// What a worker says that is for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Reply(Reply),
    /// How much it has to do.
    Load(u64),
}

/// Takes what is for us out of a run of `count` frames; what is left keeps its order. Only the form in which Node
/// writes them is known here.
pub(super) fn take_ours(
    serialization: Serialization,
    bytes: Vec<u8>,
    count: usize,
    said: &mut Vec<Said>,
) -> (Vec<u8>, usize) {
    let mut rest: Option<(Vec<u8>, usize)> = None;
    let mut at = 0;
    for number in 0..count {
        let Some((frame, end)) = frame(serialization, &bytes, at) else {
            break;
        };
        if let Some(this) = parse(serialization, frame) {
            said.push(this);
            rest.get_or_insert_with(|| (bytes.get(..at).unwrap_or_default().to_vec(), number));
        } else if let Some((rest, others)) = &mut rest {
            rest.extend_from_slice(bytes.get(at..end).unwrap_or_default());
            *others += 1;
        }
        at = end;
    }
    rest.unwrap_or((bytes, count))
}

/// The payload of the frame that begins at `at`, and where the next one begins.
fn frame(serialization: Serialization, bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = bytes.get(at..)?;
    match serialization {
        Serialization::Json => {
            let length = memchr(b'\n', rest)?;
            Some((rest.get(..length)?, at + length + 1))
        }
        Serialization::Advanced => {
            let (length, rest) = rest.split_first_chunk::<LENGTH_BYTES>()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            Some((rest.get(..length)?, at + LENGTH_BYTES + length))
        }
    }
}

fn parse(serialization: Serialization, frame: &[u8]) -> Option<Said> {
    let reply = match serialization {
        Serialization::Json => {
            if let Some(rest) = frame.strip_prefix(JSON_LOAD) {
                return number(rest).map(|(load, _)| Said::Load(load));
            }
            let (sequence, rest) = number(frame.strip_prefix(JSON_REPLY)?)?;
            let rest = rest.strip_prefix(JSON_ACCEPTED)?;
            Reply {
                sequence,
                accepted: rest.starts_with(b"true"),
            }
        }
        Serialization::Advanced => {
            let rest = frame.strip_prefix(ADVANCED_REPLY)?;
            let (number, rest) = rest.split_first_chunk()?;
            let number = f64::from_le_bytes(*number);
            let rest = rest.strip_prefix(ADVANCED_ACCEPTED)?;
            Reply {
                sequence: number as u64,
                accepted: rest.first() == Some(&b'T'),
            }
        }
    };
    (reply.sequence >= FIRST_SEQUENCE).then_some(Said::Reply(reply))
}

/// A number in decimal, and what is behind it.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at_checked(digits)?;
    Some((std::str::from_utf8(number).ok()?.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(
        serialization: Serialization,
        bytes: &[u8],
        count: usize,
    ) -> (Vec<u8>, usize, Vec<Said>) {
        let mut replies = Vec::new();
        let (rest, left) = take_ours(serialization, bytes.to_vec(), count, &mut replies);
        (rest, left, replies)
    }

    #[test]
    fn replies_of_ours_are_taken_out_and_the_rest_keeps_its_order() {
        let bytes = b"{\"a\":1}\n{\"cmd\":\"NODE_CLUSTER\",\"ack\":4294967296,\"accepted\":true,\"seq\":3}\n\"b\"\n\
            {\"cmd\":\"NODE_CLUSTER\",\"ack\":4294967299,\"accepted\":false,\"seq\":4}\n7\n\
            {\"cmd\":\"NODE_RSIPC_CLUSTER\",\"act\":\"load\",\"load\":12}\n";
        let (rest, count, replies) = sorted(Serialization::Json, bytes, 6);
        assert_eq!(rest, b"{\"a\":1}\n\"b\"\n7\n");
        assert_eq!(count, 3);
        let replies: Vec<_> = replies
            .iter()
            .map(|said| match said {
                Said::Reply(reply) => (reply.sequence - FIRST_SEQUENCE, reply.accepted),
                Said::Load(load) => (*load, false),
            })
            .collect();
        assert_eq!(replies, [(0, true), (3, false), (12, false)]);
    }

    #[test]
    fn a_reply_to_the_owner_is_left_to_it() {
        let bytes = b"{\"cmd\":\"NODE_CLUSTER\",\"ack\":12,\"seq\":3}\n{\"cmd\":\"NODE_CLUSTER\",\"ack\":9,\"accepted\":true,\"seq\":4}\n";
        assert_eq!(
            sorted(Serialization::Json, bytes, 2),
            (bytes.to_vec(), 2, Vec::new())
        );
    }

    #[test]
    fn a_serialized_reply_is_known_by_its_bytes() {
        let mut value = b"\xff\x0fo\"\x03cmd\"\x0cNODE_CLUSTER\"\x03ackN".to_vec();
        value.extend_from_slice(&((FIRST_SEQUENCE + 7) as f64).to_le_bytes());
        value.extend_from_slice(b"\"\x08acceptedT\"\x03seqI\x06{\x04");
        let other = b"\xff\x0f\"\x02hi";
        let mut bytes = Vec::new();
        for payload in [&other[..], &value, &other[..]] {
            bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes());
            bytes.extend_from_slice(payload);
        }
        let (rest, count, replies) = sorted(Serialization::Advanced, &bytes, 3);
        assert_eq!(
            replies,
            [Said::Reply(Reply {
                sequence: FIRST_SEQUENCE + 7,
                accepted: true
            })]
        );
        assert_eq!((rest.len(), count), (2 * (4 + other.len()), 2));
    }

    #[test]
    fn numbers_no_reply_can_have_are_left_to_the_owner() {
        for number in ["", "-1", "4294967296.5", "99999999999999999999999"] {
            let line = format!("{{\"cmd\":\"NODE_CLUSTER\",\"ack\":{number},\"accepted\":true}}\n");
            assert_eq!(sorted(Serialization::Json, line.as_bytes(), 1).2, []);
        }
    }
}
