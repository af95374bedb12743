//! Failures of shared memory as JavaScript sees them: an error with a code and a text.

use std::fmt::Display;

use napi::Error;
use rsipc_core::shm::{Code, ShmError};
use rsipc_ring::{OpenError, WriteError};

/// The code of an error.
pub struct Failure(&'static str);

impl AsRef<str> for Failure {
    fn as_ref(&self) -> &str {
        self.0
    }
}

/// What a call that can fail answers.
pub(super) type Result<T> = std::result::Result<T, Error<Failure>>;

/// The text stands alone: JavaScript says whom it concerns.
pub(super) fn failure(code: &'static str, text: impl Display) -> Error<Failure> {
    Error::new(Failure(code), text.to_string())
}

/// The object was closed.
pub(super) fn closed() -> Error<Failure> {
    failure("ERR_RSIPC_CLOSED", "it has been closed")
}

/// Something that Node-API refuses.
pub(super) fn refused(error: Error) -> Error<Failure> {
    failure("ERR_RSIPC_SYSTEM", error.reason)
}

/// Something that the system refuses.
pub(super) fn system(error: impl Display) -> Error<Failure> {
    failure("ERR_RSIPC_SYSTEM", error)
}

/// What went wrong while an object was made or found.
pub(super) struct Lost(pub(super) Error<Failure>);

impl From<ShmError> for Lost {
    fn from(error: ShmError) -> Lost {
        Lost(failure(error.code(), error))
    }
}

impl From<OpenError> for Lost {
    fn from(error: OpenError) -> Lost {
        Lost(failed(error))
    }
}

/// A failure of an object itself.
pub(super) fn failed(error: impl Code + Display) -> Error<Failure> {
    failure(error.code(), error)
}

/// Nothing in the place of an error that only says "not now".
pub(super) fn unless_full<T>(outcome: std::result::Result<T, WriteError>) -> Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(WriteError::Full) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}
