//! The other end of a channel, bare: a socket, bytes, and descriptors seen one read at a time.

#![allow(dead_code, reason = "each test file uses some of it")]

use std::fs::File;
use std::io::IoSlice;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rsipc_core::channel::{Channel, Event, Limits, Outgoing, Serialization};
use rsipc_sys::wait::{Interest, ready};
use rsipc_sys::{rights, stream};

pub(crate) const ACK: &[u8] = b"{\"cmd\":\"NODE_HANDLE_ACK\"}\n";
pub(crate) const NACK: &[u8] = b"{\"cmd\":\"NODE_HANDLE_NACK\"}\n";
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One read as the peer made it.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) bytes: Vec<u8>,
    pub(crate) fds: Vec<OwnedFd>,
}

#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) fd: OwnedFd,
}

impl Peer {
    /// A JSON channel and the other end of it.
    pub(crate) fn json() -> (Channel, Peer) {
        Peer::with(Serialization::Json, Limits::default())
    }

    pub(crate) fn with(serialization: Serialization, limits: Limits) -> (Channel, Peer) {
        let (a, b) = stream::pair().unwrap();
        (
            Channel::new(a, serialization, limits).unwrap(),
            Peer { fd: b },
        )
    }

    pub(crate) fn write(&self, bytes: &[u8]) {
        self.write_with(bytes, &[]);
    }

    /// Descriptors go with the first byte.
    pub(crate) fn write_with(&self, bytes: &[u8], fds: &[&OwnedFd]) {
        let borrowed: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
        let sent = rights::send(self.fd.as_fd(), &[IoSlice::new(bytes)], &borrowed).unwrap();
        assert_eq!(sent, bytes.len(), "the test's own write was cut");
    }

    /// One read of at most `max` bytes; `None` if nothing is there.
    pub(crate) fn read(&self, max: usize) -> Option<Read> {
        let readable = Interest {
            readable: true,
            writable: false,
        };
        if !ready(self.fd.as_fd(), readable, Some(Duration::ZERO))
            .unwrap()
            .readable
        {
            return None;
        }
        let (mut bytes, mut fds) = (Vec::new(), Vec::new());
        rights::receive(self.fd.as_fd(), &mut bytes, max, &mut fds).unwrap();
        Some(Read { bytes, fds })
    }

    /// Everything that is there now, in reads of 64 KiB.
    pub(crate) fn read_all(&self) -> Vec<Read> {
        let mut reads = Vec::new();
        while let Some(read) = self.read(65_536) {
            if read.bytes.is_empty() {
                break;
            }
            reads.push(read);
        }
        reads
    }
}

/// Receives until `enough` says so, polling in between.
pub(crate) fn receive_until(
    channel: &mut Channel,
    mut enough: impl FnMut(&[Event]) -> bool,
) -> Vec<Event> {
    let begin = Instant::now();
    let mut events = Vec::new();
    loop {
        while channel.receive(1 << 20, &mut events) {}
        if enough(&events) {
            return events;
        }
        assert!(
            begin.elapsed() < PATIENCE,
            "nothing came in time: {events:?}"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What is there now.
pub(crate) fn receive(channel: &mut Channel) -> Vec<Event> {
    let mut events = Vec::new();
    while channel.receive(1 << 20, &mut events) {}
    events
}

/// A descriptor a plain Node would take as a socket.
pub(crate) fn socket() -> OwnedFd {
    TcpListener::bind("127.0.0.1:0").unwrap().into()
}

pub(crate) fn outgoing() -> Outgoing {
    Outgoing {
        descriptor: socket(),
        retry: false,
    }
}

/// A connected pair, to prove which descriptor arrived.
pub(crate) fn connection() -> (TcpStream, OwnedFd) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (here, listener.accept().unwrap().0.into())
}

pub(crate) fn not_a_socket() -> OwnedFd {
    File::open("/dev/null").unwrap().into()
}

pub(crate) fn envelope(kind: &str, message: &str) -> Vec<u8> {
    format!(r#"{{"cmd":"NODE_HANDLE","type":"{kind}","msg":{message}}}"#).into_bytes()
}

/// An envelope whose frame, line feed included, is `length` bytes long.
pub(crate) fn envelope_of(length: usize) -> Vec<u8> {
    let bare = envelope("net.Native", "\"\"").len() + 1;
    envelope("net.Native", &format!("\"{}\"", "x".repeat(length - bare)))
}

pub(crate) fn line(mut payload: Vec<u8>) -> Vec<u8> {
    payload.push(b'\n');
    payload
}
