//! A channel that leaves the socket for memory shared with its peer.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rsipc_sys::shm::{Mapping, Private};

use super::lanes::Lanes;
use super::stage::Stage;
use super::{Channel, Sent};
use crate::codec::encode;

impl Channel {
    /// Makes memory to be shared with a peer that is rsipc too, and sends it in two frames of these
    /// payloads, which are complete `NODE_HANDLE` envelopes. Nothing travels there before
    /// [`share`](Channel::share).
    pub fn offer_lanes(&mut self, payloads: [&[u8]; 2]) -> io::Result<Sent> {
        self.check()?;
        self.require_no_lanes()?;
        self.fetch_stage();
        let (lanes, memory) = Lanes::create()?;
        let descriptors = [
            memory[0].file().try_clone_to_owned()?,
            memory[1].file().try_clone_to_owned()?,
        ];
        for (descriptor, payload) in descriptors.into_iter().zip(payloads) {
            self.outbox
                .push_handle(self.serialization, Arc::new(descriptor), false, |out| {
                    out.extend_from_slice(payload)
                })?;
        }
        self.set_lanes(lanes);
        self.settle(false)
    }

    /// Takes the memory that a peer has offered.
    pub fn accept_lanes(&mut self, offer: [OwnedFd; 2]) -> io::Result<()> {
        self.require_no_lanes()?;
        let [there, back] = offer.map(|file| Mapping::received(file).map_err(io::Error::other));
        let lanes = Lanes::attach([there?, back?])?;
        self.set_lanes(lanes);
        Ok(())
    }

    /// What is under way in memory that is shared already would be lost.
    fn require_no_lanes(&self) -> io::Result<()> {
        match self.lanes {
            None => Ok(()),
            Some(_) => Err(io::Error::from(io::ErrorKind::InvalidInput)),
        }
    }

    fn set_lanes(&mut self, lanes: Lanes) {
        self.lanes = Some(lanes);
        self.decoder.expect_wakes();
    }

    /// Sends through the shared memory from now on, handles and their answers apart. The peer must
    /// have it too.
    pub fn share(&mut self) -> io::Result<()> {
        self.check()?;
        if self.lanes.is_none() || self.outbox.shares() {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        self.outbox.share(encode::switch(self.serialization));
        self.write_queue(false).map(drop)
    }

    /// Whether what is sent now travels through shared memory.
    pub fn shares(&self) -> bool {
        self.outbox.shares()
    }

    /// Sends one message that is encoded as numbers, 4 bytes each, and a text of about `units`
    /// UTF-16 units that `text` appends. Only where [`shares`](Channel::shares) says so.
    pub fn send_encoded(
        &mut self,
        gather: bool,
        words: &[u8],
        units: usize,
        text: impl FnOnce(&mut Vec<u16>),
    ) -> io::Result<Sent> {
        self.check()?;
        if words.len().saturating_add(units) > encode::MAX_PAYLOAD / 2 {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        self.fetch_stage();
        self.outbox.push_encoded(words, units, text);
        self.settle(gather)
    }

    /// Takes what the owner writes into this memory as messages that are gathered. At least
    /// [`stage::SIZE`] bytes, all 0.
    pub fn open_stage(&mut self, memory: Private) -> io::Result<()> {
        self.stage = Some(Stage::new(memory)?);
        Ok(())
    }

    /// As [`flush`](Channel::flush), by the thread that writes into the stage, which begins anew.
    pub fn flush_stage(&mut self) -> io::Result<Sent> {
        let flushed = self.flush();
        if let Some(stage) = &mut self.stage {
            stage.restart();
        }
        flushed
    }

    /// Tells the owner whether the late writer looks at the stage; answers whether something lies there.
    pub fn watch_stage(&mut self, on: bool) -> bool {
        self.stage.as_ref().is_some_and(|stage| {
            stage.watch(on);
            stage.messages() > 0
        })
    }

    /// Queues what lies on the stage, before anything that is accepted after it.
    pub(super) fn fetch_stage(&mut self) {
        if let Some(staged) = self.stage.as_mut().and_then(Stage::fetch) {
            self.outbox.push_staged(&staged);
        }
    }

    /// Says whether the owner looks by itself whether something waits in shared memory, so that the peer
    /// need not wake it.
    pub fn spin(&mut self, spins: bool) {
        self.spins = spins;
    }

    /// Has the peer wake the owner when something comes through shared memory; answers whether something
    /// has come already.
    pub fn sleep(&mut self) -> bool {
        let reading = self.incoming.reading;
        self.lanes
            .as_mut()
            .is_some_and(|lanes| reading && lanes.wait_for_items().unwrap_or(true))
    }

    /// Whether something waits in shared memory, which makes no descriptor readable.
    pub fn lanes_readable(&mut self) -> bool {
        let reading = self.incoming.reading;
        self.lanes
            .as_mut()
            .is_some_and(|lanes| reading && lanes.readable())
    }

    /// Wakes a peer that sleeps and has been given records, or room.
    pub(super) fn wake_peer(&mut self) -> io::Result<()> {
        match (&self.fd, &self.lanes) {
            (Some(fd), Some(lanes)) if lanes.rung() => {
                self.outbox.push_wake(encode::wake(self.serialization));
                self.outbox.flush_answers(fd.as_fd())
            }
            _ => Ok(()),
        }
    }
}
