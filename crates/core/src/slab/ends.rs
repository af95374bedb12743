//! Both directions' slabs of one channel or connection: what this end has made, and what its peer has.
//!
//! How they are offered, and how an end is woken that waits, is a matter of what carries the messages.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::{Incoming, Outgoing, Place, Received, Stretch};

/// The slabs of one end.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    outgoing: Option<Outgoing>,
    incoming: Incoming,
}

impl Ends {
    /// Makes a slab of `capacity` bytes for what is sent from here; its file is for the peer. It is used once the peer
    /// [has it](Ends::ready). There is one at most.
    pub(crate) fn create(&mut self, capacity: usize) -> io::Result<OwnedFd> {
        if self.outgoing.is_some() {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let mut outgoing = Outgoing::new(capacity)?;
        let Some(file) = outgoing.take_file() else {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        };
        let file = file.file().try_clone_to_owned()?;
        self.outgoing = Some(outgoing);
        Ok(file)
    }

    /// Whether one was made.
    pub(crate) fn is_made(&self) -> bool {
        self.outgoing.is_some()
    }

    /// Makes no use of the slab that was made: it could not be offered.
    pub(crate) fn discard(&mut self) {
        self.outgoing = None;
    }

    /// Takes a slab that the peer has offered under this number.
    pub(crate) fn accept(&mut self, slab: u32, file: OwnedFd) -> io::Result<()> {
        self.incoming.accept(slab, file)
    }

    /// The peer has the slab that was offered under this number.
    pub(crate) fn ready(&mut self, slab: u32) {
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.ready(slab);
        }
    }

    /// Copies bytes into a block, for the message before which `before` were accepted. Nothing if there is none.
    pub(crate) fn lay(&mut self, before: u64, bytes: &[u8]) -> Option<Place> {
        self.outgoing.as_mut()?.lay(before, bytes)
    }

    /// The same for `len` bytes from `at` on in a stretch of a pool, which are not copied.
    pub(crate) fn lay_stretch(
        &mut self,
        before: u64,
        stretch: &Arc<Stretch>,
        at: usize,
        len: usize,
    ) -> Option<Place> {
        self.outgoing
            .as_mut()?
            .lay_stretch(before, stretch, at, len)
    }

    /// So many that were laid last are not sent after all.
    pub(crate) fn take_back(&mut self, count: usize) {
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.take_back(count);
        }
    }

    /// Where the bytes are that a message speaks of. Nothing if they cannot be there.
    pub(crate) fn find(&self, place: &Place) -> Option<Received> {
        self.incoming.find(place)
    }

    /// The most bytes that the peer lends at once if it keeps the rules.
    pub(crate) fn lent_to_us(&self) -> usize {
        self.incoming.capacity()
    }

    /// Whether the peer waits for what has just been taken.
    pub(crate) fn wanted(&self) -> bool {
        self.incoming.wanted()
    }

    /// The message from which on nothing is as good as written, by how many were accepted before it.
    pub(crate) fn held_up(&self) -> Option<u64> {
        self.outgoing.as_ref().and_then(Outgoing::held_up)
    }

    /// Bytes that the peer has not taken and should before more is sent.
    pub(crate) fn excess(&self) -> usize {
        self.outgoing.as_ref().map_or(0, Outgoing::excess)
    }

    /// Whether the owner waits for the peer to take more.
    pub(crate) fn waits(&self) -> bool {
        self.outgoing.as_ref().is_some_and(Outgoing::waits)
    }

    /// Whether the peer has taken something that the owner waits for.
    pub(crate) fn eased(&mut self) -> bool {
        self.outgoing.as_mut().is_some_and(Outgoing::eased)
    }

    /// Whether the owner has to wait; it is told by `eased` when that changes.
    pub(crate) fn wait(&mut self) -> bool {
        self.outgoing.as_mut().is_some_and(Outgoing::wait)
    }
}
