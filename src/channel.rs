//! The fork channel of one environment: a core channel and its place in the event loop.
//!
//! JavaScript calls `send` and gets a code back; the loop calls JavaScript when the descriptor is
//! ready, and JavaScript calls `turn`, which reads and writes, and fetches what arrived. All
//! strings cross once, and all plain messages of a turn cross together.

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use napi::{Env, JsString};
use napi::bindgen_prelude::{Buffer, BufferSlice, Either, Function, Result};
use napi_derive::napi;
use rsipc_core::channel::{Channel as Core, Event, HandleType, KindSet, Limits, Outgoing, Sent, Serialization};
use rsipc_core::runtime::{self, Shared};

use crate::env::append_utf8;
use crate::poll::{DISCONNECT, Poll, READABLE, WRITABLE};

/// Bytes read before JavaScript gets its turn: a flooding peer must not starve timers.
const READ_BUDGET: usize = 256 * 1024;

/// What both ends may have under way, in bytes, where the system allows it: the two processes then
/// take turns less often, and a child that exits at once leaves more behind for its parent to read.
const SOCKET_BUFFER: usize = 1024 * 1024;

/// Up to this size a copy into V8's memory is cheaper than memory that V8 has to give back.
const COPY_LIMIT: usize = 16 * 1024;

/// What `turn` found; bits of its answer.
mod found {
    /// Plain messages and nothing else: fetch them with as many calls of `takeText` or `takeBytes`
    /// as the bits from `RUNS` on say.
    pub(super) const MESSAGES: u32 = 1;
    /// Where the number of runs of messages begins.
    pub(super) const RUNS: u32 = 8;
    /// Anything else: fetch with `takeEvents`.
    pub(super) const EVENTS: u32 = 2;
    /// More frames have been written whole.
    pub(super) const WROTE: u32 = 4;
    /// An incomplete frame waits for its rest.
    pub(super) const PARTIAL: u32 = 8;
    /// Writing failed: `writeError` has the number.
    pub(super) const WRITE_ERROR: u32 = 16;
    /// The read budget is spent and more may be there.
    pub(super) const MORE: u32 = 32;
}

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
    /// `handle`: the descriptor, now the caller's.
    pub fd: Option<i32>,
    /// `handle`: what the descriptor is.
    pub fd_kind: Option<String>,
    /// `handle`: why there is no descriptor.
    pub problem: Option<String>,
    /// `taken` and `lost`: which handle, by the number `accepted` had after it was sent.
    pub sequence: Option<f64>,
    /// `problem` and `ended`: the error's code.
    pub code: Option<String>,
    /// `problem` and `ended`: the error's text.
    pub message: Option<String>,
    /// `ended`: bytes of a message that never became whole.
    pub truncated: Option<f64>,
}

/// One end of a fork channel.
#[napi]
pub struct Channel {
    shared: Arc<Shared>,
    poll: Option<Poll>,
    advanced: bool,
    paused: bool,
    events: VecDeque<Event>,
    seen_written: u64,
    write_error: i32,
    /// The child's end, until the child has been started.
    child_end: Option<OwnedFd>,
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
        let mut limits = Limits { max_depth: options.max_depth as usize, ..Limits::default() };
        limits.max_message_size = options.max_message_size as usize;
        limits.accept = match &options.accept_handles {
            Some(names) => names.iter().filter_map(|name| HandleType::from_name(name)).collect(),
            None => KindSet::ALL,
        };
        let serialization = if options.advanced { Serialization::Advanced } else { Serialization::Json };
        let core = Core::new(fd, serialization, limits)?;
        Ok(Channel {
            shared: Shared::new(core),
            poll: None,
            advanced: options.advanced,
            paused: false,
            events: VecDeque::new(),
            seen_written: 0,
            write_error: 0,
            child_end,
        })
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.shared.lock()
    }

    /// The child's end of the pair, or -1 once it was closed.
    #[napi(getter, catch_unwind)]
    pub fn child_fd(&self) -> i32 {
        self.child_end.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    /// Closes our copy of the child's end: without that its end is never seen.
    #[napi(catch_unwind)]
    pub fn close_child_end(&mut self) {
        self.child_end = None;
    }

    /// This end's descriptor.
    #[napi(getter, catch_unwind)]
    pub fn fd(&self) -> i32 {
        self.core().raw_fd()
    }

    /// Watches the descriptor in this environment's loop; `ready` gets the events as a number.
    #[napi(catch_unwind)]
    pub fn open(&mut self, env: &Env, ready: Function<'_, u32, ()>) -> Result<()> {
        let fd = self.core().raw_fd();
        self.poll = Some(Poll::new(env, fd, &ready)?);
        self.watch()
    }

    /// Puts bytes in front that the descriptor's previous owner had read already.
    #[napi(catch_unwind)]
    pub fn feed(&mut self, bytes: &[u8]) {
        self.core().feed_received(bytes);
    }

    fn watch(&mut self) -> Result<()> {
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

    /// Turns an attempt to send into a code: 0 written, 1 gathered for `flush`, 2 queued because the
    /// kernel or a handle holds it, below 0 the negative error number.
    fn sent(&mut self, outcome: std::io::Result<Sent>) -> Result<i32> {
        Ok(match outcome {
            Ok(Sent::Written) => 0,
            Ok(Sent::Gathered) => {
                runtime::watch(&self.shared);
                1
            }
            Ok(Sent::Blocked) => {
                self.watch()?;
                2
            }
            Err(error) => -number(&error),
        })
    }

    /// Sends one JSON text of `units` UTF-16 units; gathered ones leave with `flush`.
    #[napi(catch_unwind)]
    pub fn send(&mut self, env: &Env, text: JsString, units: u32, gather: bool) -> Result<i32> {
        let mut failed = Ok(());
        let outcome = self.core().send(gather, |out| failed = append_utf8(env, &text, units as usize, out));
        failed?;
        self.sent(outcome)
    }

    /// Sends one serialized value.
    #[napi(catch_unwind)]
    pub fn send_bytes(&mut self, payload: BufferSlice, gather: bool) -> Result<i32> {
        let outcome = self.core().send_slice(gather, &payload);
        self.sent(outcome)
    }

    /// Sends one serialized value whose large buffers are not in `payload`: `pieces[i]` belongs at
    /// `places[i]`, in ascending order.
    #[napi(catch_unwind)]
    pub fn send_pieces(&mut self, payload: BufferSlice, places: Vec<u32>, pieces: Vec<BufferSlice>, gather: bool) -> Result<i32> {
        let mut rest: &[u8] = &payload;
        let mut all: Vec<&[u8]> = Vec::with_capacity(2 * pieces.len() + 1);
        let mut done = 0;
        for (place, piece) in places.iter().zip(&pieces) {
            let Some((before, after)) = rest.split_at_checked((*place as usize).saturating_sub(done)) else {
                return Err(napi::Error::from_reason("a piece lies outside the value"));
            };
            done = *place as usize;
            all.push(before);
            all.push(piece);
            rest = after;
        }
        all.push(rest);
        let outcome = self.core().send_slices(gather, &all);
        self.sent(outcome)
    }

    /// Sends an envelope with a descriptor, which is duplicated at once. `retry`: send it again
    /// when the peer says that it did not arrive.
    #[napi(catch_unwind)]
    pub fn send_handle(&mut self, env: &Env, payload: Either<JsString, BufferSlice>, fd: i32, retry: bool) -> Result<i32> {
        let descriptor = match rsipc_sys::fd::duplicate_raw(fd) {
            Ok(descriptor) => descriptor,
            Err(error) => return Ok(-error.raw_os_error().unwrap_or(libc::EBADF)),
        };
        let mut bytes = Vec::new();
        match &payload {
            Either::A(text) => append_utf8(env, text, text.utf16_len()?, &mut bytes)?,
            Either::B(slice) => bytes.extend_from_slice(slice),
        }
        let outcome = self.core().send_handle(Outgoing { descriptor, retry }, |out| out.extend_from_slice(&bytes));
        self.sent(outcome)
    }

    /// Writes what was gathered; answers like `send`.
    #[napi(catch_unwind)]
    pub fn flush(&mut self) -> Result<i32> {
        let outcome = self.core().flush();
        self.sent(outcome)
    }

    /// Messages accepted since the start; the last one's number.
    #[napi(getter, catch_unwind)]
    pub fn accepted(&self) -> f64 {
        self.core().accepted() as f64
    }

    /// Messages written whole.
    #[napi(getter, catch_unwind)]
    pub fn written(&self) -> f64 {
        self.core().written() as f64
    }

    /// Bytes accepted and not written.
    #[napi(getter, catch_unwind)]
    pub fn queued_bytes(&self) -> f64 {
        self.core().queued_bytes() as f64
    }

    /// Messages accepted and not written.
    #[napi(getter, catch_unwind)]
    pub fn queued_messages(&self) -> f64 {
        self.core().queued_messages() as f64
    }

    /// Handles the peer has not acknowledged.
    #[napi(getter, catch_unwind)]
    pub fn unacknowledged(&self) -> u32 {
        self.core().unacknowledged() as u32
    }

    /// Descriptors that arrived without a message that names them, and were closed.
    #[napi(getter, catch_unwind)]
    pub fn unclaimed(&self) -> f64 {
        self.core().unclaimed() as f64
    }

    /// Milliseconds an incomplete message has waited for its rest, or -1.
    #[napi(getter, catch_unwind)]
    pub fn partial_age(&self) -> f64 {
        self.core().partial().map_or(-1.0, |(since, _)| since.elapsed().as_secs_f64() * 1e3)
    }

    /// Bytes of an incomplete message that have arrived.
    #[napi(getter, catch_unwind)]
    pub fn partial_bytes(&self) -> f64 {
        self.core().partial().map_or(0.0, |(_, bytes)| bytes as f64)
    }

    /// The error number of the last failed write found by `turn`.
    #[napi(getter, catch_unwind)]
    pub fn write_error(&self) -> i32 {
        self.write_error
    }

    /// Stops reading, or goes on. A paused channel still learns that the peer is gone.
    #[napi(catch_unwind)]
    pub fn pause(&mut self, paused: bool) -> Result<()> {
        self.paused = paused;
        self.core().pause(paused);
        self.watch()
    }

    /// Writes and reads what can be without waiting. Answers bits of `found`, or, when all that
    /// happened is that texts arrived, the texts themselves.
    #[napi(catch_unwind)]
    pub fn turn<'a>(&mut self, env: &'a Env, ready: u32) -> Result<Either<u32, JsString<'a>>> {
        let answer = self.turn_within(ready, READ_BUDGET)?;
        if answer == found::MESSAGES | 1 << found::RUNS && !self.advanced {
            return self.take_text(env).map(Either::B);
        }
        Ok(Either::A(answer))
    }

    /// The last turn of a channel whose peer has ended: reads all that the kernel still holds.
    #[napi(catch_unwind)]
    pub fn drain(&mut self) -> Result<u32> {
        self.turn_within(READABLE | DISCONNECT, 64 * READ_BUDGET)
    }

    fn turn_within(&mut self, ready: u32, budget: usize) -> Result<u32> {
        let mut answer = 0;
        if ready & DISCONNECT != 0 && self.paused {
            self.paused = false;
            self.core().pause(false);
        }
        let mut events = Vec::from(std::mem::take(&mut self.events));
        let (written, partial) = {
            let mut core = self.core();
            if ready & (READABLE | DISCONNECT) != 0 && core.receive(budget, &mut events) {
                answer |= found::MORE;
            } else if ready & DISCONNECT != 0 && !core.ended() && core.receive(budget, &mut events) {
                // The first read has emptied the socket; only one more sees that it has ended.
                answer |= found::MORE;
            }
            // Also after reading: it may have released handles and queued replies.
            match core.flush() {
                Ok(_) => {}
                Err(error) => {
                    answer |= found::WRITE_ERROR;
                    let number = number(&error);
                    drop(core);
                    self.write_error = number;
                    core = self.core();
                }
            }
            (core.written(), core.partial().is_some())
        };
        self.events = events.into();
        if written != self.seen_written {
            self.seen_written = written;
            answer |= found::WROTE;
        }
        if partial {
            answer |= found::PARTIAL;
        }
        if self.events.iter().all(|event| matches!(event, Event::Messages { .. })) {
            if !self.events.is_empty() {
                answer |= found::MESSAGES | (self.events.len() as u32) << found::RUNS;
            }
        } else {
            answer |= found::EVENTS;
        }
        self.watch()?;
        Ok(answer)
    }

    fn next_run(&mut self) -> Option<Vec<u8>> {
        match self.events.pop_front() {
            Some(Event::Messages { bytes, .. }) => Some(bytes),
            _ => None,
        }
    }

    /// The next run of plain messages of the last turn, each text followed by a newline.
    #[napi(catch_unwind)]
    pub fn take_text<'a>(&mut self, env: &'a Env) -> Result<JsString<'a>> {
        let Some(bytes) = self.next_run() else {
            return env.create_string("");
        };
        let text = text(env, &bytes);
        self.core().recycle(bytes);
        text
    }

    /// The next run of plain messages of the last turn, each with its length before it.
    #[napi(catch_unwind)]
    pub fn take_bytes<'a>(&mut self, env: &'a Env) -> Result<BufferSlice<'a>> {
        let bytes = self.next_run().unwrap_or_default();
        if bytes.len() > COPY_LIMIT {
            // V8 takes the memory itself; where it must not, Node-API copies.
            return BufferSlice::from_data(env, bytes);
        }
        let copy = BufferSlice::copy_from(env, &bytes);
        self.core().recycle(bytes);
        copy
    }

    /// All that arrived in the last turn.
    #[napi(catch_unwind)]
    pub fn take_events(&mut self) -> Vec<ChannelEvent> {
        let advanced = self.advanced;
        std::mem::take(&mut self.events).into_iter().map(|event| describe(event, advanced)).collect()
    }

    /// Drops all that arrived in the last turn, descriptors included.
    #[napi(catch_unwind)]
    pub fn discard(&mut self) {
        self.events.clear();
    }

    /// Keeps the process alive for this channel, or not.
    #[napi(catch_unwind)]
    pub fn set_ref(&mut self, env: &Env, on: bool) {
        if let Some(poll) = &mut self.poll {
            poll.set_ref(env, on);
        }
    }

    /// Whether the process stays alive for this channel.
    #[napi(catch_unwind)]
    pub fn has_ref(&self) -> bool {
        self.poll.as_ref().is_some_and(Poll::has_ref)
    }

    /// Blocks until all is written, or until the peer has taken nothing for `stall` milliseconds.
    #[napi(catch_unwind)]
    pub fn flush_sync(&mut self, stall: f64) -> Result<Left> {
        let stall = Duration::try_from_secs_f64(stall.max(0.0) / 1e3).unwrap_or(Duration::MAX);
        let left = self.core().flush_blocking(stall);
        self.watch()?;
        Ok(Left { messages: left.messages as f64, bytes: left.bytes as f64 })
    }

    /// Makes the channel the one that worker threads of this process find.
    #[napi(catch_unwind)]
    pub fn share_with_threads(&self) {
        crate::parent::share(&self.shared, self.advanced);
    }

    /// Closes the descriptor and all that was waiting. Safe to call twice.
    #[napi(catch_unwind)]
    pub fn close(&mut self) {
        // The loop forgets the descriptor before it is closed.
        if let Some(mut poll) = self.poll.take() {
            poll.close();
        }
        self.core().close();
        self.events.clear();
        self.child_end = None;
    }
}

/// The system's number for an error; a closed channel is a closed pipe.
fn number(error: &std::io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EPIPE)
}

/// Text for V8: plain ASCII needs no decoding.
fn text<'a>(env: &'a Env, bytes: &[u8]) -> Result<JsString<'a>> {
    if bytes.is_ascii() {
        env.create_string_latin1(bytes)
    } else {
        env.create_string(String::from_utf8_lossy(bytes))
    }
}

fn describe(event: Event, advanced: bool) -> ChannelEvent {
    let payload = |kind: &str, bytes: Vec<u8>| {
        let mut event = ChannelEvent { kind: kind.into(), ..ChannelEvent::default() };
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
        Event::Handle { frame, nested, descriptor, fd_kind, problem, .. } => ChannelEvent {
            nested: Some(nested),
            fd: descriptor.map(IntoRawFd::into_raw_fd),
            fd_kind: fd_kind.map(|kind| kind.name().into()),
            problem: problem.map(Into::into),
            ..payload("handle", frame)
        },
        Event::HandleTaken { sequence } => {
            ChannelEvent { kind: "taken".into(), sequence: Some(sequence as f64), ..ChannelEvent::default() }
        }
        Event::HandleLost { sequence } => {
            ChannelEvent { kind: "lost".into(), sequence: Some(sequence as f64), ..ChannelEvent::default() }
        }
        Event::Problem(error) => ChannelEvent {
            kind: "problem".into(),
            code: Some(error.code().into()),
            message: Some(error.to_string()),
            ..ChannelEvent::default()
        },
        Event::Ended { error, truncated } => ChannelEvent {
            kind: "ended".into(),
            code: error.as_ref().and_then(std::io::Error::raw_os_error).map(|number| number.to_string()),
            message: error.map(|error| error.to_string()),
            truncated: Some(truncated as f64),
            ..ChannelEvent::default()
        },
    }
}
