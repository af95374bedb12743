//! The bell of an environment: others ring it when what a wait of this environment waits for may
//! be there. It hangs from the first wait on, in the environment's own loop.

use std::cell::{RefCell, RefMut};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use napi::Env;
use napi::bindgen_prelude::{Either, Function};
use napi_derive::napi;
use rsipc_sys::fifo::EnvironmentBell;

use super::error::{Result, refused, system};
use super::object::registry;
use crate::poll::{Found, Poll, READABLE, Turn};

/// A number for an environment, the only one of its process. Two copies of this binary in a process
/// do not know of each other, so each begins somewhere else.
fn next_number() -> u32 {
    static FIRST: OnceLock<u32> = OnceLock::new();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first =
        FIRST.get_or_init(|| RandomState::new().hash_one("environment") as u32 & 0x3FFF_FF00);
    first + (NEXT.fetch_add(1, Ordering::Relaxed) & 0x3FFF_FFFF)
}

/// An environment as a party to shared objects.
#[napi]
pub struct SharedEnvironment {
    number: u32,
    /// Also reached by the loop's callback, which never runs inside a call of JavaScript's.
    state: Rc<RefCell<State>>,
}

/// The loop forgets the bell before it is taken down.
#[derive(Default)]
struct State {
    poll: Option<Poll>,
    bell: Option<EnvironmentBell>,
}

impl State {
    /// Takes the rings out.
    fn turn(&mut self) -> napi::Result<u32> {
        if let Some(bell) = &self.bell {
            bell.drain();
        }
        if let Some(poll) = &mut self.poll {
            // A thread that waits in the loop's place waits for one ring only.
            poll.watch(READABLE)?;
        }
        Ok(READABLE)
    }
}

#[napi]
impl SharedEnvironment {
    /// An environment without a bell.
    #[napi(constructor, catch_unwind)]
    pub fn new() -> SharedEnvironment {
        SharedEnvironment {
            number: next_number(),
            state: Rc::default(),
        }
    }

    fn state(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }

    /// Its number among the environments of this process.
    #[napi(getter, catch_unwind)]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Hangs up the bell. `rung` is called when somebody has rung; where a thread has to watch, `ready`
    /// is, which calls `turn`. The process does not stay alive for it at first.
    #[napi(catch_unwind)]
    pub fn open(
        &self,
        env: &Env,
        rung: Function<'_, Found<'static>, ()>,
        ready: Function<'_, u32, ()>,
        libuv: bool,
    ) -> Result<()> {
        if self.state().bell.is_some() {
            return Ok(());
        }
        let registry = registry()?;
        // What processes that were killed have left.
        registry.remove_dead_bells();
        let bell = EnvironmentBell::new(registry.run_dir().dir(), self.number).map_err(system)?;
        let state = Rc::downgrade(&self.state);
        let turn: Turn = Box::new(move |_, _| match state.upgrade() {
            Some(state) => state.borrow_mut().turn().map(Either::A),
            None => Ok(Either::A(0)),
        });
        let fd = bell.as_fd().as_raw_fd();
        let mut poll = Poll::new(env, fd, &rung, (turn, Box::new(|| false)), &ready, libuv)
            .map_err(refused)?;
        poll.watch(READABLE).map_err(refused)?;
        poll.set_ref(env, false);
        let mut state = self.state();
        state.poll = Some(poll);
        state.bell = Some(bell);
        Ok(())
    }

    /// Takes the rings out; what the loop's callback does by itself.
    #[napi(catch_unwind)]
    pub fn turn(&self) -> Result<u32> {
        self.state().turn().map_err(refused)
    }

    /// Keeps the process alive for a ring, or not.
    #[napi(catch_unwind)]
    pub fn set_ref(&self, env: &Env, on: bool) {
        if let Some(poll) = &mut self.state().poll {
            poll.set_ref(env, on);
        }
    }

    /// Takes the bell down. Safe to call twice.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        let mut state = self.state();
        // What processes have left that were killed meanwhile.
        if state.bell.is_some()
            && let Ok(registry) = registry()
        {
            registry.remove_dead_bells();
        }
        if let Some(mut poll) = state.poll.take() {
            poll.close();
        }
        state.bell = None;
    }
}
