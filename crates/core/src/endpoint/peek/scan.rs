//! What is looked for, over bytes that grow.

use super::Step;
use super::http::{HttpHead, HttpScan};
use super::proxy::{self, ProxyHead};
use super::tls::{ClientHello, TlsScan};

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// The head of an HTTP/1 request.
    Http,
    /// A TLS ClientHello.
    Tls,
    /// The PROXY protocol, and nothing behind it.
    Proxy,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found<'a> {
    /// What stood in front of it, if that was looked for.
    pub proxy: Option<ProxyHead>,
    /// The head of a request, if that was.
    pub http: Option<HttpHead<'a>>,
    /// A ClientHello, if that was.
    pub tls: Option<ClientHello>,
}

/// Looks for one thing, perhaps with the PROXY protocol in front of it.
#[derive(Clone, Debug)]
pub struct Scan {
    want: Want,
    /// The PROXY protocol has to come, and has not come whole.
    awaits_proxy: bool,
    proxy: Option<ProxyHead>,
    http: HttpScan,
    tls: TlsScan,
}

impl Scan {
    /// Looks for `want`; with `proxy`, behind the PROXY protocol, which has to be there.
    pub fn new(want: Want, proxy: bool) -> Scan {
        Scan {
            want,
            awaits_proxy: proxy || want == Want::Proxy,
            proxy: None,
            http: HttpScan::default(),
            tls: TlsScan::default(),
        }
    }

    /// Looks at all that has come: the same bytes as before, and more.
    pub fn look<'a>(&mut self, bytes: &'a [u8]) -> Step<Found<'a>> {
        if self.awaits_proxy {
            match proxy::look(bytes) {
                Step::Done(found) => self.proxy = Some(found),
                Step::More(least) => return Step::More(least),
                Step::No(why) => return Step::No(why),
            }
            self.awaits_proxy = false;
        }
        let proxy = self.proxy;
        let front = proxy.map_or(0, |proxy| proxy.length);
        let rest = bytes.get(front..).unwrap_or_default();
        let found = Found {
            proxy,
            http: None,
            tls: None,
        };
        let step = match self.want {
            Want::Proxy => Step::Done(found),
            Want::Http => self.http.look(rest).map(|http| Found {
                http: Some(http),
                ..found
            }),
            Want::Tls => self.tls.look(rest).map(|tls| Found {
                tls: Some(tls),
                ..found
            }),
        };
        match step {
            Step::More(least) => Step::More(front + least),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_the_proxy_protocol_is_found() {
        let bytes = b"PROXY TCP4 192.0.2.1 192.0.2.2 5 6\r\nGET / HTTP/1.1\r\nA: b\r\n\r\nrest";
        let mut scan = Scan::new(Want::Http, true);
        for end in 0..bytes.len() - 4 {
            let Step::More(least) = scan.look(&bytes[..end]) else {
                panic!("{end}")
            };
            assert!(least > end && least <= bytes.len() - 4);
        }
        let Step::Done(found) = scan.look(bytes) else {
            panic!("all of it")
        };
        assert_eq!(found.proxy.unwrap().source, "192.0.2.1:5".parse().ok());
        assert_eq!(found.http.unwrap().header("a"), Some(&b"b"[..]));
        // Without a word on it, it is no request.
        assert!(matches!(
            Scan::new(Want::Http, false).look(bytes),
            Step::No(_)
        ));
        let Step::Done(found) = Scan::new(Want::Proxy, false).look(bytes) else {
            panic!("the first line")
        };
        assert!(found.http.is_none() && found.proxy.is_some());
    }
}
