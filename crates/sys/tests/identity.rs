//! Who lives, asked about real processes: stopped, killed, replaced, in other namespaces.

#![cfg(target_os = "linux")]
#![allow(dead_code, reason = "not every test plays with all of it")]

mod again;

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use again::{Player, Scratch, listen, may_unshare, role, tell, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rsipc_ring::lock::Mutex;
use rsipc_ring::table::NO_ENVIRONMENT;
use rsipc_sys::dir::Dir;
use rsipc_sys::identity::{alive, of, own, pid_of, world};
use rsipc_sys::os::Os;
use rsipc_sys::shm::{File, Mapping, Unnamed};

fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

#[test]
fn a_process_knows_itself_as_others_know_it() {
    if role().is_some() {
        tell(&own().unwrap().to_string());
        listen();
        return;
    }
    let mut player = Player::start(again::command(
        "a_process_knows_itself_as_others_know_it",
        "tell",
    ));
    let identity: u64 = player.hear().unwrap().parse().unwrap();
    assert_eq!(of(player.pid()).unwrap(), Some(identity));
    assert_eq!(pid_of(identity), player.pid());
    assert_ne!(identity, own().unwrap());
    assert!(alive(identity) && alive(own().unwrap()));
}

#[test]
fn a_stopped_process_lives_and_a_zombie_does_not() {
    if role().is_some() {
        tell("here");
        listen();
        return;
    }
    let mut player = Player::start(again::command(
        "a_stopped_process_lives_and_a_zombie_does_not",
        "stay",
    ));
    player.hear().unwrap();
    let identity = of(player.pid()).unwrap().unwrap();
    signal(player.pid(), Signal::SIGSTOP);
    assert!(alive(identity));
    player.kill();
    until("the zombie is dead", || !alive(identity));
    // Nobody has asked how it ended: the number is still its own.
    signal(player.pid(), Signal::SIGCONT);
    assert_eq!(of(player.pid()).unwrap(), None);
    assert!(!player.end());
    assert!(!alive(identity));
}

#[test]
fn a_process_whose_main_thread_has_ended_lives() {
    if role().is_some() {
        // The harness's main thread waits for this one; what ends is a child's.
        // SAFETY: the child only calls what is allowed after a fork with threads.
        match unsafe { libc::fork() } {
            0 => leave_a_thread_behind(),
            child => {
                tell(&child.to_string());
                listen();
                signal(child, Signal::SIGKILL);
                // SAFETY: a null status pointer is allowed.
                unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
                return;
            }
        }
    }
    let mut player = Player::start(again::command(
        "a_process_whose_main_thread_has_ended_lives",
        "fork",
    ));
    let pid: i32 = player.hear().unwrap().parse().unwrap();
    until("its main thread is a zombie", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.contains(") Z ")
    });
    let identity = of(pid).unwrap().expect("it is still there");
    assert!(alive(identity));
    player.say("end");
    assert!(player.end());
    assert!(!alive(identity));
}

/// Ends the calling thread of a process that has another.
fn leave_a_thread_behind() -> ! {
    extern "C" fn stay(_: *mut libc::c_void) -> *mut libc::c_void {
        loop {
            // SAFETY: has no preconditions.
            unsafe { libc::pause() };
        }
    }
    let mut thread = 0;
    // SAFETY: `stay` is a function of the right type and needs no argument.
    unsafe {
        libc::pthread_create(
            &mut thread,
            std::ptr::null(),
            stay,
            std::ptr::null_mut::<libc::c_void>(),
        )
    };
    loop {
        // SAFETY: ends this thread alone; its stack holds nothing anybody else looks at.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    }
}

#[test]
fn the_next_process_with_the_same_number_is_another() {
    let rounds = std::env::var("RSIPC_TEST_REUSES").map_or(50, |text| text.parse().unwrap());
    if role().is_some() {
        for round in 0..rounds {
            reuse_a_number(round);
        }
        tell("done");
        return;
    }
    if !may_unshare("that a pid used again is another process") {
        return;
    }
    let mut player = Player::start(again::wrapped(
        &["unshare", "--pid", "--kill-child", "--mount-proc"],
        "the_next_process_with_the_same_number_is_another",
        "reuse",
    ));
    assert_eq!(player.hear().as_deref(), Some("done"));
    assert!(player.end());
}

fn reuse_a_number(round: u32) {
    let first = short_life(None);
    let identity = of(first).unwrap().unwrap();
    assert!(alive(identity), "{round}");
    end(first);
    assert!(!alive(identity), "{round}");
    // Start times are told in ticks of 10 ms.
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(11) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let second = short_life(Some(first));
    assert_eq!(second, first, "the number was to be used again");
    assert!(!alive(identity), "{round}");
    assert!(alive(of(second).unwrap().unwrap()), "{round}");
    end(second);
}

/// A child that waits to be killed; with this number if it is given.
fn short_life(number: Option<i32>) -> i32 {
    if let Some(number) = number {
        fs::write("/proc/sys/kernel/ns_last_pid", (number - 1).to_string()).unwrap();
    }
    // SAFETY: the child calls nothing but pause.
    match unsafe { libc::fork() } {
        0 => loop {
            // SAFETY: has no preconditions.
            unsafe { libc::pause() };
        },
        pid => pid,
    }
}

fn end(pid: i32) {
    signal(pid, Signal::SIGKILL);
    // SAFETY: a null status pointer is allowed.
    assert_eq!(unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) }, pid);
}

#[test]
fn another_pid_namespace_is_another_world() {
    if role().is_some() {
        let identity = own().map_or_else(|error| error.to_string(), |it| it.to_string());
        tell(&identity);
        tell(&world().map_or_else(|error| error.to_string(), |it| it.to_string()));
        return;
    }
    let name = "another_pid_namespace_is_another_world";
    let mut player = Player::start(again::command(name, "tell"));
    player.hear();
    assert_eq!(player.hear(), Some(world().unwrap().to_string()));
    assert!(player.end());
    if !may_unshare("identities in another pid namespace") {
        return;
    }
    let inside = ["unshare", "--pid", "--kill-child", "--mount-proc"];
    let mut player = Player::start(again::wrapped(&inside, name, "tell"));
    assert_eq!(pid_of(player.hear().unwrap().parse().unwrap()), 1);
    let theirs: u64 = player.hear().unwrap().parse().unwrap();
    assert_ne!(theirs, world().unwrap());
    assert!(player.end());
    // With our /proc it would take a stranger's start time for its own.
    let mut player = Player::start(again::wrapped(&inside[..3], name, "tell"));
    for _ in 0..2 {
        let refused = player.hear().unwrap();
        assert!(refused.contains("another pid namespace"), "{refused}");
    }
    assert!(player.end());
}

#[test]
fn an_object_that_is_passed_into_another_pid_namespace_is_refused_there() {
    type Lock = Mutex<Mapping, Os>;
    const PLACE: &str = "RSIPC_TEST_PLACE";
    let attach = |path: &Path| {
        let dir = Dir::reach(path).unwrap();
        let memory = File::open(&dir, OsStr::new("lock")).unwrap().map().unwrap();
        Lock::attach(memory, Os::new(&dir).unwrap(), NO_ENVIRONMENT)
    };
    if role().is_some() {
        let path = std::env::var(PLACE).unwrap();
        tell(&format!("{:?}", attach(Path::new(&path)).err()));
        return;
    }
    let name = "an_object_that_is_passed_into_another_pid_namespace_is_refused_there";
    let scratch = Scratch::new();
    let dir = Dir::reach(scratch.path()).unwrap();
    let unnamed = Unnamed::new(&dir, Lock::SIZE as u64).unwrap();
    let os = Os::new(&dir).unwrap();
    let lock = Lock::create(unnamed.mapping().clone(), os, NO_ENVIRONMENT).unwrap();
    unnamed.publish(&dir, OsStr::new("lock")).unwrap().unwrap();
    assert!(attach(scratch.path()).is_ok());
    if !may_unshare("an object of another pid namespace") {
        return;
    }
    let inside = ["unshare", "--pid", "--kill-child", "--mount-proc"];
    let mut command = again::wrapped(&inside, name, "attach");
    command.env(PLACE, scratch.path());
    let mut player = Player::start(command);
    assert_eq!(player.hear().as_deref(), Some("Some(Open(World))"));
    assert!(player.end());
    drop(lock);
}

#[test]
fn a_child_without_exec_has_an_identity_of_its_own() {
    let ours = own().unwrap();
    // SAFETY: the child takes one lock-free look and leaves.
    match unsafe { libc::fork() } {
        0 => {
            let another = own().is_ok_and(|theirs| theirs != ours && !alive(0) && alive(ours));
            // SAFETY: leaves without running what the parent registered.
            unsafe { libc::_exit(if another { 0 } else { 1 }) }
        }
        child => {
            let mut status = 0;
            // SAFETY: `status` outlives the call.
            unsafe { libc::waitpid(child, &mut status, 0) };
            assert_eq!(status, 0);
        }
    }
}

/// The descriptors of this process that tell of the end of another one.
fn process_descriptors() -> Vec<i32> {
    let fds = fs::read_dir("/proc/self/fd").unwrap();
    fds.filter_map(|entry| {
        let fd = entry.unwrap().file_name().into_string().unwrap();
        let target = fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
        let target = target.to_string_lossy().into_owned();
        (target.contains("pidfd")).then(|| fd.parse().unwrap())
    })
    .collect()
}

#[test]
fn looking_at_the_living_holds_few_descriptors_and_none_of_the_dead() {
    let name = "looking_at_the_living_holds_few_descriptors_and_none_of_the_dead";
    if role().is_none() {
        // Alone in a process, where nobody else opens any.
        assert!(Player::start(again::command(name, "look")).end());
        return;
    }
    own().unwrap();
    let pids: Vec<i32> = (0..150).map(|_| short_life(None)).collect();
    let identities: Vec<u64> = pids.iter().map(|pid| of(*pid).unwrap().unwrap()).collect();
    for _ in 0..3 {
        assert!(identities.iter().all(|identity| alive(*identity)));
    }
    let open = process_descriptors();
    assert!(open.len() <= 128, "{}", open.len());
    for fd in open {
        // SAFETY: reads the flags of a descriptor by its number.
        assert_eq!(unsafe { libc::fcntl(fd, libc::F_GETFD) }, libc::FD_CLOEXEC);
    }
    // A child has them as well, and no use for them; it finds out for itself.
    // SAFETY: the child is alone with what it calls: no other thread was at work.
    match unsafe { libc::fork() } {
        0 => {
            let right = own().is_ok() && (0..3).all(|_| alive(identities[7]));
            signal(pids[7], Signal::SIGKILL);
            let begin = Instant::now();
            while alive(identities[7]) && begin.elapsed() < Duration::from_secs(20) {}
            let code = i32::from(!right || alive(identities[7]));
            // SAFETY: leaves without running what the parent registered.
            unsafe { libc::_exit(code) }
        }
        child => {
            let mut status = 1;
            // SAFETY: `status` outlives the call.
            unsafe { libc::waitpid(child, &mut status, 0) };
            assert_eq!(status, 0);
        }
    }
    pids.iter().for_each(|pid| end(*pid));
    assert!(!identities.iter().any(|identity| alive(*identity)));
    assert_eq!(process_descriptors(), []);
    // A number that is another process now.
    let pid = short_life(None);
    assert!(!alive(of(pid).unwrap().unwrap() ^ 1));
    assert_eq!(process_descriptors(), []);
    end(pid);
}

#[test]
fn without_descriptors_left_the_living_still_live() {
    let name = "without_descriptors_left_the_living_still_live";
    if role().is_none() {
        assert!(Player::start(again::command(name, "look")).end());
        return;
    }
    own().unwrap();
    let pid = short_life(None);
    let identity = of(pid).unwrap().unwrap();
    let limit = libc::rlimit {
        rlim_cur: 64,
        rlim_max: 64,
    };
    // SAFETY: `limit` outlives the call.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
    let mut files: Vec<_> = std::iter::from_fn(|| fs::File::open("/dev/null").ok()).collect();
    // Not even `/proc` can be read.
    assert!(alive(identity) && alive(identity));
    // With one it is the process's, and nothing is left for `/proc`; with two there is.
    for _ in 0..2 {
        files.pop();
        assert!(alive(identity) && alive(identity));
    }
    drop(files);
    end(pid);
    assert!(!alive(identity));
}
