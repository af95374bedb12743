//! What an object in shared memory or a server of this user may be called.
//!
//! One grammar for all systems, so that a program that runs on one runs on the next: 1 to 128
//! characters, each an ASCII letter, a digit, `.`, `_` or `-`; the first is no `.` and no `-`.
//! So a name is one component of a path, never hidden, never an option of a command, and means
//! nothing to a shell.

use std::fmt;

/// The most characters a name can have.
pub const LIMIT: usize = 128;

/// A name that follows the grammar.
///
/// ```
/// use rsipc_core::Name;
///
/// assert!(Name::parse("frames.left-2").is_ok());
/// assert!(Name::parse("../frames").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

impl Name {
    /// Takes a text that follows the grammar.
    pub fn parse(text: &str) -> Result<Name, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        // First, so that no index below is longer than what is worth telling.
        if text.len() > LIMIT {
            return Err(NameError::TooLong { bytes: text.len() });
        }
        for (index, character) in text.char_indices() {
            let allowed = match character {
                '.' | '-' => index > 0,
                _ => character.is_ascii_alphanumeric() || character == '_',
            };
            if !allowed {
                return Err(NameError::Character { character, index });
            }
        }
        Ok(Name(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is wrong with a text that was to be a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// It has no characters.
    Empty,
    /// It has more than [`LIMIT`] bytes.
    TooLong {
        /// How many it has.
        bytes: usize,
    },
    /// It has a character that is not allowed, or not allowed in front.
    Character {
        /// The first such character.
        character: char,
        /// The byte it begins at.
        index: usize,
    },
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NameError::Empty => f.write_str("a name must not be empty"),
            NameError::TooLong { bytes } => {
                write!(f, "a name of {bytes} bytes is longer than {LIMIT}")
            }
            NameError::Character {
                character,
                index: 0,
            } => write!(f, "a name must not begin with {character:?}"),
            NameError::Character { character, index } => write!(
                f,
                "a name must not contain {character:?} (at byte {index}): \
                 letters, digits, '.', '_' and '-' are allowed"
            ),
        }
    }
}

impl std::error::Error for NameError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_grammar_are_taken_as_they_are() {
        let longest = "x".repeat(LIMIT);
        for text in ["a", "0", "_", "A.b_c-9", "a..b", "a.", "a-", &longest] {
            assert_eq!(Name::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        let bad = |character, index| NameError::Character { character, index };
        let table = [
            ("", NameError::Empty),
            (".", bad('.', 0)),
            ("..", bad('.', 0)),
            (".hidden", bad('.', 0)),
            ("-rf", bad('-', 0)),
            ("/", bad('/', 0)),
            ("/etc/passwd", bad('/', 0)),
            ("../x", bad('.', 0)),
            ("a/../b", bad('/', 1)),
            ("a/b", bad('/', 1)),
            ("a\\b", bad('\\', 1)),
            ("a\0", bad('\0', 1)),
            ("\0", bad('\0', 0)),
            ("a b", bad(' ', 1)),
            ("a\n", bad('\n', 1)),
            ("a;rm", bad(';', 1)),
            ("a$(id)", bad('$', 1)),
            ("a`id`", bad('`', 1)),
            ("a*", bad('*', 1)),
            ("a:b", bad(':', 1)),
            ("ä", bad('ä', 0)),
            ("a\u{202e}b", bad('\u{202e}', 1)),
            ("a%2fb", bad('%', 1)),
        ];
        for (text, expected) in table {
            assert_eq!(Name::parse(text), Err(expected), "{text:?}");
        }
        for bytes in [LIMIT + 1, 1 << 20] {
            let text = "x".repeat(bytes);
            assert_eq!(Name::parse(&text), Err(NameError::TooLong { bytes }));
        }
    }
}
