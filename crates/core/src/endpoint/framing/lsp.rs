//! A head with `Content-Length` before each JSON text, as the language server protocol has it.

use memchr::memmem;

use super::{Decoder, Sink};
use crate::endpoint::Kind;
use crate::error::ErrorKind;

/// Bytes of a head.
const HEAD_LIMIT: usize = 1_024;

impl Decoder {
    pub(super) fn feed_heads(&mut self, bytes: &[u8], sink: &mut Sink) -> Result<(), ErrorKind> {
        self.partial.extend_from_slice(bytes);
        let mut held = std::mem::take(&mut self.partial);
        let mut done = 0;
        loop {
            let rest = held.get(done..).unwrap_or_default();
            // Nothing is looked for again until the text that is known to come is there.
            if self.looked > rest.len() {
                break;
            }
            let window = rest.get(..rest.len().min(HEAD_LIMIT)).unwrap_or_default();
            let Some(end) = memmem::find(window, b"\r\n\r\n") else {
                if rest.len() >= HEAD_LIMIT {
                    return Err(ErrorKind::MalformedFrame);
                }
                self.looked = 0;
                break;
            };
            let length = content_length(rest.get(..end).unwrap_or_default())?;
            if length > self.limits.max_message_size {
                return Err(self.too_large(length));
            }
            let start = end + 4;
            let Some(text) = rest.get(start..start + length) else {
                self.looked = start + length;
                break;
            };
            self.looked = 0;
            done += start + length;
            self.take_pretty(text, sink)?;
        }
        if done < held.len() {
            held.drain(..done);
            self.partial = held;
        }
        Ok(())
    }

    /// A text may have line breaks, which are whitespace in JSON and the ends of texts in a run.
    fn take_pretty(&mut self, text: &[u8], sink: &mut Sink) -> Result<(), ErrorKind> {
        if text.is_empty() {
            return Err(ErrorKind::MalformedFrame);
        }
        if memchr::memchr(b'\n', text).is_none() {
            return self.take_texts(Kind::Message, text, sink);
        }
        let flat: Vec<u8> = text
            .iter()
            .map(|&byte| if byte == b'\n' { b' ' } else { byte })
            .collect();
        self.take_texts(Kind::Message, &flat, sink)
    }
}

/// The one field that counts. Names of fields are the same in any case.
fn content_length(head: &[u8]) -> Result<usize, ErrorKind> {
    let mut found = None;
    for line in head.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(colon) = memchr::memchr(b':', line) else {
            return Err(ErrorKind::MalformedFrame);
        };
        let (name, value) = line.split_at(colon);
        if !name.eq_ignore_ascii_case(b"content-length") {
            continue;
        }
        let digits = value.get(1..).unwrap_or_default().trim_ascii();
        let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        let number = std::str::from_utf8(digits)
            .ok()
            .filter(|_| all_digits)
            .and_then(|digits| digits.parse().ok());
        match number {
            // Two that differ are how requests are smuggled.
            Some(number) if found.is_none_or(|other| other == number) => found = Some(number),
            _ => return Err(ErrorKind::MalformedFrame),
        }
    }
    found.ok_or(ErrorKind::MalformedFrame)
}
