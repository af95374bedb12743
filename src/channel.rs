//! The fork channel of one environment: a core channel and its place in the event loop.
//!
//! JavaScript calls `send` and gets a code back; when the descriptor is ready the loop reads and
//! writes (`state`) and calls JavaScript with what was found. All strings cross once, and all plain
//! messages of a turn cross together.

use std::cell::{RefCell, RefMut};
use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use napi::bindgen_prelude::{Buffer, BufferSlice, Either, Function, Object, Result};
use napi::{Env, JsString};
use napi_derive::napi;
use rsipc_core::channel::stage;
use rsipc_core::channel::{
    Channel as Core, Event, HandleType, KindSet, Limits, Outgoing, Serialization,
};
use rsipc_core::runtime::{self, Shared};
use rsipc_core::spin::Spin;
use rsipc_sys::shm::Private;

use crate::env::{Bytes, append_utf8, append_utf16};
use crate::external::Lendable;
use crate::poll::{Found, Linger, Poll, Turn};
use crate::state::State;

/// What both ends may have under way, in bytes, where the system allows it: the two processes then
/// take turns less often, and a child that exits at once leaves more behind for its parent to read.
/// A message of 1 MiB fits as a whole, with the kernel's own bookkeeping.
const SOCKET_BUFFER: usize = 1536 * 1024;

/// Up to this size a copy into V8's memory is cheaper than memory that V8 has to give back.
const COPY_LIMIT: usize = 2 * 1024 * 1024;

/// Limits and framing of a channel.
#[napi(object)]
pub struct ChannelOptions {
    /// `serialization: 'advanced'` instead of JSON lines.
    pub advanced: bool,
    /// Bytes of one message, received; larger ones are a protocol error.
    pub max_message_size: f64,
    /// Levels of nesting of a received message.
    pub max_depth: u32,
    /// Types of handles that are taken, by their names on the wire. Absent: all of Node's.
    pub accept_handles: Option<Vec<String>>,
}

/// Messages and bytes that have not been written.
#[napi(object)]
pub struct Left {
    /// Messages not written, or not written whole.
    pub messages: f64,
    /// Their bytes.
    pub bytes: f64,
}

/// One thing that arrived, in wire order with its neighbours.
#[napi(object)]
#[derive(Default)]
pub struct ChannelEvent {
    /// `messages`, `handle`, `taken`, `lost`, `problem` or `ended`.
    pub kind: String,
    /// `messages` and `handle` of a JSON channel.
    pub text: Option<String>,
    /// `messages` and `handle` of an advanced channel.
    pub bytes: Option<Buffer>,
    /// `handle`: a retransmission that wraps the real envelope.
    pub nested: Option<bool>,
    /// `handle`: the descriptor, which the thread closes when it ends before `releaseFd` or `closeFd`.
    pub fd: Option<i32>,
    /// `handle`: what the descriptor is.
    pub fd_kind: Option<String>,
    /// `handle`: why there is no descriptor.
    pub problem: Option<String>,
    /// `taken` and `lost`: which handle, by the `number` there was after it was sent.
    pub sequence: Option<f64>,
    /// `problem` and `ended`: the error's code.
    pub code: Option<String>,
    /// `problem` and `ended`: the error's text.
    pub message: Option<String>,
    /// `problem`: nothing that comes behind it can be read.
    pub last: Option<bool>,
    /// `ended`: bytes of a message that never became whole.
    pub truncated: Option<f64>,
}

/// One end of a fork channel.
#[napi]
pub struct Channel {
    /// Also reached by the loop's callback, which never runs inside a call of JavaScript's.
    state: Rc<RefCell<State>>,
}

#[napi]
impl Channel {
    /// Makes a socket pair and keeps one end; `childFd` is the other.
    #[napi(factory, catch_unwind)]
    pub fn pair(options: ChannelOptions) -> Result<Channel> {
        let (ours, theirs) = rsipc_sys::stream::pair()?;
        for end in [&ours, &theirs] {
            rsipc_sys::stream::set_buffers(end.as_fd(), SOCKET_BUFFER)?;
        }
        Channel::build(ours, Some(theirs), &options)
    }

    /// Takes a channel's descriptor over: duplicates `fd`, which stays open.
    #[napi(factory, catch_unwind)]
    pub fn adopt(fd: i32, options: ChannelOptions) -> Result<Channel> {
        Channel::build(rsipc_sys::fd::duplicate_raw(fd)?, None, &options)
    }

    fn build(fd: OwnedFd, child_end: Option<OwnedFd>, options: &ChannelOptions) -> Result<Channel> {
        let mut limits = Limits {
            max_depth: options.max_depth as usize,
            ..Limits::default()
        };
        limits.max_message_size = options.max_message_size as usize;
        limits.accept = match &options.accept_handles {
            Some(names) => names
                .iter()
                .filter_map(|name| HandleType::from_name(name))
                .collect(),
            None => KindSet::ALL,
        };
        let serialization = if options.advanced {
            Serialization::Advanced
        } else {
            Serialization::Json
        };
        let core = Core::new(fd, serialization, limits)?;
        let state = State {
            shared: Shared::new(core),
            poll: None,
            advanced: options.advanced,
            paused: false,
            events: VecDeque::new(),
            seen_written: 0,
            number: 0,
            write_error: 0,
            partial_watched: false,
            batches: VecDeque::new(),
            shares: false,
            spinning: false,
            spin: Spin::new(Instant::now()),
            child_end,
            seat: None,
        };
        Ok(Channel {
            state: Rc::new(RefCell::new(state)),
        })
    }

    pub(crate) fn state(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }

    /// The child's end of the pair, or -1 once it was closed.
    #[napi(getter, catch_unwind)]
    pub fn child_fd(&self) -> i32 {
        self.state()
            .child_end
            .as_ref()
            .map_or(-1, AsRawFd::as_raw_fd)
    }

    /// Closes our copy of the child's end: without that its end is never seen.
    #[napi(catch_unwind)]
    pub fn close_child_end(&self) {
        self.state().child_end = None;
    }

    /// This end's descriptor.
    #[napi(getter, catch_unwind)]
    pub fn fd(&self) -> i32 {
        self.state().core().raw_fd()
    }

    /// Watches the descriptor in this environment's loop. `found` gets what a turn answers; where a
    /// thread has to watch, because this is not Node's `libuv`, `ready` gets the events to call `turn` with.
    #[napi(catch_unwind)]
    pub fn open(
        &self,
        env: &Env,
        found: Function<'_, Found<'static>, ()>,
        ready: Function<'_, u32, ()>,
        libuv: bool,
    ) -> Result<()> {
        let fd = {
            let state = self.state();
            match &state.seat {
                Some(seated) => seated.seat.bell().as_raw_fd(),
                None => state.core().raw_fd(),
            }
        };
        let state = Rc::downgrade(&self.state);
        let turn: Turn = Box::new(move |env, events| match state.upgrade() {
            Some(state) => state.borrow_mut().turn_of_loop(env, events),
            None => Ok(Either::A(0)),
        });
        let state = Rc::downgrade(&self.state);
        let linger: Linger = Box::new(move || {
            state
                .upgrade()
                .is_some_and(|state| state.borrow_mut().linger())
        });
        let poll = Poll::new(env, fd, &found, (turn, linger), &ready, libuv)?;
        let mut state = self.state();
        state.poll = Some(poll);
        state.watch()
    }

    /// Puts bytes in front that the descriptor's previous owner had read already.
    #[napi(catch_unwind)]
    pub fn feed(&self, bytes: &[u8]) {
        self.state().core().feed_received(bytes);
    }

    /// Sends one JSON text of `units` UTF-16 units; gathered ones leave with `flush`.
    #[napi(catch_unwind)]
    pub fn send(&self, env: &Env, text: JsString, units: u32, gather: bool) -> Result<i32> {
        let mut failed = Ok(());
        let code = self.state().send(|core| {
            core.send(gather, |out| {
                failed = append_utf8(env, &text, units as usize, out)
            })
        });
        failed?;
        code
    }

    /// Sends one serialized value.
    #[napi(catch_unwind)]
    pub fn send_bytes(
        &self,
        #[napi(ts_arg_type = "Buffer")] payload: Object<'_>,
        gather: bool,
    ) -> Result<i32> {
        let payload = Bytes::of(&payload)?;
        self.state()
            .send(|core| core.send_slice(gather, payload.read()))
    }

    /// Sends one serialized value whose large buffers are not in `payload`: `pieces[i]` belongs at
    /// `places[i]`, in ascending order.
    #[napi(catch_unwind)]
    pub fn send_pieces(
        &self,
        payload: BufferSlice,
        places: Vec<u32>,
        pieces: Vec<BufferSlice>,
        gather: bool,
    ) -> Result<i32> {
        let mut rest: &[u8] = &payload;
        let mut all: Vec<&[u8]> = Vec::with_capacity(2 * pieces.len() + 1);
        let mut done = 0;
        for (place, piece) in places.iter().zip(&pieces) {
            let Some((before, after)) =
                rest.split_at_checked((*place as usize).saturating_sub(done))
            else {
                return Err(napi::Error::from_reason("a piece lies outside the value"));
            };
            done = *place as usize;
            all.push(before);
            all.push(piece);
            rest = after;
        }
        all.push(rest);
        self.state().send(|core| core.send_slices(gather, &all))
    }

    /// Sends an envelope with a descriptor, which is duplicated at once. `retry`: send it again
    /// when the peer says that it did not arrive.
    #[napi(catch_unwind)]
    pub fn send_handle(
        &self,
        env: &Env,
        payload: Either<JsString, BufferSlice>,
        fd: i32,
        retry: bool,
    ) -> Result<i32> {
        let descriptor = match rsipc_sys::fd::duplicate_raw(fd) {
            Ok(descriptor) => descriptor,
            Err(error) => return Ok(-error.raw_os_error().unwrap_or(libc::EBADF)),
        };
        let mut bytes = Vec::new();
        match &payload {
            Either::A(text) => append_utf8(env, text, text.utf16_len()?, &mut bytes)?,
            Either::B(slice) => bytes.extend_from_slice(slice),
        }
        self.state().send(|core| {
            core.send_handle(Outgoing { descriptor, retry }, |out| {
                out.extend_from_slice(&bytes)
            })
        })
    }

    /// Makes memory to be shared with a peer that is rsipc too, and sends it in two messages, whose
    /// envelopes these are. Answers like `send`.
    #[napi(catch_unwind)]
    pub fn offer_lanes(&self, first: BufferSlice, second: BufferSlice) -> Result<i32> {
        self.state()
            .send(|core| core.offer_lanes([&first, &second]))
    }

    /// Takes the memory that a peer has offered. The descriptors stay the caller's.
    #[napi(catch_unwind)]
    pub fn accept_lanes(&self, there: i32, back: i32) -> Result<()> {
        let offer = [
            rsipc_sys::fd::duplicate_raw(there)?,
            rsipc_sys::fd::duplicate_raw(back)?,
        ];
        Ok(self.state().core().accept_lanes(offer)?)
    }

    /// Sends through the shared memory from now on.
    #[napi(catch_unwind)]
    pub fn share(&self) -> Result<()> {
        self.state().core().share()?;
        let mut state = self.state();
        state.shares = true;
        state.watch()
    }

    /// Memory in which messages are left without a call; none where the runtime has no ArrayBuffer over
    /// memory that is not its own. What lies where is said in `crates/core/src/channel/stage.rs`.
    #[napi(catch_unwind)]
    pub fn open_stage<'a>(&self, env: &'a Env) -> Result<Option<Object<'a>>> {
        let memory = Private::new(stage::SIZE as u64)
            .map_err(|error| napi::Error::from_reason(error.to_string()))?;
        let lent = Lendable::new(memory.clone()).lend(env, 0, stage::SIZE)?;
        if lent.is_some() {
            self.state().core().open_stage(memory)?;
        }
        Ok(lent)
    }

    /// Writes what lies on the stage, which is empty then; answers like `send`.
    #[napi(catch_unwind)]
    pub fn flush_stage(&self) -> Result<i32> {
        let outcome = self.state().core().flush_stage();
        self.state().sent(outcome)
    }

    /// Has the late writer look at the stage.
    #[napi(catch_unwind)]
    pub fn watch_stage(&self) {
        runtime::watch_stage(&self.state().shared);
    }

    /// How long a turn looks for more before the loop sleeps, in microseconds.
    #[napi(catch_unwind)]
    pub fn spin(&self, microseconds: u32) {
        self.state()
            .spin
            .set(Duration::from_micros(u64::from(microseconds)));
    }

    /// Sends one message that is encoded as the first `length` bytes of `words` and a text of `units`
    /// UTF-16 units. Only where memory is shared.
    #[napi(catch_unwind)]
    pub fn send_encoded(
        &self,
        env: &Env,
        words: BufferSlice<'_>,
        length: u32,
        text: JsString,
        units: u32,
        gather: bool,
    ) -> Result<i32> {
        let mut failed = Ok(());
        let words = words.get(..length as usize).unwrap_or_default();
        let outcome = self.state().send(|core| {
            core.send_encoded(gather, words, units as usize, |out| {
                if units > 0 {
                    failed = append_utf16(env, &text, units as usize, out);
                }
            })
        });
        failed?;
        outcome
    }

    /// The next batch of the last turn: puts its numbers into `words`, how many bytes they take into its
    /// last four, and answers its text. Where `words` is too small it answers how many bytes it takes.
    #[napi(catch_unwind)]
    pub fn take_batch<'a>(
        &self,
        env: &'a Env,
        mut words: BufferSlice<'_>,
    ) -> Result<Either<JsString<'a>, u32>> {
        self.state().take_batch(env, &mut words)
    }

    /// Writes what was gathered; answers like `send`.
    #[napi(catch_unwind)]
    pub fn flush(&self) -> Result<i32> {
        let outcome = self.state().core().flush();
        self.state().sent(outcome)
    }

    /// The number of the message sent last from here. Messages of the process's threads count too.
    #[napi(getter, catch_unwind)]
    pub fn number(&self) -> f64 {
        self.state().number as f64
    }

    /// Messages written whole.
    #[napi(getter, catch_unwind)]
    pub fn written(&self) -> f64 {
        self.state().core().written() as f64
    }

    /// Bytes accepted and not written.
    #[napi(getter, catch_unwind)]
    pub fn queued_bytes(&self) -> f64 {
        self.state().core().queued_bytes() as f64
    }

    /// Messages accepted and not written.
    #[napi(getter, catch_unwind)]
    pub fn queued_messages(&self) -> f64 {
        self.state().core().queued_messages() as f64
    }

    /// Handles the peer has not acknowledged.
    #[napi(getter, catch_unwind)]
    pub fn unacknowledged(&self) -> u32 {
        self.state().core().unacknowledged() as u32
    }

    /// Milliseconds an incomplete message has waited for its rest, or -1.
    #[napi(getter, catch_unwind)]
    pub fn partial_age(&self) -> f64 {
        self.state()
            .core()
            .partial()
            .map_or(-1.0, |(since, _)| since.elapsed().as_secs_f64() * 1e3)
    }

    /// Bytes of an incomplete message that have arrived.
    #[napi(getter, catch_unwind)]
    pub fn partial_bytes(&self) -> f64 {
        self.state()
            .core()
            .partial()
            .map_or(0.0, |(_, bytes)| bytes as f64)
    }

    /// Whether a flush has read something that no turn has told yet.
    #[napi(getter, catch_unwind)]
    pub fn pending(&self) -> bool {
        self.state().core().pending()
    }

    /// Whether this end waits for room in shared memory and nothing would tell it: call `turn` now and then.
    #[napi(getter, catch_unwind)]
    pub fn blind(&self) -> bool {
        self.state().core().blind()
    }

    /// Whether nothing will ever be written any more: writing has failed, or the channel is closed.
    #[napi(getter, catch_unwind)]
    pub fn write_ended(&self) -> bool {
        let state = self.state();
        let core = state.core();
        core.raw_fd() < 0 || core.failure().is_some()
    }

    /// Whether somebody looks at `partialAge` from time to time; `found` is not told of incomplete
    /// messages then.
    #[napi(catch_unwind)]
    pub fn watch_partial(&self, watched: bool) {
        self.state().partial_watched = watched;
    }

    /// The error number of the last failed write found by `turn`.
    #[napi(getter, catch_unwind)]
    pub fn write_error(&self) -> i32 {
        self.state().write_error
    }

    /// Stops reading, or goes on. A paused channel still learns that the peer is gone.
    #[napi(catch_unwind)]
    pub fn pause(&self, paused: bool) -> Result<()> {
        let mut state = self.state();
        state.paused = paused;
        // A cluster worker's channel is read on, for its answers.
        if state.seat.is_none() {
            state.core().pause(paused);
        }
        drop(state);
        self.state().watch()
    }

    /// Writes and reads what can be without waiting. Answers bits of `found`, or, when all that
    /// happened is that texts arrived, the texts themselves.
    #[napi(catch_unwind)]
    pub fn turn<'a>(&self, env: &'a Env, ready: u32) -> Result<Found<'a>> {
        self.state().turn(env, ready)
    }

    /// The last turn of a channel whose peer has ended: reads all that the kernel still holds.
    #[napi(catch_unwind)]
    pub fn drain(&self) -> Result<u32> {
        self.state().drain()
    }

    /// The next run of plain messages of the last turn, each text followed by a newline.
    #[napi(catch_unwind)]
    pub fn take_text<'a>(&self, env: &'a Env) -> Result<JsString<'a>> {
        self.state().take_text(env)
    }

    /// The next run of plain messages of the last turn, each with its length before it.
    #[napi(catch_unwind)]
    pub fn take_bytes<'a>(&self, env: &'a Env) -> Result<BufferSlice<'a>> {
        let bytes = self.state().next_run().unwrap_or_default();
        if bytes.len() > COPY_LIMIT {
            // V8 takes the memory itself; where it must not, Node-API copies.
            return BufferSlice::from_data(env, bytes);
        }
        let copy = BufferSlice::copy_from(env, &bytes);
        self.state().core().recycle(bytes);
        copy
    }

    /// All that arrived in the last turn.
    #[napi(catch_unwind)]
    pub fn take_events(&self) -> Vec<ChannelEvent> {
        let (events, advanced) = {
            let mut state = self.state();
            (std::mem::take(&mut state.events), state.advanced)
        };
        let mut batches = VecDeque::new();
        let told = events
            .into_iter()
            .map(|event| match event {
                Event::Batch(batch) => {
                    batches.push_back(batch);
                    ChannelEvent {
                        kind: "batch".into(),
                        ..ChannelEvent::default()
                    }
                }
                other => describe(other, advanced),
            })
            .collect();
        self.state().batches.extend(batches);
        told
    }

    /// Drops all that arrived in the last turn, descriptors included.
    #[napi(catch_unwind)]
    pub fn discard(&self) {
        self.state().events.clear();
        self.state().batches.clear();
    }

    /// Keeps the process alive for this channel, or not.
    #[napi(catch_unwind)]
    pub fn set_ref(&self, env: &Env, on: bool) {
        if let Some(poll) = &mut self.state().poll {
            poll.set_ref(env, on);
        }
    }

    /// Whether the process stays alive for this channel.
    #[napi(catch_unwind)]
    pub fn has_ref(&self) -> bool {
        self.state().poll.as_ref().is_some_and(Poll::has_ref)
    }

    /// Blocks until all is written, or until the peer has taken nothing for `stall` milliseconds.
    #[napi(catch_unwind)]
    pub fn flush_sync(&self, stall: f64) -> Result<Left> {
        let stall = Duration::try_from_secs_f64(stall.max(0.0) / 1e3).unwrap_or(Duration::MAX);
        let left = self.state().core().flush_blocking(stall);
        self.state().watch()?;
        Ok(Left {
            messages: left.messages as f64,
            bytes: left.bytes as f64,
        })
    }

    /// Makes the channel the one that worker threads of this process find.
    #[napi(catch_unwind)]
    pub fn share_with_threads(&self) {
        let state = self.state();
        crate::parent::share(&state.shared, state.advanced);
    }

    /// Worker threads find the channel no more, and those that have it see that it is closed.
    #[napi(catch_unwind)]
    pub fn hide_from_threads(&self) {
        crate::parent::hide(&self.state().shared);
    }

    /// Closes the descriptor and all that was waiting. Safe to call twice.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        let mut state = self.state();
        // The loop forgets the descriptor before it is closed.
        if let Some(mut poll) = state.poll.take() {
            poll.close();
        }
        state.core().close();
        state.seat = None;
        state.events.clear();
        state.batches.clear();
        state.child_end = None;
    }
}

fn describe(event: Event, advanced: bool) -> ChannelEvent {
    let payload = |kind: &str, bytes: Vec<u8>| {
        let mut event = ChannelEvent {
            kind: kind.into(),
            ..ChannelEvent::default()
        };
        if advanced {
            event.bytes = Some(bytes.into());
        } else {
            event.text = Some(match String::from_utf8(bytes) {
                Ok(text) => text,
                Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
            });
        }
        event
    };
    match event {
        Event::Messages { bytes, .. } => payload("messages", bytes),
        Event::Batch(_) => ChannelEvent::default(),
        Event::Switched => ChannelEvent {
            kind: "switched".into(),
            ..ChannelEvent::default()
        },
        Event::Handle {
            frame,
            nested,
            descriptor,
            fd_kind,
            problem,
            ..
        } => ChannelEvent {
            nested: Some(nested),
            fd: descriptor.map(crate::handle::hold),
            fd_kind: fd_kind.map(|kind| kind.name().into()),
            problem: problem.map(Into::into),
            ..payload("handle", frame)
        },
        Event::HandleTaken { sequence } => ChannelEvent {
            kind: "taken".into(),
            sequence: Some(sequence as f64),
            ..ChannelEvent::default()
        },
        Event::HandleLost { sequence } => ChannelEvent {
            kind: "lost".into(),
            sequence: Some(sequence as f64),
            ..ChannelEvent::default()
        },
        Event::Problem(error) => ChannelEvent {
            kind: "problem".into(),
            code: Some(error.code().into()),
            message: Some(error.to_string()),
            last: Some(error.is_last()),
            ..ChannelEvent::default()
        },
        Event::Ended { error, truncated } => ChannelEvent {
            kind: "ended".into(),
            code: error
                .as_ref()
                .and_then(std::io::Error::raw_os_error)
                .map(|number| number.to_string()),
            message: error.map(|error| error.to_string()),
            truncated: Some(truncated as f64),
            ..ChannelEvent::default()
        },
    }
}
