//! The frames a channel must understand itself: `NODE_HANDLE` and its two answers.
//!
//! All else is payload. A frame is only parsed when the words occur in it; a frame that has the
//! words but not the shape (a user message that quotes them, keys given twice) is payload too.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Serialization, advanced};
use crate::handle::HandleType;

/// The words every envelope contains.
pub const MARKER: &[u8] = b"NODE_HANDLE";

/// What an envelope says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// The peer has our handle.
    Ack,
    /// The peer did not get our handle.
    Nack,
    /// A handle comes with this frame.
    Handle {
        /// Its type; `None` if nobody knows it. Of a nested envelope, the inner type.
        kind: Option<HandleType>,
        /// Node's way to send a handle again: a `net.Native` around the envelope proper.
        nested: bool,
    },
}

/// The three fields that matter, as found at one level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields<'a> {
    /// `cmd`, if it is a string.
    pub cmd: &'a str,
    /// `type`, if it is a string.
    pub kind: &'a str,
}

/// What the payload of one frame says, if it is an envelope.
pub fn classify(serialization: Serialization, payload: &[u8]) -> Option<Envelope> {
    match serialization {
        Serialization::Json => json(payload),
        Serialization::Advanced => {
            let (outer, inner) = advanced::envelope(payload)?;
            judge(outer, inner)
        }
    }
}

/// What the fields of an object and of its `msg` say.
fn judge(outer: Fields<'_>, inner: Option<Fields<'_>>) -> Option<Envelope> {
    match outer.cmd {
        "NODE_HANDLE_ACK" => Some(Envelope::Ack),
        "NODE_HANDLE_NACK" => Some(Envelope::Nack),
        "NODE_HANDLE" => {
            let outer_kind = HandleType::from_name(outer.kind);
            let inner = inner.filter(|inner| {
                inner.cmd == "NODE_HANDLE" && outer_kind == Some(HandleType::NetNative)
            });
            Some(match inner {
                Some(inner) => Envelope::Handle {
                    kind: HandleType::from_name(inner.kind),
                    nested: true,
                },
                None => Envelope::Handle {
                    kind: outer_kind,
                    nested: false,
                },
            })
        }
        _ => None,
    }
}

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow)]
    cmd: Cow<'a, str>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    msg: Option<&'a RawValue>,
}

impl Object<'_> {
    fn kind(&self) -> Cow<'_, str> {
        let text = self.kind.map_or("", RawValue::get);
        serde_json::from_str(text).unwrap_or_default()
    }
}

fn json(payload: &[u8]) -> Option<Envelope> {
    // Node decodes before it parses, with a replacement for what is not UTF-8.
    let text = String::from_utf8_lossy(payload);
    let outer = object(&text)?;
    let inner = outer.msg.and_then(|msg| object(msg.get()));
    let outer_kind = outer.kind();
    let inner_kind = inner.as_ref().map(Object::kind).unwrap_or_default();
    judge(
        Fields {
            cmd: &outer.cmd,
            kind: &outer_kind,
        },
        inner.as_ref().map(|inner| Fields {
            cmd: &inner.cmd,
            kind: &inner_kind,
        }),
    )
}

fn object(text: &str) -> Option<Object<'_>> {
    // A derived struct would be read from an array as well.
    if !text
        .trim_start_matches([' ', '\t', '\r', '\n'])
        .starts_with('{')
    {
        return None;
    }
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Option<Envelope> {
        classify(Serialization::Json, text.as_bytes())
    }

    const SOCKET: Option<Envelope> = Some(Envelope::Handle {
        kind: Some(HandleType::NetSocket),
        nested: false,
    });

    #[test]
    fn envelopes_are_told_by_their_exact_command() {
        assert_eq!(json(r#"{"cmd":"NODE_HANDLE_ACK"}"#), Some(Envelope::Ack));
        assert_eq!(json(r#"{"cmd":"NODE_HANDLE_NACK"}"#), Some(Envelope::Nack));
        assert_eq!(
            json(r#"{"cmd":"NODE_HANDLE","type":"net.Socket","msg":1,"key":"k"}"#),
            SOCKET
        );
        assert_eq!(
            json(r#" {"msg":[{"a":null}],"type":"net.Socket","cmd":"NODE_HANDLE"} "#),
            SOCKET
        );
        assert_eq!(json(r#"{"cmd":"NODE_HANDLE_ACKNOWLEDGED"}"#), None);
        assert_eq!(json(r#"{"cmd":"XNODE_HANDLE"}"#), None);
    }

    #[test]
    fn what_only_quotes_the_words_is_payload() {
        for text in [
            r#""NODE_HANDLE""#,
            r#"["NODE_HANDLE","net.Socket",1]"#,
            r#"{"a":{"cmd":"NODE_HANDLE"}}"#,
            r#"{"cmd":["NODE_HANDLE"]}"#,
            r#"{"cmd":"NODE_HANDLE","cmd":"NODE_HANDLE"}"#,
            r#"{"cmd":"NODE_HANDLE""#,
            r#"{"cmd":"NODE_HANDLE"} {}"#,
            "NODE_HANDLE",
            "",
        ] {
            assert_eq!(json(text), None, "{text}");
        }
    }

    #[test]
    fn an_unknown_or_absent_type_is_an_envelope_without_a_kind() {
        for text in [
            r#"{"cmd":"NODE_HANDLE","type":"net.Sock","msg":1}"#,
            r#"{"cmd":"NODE_HANDLE","type":7}"#,
            r#"{"cmd":"NODE_HANDLE","type":null}"#,
            r#"{"cmd":"NODE_HANDLE"}"#,
        ] {
            assert_eq!(
                json(text),
                Some(Envelope::Handle {
                    kind: None,
                    nested: false
                }),
                "{text}"
            );
        }
    }

    #[test]
    fn a_retransmission_is_told_by_the_envelope_inside_a_native_handle() {
        let inner = r#"{"cmd":"NODE_HANDLE","type":"net.Socket","msg":{"a":1},"key":"k"}"#;
        let nested = Some(Envelope::Handle {
            kind: Some(HandleType::NetSocket),
            nested: true,
        });
        let outer =
            |kind: &str| format!(r#"{{"cmd":"NODE_HANDLE","type":"{kind}","msg":{inner}}}"#);
        assert_eq!(json(&outer("net.Native")), nested);
        assert_eq!(json(&outer("net.Socket")), SOCKET);
    }

    #[test]
    fn strings_that_are_not_unicode_do_not_hide_an_envelope() {
        assert_eq!(
            json(r#"{"cmd":"NODE_HANDLE","type":"net.Socket","msg":"\ud800"}"#),
            SOCKET
        );
        let bytes = b"{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Socket\",\"msg\":\"\xff\xfe\"}";
        assert_eq!(classify(Serialization::Json, bytes), SOCKET);
    }
}
