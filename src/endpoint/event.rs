//! What arrived, as JavaScript gets it.

use napi::bindgen_prelude::Buffer;
use napi_derive::napi;
use rsipc_core::endpoint::{Event, Kind};

/// One thing that arrived.
#[napi(object)]
#[derive(Default)]
pub struct ConnectionEvent {
    /// `hello`, `run`, `large`, `handles`, `problem`, `bye` or `ended`.
    pub kind: String,
    /// `run` and `large`: the kind of the frames.
    pub frame: Option<u32>,
    /// What frames of texts held; a hello, the reason of a bye.
    pub text: Option<String>,
    /// What frames of bytes held.
    pub bytes: Option<Buffer>,
    /// `handles`: the descriptors, which the thread closes when it ends before `releaseFd` or `closeFd`.
    pub fds: Option<Vec<i32>>,
    /// `handles`: what the descriptors are.
    pub fd_kinds: Option<Vec<String>>,
    /// `handles`: how many were announced.
    pub announced: Option<u32>,
    /// `problem`: the error's code.
    pub code: Option<String>,
    /// `problem`: the error's text.
    pub message: Option<String>,
    /// `ended`: bytes of a frame that never became whole.
    pub truncated: Option<f64>,
}

fn lossy(bytes: Vec<u8>) -> String {
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }
}

/// What JavaScript is told of an event; of descriptors, that there are none.
pub(super) fn describe(event: Event, texts: bool) -> ConnectionEvent {
    let mut told = ConnectionEvent::default();
    let payload = |told: &mut ConnectionEvent, kind: Kind, bytes: Vec<u8>| {
        if texts && kind.is_text() {
            told.text = Some(lossy(bytes));
        } else {
            told.bytes = Some(bytes.into());
        }
    };
    match event {
        Event::Hello(said) => {
            told.kind = "hello".into();
            told.text = Some(lossy(said));
        }
        Event::Run { kind, bytes } => {
            told.kind = "run".into();
            told.frame = Some(kind as u32);
            payload(&mut told, kind, bytes);
        }
        Event::Large { kind, bytes } => {
            told.kind = "large".into();
            told.frame = Some(kind as u32);
            payload(&mut told, kind, bytes);
        }
        Event::Handles {
            bytes, announced, ..
        } => {
            told.kind = "handles".into();
            told.bytes = Some(bytes.into());
            told.announced = Some(announced as u32);
            told.fd_kinds = Some(Vec::new());
            told.fds = Some(Vec::new());
        }
        Event::Problem(error) => {
            told.kind = "problem".into();
            told.code = Some(error.code().into());
            told.message = Some(error.to_string());
        }
        Event::Bye(reason) => {
            told.kind = "bye".into();
            told.text = Some(lossy(reason));
        }
        Event::Ended { truncated } => {
            told.kind = "ended".into();
            told.truncated = Some(truncated as f64);
        }
    }
    told
}
