//! Connections whose first bytes are looked at and left where they are.
//!
//! One descriptor in the loop stands for all of an environment's.

use std::cell::{RefCell, RefMut};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;

use napi::bindgen_prelude::{Either, Function};
use napi::{Env, Result};
use napi_derive::napi;
use rsipc_core::endpoint::peek::{PeekError, Peeked, Peeks, ProxyHead, Sought, Want};
use rsipc_sys::fd;

use crate::poll::{Found, Poll, READABLE, Turn};

/// What was found in front of a connection, or why nothing was.
#[napi(object)]
#[derive(Default)]
pub struct PeekAnswer {
    /// Which connection, by the number that `add` gave.
    pub number: f64,
    /// Why nothing was found.
    pub code: Option<String>,
    /// The same as a text.
    pub text: Option<String>,
    /// Of a request.
    pub method: Option<String>,
    /// Of a request: what is asked for.
    pub path: Option<String>,
    /// Of a request: what stands behind `HTTP/1.`.
    pub minor: Option<u32>,
    /// Of a request: names and values by turns.
    pub headers: Option<Vec<String>>,
    /// Of a ClientHello: the host.
    pub sni: Option<String>,
    /// Of a ClientHello: the protocols.
    pub alpn: Option<Vec<String>>,
    /// What stood in front.
    pub proxy: Option<PeekProxy>,
}

/// What the PROXY protocol says.
#[napi(object)]
pub struct PeekProxy {
    /// 1 or 2.
    pub version: u32,
    /// Who has connected.
    pub source: Option<PeekAddress>,
    /// To what.
    pub destination: Option<PeekAddress>,
    /// Bytes of it.
    pub length: u32,
}

/// An address.
#[napi(object)]
pub struct PeekAddress {
    /// The address itself.
    pub address: String,
    /// `IPv4` or `IPv6`.
    pub family: String,
    /// The port.
    pub port: u32,
}

/// The connections of an environment that are looked into.
#[napi]
pub struct Peeker {
    /// Also reached by the loop's callback, which never runs inside a call of JavaScript's.
    state: Rc<RefCell<State>>,
}

/// The loop forgets the descriptor before it is closed.
struct State {
    poll: Option<Poll>,
    peeks: Peeks,
    answers: Vec<PeekAnswer>,
}

impl State {
    fn turn(&mut self) -> Result<u32> {
        let State { peeks, answers, .. } = self;
        peeks.turn(|number, outcome| answers.push(answer(number, outcome)))?;
        if let Some(poll) = &mut self.poll {
            // A thread that waits in the loop's place waits for one ring only.
            poll.watch(READABLE)?;
        }
        Ok(if self.answers.is_empty() { 0 } else { READABLE })
    }
}

#[napi]
impl Peeker {
    /// Looks into nothing yet. `found` is called when there are answers; where a thread has to watch,
    /// `ready` is, which calls `turn`. The process does not stay alive for it at first.
    #[napi(factory, catch_unwind)]
    pub fn open(
        env: &Env,
        found: Function<'_, Found<'static>, ()>,
        ready: Function<'_, u32, ()>,
        libuv: bool,
    ) -> Result<Peeker> {
        let state = Rc::new(RefCell::new(State {
            poll: None,
            peeks: Peeks::new()?,
            answers: Vec::new(),
        }));
        let weak = Rc::downgrade(&state);
        let turn: Turn = Box::new(move |_, _| match weak.upgrade() {
            Some(state) => state.borrow_mut().turn().map(Either::A),
            None => Ok(Either::A(0)),
        });
        let fd = state.borrow().peeks.as_fd().as_raw_fd();
        let mut poll = Poll::new(env, fd, &found, (turn, Box::new(|| false)), &ready, libuv)?;
        poll.watch(READABLE)?;
        poll.set_ref(env, false);
        state.borrow_mut().poll = Some(poll);
        Ok(Peeker { state })
    }

    fn state(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }

    /// Looks into the connection of the descriptor `fd`, which stays the caller's; answers a number for
    /// it. `want` is `http`, `tls` or `proxy`.
    #[napi(catch_unwind)]
    pub fn add(&self, fd: i32, want: String, proxy: bool, limit: u32) -> Result<f64> {
        let want = match &*want {
            "tls" => Want::Tls,
            "proxy" => Want::Proxy,
            _ => Want::Http,
        };
        let sought = Sought {
            want,
            proxy,
            limit: limit as usize,
        };
        // Whoever closes the connection meanwhile does not make another one of this number ours.
        let copy = fd::duplicate_raw(fd)?;
        Ok(self.state().peeks.add(copy, sought)? as f64)
    }

    /// Looks into a connection no longer.
    #[napi(catch_unwind)]
    pub fn cancel(&self, number: f64) {
        self.state().peeks.cancel(number as u64);
    }

    /// Looks; what the loop's callback does by itself.
    #[napi(catch_unwind)]
    pub fn turn(&self) -> Result<u32> {
        self.state().turn()
    }

    /// The answers there are.
    #[napi(catch_unwind)]
    pub fn take(&self) -> Vec<PeekAnswer> {
        std::mem::take(&mut self.state().answers)
    }

    /// Keeps the process alive for an answer, or not.
    #[napi(catch_unwind)]
    pub fn set_ref(&self, env: &Env, on: bool) {
        if let Some(poll) = &mut self.state().poll {
            poll.set_ref(env, on);
        }
    }

    /// Looks into nothing any more. Safe to call twice.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        if let Some(mut poll) = self.state().poll.take() {
            poll.close();
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if let Some(poll) = &mut self.poll {
            poll.close();
        }
    }
}

fn answer(number: u64, outcome: std::result::Result<Peeked, PeekError>) -> PeekAnswer {
    let mut answer = PeekAnswer {
        number: number as f64,
        ..PeekAnswer::default()
    };
    match outcome {
        Err(error) => {
            answer.code = Some(error.code().into());
            answer.text = Some(error.to_string());
        }
        Ok(peeked) => {
            let found = peeked.found();
            answer.proxy = found.proxy.map(proxy);
            if let Some(head) = found.http {
                answer.method = Some(text(head.method));
                answer.path = Some(text(head.target));
                answer.minor = Some(head.minor.into());
                let pairs = head.headers().flat_map(|(name, value)| [name, value]);
                answer.headers = Some(pairs.map(text).collect());
            }
            if let Some(hello) = found.tls {
                answer.sni = hello.server_name.map(String::from);
                answer.alpn = Some(hello.alpn.iter().map(|name| text(name)).collect());
            }
        }
    }
    answer
}

impl From<SocketAddr> for PeekAddress {
    fn from(address: SocketAddr) -> PeekAddress {
        PeekAddress {
            address: address.ip().to_string(),
            family: if address.is_ipv4() { "IPv4" } else { "IPv6" }.into(),
            port: address.port().into(),
        }
    }
}

fn proxy(head: ProxyHead) -> PeekProxy {
    PeekProxy {
        version: head.version.into(),
        source: head.source.map(PeekAddress::from),
        destination: head.destination.map(PeekAddress::from),
        length: u32::try_from(head.length).unwrap_or(u32::MAX),
    }
}

/// As Node reads heads: a character for each byte.
fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
