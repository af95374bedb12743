//! Gathered frames leave although their owner never flushes.

#![cfg(unix)]

mod peer;

use std::time::{Duration, Instant};

use peer::Peer;
use rsipc_core::channel::Sent;
use rsipc_core::runtime::{Shared, watch};

fn read_for(peer: &Peer, bytes: usize) {
    let begin = Instant::now();
    let mut got = 0;
    while got < bytes {
        got += peer.read(65_536).map_or(0, |read| read.bytes.len());
        assert!(
            begin.elapsed() < peer::PATIENCE,
            "{got} of {bytes} bytes came"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_busy_owner_s_frames_are_written_for_it_again_and_again() {
    let (channel, peer) = Peer::json();
    let shared = Shared::new(channel);
    // The pause after the third round lets the writer forget the channel.
    for pause in [0, 5, 200, 0] {
        assert_eq!(
            shared.lock().send_slice(true, b"1").unwrap(),
            Sent::Gathered
        );
        watch(&shared);
        read_for(&peer, 2);
        let channel = shared.lock();
        assert_eq!(channel.written(), channel.accepted());
        drop(channel);
        std::thread::sleep(Duration::from_millis(pause));
    }
}

#[test]
fn a_failed_late_write_is_told_by_the_next_send() {
    let (channel, peer) = Peer::json();
    let shared = Shared::new(channel);
    drop(peer);
    shared.lock().send_slice(true, b"1").unwrap();
    watch(&shared);
    let begin = Instant::now();
    while shared.lock().failure().is_none() {
        assert!(begin.elapsed() < peer::PATIENCE);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(shared.lock().send_slice(true, b"2").is_err());
}

#[test]
fn watching_does_not_keep_a_channel_open() {
    let (channel, peer) = Peer::json();
    let shared = Shared::new(channel);
    shared.lock().send_slice(false, b"1").unwrap();
    watch(&shared);
    drop(shared);
    read_for(&peer, 2);
    let begin = Instant::now();
    // An empty read is the end of the stream.
    while !peer.read(10).is_some_and(|read| read.bytes.is_empty()) {
        assert!(begin.elapsed() < peer::PATIENCE);
    }
}
