//! The task that reads and writes for a session.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::Interest;
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
/// How often time is looked at.
const SWEEP: Duration = Duration::from_millis(250);

type Told = mpsc::Sender<Result<Incoming, SessionError>>;

/// Whatever becomes of the task, nobody waits for it any more.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.over = true;
        state.driver.connection().stop();
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
    if let Err(error) = drive(&ending.0, &watched, &told).await {
        let _ = told.send(Err(error)).await;
    }
}

async fn drive(shared: &Arc<Shared>, watched: &Watched, told: &Told) -> Result<(), SessionError> {
    let mut scratch = Scratch::default();
    let greeted_by = time::Instant::now() + HELLO;
    let mut sweep = time::interval(SWEEP);
    loop {
        let writing = write(shared)?;
        select! {
            () = shared.work.notified() => {}
            _ = sweep.tick() => look_at_time(shared, greeted_by)?,
            ready = watched.ready(if writing { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE }) => {
                let ready = ready.map_err(|_| SessionError::Gone)?;
                let mut events = Vec::new();
                let more = shared.lock().driver.receive(BUDGET, &mut scratch, &mut events);
                // The runtime hears of changes only.
                if !more {
                    watched.clear(ready);
                }
                let arrived = time::Instant::now();
                for event in events {
                    if take(shared, told, event).await? {
                        return Ok(());
                    }
                }
                // Nothing was read while the owner had no time for what had arrived.
                if arrived.elapsed() >= SWEEP {
                    shared.lock().driver.connection().excuse();
                }
                task::yield_now().await;
            }
        }
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

/// Tells what has arrived; answers whether that was the end.
async fn take(shared: &Arc<Shared>, told: &Told, event: Event) -> Result<bool, SessionError> {
    match event {
        Event::Hello(said) => hello(&said)?,
        // This end has no memory that it shares, and has not said so.
        Event::Run {
            kind: Kind::Beside, ..
        }
        | Event::Large { .. } => {
            return Err(SessionError::Protocol(ErrorKind::MalformedFrame.into()));
        }
        Event::Run { kind, bytes } => {
            for line in bytes.split(|&byte| byte == b'\n') {
                if !line.is_empty() {
                    one(shared, told, kind, line).await?;
                }
            }
        }
        // Descriptors are not taken here: those who sent them are told.
        Event::Handles { bytes, .. } => refuse(shared, &bytes),
        Event::Problem(error) => return Err(SessionError::Protocol(error)),
        Event::Bye(_) => {
            let mut state = shared.lock();
            if !state.closing {
                state.closing = true;
                let _ = state.driver.connection().send(Kind::Bye, |_| {});
                let _ = state.driver.flush();
            }
            return Ok(true);
        }
        Event::Ended { truncated: 0 } => {
            return if shared.lock().closing {
                Ok(true)
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
    Ok(false)
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

async fn one(
    shared: &Arc<Shared>,
    told: &Told,
    kind: Kind,
    line: &[u8],
) -> Result<(), SessionError> {
    let incoming = match kind {
        Kind::Message => Incoming::Message(Body(
            serde_json::from_slice(line).map_err(SessionError::Body)?,
        )),
        Kind::Request => Incoming::Request(request(shared, line)?),
        Kind::Reply | Kind::Failure => {
            answer(shared, kind, line)?;
            return Ok(());
        }
        _ => return Ok(()),
    };
    // Nobody may be listening any more; requests are then answered by being dropped.
    let _ = told.send(Ok(incoming)).await;
    Ok(())
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
