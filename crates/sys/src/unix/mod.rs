//! UNIX systems. The only place that names one: it picks whole files.

pub mod bell;
pub mod chime;
pub mod claim;
pub mod dir;
pub mod fd;
pub mod fifo;
pub mod file;
pub mod futex;
pub mod identity;
mod lives;
pub mod os;
pub mod packet;
pub mod peek;
pub mod process;
pub mod rights;
pub mod shm;
pub mod socket;
pub mod stream;
pub mod wait;

#[cfg(test)]
mod tests;

/// What differs between the systems: flags, socket introspection, watching the parent.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "linux.rs"]
pub(crate) mod system;

#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[path = "bsd.rs"]
pub(crate) mod system;

/// What sharing memory takes: who runs, waiting on a word, files that live in memory.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "shared_linux.rs"]
pub(crate) mod shared;

#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[path = "shared_elsewhere.rs"]
pub(crate) mod shared;
