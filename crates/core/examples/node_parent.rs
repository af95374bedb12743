//! A Rust program as the parent of a Node script, which it talks to and gives a listening socket.
//!
//! ```text
//! cargo run --package rsipc-core --example node_parent -- crates/core/examples/node_parent.js
//! ```

#![cfg_attr(not(unix), no_main)]
#![cfg(unix)]
#![expect(clippy::print_stdout, reason = "that is what it is for")]

use std::error::Error;
use std::io::Read;
use std::net::{TcpListener, TcpStream};

use rsipc_core::peer::{HandleType, Peer, Serialization};
use serde_json::json;
use tokio::process::Command;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let script = std::env::args_os()
        .nth(1)
        .ok_or("usage: node_parent <script>")?;
    let mut command = Command::new("node");
    command.arg(script);
    let (peer, mut child) = Peer::spawn(command, Serialization::Json)?;

    for number in [3, 4, 5] {
        peer.send(&json!({ "square": number })).await?;
    }
    for _ in 0..3 {
        let answer = peer.recv().await?.ok_or("the child has gone")?;
        println!("answer: {}", answer.value()?);
        // → answer: 9
        // → answer: 16
        // → answer: 25
    }

    // Node accepts connections on this socket from here on.
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    peer.send_with_handle("listen", HandleType::NetServer, listener.into())
        .await?;
    let greeting = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        TcpStream::connect(address)?.read_to_string(&mut text)?;
        Ok::<_, std::io::Error>(text)
    });
    println!("connected: {}", greeting.await??); // → connected: hello from Node

    peer.disconnect().await?;
    println!("{}", child.wait().await?); // → exit status: 0
    Ok(())
}
