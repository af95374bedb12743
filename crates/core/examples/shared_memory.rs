//! Two Rust programs with much to say to each other: their channel leaves the socket for shared memory.
//!
//! ```text
//! cargo run --package rsipc-core --example shared_memory
//! ```

#![cfg_attr(not(unix), no_main)]
#![cfg(unix)]
#![expect(clippy::print_stdout, reason = "that is what it is for")]

use std::env;
use std::error::Error;

use rsipc_core::peer::{Peer, Serialization};
use tokio::process::Command;

const COUNT: u64 = 100_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    if env::args().nth(1).as_deref() == Some("child") {
        return child().await;
    }
    let mut command = Command::new(env::current_exe()?);
    command.arg("child").env_remove("RSIPC_TRANSPORT");
    let (peer, mut child) = Peer::spawn(command, Serialization::Json)?;

    let sending = async {
        for number in 1..=COUNT {
            peer.send(&number).await?;
        }
        Ok::<(), std::io::Error>(())
    };
    let receiving = async {
        let mut sum = 0;
        for _ in 0..COUNT {
            let message = peer.recv().await?.ok_or("the child has gone")?;
            sum += message.json::<u64>()?;
        }
        Ok::<u64, Box<dyn Error>>(sum)
    };
    let (sent, sum) = tokio::join!(sending, receiving);
    sent?;
    println!("sum: {}", sum?); // → sum: 10000100000
    println!("through shared memory: {}", peer.shares_memory()); // → through shared memory: true

    peer.disconnect().await?;
    println!("{}", child.wait().await?); // → exit status: 0
    Ok(())
}

async fn child() -> Result<(), Box<dyn Error>> {
    let peer = Peer::from_env()?;
    while let Some(message) = peer.recv().await? {
        peer.send(&(message.json::<u64>()? * 2)).await?;
    }
    Ok(())
}
