//! The word that a lock is taken by.
//!
//! ```text
//! 63                          16 15        8 7         0
//! |  tag: how often taken       |  next     |  holder   |
//! ```
//!
//! Holder and next name slots of the table of parties, counted from 1, so that a party of a
//! process that has several is told from the others; the slot has the identity. The tag grows with
//! every taking: a word that is read twice and is the same was not let go in between, so whoever
//! looked up its holder's process meanwhile looked up the right one.

use crate::layout::PARTIES;

/// Holder: nobody.
pub(super) const FREE: u8 = 0;

/// Holder: nobody, and the last one did not let go of it itself.
pub(super) const ABANDONED: u8 = 255;

/// Holder: nobody has it and nobody may take it; an event that is not set.
pub(super) const UNSET: u8 = 254;

/// Next: nobody waits.
pub(super) const NOBODY: u8 = 0;

/// Next: somebody waits; whoever comes may take it.
pub(super) const CROWD: u8 = 255;

const _: () = assert!(PARTIES < UNSET as usize);

/// Number of a party in the word.
pub(super) fn number(party: usize) -> u8 {
    debug_assert!(party < PARTIES);
    party as u8 + 1
}

/// The party of a number; none if the number names none.
pub(super) fn party(number: u8) -> Option<usize> {
    (1..=PARTIES)
        .contains(&usize::from(number))
        .then(|| usize::from(number) - 1)
}

/// A value of the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(pub(super) u64);

impl Word {
    #[inline]
    pub(super) fn holder(self) -> u8 {
        self.0 as u8
    }

    #[inline]
    pub(super) fn next(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// Whether nobody has it.
    #[inline]
    pub(super) fn is_open(self) -> bool {
        matches!(self.holder(), FREE | ABANDONED)
    }

    #[inline]
    pub(super) fn with(self, next: u8, holder: u8) -> Word {
        Word(self.0 & !0xFFFF | u64::from(next) << 8 | u64::from(holder))
    }

    /// The word after a taking.
    #[inline]
    pub(super) fn taken(self, next: u8, holder: u8) -> Word {
        Word(self.0.wrapping_add(1 << 16)).with(next, holder)
    }
}
