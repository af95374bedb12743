//! Channels that share memory in a process that is short of descriptors. A file of its own: the limit is the
//! whole process's.

#![cfg(target_os = "linux")]

mod both;
mod peer;

use std::os::fd::{AsFd, AsRawFd};
use std::sync::Mutex;

use both::{Both, Got};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use peer::socket;
use rsipc_core::channel::Sent;
use rsipc_sys::fd;

/// The lowest number of a descriptor that this process does not have, as a limit: no more can be opened.
fn without_descriptors<T>(run: impl FnOnce() -> T) -> T {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let lowest = fd::duplicate(std::io::stdin().as_fd()).unwrap().as_raw_fd();
    setrlimit(Resource::RLIMIT_NOFILE, lowest as u64, hard).unwrap();
    let answer = run();
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    answer
}

/// One at a time: what they limit is the whole process's.
static LIMIT: Mutex<()> = Mutex::new(());

/// The texts of what arrived, and whether each had a descriptor; which one it was, for a handle.
fn arrived(both: &mut Both) -> Vec<(String, Option<std::path::PathBuf>)> {
    let got = both.child.messages().into_iter();
    got.map(|got| match got {
        Got::Frame(bytes) => (String::from_utf8(bytes).unwrap(), None),
        Got::Handle(frame, descriptor, _) => {
            let text = String::from_utf8(frame).unwrap();
            let at = text.find("\"msg\":").unwrap() + 6;
            let which = descriptor.map(|fd| {
                let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
                std::fs::read_link(link).unwrap()
            });
            (text[at..text.len() - 1].into(), which)
        }
        other => panic!("{other:?}"),
    })
    .collect()
}

#[test]
fn a_lost_handle_comes_to_its_own_place_although_others_came_before_it() {
    let _alone = LIMIT.lock();
    // Also when the messages are the same: each descriptor has its place.
    for same in [false, true] {
        let mut both = Both::new();
        let mut expected = Vec::new();
        both.child.channel.pause(true);
        for number in 0..6 {
            let socket = socket();
            let link = format!("/proc/self/fd/{}", socket.as_raw_fd());
            let which = std::fs::read_link(link).unwrap();
            let text = if same { "7".into() } else { number.to_string() };
            both.parent.handle(&text, socket, true);
            expected.push((text, Some(which)));
            both.parent.frame("\"between\"");
            expected.push(("\"between\"".into(), None));
        }
        both.child.resume();
        // Each read brings one handle. The first, the third and the fourth are lost; the fourth once more.
        for lost in [true, false, true, true, false, false] {
            if lost {
                without_descriptors(|| both.child.turn_within(1));
            } else {
                both.child.turn_within(1);
            }
        }
        both.settle();
        assert_eq!(arrived(&mut both), expected, "{same}");
    }
}

#[test]
fn a_handle_that_is_lost_again_and_again_is_told_in_its_place_without_it() {
    let _alone = LIMIT.lock();
    let mut both = Both::new();
    both.child.channel.pause(true);
    for number in 0..3 {
        both.parent.handle(&number.to_string(), socket(), true);
    }
    both.child.resume();
    without_descriptors(|| both.child.turn_within(1));
    both.child.turn_within(1);
    both.child.turn_within(1);
    for _ in 0..3 {
        both.parent.turn();
        without_descriptors(|| both.child.turn());
    }
    both.settle();
    let got = arrived(&mut both).into_iter();
    let got: Vec<_> = got.map(|(text, which)| (text, which.is_some())).collect();
    let expected = [("0", false), ("1", true), ("2", true)];
    assert_eq!(got, expected.map(|(text, there)| (text.into(), there)));
    both.parent.frame("8");
    both.settle();
    assert_eq!(arrived(&mut both), [("8".to_owned(), None)]);
}

#[test]
fn a_handle_that_is_lost_is_sent_again_to_its_place_although_the_ring_is_full() {
    let _alone = LIMIT.lock();
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
