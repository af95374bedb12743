//! Ringing the event loop of another process: heard, never waiting, never for ever.

#![cfg(target_os = "linux")]
#![allow(dead_code, reason = "not every test plays with all of it")]

mod again;

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::time::Duration;

use again::{Player, Scratch, listen, role, tell, until};
use rsipc_sys::dir::Dir;
use rsipc_sys::fifo::{EnvironmentBell, Ringer, name, owner, remove_abandoned};
use rsipc_sys::identity::{of, own};
use rsipc_sys::wait::{Interest, ready};

const READABLE: Interest = Interest {
    readable: true,
    writable: false,
};

fn rung(bell: &EnvironmentBell) -> bool {
    ready(bell.as_fd(), READABLE, Some(Duration::ZERO))
        .unwrap()
        .readable
}

fn dir(scratch: &Scratch) -> Dir {
    Dir::reach(scratch.path()).unwrap()
}

/// Open descriptors of what is in the directory.
fn descriptors(scratch: &Scratch) -> usize {
    fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter(|entry| {
            let link = fs::read_link(entry.as_ref().unwrap().path());
            link.is_ok_and(|link| link.starts_with(scratch.path()) && link != scratch.path())
        })
        .count()
}

#[test]
fn names_of_bells_are_told_from_others() {
    for (identity, environment) in [(1, 0), (u64::MAX, u32::MAX), (17 << 42, 3)] {
        let name = name(identity, environment);
        assert_eq!(owner(name.to_str().unwrap()), Some((identity, environment)));
    }
    let whole = "0000000000000001-0.bell";
    assert_eq!(owner(whole), Some((1, 0)));
    for name in [
        "",
        ".bell",
        "-.bell",
        "1-0.bell",
        "0000000000000001-0",
        "0000000000000001-00.bell",
        "0000000000000001-+1.bell",
        "+000000000000001-1.bell",
        "000000000000000A-1.bell",
        "0000000000000001-4294967296.bell",
        "0000000000000001--1.bell",
    ] {
        assert_eq!(owner(name), None, "{name}");
    }
}

#[test]
fn a_ring_is_heard_until_it_is_taken_out_and_many_count_once() {
    let scratch = Scratch::new();
    let bell = EnvironmentBell::new(&dir(&scratch), 0).unwrap();
    let other = EnvironmentBell::new(&dir(&scratch), 1).unwrap();
    let ringer = Ringer::new(&dir(&scratch)).unwrap();
    assert!(!rung(&bell) && !bell.drain());
    for _ in 0..1000 {
        assert!(ringer.ring(own().unwrap(), 0));
    }
    assert!(rung(&bell) && !rung(&other));
    assert!(bell.drain());
    assert!(!rung(&bell) && !bell.drain());
}

#[test]
fn a_bell_nobody_answers_is_rung_without_waiting() {
    let scratch = Scratch::new();
    let bell = EnvironmentBell::new(&dir(&scratch), 0).unwrap();
    let ringer = Ringer::new(&dir(&scratch)).unwrap();
    for _ in 0..70_000 {
        assert!(ringer.ring(own().unwrap(), 0));
    }
    until("it is silent again", || !bell.drain());
}

#[test]
fn a_process_is_rung_and_a_dead_one_is_not_and_neither_raises_a_signal() {
    let name = "a_process_is_rung_and_a_dead_one_is_not_and_neither_raises_a_signal";
    let scratch = match role() {
        Some(path) => {
            let dir = Dir::reach(path.as_ref()).unwrap();
            let bell = EnvironmentBell::new(&dir, 5).unwrap();
            tell(&own().unwrap().to_string());
            while !ready(bell.as_fd(), READABLE, None).unwrap().readable {}
            assert!(bell.drain());
            tell("heard");
            listen();
            return;
        }
        None => Scratch::new(),
    };
    // SAFETY: to end on SIGPIPE is what a host may have asked for; the test's runner has not.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let path = scratch.path().to_str().unwrap();
    let mut player = Player::start(again::command(name, path));
    let identity: u64 = player.hear().unwrap().parse().unwrap();
    let ringer = Ringer::new(&dir(&scratch)).unwrap();
    assert!(ringer.ring(identity, 5));
    assert_eq!(player.hear().as_deref(), Some("heard"));
    player.kill();
    until("it is dead", || !rsipc_sys::identity::alive(identity));
    // It is open here and believed in for a while, which harms nobody.
    assert_eq!(descriptors(&scratch), 1);
    until("it is rung no more", || !ringer.ring(identity, 5));
    assert_eq!(descriptors(&scratch), 0);
    assert!(!ringer.ring(identity, 5));
    // Its name is left, for whoever cleans up.
    let left = scratch.names().remove(0);
    assert!(remove_abandoned(&dir(&scratch), left.as_ref()).unwrap());
    assert!(scratch.names().is_empty());
}

#[test]
fn a_bell_that_was_taken_down_is_not_rung_and_leaves_no_name() {
    let scratch = Scratch::new();
    let ringer = Ringer::new(&dir(&scratch)).unwrap();
    let bell = EnvironmentBell::new(&dir(&scratch), 0).unwrap();
    assert!(ringer.ring(own().unwrap(), 0));
    assert_eq!(scratch.names().len(), 1);
    drop(bell);
    assert!(scratch.names().is_empty());
    assert!(!ringer.ring(own().unwrap(), 0));
    assert_eq!(descriptors(&scratch), 0);
    // The next one of its number is not mistaken for it.
    let next = EnvironmentBell::new(&dir(&scratch), 0).unwrap();
    assert!(ringer.ring(own().unwrap(), 0));
    assert!(next.drain());
    assert!(!ringer.ring(own().unwrap(), 1));
    assert!(!ringer.ring(0, 0));
}

#[test]
fn a_bell_full_of_rings_has_a_successor_that_is_rung() {
    let scratch = Scratch::new();
    let ringer = Ringer::new(&dir(&scratch)).unwrap();
    let bell = EnvironmentBell::new(&dir(&scratch), 0).unwrap();
    for _ in 0..100_000 {
        assert!(ringer.ring(own().unwrap(), 0));
    }
    drop(bell);
    let next = EnvironmentBell::new(&dir(&scratch), 0).unwrap();
    assert!(ringer.ring(own().unwrap(), 0));
    assert!(rung(&next));
}

#[test]
fn a_bell_left_by_a_former_life_is_replaced() {
    let scratch = Scratch::new();
    let path = scratch.path().join(name(own().unwrap(), 0));
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let second = EnvironmentBell::new(&dir(&scratch), 0).unwrap();
    assert_eq!(second.environment(), 0);
    // Another copy of the library in this process numbers its environments as well.
    let third = EnvironmentBell::new(&dir(&scratch), 0).unwrap();
    assert_eq!(third.environment(), 1);
    let none = EnvironmentBell::new(&dir(&scratch), u32::MAX).unwrap_err();
    assert_eq!(none.errno(), Some(libc::EBUSY));
    assert!(!remove_abandoned(&dir(&scratch), path.file_name().unwrap()).unwrap());
    let ringer = Ringer::new(&dir(&scratch)).unwrap();
    assert!(ringer.ring(own().unwrap(), 0));
    assert!(second.drain());
}

#[test]
fn ringers_keep_a_bounded_number_of_bells_open() {
    let scratch = Scratch::new();
    let dir = dir(&scratch);
    let bells: Vec<EnvironmentBell> = (0..100)
        .map(|number| EnvironmentBell::new(&dir, number).unwrap())
        .collect();
    let ringer = Ringer::new(&dir).unwrap();
    for _ in 0..3 {
        for number in 0..100 {
            assert!(ringer.ring(own().unwrap(), number));
        }
        assert!(bells.iter().all(EnvironmentBell::drain));
    }
    assert_eq!(descriptors(&scratch), bells.len() + 64);
}

#[test]
fn what_is_not_a_fifo_of_this_user_is_not_rung() {
    let scratch = Scratch::new();
    let at = |environment| scratch.path().join(name(own().unwrap(), environment));
    let ringer = Ringer::new(&dir(&scratch)).unwrap();
    let _bell = EnvironmentBell::new(&dir(&scratch), 0).unwrap();
    fs::write(at(1), "").unwrap();
    symlink(at(0), at(2)).unwrap();
    fs::create_dir(at(3)).unwrap();
    for environment in 1..=3 {
        assert!(!ringer.ring(own().unwrap(), environment), "{environment}");
    }
    assert_eq!(fs::metadata(at(1)).unwrap().len(), 0);
}

#[test]
fn a_child_without_exec_does_not_take_the_bell_down() {
    let scratch = Scratch::new();
    let bell = EnvironmentBell::new(&dir(&scratch), 0).unwrap();
    // SAFETY: the child drops one value and leaves.
    let child = unsafe { libc::fork() };
    if child == 0 {
        drop(bell);
        // SAFETY: leaves without running what the parent registered.
        unsafe { libc::_exit(0) };
    }
    // SAFETY: a null status pointer is allowed.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    assert_eq!(scratch.names().len(), 1);
    assert_eq!(of(child).unwrap(), None);
}

#[test]
fn a_process_without_descriptors_can_still_ring() {
    let test = "a_process_without_descriptors_can_still_ring";
    if let Some(words) = role() {
        let (identity, path) = words.split_once(' ').unwrap();
        let ringer = Ringer::new(&Dir::reach(path.as_ref()).unwrap()).unwrap();
        let few = libc::rlimit {
            rlim_cur: 64,
            rlim_max: 64,
        };
        // SAFETY: reads the limit from a local.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &few) }, 0);
        let mut all = Vec::new();
        while let Ok(one) = fs::File::open("/dev/null") {
            all.push(one);
        }
        for environment in [0, 1, 0, 1] {
            let rung = ringer.ring(identity.parse().unwrap(), environment);
            tell(if rung { "rung" } else { "not rung" });
        }
        return;
    }
    let scratch = Scratch::new();
    let bells = [0, 1].map(|number| EnvironmentBell::new(&dir(&scratch), number).unwrap());
    let words = format!("{} {}", own().unwrap(), scratch.path().display());
    let mut player = Player::start(again::command(test, &words));
    for _ in 0..4 {
        assert_eq!(player.hear().as_deref(), Some("rung"));
    }
    assert!(bells.iter().all(EnvironmentBell::drain));
    assert!(player.end());
}
