//! What arrives on a session, and what can go wrong with it.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::Handle;
use crate::error::Error;

/// A JSON text that has arrived.
#[derive(Clone, Debug)]
pub struct Body(pub(super) Box<RawValue>);

impl Body {
    /// The text.
    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// What it says.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, SessionError> {
        serde_json::from_str(self.text()).map_err(SessionError::Body)
    }
}

/// One thing that has arrived.
#[derive(Debug)]
#[non_exhaustive]
pub enum Incoming {
    /// A message.
    Message(Body),
    /// A request, to be answered.
    Request(Asked),
}

/// A request of the other end. Dropped without an answer it fails over there.
#[derive(Debug)]
pub struct Asked {
    pub(super) handle: Handle,
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) body: Option<Body>,
    pub(super) resent: bool,
    pub(super) answered: bool,
}

impl Asked {
    /// Whose answer is wanted.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is asked; `None` where nothing was said.
    pub fn body(&self) -> Option<&Body> {
        self.body.as_ref()
    }

    /// It was sent before, on a connection that was lost: it may have been acted on.
    pub fn resent(&self) -> bool {
        self.resent
    }

    /// Answers it.
    pub fn reply(mut self, value: &impl Serialize) -> Result<(), SessionError> {
        let value = to_raw_value(value).map_err(SessionError::Body)?;
        self.answered = true;
        self.handle.reply(self.id, Ok(&value))
    }

    /// Answers it with an error.
    pub fn fail(mut self, message: &str) -> Result<(), SessionError> {
        self.answered = true;
        self.handle.reply(self.id, Err(message))
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.answered {
            let _ = self
                .handle
                .reply(self.id, Err("the request was not answered"));
        }
    }
}

/// Why something did not reach the other end, or came from it as it must not.
#[derive(Debug)]
#[non_exhaustive]
pub enum SessionError {
    /// The connection has ended.
    Gone,
    /// The other end has broken the protocol.
    Protocol(Error),
    /// Something has not the form it must have.
    Body(serde_json::Error),
    /// The handler over there has ended with this error.
    Failed {
        /// Its name, such as `TypeError`.
        name: String,
        /// Its text.
        message: String,
        /// Its code, if it had one.
        code: Option<String>,
    },
    /// The other end takes nobody, or speaks another codec.
    Refused(String),
    /// The other end asks and does not take the answers.
    Slow {
        /// Bytes that wait for it.
        queued: usize,
    },
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SessionError::Gone => f.write_str("the connection has ended"),
            SessionError::Protocol(error) => error.fmt(f),
            SessionError::Body(error) => error.fmt(f),
            SessionError::Failed { name, message, .. } => write!(f, "{name}: {message}"),
            SessionError::Refused(why) => write!(f, "the connection was refused: {why}"),
            SessionError::Slow { queued } => {
                write!(
                    f,
                    "the other end does not read, and {queued} bytes wait for it"
                )
            }
        }
    }
}

impl std::error::Error for SessionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SessionError::Protocol(error) => Some(error),
            SessionError::Body(error) => Some(error),
            _ => None,
        }
    }
}
