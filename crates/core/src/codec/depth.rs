//! How deeply a JSON text nests.
//!
//! V8 parses any depth, but what walks the value afterwards may recurse. Most texts are
//! cleared without being looked at closely: one with few brackets cannot nest deeply.

use memchr::memchr2;

/// Whether `text` nests deeper than `limit`. Never recurses; a text that is not JSON gets some
/// answer, and the parser will refuse it.
pub fn exceeds(text: &[u8], limit: usize) -> bool {
    // Every level takes an opening and a closing bracket. Where the text is deepest, more than `limit` openings are
    // before it and as many closings behind it.
    if text.len() < limit.saturating_mul(2) {
        return false;
    }
    match behind_brackets(text, OPENING, limit) {
        Some(rest) if behind_brackets(rest, CLOSING, limit).is_some() => walk(text, limit),
        _ => false,
    }
}

/// `[` and `{` differ in one bit, as do `]` and `}`.
const OPENING: u8 = b'{';
const CLOSING: u8 = b'}';
const BIT: u8 = 0x20;

/// The text from about where there have been more than `limit` brackets, inside strings as well; nothing where
/// there are fewer.
fn behind_brackets(text: &[u8], bracket: u8, limit: usize) -> Option<&[u8]> {
    let mut found = 0;
    let mut rest = text;
    loop {
        // Sums of at most 255 fit a byte, which lets the compiler add 16 or more at a time.
        let (chunk, after) = rest.split_at(rest.len().min(255));
        let here: u8 = chunk.iter().map(|&b| u8::from(b | BIT == bracket)).sum();
        found += usize::from(here);
        if found > limit {
            return Some(rest);
        }
        if after.is_empty() {
            return None;
        }
        rest = after;
    }
}

fn walk(text: &[u8], limit: usize) -> bool {
    let mut depth = 0usize;
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'[' | b'{' => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => rest = after_string(after),
            _ => {}
        }
    }
    false
}

/// What follows the string whose content `rest` begins with.
fn after_string(mut rest: &[u8]) -> &[u8] {
    while let Some(at) = memchr2(b'"', b'\\', rest) {
        let escaped = rest.get(at) == Some(&b'\\');
        rest = rest
            .get(at + 1 + usize::from(escaped)..)
            .unwrap_or_default();
        if !escaped {
            return rest;
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> Vec<u8> {
        [b"[".repeat(depth), b"]".repeat(depth)].concat()
    }

    #[test]
    fn the_limit_itself_passes_and_one_more_does_not() {
        for (depth, deep) in [(511, false), (512, false), (513, true), (1_000_000, true)] {
            assert_eq!(exceeds(&nested(depth), 512), deep, "{depth}");
        }
        assert!(exceeds(b"{\"a\":[{}]}", 2));
        assert!(!exceeds(b"{\"a\":[{}]}", 3));
    }

    #[test]
    fn brackets_in_strings_and_side_by_side_do_not_nest() {
        let mut text = b"[".to_vec();
        for _ in 0..2_000 {
            text.extend_from_slice(br#""[[{{\"[\\","#);
            text.extend_from_slice(b"[],{},");
        }
        text.extend_from_slice(b"1]");
        assert!(!exceeds(&text, 2));
        assert!(exceeds(&text, 1));
    }

    #[test]
    fn text_that_is_not_json_is_judged_without_a_panic() {
        for text in [&b"]]]]"[..], b"\"\\", b"\"\\\"", b"[\"[[[[[[", b"\\\\[["] {
            exceeds(text, 1);
        }
        assert!(exceeds(b"]]]][[", 1));
    }
}
