//! Who is at the other end of a UNIX socket, and who may be.
//!
//! The kernel says who: whoever connected, or listened when one did. It cannot be forged, and is
//! asked before the first byte is read or written.

use std::io;
use std::os::fd::BorrowedFd;

pub use rsipc_sys::socket::Peer;
use rsipc_sys::{process, socket};

/// Who may be at the other end of a UNIX socket. Internet sockets do not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Allow {
    /// Processes of this process's own user.
    #[default]
    SameUser,
    /// Processes of one of these users, or in one of these groups.
    Listed {
        /// The users.
        uids: Vec<u32>,
        /// The groups, whether they are a process's first or not.
        gids: Vec<u32>,
    },
    /// Everybody who gets through the permissions of the file.
    Anyone,
}

impl Allow {
    /// Who is at the other end of `fd`, and whether that is allowed.
    pub fn check(&self, fd: BorrowedFd<'_>) -> io::Result<(Peer, bool)> {
        let peer = socket::peer(fd)?;
        let allowed = self.permits(&peer)
            || match self {
                Allow::Listed { gids, .. } if !gids.is_empty() => socket::peer_groups(fd)?
                    .iter()
                    .any(|gid| gids.contains(gid)),
                _ => false,
            };
        Ok((peer, allowed))
    }

    /// Whether one of whom no more is known is allowed: of the groups only the first.
    pub fn permits(&self, peer: &Peer) -> bool {
        match self {
            Allow::SameUser => peer.uid == process::effective_user(),
            Allow::Listed { uids, gids } => uids.contains(&peer.uid) || gids.contains(&peer.gid),
            Allow::Anyone => true,
        }
    }
}
