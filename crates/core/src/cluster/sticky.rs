//! Whose a connection is, so that all of a client's go to one worker.
//!
//! Workers stand at places, and each client ranks the places by a hash of its own and theirs (rendezvous hashing): a
//! worker that goes moves only its own clients, and one that takes its place gets them back. The key of the hash is made
//! up by each primary, so nobody can choose values that all come to one worker.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use crate::endpoint::peek::{Found, Peeked, Sought, Want};

/// What tells clients apart. A value that is empty tells nobody apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// The address that has connected.
    Ip,
    /// A cookie of the first request.
    Cookie(String),
    /// A header of the first request.
    Header(String),
    /// A parameter of the first request's query.
    Query(String),
    /// The address that the PROXY protocol names.
    Proxy,
}

/// A client, as far as it is known: a hash of what tells it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client(u64);

#[derive(Debug)]
pub(super) struct Sticky {
    pub(super) by: By,
    /// How long the first bytes are awaited.
    pub(super) time: Duration,
    key: RandomState,
}

impl Sticky {
    pub(super) fn new(by: By, time: Duration) -> Sticky {
        Sticky {
            by,
            time,
            key: RandomState::new(),
        }
    }

    /// What to look for in the first bytes; `None` when the address is enough.
    pub(super) fn sought(&self) -> Option<Sought> {
        match self.by {
            By::Ip => None,
            By::Cookie(_) | By::Header(_) | By::Query(_) => Some(Sought::new(Want::Http)),
            By::Proxy => Some(Sought::new(Want::Proxy)),
        }
    }

    /// Who has sent these first bytes.
    pub(super) fn sender(&self, peeked: &Peeked) -> Option<Client> {
        self.found(&peeked.found())
    }

    fn found(&self, found: &Found<'_>) -> Option<Client> {
        let http = found.http.as_ref();
        match &self.by {
            By::Ip => None,
            By::Cookie(name) => self.named(http?.cookie(name)?),
            By::Header(name) => self.named(http?.header(name)?),
            By::Query(name) => self.named(&http?.query(name)?),
            By::Proxy => Some(self.at(found.proxy?.source?.ip())),
        }
    }

    fn named(&self, value: &[u8]) -> Option<Client> {
        (!value.is_empty()).then(|| Client(self.key.hash_one(value)))
    }

    /// Who connects from this address, whatever the socket calls it.
    pub(super) fn at(&self, address: IpAddr) -> Client {
        Client(self.key.hash_one(address.to_canonical()))
    }

    /// How much the client is for the worker at this place: the most of all gets it.
    pub(super) fn weight(&self, client: Client, place: u32) -> u64 {
        self.key.hash_one((client.0, place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::peek::{Scan, Step};

    fn new(by: By) -> Sticky {
        Sticky::new(by, Duration::ZERO)
    }

    fn client(by: By, bytes: &[u8]) -> Option<u64> {
        client_of(&new(by), bytes)
    }

    fn client_of(sticky: &Sticky, bytes: &[u8]) -> Option<u64> {
        let sought = sticky.sought().expect("something to look for");
        match Scan::new(sought.want, sought.proxy).look(bytes) {
            Step::Done(found) => sticky.found(&found).map(|client| client.0),
            Step::More(_) | Step::No(_) => None,
        }
    }

    fn best(sticky: &Sticky, client: Client, places: &[u32]) -> u32 {
        *places
            .iter()
            .max_by_key(|&&place| sticky.weight(client, place))
            .expect("a place")
    }

    #[test]
    fn a_client_is_who_has_the_same_value() {
        let get =
            |head: &str| format!("GET /?a=1&room=r%31 HTTP/1.1\r\n{head}\r\n\r\n").into_bytes();
        let cookie = new(By::Cookie("sid".into()));
        let one = client_of(&cookie, &get("Cookie: a=b; sid=one"));
        assert!(one.is_some());
        assert_eq!(one, client_of(&cookie, &get("X: y\r\ncookie: sid=\"one\"")));
        assert_ne!(one, client_of(&cookie, &get("Cookie: sid=two")));
        let header = new(By::Header("x-user".into()));
        assert_eq!(
            client_of(&header, &get("X-User: u")),
            client_of(&header, &get("x-user:u"))
        );
        let query = new(By::Query("room".into()));
        assert_eq!(
            client_of(&query, &get("A: b")),
            client_of(&query, b"POST /x?room=r1 HTTP/1.0\r\n\r\n")
        );
    }

    #[test]
    fn nobody_is_known_by_what_is_missing_or_empty() {
        let get = b"GET /?room= HTTP/1.1\r\nCookie: sid=; other=1\r\nX-User:\r\n\r\n";
        for by in [
            By::Cookie("sid".into()),
            By::Cookie("none".into()),
            By::Header("x-user".into()),
            By::Header("none".into()),
            By::Query("room".into()),
            By::Query("none".into()),
        ] {
            assert_eq!(client(by.clone(), get), None, "{by:?}");
        }
        assert_eq!(client(By::Proxy, b"PROXY UNKNOWN\r\n"), None);
        assert_eq!(client(By::Proxy, get), None);
    }

    #[test]
    fn an_address_is_one_client_from_every_port_and_in_both_families() {
        let sticky = new(By::Proxy);
        let told = client_of(&sticky, b"PROXY TCP4 192.0.2.1 192.0.2.2 5 6\r\n");
        assert!(told.is_some());
        assert_eq!(
            told,
            client_of(&sticky, b"PROXY TCP4 192.0.2.1 192.0.2.2 7 6\r\n")
        );
        let mapped = "::ffff:192.0.2.1".parse().expect("an address");
        assert_eq!(told, Some(sticky.at(mapped).0));
    }

    #[test]
    fn who_stays_keeps_the_clients_and_a_place_that_is_taken_again_gets_them_back() {
        let sticky = new(By::Ip);
        let mut moved = 0;
        for number in 0..1000_u32 {
            let client = sticky.at(IpAddr::from(number.to_be_bytes()));
            let before = best(&sticky, client, &[0, 1, 2, 3]);
            let after = best(&sticky, client, &[0, 1, 3]);
            assert!(before == after || before == 2);
            moved += u32::from(before != after);
            assert_eq!(best(&sticky, client, &[3, 2, 1, 0]), before);
        }
        // A quarter, give or take eight times what chance does.
        assert!((140..=360).contains(&moved), "{moved}");
    }

    #[test]
    fn two_primaries_rank_differently() {
        let (one, two) = (new(By::Ip), new(By::Ip));
        let differs = |number: u32| {
            let of = |sticky: &Sticky| {
                best(
                    sticky,
                    sticky.at(IpAddr::from(number.to_be_bytes())),
                    &[0, 1],
                )
            };
            of(&one) != of(&two)
        };
        assert!((0..128).any(differs));
    }
}
