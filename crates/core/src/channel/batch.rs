//! Batches: messages that JavaScript has encoded as numbers and text, many behind one head.
//!
//! ```text
//!  0  how many numbers there are, of 4 bytes each
//!  4  how many units the text has
//!  8  how many messages there are
//! 12  1 if the units are UTF-16, 0 if they are Latin-1
//! 16  the numbers, then the text
//! ```

use super::event::Batch;

/// Bytes before the numbers.
pub(super) const HEAD: usize = 16;

/// Bytes, text counted as if it were UTF-16, up to which messages are put into one batch.
pub(super) const TOGETHER: usize = 64 * 1024;

/// As many bytes of numbers as a byte of JSON may become: of `.5,` in `[0.5,0.5]`, for instance.
const WORDS_OF_JSON: u64 = 3;
/// And so many more, of the smallest messages.
const SMALL: u64 = 64;

/// A batch that still grows: its head is empty, its text apart.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) text: Vec<u16>,
    pub(super) messages: usize,
}

/// Completes a batch: `bytes` holds room for the head and the numbers.
pub(super) fn seal(bytes: &mut Vec<u8>, text: &[u16], messages: usize) {
    let words = (bytes.len() - HEAD) / 4;
    // All units together: a loop that ends at the first wide one looks at them one by one.
    let wide = text.iter().fold(0, |all, unit| all | unit) > 0xFF;
    for (place, number) in
        bytes
            .chunks_exact_mut(4)
            .zip([words, text.len(), messages, usize::from(wide)])
    {
        place.copy_from_slice(&(number as u32).to_le_bytes());
    }
    if wide {
        bytes.extend(text.iter().flat_map(|unit| unit.to_le_bytes()));
    } else {
        bytes.extend(text.iter().map(|&unit| unit as u8));
    }
}

/// Batches cut out of the stretches they came in.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    pub(super) bytes: Vec<u8>,
    /// How many were complete.
    pub(super) complete: u64,
}

/// A batch that is longer than any of this channel, or not one at all.
#[derive(Debug)]
pub(super) struct Refused {
    /// Its bytes, as far as its head says.
    pub(super) size: u64,
}

impl Incoming {
    /// The next complete batch, of messages that have about `limit` bytes as JSON: whether one of them has more
    /// can only be told of each message when it is decoded.
    pub(super) fn next(&mut self, limit: usize) -> Result<Option<Batch>, Refused> {
        let Some(head) = self.bytes.first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let number = |at: usize| {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(head.get(at..at + 4).unwrap_or(&[0; 4]));
            u32::from_le_bytes(bytes)
        };
        let wide = number(12) != 0;
        let words = u64::from(number(0)) * 4;
        let units = u64::from(number(4));
        let size = words + (units << u32::from(wide));
        let limit = limit as u64 + TOGETHER as u64;
        let fits = units <= limit && words <= limit * WORDS_OF_JSON + SMALL;
        if !fits || number(8) == 0 || number(12) > 1 {
            return Err(Refused { size });
        }
        let (words, end) = (words as usize, HEAD + size as usize);
        let count = number(8) as usize;
        if self.bytes.len() < end {
            return Ok(None);
        }
        let bytes = if self.bytes.len() == end {
            let mut bytes = std::mem::take(&mut self.bytes);
            bytes.drain(..HEAD);
            bytes
        } else {
            let bytes = self.bytes.get(HEAD..end).unwrap_or_default().to_vec();
            self.bytes.drain(..end);
            bytes
        };
        self.complete += 1;
        Ok(Some(Batch {
            count,
            words,
            wide,
            bytes,
        }))
    }
}
