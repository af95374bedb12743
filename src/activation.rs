//! Sockets that a service manager has opened before this process began.

use std::os::fd::{AsFd, IntoRawFd, OwnedFd, RawFd};

use napi_derive::napi;
use rsipc_core::Endpoint;
use rsipc_core::endpoint::activation;
use rsipc_sys::fd;
use rsipc_sys::socket::{self, Local};

use crate::handle::hold;

/// One of them, and where it is.
#[napi(object)]
pub struct Activated {
    /// A descriptor of it, which is the caller's.
    pub fd: i32,
    /// `tcp`, `udp`, `pipe`, …
    pub kind: String,
    /// An internet address, or the path of a file.
    pub address: Option<String>,
    /// Absent for a path.
    pub port: Option<u32>,
}

impl Activated {
    fn of(socket: OwnedFd, number: impl FnOnce(OwnedFd) -> RawFd) -> Activated {
        let (address, port) = match socket::local(socket.as_fd()) {
            Ok(Local::Inet(address)) => (
                Some(address.ip().to_string()),
                Some(u32::from(address.port())),
            ),
            Ok(Local::Path(path)) => (path.to_str().map(str::to_owned), None),
            _ => (None, None),
        };
        Activated {
            kind: fd::kind(socket.as_fd()).name().into(),
            fd: number(socket),
            address,
            port,
        }
    }
}

/// The sockets that this process was started with.
#[napi(catch_unwind)]
pub fn activated() -> Vec<Activated> {
    activation::activated()
        .into_iter()
        .map(|one| Activated::of(one.fd, OwnedFd::into_raw_fd))
        .collect()
}

/// The one that an endpoint `systemd:` stands for, if there is one; its descriptor is kept until `releaseFd` or `closeFd`.
#[napi(catch_unwind)]
pub fn activated_at(endpoint: String) -> Option<Activated> {
    let Ok(Endpoint::Activated(name)) = Endpoint::parse(&endpoint) else {
        return None;
    };
    activation::take(name.as_ref()).map(|fd| Activated::of(fd, hold))
}
