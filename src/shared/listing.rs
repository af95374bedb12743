//! What there is in the run directory, and removing what is dead: for `rsipc ls` and `rsipc clean`.

use napi_derive::napi;
use rsipc_core::shm::Description;
use rsipc_ring::layout::Kind;
use rsipc_sys::identity;

use super::error::{Lost, Result};
use super::object::registry;

/// What there is.
#[napi(object)]
pub struct SharedListing {
    /// The run directory.
    pub directory: String,
    /// Objects with a name.
    pub objects: Vec<ListedObject>,
    /// Bells of environments.
    pub bells: Vec<ListedBell>,
    /// Servers with a name.
    pub servers: Vec<ListedServer>,
    /// Names that are none of ours.
    pub strangers: Vec<String>,
}

/// An object with a name.
#[napi(object)]
pub struct ListedObject {
    /// Its name.
    pub name: String,
    /// Its kind; absent if it cannot be told.
    pub kind: Option<String>,
    /// Bytes.
    pub size: Option<f64>,
    /// Whether a process has it open.
    pub in_use: bool,
    /// Who is attached.
    pub parties: Vec<ListedParty>,
    /// Why it cannot be used.
    pub problem: Option<String>,
}

/// Somebody who is attached to an object.
#[napi(object)]
pub struct ListedParty {
    /// The process.
    pub pid: i32,
    /// What it does, as a number of the kind's.
    pub role: u32,
    /// Whether the process runs.
    pub alive: bool,
}

/// The bell of an environment.
#[napi(object)]
pub struct ListedBell {
    /// The process.
    pub pid: i32,
    /// Whether it runs.
    pub alive: bool,
}

/// A server with a name.
#[napi(object)]
pub struct ListedServer {
    /// Its name.
    pub name: String,
    /// Whether it listens. If not, it was killed.
    pub alive: bool,
    /// The process, if it is known.
    pub pid: Option<u32>,
}

/// What was removed, and what was not.
#[napi(object)]
pub struct SharedCleaned {
    /// Objects removed.
    pub objects: u32,
    /// Bells removed.
    pub bells: u32,
    /// Sockets removed of servers that were killed.
    pub sockets: u32,
    /// Directories removed of earlier boots and of containers that are gone.
    pub worlds: u32,
    /// What is in use and was left.
    pub kept: u32,
    /// What could not be removed, and why.
    pub problems: Vec<String>,
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Spsc => "ring spsc",
        Kind::Mpsc => "ring mpsc",
        Kind::Broadcast => "ring broadcast",
        Kind::Cell => "cell",
        Kind::Bytes => "memory",
        Kind::Map => "map",
        Kind::Mutex => "mutex",
        Kind::RwLock => "rwlock",
        Kind::Semaphore => "semaphore",
        Kind::Event => "event",
        Kind::Barrier => "barrier",
        _ => "unknown",
    }
}

fn parties(description: &Description) -> Vec<ListedParty> {
    let each = description.parties.iter().map(|party| ListedParty {
        pid: party.pid,
        role: party.role,
        alive: party.alive,
    });
    each.collect()
}

/// What there is in the run directory.
#[napi(catch_unwind)]
pub fn list_shared() -> Result<SharedListing> {
    let registry = registry()?;
    let listing = registry.list().map_err(|error| Lost::from(error).0)?;
    let objects = listing.objects.into_iter().map(|object| {
        let described = object.description.as_ref();
        let found = described.and_then(|described| described.as_ref().ok());
        let problem = match (&object.size, described) {
            (Err(error), _) => Some(error.to_string()),
            (_, Some(Err(error))) => Some(error.to_string()),
            (_, None) => Some("it cannot be mapped, or was not made by rsipc".to_owned()),
            _ => None,
        };
        ListedObject {
            kind: found.map(|found| kind(found.kind).to_owned()),
            size: object.size.ok().map(|size| size as f64),
            in_use: object.in_use,
            parties: found.map(parties).unwrap_or_default(),
            problem,
            name: object.name.to_string(),
        }
    });
    let bells = listing.bells.iter().map(|bell| ListedBell {
        pid: identity::pid_of(bell.identity),
        alive: bell.alive,
    });
    let servers = listing.servers.iter().map(|server| ListedServer {
        name: server.name.to_string(),
        alive: server.alive,
        pid: server.pid,
    });
    let strangers = listing.strangers.iter().map(|name| name.to_string_lossy());
    Ok(SharedListing {
        directory: registry.run_dir().path().display().to_string(),
        objects: objects.collect(),
        bells: bells.collect(),
        servers: servers.collect(),
        strangers: strangers.map(String::from).collect(),
    })
}

/// Removes what nobody uses.
#[napi(catch_unwind)]
pub fn clean_shared() -> Result<SharedCleaned> {
    let cleaned = registry()?.clean().map_err(|error| Lost::from(error).0)?;
    let problems = cleaned.problems.iter();
    Ok(SharedCleaned {
        objects: cleaned.objects as u32,
        bells: cleaned.bells as u32,
        sockets: cleaned.sockets as u32,
        worlds: cleaned.worlds as u32,
        kept: cleaned.kept as u32,
        problems: problems
            .map(|(name, error)| format!("{}: {error}", name.to_string_lossy()))
            .collect(),
    })
}
