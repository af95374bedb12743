//! Payloads to frames, and the two answers to a handle.

use memchr::memchr;

use super::Serialization;
use crate::error::{Error, ErrorKind};

/// Bytes of the length before an advanced frame.
pub const LENGTH_BYTES: usize = 4;

/// The longest advanced payload: Node 18 and 20 read the length as a signed number.
pub const MAX_PAYLOAD: usize = i32::MAX as usize;

/// The payload of [`switch`].
pub const SWITCH: &[u8] = b"~";

const JSON_ACK: &[u8] = b"{\"cmd\":\"NODE_HANDLE_ACK\"}\n";
const JSON_NACK: &[u8] = b"{\"cmd\":\"NODE_HANDLE_NACK\"}\n";
// Length, header FF 0F, object, "cmd", the command, end of object with one property.
const ADVANCED_ACK: &[u8] = b"\0\0\0\x1b\xff\x0fo\"\x03cmd\"\x0fNODE_HANDLE_ACK{\x01";
const ADVANCED_NACK: &[u8] = b"\0\0\0\x1c\xff\x0fo\"\x03cmd\"\x10NODE_HANDLE_NACK{\x01";

/// The frame that tells the peer its handle arrived, or did not.
pub fn answer(serialization: Serialization, taken: bool) -> &'static [u8] {
    match (serialization, taken) {
        (Serialization::Json, true) => JSON_ACK,
        (Serialization::Json, false) => JSON_NACK,
        (Serialization::Advanced, true) => ADVANCED_ACK,
        (Serialization::Advanced, false) => ADVANCED_NACK,
    }
}

/// An empty frame: between two ends that share memory it wakes the peer.
pub fn wake(serialization: Serialization) -> &'static [u8] {
    match serialization {
        Serialization::Json => b"\n",
        Serialization::Advanced => &[0; LENGTH_BYTES],
    }
}

/// A frame that no message is: between two ends that share memory, what follows travels there.
pub fn switch(serialization: Serialization) -> &'static [u8] {
    match serialization {
        Serialization::Json => b"~\n",
        Serialization::Advanced => b"\0\0\0\x01~",
    }
}

/// Appends one frame whose payload is appended by `write`, and returns its length. On an error
/// `buf` is as it was.
pub fn frame(
    serialization: Serialization,
    buf: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>),
) -> Result<usize, Error> {
    let begin = buf.len();
    if serialization == Serialization::Advanced {
        buf.extend_from_slice(&[0; LENGTH_BYTES]);
    }
    let payload = buf.len();
    write(buf);
    let checked = match buf.get(payload..) {
        Some(written) => head(serialization, written),
        None => Err(ErrorKind::MalformedFrame.into()),
    };
    match checked {
        Ok(Head::Line) => buf.push(b'\n'),
        Ok(Head::Length(length)) => {
            if let Some(place) = buf.get_mut(begin..payload) {
                place.copy_from_slice(&length);
            }
        }
        Err(error) => {
            buf.truncate(begin);
            return Err(error);
        }
    }
    Ok(buf.len() - begin)
}

/// What is written around a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// A line feed after it.
    Line,
    /// These bytes before it.
    Length([u8; LENGTH_BYTES]),
}

impl Head {
    /// The bytes before the payload and the bytes after it.
    pub fn around(&self) -> (&[u8], &[u8]) {
        match self {
            Head::Line => (b"", b"\n"),
            Head::Length(length) => (length, b""),
        }
    }
}

/// What is written around `payload`, or why it cannot be a frame: an empty line, or a line
/// with a line break in it, would kill a Node that reads it.
pub fn head(serialization: Serialization, payload: &[u8]) -> Result<Head, Error> {
    if serialization == Serialization::Json && memchr(b'\n', payload).is_some() {
        return Err(ErrorKind::MalformedFrame.into());
    }
    head_of_length(serialization, payload.len())
}

/// As [`head`], for a payload of this length without a line break in it.
pub fn head_of_length(serialization: Serialization, length: usize) -> Result<Head, Error> {
    if length == 0 {
        return Err(ErrorKind::MalformedFrame.into());
    }
    if length > MAX_PAYLOAD {
        let (size, limit) = (length as u64, MAX_PAYLOAD as u64);
        return Err(ErrorKind::MessageTooLarge { size, limit }.into());
    }
    match serialization {
        Serialization::Json => Ok(Head::Line),
        // No more than MAX_PAYLOAD, which fits.
        Serialization::Advanced => Ok(Head::Length((length as u32).to_be_bytes())),
    }
}
