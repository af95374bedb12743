//! `Peer` against the `node` on the path, as its parent and as its child.
//!
//! For the second, this program starts itself: [`the_child`] is no test but what runs there.

#![cfg(unix)]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rsipc_core::peer::{
    EnvironmentError, HIGH_WATER_MARK, HandleType, Message, Peer, Serialization, strip,
};
use rsipc_sys::{process, stream};
use serde_json::{Value, json};
use tokio::process::Child;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

fn node(script: &str) -> Command {
    let mut command = Command::new("node");
    command.args(["-e", script]);
    command
}

fn spawn(script: &str, serialization: Serialization) -> (Peer, Child) {
    Peer::spawn(node(script), serialization).expect("node is on the path")
}

async fn next(peer: &Peer) -> Option<Message> {
    let received = timeout(PATIENCE, peer.recv()).await;
    received.expect("nothing came in time").unwrap()
}

async fn value(peer: &Peer) -> Value {
    let message = next(peer).await.expect("the channel is open");
    message.value().unwrap()
}

async fn end(mut child: Child) -> std::process::ExitStatus {
    timeout(PATIENCE, child.wait())
        .await
        .expect("the child did not end in time")
        .unwrap()
}

#[tokio::test]
async fn every_value_comes_back_from_node_in_order() {
    let (peer, child) = spawn(
        "process.on('message', (m) => process.send(m))",
        Serialization::Json,
    );
    let mut values = vec![
        json!(null),
        json!([true, -1.5, "ü\n\u{2028}"]),
        json!({ "cmd": "NODE_", "deep": [[[{}]]] }),
        json!("x".repeat(3_000_000)),
    ];
    values.extend((0..1_000).map(|index| json!({ "index": index })));
    let sending = async {
        for value in &values {
            peer.send(value).await.unwrap();
        }
    };
    let receiving = async {
        for expected in &values {
            assert!(value(&peer).await == *expected);
        }
    };
    tokio::join!(sending, receiving);
    peer.disconnect().await.unwrap();
    assert!(next(&peer).await.is_none());
    assert!(end(child).await.success());
}

#[tokio::test]
async fn disconnect_leaves_nothing_unwritten_and_node_hears_of_it_last() {
    let script = "let bytes = 0;
        process.on('message', (m) => { bytes += m.length; });
        process.on('disconnect', () => process.exit(bytes === 5e6 ? 7 : 1));";
    let (peer, child) = spawn(script, Serialization::Json);
    for _ in 0..5 {
        peer.send(&"x".repeat(1_000_000)).await.unwrap();
    }
    peer.disconnect().await.unwrap();
    assert_eq!(end(child).await.code(), Some(7));
}

#[tokio::test]
async fn send_waits_while_node_is_busy_and_all_arrives_afterwards() {
    let script = "process.on('message', (m) => {
          if (m === 'block') require('node:fs').readSync(0, Buffer.alloc(1));
          if (m === 'last') process.send(count);
          count++;
        });
        let count = 0;";
    let mut command = node(script);
    command.stdin(Stdio::piped());
    let (peer, mut child) = Peer::spawn(command, Serialization::Json).unwrap();
    peer.send("block").await.unwrap();
    let chunk = "x".repeat(HIGH_WATER_MARK / 2);
    let mut sent = 1;
    // What is dropped here has not been sent.
    while timeout(Duration::from_millis(500), peer.send(&chunk))
        .await
        .is_ok()
    {
        sent += 1;
        assert!(sent < 100, "nothing holds the sender back");
    }
    drop(child.stdin.take());
    peer.send("last").await.unwrap();
    assert_eq!(value(&peer).await, sent);
    peer.disconnect().await.unwrap();
    assert!(end(child).await.success());
}

#[tokio::test]
async fn a_killed_child_ends_the_channel_and_its_status_tells_the_signal() {
    let script = "process.on('message', () => {}); process.send('up');";
    let (peer, mut child) = spawn(script, Serialization::Json);
    assert_eq!(value(&peer).await, "up");
    child.start_kill().unwrap();
    assert!(next(&peer).await.is_none());
    assert_eq!(end(child).await.signal(), Some(9));
    assert!(!peer.is_connected());
    let error = peer.send(&1).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotConnected);
}

#[tokio::test]
async fn a_child_killed_while_a_send_waits_fails_that_send() {
    let script = "process.send('up'); for (;;) ;";
    let (peer, mut child) = spawn(script, Serialization::Json);
    assert_eq!(value(&peer).await, "up");
    peer.send(&"x".repeat(2_000_000)).await.unwrap();
    let mut waiting = std::pin::pin!(peer.send(&1));
    let still = timeout(Duration::from_millis(50), &mut waiting).await;
    assert!(still.is_err(), "there was room");
    child.start_kill().unwrap();
    timeout(PATIENCE, waiting).await.unwrap().unwrap_err();
    assert_eq!(end(child).await.signal(), Some(9));
}

#[tokio::test]
async fn what_a_child_sends_before_it_exits_is_received() {
    let script = "for (let i = 0; i < 2000; i++) process.send(i); process.exitCode = 3;";
    let (peer, child) = spawn(script, Serialization::Json);
    assert_eq!(end(child).await.code(), Some(3));
    for index in 0..2_000 {
        assert_eq!(value(&peer).await, index);
    }
    assert!(next(&peer).await.is_none());
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_an_error() {
    let command = Command::new("/nonexistent/program");
    let error = Peer::spawn(command, Serialization::Json).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}

#[tokio::test]
async fn node_answers_on_the_sockets_and_accepts_on_the_servers_it_is_given() {
    let script = "process.on('message', (m, handle) => {
          if (m === 'socket') handle.end('hello ' + m);
          if (m === 'server') handle.on('connection', (s) => { s.end('hello ' + m); handle.close(); });
          if (m === 'udp') handle.close();
          process.send(handle.constructor.name);
        });";
    let (peer, child) = spawn(script, Serialization::Json);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut here = TcpStream::connect(address).unwrap();
    let there: OwnedFd = listener.accept().unwrap().0.into();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (a, b, c) = tokio::join!(
        peer.send_with_handle("socket", HandleType::NetSocket, there),
        peer.send_with_handle("server", HandleType::NetServer, listener.into()),
        peer.send_with_handle("udp", HandleType::DgramSocket, udp.into()),
    );
    for sent in [a, b, c] {
        sent.unwrap();
    }
    for name in ["Socket", "Server", "Socket"] {
        assert_eq!(value(&peer).await, name);
    }
    let mut received = String::new();
    here.read_to_string(&mut received).unwrap();
    assert_eq!(received, "hello socket");
    let mut connection = TcpStream::connect(address).unwrap();
    received.clear();
    connection.read_to_string(&mut received).unwrap();
    assert_eq!(received, "hello server");
    // Node keeps the sockets until the other side closes them too.
    drop((here, connection));
    peer.disconnect().await.unwrap();
    assert!(end(child).await.success());
}

#[tokio::test]
async fn sockets_of_nodes_server_are_received_and_do_not_keep_it_from_closing() {
    let script = "const net = require('node:net');
        const server = net.createServer({ pauseOnConnect: true }, (socket) => {
          process.send('take it', socket);
          server.close(() => { process.send('closed'); process.disconnect(); });
        });
        server.listen(0, '127.0.0.1', () => process.send(server.address().port));";
    let (peer, child) = spawn(script, Serialization::Json);
    let port = value(&peer).await.as_u64().unwrap();
    let mut here = TcpStream::connect(("127.0.0.1", u16::try_from(port).unwrap())).unwrap();
    let message = next(&peer).await.unwrap();
    assert_eq!(message.value().unwrap(), "take it");
    let handle = message.handle.unwrap();
    assert_eq!(handle.kind, HandleType::NetSocket);
    let mut arrived = TcpStream::from(handle.descriptor.unwrap());
    arrived.write_all(b"from Rust").unwrap();
    drop(arrived);
    let mut received = String::new();
    here.read_to_string(&mut received).unwrap();
    assert_eq!(received, "from Rust");
    assert_eq!(value(&peer).await, "closed");
    assert!(next(&peer).await.is_none());
    assert!(end(child).await.success());
}

#[tokio::test]
async fn an_advanced_channel_carries_what_v8_writes() {
    let script = "process.on('message', (m) => { process.send(new Map([[m, 1n]])); });";
    let (peer, child) = spawn(script, Serialization::Advanced);
    peer.send_bytes(b"\xff\x0f\"\x02hi").await.unwrap();
    let message = next(&peer).await.unwrap();
    assert_eq!(
        message.bytes,
        b"\xff\x0f;\"\x02hiZ\x10\x01\0\0\0\0\0\0\0:\x02"
    );
    peer.disconnect().await.unwrap();
    assert!(end(child).await.success());
}

/// Starts this program as [`the_child`] in the given role.
fn role(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--ignored", "--exact", "the_child", "--nocapture"])
        .env("RSIPC_TEST_ROLE", name);
    command
}

fn run(mut command: Command) -> (Output, String) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, text)
}

#[test]
fn a_rust_child_of_node_echoes_and_answers_on_a_socket() {
    let script = "const { spawn } = require('node:child_process');
        const net = require('node:net');
        const child = spawn(process.argv[1], ['--ignored', '--exact', 'the_child'],
          { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], env: { ...process.env, RSIPC_TEST_ROLE: 'echo' } });
        const server = net.createServer({ pauseOnConnect: true }, (socket) => child.send('socket', socket));
        const got = [];
        child.on('message', (m) => {
          got.push(m);
          if (got.length === 3) server.listen(0, '127.0.0.1', () => net.connect(server.address().port, '127.0.0.1')
            .on('data', (d) => { got.push(String(d)); server.close(() => child.disconnect()); }));
        });
        child.on('exit', (code, signal) => console.log(JSON.stringify([got, code, signal])));
        for (const m of [1, { a: 'ü' }, 'x'.repeat(10)]) child.send(m);";
    let exe = std::env::current_exe().unwrap();
    let mut command = node(script);
    command.arg(exe);
    let (output, text) = run(command);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        text.trim(),
        r#"[[1,{"a":"ü"},"xxxxxxxxxx","on the socket"],0,null]"#,
        "{stderr}"
    );
}

#[test]
fn a_variable_that_names_no_channel_is_a_clear_error_and_harms_nothing() {
    type Prepare = fn(&mut Command);
    let nothing: Prepare = |_| {};
    let file: Prepare = |command| {
        let file = File::open(std::env::current_exe().unwrap()).unwrap();
        process::hand_down(command, file.into(), 9);
    };
    let datagrams: Prepare = |command| {
        let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
        process::hand_down(command, socket.into(), 9);
    };
    let channel: Prepare = |command| {
        let (_ours, theirs) = stream::pair().unwrap();
        process::hand_down(command, theirs, 9);
        command.env("NODE_CHANNEL_SERIALIZATION_MODE", "martian");
    };
    let table: [(&str, Prepare, &str); 13] = [
        ("0", nothing, "is 0: a standard stream"),
        ("1", nothing, "is 1: a standard stream"),
        ("99", nothing, "is 99, which is not open"),
        ("x", nothing, r#"is "x", which is no descriptor"#),
        ("", nothing, r#"is "", which is no descriptor"#),
        ("-1", nothing, r#"is "-1", which is no descriptor"#),
        ("3.5", nothing, r#"is "3.5", which is no descriptor"#),
        ("99999999999", nothing, "which is no descriptor"),
        ("2147483647", nothing, "which is not open"),
        ("9", file, "is 9, which is of kind file and no channel"),
        ("9", datagrams, "is 9, which is of kind unix-dgram"),
        ("50", nothing, "is 50, which did not come from the parent"),
        ("9", channel, r#"is "martian", neither json nor advanced"#),
    ];
    for (number, prepare, expected) in table {
        let mut command = role("refused");
        command.env("NODE_CHANNEL_FD", number);
        prepare(&mut command);
        let (output, text) = run(command);
        assert!(text.contains(expected), "{number:?}: {text}");
        assert!(output.status.success(), "{number:?}: {output:?}");
    }
    let mut command = role("refused");
    strip(&mut command);
    let (output, text) = run(command);
    assert!(text.contains("is not set"), "{text}");
    assert!(output.status.success());
}

#[tokio::test]
async fn the_end_is_taken_once_and_does_not_reach_a_grandchild() {
    let (peer, child) = Peer::spawn(role("grandchildren"), Serialization::Json).unwrap();
    assert_eq!(value(&peer).await, "taken already");
    assert_eq!(value(&peer).await, "undefined");
    assert_eq!(value(&peer).await, "hello from the grandchild");
    assert!(next(&peer).await.is_none());
    assert!(end(child).await.success());
}

#[test]
#[ignore = "started by the others, as the child"]
fn the_child() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    // Without a role it was started with `--ignored` by somebody else.
    match &*std::env::var("RSIPC_TEST_ROLE").unwrap_or_default() {
        "" => {}
        "echo" => runtime.block_on(echo()),
        "refused" => runtime.block_on(refused()),
        "grandchildren" => runtime.block_on(grandchildren()),
        other => panic!("{other} is no role"),
    }
}

async fn echo() {
    let peer = Peer::from_env().unwrap();
    while let Some(message) = next(&peer).await {
        match message.handle {
            Some(handle) => {
                let mut socket = TcpStream::from(handle.descriptor.unwrap());
                socket.write_all(b"on the socket").unwrap();
            }
            None => peer.send_bytes(&message.bytes).await.unwrap(),
        }
    }
}

#[expect(clippy::print_stdout, reason = "the test that started it reads it")]
async fn refused() {
    // Descriptors of this process's own, up to a number one of the cases names.
    let mut own = Vec::new();
    while own.last().is_none_or(|fd: &OwnedFd| fd.as_raw_fd() < 50) {
        let (a, b) = stream::pair().unwrap();
        own.extend([a, b]);
    }
    let error = Peer::from_env().unwrap_err();
    println!("refused: {error}");
    for fd in &own {
        assert_eq!(rsipc_sys::fd::inherited(fd.as_raw_fd()).unwrap(), None);
    }
}

async fn grandchildren() {
    let peer = Peer::from_env().unwrap();
    let again = Peer::from_env().unwrap_err();
    assert!(matches!(again, EnvironmentError::Taken));
    peer.send("taken already").await.unwrap();

    // What is not stripped reaches a grandchild as a number without a descriptor.
    let mut listing = Command::new("sh");
    let (_, listing) = run({
        listing.args([
            "-c",
            "echo fd=$NODE_CHANNEL_FD; (: >&3) 2>&1 || echo closed",
        ]);
        listing
    });
    assert!(
        listing.starts_with("fd=3\n") && listing.ends_with("closed\n"),
        "{listing}"
    );

    let mut command = Command::new("node");
    command.args(["-p", "process.env.NODE_CHANNEL_FD"]);
    strip(&mut command);
    let (_, text) = run(command);
    peer.send(text.trim()).await.unwrap();

    let script = "process.send('hello from the grandchild')";
    let (grandchild, running) = spawn(script, Serialization::Json);
    peer.send(&value(&grandchild).await).await.unwrap();
    assert!(end(running).await.success());
}
