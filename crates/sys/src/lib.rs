//! The operating system as rsipc needs it, and nothing above it.
//!
//! What a platform supplies:
//!
//! - [`caps`]: what this system can do. Callers ask for abilities, never for names of systems.
//! - `fd`: descriptors that are adopted, duplicated and told apart. Every one is close-on-exec.
//! - `stream`: a connected pair of stream sockets, vectored sends that never raise SIGPIPE.
//! - `rights`: descriptors that travel with bytes.
//! - `wait`: waiting for one descriptor, with a deadline.
//! - `bell`: waking a thread that waits for a descriptor.
//! - `chime`: waking a loop of another process.
//! - `socket`: sockets that are made, named, connected and accepted; who is at the other end.
//! - `peek`: bytes that are looked at and stay, and telling when there are more.
//! - `claim`: whose an open descriptor is that two processes have.
//! - `process`: descriptors for a new process; ending together with the parent; who runs.
//! - `identity`: a process told from its successor with the same number.
//! - `futex`: waiting on a word in shared memory.
//! - `file`, `dir`: files and directories that are judged through their descriptors, and locks
//!   that end with their holder.
//! - `shm`: memory shared with other processes, with a name or without.
//! - `fifo`: waking the event loop of any process of this user.
//! - `os`: all of that as the objects of `rsipc-ring` need it.
//!
//! The last six work where [`caps`] says that memory can be shared.
//!
//! `unix/` fulfils all of it. Elsewhere [`caps`] answers that descriptors cannot be passed
//! and the other modules are absent: an ability that is missing is not emulated badly. Of `fd`
//! there is the type alone, of which there is no value.

pub mod caps;

#[cfg(not(unix))]
mod elsewhere;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub use elsewhere::fd;

#[cfg(unix)]
pub use unix::{
    bell, chime, claim, dir, fd, fifo, file, futex, identity, os, packet, peek, process, rights,
    shm, socket, stream, wait,
};
