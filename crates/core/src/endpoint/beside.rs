//! Slabs of a connection: bytes of large messages that lie beside it, in memory shared with the peer.
//!
//! A slab is offered in a message with a descriptor. Whoever has taken bytes that the other end waits for sends a
//! pong, which says nothing else.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::connection::Connection;
use super::event::Kind;
use crate::slab::{Ends, Place, Pool, Received, Stretch};

/// Bytes beyond what the peer may have before more is sent, above which nothing is laid.
const EXCESS: usize = 4 * 1024 * 1024;

impl Connection {
    /// Makes a slab of `capacity` bytes for what is sent from here, and offers it in a message of this payload. It is
    /// used once the peer [has it](Connection::slab_ready). There is one at most.
    pub fn offer_slab(&mut self, payload: &[u8], capacity: usize) -> io::Result<()> {
        let slabs = self.slabs.get_or_insert_default();
        let file = slabs.create(capacity)?;
        let offered = self.offer_memory(payload, file);
        if offered.is_err()
            && let Some(slabs) = &mut self.slabs
        {
            slabs.discard();
        }
        offered
    }

    /// As [`offer_slab`](Connection::offer_slab), the slab of a pool.
    pub fn offer_pool(&mut self, payload: &[u8], pool: &Pool) -> io::Result<()> {
        self.offer_memory(payload, pool.file().try_clone_to_owned()?)
    }

    fn offer_memory(&mut self, payload: &[u8], file: OwnedFd) -> io::Result<()> {
        self.send_handles(payload, vec![file])
            .map_err(io::Error::other)
    }

    /// Takes a slab that the peer has offered under this number.
    pub fn accept_slab(&mut self, slab: u32, file: OwnedFd) -> io::Result<()> {
        self.slabs.get_or_insert_default().accept(slab, file)
    }

    /// The peer has taken the slab that was offered under this number.
    pub fn slab_ready(&mut self, slab: u32) {
        if let Some(slabs) = &mut self.slabs {
            slabs.ready(slab);
        }
    }

    /// Whether a slab has been made for what is sent from here.
    pub fn has_slab(&self) -> bool {
        self.slabs.as_ref().is_some_and(|slabs| slabs.is_made())
    }

    /// Copies bytes into a block of the slab, for the message that is sent next. Nothing if there is none.
    pub fn lay(&mut self, bytes: &[u8]) -> Option<Place> {
        let before = self.accepted;
        self.with_room()?.lay(before, bytes)
    }

    /// Lends `len` bytes from `at` on in a stretch of the pool, for the message that is sent next.
    pub fn lay_stretch(&mut self, stretch: &Arc<Stretch>, at: usize, len: usize) -> Option<Place> {
        let before = self.accepted;
        let slabs = self.with_room()?;
        slabs.lay_stretch(before, stretch, at, len)
    }

    /// The slabs, unless so much waits there to be taken that what is more has to wait in the outbox: an owner that
    /// goes on sending is to see that.
    fn with_room(&mut self) -> Option<&mut Ends> {
        let slabs = self.slabs.as_deref_mut()?;
        (slabs.excess() < EXCESS).then_some(slabs)
    }

    /// So many that were laid last are not sent after all.
    pub fn take_back(&mut self, count: usize) {
        if let Some(slabs) = &mut self.slabs {
            slabs.take_back(count);
        }
    }

    /// Accepts one frame whose payload is `head` and then the bytes that were laid at `place`.
    pub fn send_beside(
        &mut self,
        kind: Kind,
        head: &[u8],
        place: &Place,
    ) -> Result<(), crate::Error> {
        self.send(Kind::Beside, |out| {
            out.push(kind as u8);
            out.extend_from_slice(&place.to_bytes());
            out.extend_from_slice(head);
        })
    }

    /// Where the bytes are that a message speaks of. Nothing if they cannot be there.
    pub fn find(&self, place: &Place) -> Option<Received> {
        self.slabs.as_ref()?.find(place)
    }

    /// The most bytes that the peer lends at once if it keeps the rules.
    pub fn lent_to_us(&self) -> usize {
        self.slabs.as_ref().map_or(0, |slabs| slabs.lent_to_us())
    }

    /// Whether one of these JSON texts is nested too deeply, as for those that come in frames.
    pub fn nests_too_deeply(&self, texts: &[u8]) -> bool {
        self.decoder.too_deep(texts).is_some()
    }

    /// Bytes were taken: has a peer woken that waits for that. Answers whether there is something to write.
    pub fn taken(&mut self) -> bool {
        let wanted = self.slabs.as_ref().is_some_and(|slabs| slabs.wanted());
        if wanted {
            self.pong_due = true;
            self.answer_ping();
        }
        wanted
    }

    /// Bytes accepted that the peer has not taken, beyond what it may have before more is sent: those that wait to be
    /// written, and those that lie beside. Whoever waits for fewer is told by [`eased`](Connection::eased).
    pub fn outstanding(&mut self) -> usize {
        let beside = self.slabs.as_mut().map_or(0, |slabs| {
            slabs.wait();
            slabs.excess()
        });
        self.queued() + beside
    }

    /// Whether the peer has taken bytes that lay beside and that somebody waits for.
    pub fn eased(&mut self) -> bool {
        self.slabs.as_mut().is_some_and(|slabs| slabs.eased())
    }
}

/// What a connection has that lies beside its messages; most have nothing.
pub(super) type Beside = Option<Box<Ends>>;
