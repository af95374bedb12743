//! What is received: messages, their handles, and how a frame becomes one.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;

use memchr::{memchr, memmem};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::channel::{HandleType, Serialization};
use crate::codec::{advanced, encode};

/// A message.
#[derive(Debug)]
pub struct Message {
    /// The message as it came: JSON text, or a value in V8's format with its header.
    pub bytes: Vec<u8>,
    /// The handle that came with it.
    pub handle: Option<Handle>,
}

impl Message {
    /// The message, parsed from JSON.
    ///
    /// Where V8 is more lenient than `serde_json` this is an error: strings with lone surrogates,
    /// more than 128 levels. What is not UTF-8 is replaced, as in Node.
    pub fn json<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(&self.text())
    }

    /// As [`json`](Message::json), for a value of any shape.
    pub fn value(&self) -> serde_json::Result<serde_json::Value> {
        self.json()
    }

    /// The JSON text. What is not UTF-8 is replaced, as in Node.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }
}

/// A handle that came with a message.
#[derive(Debug)]
pub struct Handle {
    /// What the peer says it is.
    pub kind: HandleType,
    /// The descriptor, close-on-exec and, if it is a socket of Node's, non-blocking.
    pub descriptor: Result<OwnedFd, HandleProblem>,
}

/// Why a handle came without its descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandleProblem {
    /// Handles of this type are not accepted here.
    Refused,
    /// The descriptor is not what the type says.
    Kind,
    /// It did not survive the way: this process could not open more.
    Lost,
}

impl HandleProblem {
    pub(super) fn from_name(name: &str) -> HandleProblem {
        match name {
            "refused" => HandleProblem::Refused,
            "kind" => HandleProblem::Kind,
            _ => HandleProblem::Lost,
        }
    }
}

impl fmt::Display for HandleProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HandleProblem::Refused => "handles of this type are not accepted",
            HandleProblem::Kind => "the descriptor does not fit its handle type",
            HandleProblem::Lost => "the descriptor was lost on the way",
        })
    }
}

impl std::error::Error for HandleProblem {}

impl From<HandleProblem> for io::Error {
    fn from(problem: HandleProblem) -> io::Error {
        io::Error::other(problem)
    }
}

/// What is to be done with a payload.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// It is for the program.
    Tell,
    /// It is Node's own and of no concern.
    Ignore,
    /// It is Node's own and wants this answer.
    Answer(Vec<u8>),
    /// The other end is rsipc, and says whether it can share memory. `reply`: it was asked.
    Hello { lanes: bool, reply: bool },
    /// Memory comes with it, the second part or the first.
    Lanes { second: bool },
}

#[derive(Deserialize)]
struct Internal<'a> {
    #[serde(borrow)]
    cmd: Cow<'a, str>,
    #[serde(borrow, default)]
    key: Option<&'a RawValue>,
    #[serde(borrow, default)]
    act: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reply: Option<&'a RawValue>,
    #[serde(borrow, default)]
    lanes: Option<&'a RawValue>,
    #[serde(borrow, default)]
    part: Option<&'a RawValue>,
}

const RESERVED: &str = "NODE_";

/// Node's own messages have a `cmd` that is longer than this prefix. They are told by the words
/// first, so that most messages are not parsed.
pub(super) fn route(serialization: Serialization, payload: &[u8]) -> Route {
    if memmem::find(payload, RESERVED.as_bytes()).is_none() {
        return Route::Tell;
    }
    match serialization {
        Serialization::Json => {
            let text = String::from_utf8_lossy(payload);
            match serde_json::from_str(&text) {
                Ok(internal) if text.trim_start().starts_with('{') => route_internal(&internal),
                _ => Route::Tell,
            }
        }
        Serialization::Advanced => match advanced::envelope(payload) {
            Some((outer, _)) if is_reserved(outer.cmd) => Route::Ignore,
            _ => Route::Tell,
        },
    }
}

fn is_reserved(cmd: &str) -> bool {
    cmd.len() > RESERVED.len() && cmd.starts_with(RESERVED)
}

fn route_internal(internal: &Internal<'_>) -> Route {
    if !is_reserved(&internal.cmd) {
        return Route::Tell;
    }
    // Nothing here knows when the program closes a socket it was given. A Node that closes its
    // server would wait for ever.
    let (cmd, count) = match &*internal.cmd {
        "NODE_SOCKET_NOTIFY_CLOSE" => ("NODE_SOCKET_ALL_CLOSED", ""),
        "NODE_SOCKET_GET_COUNT" => ("NODE_SOCKET_COUNT", ",\"count\":0"),
        "NODE_RSIPC" => return route_ours(internal),
        _ => return Route::Ignore,
    };
    let key = internal.key.map_or("null", RawValue::get);
    Route::Answer(format!("{{\"cmd\":\"{cmd}\",\"key\":{key}{count}}}").into_bytes())
}

/// As rsipc writes it: what is written in another way is none of the things that concern this end.
fn route_ours(internal: &Internal<'_>) -> Route {
    let is = |field: Option<&RawValue>, text: &str| field.is_some_and(|raw| raw.get() == text);
    if is(internal.act, "\"hello\"") {
        Route::Hello {
            lanes: is(internal.lanes, "1"),
            reply: is(internal.reply, "true"),
        }
    } else if is(internal.act, "\"lanes\"") && internal.part.is_some() {
        Route::Lanes {
            second: is(internal.part, "1"),
        }
    } else {
        Route::Ignore
    }
}

/// The message in a frame with a handle. `nested`: the envelope proper is inside another.
/// V8's format has references to what stands before, so there the envelope stays whole.
pub(super) fn unwrap(serialization: Serialization, frame: Vec<u8>, nested: bool) -> Vec<u8> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow)]
        msg: &'a RawValue,
    }
    if serialization == Serialization::Advanced {
        return frame;
    }
    let text = String::from_utf8_lossy(&frame);
    let msg = |text| serde_json::from_str::<Envelope<'_>>(text).map(|envelope| envelope.msg.get());
    let message = match msg(&text) {
        Ok(inner) if nested => msg(inner),
        other => other,
    };
    // JSON leaves a field out whose value is undefined.
    message.unwrap_or("null").as_bytes().to_vec()
}

/// The payloads of a run of plain frames.
pub(super) fn payloads(serialization: Serialization, run: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = run;
    std::iter::from_fn(move || {
        let (from, to, next) = match serialization {
            Serialization::Json => {
                let at = memchr(b'\n', rest)?;
                (0, at, at + 1)
            }
            Serialization::Advanced => {
                let length = rest.first_chunk::<{ encode::LENGTH_BYTES }>()?;
                let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
                let end = encode::LENGTH_BYTES.checked_add(length)?;
                (encode::LENGTH_BYTES, end, end)
            }
        };
        let payload = rest.get(from..to)?;
        rest = rest.get(next..)?;
        Some(payload)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Route {
        route(Serialization::Json, text.as_bytes())
    }

    #[test]
    fn only_an_object_with_a_reserved_command_is_internal() {
        assert_eq!(json(r#"{"cmd":"NODE_CLUSTER","act":"x"}"#), Route::Ignore);
        assert_eq!(json(r#" {"a":1,"cmd":"NODE_X"}"#), Route::Ignore);
        for text in [
            r#"{"cmd":"NODE_"}"#,
            r#"{"cmd":"node_x"}"#,
            r#"{"cmd":["NODE_X"]}"#,
            r#"["NODE_X"]"#,
            r#""NODE_X""#,
            r#"{"a":{"cmd":"NODE_X"}}"#,
            r#"{"cmd":"NODE_X""#,
        ] {
            assert_eq!(json(text), Route::Tell, "{text}");
        }
        let advanced = b"\xff\x0fo\"\x03cmd\"\x06NODE_X{\x01";
        assert_eq!(route(Serialization::Advanced, advanced), Route::Ignore);
    }

    #[test]
    fn what_rsipc_says_about_memory_is_told_apart() {
        let hello = |text: &str| json(&format!(r#"{{"cmd":"NODE_RSIPC","act":"hello"{text}}}"#));
        assert_eq!(
            hello(r#","version":1,"lanes":1"#),
            Route::Hello {
                lanes: true,
                reply: false
            }
        );
        assert_eq!(
            hello(r#","reply":true,"lanes":0"#),
            Route::Hello {
                lanes: false,
                reply: true
            }
        );
        assert_eq!(
            json(r#"{"cmd":"NODE_RSIPC","act":"lanes","part":1}"#),
            Route::Lanes { second: true }
        );
        for text in [
            r#"{"cmd":"NODE_RSIPC","act":"lanes","refused":true}"#,
            r#"{"cmd":"NODE_RSIPC","act":7,"part":[]}"#,
            r#"{"cmd":"NODE_RSIPC","act":"request","id":1}"#,
        ] {
            assert_eq!(json(text), Route::Ignore, "{text}");
        }
    }

    #[test]
    fn requests_about_sockets_are_answered_with_their_key() {
        assert_eq!(
            json(r#"{"cmd":"NODE_SOCKET_NOTIFY_CLOSE","key":"6::::0"}"#),
            Route::Answer(br#"{"cmd":"NODE_SOCKET_ALL_CLOSED","key":"6::::0"}"#.to_vec())
        );
        assert_eq!(
            json(r#"{"cmd":"NODE_SOCKET_GET_COUNT","key":"4:a:1"}"#),
            Route::Answer(br#"{"cmd":"NODE_SOCKET_COUNT","key":"4:a:1","count":0}"#.to_vec())
        );
    }

    #[test]
    fn the_message_is_taken_out_of_its_envelope_and_out_of_a_nested_one() {
        let inner = r#"{"cmd":"NODE_HANDLE","type":"net.Socket","msg":{"a":[1]}}"#;
        let outer = format!(r#"{{"cmd":"NODE_HANDLE","type":"net.Native","msg":{inner}}}"#);
        let unwrap = |text: &str, nested| unwrap(Serialization::Json, text.into(), nested);
        assert_eq!(unwrap(inner, false), br#"{"a":[1]}"#);
        assert_eq!(unwrap(&outer, true), br#"{"a":[1]}"#);
        assert_eq!(unwrap(r#"{"cmd":"NODE_HANDLE"}"#, false), b"null");
    }

    #[test]
    fn a_run_falls_into_its_payloads() {
        let lines: Vec<&[u8]> = payloads(Serialization::Json, b"1\n[2]\n").collect();
        assert_eq!(lines, [&b"1"[..], b"[2]"]);
        let values: Vec<&[u8]> =
            payloads(Serialization::Advanced, b"\0\0\0\x01a\0\0\0\x02bc").collect();
        assert_eq!(values, [&b"a"[..], b"bc"]);
    }
}
