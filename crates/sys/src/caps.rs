//! What this system can do.

/// Abilities of the system the program runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caps {
    /// Open descriptors can travel between processes.
    pub descriptor_passing: bool,
    /// New descriptors are close-on-exec from their first moment. Where this is false there is
    /// an instant in which a concurrent fork inherits them.
    pub atomic_close_on_exec: bool,
    /// A descriptor sent and closed before the receiver took it stays alive. Where this is
    /// false the sender keeps its copy until the receiver has answered.
    pub descriptors_survive_sender: bool,
    /// A process can end together with its parent.
    pub die_with_parent: bool,
    /// Memory can be shared with other processes: sealed mappings, a word to wait on, and a
    /// process that can be told from its successor with the same number.
    pub shared_memory: bool,
}

/// The abilities of this system.
pub fn caps() -> Caps {
    platform::CAPS
}

#[cfg(unix)]
use crate::unix::system as platform;

#[cfg(not(unix))]
mod platform {
    pub(super) const CAPS: super::Caps = super::Caps {
        descriptor_passing: false,
        atomic_close_on_exec: false,
        descriptors_survive_sender: false,
        die_with_parent: false,
        shared_memory: false,
    };
}
