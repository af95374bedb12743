//! A cluster's worker's end of the way on which connections come beside its channel.

use std::cell::{RefCell, RefMut};
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::rc::Rc;

use napi::bindgen_prelude::{Either, Function};
use napi::{Env, Result};
use napi_derive::napi;
use rsipc_core::cluster::Intake as Core;
use rsipc_sys::fd;

use crate::poll::{Found, LAST, Poll, READABLE, Turn};

/// Turns of the loop for which connections wait for what is before them on the channel, which is read meanwhile.
const PATIENCE: u32 = 8;

/// Connections after which the primary is told: it has others ready while the rest is still worked on.
const TOLD_EVERY: usize = 4;

/// Where connections come. One turn of JavaScript for each.
#[napi]
pub struct Intake {
    /// Also reached by the loop's callback, which never runs inside a call of JavaScript's.
    state: Rc<RefCell<State>>,
}

/// The loop forgets the descriptor before it is closed.
struct State {
    poll: Option<Poll>,
    core: Core,
    /// The channel's descriptor, which belongs to the channel; -1 for none.
    channel: RawFd,
    patience: u32,
}

impl State {
    /// Takes what has come; answers how many connections JavaScript is to take.
    fn turn(&mut self, events: u32) -> u32 {
        if self.core.waiting() == 0 {
            if self.patience > 0 && fd::is_readable(self.channel) {
                // What was sent before these connections comes before them.
                self.patience -= 1;
                return 0;
            }
            self.patience = PATIENCE;
            if self.core.receive().is_err() {
                // The primary has gone, which the channel tells.
                self.close();
            }
        }
        match self.core.waiting() {
            0 => 0,
            // Nobody looks again behind the last turn.
            waiting if events & LAST != 0 => waiting as u32,
            _ => 1,
        }
    }

    /// The first connection is answered. Every few, and at the last one, the primary is told.
    fn answered(&mut self) {
        if self.core.waiting().is_multiple_of(TOLD_EVERY) {
            self.core.ring();
        }
    }

    fn close(&mut self) {
        if let Some(mut poll) = self.poll.take() {
            poll.close();
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.close();
    }
}

#[napi]
impl Intake {
    /// Takes connections that come through the descriptor `fd`, which stays the caller's. `arrived` is called with the
    /// number of those that are to be taken. The process does not stay alive for them. `channel` is the descriptor of the
    /// channel to the primary.
    #[napi(factory, catch_unwind)]
    pub fn open(
        env: &Env,
        fd: i32,
        channel: i32,
        arrived: Function<'_, Found<'static>, ()>,
    ) -> Result<Intake> {
        let core = Core::open(fd::duplicate_raw(fd)?)?;
        let raw = core.as_raw_fd();
        let state = Rc::new(RefCell::new(State {
            poll: None,
            core,
            channel,
            patience: PATIENCE,
        }));
        let (turns, lingers) = (Rc::downgrade(&state), Rc::downgrade(&state));
        let turn: Turn = Box::new(move |_, events| {
            let found = turns
                .upgrade()
                .map_or(0, |state| state.borrow_mut().turn(events));
            Ok(Either::A(found))
        });
        let linger = Box::new(move || {
            lingers
                .upgrade()
                .is_some_and(|state| state.borrow().core.waiting() > 0)
        });
        let mut poll = Poll::in_loop(env, raw, &arrived, (turn, linger))?;
        poll.watch(READABLE)?;
        poll.set_ref(env, false);
        state.borrow_mut().poll = Some(poll);
        Ok(Intake { state })
    }

    fn state(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }

    /// Which server the first connection is for; -1 when none waits.
    #[napi(catch_unwind)]
    pub fn place(&self) -> i32 {
        let place = self.state().core.place();
        place.map_or(-1, |place| i32::try_from(place).unwrap_or(-1))
    }

    /// Takes the first connection: its descriptor, which is the caller's, or -1 if there is nothing left to take.
    #[napi(catch_unwind)]
    pub fn adopt(&self) -> i32 {
        let mut state = self.state();
        let adopted = state.core.adopt();
        state.answered();
        adopted.map_or(-1, IntoRawFd::into_raw_fd)
    }

    /// Leaves the first connection to other workers.
    #[napi(catch_unwind)]
    pub fn refuse(&self) {
        let mut state = self.state();
        state.core.refuse();
        state.answered();
    }

    /// Takes nothing any more. Safe to call twice.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        self.state().close();
    }
}
