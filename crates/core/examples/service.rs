//! A service in Rust for clients in Node: answers requests, sends a message of its own, ends with its client.
//!
//! ```text
//! cargo build --package rsipc-core --examples
//! node crates/core/examples/service.js target/debug/examples/service
//! ```

#![cfg_attr(not(unix), no_main)]
#![cfg(unix)]
#![expect(clippy::print_stdout, reason = "that is what it is for")]

use std::error::Error;

use rsipc_core::endpoint::session::{Incoming, Server};
use rsipc_core::endpoint::{Endpoint, ListenOptions};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let endpoint = Endpoint::parse("rsipc:example.service")?;
    let mut server = Server::bind(&endpoint, &ListenOptions::default())?;
    let mut client = server.accept().await?;
    client.send(&json!({ "ready": true })).await?;
    while let Some(incoming) = client.recv().await? {
        match incoming {
            Incoming::Message(body) => println!("message: {}", body.text()), // → message: {"from":"Node"}
            Incoming::Request(asked) if asked.name() == "sum" => {
                let numbers: Vec<f64> = asked.body().ok_or("numbers are missing")?.json()?;
                asked.reply(&numbers.iter().sum::<f64>())?;
            }
            Incoming::Request(asked) => asked.fail("there is no such thing here")?,
            _ => {}
        }
    }
    println!("the client has gone"); // → the client has gone
    Ok(())
}
