//! Just enough of V8's serialization format to find the fields of an envelope.
//!
//! The walk is iterative and gives up at the first byte it does not know: what it has found
//! until then counts. Node writes `cmd` and `type` before anything of the user's, so giving up
//! later costs nothing.

use super::envelope::Fields;

/// The fields of the object in `payload`, and those of the object in its `msg`. `None` if
/// there is no object.
pub fn envelope(payload: &[u8]) -> Option<(Fields<'_>, Option<Fields<'_>>)> {
    let mut walk = Walk { rest: payload };
    if walk.byte()? != 0xff {
        return None;
    }
    walk.varint()?;
    if walk.tag()? != b'o' {
        return None;
    }
    let mut inner = None;
    let outer = fields(&mut walk, Some(&mut inner));
    Some((outer, inner))
}

/// Reads properties until the object ends, something is unknown, or all is found. The tag of
/// the object has been read.
fn fields<'a>(walk: &mut Walk<'a>, mut msg: Option<&mut Option<Fields<'a>>>) -> Fields<'a> {
    let mut found = Fields::default();
    // Ends with the input at the latest: every turn takes at least one byte of it.
    while let Some(key) = walk.key() {
        match key {
            "cmd" => found.cmd = walk.string_or_skip().unwrap_or_default(),
            "type" => found.kind = walk.string_or_skip().unwrap_or_default(),
            "msg" => {
                if let Some(inner) = msg.take() {
                    let mut ahead = *walk;
                    if ahead.tag() == Some(b'o') {
                        *inner = Some(fields(&mut ahead, None));
                    }
                }
                if !found.cmd.is_empty() && !found.kind.is_empty() {
                    break;
                }
                if walk.skip().is_none() {
                    break;
                }
            }
            _ => {
                if walk.skip().is_none() {
                    break;
                }
            }
        }
    }
    found
}

/// How deeply the walk follows a value that stands before the fields it looks for.
const MAX_OPEN: usize = 1024;

#[derive(Clone, Copy)]
struct Walk<'a> {
    rest: &'a [u8],
}

/// How a container goes on after one of its values.
#[derive(Clone, Copy)]
enum Open {
    /// Keys and values until this tag, then this many varints.
    Until(u8, u8),
    /// This many values, then keys and values until the tag.
    Dense(u64),
}

impl<'a> Walk<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    /// The next tag, past the padding V8 puts before two-byte strings.
    fn tag(&mut self) -> Option<u8> {
        loop {
            match self.byte()? {
                0 => {}
                tag => return Some(tag),
            }
        }
    }

    fn peek_tag(&self) -> Option<u8> {
        let mut ahead = *self;
        ahead.tag()
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        Some(taken)
    }

    /// A string of one byte a character. The words sought are ASCII, and so are their
    /// neighbours of interest: other text reads as empty.
    fn text(&mut self) -> Option<&'a str> {
        let length = self.varint()?;
        let bytes = self.take(length)?;
        Some(std::str::from_utf8(bytes).unwrap_or_default())
    }

    /// The next key, read past; `None` at the end of the object. A key that is a number or a
    /// two-byte string reads as empty.
    fn key(&mut self) -> Option<&'a str> {
        match self.peek_tag()? {
            b'"' | b'S' => {
                self.tag();
                self.text()
            }
            b'c' | b'I' | b'U' | b'N' => self.skip().map(|()| ""),
            _ => None,
        }
    }

    /// The next value if it is a string; whatever it is, it is read past.
    fn string_or_skip(&mut self) -> Option<&'a str> {
        match self.peek_tag()? {
            b'"' | b'S' => {
                self.tag();
                self.text()
            }
            _ => {
                // What cannot be skipped leaves the walk where the next key is not found.
                if self.skip().is_none() {
                    self.rest = &[];
                }
                None
            }
        }
    }

    /// Reads past one whole value.
    fn skip(&mut self) -> Option<()> {
        let mut open: Vec<Open> = Vec::new();
        loop {
            if let Some(container) = self.value()? {
                if open.len() == MAX_OPEN {
                    return None;
                }
                open.push(container);
            }
            // Close what ends here, then go on with the next value of the innermost container.
            loop {
                match open.last_mut() {
                    None => return Some(()),
                    Some(Open::Dense(0)) => {
                        open.pop();
                        open.push(Open::Until(b'$', 2));
                    }
                    Some(Open::Dense(left)) => {
                        *left -= 1;
                        break;
                    }
                    Some(Open::Until(end, varints)) => {
                        let (end, varints) = (*end, *varints);
                        if self.peek_tag()? != end {
                            break;
                        }
                        self.tag();
                        for _ in 0..varints {
                            self.varint()?;
                        }
                        open.pop();
                    }
                }
            }
        }
    }

    /// Reads past one simple value, or into a container. `None`: unknown.
    fn value(&mut self) -> Option<Option<Open>> {
        match self.tag()? {
            b'_' | b'0' | b'T' | b'F' | b'x' | b'y' | b'-' => {}
            b'I' | b'U' | b'^' => {
                self.varint()?;
            }
            b'N' | b'D' | b'n' => {
                self.take(8)?;
            }
            b'"' | b'c' | b'S' | b'B' => {
                let length = self.varint()?;
                self.take(length)?;
            }
            b'Z' | b'z' => {
                let length = self.varint()? >> 1;
                self.take(length)?;
            }
            tag @ (b's' | b'R') => {
                if !matches!(self.tag()?, b'"' | b'c' | b'S') {
                    return None;
                }
                let length = self.varint()?;
                self.take(length)?;
                if tag == b'R' {
                    self.varint()?;
                }
            }
            b'o' => return Some(Some(Open::Until(b'{', 1))),
            b'a' => {
                self.varint()?;
                return Some(Some(Open::Until(b'@', 2)));
            }
            b'A' => return Some(Some(Open::Dense(self.varint()?))),
            b';' => return Some(Some(Open::Until(b':', 1))),
            b'\'' => return Some(Some(Open::Until(b',', 1))),
            b'\\' if self.varint()? == 0 => {
                self.varint()?;
                let length = self.varint()?;
                self.take(length)?;
            }
            _ => return None,
        }
        Some(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &str) -> Vec<u8> {
        let mut bytes = vec![b'"', u8::try_from(text.len()).unwrap()];
        bytes.extend_from_slice(text.as_bytes());
        bytes
    }

    fn object(fields: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = vec![b'o'];
        for (key, value) in fields {
            bytes.extend(string(key));
            bytes.extend_from_slice(value);
        }
        bytes.extend([b'{', u8::try_from(fields.len()).unwrap()]);
        bytes
    }

    fn payload(value: Vec<u8>) -> Vec<u8> {
        [vec![0xff, 15], value].concat()
    }

    #[test]
    fn fields_are_found_at_the_top_and_in_msg() {
        let inner = object(&[
            ("cmd", string("B")),
            ("type", string("u")),
            ("msg", vec![b'_']),
        ]);
        let value = object(&[("cmd", string("A")), ("type", string("t")), ("msg", inner)]);
        let (outer, inner) = {
            let payload = payload(value);
            let (outer, inner) = envelope(&payload).unwrap();
            let inner = inner.unwrap();
            (
                (outer.cmd.to_owned(), outer.kind.to_owned()),
                (inner.cmd.to_owned(), inner.kind.to_owned()),
            )
        };
        assert_eq!(outer, ("A".into(), "t".into()));
        assert_eq!(inner, ("B".into(), "u".into()));
    }

    #[test]
    fn every_kind_of_value_before_the_fields_is_read_past() {
        let values: Vec<Vec<u8>> = vec![
            b"_".to_vec(),
            b"I\x80\x01".to_vec(),
            b"N\0\0\0\0\0\0\xf0\x3f".to_vec(),
            b"Z\x1012345678".to_vec(),
            b"\0c\x04a\0b\0".to_vec(),
            b"A\x02I\x02o{\0$\0\x02".to_vec(),
            b"a\x05I\x02T@\x01\x05".to_vec(),
            b";I\x02\"\x01a:\x02".to_vec(),
            b"'A\0$\0\0,\x01".to_vec(),
            b"\\\0\x0a\x02hi".to_vec(),
            b"R\"\x01a\0".to_vec(),
            b"s\"\x01a".to_vec(),
            b"D\0\0\0\0\0\0\0\0".to_vec(),
            object(&[("x", object(&[("cmd", string("no"))]))]),
        ];
        for value in values {
            let payload = payload(object(&[
                ("msg", value.clone()),
                ("x", value.clone()),
                ("cmd", string("A")),
            ]));
            let (outer, _) = envelope(&payload).unwrap();
            assert_eq!(outer.cmd, "A", "{value:02x?}");
        }
    }

    #[test]
    fn no_bytes_make_the_walk_panic_or_recurse() {
        let whole = payload(object(&[
            ("msg", b"A\x02I\x02o{\0$\0\x02".to_vec()),
            ("cmd", string("A")),
        ]));
        for end in 0..whole.len() {
            envelope(&whole[..end]);
        }
        for tag in 0..=255u8 {
            let mut bomb = payload(vec![b'o', b'"', 3, b'm', b's', b'g']);
            bomb.extend(std::iter::repeat_n(tag, 100_000));
            envelope(&bomb);
        }
    }
}
