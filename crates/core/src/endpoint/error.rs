//! What can go wrong with an endpoint: with listening at it, connecting to it, accepting from it.

use std::{fmt, io};

use rsipc_sys::file::Error as SysError;
use rsipc_sys::socket;

use super::address::Endpoint;
use super::peer::Peer;
use crate::shm::ShmError;

/// Why nobody listens at an endpoint, or nobody is connected to it.
#[derive(Debug)]
pub struct EndpointError {
    endpoint: Box<str>,
    reason: Reason,
}

/// What the reason is.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reason {
    /// Somebody listens there already.
    InUse {
        /// That process, if it is known.
        pid: Option<u32>,
    },
    /// What has the name, or the file that guards it, is not a socket of this user, or others can
    /// replace it.
    Untrusted(SysError),
    /// Anybody of the system can take a name in the abstract namespace and connect to it, so who
    /// may be at the other end has to be said.
    Unguarded,
    /// The other end is not one of those that are allowed.
    Refused(Peer),
    /// Sockets of this kind are not listened to or connected in this way.
    Unsupported,
    /// The process was not started with such a socket.
    NotActivated,
    /// The host is not known.
    UnknownHost(io::Error),
    /// The directory of this user, where names are, cannot be used.
    RunDir(ShmError),
    /// The system refused.
    System {
        /// What was tried.
        call: &'static str,
        /// What it said.
        source: io::Error,
    },
}

impl EndpointError {
    pub(super) fn new(endpoint: &Endpoint, reason: Reason) -> EndpointError {
        EndpointError {
            endpoint: endpoint.to_string().into(),
            reason,
        }
    }

    /// What the reason is.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// A name that does not change between versions: the system's own (`ENOENT`, `ECONNREFUSED`)
    /// where it has one.
    pub fn code(&self) -> &'static str {
        match &self.reason {
            Reason::InUse { .. } => "EADDRINUSE",
            Reason::Untrusted(source) => match source {
                SysError::Os { .. } => self.system_code(),
                _ => "ERR_RSIPC_UNTRUSTED",
            },
            Reason::Unguarded => "ERR_RSIPC_UNTRUSTED",
            Reason::Refused(_) => "ERR_RSIPC_PEER_REFUSED",
            Reason::Unsupported => "ERR_RSIPC_UNSUPPORTED",
            Reason::NotActivated => "ERR_RSIPC_NOT_ACTIVATED",
            Reason::UnknownHost(_) => "ENOTFOUND",
            Reason::RunDir(source) => source.code(),
            Reason::System { .. } => self.system_code(),
        }
    }

    fn system_code(&self) -> &'static str {
        self.errno()
            .and_then(socket::error_name)
            .unwrap_or("ERR_RSIPC_SYSTEM")
    }

    /// The number the system gave its refusal, if it was the system that refused.
    pub fn errno(&self) -> Option<i32> {
        match &self.reason {
            Reason::Untrusted(source) => source.errno(),
            Reason::RunDir(source) => source.errno(),
            Reason::System { source, .. } | Reason::UnknownHost(source) => source.raw_os_error(),
            _ => None,
        }
    }

    /// The call that was refused, if it was the system that refused.
    pub fn call(&self) -> Option<&'static str> {
        match &self.reason {
            Reason::System { call, .. } => Some(call),
            Reason::Untrusted(SysError::Os { call, .. }) => Some(call),
            _ => None,
        }
    }
}

impl Reason {
    /// An error of the system in `call`.
    pub(super) fn system(call: &'static str) -> impl Fn(io::Error) -> Reason {
        move |source| Reason::System { call, source }
    }
}

impl From<SysError> for Reason {
    fn from(error: SysError) -> Reason {
        match error {
            SysError::Os { call, source } => Reason::System { call, source },
            error => Reason::Untrusted(error),
        }
    }
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoint = &self.endpoint;
        match &self.reason {
            Reason::InUse { pid: Some(pid) } => {
                write!(f, "{endpoint}: process {pid} listens there already")
            }
            Reason::InUse { pid: None } => write!(f, "{endpoint}: it is in use already"),
            Reason::Untrusted(source) => {
                write!(
                    f,
                    "{endpoint}: what has the name cannot be trusted: {source}; "
                )?;
                match source {
                    SysError::Mode { .. } => f.write_str("take write permission from the others"),
                    _ => f.write_str("remove it if nobody needs it, or choose another name"),
                }
            }
            Reason::Unguarded => write!(
                f,
                "{endpoint}: anybody can take a name in the abstract namespace; \
                 say who may be at the other end, or use unix:/path"
            ),
            Reason::Refused(peer) => {
                write!(f, "{endpoint}: the other end")?;
                if let Some(pid) = peer.pid {
                    write!(f, ", process {pid},")?;
                }
                write!(
                    f,
                    " belongs to user {} and group {}, which are not allowed",
                    peer.uid, peer.gid
                )
            }
            Reason::Unsupported => {
                write!(
                    f,
                    "{endpoint}: there is no such socket, on this system at least"
                )
            }
            Reason::NotActivated => write!(
                f,
                "{endpoint}: this process was not started with such a socket; \
                 start it by a socket unit, or with systemd-socket-activate"
            ),
            Reason::UnknownHost(source) => write!(f, "{endpoint}: the host is unknown: {source}"),
            Reason::RunDir(source) => write!(f, "{endpoint}: {source}"),
            Reason::System { call, source } => write!(f, "{endpoint}: {call}: {source}"),
        }
    }
}

impl std::error::Error for EndpointError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.reason {
            Reason::Untrusted(source) => Some(source),
            Reason::RunDir(source) => Some(source),
            Reason::System { source, .. } | Reason::UnknownHost(source) => Some(source),
            _ => None,
        }
    }
}
