//! `Peer` on a channel that leaves the socket for shared memory: with Node at the other end, and with
//! another `Peer`, which may be killed.
//!
//! For the child this program starts itself: [`the_child`] is no test but what runs there.

#![cfg(target_os = "linux")]

use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rsipc_core::peer::{HandleType, Message, Peer, Serialization, Transport};
use serde_json::{Value, json};
use tokio::process::Child;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);
const MANY: u64 = 20_000;

fn role(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--ignored", "--exact", "the_child", "--nocapture"])
        .env("RSIPC_TEST_ROLE", name)
        .env_remove("RSIPC_TRANSPORT");
    command
}

fn spawn(command: Command) -> (Peer, Child) {
    let mut command = tokio::process::Command::from(command);
    command.kill_on_drop(true);
    let (peer, child) = Peer::spawn(command, Serialization::Json).unwrap();
    peer.set_transport(Transport::Auto);
    (peer, child)
}

async fn next(peer: &Peer) -> Option<Message> {
    let received = timeout(PATIENCE, peer.recv()).await;
    received.expect("nothing came in time").unwrap()
}

/// The same of a peer that is killed, which may be in the middle of a message.
async fn next_of_the_dying(peer: &Peer) -> Option<Message> {
    let received = timeout(PATIENCE, peer.recv()).await;
    received
        .expect("nothing came in time")
        .unwrap_or_else(|error| {
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{error}");
            None
        })
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

/// Sends numbered messages of all sizes and checks that they come back in order.
async fn exchange(peer: &Peer, from: u64, count: u64) {
    let text = |number: u64| {
        "ü".repeat(if number.is_multiple_of(1_000) {
            100_000
        } else {
            (number % 50) as usize
        })
    };
    let sending = async {
        for number in from..from + count {
            peer.send(&(number, text(number))).await.unwrap();
        }
    };
    let receiving = async {
        for number in from..from + count {
            assert_eq!(value(peer).await, json!([number, text(number)]));
        }
    };
    tokio::join!(sending, receiving);
}

#[tokio::test]
async fn two_rust_programs_move_to_memory_when_there_is_much_to_send() {
    let (peer, child) = spawn(role("echo"));
    exchange(&peer, 0, 10).await;
    assert!(!peer.shares_memory(), "for ten messages");
    exchange(&peer, 10, MANY).await;
    assert!(peer.shares_memory());
    peer.send("shares?").await.unwrap();
    assert_eq!(value(&peer).await, true);
    peer.disconnect().await.unwrap();
    assert!(next(&peer).await.is_none());
    assert!(end(child).await.success());
}

#[tokio::test]
async fn either_end_keeps_the_channel_on_the_socket() {
    let (peer, child) = spawn(role("echo"));
    peer.set_transport(Transport::Socket);
    exchange(&peer, 0, 1_000).await;
    peer.send("shares?").await.unwrap();
    assert_eq!(value(&peer).await, false);
    assert!(!peer.shares_memory());
    peer.disconnect().await.unwrap();
    end(child).await;

    let mut command = role("echo");
    command.env("RSIPC_TRANSPORT", "socket");
    let (peer, child) = spawn(command);
    exchange(&peer, 0, 1_000).await;
    assert!(!peer.shares_memory());
    peer.disconnect().await.unwrap();
    end(child).await;
}

#[tokio::test]
async fn handles_keep_their_places_among_messages_in_memory() {
    let (peer, child) = spawn(role("echo"));
    peer.set_transport(Transport::Ring);
    exchange(&peer, 0, 1_000).await;
    assert!(peer.shares_memory());
    for round in 0..20 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let before = (0..50).map(|number| json!([round, number]));
        for message in before.clone() {
            peer.send(&message).await.unwrap();
        }
        peer.send_with_handle("a handle", HandleType::NetServer, listener.into())
            .await
            .unwrap();
        peer.send("behind").await.unwrap();
        for message in before {
            assert_eq!(value(&peer).await, message);
        }
        assert_eq!(value(&peer).await, "had a handle");
        assert_eq!(value(&peer).await, "behind");
    }
    peer.disconnect().await.unwrap();
    assert!(end(child).await.success());
}

#[tokio::test]
async fn a_peer_that_does_not_receive_goes_on_sending() {
    let (peer, child) = spawn(role("echo"));
    peer.set_transport(Transport::Ring);
    exchange(&peer, 0, 1_000).await;
    // More than rings, sockets and inboxes hold, in both directions: who waits to send reads on.
    let text = "x".repeat(100_000);
    for _ in 0..60 {
        peer.send(&text).await.unwrap();
    }
    for _ in 0..60 {
        assert_eq!(value(&peer).await, text);
    }
    peer.disconnect().await.unwrap();
    assert!(end(child).await.success());
}

#[tokio::test]
async fn what_a_killed_child_had_sent_arrives_in_order_and_then_the_end() {
    for round in 0..10 {
        let (peer, mut child) = spawn(role("flood"));
        peer.set_transport(Transport::Ring);
        let mut expected = 0;
        while let Some(message) = next_of_the_dying(&peer).await {
            assert_eq!(message.json::<(u64, String)>().unwrap().0, expected);
            expected += 1;
            if expected == 5_000 + round * 777 {
                assert!(peer.shares_memory());
                child.start_kill().unwrap();
            }
        }
        assert!(expected >= 5_000);
        assert_eq!(end(child).await.signal(), Some(9));
        assert!(peer.send("late").await.is_err());
    }
}

#[test]
fn a_child_gets_what_its_killed_parent_had_sent_and_then_the_end() {
    for _ in 0..5 {
        // Its child, which outlives it, says on the same stdout what came.
        let output = role("doomed").output().unwrap();
        // And why it failed, if it did.
        let said = [&output.stdout[..], &output.stderr[..]].concat();
        let said = String::from_utf8_lossy(&said);
        assert_eq!(output.status.signal(), Some(9), "{said}");
        assert!(said.contains("all in order through memory"), "{said}");
    }
}

fn package() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn node(script: &str) -> Command {
    let script = script.replace(
        "OURS",
        &format!("require({:?})", package().join("index.js")),
    );
    let mut command = Command::new("node");
    command.args(["-e", &script]).env_remove("RSIPC_TRANSPORT");
    command
}

#[tokio::test]
async fn a_node_child_that_is_rsipc_moves_to_memory_with_its_rust_parent() {
    let script = "const { parent } = OURS;
        parent.on('message', (m) => parent.send(m === 'shares?' ? parent.channel.transport : m));";
    let (peer, child) = spawn(node(script));
    exchange(&peer, 0, MANY).await;
    assert!(peer.shares_memory());
    peer.send("shares?").await.unwrap();
    assert_eq!(value(&peer).await, "ring");
    peer.disconnect().await.unwrap();
    assert!(next(&peer).await.is_none());
    assert!(end(child).await.success());
}

#[tokio::test]
async fn a_plain_node_child_stays_on_the_socket() {
    let (peer, child) = spawn(node("process.on('message', (m) => process.send(m));"));
    peer.set_transport(Transport::Ring);
    exchange(&peer, 0, 2_000).await;
    assert!(!peer.shares_memory());
    peer.disconnect().await.unwrap();
    assert!(end(child).await.success());
}

#[test]
fn a_rust_child_moves_to_memory_with_its_node_parent_and_survives_a_kill_of_either() {
    for transport in ["auto", "ring"] {
        let script = "const { spawn } = OURS;
            const [program, transport] = process.argv.slice(1);
            const start = (role) => spawn(program, ['--ignored', '--exact', 'the_child'],
              { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], transport, env: { ...process.env, RSIPC_TEST_ROLE: role } });
            const child = start('echo');
            let got = 0;
            child.on('message', (m) => {
              if (m === true) {
                console.log('back', got, child.channel.transport);
                child.request({}, { timeout: 5_000 }).catch(({ code }) => {
                  console.log(code);
                  child.disconnect();
                });
                return;
              }
              if (m[0] !== got++) throw new Error(`out of order: ${m[0]}`);
              if (got === 10_000) child.send('shares?');
              else if (got % 100 === 0) more();
            });
            let sent = 0;
            const more = () => { while (sent < Math.min(10_000, got + 500)) child.send([sent, { text: 'ü'.repeat(sent++ % 99) }]); };
            more();
            child.on('exit', (code, signal) => {
              console.log(code, signal);
              const flood = start('flood');
              let next = 0;
              flood.on('message', ([number]) => {
                if (number !== next++) throw new Error(`out of order: ${number}`);
                if (next === 5_000) flood.kill('SIGKILL');
              });
              flood.on('disconnect', () => console.log(next >= 5_000));
              flood.on('exit', (code, signal) => console.log(code, signal));
            });";
        let mut command = node(script);
        command.arg(std::env::current_exe().unwrap()).arg(transport);
        let output = command.output().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "back 10000 ring\nERR_RSIPC_PLAIN_PEER\n0 null\ntrue\nnull SIGKILL\n",
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
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
        "flood" => runtime.block_on(async { flood(&Peer::from_env().unwrap()).await }),
        "doomed" => runtime.block_on(doomed()),
        "survivor" => runtime.block_on(survivor()),
        other => panic!("{other} is no role"),
    }
}

async fn echo() {
    let peer = Peer::from_env().unwrap();
    while let Some(message) = next(&peer).await {
        if message.handle.is_some() {
            peer.send("had a handle").await.unwrap();
        } else if message.bytes == b"\"shares?\"" {
            peer.send(&peer.shares_memory()).await.unwrap();
        } else {
            peer.send_bytes(&message.bytes).await.unwrap();
        }
    }
}

/// Sends without end.
async fn flood(peer: &Peer) {
    for number in 0_u64.. {
        let text = "x".repeat((number % 300) as usize);
        if peer.send(&(number, text)).await.is_err() {
            return;
        }
    }
}

/// The parent of a child that it floods; the child ends it.
async fn doomed() {
    let mut command = role("survivor");
    command.env("RSIPC_DOOMED", std::process::id().to_string());
    let (peer, _child) = Peer::spawn(command, Serialization::Json).unwrap();
    peer.set_transport(Transport::Ring);
    flood(&peer).await;
}

#[expect(clippy::print_stdout, reason = "the test that started it reads it")]
async fn survivor() {
    let parent = std::env::var("RSIPC_DOOMED").unwrap();
    let peer = Peer::from_env().unwrap();
    let mut expected = 0;
    while let Some(message) = next_of_the_dying(&peer).await {
        assert_eq!(message.json::<(u64, String)>().unwrap().0, expected);
        expected += 1;
        if expected == 20_000 {
            assert!(peer.shares_memory());
            let killed = Command::new("kill").args(["-9", &parent]).status();
            assert!(killed.unwrap().success());
        }
    }
    if expected >= 20_000 {
        println!("all in order through memory");
    }
}
