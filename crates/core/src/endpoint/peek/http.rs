//! The head of an HTTP/1 request.
//!
//! As strict as Node's own parser is unless told otherwise: what two parsers could read in two ways
//! (a line that ends without a carriage return, a folded header, a space before a colon) is refused,
//! so nobody routes by something else than what the worker reads.

use std::borrow::Cow;

use memchr::memchr;

use super::Step;

/// The longest method there is any use for.
const METHOD_LIMIT: usize = 32;

/// Finds the end of a head. To be given the same bytes, and more, each time.
#[derive(Clone, Debug, Default)]
pub struct HttpScan {
    /// Where the line begins that is not complete yet.
    line: usize,
    /// Up to where there is no line feed in it.
    searched: usize,
    /// Where the request line is.
    request: Option<Request>,
}

#[derive(Clone, Copy, Debug)]
struct Request {
    start: usize,
    method: usize,
    target: (usize, usize),
    minor: u8,
    headers: usize,
}

/// The head of a request, in the bytes it was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpHead<'a> {
    /// `GET`.
    pub method: &'a [u8],
    /// What is asked for: `/path?query`, or in the other forms there are.
    pub target: &'a [u8],
    /// The number behind `HTTP/1.`.
    pub minor: u8,
    /// Bytes of the head, with those of empty lines in front and of the one behind.
    pub length: usize,
    /// The headers, each line with its end.
    headers: &'a [u8],
}

impl HttpScan {
    /// Looks at all that has come.
    pub fn look<'a>(&mut self, bytes: &'a [u8]) -> Step<HttpHead<'a>> {
        while let Some(found) = memchr(b'\n', bytes.get(self.searched..).unwrap_or_default()) {
            let end = self.searched + found;
            let Some(line) = bytes[self.line..end].strip_suffix(b"\r") else {
                return Step::No("a line of it does not end as lines of HTTP do");
            };
            match (self.request, line) {
                (None, b"") => {}
                (None, line) => match request(line, self.line, end + 1) {
                    Ok(request) => self.request = Some(request),
                    Err(why) => return Step::No(why),
                },
                (Some(request), b"") => {
                    return Step::Done(HttpHead {
                        method: &bytes[request.start..request.method],
                        target: &bytes[request.target.0..request.target.1],
                        minor: request.minor,
                        length: end + 1,
                        headers: &bytes[request.headers..self.line],
                    });
                }
                (Some(_), line) => {
                    if let Err(why) = header(line) {
                        return Step::No(why);
                    }
                }
            }
            self.line = end + 1;
            self.searched = self.line;
        }
        self.searched = self.searched.max(bytes.len());
        // What is no method is told at once: somebody who speaks another language may wait for us.
        let begun = bytes.get(self.line..).unwrap_or_default();
        if self.request.is_none()
            && begun != b"\r"
            && let Err(why) = method(begun)
        {
            return Step::No(why);
        }
        // A head ends in four bytes, of which as many may be there.
        Step::More(bytes.len() + 1)
    }
}

/// How many bytes the method has; all there are if the space behind it is missing.
fn method(line: &[u8]) -> Result<usize, &'static str> {
    let length = line
        .iter()
        .position(|byte| *byte == b' ')
        .unwrap_or(line.len());
    if length > METHOD_LIMIT
        || line.starts_with(b" ")
        || !line[..length].iter().copied().all(is_token)
    {
        return Err("it does not begin with a method of HTTP");
    }
    Ok(length)
}

fn request(line: &[u8], start: usize, headers: usize) -> Result<Request, &'static str> {
    let method = method(line)?;
    let rest = line
        .get(method + 1..)
        .ok_or("the first line is no request")?;
    let target = rest
        .iter()
        .position(|byte| *byte == b' ')
        .filter(|length| *length > 0)
        .ok_or("the first line is no request")?;
    if !rest[..target]
        .iter()
        .all(|byte| *byte > b' ' && *byte != 127)
    {
        return Err("there is a control character in what is asked for");
    }
    let minor = match &rest[target + 1..] {
        b"HTTP/1.0" => 0,
        b"HTTP/1.1" => 1,
        _ => return Err("it is no request of HTTP/1"),
    };
    let first = start + method + 1;
    Ok(Request {
        start,
        method: start + method,
        target: (first, first + target),
        minor,
        headers,
    })
}

fn header(line: &[u8]) -> Result<(), &'static str> {
    let colon = memchr(b':', line).ok_or("a header has no colon")?;
    if colon == 0 || !line[..colon].iter().copied().all(is_token) {
        return Err("the name of a header is none");
    }
    let is_text = |byte: &u8| *byte == b'\t' || *byte >= b' ' && *byte != 127;
    if !line[colon + 1..].iter().all(is_text) {
        return Err("there is a control character in a header");
    }
    Ok(())
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl<'a> HttpHead<'a> {
    /// The headers, name and value, in order.
    pub fn headers(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        self.headers
            .split(|byte| *byte == b'\n')
            .filter_map(|line| {
                let colon = memchr(b':', line)?;
                Some((&line[..colon], line[colon + 1..].trim_ascii()))
            })
    }

    /// The value of the first header of this name, in whatever case.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers()
            .find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// The value of the first cookie of this name, as it stands there, without quotes around it.
    pub fn cookie(&self, name: &str) -> Option<&'a [u8]> {
        self.headers()
            .filter(|(found, _)| found.eq_ignore_ascii_case(b"cookie"))
            .flat_map(|(_, value)| value.split(|byte| *byte == b';'))
            .find_map(|pair| {
                let equals = memchr(b'=', pair)?;
                let value = pair[equals + 1..].trim_ascii();
                let bare = value
                    .strip_prefix(b"\"")
                    .and_then(|it| it.strip_suffix(b"\""));
                (pair[..equals].trim_ascii() == name.as_bytes()).then_some(bare.unwrap_or(value))
            })
    }

    /// The value of the first parameter of this name in the query, decoded.
    pub fn query(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        let start = memchr(b'?', self.target)? + 1;
        let query = &self.target[start..];
        let query = &query[..memchr(b'#', query).unwrap_or(query.len())];
        query.split(|byte| *byte == b'&').find_map(|pair| {
            let equals = memchr(b'=', pair).unwrap_or(pair.len());
            let value = pair.get(equals + 1..).unwrap_or_default();
            (*decode(&pair[..equals]) == *name.as_bytes()).then(|| decode(value))
        })
    }
}

/// A text of a query: `+` is a space, `%41` an `A`. A percent sign that begins no byte is one.
fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|byte| matches!(byte, b'+' | b'%')) {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        rest = behind;
        decoded.push(match (first, behind) {
            (b'+', _) => b' ',
            (b'%', [high, low, behind @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    rest = behind;
                    high << 4 | low
                }
                _ => b'%',
            },
            _ => *first,
        });
    }
    Cow::Owned(decoded)
}

fn digit(byte: u8) -> Option<u8> {
    // A hexadecimal digit fits into a byte.
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::in_pieces;
    use super::*;

    fn whole(bytes: &[u8]) -> Step<HttpHead<'_>> {
        HttpScan::default().look(bytes)
    }

    fn found(bytes: &[u8]) -> HttpHead<'_> {
        match whole(bytes) {
            Step::Done(head) => head,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_head_is_found_with_all_that_is_in_it() {
        let bytes = b"\r\nPOST /a/b?x=1&na%6de=a+b%2Fc&bad=%4 HTTP/1.1\r\nHost: a.example\r\n\
            X-Empty:\r\nCookie: a=1; session=\"s e\"; a=2\r\nx-tenant: \t blue \r\n\
            cookie: late=3;=;x\r\n\r\nGET / HTTP/1.1\r\n\r\n";
        let head = found(bytes);
        assert_eq!((head.method, head.minor), (&b"POST"[..], 1));
        assert_eq!(head.target, b"/a/b?x=1&na%6de=a+b%2Fc&bad=%4");
        assert_eq!(head.length, bytes.len() - 18);
        assert_eq!(head.headers().count(), 5);
        assert_eq!(head.header("host"), Some(&b"a.example"[..]));
        assert_eq!(head.header("X-TENANT"), Some(&b"blue"[..]));
        assert_eq!(head.header("x-empty"), Some(&b""[..]));
        assert_eq!(head.header("x"), None);
        assert_eq!(head.cookie("session"), Some(&b"s e"[..]));
        assert_eq!(head.cookie("a"), Some(&b"1"[..]));
        assert_eq!(head.cookie("late"), Some(&b"3"[..]));
        assert_eq!(head.cookie("x"), None);
        assert_eq!(head.query("name").as_deref(), Some(&b"a b/c"[..]));
        assert_eq!(head.query("bad").as_deref(), Some(&b"%4"[..]));
        assert_eq!(head.query("y"), None);
        let head = found(b"OPTIONS * HTTP/1.0\r\n\r\n");
        assert_eq!((head.target, head.headers().count()), (&b"*"[..], 0));
    }

    #[test]
    fn what_is_no_head_is_told_as_soon_as_it_can_be() {
        let table: [&[u8]; 19] = [
            b"\x16\x03\x01",
            b"\0",
            b" ",
            b"GET\t/",
            b"\r\n\r\n\0\r\nQUIT\n",
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG",
            b"PRI * HTTP/2.0\r\n",
            b"GET /\r\n",
            b"GET  HTTP/1.1\r\n",
            b"GET /a b HTTP/1.1\r\n",
            b"GET / HTTP/1.2\r\n",
            b"GET / HTTP/1.1\n",
            b"GET /\x7f HTTP/1.1\r\n",
            b"GET / HTTP/1.1\r\nA : b\r\n",
            b"GET / HTTP/1.1\r\nA: b\r\n c\r\n",
            b"GET / HTTP/1.1\r\nA\r\n",
            b"GET / HTTP/1.1\r\n: b\r\n",
            b"GET / HTTP/1.1\r\nA: b\0\r\n",
            b"GET / HTTP/1.1\r\nA: b\rc\r\n",
        ];
        for bytes in table {
            assert!(matches!(whole(bytes), Step::No(_)), "{bytes:?}");
        }
        assert_eq!(whole(b""), Step::More(1));
        assert_eq!(whole(b"\r"), Step::More(2));
        assert_eq!(whole(b"GET / HTTP/1.1\r\nA: b\r\n\r"), Step::More(24));
    }

    proptest! {
        #[test]
        fn bytes_in_any_pieces_come_to_the_same(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..200),
                "(\r\n)?(GET|P) /[a-z?=&%]{0,9} HTTP/1.[01]\r\n([A-Za-z-]{1,3}:[ -~\t]{0,9}\r\n){0,4}\r\n[a\r\n]{0,3}"
                    .prop_map(String::into_bytes),
            ],
            sizes in prop::collection::vec(1_usize..9, 1..400),
        ) {
            let at_once = whole(&bytes);
            let mut scan = HttpScan::default();
            let pieces = in_pieces(&bytes, &sizes, |bytes| scan.look(bytes));
            match (pieces, at_once) {
                // For another reason, perhaps: the end of a bad line has not come.
                (Some(Step::No(_)), at_once) => prop_assert!(matches!(at_once, Step::No(_))),
                (Some(pieces), at_once) => prop_assert_eq!(pieces, at_once),
                (None, at_once) => prop_assert!(matches!(at_once, Step::More(_))),
            }
        }
    }
}
