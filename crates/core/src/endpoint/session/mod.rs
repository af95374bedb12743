//! Servers and clients for Rust programs, on tokio, with messages as JSON.
//!
//! - [`Server`]: accepting; [`Session`]: one connection, of either side.
//! - [`Incoming`]: what arrives; `task`: what reads and writes.

mod incoming;
mod server;
mod task;
mod watched;

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::io::Interest;
use tokio::sync::{Notify, mpsc, oneshot};

pub use incoming::{Asked, Body, Incoming, SessionError};
pub use server::Server;
use watched::Watched;

use super::connection::{Connection, Limits};
use super::driver::Driver;
use super::event::Kind;
use super::framing::Framing;
use super::peer::{Allow, Peer};
use super::{Endpoint, EndpointError, Reason, UnixKind, connect};

/// Bytes accepted and not written above which [`Session::send`] waits.
const HIGH_WATER_MARK: usize = 128 * 1024;
/// With more bytes waiting, no answers are kept for a peer that asks on and does not take them.
const MAX_OUTBOX: usize = 128 * 1024 * 1024;
/// Messages that wait for [`Session::recv`]; then the connection is not read.
const WAITING: usize = 1_024;

/// One connection to a program that speaks rsipc's wire with codec `json`.
///
/// A task on the runtime reads and writes. [`Session::handle`] gives as many senders as there are tasks. The connection
/// ends when the session, its handles and its requests are dropped; [`Session::close`] waits for that.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use rsipc_core::endpoint::Endpoint;
/// use rsipc_core::endpoint::session::Session;
///
/// let session = Session::connect(&Endpoint::parse("unix:/run/app.sock")?).await?;
/// let sum: f64 = session.request("add", &serde_json::json!({ "a": 1, "b": 2 })).await?.json()?;
/// session.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Session {
    handle: Handle,
    incoming: mpsc::Receiver<Result<Incoming, SessionError>>,
    peer: Option<Peer>,
}

/// Sends and asks on a [`Session`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// There is something to write, or the end.
    work: Notify,
    /// There is room, or nothing will ever be written again.
    room: Notify,
}

#[derive(Debug)]
struct State {
    driver: Driver,
    pending: HashMap<u64, oneshot::Sender<Result<Body, SessionError>>>,
    next: u64,
    /// We have said farewell.
    closing: bool,
    /// The task has ended.
    over: bool,
    /// Bytes that waited when the other end was given up.
    slow: Option<usize>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Connects to a UNIX or internet socket whose server is of this user, and waits until it has come about.
    pub async fn connect(endpoint: &Endpoint) -> io::Result<Session> {
        streams(endpoint)?;
        let connected = match endpoint {
            // A host's name is looked up, which waits.
            Endpoint::Tcp(_) => {
                let endpoint = endpoint.clone();
                tokio::task::spawn_blocking(move || connect(&endpoint, &Allow::SameUser))
                    .await
                    .map_err(io::Error::other)?
            }
            _ => connect(endpoint, &Allow::SameUser),
        };
        let connected = connected.map_err(io::Error::other)?;
        if connected.pending {
            let watched = Watched::new(rsipc_sys::fd::duplicate(connected.fd.as_fd())?)?;
            watched.ready(Interest::WRITABLE).await?;
            rsipc_sys::socket::take_error(connected.fd.as_fd())?;
        }
        Session::over(connected.fd, connected.peer)
    }

    /// Over a connected stream socket. Says hello; a peer that does not is told by [`Session::recv`].
    pub fn over(fd: OwnedFd, peer: Option<Peer>) -> io::Result<Session> {
        let mut driver = Driver::new(fd, Connection::new(Framing::Text, Limits::default()))?;
        let watched = Watched::new(rsipc_sys::fd::duplicate_raw(driver.raw_fd())?)?;
        let hello = json!({ "codec": "json", "pid": std::process::id() }).to_string();
        driver.connection().hello(hello.as_bytes());
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                driver,
                pending: HashMap::new(),
                next: 0,
                closing: false,
                over: false,
                slow: None,
            }),
            work: Notify::new(),
            room: Notify::new(),
        });
        let (told, incoming) = mpsc::channel(WAITING);
        tokio::spawn(task::run(shared.clone(), watched, told));
        Ok(Session {
            handle: Handle { shared },
            incoming,
            peer,
        })
    }

    /// Who is at the other end, where the kernel tells.
    pub fn peer(&self) -> Option<Peer> {
        self.peer
    }

    /// Sends from other tasks.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The next message or request; `None` when the connection has ended in order. Who does not call this
    /// is not sent more than a little.
    pub async fn recv(&mut self) -> Result<Option<Incoming>, SessionError> {
        self.incoming.recv().await.transpose()
    }

    /// As [`Handle::send`].
    pub async fn send(&self, message: &impl Serialize) -> Result<(), SessionError> {
        self.handle.send(message).await
    }

    /// As [`Handle::request`]. Meanwhile up to a thousand messages wait for [`Session::recv`]; a peer that sends
    /// more holds its own answer up.
    pub async fn request(&self, name: &str, body: &impl Serialize) -> Result<Body, SessionError> {
        self.handle.request(name, body).await
    }

    /// Ends in order: what was accepted is written, and the other end has read it.
    pub async fn close(mut self) {
        {
            let mut state = self.handle.shared.lock();
            if !state.closing {
                state.closing = true;
                let _ = state.driver.connection().send(Kind::Bye, |_| {});
            }
        }
        self.handle.shared.work.notify_one();
        while self.incoming.recv().await.is_some() {}
    }
}

impl Handle {
    /// Sends a message. Waits while much is waiting to be written.
    pub async fn send(&self, message: &impl Serialize) -> Result<(), SessionError> {
        self.put(Kind::Message, message)?;
        self.room().await
    }

    /// Asks the handler of this name at the other end.
    pub async fn request(&self, name: &str, body: &impl Serialize) -> Result<Body, SessionError> {
        let (settle, settled) = oneshot::channel();
        let id = {
            let mut state = self.shared.lock();
            if state.over {
                return Err(SessionError::Gone);
            }
            state.next = state.next % u64::from(u32::MAX) + 1;
            let id = state.next;
            state.pending.insert(id, settle);
            id
        };
        if let Err(error) = self.put(Kind::Request, &(id, name, 0, body)) {
            self.shared.lock().pending.remove(&id);
            return Err(error);
        }
        let guard = Forget { handle: self, id };
        let answer = settled.await.unwrap_or(Err(SessionError::Gone));
        drop(guard);
        answer
    }

    fn put(&self, kind: Kind, value: &impl Serialize) -> Result<(), SessionError> {
        let mut text = serde_json::to_vec(value).map_err(SessionError::Body)?;
        text.push(b'\n');
        {
            let mut state = self.shared.lock();
            if state.over || (state.closing && kind == Kind::Message) {
                return Err(SessionError::Gone);
            }
            let queued = state.driver.connection().queued();
            if queued > MAX_OUTBOX && matches!(kind, Kind::Reply | Kind::Failure) {
                state.slow = Some(queued);
                drop(state);
                self.shared.work.notify_one();
                return Err(SessionError::Slow { queued });
            }
            let sent = state
                .driver
                .connection()
                .send(kind, |out| out.extend_from_slice(&text));
            sent.map_err(SessionError::Protocol)?;
        }
        self.shared.work.notify_one();
        Ok(())
    }

    async fn room(&self) -> Result<(), SessionError> {
        loop {
            let notified = self.shared.room.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            {
                let mut state = self.shared.lock();
                if state.driver.connection().queued() <= HIGH_WATER_MARK {
                    return Ok(());
                }
                if state.over {
                    return Err(SessionError::Gone);
                }
            }
            notified.await;
        }
    }

    fn reply(&self, id: u64, answer: Result<&RawValue, &str>) -> Result<(), SessionError> {
        match answer {
            Ok(value) => self.put(Kind::Reply, &(id, value)),
            Err(message) => {
                let error = json!({ "name": "Error", "message": message });
                self.put(Kind::Failure, &(id, error))
            }
        }
    }
}

/// An error unless connections there are streams, in clear.
fn streams(endpoint: &Endpoint) -> io::Result<()> {
    match endpoint {
        Endpoint::Name(_)
        | Endpoint::Tcp(_)
        | Endpoint::Activated(_)
        | Endpoint::Unix {
            kind: UnixKind::Stream,
            ..
        } => Ok(()),
        _ => Err(unsupported(endpoint)),
    }
}

fn unsupported(endpoint: &Endpoint) -> io::Error {
    io::Error::other(EndpointError::new(endpoint, Reason::Unsupported))
}

/// A request that nobody waits for any more is cancelled over there.
struct Forget<'a> {
    handle: &'a Handle,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        let waited = self.handle.shared.lock().pending.remove(&self.id).is_some();
        if waited {
            let _ = self.handle.put(Kind::Cancel, &(self.id,));
        }
    }
}
