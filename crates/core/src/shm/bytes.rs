//! Bytes without a rule, as an object: what they mean is their users' business.

use std::sync::Arc;

use rsipc_ring::OpenError;
use rsipc_ring::layout::{BODY, Kind};
use rsipc_sys::os::Os;
use rsipc_sys::shm::Mapping;

use super::object::{Object, Party};

/// The most bytes an object can have.
pub const MAX_BYTES: u64 = 1 << 40;

/// Role of everybody who has the bytes.
const USER: u32 = 1;

/// Bytes that several processes see.
#[derive(Debug)]
pub struct Bytes {
    object: Arc<Object>,
    size: usize,
}

impl Bytes {
    /// Bytes of memory that so many bytes need: their header comes before them.
    pub fn size(bytes: usize) -> usize {
        BODY.saturating_add(bytes)
    }

    /// Where they begin in the memory: a multiple of 64.
    pub const OFFSET: usize = BODY;

    /// Makes an object of `bytes` bytes in memory that nobody else uses yet and whose bytes are 0.
    pub fn create(memory: Mapping, os: Arc<Os>, bytes: usize) -> Result<Bytes, OpenError> {
        let parameters = [bytes as u64, 0, 0];
        let nothing = |_: &_| {};
        let object = Object::create(
            memory,
            os,
            Kind::Bytes,
            bytes,
            parameters,
            |_, _| {},
            nothing,
        )?;
        Ok(Bytes {
            object: Arc::new(object),
            size: bytes,
        })
    }

    /// Attaches to one.
    pub fn attach(memory: Mapping, os: Arc<Os>) -> Result<Bytes, OpenError> {
        let object = Object::attach(memory, os, Kind::Bytes, |_, _| {})?;
        let [bytes, rest @ ..] = object.header().parameters;
        if rest != [0, 0] || bytes > MAX_BYTES {
            return Err(OpenError::Parameter("size"));
        }
        let size = usize::try_from(bytes).map_err(|_| OpenError::Parameter("size"))?;
        if object.header().total != Self::size(size) as u64 {
            return Err(OpenError::Parameter("total size"));
        }
        Ok(Bytes {
            object: Arc::new(object),
            size,
        })
    }

    /// The bytes as an object.
    pub fn object(&self) -> &Arc<Object> {
        &self.object
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.size
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// Has a listing show who uses the bytes; nothing when more do than it has places for.
    pub fn party(&self, environment: u32) -> Option<Party> {
        Party::claim(
            Arc::clone(&self.object),
            environment,
            USER,
            false,
            |_, _| {},
        )
        .ok()
    }
}
