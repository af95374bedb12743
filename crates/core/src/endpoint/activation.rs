//! Sockets that a service manager has opened before this process began, and telling it how one is:
//! the protocol of `sd_listen_fds(3)` and `sd_notify(3)`.
//!
//! `LISTEN_PID` names the process that is meant, `LISTEN_FDS` how many descriptors it has from number
//! 3 on, `LISTEN_FDNAMES` what they are called, with colons between. They stay open for the whole
//! life of the process, so that each part of the program that asks gets its own copy.

use std::env;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rsipc_sys::fd::{self, Kind};
use rsipc_sys::socket::{self, Type};

use crate::name::Name;

/// The number of the first descriptor.
const FIRST: i32 = 3;
/// More than any service has, and not so many that asking for them takes long.
const MOST: i32 = 4096;

/// A socket that this process was started with.
#[derive(Debug)]
#[non_exhaustive]
pub struct Activated {
    /// A copy of it.
    pub fd: OwnedFd,
    /// What it is called: `FileDescriptorName=` of the socket unit. `unknown` if nobody says.
    pub name: Box<str>,
}

/// The sockets that this process was started with. What is not open, or no socket, is left out.
pub fn activated() -> Vec<Activated> {
    let variable = |name| env::var(name).ok();
    let meant = variable("LISTEN_PID").and_then(|pid| pid.parse().ok());
    if meant != Some(std::process::id()) {
        return Vec::new();
    }
    let count = variable("LISTEN_FDS").and_then(|count| count.parse::<i32>().ok());
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut found = Vec::new();
    for number in 0..count.unwrap_or(0).clamp(0, MOST) {
        let name = names.next().filter(|name| !name.is_empty());
        let Ok(fd) = fd::keep(FIRST + number) else {
            continue;
        };
        let is_socket = matches!(
            fd::kind(fd.as_fd()),
            Kind::Tcp | Kind::Udp | Kind::Pipe | Kind::UnixDatagram | Kind::UnixSeqpacket
        );
        if is_socket {
            let name = name.unwrap_or("unknown").into();
            found.push(Activated { fd, name });
        }
    }
    found
}

/// The socket of this name, or the only one.
pub fn take(name: Option<&Name>) -> Option<OwnedFd> {
    let mut found = activated();
    match name {
        Some(name) => found.retain(|one| *one.name == *name.as_str()),
        None if found.len() > 1 => return None,
        None => {}
    }
    found.into_iter().next().map(|one| one.fd)
}

/// Tells the service manager how this process is: `READY=1`, `STATUS=…`, `WATCHDOG=1`, one a line.
/// `false` if nobody asked to be told (`NOTIFY_SOCKET`).
///
/// Never waits: a manager that is too busy to be told is an error, `WouldBlock`.
pub fn notify(state: &str) -> io::Result<bool> {
    let Some(target) = env::var_os("NOTIFY_SOCKET").filter(|target| !target.is_empty()) else {
        return Ok(false);
    };
    let socket = socket::unix(Type::Datagram)?;
    match target.as_encoded_bytes() {
        [b'@', name @ ..] => socket::connect_abstract(socket.as_fd(), name)?,
        [b'/', ..] => socket::connect_path(socket.as_fd(), Path::new(&target))?,
        // A virtual machine's socket to its host, for instance.
        _ => return Err(io::ErrorKind::Unsupported.into()),
    }
    rsipc_sys::stream::send(socket.as_fd(), &[io::IoSlice::new(state.as_bytes())])?;
    Ok(true)
}
