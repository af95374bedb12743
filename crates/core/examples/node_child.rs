//! A Rust program as the child of a Node one: it counts the words of the texts it is sent, and when
//! it is given a connection it answers there.
//!
//! ```text
//! cargo build --package rsipc-core --examples
//! node crates/core/examples/node_child.js target/debug/examples/node_child
//! ```

#![cfg_attr(not(unix), no_main)]
#![cfg(unix)]

use std::error::Error;
use std::io::Write;
use std::net::TcpStream;

use rsipc_core::peer::Peer;
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let peer = Peer::from_env()?;
    let mut total = 0;
    while let Some(message) = peer.recv().await? {
        match message.handle {
            None => {
                let text: String = message.json()?;
                let words = text.split_whitespace().count();
                total += words;
                peer.send(&json!({ "words": words })).await?;
            }
            Some(handle) => {
                let mut connection = TcpStream::from(handle.descriptor?);
                // Node's sockets are non-blocking. What is written here fits the kernel's buffer.
                write!(connection, "{total} words in all")?;
            }
        }
    }
    // Node has disconnected.
    Ok(())
}
