//! Servers and clients of Rust programs with each other. With Node at the other end: `crates/core/examples/service.js`.

#![cfg(unix)]

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

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
