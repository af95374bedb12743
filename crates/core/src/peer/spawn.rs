//! A child with the other end of a channel.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use rsipc_sys::{process, stream};
use tokio::process::{Child, Command};

use super::environment::{FD_VARIABLE, MODE_VARIABLE};
use super::sharing::{MOST, Sharing};
use super::{Limits, Peer, Serialization};

/// The number under which the child finds its end. Node's own choice.
const CHILD_FD: i32 = 3;

impl Peer {
    /// Starts a child with a channel, as `child_process.fork` does: a Node script or any program
    /// that knows the protocol.
    ///
    /// Takes a command of tokio's or of the standard library. The child has its end as descriptor 3
    /// and the two `NODE_CHANNEL_…` variables; all else is as the command says. How the child ends is
    /// told by the returned [`Child`]; dropping it does not end the child unless `kill_on_drop` is
    /// set.
    ///
    /// ```no_run
    /// # async fn example() -> std::io::Result<()> {
    /// use rsipc_core::peer::{Peer, Serialization};
    /// use tokio::process::Command;
    ///
    /// let mut command = Command::new("node");
    /// command.arg("child.js");
    /// let (peer, mut child) = Peer::spawn(command, Serialization::Json)?;
    /// peer.send("hello").await?;
    /// println!("{:?}", peer.recv().await?);
    /// peer.disconnect().await?;
    /// println!("{}", child.wait().await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// On a runtime without I/O. Outside of a runtime it is an error.
    pub fn spawn(
        command: impl Into<Command>,
        serialization: Serialization,
    ) -> io::Result<(Peer, Child)> {
        let mut command = command.into();
        // Two descriptors appear, so number 3 is in use from here on: by one of them if it was free.
        let (ours, theirs) = stream::pair()?;
        let inside = command.as_std_mut();
        // A program in another language is not asked: it need not expect messages of ours.
        let asks = if is_node(inside.get_program()) {
            MOST
        } else {
            0
        };
        let peer = Peer::with(ours, serialization, Limits::default(), |json| {
            Sharing::new(true, asks, json)
        })?;
        let mode = match serialization {
            Serialization::Json => "json",
            Serialization::Advanced => "advanced",
        };
        inside
            .env(FD_VARIABLE, CHILD_FD.to_string())
            .env(MODE_VARIABLE, mode);
        process::hand_down(inside, theirs, CHILD_FD);
        let child = command.spawn()?;
        // The command, which ends here, holds the child's end.
        Ok((peer, child))
    }
}

/// Whether a program is Node by its name.
fn is_node(program: &OsStr) -> bool {
    let name = Path::new(program).file_name().unwrap_or_default();
    matches!(name.to_str(), Some("node" | "nodejs"))
}
