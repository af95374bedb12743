//! Sockets that are connected to nothing.

use std::io;
use std::os::fd::OwnedFd;

use nix::sys::socket::AddressFamily;

/// A stream socket of the internet (`tcp`) or UNIX family, close-on-exec, neither bound nor
/// connected.
pub fn unconnected(tcp: bool) -> io::Result<OwnedFd> {
    super::system::stream_socket(if tcp {
        AddressFamily::Inet
    } else {
        AddressFamily::Unix
    })
}
