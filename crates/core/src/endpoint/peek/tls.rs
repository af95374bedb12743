//! A TLS ClientHello: the name that a client asks for, and the protocols it offers behind TLS.
//!
//! By RFC 8446 (4.1.2, 5.1), RFC 6066 (3) and RFC 7301. The message may be cut into records as the
//! client likes. Nothing is decrypted, and nothing is believed: it is what the client says.

use super::Step;

const RECORD_HEAD: usize = 5;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
/// The longest record that is not encrypted.
const RECORD_LIMIT: usize = 1 << 14;
/// The longest name of a host.
const NAME_LIMIT: usize = 255;

const CUT: &str = "the ClientHello's parts do not fit into it";

/// What a client says first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientHello {
    /// The host it wants (SNI), in small letters; none if it does not say.
    pub server_name: Option<Box<str>>,
    /// The protocols it offers (ALPN), the best first: `h2`, `http/1.1`.
    pub alpn: Vec<Box<[u8]>>,
    /// Bytes of the records it came in.
    pub length: usize,
}

/// Puts the message together. To be given the same bytes, and more, each time.
#[derive(Clone, Debug, Default)]
pub struct TlsScan {
    /// Where the first record begins that has not come whole.
    at: usize,
    /// What the records before it hold.
    message: Vec<u8>,
}

impl TlsScan {
    /// Looks at all that has come.
    pub fn look(&mut self, bytes: &[u8]) -> Step<ClientHello> {
        loop {
            let rest = bytes.get(self.at..).unwrap_or_default();
            let length = match record(rest, self.at == 0) {
                Step::More(least) => return Step::More(self.at + least),
                Step::No(why) => return Step::No(why),
                Step::Done(length) => length,
            };
            let Some(payload) = rest.get(RECORD_HEAD..RECORD_HEAD + length) else {
                // Its first byte says whether it is worth waiting for.
                let first = rest.get(RECORD_HEAD).filter(|_| self.message.is_empty());
                return match first {
                    Some(&first) if first != CLIENT_HELLO => Step::No(NOT_CLIENT_HELLO),
                    _ => Step::More(self.at + RECORD_HEAD + length),
                };
            };
            self.message.extend_from_slice(payload);
            self.at += RECORD_HEAD + length;
            match self.message[..] {
                [CLIENT_HELLO, a, b, c, ref body @ ..] => {
                    let length = u32::from_be_bytes([0, a, b, c]) as usize;
                    if let Some(body) = body.get(..length) {
                        return hello(body, self.at);
                    }
                }
                [first, ..] if first != CLIENT_HELLO => return Step::No(NOT_CLIENT_HELLO),
                _ => {}
            }
        }
    }
}

const NOT_CLIENT_HELLO: &str = "it is not a ClientHello that TLS begins with here";

/// How long the payload of a record is.
fn record(bytes: &[u8], first: bool) -> Step<usize> {
    let no = if first {
        "it does not begin as TLS does"
    } else {
        "a record of another kind comes before the end of the ClientHello"
    };
    for (index, byte) in bytes.iter().take(2).enumerate() {
        if *byte != [HANDSHAKE, 3][index] {
            return Step::No(no);
        }
    }
    let Some([_, _, minor, high, low]) = bytes.first_chunk::<RECORD_HEAD>() else {
        return Step::More(RECORD_HEAD);
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if *minor > 4 || length == 0 || length > RECORD_LIMIT {
        return Step::No(no);
    }
    Step::Done(length)
}

fn hello(body: &[u8], length: usize) -> Step<ClientHello> {
    match parse(body) {
        Ok(hello) => Step::Done(ClientHello { length, ..hello }),
        Err(why) => Step::No(why),
    }
}

/// What is left of something that is read from its front.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(CUT)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, &'static str> {
        self.take(1).map(|taken| taken[0])
    }

    fn word(&mut self) -> Result<u16, &'static str> {
        self.take(2)
            .map(|taken| u16::from_be_bytes([taken[0], taken[1]]))
    }

    /// What stands behind its own length of one byte.
    fn short(&mut self) -> Result<Rest<'a>, &'static str> {
        let length = self.byte()?;
        self.take(length.into()).map(Rest)
    }

    /// What stands behind its own length of two bytes.
    fn long(&mut self) -> Result<Rest<'a>, &'static str> {
        let length = self.word()?;
        self.take(length.into()).map(Rest)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn parse(body: &[u8]) -> Result<ClientHello, &'static str> {
    let mut hello = ClientHello::default();
    let mut body = Rest(body);
    // Version, random; session, ciphers, compressions.
    body.take(2 + 32)?;
    body.short()?;
    body.long()?;
    body.short()?;
    // Old clients have no extensions.
    if body.is_empty() {
        return Ok(hello);
    }
    let mut extensions = body.long()?;
    if !body.is_empty() {
        return Err(CUT);
    }
    let (mut names, mut protocols) = (0, 0);
    while !extensions.is_empty() {
        let kind = extensions.word()?;
        let mut extension = extensions.long()?;
        match kind {
            0 => {
                names += 1;
                hello.server_name = Some(server_name(&mut extension)?);
            }
            16 => {
                protocols += 1;
                let mut list = extension.long()?;
                while !list.is_empty() {
                    let protocol = list.short()?;
                    if protocol.is_empty() {
                        return Err("the ClientHello offers a protocol without a name");
                    }
                    hello.alpn.push(protocol.0.into());
                }
            }
            _ => {}
        }
    }
    // Two readers might take a different one of the two.
    if names > 1 || protocols > 1 {
        return Err("the ClientHello says a thing twice");
    }
    Ok(hello)
}

fn server_name(extension: &mut Rest<'_>) -> Result<Box<str>, &'static str> {
    const BAD: &str = "the ClientHello's name of a host is none";
    let mut list = extension.long()?;
    // There is only one kind of name, and one name of a kind.
    if list.byte()? != 0 {
        return Err(BAD);
    }
    let name = list.long()?.0;
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_".contains(byte);
    if name.is_empty() || name.len() > NAME_LIMIT || !name.iter().all(good) || !list.is_empty() {
        return Err(BAD);
    }
    // Ours, if it is ASCII, is UTF-8.
    let name = str::from_utf8(name).map_err(|_| BAD)?;
    Ok(name.to_ascii_lowercase().into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::in_pieces;
    use super::*;

    fn long(bytes: &[u8]) -> Vec<u8> {
        let mut out = (bytes.len() as u16).to_be_bytes().to_vec();
        out.extend(bytes);
        out
    }

    fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
        let mut out = kind.to_be_bytes().to_vec();
        out.extend(long(content));
        out
    }

    fn sni(name: &[u8]) -> Vec<u8> {
        let mut entry = vec![0];
        entry.extend(long(name));
        extension(0, &long(&entry))
    }

    fn alpn(names: &[&[u8]]) -> Vec<u8> {
        let mut list = Vec::new();
        for name in names {
            list.push(name.len() as u8);
            list.extend(*name);
        }
        extension(16, &long(&list))
    }

    /// The message, with these extensions.
    fn message(extensions: Option<&[u8]>) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([2, 8, 9]);
        body.extend(long(&[0x13, 1, 0x13, 2]));
        body.extend([1, 0]);
        if let Some(extensions) = extensions {
            body.extend(long(extensions));
        }
        let mut message = vec![CLIENT_HELLO, 0];
        message.extend(long(&body));
        message
    }

    /// The same in records of this size.
    fn records(message: &[u8], size: usize) -> Vec<u8> {
        let record = |part: &[u8]| [&[HANDSHAKE, 3, 1][..], &long(part)].concat();
        message.chunks(size).flat_map(record).collect()
    }

    fn whole(bytes: &[u8]) -> Step<ClientHello> {
        TlsScan::default().look(bytes)
    }

    #[test]
    fn the_name_and_the_protocols_are_found_however_the_message_is_cut() {
        let grease = extension(0x2a2a, &[0]);
        let all = [grease, sni(b"A-b.Example"), alpn(&[b"h2", b"http/1.1"])].concat();
        let message = message(Some(&all));
        for size in [1, 2, 5, 40, 4096] {
            let mut bytes = records(&message, size);
            let length = bytes.len();
            bytes.extend(b"what follows");
            let Step::Done(hello) = whole(&bytes) else {
                panic!("in records of {size}")
            };
            assert_eq!(hello.server_name.as_deref(), Some("a-b.example"));
            assert_eq!(hello.alpn, [b"h2"[..].into(), b"http/1.1"[..].into()]);
            assert_eq!(hello.length, length);
        }
    }

    #[test]
    fn what_a_client_does_not_say_is_not_there() {
        for extensions in [None, Some(&[][..]), Some(&extension(43, &[2, 3, 4])[..])] {
            let bytes = records(&message(extensions), 4096);
            let length = bytes.len();
            let expected = ClientHello {
                length,
                ..ClientHello::default()
            };
            assert_eq!(whole(&bytes), Step::Done(expected));
        }
    }

    #[test]
    fn what_is_none_is_told_as_soon_as_it_can_be() {
        let twice = [sni(b"a"), sni(b"a")].concat();
        let two_names = extension(0, &long(&[0, 0, 1, b'a', 0, 0, 1, b'b']));
        let mut trailing = message(None);
        trailing[3] += 1;
        trailing.push(0);
        let inside = [
            records(&message(Some(&twice)), 4096),
            records(&message(Some(&two_names)), 4096),
            records(&message(Some(&sni(b""))), 4096),
            records(&message(Some(&sni(b"a b"))), 4096),
            records(&message(Some(&sni(&[b'a'; 256]))), 4096),
            records(&message(Some(&alpn(&[b""]))), 4096),
            records(&message(Some(&[0, 0, 0, 9])), 4096),
            records(&trailing, 4096),
            [records(&message(None)[..9], 9), vec![21]].concat(),
        ];
        let first: [&[u8]; 8] = [
            b"G",
            b"\x16G",
            b"\x16\x02",
            b"\x16\x03\x05\0\x09",
            b"\x16\x03\x01\0\0",
            b"\x16\x03\x01\x40\x01",
            b"\x16\x03\x01\0\x09\x02",
            // An SSL 2 hello.
            b"\x80\x2e\x01",
        ];
        let inside = inside.iter().map(|bytes| &bytes[..]);
        for bytes in first.into_iter().chain(inside) {
            assert!(matches!(whole(bytes), Step::No(_)), "{bytes:?}");
        }
        assert_eq!(whole(b""), Step::More(5));
        assert_eq!(whole(b"\x16\x03\x01\x02\0"), Step::More(517));
    }

    proptest! {
        #[test]
        fn bytes_in_any_pieces_come_to_the_same(
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            size in 1_usize..200,
            sizes in prop::collection::vec(1_usize..40, 1..50),
        ) {
            let all = [sni(b"a.example"), alpn(&[b"h2"])].concat();
            let mut bytes = records(&message(Some(&all)), size);
            for (index, byte) in flips {
                let index = index.index(bytes.len());
                bytes[index] = byte;
            }
            let at_once = whole(&bytes);
            let mut scan = TlsScan::default();
            let pieces = in_pieces(&bytes, &sizes, |bytes| scan.look(bytes));
            match (pieces, at_once) {
                (Some(pieces), at_once) => prop_assert_eq!(pieces, at_once),
                (None, at_once) => prop_assert!(matches!(at_once, Step::More(_))),
            }
        }
    }
}
