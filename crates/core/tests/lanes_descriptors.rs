//! Channels that share memory in a process that is short of descriptors. A file of its own: the limit is the
//! whole process's.

#![cfg(target_os = "linux")]

mod both;
mod peer;

use std::os::fd::{AsFd, AsRawFd};

use both::{Both, Got};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use peer::socket;
use rsipc_core::channel::Sent;
use rsipc_sys::fd;

#[test]
fn a_handle_that_is_lost_is_sent_again_to_its_place_although_the_ring_is_full() {
    let mut both = Both::new();
    let text = format!("\"{}\"", "x".repeat(30_000));
    both.child.channel.pause(true);
    both.parent.handle("1", socket(), true);
    both.parent.frame("2");
    both.parent.handle("3", socket(), true);
    while both.parent.frame(&text) == Sent::Written {}
    both.parent.frame(&text);
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let lowest = fd::duplicate(std::io::stdin().as_fd()).unwrap().as_raw_fd();
    // The kernel drops the descriptor of the first handle, whose receiver has no room for it.
    setrlimit(Resource::RLIMIT_NOFILE, lowest as u64, hard).unwrap();
    both.child.resume();
    both.child.turn();
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    both.until("all are written", |both| {
        both.parent.channel.queued_messages() == 0
    });
    both.settle();
    let mut got = both.child.messages().into_iter();
    let mut payload = || match got.next() {
        Some(Got::Frame(bytes)) => String::from_utf8(bytes).unwrap(),
        Some(Got::Handle(frame, Some(_), None)) => String::from_utf8(frame).unwrap(),
        other => panic!("{other:?}"),
    };
    assert!(payload().ends_with("\"msg\":1}"));
    assert_eq!(payload(), "2");
    assert!(payload().ends_with("\"msg\":3}"));
}
