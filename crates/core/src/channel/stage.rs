//! Where a JavaScript thread leaves encoded messages without a call.
//!
//! A call into Rust costs more than a small message. So the thread writes the messages of a turn into
//! memory that both see and calls once; if the turn takes long, the late writer fetches what lies
//! there. The thread says how far it has come by two places that it fills in turns: it numbers what it
//! says, and whoever reads takes the place of the last number and looks whether that still is the last.
//!
//! ```text
//!   0  number of what was said last
//!   4  1 while the late writer looks
//!  16  how far the numbers go, how far the text goes, how many messages: of even numbers
//!  32  the same of odd ones
//!  64  numbers, of 4 bytes each
//!      text, Latin-1
//! ```

use std::io;
use std::sync::atomic::{Ordering, fence};

use rsipc_ring::Region;
use rsipc_sys::shm::Private;

const SAID: usize = 0;
const WATCHED: usize = 4;
const PLACES: usize = 16;
const PLACE: usize = 16;
/// Where the numbers begin.
pub const WORDS: usize = 64;
/// Bytes there are for numbers.
pub const WORDS_SIZE: usize = 32 * 1024;
/// Where the text begins.
pub const TEXT: usize = WORDS + WORDS_SIZE;
/// Bytes there are for text.
pub const TEXT_SIZE: usize = 32 * 1024;
/// Bytes of the whole.
pub const SIZE: usize = TEXT + TEXT_SIZE;

/// How far the thread has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Position {
    /// Bytes of numbers.
    words: usize,
    /// Bytes of text.
    text: usize,
    messages: usize,
}

/// Copies `len` bytes at `at` by way of `out`.
fn copy<'a>(region: &Region<Private>, at: usize, len: usize, out: &'a mut Vec<u8>) -> &'a [u8] {
    let lead = at % 8;
    out.resize(lead + len, 0);
    region.read_racing(at - lead, out);
    out.get(lead..).unwrap_or_default()
}

/// The memory, as the channel sees it.
#[derive(Debug)]
pub(super) struct Stage {
    region: Region<Private>,
    taken: Position,
    words: Vec<u8>,
    text: Vec<u8>,
}

/// What was fetched.
pub(super) struct Staged<'a> {
    pub(super) words: &'a [u8],
    pub(super) text: &'a [u8],
    pub(super) messages: usize,
}

impl Stage {
    pub(super) fn new(memory: Private) -> io::Result<Stage> {
        let region = Region::new(memory).map_err(io::Error::other)?;
        if region.size() < SIZE {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        Ok(Stage {
            region,
            taken: Position::default(),
            words: Vec::new(),
            text: Vec::new(),
        })
    }

    fn said(&self) -> Position {
        loop {
            // SYNC stage: pairs with the store that numbers what was said.
            let number = self.region.half(SAID).load(Ordering::Acquire);
            let at = PLACES + (number as usize & 1) * PLACE;
            let part = |index: usize| {
                let part = self.region.half(at + index * 4).load(Ordering::Relaxed);
                part as usize
            };
            let position = Position {
                words: (part(0) * 4).min(WORDS_SIZE),
                text: part(1).min(TEXT_SIZE),
                messages: part(2),
            };
            fence(Ordering::Acquire);
            if self.region.half(SAID).load(Ordering::Relaxed) == number {
                return position;
            }
        }
    }

    /// Messages that lie there.
    pub(super) fn messages(&self) -> usize {
        self.said().messages.saturating_sub(self.taken.messages)
    }

    /// Bytes that lie there.
    pub(super) fn bytes(&self) -> usize {
        let said = self.said();
        (said.words + said.text).saturating_sub(self.taken.words + self.taken.text)
    }

    /// Fetches what lies there.
    pub(super) fn fetch(&mut self) -> Option<Staged<'_>> {
        let (from, to) = (self.taken, self.said());
        let messages = to.messages.saturating_sub(from.messages);
        if messages == 0 || to.words < from.words || to.text < from.text {
            return None;
        }
        self.taken = to;
        let Stage {
            region,
            words,
            text,
            ..
        } = self;
        Some(Staged {
            words: copy(region, WORDS + from.words, to.words - from.words, words),
            text: copy(region, TEXT + from.text, to.text - from.text, text),
            messages,
        })
    }

    /// Begins from the front. To be called by the thread that writes, after all was fetched.
    pub(super) fn restart(&mut self) {
        for place in [PLACES, PLACES + PLACE] {
            for part in 0..3 {
                self.region
                    .half(place + part * 4)
                    .store(0, Ordering::Relaxed);
            }
        }
        self.taken = Position::default();
    }

    /// Says whether the late writer looks.
    pub(super) fn watch(&self, on: bool) {
        self.region
            .half(WATCHED)
            .store(u32::from(on), Ordering::SeqCst);
        // SYNC stage-watched: said before, what lies there is read after. The thread does it the other
        // way round.
        fence(Ordering::SeqCst);
    }
}
