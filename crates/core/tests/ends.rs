//! `Peer` against another one, and against a bare socket.

#![cfg(unix)]

mod peer;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use peer::{ACK, NACK, PATIENCE, envelope, line};
use rsipc_core::ErrorKind;
use rsipc_core::peer::{
    HIGH_WATER_MARK, HandleProblem, HandleType, Limits, Message, Peer, Serialization,
};
use rsipc_sys::stream;
use tokio::time::timeout;

fn one(serialization: Serialization) -> (Peer, peer::Peer) {
    let (a, b) = stream::pair().unwrap();
    let ours = Peer::new(a, serialization, Limits::default()).unwrap();
    (ours, peer::Peer { fd: b })
}

fn two() -> (Peer, Peer) {
    let (a, b) = stream::pair().unwrap();
    let make = |fd| Peer::new(fd, Serialization::Json, Limits::default()).unwrap();
    (make(a), make(b))
}

async fn next(peer: &Peer) -> Option<Message> {
    let received = timeout(PATIENCE, peer.recv()).await;
    received.expect("nothing came in time").unwrap()
}

/// The protocol error that `recv` tells.
async fn problem(peer: &Peer) -> ErrorKind {
    let received = timeout(PATIENCE, peer.recv()).await;
    let error = received.expect("nothing came in time").unwrap_err();
    let inner = error.get_ref().expect("an inner error");
    inner.downcast_ref::<rsipc_core::Error>().unwrap().kind()
}

/// Whether a future is still waiting although everything else has had its turn.
async fn waits<F: Future + Unpin>(future: &mut F) -> bool {
    timeout(Duration::from_millis(50), future).await.is_err()
}

/// Reads what the bare end has until it has `wanted` bytes.
async fn bytes(bare: &peer::Peer, wanted: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    timeout(PATIENCE, async {
        while bytes.len() < wanted {
            match bare.read(65_536) {
                Some(read) => bytes.extend(read.bytes),
                None => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    })
    .await
    .expect("the bytes did not come in time");
    bytes
}

#[tokio::test]
async fn messages_of_any_size_arrive_in_the_order_of_their_sends() {
    let (a, b) = two();
    let text = |index: usize| {
        "ü\n".repeat(if index.is_multiple_of(100) {
            100_000
        } else {
            index % 7
        })
    };
    let sending = async {
        for index in 0..500 {
            a.send(&(index, text(index))).await.unwrap();
        }
        a.disconnect().await.unwrap();
    };
    let receiving = async {
        for index in 0..500 {
            let message: (usize, String) = next(&b).await.unwrap().json().unwrap();
            assert_eq!(message, (index, text(index)));
        }
        assert!(next(&b).await.is_none());
        assert!(next(&b).await.is_none(), "the end stays the end");
    };
    tokio::join!(sending, receiving);
    assert!(!a.is_connected() && !b.is_connected());
}

#[tokio::test]
async fn send_waits_above_the_high_water_mark_and_one_that_is_dropped_has_sent_nothing() {
    let (ours, bare) = one(Serialization::Json);
    let large = format!("\"{}\"", "x".repeat(1_000_000));
    ours.send_text(&large).await.unwrap();
    {
        let mut dropped = std::pin::pin!(ours.send_text("\"dropped\""));
        assert!(waits(&mut dropped).await);
    }
    let (first, second) = (ours.send_text("1"), ours.send_text("2"));
    let (mut first, mut second) = (std::pin::pin!(first), std::pin::pin!(second));
    assert!(waits(&mut first).await && waits(&mut second).await);
    // The second is looked at alone: it waits for its turn behind the first.
    let mut stream = bytes(&bare, large.len() + 1 - HIGH_WATER_MARK / 2).await;
    assert!(waits(&mut second).await);
    timeout(PATIENCE, first).await.unwrap().unwrap();
    timeout(PATIENCE, second).await.unwrap().unwrap();
    let expected = format!("{large}\n1\n2\n");
    stream.extend(bytes(&bare, expected.len() - stream.len()).await);
    assert!(stream == expected.as_bytes());
}

#[tokio::test]
async fn a_peer_that_nobody_receives_from_is_read_no_further_than_a_mebibyte() {
    let (a, b) = two();
    let chunk = "x".repeat(10_000);
    let mut sent = 0usize;
    while timeout(Duration::from_millis(500), a.send(&chunk))
        .await
        .is_ok()
    {
        sent += 1;
        assert!(sent < 1_000, "nothing holds the sender back");
    }
    assert!(sent > 100, "{sent} messages are less than a mebibyte");
    for _ in 0..sent {
        assert_eq!(next(&b).await.unwrap().bytes.len(), 10_002);
    }
}

#[tokio::test]
async fn two_ends_that_send_before_they_receive_do_not_wait_for_each_other() {
    let (a, b) = two();
    let chunk = "x".repeat(99_998);
    let end = async |peer: &Peer| {
        for _ in 0..80 {
            peer.send(&chunk).await.unwrap();
        }
        for _ in 0..80 {
            assert_eq!(next(peer).await.unwrap().bytes.len(), 100_000);
        }
    };
    timeout(PATIENCE, async { tokio::join!(end(&a), end(&b)) })
        .await
        .expect("both wait");
}

#[tokio::test]
async fn messages_that_waited_are_received_after_the_peer_has_gone() {
    let (a, b) = two();
    a.send("1").await.unwrap();
    a.send("2").await.unwrap();
    drop(a);
    assert_eq!(next(&b).await.unwrap().bytes, b"\"1\"");
    assert_eq!(next(&b).await.unwrap().bytes, b"\"2\"");
    assert!(next(&b).await.is_none());
    let error = b.send("3").await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotConnected);
    b.disconnect().await.unwrap();
}

#[tokio::test]
async fn disconnect_lets_waiting_sends_through_and_refuses_later_ones() {
    let (a, b) = two();
    let large = "x".repeat(2_000_000);
    let sending = async {
        a.send(&large).await.unwrap();
        let (waiting, disconnect, late) = (a.send("1"), a.disconnect(), async {
            tokio::task::yield_now().await;
            a.send("2").await
        });
        tokio::join!(waiting, disconnect, late)
    };
    let receiving = async {
        assert_eq!(next(&b).await.unwrap().bytes.len(), 2_000_002);
        assert_eq!(next(&b).await.unwrap().bytes, b"\"1\"");
        assert!(next(&b).await.is_none());
    };
    let ((waiting, disconnect, late), ()) = tokio::join!(sending, receiving);
    waiting.unwrap();
    disconnect.unwrap();
    let error = late.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotConnected);
}

#[tokio::test]
async fn disconnect_says_how_many_messages_the_peer_did_not_take() {
    let (a, bare) = one(Serialization::Json);
    a.send(&"x".repeat(1_000_000)).await.unwrap();
    let mut disconnect = std::pin::pin!(a.disconnect());
    assert!(waits(&mut disconnect).await);
    drop(bare);
    let error = timeout(PATIENCE, disconnect).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    assert!(error.to_string().contains("1 messages"), "{error}");
}

#[tokio::test]
async fn what_breaks_the_protocol_is_told_and_reading_goes_on() {
    let (ours, bare) = one(Serialization::Json);
    bare.write(b"1\n\n2\n");
    let deep = [b"[".repeat(513), b"]".repeat(513), b"\n3\nhalf".to_vec()].concat();
    assert_eq!(next(&ours).await.unwrap().bytes, b"1");
    assert_eq!(problem(&ours).await, ErrorKind::MalformedFrame);
    assert_eq!(next(&ours).await.unwrap().value().unwrap(), 2);
    bare.write(&deep);
    assert_eq!(problem(&ours).await, ErrorKind::TooDeep { limit: 512 });
    assert_eq!(next(&ours).await.unwrap().bytes, b"3");
    drop(bare);
    assert_eq!(problem(&ours).await, ErrorKind::Truncated { bytes: 4 });
    assert!(next(&ours).await.is_none());
}

#[tokio::test]
async fn nodes_own_messages_are_answered_or_passed_over_and_never_told() {
    let (ours, bare) = one(Serialization::Json);
    bare.write(b"{\"cmd\":\"NODE_CLUSTER\",\"act\":\"disconnect\",\"seq\":0}\n");
    bare.write(b"{\"cmd\":\"NODE_SOCKET_NOTIFY_CLOSE\",\"key\":\"6::::0\"}\n");
    bare.write(b"{\"cmd\":\"NODE_\"}\n");
    assert_eq!(next(&ours).await.unwrap().bytes, b"{\"cmd\":\"NODE_\"}");
    let answer = b"{\"cmd\":\"NODE_SOCKET_ALL_CLOSED\",\"key\":\"6::::0\"}\n";
    assert_eq!(bytes(&bare, answer.len()).await, answer);
}

#[tokio::test]
async fn a_peer_that_asks_about_sockets_and_never_reads_is_not_answered_without_end() {
    let (ours, bare) = one(Serialization::Json);
    let mut asked = 0;
    for round in 0..200 {
        let mut questions = String::new();
        for number in 0..100 {
            let key = if number % 2 == 0 { 0 } else { asked };
            asked += 1;
            questions += &format!("{{\"cmd\":\"NODE_SOCKET_GET_COUNT\",\"key\":\"{key:0500}\"}}\n");
        }
        bare.write(format!("{questions}{round}\n").as_bytes());
        assert_eq!(next(&ours).await.unwrap().json::<u32>().unwrap(), round);
    }
    // What fits into the kernel, and what may wait: ten megabytes would be everything.
    bare.write(b"\"last\"\n");
    next(&ours).await.unwrap();
    let mut got = 0;
    let mut idle = 0;
    while idle < 20 {
        match bare.read(65_536) {
            Some(read) => (got, idle) = (got + read.bytes.len(), 0),
            None => {
                idle += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    assert!(got < 2 * 1024 * 1024, "{got} bytes of answers");
    // Once they are taken the next question is answered.
    bare.write(b"{\"cmd\":\"NODE_SOCKET_GET_COUNT\",\"key\":\"new\"}\n");
    let answer = b"{\"cmd\":\"NODE_SOCKET_COUNT\",\"key\":\"new\",\"count\":0}\n";
    assert_eq!(bytes(&bare, answer.len()).await, answer);
}

#[tokio::test]
async fn a_handle_arrives_with_its_message_between_its_neighbours() {
    let (a, b) = two();
    let (mut here, there) = peer::connection();
    let sending = async {
        a.send("before").await.unwrap();
        let (handle, after) = (
            a.send_with_handle(&[1, 2], HandleType::NetSocket, there),
            a.send("after"),
        );
        let (handle, after) = tokio::join!(handle, after);
        handle.unwrap();
        after.unwrap();
    };
    let receiving = async {
        assert_eq!(next(&b).await.unwrap().bytes, b"\"before\"");
        let message = next(&b).await.unwrap();
        assert_eq!(message.json::<Vec<u8>>().unwrap(), [1, 2]);
        assert_eq!(next(&b).await.unwrap().bytes, b"\"after\"");
        message.handle.unwrap()
    };
    let ((), handle) = tokio::join!(sending, receiving);
    assert_eq!(handle.kind, HandleType::NetSocket);
    let mut arrived = TcpStream::from(handle.descriptor.unwrap());
    arrived.write_all(b"same").unwrap();
    drop(arrived);
    let mut received = String::new();
    here.read_to_string(&mut received).unwrap();
    assert_eq!(received, "same", "and nobody else holds it");
}

#[tokio::test]
async fn a_descriptor_that_does_not_fit_its_type_is_refused_and_not_sent() {
    let (ours, bare) = one(Serialization::Json);
    let error = ours
        .send_with_handle(&1, HandleType::NetSocket, peer::not_a_socket())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("char-device"), "{error}");
    assert!(bare.read(10).is_none());
}

#[tokio::test]
async fn a_handle_is_sent_as_node_sends_it_and_its_loss_is_an_error() {
    let (ours, bare) = one(Serialization::Json);
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let sent = ours.send_with_handle(&"m", HandleType::DgramSocket, udp.into());
    let mut sent = std::pin::pin!(sent);
    assert!(waits(&mut sent).await, "nobody has confirmed it");
    let read = bare.read(1_000).unwrap();
    let expected = r#"{"cmd":"NODE_HANDLE","type":"dgram.Socket","msg":"m","dgramType":"udp4"}"#;
    assert_eq!(read.bytes, format!("{expected}\n").as_bytes());
    assert_eq!(read.fds.len(), 1);
    bare.write(NACK);
    let error = timeout(PATIENCE, sent).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("did not get"), "{error}");
    let unanswered = ours.send_with_handle(&1, HandleType::NetServer, peer::socket());
    let mut unanswered = std::pin::pin!(unanswered);
    assert!(waits(&mut unanswered).await);
    drop(bare);
    let error = timeout(PATIENCE, unanswered).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn a_confirmation_behind_a_flood_that_nobody_receives_is_found() {
    let (ours, bare) = one(Serialization::Json);
    let sent = ours.send_with_handle(&1, HandleType::NetServer, peer::socket());
    let flood = async {
        let frame = line(vec![b'1'; 99_999]);
        for _ in 0..100 {
            let mut rest = &frame[..];
            while !rest.is_empty() {
                rsipc_sys::stream::set_nonblocking(std::os::fd::AsFd::as_fd(&bare.fd), true)
                    .unwrap();
                let piece = std::io::IoSlice::new(rest);
                match stream::send(std::os::fd::AsFd::as_fd(&bare.fd), &[piece]) {
                    Ok(written) => rest = &rest[written..],
                    Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
        }
        while bare.read(100_000).is_none() {}
        rsipc_sys::stream::set_nonblocking(std::os::fd::AsFd::as_fd(&bare.fd), false).unwrap();
        bare.write(ACK);
    };
    let both = async { tokio::join!(sent, flood) };
    let (sent, ()) = timeout(PATIENCE, both).await.expect("it waits for ever");
    sent.unwrap();
    assert_eq!(next(&ours).await.unwrap().bytes.len(), 99_999);
}

#[tokio::test]
async fn a_handle_without_its_descriptor_says_why() {
    let (ours, bare) = one(Serialization::Json);
    bare.write_with(&line(envelope("net.Server", "1")), &[&peer::not_a_socket()]);
    let handle = next(&ours).await.unwrap().handle.unwrap();
    assert_eq!(handle.kind, HandleType::NetServer);
    assert_eq!(handle.descriptor.unwrap_err(), HandleProblem::Kind);
    bare.write_with(&line(envelope("fd", "2")), &[&peer::not_a_socket()]);
    let handle = next(&ours).await.unwrap().handle.unwrap();
    assert_eq!(handle.descriptor.unwrap_err(), HandleProblem::Refused);
    bare.write(&line(envelope("net.Server", "3")));
    let message = next(&ours).await.unwrap();
    assert_eq!(message.bytes, b"3");
    assert_eq!(
        message.handle.unwrap().descriptor.unwrap_err(),
        HandleProblem::Lost
    );
    let answers = [ACK, ACK, NACK].concat();
    assert_eq!(bytes(&bare, answers.len()).await, answers);
}

#[tokio::test]
async fn an_advanced_channel_carries_bytes_and_refuses_json() {
    let (ours, bare) = one(Serialization::Advanced);
    ours.send_bytes(b"\xff\x0fT").await.unwrap();
    assert_eq!(bytes(&bare, 7).await, b"\0\0\0\x03\xff\x0fT");
    bare.write(b"\0\0\0\x03\xff\x0fF\0\0\0\x03\xff\x0f0");
    assert_eq!(next(&ours).await.unwrap().bytes, b"\xff\x0fF");
    assert_eq!(next(&ours).await.unwrap().bytes, b"\xff\x0f0");
    for error in [
        ours.send(&1).await.unwrap_err(),
        ours.send_text("1").await.unwrap_err(),
        ours.send_with_handle(&1, HandleType::NetServer, peer::socket())
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
        assert!(error.to_string().contains("advanced"), "{error}");
    }
}

#[test]
fn outside_of_a_runtime_is_an_error() {
    let (a, _b) = stream::pair().unwrap();
    let error = Peer::new(a, Serialization::Json, Limits::default()).unwrap_err();
    assert!(error.to_string().contains("runtime"), "{error}");
}

#[test]
fn a_peer_that_outlives_its_runtime_is_closed() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let first = runtime();
    let (ours, bare) = first.block_on(async { one(Serialization::Json) });
    drop(first);
    assert!(!ours.is_connected());
    runtime().block_on(async {
        assert!(next(&ours).await.is_none());
        assert!(ours.send(&1).await.is_err());
    });
    assert_eq!(bare.read(1).unwrap().bytes, b"", "the end of the stream");
}
