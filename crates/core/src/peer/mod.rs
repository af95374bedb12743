//! A Rust program at one end of a channel, on tokio.
//!
//! - [`Peer`]: sending, receiving, disconnecting.
//! - `environment`: the end that a parent has left in the environment.
//! - `spawn`: a child with the other end.
//! - `message`: what is received.
//! - `sharing`: when the channel leaves the socket for shared memory.
//! - `inner`: what the calls and the task behind them share.
//! - `driver`: that task.

mod driver;
mod environment;
mod inner;
mod message;
mod sharing;
mod spawn;

use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rsipc_sys::fd;
use serde::Serialize;
use tokio::runtime;
use tokio::sync::oneshot;

pub use environment::{EnvironmentError, strip};
pub use message::{Handle, HandleProblem, Message};
pub use sharing::Transport;

pub use crate::channel::{HandleType, Limits, Serialization};

use crate::channel::{Channel, Outgoing, Sent};
use crate::error::ErrorKind;
use inner::{Inner, Waiting};
use sharing::Sharing;

/// Bytes accepted and not written above which [`Peer::send`] waits. Node's own mark.
pub const HIGH_WATER_MARK: usize = 128 * 1024;

/// One end of a channel to a Node process, or to any other that speaks its protocol.
///
/// All calls take `&self`: put a `Peer` into an [`Arc`] to send from several tasks, or receive in
/// one and send in another. A task on the runtime does the reading and writing, so what `send` has
/// accepted goes on being written, and the peer's handles go on being answered, whatever the
/// program waits for.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use rsipc_core::peer::Peer;
///
/// // The child of `fork('./this-program')` in Node, or of `Peer::spawn`.
/// let peer = Peer::from_env()?;
/// while let Some(message) = peer.recv().await? {
///     let number: f64 = message.json()?;
///     peer.send(&(number * 2.0)).await?;
/// }
/// # Ok(())
/// # }
/// ```
///
/// Dropping a `Peer` closes the channel without waiting: what `send` has accepted and the kernel
/// has not taken is lost. [`disconnect`](Peer::disconnect) waits.
///
/// # The two formats
///
/// A JSON channel is supported fully. On one whose serialization is `advanced`, messages are the
/// bytes of V8's format, sent with [`send_bytes`](Peer::send_bytes) and received in
/// [`Message::bytes`]; a message that comes with a handle is the whole envelope, and handles cannot
/// be sent.
///
/// # Shared memory
///
/// On Linux, a JSON channel whose other end is rsipc too leaves the socket for memory that both processes
/// share: after 64 messages or 256 KiB in both directions, or as [`set_transport`](Peer::set_transport) and
/// the variable `RSIPC_TRANSPORT` say. Order is kept, handles go on travelling by socket, and what was
/// written there before a process was killed still arrives.
///
/// # Runtime
///
/// A `Peer` is made and used on a tokio runtime with I/O and time enabled.
#[derive(Debug)]
pub struct Peer {
    inner: Arc<Inner>,
    serialization: Serialization,
}

impl Peer {
    /// A peer over a connected UNIX stream socket.
    ///
    /// ```
    /// use rsipc_core::peer::{Limits, Peer, Serialization};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let (a, b) = rsipc_sys::stream::pair()?;
    /// let a = Peer::new(a, Serialization::Json, Limits::default())?;
    /// let b = Peer::new(b, Serialization::Json, Limits::default())?;
    /// a.send("hello").await?;
    /// let message = b.recv().await?.expect("the channel is open");
    /// assert_eq!(message.json::<String>()?, "hello");
    /// a.disconnect().await?;
    /// assert!(b.recv().await?.is_none());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// On a runtime without I/O. Outside of a runtime it is an error.
    pub fn new(fd: OwnedFd, serialization: Serialization, limits: Limits) -> io::Result<Peer> {
        Peer::with(fd, serialization, limits, |json| {
            Sharing::new(false, 0, json)
        })
    }

    fn with(
        fd: OwnedFd,
        serialization: Serialization,
        limits: Limits,
        sharing: impl FnOnce(bool) -> Sharing,
    ) -> io::Result<Peer> {
        let runtime = runtime::Handle::try_current().map_err(io::Error::other)?;
        let sharing = sharing(serialization == Serialization::Json);
        let channel = Channel::new(fd, serialization, inner::with_memory(limits))?;
        let inner = Inner::new(channel, serialization, limits, sharing);
        driver::start(&runtime, &inner)?;
        Ok(Peer {
            inner,
            serialization,
        })
    }

    /// How messages are written on this channel.
    pub fn serialization(&self) -> Serialization {
        self.serialization
    }

    /// What is to carry the messages, if not what the variable `RSIPC_TRANSPORT` says. A channel that
    /// sends through shared memory already goes on doing so.
    pub fn set_transport(&self, transport: Transport) {
        let mut state = self.inner.lock();
        state.sharing.set(transport);
        state.consider();
        drop(state);
        self.inner.work.notify_one();
    }

    /// Whether what is sent now travels through shared memory.
    pub fn shares_memory(&self) -> bool {
        self.inner.lock().channel.shares()
    }

    /// Whether the channel is open at both ends, as far as is known here.
    pub fn is_connected(&self) -> bool {
        self.inner.lock().is_connected()
    }

    /// Sends a message.
    ///
    /// Waits while more than [`HIGH_WATER_MARK`] bytes wait to be written, then accepts the message
    /// and returns: what the kernel does not take at once is written as the peer reads. Messages
    /// arrive in the order in which their `send` was first polled. A `send` that is dropped before
    /// it returns has sent nothing.
    ///
    /// An error says that this message was not accepted. The message is refused if it is not JSON
    /// (see [`serde_json::to_vec`]), too long, or if the channel's serialization is `advanced`; it
    /// cannot be sent if the channel is closed or the peer has gone.
    pub async fn send<T: Serialize + ?Sized>(&self, message: &T) -> io::Result<()> {
        self.expect_json("send")?;
        let text = serde_json::to_vec(message)?;
        self.accept(&text).await
    }

    /// As [`send`](Peer::send), for a message that is JSON text already. It is not parsed; one with
    /// a line break in it is refused.
    pub async fn send_text(&self, text: &str) -> io::Result<()> {
        self.expect_json("send_text")?;
        self.accept(text.as_bytes()).await
    }

    /// As [`send`](Peer::send), for one payload as it stands on the wire, without line feed or
    /// length: JSON text, or on an `advanced` channel a value as `v8.Serializer` writes it, header
    /// included.
    pub async fn send_bytes(&self, payload: &[u8]) -> io::Result<()> {
        self.accept(payload).await
    }

    /// Sends a message with a handle, and waits until the peer has confirmed that it arrived.
    ///
    /// A plain Node takes the types of [`HandleType`] other than `Descriptor`, which is between two
    /// ends that both accept it ([`Limits::accept`]). The descriptor is given away: it is closed here
    /// as soon as the peer has it, and on an error.
    ///
    /// To send several without a round trip for each, poll their futures together: order is that
    /// of the first poll here too. A future that is dropped while it waits for the confirmation
    /// leaves open whether the handle arrives.
    ///
    /// ```no_run
    /// # async fn example(peer: rsipc_core::peer::Peer) -> std::io::Result<()> {
    /// use rsipc_core::peer::HandleType;
    /// use std::net::TcpListener;
    ///
    /// // In Node: process.on('message', (message, server) => server.on('connection', …))
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// peer.send_with_handle("serve", HandleType::NetServer, listener.into()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn send_with_handle<T: Serialize + ?Sized>(
        &self,
        message: &T,
        kind: HandleType,
        descriptor: OwnedFd,
    ) -> io::Result<()> {
        self.expect_json("send_with_handle")?;
        let found = fd::kind(descriptor.as_fd());
        if !kind.fits(found) {
            let found = found.name();
            return Err(crate::Error::new(ErrorKind::HandleKind { found }).into());
        }
        let (dgram_type, descriptor) = match kind {
            HandleType::DgramSocket => {
                let socket = UdpSocket::from(descriptor);
                let v4 = socket.local_addr()?.is_ipv4();
                (Some(if v4 { "udp4" } else { "udp6" }), socket.into())
            }
            _ => (None, descriptor),
        };
        let envelope = serde_json::to_vec(&Envelope {
            cmd: "NODE_HANDLE",
            kind: kind.name(),
            msg: message,
            dgram_type,
        })?;
        let turn = self.inner.room().await?;
        let (confirmed, answer) = oneshot::channel();
        let outgoing = Outgoing {
            descriptor,
            retry: kind == HandleType::NetSocket,
        };
        let sent = self
            .inner
            .lock()
            .send_handle(outgoing, &envelope, confirmed)?;
        self.rest(sent);
        drop(turn);
        let _waiting = Waiting::new(&self.inner);
        match answer.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(io::Error::other("the peer did not get the handle")),
            Err(_) => Err(io::Error::new(
                io::ErrorKind::BrokenPipe,
                "the channel was closed before the peer had confirmed the handle",
            )),
        }
    }

    /// The next message, in the order of the stream; `None` once the peer has disconnected or ended
    /// and everything it sent was received, or after [`disconnect`](Peer::disconnect).
    ///
    /// Node's internal messages (`NODE_…`) are not told. Requests about the sockets a Node parent
    /// has sent are answered: to this end they are the program's own from the moment they
    /// arrive, so `server.close` in the parent does not wait for them.
    ///
    /// An error is what was read instead of a message: a frame that breaks the protocol or a limit
    /// (a [`rsipc_core::Error`](crate::Error) inside the error), the end of the stream inside a frame,
    /// or a failure to read. It is told once; calling again goes on behind it.
    ///
    /// Dropped before it returns, it has taken no message.
    pub async fn recv(&self) -> io::Result<Option<Message>> {
        self.inner.recv().await
    }

    /// Closes the channel, once everything accepted is written and every handle confirmed. Calls
    /// of `send` that wait already are let through first; later ones fail.
    ///
    /// Waits for as long as the peer takes to read; a timeout, and then dropping the `Peer`, gives
    /// up. Messages that have arrived can still be received. An error says that the peer has gone
    /// and how many messages were not written.
    pub async fn disconnect(&self) -> io::Result<()> {
        self.inner.disconnect().await
    }

    async fn accept(&self, payload: &[u8]) -> io::Result<()> {
        let _turn = self.inner.room().await?;
        let (sent, more) = {
            let mut state = self.inner.lock();
            (state.send(payload)?, state.consider())
        };
        self.rest(if more { Sent::Blocked } else { sent });
        Ok(())
    }

    /// Leaves what the kernel has not taken to the task.
    fn rest(&self, sent: Sent) {
        if sent != Sent::Written {
            self.inner.work.notify_one();
        }
    }

    fn expect_json(&self, call: &str) -> io::Result<()> {
        match self.serialization {
            Serialization::Json => Ok(()),
            Serialization::Advanced => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("the channel's serialization is advanced, {call} needs json"),
            )),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.inner.lock().dropped = true;
        self.inner.work.notify_one();
    }
}

/// A message with a handle, as Node writes it: in this order.
#[derive(Serialize)]
struct Envelope<'a, T: ?Sized> {
    cmd: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    msg: &'a T,
    #[serde(rename = "dgramType", skip_serializing_if = "Option::is_none")]
    dgram_type: Option<&'static str>,
}
