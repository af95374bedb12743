//! Accepting sessions.

use std::io;
use std::os::fd::AsFd;

use tokio::io::Interest;
use tokio::time;

use super::watched::Watched;
use super::{Session, streams, unsupported};
use crate::endpoint::listen::PAUSE;
use crate::endpoint::{Endpoint, EndpointError, Incoming, ListenOptions, Listener, bind};

/// A socket whose connections are [`Session`]s.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    watched: Watched,
    accepted: std::vec::IntoIter<Incoming>,
}

impl Server {
    /// Listens. To be called on a tokio runtime.
    pub fn bind(endpoint: &Endpoint, options: &ListenOptions) -> io::Result<Server> {
        streams(endpoint)?;
        let listener = bind(endpoint, options).map_err(io::Error::other)?;
        if listener.is_datagram() || listener.keeps_messages() {
            return Err(unsupported(endpoint));
        }
        let watched = Watched::new(rsipc_sys::fd::duplicate(listener.as_fd())?)?;
        Ok(Server {
            listener,
            watched,
            accepted: Vec::new().into_iter(),
        })
    }

    /// Where it listens, with the port that the system has chosen.
    pub fn address(&self) -> Endpoint {
        self.listener.address()
    }

    /// The next connection.
    pub async fn accept(&mut self) -> io::Result<Session> {
        loop {
            match self.accepted.next() {
                Some(Incoming::Connection { fd, peer }) => match Session::over(fd, peer) {
                    Ok(session) => return Ok(session),
                    Err(_) => continue, // there was no descriptor to watch it with
                },
                Some(_) => continue, // it is closed already
                None => {}
            }
            let batch = self
                .listener
                .accept(64)
                .map_err(|error: EndpointError| io::Error::other(error))?;
            if batch.pause {
                time::sleep(PAUSE).await;
            }
            let none = batch.incoming.is_empty() && !batch.more && !batch.pause;
            self.accepted = batch.incoming.into_iter();
            if none {
                let ready = self.watched.ready(Interest::READABLE).await?;
                self.watched.clear(ready);
            } else {
                // Who is not allowed and connects without end must not keep the thread here.
                tokio::task::yield_now().await;
            }
        }
    }
}
