//! Looking at the first bytes of a connection without taking them, to decide who gets it.
//!
//! What is looked at stays in the socket's receive buffer, so the connection can go to another
//! process as if nobody had touched it.
//!
//! - [`http`]: the head of an HTTP/1 request.
//! - [`proxy`]: the PROXY protocol, versions 1 and 2.
//! - [`tls`]: a TLS ClientHello.
//! - [`scan`]: these, one behind the other, over bytes that grow.
//! - [`socket`]: bytes out of a socket, and waiting for more.
//!
//! Each takes all bytes that have come so far, as often as there are more, and answers that it wants
//! more, that this is something else, or with what it has found. Bytes it has judged it does not
//! judge again, so the work is proportional to the bytes, however few come at a time.

pub mod http;
pub mod proxy;
pub mod scan;
#[cfg(unix)]
pub mod socket;
pub mod tls;

pub use http::HttpHead;
pub use proxy::ProxyHead;
pub use scan::{Found, Scan, Want};
#[cfg(unix)]
pub use socket::{PeekError, Peeked, Peeks, Sought, peek};
pub use tls::ClientHello;

/// What the bytes so far come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// They may become it. No fewer than so many bytes, counted from the first, can change the
    /// answer.
    More(usize),
    /// They are something else, whatever follows: why.
    No(&'static str),
    /// They are it.
    Done(T),
}

impl<T> Step<T> {
    /// The same of what `done` makes of it.
    pub fn map<U>(self, done: impl FnOnce(T) -> U) -> Step<U> {
        match self {
            Step::More(least) => Step::More(least),
            Step::No(why) => Step::No(why),
            Step::Done(found) => Step::Done(done(found)),
        }
    }
}

/// What `look` decides when the bytes come in pieces of these sizes, over and over. `None` when all of
/// them do not decide it.
#[cfg(test)]
fn in_pieces<'a, T>(
    bytes: &'a [u8],
    sizes: &[usize],
    mut look: impl FnMut(&'a [u8]) -> Step<T>,
) -> Option<Step<T>> {
    let mut end = 0;
    for size in sizes.iter().cycle() {
        match look(&bytes[..end]) {
            Step::More(least) => {
                assert!(least > end);
                if end == bytes.len() {
                    break;
                }
            }
            decided => return Some(decided),
        }
        end = bytes.len().min(end + size);
    }
    None
}
