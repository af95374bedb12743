//! The primary of a cluster, as JavaScript has it: which worker serves which listener. Connections never come here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, IntoRawFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use napi::bindgen_prelude::{BufferSlice, Error, Function, Result};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;
use rsipc_core::channel::Serialization;
use rsipc_core::cluster::{Announcement, By, FIRST_SEQUENCE, Policy, Primary as Core};

use crate::channel::Channel;
use crate::poll::Wake;
use crate::state::Seated;

/// What a worker has done.
#[napi(object)]
pub struct WorkerCounts {
    /// Connections it has adopted.
    pub adopted: f64,
    /// Connections it was given and has not answered for.
    pub unanswered: u32,
}

/// Which worker is a connection for?
#[napi(object)]
pub struct Question {
    /// To be named in the answer.
    pub ticket: f64,
    /// Who has connected; absent for a path.
    pub remote_address: Option<String>,
    /// And from which port.
    pub remote_port: Option<u32>,
}

/// The primary of a cluster.
#[napi]
pub struct Primary {
    core: Arc<Core>,
}

#[napi]
impl Primary {
    /// A primary without workers.
    #[napi(factory, catch_unwind)]
    pub fn open() -> Result<Primary> {
        Ok(Primary {
            core: Arc::new(Core::new()?),
        })
    }

    /// The number that the first connection is announced with.
    #[napi(getter, catch_unwind)]
    pub fn first_sequence(&self) -> f64 {
        FIRST_SEQUENCE as f64
    }

    /// Reads a worker's channel from here on, in a thread of its own. Before the channel is opened.
    #[napi(catch_unwind)]
    pub fn seat(&self, worker: u32, channel: &Channel) -> Result<()> {
        let mut state = channel.state();
        if state.poll.is_some() {
            return Err(Error::from_reason("the channel is being read already"));
        }
        let serialization = if state.advanced {
            Serialization::Advanced
        } else {
            Serialization::Json
        };
        let seat = self
            .core
            .seat(worker, state.shared.clone(), serialization)?;
        state.seat = Some(Seated {
            seat,
            primary: self.core.clone(),
            worker,
        });
        Ok(())
    }

    /// Accepts connections of a socket, which stays the caller's. It listens already, or is made to with `backlog`. The
    /// announcements are the text and the value of the message that brings a connection, cut where its number belongs.
    /// Answers the listener's number, or a negative error number. With `held` it accepts nothing before `hold` says so.
    #[napi(catch_unwind)]
    pub fn listen(
        &self,
        fd: i32,
        backlog: Option<u32>,
        text: Vec<BufferSlice>,
        value: Vec<BufferSlice>,
        held: Option<bool>,
    ) -> Result<i32> {
        let (Some(text), Some(value)) = (announcement(&text), announcement(&value)) else {
            return Err(Error::from_reason("an announcement has two parts"));
        };
        let listened = rsipc_sys::fd::duplicate_raw(fd).and_then(|socket| {
            if let Some(backlog) = backlog {
                rsipc_sys::socket::listen(socket.as_fd(), backlog)?;
            }
            self.core
                .listen(socket, [text, value], held.unwrap_or(false))
        });
        Ok(match listened {
            Ok(listener) => listener as i32,
            Err(error) => -crate::state::number(&error),
        })
    }

    /// Listens for workers that accept for themselves, from a socket each: `socketFor`. No address is any. Answers the
    /// listener's number, or a negative error number; so it does where the system does not spread connections.
    #[napi(catch_unwind)]
    pub fn listen_apart(
        &self,
        address: Option<String>,
        port: u16,
        only_v6: bool,
        backlog: u32,
        text: Vec<BufferSlice>,
        value: Vec<BufferSlice>,
    ) -> Result<i32> {
        let (Some(text), Some(value)) = (announcement(&text), announcement(&value)) else {
            return Err(Error::from_reason("an announcement has two parts"));
        };
        let announcements = [text, value];
        let listen = |ip: IpAddr| {
            let address = SocketAddr::new(ip, port);
            let announcements = announcements.clone();
            self.core
                .listen_apart(address, only_v6, backlog, announcements)
        };
        let listened = match address.as_deref().map(str::parse) {
            Some(Ok(ip)) => listen(ip),
            Some(Err(_)) => Err(std::io::ErrorKind::Unsupported.into()),
            // As Node does.
            None => listen(Ipv6Addr::UNSPECIFIED.into())
                .or_else(|_| listen(Ipv4Addr::UNSPECIFIED.into())),
        };
        Ok(match listened {
            Ok(listener) => listener as i32,
            Err(error) => -crate::state::number(&error),
        })
    }

    /// A worker's socket at such a listener: a descriptor, which is the caller's, or a negative error number.
    #[napi(catch_unwind)]
    pub fn socket_for(&self, listener: u32, worker: u32) -> i32 {
        match self.core.socket_for(listener, worker) {
            Ok(socket) => socket.into_raw_fd(),
            Err(error) => -crate::state::number(&error),
        }
    }

    /// Accepts no more.
    #[napi(catch_unwind)]
    pub fn close(&self, listener: u32) {
        self.core.close(listener);
    }

    /// Accepts no more until that is undone, and still hands out what has been accepted.
    #[napi(catch_unwind)]
    pub fn hold(&self, listener: u32, held: bool) {
        self.core.hold(listener, held);
    }

    /// How many connections of a listener that is held no worker has answered for; not 0 while one may still be accepted.
    #[napi(catch_unwind)]
    pub fn unfinished(&self, listener: u32) -> u32 {
        u32::try_from(self.core.unfinished(listener)).unwrap_or(u32::MAX)
    }

    /// The worker gets connections of this listener.
    #[napi(catch_unwind)]
    pub fn add(&self, listener: u32, worker: u32) {
        self.core.add(listener, worker);
    }

    /// The worker gets no more connections of this listener.
    #[napi(catch_unwind)]
    pub fn remove(&self, listener: u32, worker: u32) {
        self.core.remove(listener, worker);
    }

    /// The worker is passed over, or not any more.
    #[napi(catch_unwind)]
    pub fn pause(&self, worker: u32, paused: bool) {
        self.core.pause(worker, paused);
    }

    /// A worker's reply in a form that only JavaScript could read.
    #[napi(catch_unwind)]
    pub fn reply(&self, worker: u32, sequence: f64, accepted: bool) {
        self.core.reply(worker, sequence as u64, accepted);
    }

    /// Chooses the worker with the least to do, and not the next one.
    #[napi(catch_unwind)]
    pub fn choose_least(&self, least: bool) {
        self.core.set_policy(if least {
            Policy::Least
        } else {
            Policy::RoundRobin
        });
    }

    /// Milliseconds that a worker may leave a connection unanswered before others get it.
    #[napi(catch_unwind)]
    pub fn set_stall(&self, time: u32) {
        self.core.set_stall(Duration::from_millis(time.into()));
    }

    /// The worker takes a claim, with `takeClaim`, before it uses a connection.
    #[napi(catch_unwind)]
    pub fn claims(&self, worker: u32) {
        self.core.claims(worker);
    }

    /// Gives a worker a way for connections beside its channel, with a message that is a text or a value there. False where
    /// there is no such way.
    #[napi(catch_unwind)]
    pub fn open_hatch(&self, worker: u32, text: BufferSlice, value: BufferSlice) -> bool {
        self.core.open_hatch(worker, [&text, &value]).is_ok()
    }

    /// The worker takes connections of this listener on that way, and calls it `place` there.
    #[napi(catch_unwind)]
    pub fn direct(&self, listener: u32, worker: u32, place: u32) {
        self.core.direct(listener, worker, place);
    }

    /// How much the worker has to do by its own account.
    #[napi(catch_unwind)]
    pub fn report(&self, worker: u32, load: u32) {
        self.core.report(worker, u64::from(load));
    }

    /// A client's connections go to one worker, where `by`, a word of the settings, tells whose they are within `time` milliseconds.
    /// `None`: no longer.
    #[napi(catch_unwind)]
    pub fn stick(&self, by: Option<String>, name: Option<String>, time: f64) -> Result<()> {
        let by = match (by.as_deref(), name) {
            (None, _) => None,
            (Some("ip"), _) => Some(By::Ip),
            (Some("proxy"), _) => Some(By::Proxy),
            (Some("cookie"), Some(name)) => Some(By::Cookie(name)),
            (Some("header"), Some(name)) => Some(By::Header(name)),
            (Some("query"), Some(name)) => Some(By::Query(name)),
            (Some(_), _) => return Err(Error::from_reason("nothing is told by that")),
        };
        let time = Duration::try_from_secs_f64(time / 1e3).unwrap_or(Duration::MAX);
        self.core.stick(by, time);
        Ok(())
    }

    /// The worker stands in the place of one that has gone, or goes: it gets its clients.
    #[napi(catch_unwind)]
    pub fn place(&self, worker: u32, place: u32) {
        self.core.place(worker, place);
    }

    /// Asks JavaScript which worker a connection is for, and waits for the answer for at most `budget` milliseconds. `told`
    /// is called when there are questions.
    #[napi(catch_unwind)]
    pub fn ask(&self, budget: f64, told: Function<'_, u32, ()>) -> Result<()> {
        let wake: Wake = told
            .build_threadsafe_function()
            .weak::<true>()
            .build_callback(|context| Ok(context.value))?;
        let budget = Duration::try_from_secs_f64(budget / 1e3).unwrap_or(Duration::MAX);
        self.core.ask(budget, move || {
            wake.call(0, ThreadsafeFunctionCallMode::NonBlocking);
        });
        Ok(())
    }

    /// The questions since the last call.
    #[napi(catch_unwind)]
    pub fn questions(&self) -> Vec<Question> {
        let questions = self.core.questions().into_iter();
        questions
            .map(|question| Question {
                ticket: question.ticket as f64,
                remote_address: question.peer.map(|peer| peer.ip().to_string()),
                remote_port: question.peer.map(|peer| u32::from(peer.port())),
            })
            .collect()
    }

    /// Answers a question; 0 is the next worker.
    #[napi(catch_unwind)]
    pub fn choose(&self, ticket: f64, worker: u32) {
        self.core
            .choose(ticket as u64, Some(worker).filter(|&worker| worker > 0));
    }

    /// What a worker has done.
    #[napi(catch_unwind)]
    pub fn counts(&self, worker: u32) -> WorkerCounts {
        let (adopted, unanswered) = self.core.counts(worker);
        WorkerCounts {
            adopted: adopted as f64,
            unanswered: unanswered as u32,
        }
    }
}

fn announcement(parts: &[BufferSlice]) -> Option<Announcement> {
    match parts {
        [before, after] => Some(Announcement {
            before: before.to_vec(),
            after: after.to_vec(),
        }),
        _ => None,
    }
}

/// A UNIX socket with a path for a name. Its file stays when the descriptor, which is the caller's, is closed. Answers a
/// negative error number when it cannot be.
#[napi(catch_unwind)]
pub fn bind_path(path: String) -> i32 {
    match rsipc_sys::socket::bind_path(Path::new(&path)) {
        Ok(socket) => socket.into_raw_fd(),
        Err(error) => -crate::state::number(&error),
    }
}

/// In a worker: takes the connection that came under this number. False if the primary has given it to another worker.
#[napi(catch_unwind)]
pub fn take_claim(fd: i32, sequence: f64) -> Result<bool> {
    Ok(rsipc_sys::claim::take(fd, sequence as u64)?)
}
