//! What a channel does when the loop says that its descriptor is ready.
//!
//! The loop's callback reads and writes before JavaScript runs and hands it what was found, so an
//! ordinary message costs one crossing. JavaScript and the callback share the state through a
//! `RefCell`: JavaScript never runs while it is borrowed.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use napi::bindgen_prelude::{Either, Result};
use napi::{Env, JsString};
use rsipc_core::channel::{Batch, Channel as Core, Event, Sent};
use rsipc_core::cluster::{Primary, Seat};
use rsipc_core::runtime::{self, Shared};
use rsipc_core::spin::Spin;

use crate::env::text;
use crate::poll::{DISCONNECT, Found, LAST, MORE, Poll, READABLE, WRITABLE};

/// Bytes read before JavaScript gets its turn: a flooding peer must not starve timers.
const READ_BUDGET: usize = 256 * 1024;

/// What a turn found; bits of its answer.
pub(crate) mod found {
    /// Plain messages and nothing else: fetch them with as many calls of `takeText` or `takeBytes`
    /// as the bits from `RUNS` on say.
    pub(crate) const MESSAGES: u32 = 1;
    /// Where the number of runs of messages begins.
    pub(crate) const RUNS: u32 = 8;
    /// Anything else: fetch with `takeEvents`.
    pub(crate) const EVENTS: u32 = 2;
    /// More frames have been written whole, or more of what lies beside them was taken.
    pub(crate) const WROTE: u32 = 4;
    /// An incomplete frame waits for its rest, and nobody watches its time.
    pub(crate) const PARTIAL: u32 = 8;
    /// Writing failed: `writeError` has the number.
    pub(crate) const WRITE_ERROR: u32 = 16;
    /// The read budget is spent and more is in shared memory, where no descriptor tells: call `turn` again.
    pub(crate) const AGAIN: u32 = 32;
    /// One batch and nothing else: fetch it with `takeBatch`.
    pub(crate) const BATCH: u32 = 64;
}

/// How often a turn that looks for more asks whether other descriptors of the loop wait.
const OTHERS: Duration = Duration::from_micros(8);

/// The state behind a JavaScript `Channel`.
pub(crate) struct State {
    pub(crate) shared: Arc<Shared>,
    pub(crate) poll: Option<Poll>,
    pub(crate) advanced: bool,
    pub(crate) paused: bool,
    pub(crate) events: VecDeque<Event>,
    pub(crate) seen_written: u64,
    /// Of the message sent last from here. The process's threads send on the same channel.
    pub(crate) number: u64,
    pub(crate) write_error: i32,
    /// JavaScript has a timer for incomplete frames: it need not hear of each.
    pub(crate) partial_watched: bool,
    /// Batches that `takeEvents` has named.
    pub(crate) batches: VecDeque<Batch>,
    /// What is sent travels through shared memory.
    pub(crate) shares: bool,
    /// The turn has not asked to be woken: it looks for more itself.
    pub(crate) spinning: bool,
    /// Looking for more before the loop sleeps.
    pub(crate) spin: Spin,
    /// The child's end, until the child has been started.
    pub(crate) child_end: Option<OwnedFd>,
    /// The channel is a cluster worker's: another thread reads it, and a bell tells what it has left here.
    pub(crate) seat: Option<Seated>,
}

/// A worker's place in the cluster, until the channel is closed.
pub(crate) struct Seated {
    pub(crate) seat: Arc<Seat>,
    pub(crate) primary: Arc<Primary>,
    pub(crate) worker: u32,
}

impl Drop for Seated {
    fn drop(&mut self) {
        self.primary.unseat(self.worker);
    }
}

impl State {
    pub(crate) fn core(&self) -> MutexGuard<'_, Core> {
        self.shared.lock()
    }

    /// Tells the loop what the channel waits for.
    pub(crate) fn watch(&mut self) -> Result<()> {
        if let Some(seated) = &self.seat {
            // The other thread waits until the descriptor is writable.
            if self.core().queued_messages() > 0 {
                seated.seat.poke();
            }
            let events = if self.paused { 0 } else { READABLE };
            return match &mut self.poll {
                Some(poll) => poll.watch(events),
                None => Ok(()),
            };
        }
        let interest = self.core().interest();
        let mut events = if self.paused { DISCONNECT } else { 0 };
        if interest.readable {
            events |= READABLE;
        }
        if interest.writable {
            events |= WRITABLE;
        }
        match &mut self.poll {
            Some(poll) => poll.watch(events),
            None => Ok(()),
        }
    }

    /// Sends, and remembers the message's number.
    pub(crate) fn send(
        &mut self,
        send: impl FnOnce(&mut Core) -> std::io::Result<Sent>,
    ) -> Result<i32> {
        let (outcome, number) = {
            let mut core = self.core();
            (send(&mut core), core.accepted())
        };
        self.number = number;
        self.sent(outcome)
    }

    /// Turns an attempt to send into a code: 0 written, 1 gathered for `flush`, 2 queued because the
    /// kernel or a handle holds it, below 0 the negative error number.
    pub(crate) fn sent(&mut self, outcome: std::io::Result<Sent>) -> Result<i32> {
        Ok(match outcome {
            Ok(Sent::Written) => 0,
            Ok(Sent::Gathered) => {
                runtime::watch(&self.shared);
                1
            }
            Ok(Sent::Blocked) => {
                // A kernel that is out of room for descriptors says nothing when that is over.
                runtime::watch(&self.shared);
                self.watch()?;
                2
            }
            Err(error) => -number(&error),
        })
    }

    /// Writes and reads what can be without waiting. Answers bits of `found`, or, when all that
    /// happened is that texts arrived, the texts themselves.
    pub(crate) fn turn<'a>(&mut self, env: &'a Env, ready: u32) -> Result<Found<'a>> {
        let answer = self.turn_within(ready, READ_BUDGET)?;
        if answer == found::MESSAGES | 1 << found::RUNS && !self.advanced {
            return self.take_text(env).map(Either::B);
        }
        Ok(Either::A(answer))
    }

    /// A turn of the loop itself, behind which [`State::linger`] is called.
    pub(crate) fn turn_of_loop<'a>(&mut self, env: &'a Env, ready: u32) -> Result<Found<'a>> {
        let woken = ready & MORE == 0;
        self.spinning = self.shares && ready & LAST == 0 && self.spin.wanted(woken, Instant::now());
        if !self.spinning {
            return self.turn(env, ready);
        }
        self.core().spin(true);
        let found = self.turn(env, ready);
        self.core().spin(false);
        found
    }

    /// Looks for more before the loop sleeps; answers whether there is.
    pub(crate) fn linger(&mut self) -> bool {
        let spins = std::mem::take(&mut self.spinning);
        let found = spins && (self.look() || self.core().sleep()) && !self.paused;
        if !found && self.shares {
            self.spin.sleep(Instant::now());
        }
        found
    }

    /// Looks for more as long as that pays and nothing else wants the loop.
    fn look(&mut self) -> bool {
        if !self.poll.as_ref().is_some_and(Poll::would_sleep) {
            return false;
        }
        let begin = Instant::now();
        let mut others = OTHERS;
        loop {
            // Not held meanwhile: threads send on this channel, too.
            if self.core().lanes_readable() {
                self.spin.note(Some(begin.elapsed()));
                return true;
            }
            let elapsed = begin.elapsed();
            if elapsed >= self.spin.time() {
                self.spin.note(None);
                return false;
            }
            if elapsed >= others {
                if self.poll.as_ref().is_some_and(Poll::others_wait) {
                    return false;
                }
                others = elapsed + OTHERS;
            }
            for _ in 0..8 {
                std::hint::spin_loop();
            }
        }
    }

    /// The last turn of a channel whose peer has ended: reads all that the kernel still holds.
    pub(crate) fn drain(&mut self) -> Result<u32> {
        if let Some(seated) = &self.seat {
            seated.primary.read_to_end(seated.worker, &seated.seat);
        }
        self.turn_within(READABLE | DISCONNECT, 64 * READ_BUDGET)
    }

    fn turn_within(&mut self, ready: u32, budget: usize) -> Result<u32> {
        let mut answer = 0;
        if ready & DISCONNECT != 0 && self.paused {
            self.paused = false;
            self.core().pause(false);
        }
        let mut events = Vec::from(std::mem::take(&mut self.events));
        if let Some(seated) = self.seat.as_ref().filter(|_| !self.paused) {
            seated.seat.take(&mut events);
        }
        let (written, partial) = {
            let mut core = self.core();
            let reads = ready & (READABLE | DISCONNECT) != 0 && self.seat.is_none();
            let mut more = if ready & MORE != 0 {
                core.receive_shared(budget, &mut events)
            } else {
                reads && core.receive(budget, &mut events)
            };
            if reads && !more && ready & DISCONNECT != 0 && !core.ended() {
                // The first read has emptied the socket; only one more sees that it has ended.
                more = core.receive(budget, &mut events);
            }
            if more && core.lanes_readable() {
                answer |= found::AGAIN;
            }
            // Also after reading: it may have released handles and queued replies.
            match core.flush() {
                // A kernel that has refused says nothing when that is over.
                Ok(_) if core.wants_flush() => runtime::watch(&self.shared),
                Ok(_) => {}
                Err(error) => {
                    answer |= found::WRITE_ERROR;
                    let number = number(&error);
                    drop(core);
                    self.write_error = number;
                    core = self.core();
                }
            }
            if core.eased() {
                answer |= found::WROTE;
            }
            (core.written(), core.partial().is_some())
        };
        self.events = events.into();
        if written != self.seen_written {
            self.seen_written = written;
            answer |= found::WROTE;
        }
        if partial && !self.partial_watched {
            answer |= found::PARTIAL;
        }
        if self
            .events
            .iter()
            .all(|event| matches!(event, Event::Messages { .. }))
        {
            if !self.events.is_empty() {
                answer |= found::MESSAGES | (self.events.len() as u32) << found::RUNS;
            }
        } else if self.events.len() == 1 && matches!(self.events.front(), Some(Event::Batch(_))) {
            answer |= found::BATCH;
        } else {
            answer |= found::EVENTS;
        }
        self.watch()?;
        Ok(answer)
    }

    /// The next run of plain messages of the last turn.
    pub(crate) fn next_run(&mut self) -> Option<Vec<u8>> {
        match self.events.pop_front() {
            Some(Event::Messages { bytes, .. }) => Some(bytes),
            _ => None,
        }
    }

    /// The next batch: its numbers into `words`, how many bytes they take into the last four.
    pub(crate) fn take_batch<'a>(
        &mut self,
        env: &'a Env,
        words: &mut [u8],
    ) -> Result<Either<JsString<'a>, u32>> {
        let batch = match self.batches.pop_front() {
            Some(batch) => batch,
            None => match self.events.pop_front() {
                Some(Event::Batch(batch)) => batch,
                _ => return env.create_string("").map(Either::A),
            },
        };
        let (numbers, text) = batch.bytes.split_at(batch.words);
        match words.split_last_chunk_mut() {
            Some((places, last)) if places.len() >= numbers.len() => {
                *last = (numbers.len() as u32).to_le_bytes();
                if let Some(places) = places.get_mut(..numbers.len()) {
                    places.copy_from_slice(numbers);
                }
            }
            _ => {
                let takes = numbers.len() as u32 + 4;
                self.batches.push_front(batch);
                return Ok(Either::B(takes));
            }
        }
        let text = if batch.wide {
            let units: Vec<u16> = text
                .chunks_exact(2)
                .map(|unit| u16::from_le_bytes(unit.try_into().unwrap_or_default()))
                .collect();
            env.create_string_utf16(&units)
        } else {
            env.create_string_latin1(text)
        };
        text.map(Either::A)
    }

    /// The next run as text.
    pub(crate) fn take_text<'a>(&mut self, env: &'a Env) -> Result<JsString<'a>> {
        let Some(bytes) = self.next_run() else {
            return env.create_string("");
        };
        let text = text(env, &bytes);
        self.core().recycle(bytes);
        text
    }
}

/// The system's number for an error; a closed channel is a closed pipe, and a message that no frame
/// can hold is one too large.
pub(crate) fn number(error: &std::io::Error) -> i32 {
    let own = match error.kind() {
        std::io::ErrorKind::InvalidInput => libc::EMSGSIZE,
        _ => libc::EPIPE,
    };
    error.raw_os_error().unwrap_or(own)
}
