//! Telling envelopes: whatever the bytes, nothing panics and nothing is told that is not there; and in
//! an object that V8 could have written the fields are found, whatever stands before them.
//!
//! The input is taken as a payload of either format first, then as the plan of such an object.

#![no_main]

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use memchr::memmem;
use rsipc_core::codec::envelope::{Envelope, Fields, classify};
use rsipc_core::codec::{Serialization, advanced, depth};
use serde_json::Value;

const ACK: &str = "NODE_HANDLE_ACK";
const NACK: &str = "NODE_HANDLE_NACK";
const HANDLE: &str = "NODE_HANDLE";

/// What a parser that reads the whole text says its command is.
fn command(value: &Value) -> Option<&str> {
    value.as_object()?.get("cmd")?.as_str()
}

fn name(envelope: Envelope) -> &'static str {
    match envelope {
        Envelope::Ack => ACK,
        Envelope::Nack => NACK,
        Envelope::Handle { .. } => HANDLE,
    }
}

fn json(payload: &[u8]) {
    let told = classify(Serialization::Json, payload);
    let Ok(value) = serde_json::from_slice::<Value>(payload) else {
        return;
    };
    match told {
        Some(envelope) => assert_eq!(command(&value), Some(name(envelope))),
        None => {
            // With a key twice, or written with escapes, it may be either.
            let once = |key: &[u8]| memmem::find_iter(payload, key).count() <= 1;
            let clear = ["cmd", "type", "msg"]
                .iter()
                .all(|key| once(key.as_bytes()));
            let known = command(&value).is_some_and(|cmd| [ACK, NACK, HANDLE].contains(&cmd));
            assert!(!(clear && known && !payload.contains(&b'\\')), "missed");
        }
    }
    // What parses within the limit of its parser cannot be deeper than that.
    assert!(!depth::exceeds(payload, 128));
}

fn advanced(payload: &[u8]) {
    let told = classify(Serialization::Advanced, payload);
    let Some((outer, inner)) = advanced::envelope(payload) else {
        assert_eq!(told, None);
        return;
    };
    for fields in [Some(outer), inner].into_iter().flatten() {
        for text in [fields.cmd, fields.kind] {
            assert!(memmem::find(payload, text.as_bytes()).is_some());
        }
    }
    assert_eq!(
        told.map(name),
        [ACK, NACK, HANDLE]
            .into_iter()
            .find(|cmd| *cmd == outer.cmd)
    );
}

fn varint(mut value: usize, out: &mut Vec<u8>) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    varint(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

/// Appends any value. `level` levels of containers may follow.
fn value(plan: &mut Unstructured<'_>, level: u8, out: &mut Vec<u8>) -> Result<()> {
    let kinds = if level == 0 { 12 } else { 18 };
    match plan.int_in_range(0..=kinds - 1)? {
        0 => out.push(*plan.choose(b"_0TFxy")?),
        1 => {
            out.push(b'I');
            varint(plan.arbitrary::<u32>()? as usize, out);
        }
        2 => {
            out.push(*plan.choose(b"NDn")?);
            out.extend_from_slice(&plan.arbitrary::<[u8; 8]>()?);
        }
        3 => string(
            plan.choose(&["", "cmd", "NODE_HANDLE", "{", "msg\"\x04"])?,
            out,
        ),
        4 => {
            let length = usize::from(plan.arbitrary::<u8>()? % 40).min(plan.len());
            let bytes = plan.bytes(length)?;
            out.extend_from_slice(&[0, b'c']);
            varint(bytes.len(), out);
            out.extend_from_slice(bytes);
        }
        5 => {
            out.extend_from_slice(b"Z\x10");
            out.extend_from_slice(&plan.arbitrary::<[u8; 8]>()?);
        }
        6 => out.extend_from_slice(b"^\0"),
        7 => out.extend_from_slice(b"R\"\x01a\0"),
        8 => out.extend_from_slice(b"s\"\x01a"),
        9 => out.extend_from_slice(b"B\x03abc"),
        10 => out.extend_from_slice(b"\\\0\x0a\x02hi"),
        11 => out.extend_from_slice(b"z\x10\0\0\0\0\0\0\0\x01"),
        kind => {
            let count = usize::from(plan.arbitrary::<u8>()? % 5);
            let mut values = |number: usize, keyed: bool, out: &mut Vec<u8>| -> Result<()> {
                for index in 0..number {
                    if keyed {
                        string(&format!("k{index}"), out);
                    }
                    value(plan, level - 1, out)?;
                }
                Ok(())
            };
            match kind {
                12 => {
                    out.push(b'A');
                    varint(count, out);
                    values(count, false, out)?;
                    out.extend_from_slice(b"$\0");
                    varint(count, out);
                }
                13 => {
                    out.extend_from_slice(b"a\x64");
                    values(count, true, out)?;
                    out.push(b'@');
                    varint(count, out);
                    out.push(100);
                }
                14 => {
                    out.push(b';');
                    values(2 * count, false, out)?;
                    out.push(b':');
                    varint(2 * count, out);
                }
                15 => {
                    out.push(b'\'');
                    values(count, false, out)?;
                    out.push(b',');
                    varint(count, out);
                }
                _ => {
                    out.push(b'o');
                    values(count, true, out)?;
                    out.push(b'{');
                    varint(count, out);
                }
            }
        }
    }
    Ok(())
}

/// The words an object has in its fields.
#[derive(Debug, Default, PartialEq, Eq)]
struct Words<'a> {
    cmd: &'a str,
    kind: &'a str,
}

fn words(fields: Fields<'_>) -> Words<'_> {
    Words {
        cmd: fields.cmd,
        kind: fields.kind,
    }
}

/// Appends an object with the three fields among others, in any order. `inner` gets the words of the
/// object in `msg`, if there is one.
fn object(
    plan: &mut Unstructured<'_>,
    mut inner: Option<&mut Option<Words<'static>>>,
    out: &mut Vec<u8>,
) -> Result<Words<'static>> {
    let mut words = Words::default();
    let mut left = vec!["cmd", "type", "msg"];
    out.push(b'o');
    let mut count = 0;
    while !left.is_empty() {
        // A plan that is used up answers every question alike.
        if !plan.is_empty() && plan.ratio(1, 3)? {
            string(&format!("x{count}"), out);
            value(plan, 3, out)?;
        } else {
            let at = plan.choose_index(left.len())?;
            let key = left.remove(at);
            string(key, out);
            match (key, inner.take_if(|_| key == "msg")) {
                (_, Some(inner)) if plan.ratio(2, 3)? => *inner = Some(object(plan, None, out)?),
                (_, Some(_)) => out.push(b'T'),
                ("cmd", None) => {
                    words.cmd = plan.choose(&[HANDLE, ACK, NACK, "other"])?;
                    string(words.cmd, out);
                }
                ("type", None) => {
                    words.kind = plan.choose(&["net.Socket", "net.Native", "fd", "other"])?;
                    string(words.kind, out);
                }
                _ => value(plan, 3, out)?,
            }
        }
        count += 1;
    }
    out.push(b'{');
    varint(count, out);
    Ok(words)
}

fn planned(plan: &mut Unstructured<'_>) -> Result<()> {
    let mut payload = b"\xff\x0f".to_vec();
    let mut expected_inner = None;
    let expected = object(plan, Some(&mut expected_inner), &mut payload)?;
    let (outer, inner) = advanced::envelope(&payload).expect("an object");
    assert_eq!(words(outer), expected, "{payload:02x?}");
    assert_eq!(inner.map(words), expected_inner, "{payload:02x?}");
    for end in [payload.len(), payload.len() - 1, payload.len() / 2] {
        advanced(&payload[..end]);
    }
    Ok(())
}

fuzz_target!(|input: &[u8]| {
    json(input);
    advanced(input);
    // A plan that is too short ends in the middle and says nothing.
    let _ = planned(&mut Unstructured::new(input));
});
