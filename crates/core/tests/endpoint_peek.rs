//! Looking into sockets: nothing is taken, nothing spins, every end is told.

#![cfg(unix)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rsipc_core::endpoint::peek::{PeekError, Peeked, Peeks, Sought, Want, peek};
use rsipc_sys::wait::{Interest, ready};

const LONG: Duration = Duration::from_secs(30);
const HEAD: &[u8] = b"POST /up HTTP/1.1\r\nX-Shard: 7\r\nContent-Length: 5\r\n\r\n";

fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_nodelay(true).unwrap();
    (client, listener.accept().unwrap().0)
}

trait Both: Read + Write + AsFd + Send {}
impl<T: Read + Write + AsFd + Send> Both for T {}

fn pairs() -> Vec<(Box<dyn Both>, Box<dyn Both>)> {
    let (client, server) = tcp();
    let (a, b) = UnixStream::pair().unwrap();
    vec![
        (Box::new(client), Box::new(server)),
        (Box::new(a), Box::new(b)),
    ]
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

fn http() -> Sought {
    Sought::new(Want::Http)
}

fn copy(fd: BorrowedFd<'_>) -> OwnedFd {
    rsipc_sys::fd::duplicate(fd).unwrap()
}

/// Turns until there is an answer.
fn answer(peeks: &mut Peeks) -> Result<Peeked, PeekError> {
    let readable = Interest {
        readable: true,
        writable: false,
    };
    let mut found = None;
    while found.is_none() {
        assert!(
            ready(peeks.as_fd(), readable, Some(LONG)).unwrap().readable,
            "no answer"
        );
        peeks.turn(|_, outcome| found = Some(outcome)).unwrap();
    }
    found.unwrap()
}

#[test]
fn what_was_looked_at_is_still_there_however_it_came() {
    for (mut client, mut server) in pairs() {
        let mut sent = HEAD.to_vec();
        sent.extend(b"hello");
        let mut peeks = Peeks::new().unwrap();
        let number = peeks.add(copy(server.as_fd()), http()).unwrap();
        let mut answers = Vec::new();
        let mut turns = 0;
        for byte in HEAD.chunks(1) {
            assert!(answers.is_empty());
            client.write_all(byte).unwrap();
            let readable = Interest {
                readable: true,
                writable: false,
            };
            // Not told of what it knows, only of what is new: one turn for a byte.
            assert!(ready(peeks.as_fd(), readable, Some(LONG)).unwrap().readable);
            peeks
                .turn(|number, outcome| answers.push((number, outcome)))
                .unwrap();
            turns += 1;
            let idle = ready(peeks.as_fd(), readable, Some(Duration::ZERO)).unwrap();
            assert!(!idle.readable, "it spins");
        }
        assert_eq!(turns, HEAD.len());
        let [(found, Ok(peeked))] = &answers[..] else {
            panic!("{answers:?}")
        };
        assert_eq!(*found, number);
        assert!(peeks.is_empty() && !peeks.cancel(number));
        let head = peeked.found().http.unwrap();
        assert_eq!(head.header("x-shard"), Some(&b"7"[..]));
        client.write_all(b"hello").unwrap();
        drop(client);
        let mut received = Vec::new();
        server.read_to_end(&mut received).unwrap();
        assert_eq!(received, sent);
    }
}

#[test]
fn a_task_waits_for_it_as_well() {
    for (mut client, mut server) in pairs() {
        client.write_all(&HEAD[..20]).unwrap();
        let writer = std::thread::spawn(move || {
            client.write_all(&HEAD[20..]).unwrap();
            client.write_all(&[b'x'; 5]).unwrap();
        });
        let peeked = run(peek(server.as_fd(), http(), LONG)).unwrap();
        assert_eq!(peeked.found().http.unwrap().target, b"/up");
        writer.join().unwrap();
        let mut received = Vec::new();
        server.read_to_end(&mut received).unwrap();
        assert_eq!(received.len(), HEAD.len() + 5);
    }
}

#[test]
fn large_heads_are_found_up_to_the_limit_and_not_beyond() {
    for (mut client, server) in pairs() {
        let mut head = b"GET / HTTP/1.1\r\nX: ".to_vec();
        head.resize(9_996, b'x');
        head.extend(b"\r\n\r\n");
        client.write_all(&head).unwrap();
        let of = |limit| run(peek(server.as_fd(), Sought { limit, ..http() }, LONG));
        assert_eq!(of(10_000).unwrap().found().http.unwrap().length, 10_000);
        assert!(matches!(
            of(9_999),
            Err(PeekError::TooLarge { limit: 9_999 })
        ));
        assert_eq!(of(1 << 20).unwrap().bytes().len(), 10_000);
    }
}

#[test]
fn every_other_end_is_told() {
    for (client, server) in pairs() {
        // Nothing comes.
        let short = Duration::from_millis(20);
        let outcome = run(peek(server.as_fd(), http(), short));
        assert!(matches!(outcome, Err(PeekError::Timeout { .. })));
        drop(client);
        let outcome = run(peek(server.as_fd(), http(), LONG));
        assert!(
            matches!(outcome, Err(PeekError::Ended { bytes: 0 })),
            "{outcome:?}"
        );
    }
    for (mut client, server) in pairs() {
        client.write_all(b"GET / HT").unwrap();
        // Some, but never enough.
        let short = Duration::from_millis(20);
        let outcome = run(peek(server.as_fd(), http(), short));
        assert!(matches!(outcome, Err(PeekError::Timeout { .. })));
        let mut peeks = Peeks::new().unwrap();
        peeks.add(copy(server.as_fd()), http()).unwrap();
        peeks.turn(|_, _| panic!("not yet")).unwrap();
        drop(client);
        let outcome = answer(&mut peeks);
        assert!(
            matches!(outcome, Err(PeekError::Ended { bytes: 8 })),
            "{outcome:?}"
        );
        // Also of one that has ended before anybody looked.
        peeks.add(copy(server.as_fd()), http()).unwrap();
        assert!(matches!(
            answer(&mut peeks),
            Err(PeekError::Ended { bytes: 8 })
        ));
        let tls = Sought::new(Want::Tls);
        peeks.add(copy(server.as_fd()), tls).unwrap();
        assert!(matches!(answer(&mut peeks), Err(PeekError::Other(_))));
    }
    let file: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
    assert!(Peeks::new().unwrap().add(file, http()).is_err());
}

#[test]
fn many_are_looked_into_at_once_and_one_can_be_left() {
    let mut peeks = Peeks::new().unwrap();
    let mut pairs: Vec<_> = (0..200).map(|_| UnixStream::pair().unwrap()).collect();
    let numbers: Vec<u64> = pairs
        .iter()
        .map(|(_, server)| peeks.add(copy(server.as_fd()), http()).unwrap())
        .collect();
    assert!(peeks.cancel(numbers[0]));
    for (client, _) in &mut pairs {
        client.write_all(HEAD).unwrap();
    }
    let mut found = Vec::new();
    while found.len() < 199 {
        answer_into(&mut peeks, &mut found);
    }
    found.sort_unstable();
    assert_eq!(found, numbers[1..]);
    assert_eq!(peeks.len(), 0);
}

fn answer_into(peeks: &mut Peeks, found: &mut Vec<u64>) {
    peeks
        .turn(|number, outcome| {
            outcome.unwrap();
            found.push(number);
        })
        .unwrap();
}
