//! A primary and workers that are threads here: who gets which connection, and what becomes of those that nobody has
//! adopted.

#![cfg(unix)]

#[cfg(target_os = "linux")]
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rsipc_core::channel::{Channel, Event, Limits, Serialization};
use rsipc_core::cluster::{Announcement, By, Primary, Seat};
use rsipc_core::runtime::Shared;

const WATCHDOG: Duration = Duration::from_secs(60);

/// Waits for something that happens, never for time to pass.
fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(begin.elapsed() < WATCHDOG, "{what} has not happened");
        thread::sleep(Duration::from_millis(1));
    }
}

fn announcement() -> Announcement {
    Announcement {
        before: br#"{"cmd":"NODE_HANDLE","type":"net.Native","msg":{"cmd":"NODE_CLUSTER","act":"newconn","key":"k","seq":"#.to_vec(),
        after: b"}}".to_vec(),
    }
}

/// The worker's end of its channel.
struct Worker {
    id: u32,
    channel: Channel,
    seat: Arc<Seat>,
    /// Numbers of the connections that came, and the connections.
    got: Vec<(u64, OwnedFd)>,
}

impl Worker {
    fn new(primary: &Primary, id: u32) -> Worker {
        let (ours, theirs) = rsipc_sys::stream::pair().expect("a pair");
        let end = |fd| Channel::new(fd, Serialization::Json, Limits::default()).expect("a channel");
        let shared = Shared::new(end(ours));
        let seat = primary
            .seat(id, shared, Serialization::Json)
            .expect("a seat");
        Worker {
            id,
            channel: end(theirs),
            seat,
            got: Vec::new(),
        }
    }

    /// Reads what has come; answers how many connections wait for an answer.
    fn read(&mut self) -> usize {
        let mut events = Vec::new();
        self.channel.receive(usize::MAX, &mut events);
        for event in events {
            let Event::Handle {
                frame, descriptor, ..
            } = event
            else {
                continue;
            };
            let text = String::from_utf8(frame).expect("text");
            let (_, number) = text.rsplit_once("\"seq\":").expect("a number");
            let number = number.trim_end_matches('}').parse().expect("a number");
            self.got.push((number, descriptor.expect("a descriptor")));
        }
        self.got.len()
    }

    fn say(&mut self, text: &str) {
        self.channel
            .send_slice(false, text.as_bytes())
            .expect("send");
    }

    fn answer(&mut self, number: u64, accepted: bool) {
        self.say(&format!(
            r#"{{"cmd":"NODE_CLUSTER","ack":{number},"accepted":{accepted},"seq":0}}"#
        ));
    }

    /// Waits for a connection, and adopts or refuses it.
    fn take(&mut self, accepted: bool) -> OwnedFd {
        until("a connection", || (self.read() > 0).then_some(()));
        let (number, connection) = self.got.remove(0);
        self.answer(number, accepted);
        connection
    }
}

/// A primary with a listener, and its port.
fn primary() -> (Primary, u32, u16) {
    let primary = Primary::new().expect("a primary");
    let socket = TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = socket.local_addr().expect("an address").port();
    let listener = primary
        .listen(socket.into(), [announcement(), announcement()], false)
        .expect("listen");
    (primary, listener, port)
}

fn connect(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).expect("connect")
}

/// Whether the two descriptors are the ends of one connection.
fn belongs(connection: OwnedFd, client: &TcpStream) -> bool {
    from(connection) == address(client)
}

fn from(connection: OwnedFd) -> SocketAddr {
    TcpStream::from(connection).peer_addr().expect("a peer")
}

fn address(client: &TcpStream) -> SocketAddr {
    client.local_addr().expect("an address")
}

#[test]
fn connections_go_to_workers_in_turn_and_each_to_one() {
    let (primary, listener, port) = primary();
    let mut workers = [1, 2, 3].map(|id| Worker::new(&primary, id));
    for worker in &workers {
        primary.add(listener, worker.id);
    }
    for round in 0..3 {
        for worker in &mut workers {
            let client = connect(port);
            assert!(belongs(worker.take(true), &client));
            let counts = || (primary.counts(worker.id) == (round + 1, 0)).then_some(());
            until("the adoption", counts);
        }
    }
}

#[test]
fn what_a_worker_that_is_gone_has_not_answered_goes_to_another() {
    let (primary, listener, port) = primary();
    let mut first = Worker::new(&primary, 1);
    primary.add(listener, 1);
    let clients = [connect(port), connect(port)];
    until("a connection", || (first.read() > 0).then_some(()));
    let mut second = Worker::new(&primary, 2);
    primary.add(listener, 2);
    drop(first);
    // The one that the first worker did not get at all may come before the one that it did.
    let both: BTreeSet<_> = (0..2).map(|_| from(second.take(true))).collect();
    assert_eq!(both, clients.iter().map(address).collect());
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_worker_that_is_gone_has_adopted_and_not_touched_goes_to_another() {
    let (primary, listener, port) = primary();
    let mut first = Worker::new(&primary, 1);
    primary.add(listener, 1);
    let mut clients: [_; 4] = std::array::from_fn(|_| connect(port));
    for client in &mut clients[..3] {
        client.write_all(b"hello").expect("write");
    }
    // One is read, one is written to, and two are left alone, one of which has brought nothing.
    let mut adopted: BTreeMap<_, _> = (0..4)
        .map(|_| TcpStream::from(first.take(true)))
        .map(|stream| (stream.peer_addr().expect("a peer"), stream))
        .collect();
    let mut of = |client: &TcpStream| adopted.remove(&address(client)).expect("a connection");
    of(&clients[0]).read_exact(&mut [0; 2]).expect("read");
    of(&clients[1]).write_all(b"welcome").expect("write");
    until("all adoptions", || {
        (primary.counts(1) == (4, 0)).then_some(())
    });
    drop((adopted, first));
    let mut second = Worker::new(&primary, 2);
    primary.add(listener, 2);
    let both: BTreeSet<_> = (0..2).map(|_| from(second.take(true))).collect();
    assert_eq!(both, clients[2..].iter().map(address).collect());
    // The others have come to their end.
    for client in &mut clients[..2] {
        let _ = client.read_to_end(&mut Vec::new());
    }
    assert_eq!(second.read(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_connection_whose_workers_all_die_is_given_up() {
    let (primary, listener, port) = primary();
    let mut client = connect(port);
    for id in 1..=5 {
        let mut worker = Worker::new(&primary, id);
        primary.add(listener, id);
        assert!(belongs(worker.take(true), &client));
        until("the adoption", || {
            (primary.counts(id) == (1, 0)).then_some(())
        });
    }
    assert_eq!(client.read(&mut [0]).expect("the end"), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_connection_that_its_worker_closes_untouched_ends_and_goes_on_if_the_worker_is_paused() {
    let (primary, listener, port) = primary();
    let mut first = Worker::new(&primary, 1);
    let mut second = Worker::new(&primary, 2);
    for worker in [&first, &second] {
        primary.claims(worker.id);
    }
    primary.add(listener, 1);
    let adopt = |worker: &mut Worker| {
        until("a connection", || (worker.read() > 0).then_some(()));
        let (number, connection) = worker.got.remove(0);
        let claim = rsipc_sys::claim::take(connection.as_raw_fd(), number);
        assert!(claim.expect("a claim"));
        worker.answer(number, true);
        connection
    };
    let mut ended = connect(port);
    drop(adopt(&mut first));
    assert_eq!(ended.read(&mut [0]).expect("the end"), 0);
    let moved = connect(port);
    let connection = adopt(&mut first);
    primary.add(listener, 2);
    primary.pause(1, true);
    drop(connection);
    assert!(belongs(adopt(&mut second), &moved));
}

#[test]
fn what_a_worker_refuses_goes_to_another() {
    let (primary, listener, port) = primary();
    let mut first = Worker::new(&primary, 1);
    let mut second = Worker::new(&primary, 2);
    primary.add(listener, 1);
    primary.add(listener, 2);
    let client = connect(port);
    drop(first.take(false));
    assert!(belongs(second.take(true), &client));
}

#[test]
fn an_answer_nobody_waits_for_is_told_to_the_channels_owner() {
    let (primary, _, _) = primary();
    let mut worker = Worker::new(&primary, 1);
    worker.say("\"before\"");
    worker.answer(1 << 40, true);
    let mut events = Vec::new();
    until("the breach", || {
        worker.seat.take(&mut events);
        events.iter().find_map(|event| match event {
            Event::Problem(error) => Some(error.code()),
            _ => None,
        })
    });
    assert!(
        matches!(events.first(), Some(Event::Messages { bytes, .. }) if bytes == b"\"before\"\n")
    );
}

#[test]
fn messages_among_answers_reach_the_owner_in_order() {
    let (primary, listener, port) = primary();
    let mut worker = Worker::new(&primary, 1);
    primary.add(listener, 1);
    let mut expected = String::new();
    for number in 0..20 {
        let _client = connect(port);
        worker.say(&number.to_string());
        drop(worker.take(true));
        expected += &format!("{number}\n");
    }
    let mut heard = Vec::new();
    until("all messages", || {
        let mut events = Vec::new();
        worker.seat.take(&mut events);
        for event in events {
            let Event::Messages { bytes, .. } = event else {
                panic!("{event:?}");
            };
            heard.extend_from_slice(&bytes);
        }
        (heard.len() >= expected.len()).then_some(())
    });
    assert_eq!(String::from_utf8_lossy(&heard), expected);
}

#[test]
fn a_paused_worker_gets_nothing_until_it_is_resumed() {
    let (primary, listener, port) = primary();
    let mut first = Worker::new(&primary, 1);
    let mut second = Worker::new(&primary, 2);
    primary.add(listener, 1);
    primary.add(listener, 2);
    primary.pause(1, true);
    for _ in 0..3 {
        let client = connect(port);
        assert!(belongs(second.take(true), &client));
    }
    primary.pause(2, true);
    let client = connect(port);
    primary.pause(1, false);
    assert!(belongs(first.take(true), &client));
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_silent_worker_has_not_claimed_goes_to_another_and_what_it_has_claimed_does_not() {
    let (primary, listener, port) = primary();
    let mut first = Worker::new(&primary, 1);
    primary.claims(1);
    primary.add(listener, 1);
    let clients = [connect(port), connect(port)];
    until("both connections", || (first.read() == 2).then_some(()));
    let (claimed, connection) = first.got.remove(0);
    let claim = rsipc_sys::claim::take(connection.as_raw_fd(), claimed);
    assert!(claim.expect("a claim"));
    let mut second = Worker::new(&primary, 2);
    primary.add(listener, 2);
    assert!(belongs(second.take(true), &clients[1]));
    let (number, late) = first.got.remove(0);
    assert!(!rsipc_sys::claim::take(late.as_raw_fd(), number).expect("a claim"));
    first.answer(number, false);
    first.answer(claimed, true);
    until("the adoption", || {
        (primary.counts(1) == (1, 0)).then_some(())
    });
    assert_eq!(primary.counts(2), (1, 0));
}

#[test]
fn nothing_is_lost_among_many_workers_that_come_and_go() {
    const CONNECTIONS: usize = 300;
    let (primary, listener, port) = primary();
    let served: Arc<Mutex<BTreeSet<u16>>> = Arc::default();
    let clients: Vec<_> = thread::scope(|scope| {
        let (primary, served) = (&primary, &served);
        let worker = |id: u32| {
            move || {
                // Each adopts some, leaves one unanswered, and is gone; the last two stay.
                let mut worker = Worker::new(primary, id);
                primary.add(listener, id);
                let mut adopted = 0;
                let begin = Instant::now();
                while served.lock().expect("a lock").len() < CONNECTIONS {
                    assert!(begin.elapsed() < WATCHDOG);
                    if worker.read() == 0 {
                        thread::sleep(Duration::from_millis(1));
                        continue;
                    }
                    if id > 2 && adopted > 10 {
                        return;
                    }
                    let (number, connection) = worker.got.remove(0);
                    let refuses = number % 7 == 0 && id > 2;
                    worker.answer(number, !refuses);
                    if !refuses {
                        adopted += 1;
                        let mut connection = TcpStream::from(connection);
                        let peer = connection.peer_addr().expect("a peer");
                        connection.write_all(b"served").expect("write");
                        assert!(
                            served.lock().expect("a lock").insert(peer.port()),
                            "one connection, two workers"
                        );
                    }
                }
            }
        };
        for id in 1..=6 {
            scope.spawn(worker(id));
        }
        (0..CONNECTIONS).map(|_| connect(port)).collect()
    });
    let ports: BTreeSet<u16> = clients
        .iter()
        .map(|client| client.local_addr().expect("an address").port())
        .collect();
    assert_eq!(*served.lock().expect("a lock"), ports);
}

#[test]
fn connections_that_nobody_has_got_end_with_their_listener() {
    let (primary, listener, port) = primary();
    let mut client = connect(port);
    primary.close(listener);
    // An error when it has ended already.
    let _ = client.shutdown(Shutdown::Write);
    let ended = matches!(client.read(&mut [0]), Ok(0) | Err(_));
    assert!(ended);
    until("the port to be free", || {
        TcpStream::connect(("127.0.0.1", port))
            .is_err()
            .then_some(())
    });
}

#[test]
fn a_listener_that_is_held_hands_out_what_it_has_accepted_and_accepts_no_more() {
    let (primary, listener, port) = primary();
    let client = connect(port);
    let unfinished = |count: usize| {
        until("connections to be accepted and handed out", || {
            (primary.unfinished(listener) == count).then_some(())
        });
    };
    unfinished(2); // it, and one that may still come
    primary.hold(listener, true);
    unfinished(1);
    let next = connect(port);
    let mut worker = Worker::new(&primary, 1);
    primary.add(listener, worker.id);
    assert!(belongs(worker.take(true), &client));
    unfinished(0);
    assert_eq!(worker.read(), 0);
    primary.hold(listener, false);
    assert!(belongs(worker.take(true), &next));
}

#[test]
fn a_client_is_known_by_its_first_bytes_which_stay_where_they_are() {
    let (primary, listener, port) = primary();
    let mut workers = [1, 2, 3].map(|id| Worker::new(&primary, id));
    for worker in &workers {
        primary.add(listener, worker.id);
    }
    primary.stick(Some(By::Cookie("sid".into())), WATCHDOG);
    let mut used = BTreeSet::new();
    for number in 0.. {
        let head = format!("GET / HTTP/1.1\r\nCookie: sid={number}\r\n\r\n");
        let (first, last) = head.split_at(20);
        let mut homes = BTreeSet::new();
        for _ in 0..5 {
            let mut client = connect(port);
            client.write_all(first.as_bytes()).expect("write");
            client.write_all(last.as_bytes()).expect("write");
            let who = until("a connection", || {
                workers.iter_mut().position(|worker| worker.read() > 0)
            });
            let worker = &mut workers[who];
            homes.insert(worker.id);
            let mut bytes = vec![0; head.len()];
            TcpStream::from(worker.take(true))
                .read_exact(&mut bytes)
                .expect("read");
            assert_eq!(bytes, head.as_bytes());
        }
        assert_eq!(homes.len(), 1);
        used.extend(homes);
        if used.len() == workers.len() {
            return;
        }
    }
}

#[test]
fn who_is_asked_and_never_answers_is_asked_about_no_more_than_may_wait() {
    let (primary, listener, port) = primary();
    let mut worker = Worker::new(&primary, 1);
    primary.add(listener, worker.id);
    primary.ask(Duration::from_micros(1), || {});
    for _ in 0..600 {
        let client = connect(port);
        assert!(belongs(worker.take(true), &client));
    }
    assert!(primary.questions().len() <= 512);
}

#[test]
fn a_worker_that_is_paused_gets_nothing_although_it_is_chosen() {
    let (primary, listener, port) = primary();
    let mut workers = [1, 2].map(|id| Worker::new(&primary, id));
    for worker in &workers {
        primary.add(listener, worker.id);
    }
    primary.ask(WATCHDOG, || {});
    primary.pause(1, true);
    let client = connect(port);
    let question = until("a question", || primary.questions().pop());
    primary.choose(question.ticket, Some(1));
    assert!(belongs(workers[1].take(true), &client));
    assert_eq!(workers[0].read(), 0);
}
