//! One JSON text a line, as `ndjson` and many programs on stdio have it.
//!
//! A carriage return before the line feed is whitespace to JSON. Empty lines are passed over, and so is a byte
//! order mark in the very beginning.

use memchr::{memchr, memrchr};

use super::{Decoder, Sink};
use crate::endpoint::Kind;
use crate::error::ErrorKind;

impl Decoder {
    pub(super) fn feed_lines(&mut self, bytes: &[u8], sink: &mut Sink) -> Result<(), ErrorKind> {
        let Some(last) = memrchr(b'\n', bytes) else {
            return self.keep_line(bytes);
        };
        let (whole, rest) = bytes.split_at(last + 1);
        if self.partial.is_empty() {
            self.take_lines(whole, sink)?;
        } else {
            let end = memchr(b'\n', whole).unwrap_or(last) + 1;
            let (first, more) = whole.split_at(end);
            let mut line = std::mem::take(&mut self.partial);
            line.extend_from_slice(first);
            self.take_lines(&line, sink)?;
            self.take_lines(more, sink)?;
        }
        self.keep_line(rest)
    }

    fn keep_line(&mut self, bytes: &[u8]) -> Result<(), ErrorKind> {
        let size = self.partial.len() + bytes.len();
        if size > self.limits.max_message_size {
            return Err(self.too_large(size));
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    fn take_lines(&mut self, mut lines: &[u8], sink: &mut Sink) -> Result<(), ErrorKind> {
        if !self.begun && !lines.is_empty() {
            self.begun = true;
            lines = lines.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(lines);
        }
        let limit = self.limits.max_message_size;
        if lines.len() > limit {
            for line in lines.split(|&byte| byte == b'\n') {
                if line.len() > limit {
                    return Err(self.too_large(line.len()));
                }
            }
        }
        if lines.is_empty() {
            return Ok(());
        }
        self.take_texts(Kind::Message, lines, sink)
    }
}
