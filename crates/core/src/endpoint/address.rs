//! The text of an endpoint, and what it stands for.
//!
//! A scheme, a colon and the rest. Nothing is decoded: a path is the path it looks like, `%20` and
//! all. What is no address, or more than one, is refused with a text that says what to write.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};

use crate::name::{Name, NameError};

/// The longest text of an endpoint: the longest path there is, and its scheme.
const LIMIT: usize = 4096 + 32;
/// The longest name of an abstract socket. The system has 108 bytes, and the first is zero.
pub const ABSTRACT_LIMIT: usize = 107;
/// The longest name of a pipe, `\\.\pipe\` in front of it not counted.
const PIPE_LIMIT: usize = 247;
/// How much of a text that is wrong is shown.
const SHOWN: usize = 120;

const SCHEMES: &str = "rsipc:name, unix:/path, unix:@abstract, unix+seqpacket:, unix+dgram:, \
                       tcp://host:port, tls://, udp://, fifo:/path, pipe:name, file:/dir/, \
                       systemd:, stdio:";

/// Where a server listens and a client connects.
///
/// ```
/// use rsipc_core::Endpoint;
///
/// let endpoint = Endpoint::parse("unix:/run/app.sock")?;
/// assert!(matches!(endpoint, Endpoint::Unix { .. }));
/// assert_eq!(endpoint.to_string(), "unix:/run/app.sock");
///
/// let error = Endpoint::parse("/run/app.sock").unwrap_err();
/// assert!(error.to_string().ends_with("write \"unix:/run/app.sock\""));
/// # Ok::<(), rsipc_core::endpoint::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// `rsipc:name`: a name in this user's private run directory.
    Name(Name),
    /// `unix:`, `unix+seqpacket:`, `unix+dgram:`.
    Unix {
        /// What kind of socket.
        kind: UnixKind,
        /// Where it is.
        address: UnixAddress,
    },
    /// `tcp://host:port`.
    Tcp(Host),
    /// `tls://host:port`.
    Tls(Host),
    /// `udp://host:port`.
    Udp(Host),
    /// `fifo:/path`.
    Fifo(PathBuf),
    /// `pipe:name`, a named pipe of Windows.
    Pipe(Box<str>),
    /// `file:/dir/`: a directory in which each message is a file.
    Directory(PathBuf),
    /// `systemd:` or `systemd:name`: a socket that was opened for this process before it began,
    /// the only one or the one of this name.
    Activated(Option<Name>),
    /// `stdio:`: what this process was started with.
    Stdio,
}

/// The kinds of UNIX socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnixKind {
    /// Bytes, connected.
    Stream,
    /// Messages, connected.
    Seqpacket,
    /// Messages, not connected.
    Datagram,
}

/// Where a UNIX socket is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UnixAddress {
    /// In a directory. A relative path means what it means when it is used.
    Path(PathBuf),
    /// In the namespace of its own that Linux has, where nothing belongs to anybody.
    Abstract(Box<[u8]>),
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    /// A name, or an address without the brackets that an IPv6 address is written in.
    pub name: Box<str>,
    /// 0 lets the system choose where one listens.
    pub port: u16,
}

impl Endpoint {
    /// What a text stands for.
    pub fn parse(text: &str) -> Result<Endpoint, AddressError> {
        parse(text).map_err(|problem| AddressError {
            text: shown(text),
            problem,
        })
    }

    /// A UNIX stream socket at this path.
    pub fn unix(path: impl Into<PathBuf>) -> Endpoint {
        Endpoint::Unix {
            kind: UnixKind::Stream,
            address: UnixAddress::Path(path.into()),
        }
    }
}

impl std::str::FromStr for Endpoint {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Endpoint, AddressError> {
        Endpoint::parse(text)
    }
}

fn parse(text: &str) -> Result<Endpoint, Problem> {
    if text.len() > LIMIT {
        return Err(Problem::TooLong { limit: LIMIT });
    }
    if text.contains('\0') {
        return Err(Problem::Nul);
    }
    let Some((scheme, rest)) = text.split_once(':') else {
        return Err(without_scheme(text));
    };
    let unix = |kind| {
        Ok(Endpoint::Unix {
            kind,
            address: unix_address(scheme, rest)?,
        })
    };
    match scheme {
        "rsipc" => Name::parse(rest).map(Endpoint::Name).map_err(Problem::Name),
        "unix" => unix(UnixKind::Stream),
        "unix+seqpacket" => unix(UnixKind::Seqpacket),
        "unix+dgram" => unix(UnixKind::Datagram),
        "tcp" => host(scheme, rest).map(Endpoint::Tcp),
        "tls" => host(scheme, rest).map(Endpoint::Tls),
        "udp" => host(scheme, rest).map(Endpoint::Udp),
        "fifo" => file_path(scheme, rest).map(Endpoint::Fifo),
        "file" => path(scheme, rest).map(Endpoint::Directory),
        "pipe" => pipe(rest),
        "systemd" if rest.is_empty() => Ok(Endpoint::Activated(None)),
        "systemd" => match Name::parse(rest) {
            Ok(name) => Ok(Endpoint::Activated(Some(name))),
            Err(error) => Err(Problem::Name(error)),
        },
        "stdio" if rest.is_empty() => Ok(Endpoint::Stdio),
        "stdio" => Err(Problem::Rest { wanted: "stdio:" }),
        _ if scheme.starts_with(['/', '.', '@']) => Err(without_scheme(text)),
        _ => Err(Problem::UnknownScheme),
    }
}

/// What is wrong with a text that has no scheme, with what was probably meant.
fn without_scheme(text: &str) -> Problem {
    let meant = if text.is_empty() {
        None
    } else if text.contains(['/', '@']) {
        Some("unix:")
    } else {
        Name::parse(text).is_ok().then_some("rsipc:")
    };
    Problem::NoScheme { meant }
}

fn unix_address(scheme: &str, rest: &str) -> Result<UnixAddress, Problem> {
    match rest.strip_prefix('@') {
        Some("") => Err(Problem::Empty { what: "name" }),
        Some(name) if name.len() > ABSTRACT_LIMIT => Err(Problem::TooLong {
            limit: ABSTRACT_LIMIT,
        }),
        Some(name) => Ok(UnixAddress::Abstract(name.as_bytes().into())),
        None => file_path(scheme, rest).map(UnixAddress::Path),
    }
}

/// A path whose last component is a name.
fn file_path(scheme: &str, rest: &str) -> Result<PathBuf, Problem> {
    let path = path(scheme, rest)?;
    // `file_name` overlooks a slash, and a dot behind one.
    if rest.ends_with('/') || rest.ends_with("/.") || path.file_name().is_none() {
        return Err(Problem::NoFileName);
    }
    Ok(path)
}

fn path(scheme: &str, rest: &str) -> Result<PathBuf, Problem> {
    if rest.is_empty() {
        return Err(Problem::Empty { what: "path" });
    }
    // As a URL, `unix://run/app` names the host `run`; three slashes name none.
    if rest.starts_with("//") && !rest.starts_with("///") {
        return Err(Problem::HostInPath {
            scheme: static_scheme(scheme),
        });
    }
    Ok(PathBuf::from(rest.strip_prefix("//").unwrap_or(rest)))
}

fn static_scheme(scheme: &str) -> &'static str {
    ["unix", "unix+seqpacket", "unix+dgram", "fifo", "file"]
        .into_iter()
        .find(|known| *known == scheme)
        .unwrap_or("unix")
}

fn host(scheme: &str, rest: &str) -> Result<Host, Problem> {
    let wanted = match scheme {
        "tls" => "tls://host:port",
        "udp" => "udp://host:port",
        _ => "tcp://host:port",
    };
    let Some(rest) = rest.strip_prefix("//") else {
        return Err(Problem::Rest { wanted });
    };
    // What a URL can have besides, and an endpoint cannot.
    if rest.contains(['/', '?', '#', '@']) {
        return Err(Problem::Rest { wanted });
    }
    let (name, port) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (name, rest) = rest.split_once(']').ok_or(Problem::Host)?;
            (name, rest.strip_prefix(':'))
        }
        None => match rest.rsplit_once(':') {
            // An IPv6 address without brackets could end anywhere.
            Some((name, _)) if name.contains(':') => return Err(Problem::Brackets),
            Some((name, port)) => (name, Some(port)),
            None => (rest, None),
        },
    };
    let named = !rest.starts_with('[');
    if name.is_empty() {
        return Err(Problem::Empty { what: "host" });
    }
    let good = if named { is_host(name) } else { is_v6(name) };
    if !good {
        return Err(Problem::Host);
    }
    let port = port
        .filter(|port| !port.is_empty())
        .ok_or(Problem::NoPort { wanted })?;
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Problem::Port);
    }
    Ok(Host {
        name: name.into(),
        port: port.parse().map_err(|_| Problem::Port)?,
    })
}

fn is_host(name: &str) -> bool {
    name.len() <= 253
        && !name.starts_with('-')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

/// An address, and perhaps the interface on which it means something: `fe80::1%eth0`.
fn is_v6(name: &str) -> bool {
    let (address, zone) = name.split_once('%').unwrap_or((name, "0"));
    let zone_is_good = (1..=16).contains(&zone.len())
        && zone
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    zone_is_good && address.parse::<Ipv6Addr>().is_ok()
}

fn pipe(rest: &str) -> Result<Endpoint, Problem> {
    let name = rest.strip_prefix(r"\\.\pipe\").unwrap_or(rest);
    if name.is_empty() {
        return Err(Problem::Empty { what: "name" });
    }
    if name.len() > PIPE_LIMIT {
        return Err(Problem::TooLong { limit: PIPE_LIMIT });
    }
    if name.contains(['\\', '/']) || name.chars().any(char::is_control) {
        return Err(Problem::PipeName);
    }
    Ok(Endpoint::Pipe(name.into()))
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Name(name) => write!(f, "rsipc:{name}"),
            Endpoint::Unix { kind, address } => {
                f.write_str(match kind {
                    UnixKind::Stream => "unix:",
                    UnixKind::Seqpacket => "unix+seqpacket:",
                    UnixKind::Datagram => "unix+dgram:",
                })?;
                match address {
                    UnixAddress::Path(path) => {
                        // An abstract name begins with that.
                        if path.to_string_lossy().starts_with('@') {
                            f.write_str("./")?;
                        }
                        write_path(path, f)
                    }
                    UnixAddress::Abstract(name) => write!(f, "@{}", String::from_utf8_lossy(name)),
                }
            }
            Endpoint::Tcp(host) => write!(f, "tcp://{host}"),
            Endpoint::Tls(host) => write!(f, "tls://{host}"),
            Endpoint::Udp(host) => write!(f, "udp://{host}"),
            Endpoint::Fifo(path) => {
                f.write_str("fifo:")?;
                write_path(path, f)
            }
            Endpoint::Pipe(name) => write!(f, "pipe:{name}"),
            Endpoint::Directory(path) => {
                f.write_str("file:")?;
                write_path(path, f)
            }
            Endpoint::Activated(None) => f.write_str("systemd:"),
            Endpoint::Activated(Some(name)) => write!(f, "systemd:{name}"),
            Endpoint::Stdio => f.write_str("stdio:"),
        }
    }
}

/// A path as it can be parsed again: two slashes in front would be those of a URL.
fn write_path(path: &Path, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let text = path.to_string_lossy();
    if text.starts_with("//") {
        f.write_str("//")?;
    }
    f.write_str(&text)
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

/// A text that is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    text: Box<str>,
    problem: Problem,
}

impl AddressError {
    /// What is wrong with it.
    pub fn problem(&self) -> Problem {
        self.problem
    }

    /// A name that does not change between versions.
    pub fn code(&self) -> &'static str {
        "ERR_RSIPC_INVALID_ENDPOINT"
    }
}

/// What is wrong with a text that was to be an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// It does not begin with a scheme.
    NoScheme {
        /// The one that was probably meant.
        meant: Option<&'static str>,
    },
    /// It begins with a scheme that nobody knows.
    UnknownScheme,
    /// The name breaks the grammar of names.
    Name(NameError),
    /// It, or the name in it, is too long.
    TooLong {
        /// Bytes allowed.
        limit: usize,
    },
    /// There is a zero byte in it.
    Nul,
    /// Something is missing.
    Empty {
        /// What.
        what: &'static str,
    },
    /// A path ends in `/`, `.` or `..`.
    NoFileName,
    /// A path begins as a URL with a host does.
    HostInPath {
        /// The scheme.
        scheme: &'static str,
    },
    /// The host is neither a name nor an address.
    Host,
    /// An IPv6 address is not in brackets.
    Brackets,
    /// The port is missing.
    NoPort {
        /// What to write.
        wanted: &'static str,
    },
    /// The port is no number from 0 to 65535.
    Port,
    /// There is more or less than the scheme takes.
    Rest {
        /// What to write.
        wanted: &'static str,
    },
    /// A pipe's name has a slash, a backslash or a control character.
    PipeName,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.text;
        write!(f, "{text:?} is no endpoint: ")?;
        match self.problem {
            Problem::NoScheme { meant: Some(meant) } => write!(
                f,
                "it does not say what kind it is; write \"{meant}{}\"",
                text.escape_debug()
            ),
            Problem::NoScheme { meant: None } => {
                write!(
                    f,
                    "it does not begin with its kind, which is one of {SCHEMES}"
                )
            }
            Problem::UnknownScheme => write!(f, "it begins with none of {SCHEMES}"),
            Problem::Name(error) => error.fmt(f),
            Problem::TooLong { limit } => write!(f, "it is longer than {limit} bytes"),
            Problem::Nul => f.write_str("there is a zero byte in it"),
            Problem::Empty { what } => write!(f, "the {what} is missing"),
            Problem::NoFileName => f.write_str("the path does not end in the name of a file"),
            Problem::HostInPath { scheme } => write!(
                f,
                "two slashes would begin the name of a host; write {scheme}:/path or {scheme}:path"
            ),
            Problem::Host => f.write_str(
                "the host is neither an address nor a name of letters, digits, '.', '-' and '_'",
            ),
            Problem::Brackets => f.write_str("an IPv6 address is written in brackets: [::1]:80"),
            Problem::NoPort { wanted } => write!(f, "the port is missing; write {wanted}"),
            Problem::Port => f.write_str("the port is no number from 0 to 65535"),
            Problem::Rest { wanted } => write!(f, "write {wanted}, and nothing else"),
            Problem::PipeName => f.write_str(
                "the name of a pipe has no slash, no backslash and no control character",
            ),
        }
    }
}

impl std::error::Error for AddressError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            Problem::Name(error) => Some(error),
            _ => None,
        }
    }
}

/// As much of a text as an error shows.
fn shown(text: &str) -> Box<str> {
    match text.char_indices().nth(SHOWN) {
        None => text.into(),
        Some((end, _)) => format!("{}…", &text[..end]).into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_form_is_what_it_says_and_is_written_as_it_was_read() {
        let name = |text| Name::parse(text).unwrap();
        let path = |text: &str| UnixAddress::Path(text.into());
        let unix = |kind, address| Endpoint::Unix { kind, address };
        let host = |name: &str, port| Host {
            name: name.into(),
            port,
        };
        let table = [
            ("rsipc:app", Endpoint::Name(name("app"))),
            ("unix:/run/app.sock", Endpoint::unix("/run/app.sock")),
            ("unix:app.sock", Endpoint::unix("app.sock")),
            ("unix:./@app", Endpoint::unix("./@app")),
            ("unix:/run/a b:c%20é", Endpoint::unix("/run/a b:c%20é")),
            (
                "unix:@app",
                unix(UnixKind::Stream, UnixAddress::Abstract(b"app"[..].into())),
            ),
            ("unix+seqpacket:/a", unix(UnixKind::Seqpacket, path("/a"))),
            (
                "unix+dgram:/dev/log",
                unix(UnixKind::Datagram, path("/dev/log")),
            ),
            ("tcp://127.0.0.1:80", Endpoint::Tcp(host("127.0.0.1", 80))),
            ("tcp://[::1]:0", Endpoint::Tcp(host("::1", 0))),
            (
                "tcp://[fe80::1%eth0]:9",
                Endpoint::Tcp(host("fe80::1%eth0", 9)),
            ),
            (
                "tls://a-b.example:65535",
                Endpoint::Tls(host("a-b.example", 65535)),
            ),
            ("udp://239.0.0.1:5", Endpoint::Udp(host("239.0.0.1", 5))),
            ("fifo:/tmp/f", Endpoint::Fifo("/tmp/f".into())),
            ("fifo:@", Endpoint::Fifo("@".into())),
            ("pipe:app", Endpoint::Pipe("app".into())),
            (
                "file:/var/spool/",
                Endpoint::Directory("/var/spool/".into()),
            ),
            ("systemd:", Endpoint::Activated(None)),
            ("systemd:http", Endpoint::Activated(Some(name("http")))),
            ("stdio:", Endpoint::Stdio),
        ];
        for (text, expected) in table {
            assert_eq!(Endpoint::parse(text).as_ref(), Ok(&expected), "{text}");
            assert_eq!(expected.to_string(), text);
        }
        // Written otherwise, and the same.
        for (text, same) in [
            ("unix:///run/app", "unix:/run/app"),
            ("pipe:\\\\.\\pipe\\app", "pipe:app"),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), same);
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        let tcp = Problem::Rest {
            wanted: "tcp://host:port",
        };
        let no_port = Problem::NoPort {
            wanted: "tcp://host:port",
        };
        let empty = |what| Problem::Empty { what };
        let long_name = format!("unix:@{}", "x".repeat(108));
        let long = format!("unix:/{}", "x".repeat(LIMIT));
        let table = [
            ("", Problem::NoScheme { meant: None }),
            (
                "/a",
                Problem::NoScheme {
                    meant: Some("unix:"),
                },
            ),
            (
                "./a:b",
                Problem::NoScheme {
                    meant: Some("unix:"),
                },
            ),
            (
                "@a",
                Problem::NoScheme {
                    meant: Some("unix:"),
                },
            ),
            (
                "app",
                Problem::NoScheme {
                    meant: Some("rsipc:"),
                },
            ),
            ("localhost:80", Problem::UnknownScheme),
            ("UNIX:/a", Problem::UnknownScheme),
            ("unix:", empty("path")),
            ("unix:@", empty("name")),
            ("unix:/", Problem::NoFileName),
            ("unix:/tmp/", Problem::NoFileName),
            ("unix:/tmp/.", Problem::NoFileName),
            ("unix:..", Problem::NoFileName),
            ("unix:/a\0b", Problem::Nul),
            ("unix://run/a", Problem::HostInPath { scheme: "unix" }),
            (&long_name, Problem::TooLong { limit: 107 }),
            (&long, Problem::TooLong { limit: LIMIT }),
            ("rsipc:", Problem::Name(NameError::Empty)),
            (
                "rsipc:../a",
                Problem::Name(NameError::Character {
                    character: '.',
                    index: 0,
                }),
            ),
            ("tcp:80", tcp),
            ("tcp://a:80/b", tcp),
            ("tcp://user@a:80", tcp),
            ("tcp://a:80?b", tcp),
            ("tcp://", empty("host")),
            ("tcp://:80", empty("host")),
            ("tcp://a", no_port),
            ("tcp://a:", no_port),
            ("tcp://[::1]", no_port),
            ("tcp://::1:80", Problem::Brackets),
            ("tcp://[::1:80", Problem::Host),
            ("tcp://[a]:80", Problem::Host),
            ("tcp://a b:80", Problem::Host),
            ("tcp://-a:80", Problem::Host),
            ("tcp://é:80", Problem::Host),
            ("tcp://a:65536", Problem::Port),
            ("tcp://a:+1", Problem::Port),
            ("tcp://a:http", Problem::Port),
            ("stdio:1", Problem::Rest { wanted: "stdio:" }),
            ("pipe:", empty("name")),
            ("pipe:a\\b", Problem::PipeName),
        ];
        for (text, expected) in table {
            let error = Endpoint::parse(text).unwrap_err();
            assert_eq!(error.problem(), expected, "{text:?}");
            assert!(error.to_string().len() < 600, "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_read_is_written_so_that_it_is_read_again(
            scheme in "(unix|unix\\+dgram|tcp|udp|rsipc|fifo|file|pipe|systemd|x)?",
            rest in "(:|://)?(\\[)?[a-z0-9@/.:%\\\\\\]é-]{0,12}(:[0-9]{1,6})?",
        ) {
            if let Ok(endpoint) = Endpoint::parse(&format!("{scheme}{rest}")) {
                prop_assert_eq!(Endpoint::parse(&endpoint.to_string()), Ok(endpoint));
            }
        }
    }
}
