//! The PROXY protocol, versions 1 and 2: what a load balancer writes in front of a connection to say
//! whose it is.
//!
//! By <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>. Anybody can write it, so it is
//! to be believed only where nobody but the load balancer connects.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use memchr::memchr;

use super::Step;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const V2_HEAD: usize = 16;
/// The longest line of version 1, its end included.
const V1_LIMIT: usize = 107;

/// Whose a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyHead {
    /// 1 or 2.
    pub version: u8,
    /// Who has connected to the load balancer. `None` if it does not say, or connects for itself.
    pub source: Option<SocketAddr>,
    /// What that one has connected to.
    pub destination: Option<SocketAddr>,
    /// Bytes of it: what the client has sent begins behind them.
    pub length: usize,
}

/// Looks at all that has come.
pub fn look(bytes: &[u8]) -> Step<ProxyHead> {
    const NO: &str = "it does not begin as the PROXY protocol does";
    match bytes.first() {
        None => Step::More(1),
        Some(b'\r') => match bytes.first_chunk::<12>() {
            Some(SIGNATURE) => v2(bytes),
            Some(_) => Step::No(NO),
            None if SIGNATURE.starts_with(bytes) => Step::More(V2_HEAD),
            None => Step::No(NO),
        },
        Some(_) if bytes.starts_with(b"PROXY ") => v1(bytes),
        Some(_) if b"PROXY ".starts_with(bytes) => Step::More(b"PROXY UNKNOWN\r\n".len()),
        Some(_) => Step::No(NO),
    }
}

fn v1(bytes: &[u8]) -> Step<ProxyHead> {
    let Some(end) = memchr(b'\n', &bytes[..bytes.len().min(V1_LIMIT)]) else {
        return match bytes.len() {
            ..V1_LIMIT => Step::More(bytes.len() + 1),
            _ => Step::No("the line of the PROXY protocol is too long"),
        };
    };
    let addresses = str::from_utf8(&bytes[..end])
        .ok()
        .and_then(|line| line.strip_suffix('\r'))
        .and_then(addresses);
    match addresses {
        Some(addresses) => Step::Done(ProxyHead {
            version: 1,
            source: addresses.map(|(source, _)| source),
            destination: addresses.map(|(_, destination)| destination),
            length: end + 1,
        }),
        None => Step::No("the line of the PROXY protocol is malformed"),
    }
}

/// What a line says; `None` if it breaks the rules.
fn addresses(line: &str) -> Option<Option<(SocketAddr, SocketAddr)>> {
    let mut words = line.strip_prefix("PROXY ")?.split(' ');
    let is_v4 = match words.next()? {
        // Whatever follows.
        "UNKNOWN" => return Some(None),
        "TCP4" => true,
        "TCP6" => false,
        _ => return None,
    };
    let mut address = || {
        let address: IpAddr = words.next()?.parse().ok()?;
        (address.is_ipv4() == is_v4).then_some(address)
    };
    let (source, destination) = (address()?, address()?);
    let mut port = || {
        let word = words.next()?;
        let good = word.bytes().all(|byte| byte.is_ascii_digit());
        // Without zeros in front, but for zero itself.
        let good = good && (word == "0" || !word.starts_with('0'));
        word.parse::<u16>().ok().filter(|_| good)
    };
    let (from, to) = (port()?, port()?);
    if words.next().is_some() {
        return None;
    }
    let pair = (
        SocketAddr::new(source, from),
        SocketAddr::new(destination, to),
    );
    Some(Some(pair))
}

fn v2(bytes: &[u8]) -> Step<ProxyHead> {
    let Some(head) = bytes.first_chunk::<V2_HEAD>() else {
        return Step::More(V2_HEAD);
    };
    let [.., command, family, high, low] = *head;
    if command >> 4 != 2 || command & 15 > 1 {
        return Step::No("it is a version or a command of the PROXY protocol that nobody knows");
    }
    let length = V2_HEAD + usize::from(u16::from_be_bytes([high, low]));
    let Some(block) = bytes.get(V2_HEAD..length) else {
        return Step::More(length);
    };
    // Behind the addresses is what nobody here asks for.
    let addresses = match family >> 4 {
        _ if command & 15 == 0 => None,
        1 => match block.first_chunk::<12>() {
            Some([a, b, c, d, e, f, g, h, ports @ ..]) => Some((
                IpAddr::V4(Ipv4Addr::new(*a, *b, *c, *d)),
                IpAddr::V4(Ipv4Addr::new(*e, *f, *g, *h)),
                *ports,
            )),
            None => return Step::No("the PROXY protocol's addresses are cut off"),
        },
        2 => match (
            block.first_chunk::<16>(),
            block.get(16..).and_then(<[u8]>::first_chunk::<16>),
            block.get(32..).and_then(<[u8]>::first_chunk::<4>),
        ) {
            (Some(source), Some(destination), Some(ports)) => Some((
                IpAddr::V6(Ipv6Addr::from(*source)),
                IpAddr::V6(Ipv6Addr::from(*destination)),
                *ports,
            )),
            _ => return Step::No("the PROXY protocol's addresses are cut off"),
        },
        // Unspecified, or a UNIX socket, whose path tells nothing of a client.
        0 | 3 => None,
        _ => return Step::No("it is a family of the PROXY protocol that nobody knows"),
    };
    let port = |high, low| u16::from_be_bytes([high, low]);
    let pair = addresses.map(|(source, destination, [a, b, c, d])| {
        (
            SocketAddr::new(source, port(a, b)),
            SocketAddr::new(destination, port(c, d)),
        )
    });
    Step::Done(ProxyHead {
        version: 2,
        source: pair.map(|(source, _)| source),
        destination: pair.map(|(_, destination)| destination),
        length,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn done(
        version: u8,
        source: Option<&str>,
        destination: Option<&str>,
        length: usize,
    ) -> Step<ProxyHead> {
        Step::Done(ProxyHead {
            version,
            source: source.map(|text| text.parse().unwrap()),
            destination: destination.map(|text| text.parse().unwrap()),
            length,
        })
    }

    fn v2_of(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend((block.len() as u16).to_be_bytes());
        bytes.extend(block);
        bytes
    }

    #[test]
    fn lines_of_version_1_are_read() {
        let line = b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\nGET / HTTP/1.1\r\n";
        let expected = done(1, Some("192.0.2.1:56324"), Some("198.51.100.7:443"), 45);
        assert_eq!(look(line), expected);
        let line = b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n";
        let expected = done(1, Some("[2001:db8::1]:1"), Some("[::1]:65535"), line.len());
        assert_eq!(look(line), expected);
        assert_eq!(look(b"PROXY UNKNOWN\r\n"), done(1, None, None, 15));
        assert_eq!(look(b"PROXY UNKNOWN a b\r\n"), done(1, None, None, 19));
        let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(91));
        assert_eq!(look(longest.as_bytes()), done(1, None, None, 107));
    }

    #[test]
    fn blocks_of_version_2_are_read() {
        let v4 = [192, 0, 2, 1, 198, 51, 100, 7, 0xdc, 4, 1, 187, 4, 0, 1, 9];
        let expected = done(2, Some("192.0.2.1:56324"), Some("198.51.100.7:443"), 32);
        assert_eq!(look(&v2_of(0x21, 0x11, &v4)), expected);
        let mut v6 = [0; 36];
        (v6[15], v6[31], v6[33], v6[35]) = (1, 2, 3, 4);
        let expected = done(2, Some("[::1]:3"), Some("[::2]:4"), 52);
        assert_eq!(look(&v2_of(0x21, 0x21, &v6)), expected);
        for (command, family) in [(0x20, 0x11), (0x20, 0), (0x21, 0), (0x21, 0x31)] {
            let expected = done(2, None, None, 32);
            assert_eq!(look(&v2_of(command, family, &v4)), expected);
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
        let v2 = [
            v2_of(0x11, 0x11, &[0; 12]),
            v2_of(0x22, 0x11, &[0; 12]),
            v2_of(0x21, 0x11, &[0; 11]),
            v2_of(0x21, 0x21, &[0; 35]),
            v2_of(0x21, 0x41, &[0; 36]),
        ];
        let lines: [&[u8]; 14] = [
            b"G",
            b"PROXX",
            b"\r\n\r\nG",
            long.as_bytes(),
            b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.7 56324\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443 1\r\n",
            b"PROXY TCP4 192.0.2.1  198.51.100.7 56324 443\r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP6 1.2.3.4 ::1 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
            b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
        ];
        for bytes in lines.into_iter().chain(v2.iter().map(|block| &block[..])) {
            assert!(matches!(look(bytes), Step::No(_)), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn every_part_of_it_wants_more_and_the_rest_changes_nothing(
            command in prop_oneof![Just(0x21_u8), Just(0x20_u8), any::<u8>()],
            family in prop_oneof![Just(0x11_u8), Just(0x21_u8), any::<u8>()],
            block in prop::collection::vec(any::<u8>(), 0..60),
            behind in prop::collection::vec(any::<u8>(), 0..9),
        ) {
            let mut bytes = v2_of(command, family, &block);
            let whole = look(&bytes);
            for end in 0..bytes.len() {
                match look(&bytes[..end]) {
                    Step::More(least) => prop_assert!(least > end && least <= bytes.len()),
                    other => prop_assert_eq!(&other, &whole),
                }
            }
            bytes.extend(behind);
            prop_assert_eq!(look(&bytes), whole);
        }

        #[test]
        fn no_line_panics_and_its_parts_want_more(line in "PROXY (TCP4|TCP6|UNKNOWN|X) ?[0-9:. \\r\\n]{0,120}") {
            let bytes = line.as_bytes();
            let whole = look(bytes);
            for end in 0..bytes.len() {
                match look(&bytes[..end]) {
                    Step::More(least) => prop_assert!(least > end),
                    other => prop_assert_eq!(&other, &whole),
                }
            }
        }
    }
}
