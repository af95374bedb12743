//! Servers and clients of Rust programs with each other. With Node at the other end: `crates/core/examples/service.js`.

#![cfg(unix)]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rsipc_core::endpoint::session::{Incoming, Server, Session, SessionError};
use rsipc_core::endpoint::{Endpoint, ListenOptions};
use serde_json::{Value, json};

struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("rsipc-session-{}-{number}.sock", std::process::id());
        Place(std::env::temp_dir().join(name))
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::unix(&self.0)
    }
}

async fn pair(place: &Place) -> (Session, Session) {
    let mut server = Server::bind(&place.endpoint(), &ListenOptions::default()).unwrap();
    let client = Session::connect(&place.endpoint()).await.unwrap();
    (server.accept().await.unwrap(), client)
}

async fn message(session: &mut Session) -> Value {
    match session.recv().await {
        Ok(Some(Incoming::Message(body))) => body.json().unwrap(),
        other => panic!("{other:?} is no message"),
    }
}

#[tokio::test]
async fn messages_arrive_in_order_both_ways() {
    let place = Place::new();
    let (mut near, mut far) = pair(&place).await;
    let (one, other) = (near.handle(), far.handle());
    let flood = |handle: rsipc_core::endpoint::session::Handle| async move {
        for number in 0..20_000 {
            handle
                .send(&json!({ "number": number, "text": "é\n" }))
                .await
                .unwrap();
        }
    };
    let count = async |session: &mut Session| {
        for number in 0..20_000 {
            assert_eq!(message(session).await["number"], number);
        }
    };
    tokio::join!(flood(one), flood(other), count(&mut near), count(&mut far));
    assert_eq!(
        near.peer().map(|peer| peer.pid),
        Some(Some(std::process::id()))
    );
}

#[tokio::test]
async fn requests_are_answered_refused_and_forgotten() {
    let place = Place::new();
    let (mut near, far) = pair(&place).await;
    let answering = tokio::spawn(async move {
        while let Ok(Some(Incoming::Request(asked))) = near.recv().await {
            match asked.name() {
                "double" => {
                    let number: f64 = asked.body().unwrap().json().unwrap();
                    asked.reply(&(number * 2.0)).unwrap();
                }
                "fail" => asked.fail("no").unwrap(),
                _ => drop(asked),
            }
        }
    });
    for number in 0..100 {
        let answer = far.request("double", &number).await.unwrap();
        assert_eq!(answer.json::<f64>().unwrap(), f64::from(number) * 2.0);
    }
    for (name, text) in [("fail", "no"), ("other", "the request was not answered")] {
        match far.request(name, &()).await {
            Err(SessionError::Failed { message, .. }) => assert_eq!(message, text),
            other => panic!("{other:?}"),
        }
    }
    far.close().await;
    answering.await.unwrap();
}

#[tokio::test]
async fn what_was_sent_before_close_arrives() {
    let place = Place::new();
    let (mut near, far) = pair(&place).await;
    for number in 0..5_000 {
        far.handle().send(&number).await.unwrap();
        if number == 0 {
            assert_eq!(message(&mut near).await, 0);
        }
        if number % 500 == 499 {
            for before in number - 499 + i32::from(number == 499)..=number {
                assert_eq!(message(&mut near).await, before);
            }
        }
    }
    far.handle().send(&"last").await.unwrap();
    let (last, ()) = tokio::join!(message(&mut near), far.close());
    assert_eq!(last, "last");
    assert!(near.recv().await.unwrap().is_none());
    assert!(matches!(near.send(&1).await, Err(SessionError::Gone)));
}

#[tokio::test]
async fn a_peer_that_is_gone_or_none_is_told() {
    let place = Place::new();
    let mut server = Server::bind(&place.endpoint(), &ListenOptions::default()).unwrap();
    for (said, gone) in [
        (&b""[..], true),
        (b"rsipc/1 {\"codec\":\"json\"}\n", true),
        (b"GET /", false),
    ] {
        let mut socket = UnixStream::connect(&place.0).unwrap();
        std::io::Write::write_all(&mut socket, said).unwrap();
        let mut session = server.accept().await.unwrap();
        drop(socket);
        match session.recv().await {
            Err(SessionError::Gone) => assert!(gone),
            Err(SessionError::Protocol(error)) => {
                assert!(!gone);
                assert_eq!(error.code(), "ERR_RSIPC_NOT_RSIPC");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn who_asks_without_end_and_reads_no_answer_is_let_go() {
    use std::io::{ErrorKind, Write};

    let place = Place::new();
    let mut server = Server::bind(&place.endpoint(), &ListenOptions::default()).unwrap();
    let mut socket = UnixStream::connect(&place.0).unwrap();
    let mut session = server.accept().await.unwrap();
    let flood = std::thread::spawn(move || {
        let text = format!("[1,{:?},0]\n", "x".repeat(100));
        let mut frame = (text.len() as u32).to_le_bytes().to_vec();
        frame.extend_from_slice(&[2, 0]);
        frame.extend_from_slice(text.as_bytes());
        let many = frame.repeat(100);
        socket.write_all(b"rsipc/1 {\"codec\":\"json\"}\n").unwrap();
        loop {
            match socket.write_all(&many) {
                Ok(()) => {}
                Err(error) => break error.kind(),
            }
        }
    });
    let answer = "y".repeat(64 * 1024);
    let end = loop {
        match session.recv().await {
            Ok(Some(Incoming::Request(asked))) => drop(asked.reply(&answer)),
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    assert!(matches!(end, SessionError::Slow { .. }), "{end}");
    drop(session);
    let ended = flood.join().unwrap();
    assert!(
        matches!(ended, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
        "{ended}"
    );
}

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), work)
        .await
        .expect("it hangs")
}

#[tokio::test]
async fn answers_that_are_longer_than_what_is_asked_hold_nobody_up() {
    const COUNT: usize = 6_000;
    let place = Place::new();
    let (mut near, mut far) = pair(&place).await;
    let echo = tokio::spawn(async move {
        let long = "x".repeat(1_000);
        for _ in 0..COUNT {
            message(&mut near).await;
            near.send(&long).await.unwrap();
        }
    });
    let asking = far.handle();
    let ask = tokio::spawn(async move {
        for _ in 0..COUNT {
            asking.send(&1).await.unwrap();
        }
    });
    // The other end has a thousand questions in front of it before its first answer is read.
    in_time(ask).await.unwrap();
    in_time(async {
        for _ in 0..COUNT {
            message(&mut far).await;
        }
    })
    .await;
    in_time(echo).await.unwrap();
}

#[tokio::test]
async fn what_was_sent_arrives_at_a_peer_that_has_said_farewell() {
    let (near, mut raw) = UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    let mut near = Session::over(near.into(), None).unwrap();
    raw.write_all(b"rsipc/1 {\"codec\":\"json\"}\n\x00\x00\x00\x00\x08\x00")
        .unwrap();
    let sending = near.handle();
    let sent = tokio::spawn(async move { sending.send(&"x".repeat(3_000_000)).await });
    assert!(in_time(near.recv()).await.unwrap().is_none() || !sent.is_finished());
    let read = tokio::task::spawn_blocking(move || {
        let mut all = Vec::new();
        raw.read_to_end(&mut all).map(|_| all)
    });
    let all = in_time(read).await.unwrap().unwrap();
    assert!(all.len() > 3_000_000, "{} bytes", all.len());
    assert!(all.ends_with(b"\x00\x00\x00\x00\x08\x00"));
    in_time(sent).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_session_that_is_dropped_ends_and_a_handle_keeps_no_peer_waiting() {
    let place = Place::new();
    let (near, mut far) = pair(&place).await;
    near.send(&"last").await.unwrap();
    drop(near);
    assert_eq!(message(&mut far).await, "last");
    assert!(in_time(far.recv()).await.unwrap().is_none());

    let (near, mut raw) = UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    let mut near = Session::over(near.into(), None).unwrap();
    let handle = near.handle();
    raw.write_all(b"this is no hello\n").unwrap();
    assert!(in_time(near.recv()).await.is_err());
    drop(near);
    let read = tokio::task::spawn_blocking(move || {
        raw.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        raw.read_to_end(&mut Vec::new())
    });
    in_time(read).await.unwrap().unwrap();
    drop(handle);
}

#[tokio::test]
async fn what_is_to_be_encrypted_does_not_travel_in_clear() {
    let endpoint = Endpoint::parse("tls://127.0.0.1:0").unwrap();
    assert!(Server::bind(&endpoint, &ListenOptions::default()).is_err());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let endpoint = Endpoint::parse(&format!("tls://127.0.0.1:{port}")).unwrap();
    assert!(Session::connect(&endpoint).await.is_err());
}
