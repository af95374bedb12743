//! Slabs of a channel: bytes of large Buffers that lie beside its messages.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::{Channel, Outgoing, Sent};
use crate::slab::{Place, Pool, Received, Stretch};

impl Channel {
    /// Makes a slab of `capacity` bytes for what is sent from here, and sends it in a frame of this payload,
    /// which is a complete `NODE_HANDLE` envelope. It is used once the peer
    /// [has it](Channel::slab_ready). Only where memory is shared.
    pub fn offer_slab(&mut self, payload: &[u8], capacity: usize) -> io::Result<Sent> {
        let file = self.slabs.create(capacity)?;
        let sent = self.offer_memory(payload, file);
        if sent.is_err() {
            self.slabs.discard();
        }
        sent
    }

    /// As [`offer_slab`](Channel::offer_slab), the slab of a pool.
    pub fn offer_pool(&mut self, payload: &[u8], pool: &Pool) -> io::Result<Sent> {
        self.offer_memory(payload, pool.file().try_clone_to_owned()?)
    }

    fn offer_memory(&mut self, payload: &[u8], descriptor: OwnedFd) -> io::Result<Sent> {
        if !self.outbox.shares() {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let handle = Outgoing {
            descriptor,
            retry: false,
        };
        self.send_handle(handle, |out| out.extend_from_slice(payload))
    }

    /// Takes a slab that the peer has offered under this number.
    pub fn accept_slab(&mut self, slab: u32, file: OwnedFd) -> io::Result<()> {
        self.slabs.accept(slab, file)
    }

    /// The peer has taken the slab that was offered under this number.
    pub fn slab_ready(&mut self, slab: u32) {
        self.slabs.ready(slab);
    }

    /// Copies bytes into a block of the slab, for the message that is sent next. Nothing if there is none.
    pub fn lay(&mut self, bytes: &[u8]) -> Option<Place> {
        let before = self.outbox.accepted();
        self.slabs.lay(before, bytes)
    }

    /// Lends `len` bytes from `at` on in a stretch of the pool, for the message that is sent next.
    pub fn lay_stretch(&mut self, stretch: &Arc<Stretch>, at: usize, len: usize) -> Option<Place> {
        let before = self.outbox.accepted();
        self.slabs.lay_stretch(before, stretch, at, len)
    }

    /// So many that were laid last are not sent after all.
    pub fn take_back(&mut self, count: usize) {
        self.slabs.take_back(count);
    }

    /// Where the bytes are that a message speaks of. Nothing if they cannot be there.
    pub fn find(&self, place: &Place) -> Option<Received> {
        self.slabs.find(place)
    }

    /// The most bytes that the peer lends at once if it keeps the rules.
    pub fn lent_to_us(&self) -> usize {
        self.slabs.lent_to_us()
    }

    /// Bytes were taken: wakes a peer that waits for that.
    pub fn taken(&mut self) -> io::Result<()> {
        match &self.fd {
            Some(fd) if self.failed.is_none() && self.slabs.wanted() => {
                self.outbox
                    .push_wake(crate::codec::encode::wake(self.serialization));
                self.outbox.flush_answers(fd.as_fd())
            }
            _ => Ok(()),
        }
    }

    /// Whether the peer has taken bytes that it was to take before more is sent.
    pub fn eased(&mut self) -> bool {
        self.slabs.eased()
    }

    /// Whether the peer has taken too little: the owner is told when that changes.
    pub(super) fn wait_for_slab(&mut self) -> bool {
        self.slabs.wait()
    }
}
