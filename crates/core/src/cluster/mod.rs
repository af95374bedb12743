//! The half of a cluster's primary that touches connections: it listens, accepts, chooses a worker, hands over and takes
//! the worker's reply, all in one thread of its own.
//!
//! - `protocol`: the two messages of Node's cluster protocol that connections take.
//! - `balance`: which worker is next.
//! - `sticky`: whose a connection is, where a client's go to one worker.
//! - `seat`: a worker's channel as the primary has it. The thread reads it; what is not about connections is kept for
//!   the channel's owner.
//! - `hatch`: a way to a worker beside its channel, on which connections come several at a time.
//! - `primary`: workers, listeners and connections, and what becomes of them.
//! - `acceptor`: the thread.
//!
//! A connection stays open here until its worker has said that it has adopted it, and where the system tells, until the
//! worker has touched it. A worker that refuses it, loses it on the way, or is gone before that has done nothing with it,
//! so another one gets it.

mod acceptor;
mod balance;
mod hatch;
mod primary;
mod protocol;
mod seat;
mod sticky;

pub use balance::Policy;
pub use hatch::Intake;
pub use primary::{Primary, Question};
pub use protocol::{Announcement, FIRST_SEQUENCE};
pub use seat::Seat;
pub use sticky::By;
