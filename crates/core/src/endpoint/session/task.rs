//! The task that reads and writes for a session.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::{Interest, Ready};
use tokio::sync::mpsc;
use tokio::{select, task, time};

use super::incoming::{Asked, Body, Incoming, SessionError};
use super::watched::Watched;
use super::{HIGH_WATER_MARK, Handle, Shared};
use crate::endpoint::driver::{Flushed, Scratch};
use crate::endpoint::event::{Event, Kind};
use crate::error::ErrorKind;

/// How much is read before other tasks have their turn.
const BUDGET: usize = 64 * 1024;
/// How long a peer may be silent before it has said hello.
const HELLO: Duration = Duration::from_secs(5);
/// How long a message may stay incomplete.
const FRAME: Duration = Duration::from_secs(30);
/// How long a peer may take to read what is left, when nothing more comes of it or is wanted.
const FAREWELL: Duration = Duration::from_secs(5);
/// How often time is looked at.
const SWEEP: Duration = Duration::from_millis(250);

type Told = mpsc::Sender<Result<Incoming, SessionError>>;
type Room<'a> = mpsc::Permit<'a, Result<Incoming, SessionError>>;

/// Whatever becomes of the task, nobody waits for it any more.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.over = true;
        state.driver.connection().stop();
        // A handle that somebody has keeps the descriptor, and must not keep the other end.
        let _ = state.driver.end_writing();
        let pending = std::mem::take(&mut state.pending);
        drop(state);
        for settle in pending.into_values() {
            let _ = settle.send(Err(SessionError::Gone));
        }
        self.0.room.notify_waiters();
    }
}

pub(super) async fn run(shared: Arc<Shared>, watched: Watched, told: Told) {
    let ending = Ending(shared);
    let outcome = drive(&ending.0, &watched, &told).await;
    // Who waits for an answer is told, whether anybody receives or not.
    drop(ending);
    if let Err(error) = outcome {
        let _ = told.send(Err(error)).await;
    }
}

/// What has arrived and could not be told yet. Until it is, nothing more is read; what is to be written is written.
#[derive(Default)]
struct Arrived {
    waiting: VecDeque<Incoming>,
    /// Nothing comes behind it.
    end: Option<Result<(), SessionError>>,
    /// When no more is written, then.
    until: Option<time::Instant>,
}

impl Arrived {
    /// Tells what there is room for.
    fn tell(&mut self, told: &Told) {
        while !self.waiting.is_empty() {
            match told.try_reserve() {
                Ok(room) => self.pass(room),
                Err(mpsc::error::TrySendError::Full(())) => return,
                Err(mpsc::error::TrySendError::Closed(())) => self.waiting.clear(),
            }
        }
    }

    fn pass(&mut self, room: Room<'_>) {
        if let Some(incoming) = self.waiting.pop_front() {
            room.send(Ok(incoming));
        }
    }

    fn finish(&mut self, end: Result<(), SessionError>) {
        self.end.get_or_insert(end);
        self.until
            .get_or_insert_with(|| time::Instant::now() + FAREWELL);
    }

    fn is_late(&self) -> bool {
        self.until.is_some_and(|until| time::Instant::now() > until)
    }
}

async fn drive(shared: &Arc<Shared>, watched: &Watched, told: &Told) -> Result<(), SessionError> {
    let mut scratch = Scratch::default();
    let greeted_by = time::Instant::now() + HELLO;
    let mut sweep = time::interval(SWEEP);
    let mut arrived = Arrived::default();
    loop {
        let writing = write(shared)?;
        arrived.tell(told);
        let idle = arrived.waiting.is_empty();
        if idle
            && (!writing || arrived.is_late() || matches!(arrived.end, Some(Err(_))))
            && let Some(end) = arrived.end.take()
        {
            return end;
        }
        let reading = idle && arrived.end.is_none();
        select! {
            room = told.reserve(), if !idle => match room {
                Ok(room) => arrived.pass(room),
                // Nobody receives any more: requests are answered by being dropped.
                Err(_) => arrived.waiting.clear(),
            },
            () = shared.work.notified() => {}
            _ = sweep.tick() => {
                if reading {
                    look_at_time(shared, greeted_by)?;
                } else {
                    // It is the owner who has no time for what has arrived.
                    shared.lock().driver.connection().excuse();
                }
                if is_deserted(shared, told) {
                    say_farewell(shared);
                    arrived.until.get_or_insert_with(|| time::Instant::now() + FAREWELL);
                    if arrived.is_late() {
                        return Ok(());
                    }
                }
            }
            ready = when_ready(watched, reading, writing) => {
                let ready = ready.map_err(|_| SessionError::Gone)?;
                let mut more = false;
                if reading {
                    let mut events = Vec::new();
                    more = shared.lock().driver.receive(BUDGET, &mut scratch, &mut events);
                    for event in events {
                        if let Some(end) = take(shared, &mut arrived.waiting, event).transpose() {
                            arrived.finish(end);
                            break;
                        }
                    }
                }
                // The runtime hears of changes only.
                if !more {
                    watched.clear(ready);
                }
                task::yield_now().await;
            }
        }
    }
}

async fn when_ready(watched: &Watched, reading: bool, writing: bool) -> io::Result<Ready> {
    match (reading, writing) {
        (true, true) => watched.ready(Interest::READABLE | Interest::WRITABLE).await,
        (true, false) => watched.ready(Interest::READABLE).await,
        (false, true) => watched.ready(Interest::WRITABLE).await,
        (false, false) => std::future::pending().await,
    }
}

/// Whether nobody can receive, send, or answer any more.
fn is_deserted(shared: &Arc<Shared>, told: &Told) -> bool {
    told.is_closed() && Arc::strong_count(shared) == 1
}

fn say_farewell(shared: &Shared) {
    let mut state = shared.lock();
    if !state.closing {
        state.closing = true;
        let _ = state.driver.connection().send(Kind::Bye, |_| {});
    }
}

/// Writes what the kernel takes; answers whether something is left.
fn write(shared: &Shared) -> Result<bool, SessionError> {
    let (left, room) = {
        let mut state = shared.lock();
        if let Some(queued) = state.slow {
            return Err(SessionError::Slow { queued });
        }
        let flushed = match state.driver.flush() {
            Ok(flushed) => flushed,
            // What the peer has sent before it went is read first.
            Err(_) => {
                state.driver.connection().clear_outbox();
                Flushed::All
            }
        };
        (
            flushed != Flushed::All,
            state.driver.connection().queued() <= HIGH_WATER_MARK,
        )
    };
    if room {
        shared.room.notify_waiters();
    }
    Ok(left)
}

fn look_at_time(shared: &Shared, greeted_by: time::Instant) -> Result<(), SessionError> {
    let mut state = shared.lock();
    let connection = state.driver.connection();
    if !connection.greeted() && time::Instant::now() > greeted_by {
        return Err(SessionError::Protocol(ErrorKind::NotRsipc.into()));
    }
    match connection.partial_since().map(|since| since.elapsed()) {
        Some(waited) if connection.greeted() && waited > FRAME => {
            let bytes = connection.partial();
            Err(SessionError::Protocol(
                ErrorKind::FrameTimeout { bytes, waited }.into(),
            ))
        }
        _ => Ok(()),
    }
}

/// Takes what has arrived, which waits to be told; answers whether that was the end.
fn take(
    shared: &Arc<Shared>,
    waiting: &mut VecDeque<Incoming>,
    event: Event,
) -> Result<Option<()>, SessionError> {
    match event {
        Event::Hello(said) => hello(&said)?,
        // This end has no memory that it shares and reads no batches, and has not said so.
        Event::Run {
            kind: Kind::Beside | Kind::Batch,
            ..
        }
        | Event::Large { .. } => {
            return Err(SessionError::Protocol(ErrorKind::MalformedFrame.into()));
        }
        Event::Run { kind, bytes } => {
            for line in bytes.split(|&byte| byte == b'\n') {
                if !line.is_empty() {
                    waiting.extend(one(shared, kind, line)?);
                }
            }
        }
        // Descriptors are not taken here: those who sent them are told.
        Event::Handles { bytes, .. } => refuse(shared, &bytes),
        Event::Problem(error) => return Err(SessionError::Protocol(error)),
        Event::Bye(_) => {
            say_farewell(shared);
            return Ok(Some(()));
        }
        Event::Ended { truncated: 0 } => {
            return if shared.lock().closing {
                Ok(Some(()))
            } else {
                Err(SessionError::Gone)
            };
        }
        Event::Ended { truncated } => {
            let bytes = truncated;
            return Err(SessionError::Protocol(
                ErrorKind::Truncated { bytes }.into(),
            ));
        }
    }
    Ok(None)
}

fn hello(said: &[u8]) -> Result<(), SessionError> {
    #[derive(Deserialize)]
    struct Hello {
        codec: Option<String>,
        refused: Option<String>,
    }
    let hello: Hello = serde_json::from_slice(said).map_err(SessionError::Body)?;
    match (hello.refused, hello.codec.as_deref()) {
        (Some(why), _) => Err(SessionError::Refused(why)),
        (None, Some("json")) => Ok(()),
        (None, codec) => Err(SessionError::Refused(format!(
            "the other end speaks codec '{}' and this one 'json'",
            codec.unwrap_or("none")
        ))),
    }
}

fn one(shared: &Arc<Shared>, kind: Kind, line: &[u8]) -> Result<Option<Incoming>, SessionError> {
    Ok(match kind {
        Kind::Message => Some(Incoming::Message(Body(
            serde_json::from_slice(line).map_err(SessionError::Body)?,
        ))),
        Kind::Request => Some(Incoming::Request(request(shared, line)?)),
        Kind::Reply | Kind::Failure => {
            answer(shared, kind, line)?;
            None
        }
        _ => None,
    })
}

fn request(shared: &Arc<Shared>, line: &[u8]) -> Result<Asked, SessionError> {
    let parts: Vec<Box<RawValue>> = serde_json::from_slice(line).map_err(SessionError::Body)?;
    let malformed = || SessionError::Protocol(ErrorKind::MalformedFrame.into());
    let mut parts = parts.into_iter();
    let (Some(id), Some(name)) = (parts.next(), parts.next()) else {
        return Err(malformed());
    };
    let resent = parts.next().is_some_and(|again| again.get() == "1");
    Ok(Asked {
        handle: Handle {
            shared: shared.clone(),
        },
        id: serde_json::from_str(id.get()).map_err(|_| malformed())?,
        name: serde_json::from_str(name.get()).map_err(|_| malformed())?,
        body: parts.next().map(Body),
        resent,
        answered: false,
    })
}

fn answer(shared: &Shared, kind: Kind, line: &[u8]) -> Result<(), SessionError> {
    let parts: Vec<Box<RawValue>> = serde_json::from_slice(line).map_err(SessionError::Body)?;
    let mut parts = parts.into_iter();
    let id = parts.next().and_then(|id| id.get().parse().ok());
    let Some(settle) = id.and_then(|id: u64| shared.lock().pending.remove(&id)) else {
        return Ok(()); // nobody waits for it any more
    };
    let value = match parts.next() {
        Some(value) => value,
        None => RawValue::from_string("null".into()).map_err(SessionError::Body)?,
    };
    let outcome = if kind == Kind::Reply {
        Ok(Body(value))
    } else {
        Err(failure(&value))
    };
    let _ = settle.send(outcome);
    Ok(())
}

fn failure(value: &RawValue) -> SessionError {
    #[derive(Deserialize)]
    struct Failure {
        name: Option<String>,
        message: Option<String>,
        code: Option<String>,
    }
    match serde_json::from_str::<Failure>(value.get()) {
        Ok(failure) => SessionError::Failed {
            name: failure.name.unwrap_or_else(|| "Error".into()),
            message: failure.message.unwrap_or_default(),
            code: failure.code,
        },
        Err(error) => SessionError::Body(error),
    }
}

fn refuse(shared: &Arc<Shared>, bytes: &[u8]) {
    #[derive(Deserialize)]
    struct Said {
        id: u64,
    }
    let said = bytes.split_first_chunk::<4>().and_then(|(length, rest)| {
        let said = rest.get(..u32::from_le_bytes(*length) as usize)?;
        serde_json::from_slice::<Said>(said).ok()
    });
    if let Some(Said { id }) = said {
        let handle = Handle {
            shared: shared.clone(),
        };
        let _ = handle.reply(id, Err("this end takes no handles"));
    }
}
