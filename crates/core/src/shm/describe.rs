//! What an object is and who is attached to it, told without knowing its kind beforehand.

use std::sync::Arc;

use rsipc_ring::layout::Kind;
use rsipc_ring::object::read_header;
use rsipc_ring::{Object, OpenError, Region};
use rsipc_sys::identity;
use rsipc_sys::os::Os;
use rsipc_sys::shm::Mapping;

/// What the header of an object and its table of parties tell.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description {
    /// What it is.
    pub kind: Kind,
    /// Three numbers whose meaning is the kind's.
    pub parameters: [u64; 3],
    /// Who is attached, the dead among them until somebody sweeps them.
    pub parties: Vec<Attached>,
}

/// One party that is attached to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attached {
    /// Number of its process.
    pub pid: i32,
    /// Event loop in that process; a very large number if it has none.
    pub environment: u32,
    /// What it does; the meaning is the kind's.
    pub role: u32,
    /// Whether the process runs.
    pub alive: bool,
}

const KINDS: [Kind; 11] = [
    Kind::Spsc,
    Kind::Mpsc,
    Kind::Broadcast,
    Kind::Cell,
    Kind::Bytes,
    Kind::Map,
    Kind::Mutex,
    Kind::RwLock,
    Kind::Semaphore,
    Kind::Event,
    Kind::Barrier,
];

/// Looks at an object in this memory, and changes nothing in it.
pub fn describe(mapping: Mapping, os: &Arc<Os>) -> Result<Description, OpenError> {
    let header = read_header(&Region::new(mapping.clone())?)?;
    let kind = KINDS
        .into_iter()
        .find(|kind| *kind as u32 == header.kind)
        .ok_or(OpenError::Parameter("kind"))?;
    // Nobody is swept, so nothing has to be given back.
    let object = Object::attach(mapping, Arc::clone(os), kind, |_, _| {})?;
    let parties = object
        .occupants()
        .map(|found| Attached {
            pid: identity::pid_of(found.identity),
            environment: found.environment,
            role: found.role,
            alive: identity::alive(found.identity),
        })
        .collect();
    Ok(Description {
        kind,
        parameters: header.parameters,
        parties,
    })
}
