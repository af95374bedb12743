//! Bytes out of a socket, looked at and left there, and waiting for more.
//!
//! However slowly bytes come, each arrival is one look, nothing spins in between, and the deadline
//! ends it. Nothing is kept of the bytes: each look gets all of them from the kernel again.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;
use std::{fmt, io};

use rsipc_sys::peek::{self as sys, Edges};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::Step;
use super::scan::{Found, Scan, Want};

/// Bytes that the first look asks for. Most heads have fewer.
const FIRST: usize = 2048;

/// What is looked for, and how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sought {
    /// What.
    pub want: Want,
    /// The PROXY protocol has to stand in front of it.
    pub proxy: bool,
    /// The most bytes it may have. The socket's receive buffer should have room for as many.
    pub limit: usize,
}

impl Sought {
    /// This, with Node's own limit for a head, 16 KiB, and nothing in front.
    pub fn new(want: Want) -> Sought {
        Sought {
            want,
            proxy: false,
            limit: 16 * 1024,
        }
    }
}

/// Bytes in which something was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peeked {
    sought: Sought,
    bytes: Vec<u8>,
}

impl Peeked {
    /// What was found.
    pub fn found(&self) -> Found<'_> {
        let mut scan = Scan::new(self.sought.want, self.sought.proxy);
        match scan.look(&self.bytes) {
            Step::Done(found) => found,
            // It was, in the same bytes.
            Step::More(_) | Step::No(_) => Found::default(),
        }
    }

    /// The first bytes of the connection, as many as there were.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Why nothing was found.
#[derive(Debug)]
#[non_exhaustive]
pub enum PeekError {
    /// The bytes are something else: why.
    Other(&'static str),
    /// It would have more bytes than allowed.
    TooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// The peer sends no more, and what it has sent is not enough.
    Ended {
        /// Bytes that had come.
        bytes: usize,
    },
    /// It took too long.
    Timeout {
        /// How long it was waited for.
        waited: Duration,
    },
    /// The socket cannot be looked into.
    System(io::Error),
}

impl PeekError {
    /// A name that does not change between versions.
    pub fn code(&self) -> &'static str {
        match self {
            PeekError::Other(_) => "ERR_RSIPC_UNEXPECTED_BYTES",
            PeekError::TooLarge { .. } => "ERR_RSIPC_MESSAGE_TOO_LARGE",
            PeekError::Ended { .. } => "ERR_RSIPC_TRUNCATED",
            PeekError::Timeout { .. } => "ERR_RSIPC_TIMEOUT",
            PeekError::System(source) => source
                .raw_os_error()
                .and_then(rsipc_sys::socket::error_name)
                .unwrap_or("ERR_RSIPC_SYSTEM"),
        }
    }
}

impl fmt::Display for PeekError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeekError::Other(why) => write!(f, "the connection begins with other bytes: {why}"),
            PeekError::TooLarge { limit } => {
                write!(
                    f,
                    "what the connection begins with is longer than {limit} bytes"
                )
            }
            PeekError::Ended { bytes } => {
                write!(
                    f,
                    "the connection ended {bytes} bytes into what it begins with"
                )
            }
            PeekError::Timeout { waited } => write!(
                f,
                "what the connection begins with was not complete within {} ms",
                waited.as_millis()
            ),
            PeekError::System(source) => {
                write!(f, "the connection cannot be looked into: {source}")
            }
        }
    }
}

impl std::error::Error for PeekError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            PeekError::System(source) => Some(source),
            _ => None,
        }
    }
}

/// One connection that is looked into.
#[derive(Debug)]
struct Look {
    sought: Sought,
    scan: Scan,
    /// Bytes seen.
    seen: usize,
    /// Fewer cannot change the answer.
    least: usize,
}

impl Look {
    fn new(sought: Sought) -> Look {
        Look {
            sought,
            scan: Scan::new(sought.want, sought.proxy),
            seen: 0,
            least: 1,
        }
    }

    /// Looks at what is there; `None` if that is not enough, and more may come.
    fn look(&mut self, fd: BorrowedFd<'_>, buf: &mut Vec<u8>) -> Option<Result<Peeked, PeekError>> {
        let limit = self.sought.limit;
        loop {
            let room = limit.min(FIRST.max(self.least).max(self.seen * 2));
            match sys::peek(fd, buf, room) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(PeekError::System(error))),
            }
            if buf.len() > self.seen && buf.len() >= self.least {
                match self.scan.look(buf) {
                    Step::Done(_) => {
                        return Some(Ok(Peeked {
                            sought: self.sought,
                            bytes: buf.clone(),
                        }));
                    }
                    Step::No(why) => return Some(Err(PeekError::Other(why))),
                    Step::More(least) => self.least = least,
                }
            }
            self.seen = self.seen.max(buf.len());
            if self.least > limit {
                return Some(Err(PeekError::TooLarge { limit }));
            }
            // There may be more than there was room for.
            if buf.len() == room && room < limit {
                continue;
            }
            let bytes = buf.len();
            return (bytes == 0 || sys::has_ended(fd)).then_some(Err(PeekError::Ended { bytes }));
        }
    }
}

/// Waits, on tokio, until what is sought stands at the front of the connection.
pub async fn peek(
    fd: BorrowedFd<'_>,
    sought: Sought,
    timeout: Duration,
) -> Result<Peeked, PeekError> {
    #[expect(
        deprecated,
        reason = "its successor is unsafe for what may close a descriptor early, which a BorrowedFd does not"
    )]
    let watched = AsyncFd::with_interest(fd, Interest::READABLE).map_err(PeekError::System)?;
    let looking = async {
        let mut look = Look::new(sought);
        let mut buf = Vec::new();
        loop {
            let mut ready = watched.readable().await.map_err(PeekError::System)?;
            // First, so that what comes while it is looked at is told of again.
            ready.clear_ready();
            if let Some(outcome) = look.look(fd, &mut buf) {
                return outcome;
            }
        }
    };
    match tokio::time::timeout(timeout, looking).await {
        Ok(outcome) => outcome,
        Err(_) => Err(PeekError::Timeout { waited: timeout }),
    }
}

/// Connections that are looked into by somebody who waits for one descriptor: an event loop of
/// any kind. It counts the time for itself.
#[derive(Debug)]
pub struct Peeks {
    edges: Edges,
    looks: HashMap<u64, (OwnedFd, Look)>,
    next: u64,
    buf: Vec<u8>,
    numbers: Vec<u64>,
}

impl Peeks {
    /// Looks into nothing yet.
    pub fn new() -> io::Result<Peeks> {
        Ok(Peeks {
            edges: Edges::new()?,
            looks: HashMap::new(),
            next: 0,
            buf: Vec::new(),
            numbers: Vec::new(),
        })
    }

    /// Looks into a connection, from the next [`Peeks::turn`] on; answers its number. The descriptor
    /// should be a duplicate of the connection's own: it is closed when there is an answer.
    pub fn add(&mut self, fd: OwnedFd, sought: Sought) -> io::Result<u64> {
        self.next += 1;
        self.edges.add(fd.as_fd(), self.next)?;
        self.looks.insert(self.next, (fd, Look::new(sought)));
        Ok(self.next)
    }

    /// Looks into a connection no longer; `false` if there was an answer already.
    pub fn cancel(&mut self, number: u64) -> bool {
        match self.looks.remove(&number) {
            Some((fd, _)) => {
                // Closing would not do: the connection's own descriptor is open.
                self.edges.remove(fd.as_fd());
                true
            }
            None => false,
        }
    }

    /// How many are looked into.
    pub fn len(&self) -> usize {
        self.looks.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.looks.is_empty()
    }

    /// Looks into up to 64 connections that have something new, and gives the answers there are.
    /// The descriptor stays readable while there are more.
    pub fn turn(
        &mut self,
        mut answer: impl FnMut(u64, Result<Peeked, PeekError>),
    ) -> io::Result<()> {
        let mut numbers = std::mem::take(&mut self.numbers);
        numbers.clear();
        self.edges.take(&mut numbers)?;
        for number in &numbers {
            let Some((fd, look)) = self.looks.get_mut(number) else {
                continue;
            };
            if let Some(outcome) = look.look(fd.as_fd(), &mut self.buf) {
                self.cancel(*number);
                answer(*number, outcome);
            }
        }
        self.numbers = numbers;
        Ok(())
    }
}

impl AsFd for Peeks {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.edges.as_fd()
    }
}
