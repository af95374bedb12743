//! One JSON text a line, as `ndjson` and many programs on stdio have it.
//!
//! A carriage return before the line feed is whitespace to JSON. Empty lines are passed over, and so is a byte
//! order mark in the very beginning.

use memchr::{memchr, memrchr};

use super::{Decoder, Sink};
use crate::endpoint::Kind;
use crate::error::ErrorKind;

/// The byte order mark.
const MARK: &[u8] = b"\xEF\xBB\xBF";

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
        self.partial.extend_from_slice(bytes);
        let marked = !self.begun && self.partial.starts_with(MARK);
        let size = self.partial.len() - if marked { MARK.len() } else { 0 };
        if size > self.limits.max_message_size {
            return Err(self.too_large(size));
        }
        Ok(())
    }

    fn take_lines(&mut self, mut lines: &[u8], sink: &mut Sink) -> Result<(), ErrorKind> {
        if !self.begun && !lines.is_empty() {
            self.begun = true;
            lines = lines.strip_prefix(MARK).unwrap_or(lines);
        }
        let limit = self.limits.max_message_size;
        let mut start = 0;
        while lines.len() - start > limit {
            let rest = lines.get(start..).unwrap_or_default();
            let length = memchr(b'\n', rest).unwrap_or(rest.len());
            if length > limit {
                // What came before it is told.
                self.take_texts(Kind::Message, lines.get(..start).unwrap_or_default(), sink)?;
                return Err(self.too_large(length));
            }
            start += length + 1;
        }
        self.take_texts(Kind::Message, lines, sink)
    }
}
