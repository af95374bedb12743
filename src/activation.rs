//! Sockets that a service manager has opened before this process began.

use std::os::fd::{AsFd, IntoRawFd};

use napi_derive::napi;
use rsipc_core::endpoint::activation;
use rsipc_sys::fd;
use rsipc_sys::socket::{self, Local};

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

/// The sockets that this process was started with.
#[napi(catch_unwind)]
pub fn activated() -> Vec<Activated> {
    let placed = |one: activation::Activated| {
        let (address, port) = match socket::local(one.fd.as_fd()) {
            Ok(Local::Inet(address)) => (
                Some(address.ip().to_string()),
                Some(u32::from(address.port())),
            ),
            Ok(Local::Path(path)) => (path.to_str().map(str::to_owned), None),
            _ => (None, None),
        };
        Activated {
            kind: fd::kind(one.fd.as_fd()).name().into(),
            fd: one.fd.into_raw_fd(),
            address,
            port,
        }
    };
    activation::activated().into_iter().map(placed).collect()
}
