//! Memory between real processes: what is refused, what is left after a kill, a full device.

#![cfg(target_os = "linux")]
#![allow(dead_code, reason = "not every test plays with all of it")]

mod again;

use std::ffi::OsStr;
use std::fs::{self, File as Plain, Permissions};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use again::{Player, Scratch, listen, may_unshare, role, tell, until};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::Mode;
use nix::unistd::ftruncate;
use rsipc_sys::dir::Dir;
use rsipc_sys::fd::{self, Kind};
use rsipc_sys::file::Error;
use rsipc_sys::shm::{File, Mapping, Unnamed};

fn word(mapping: &Mapping, index: usize) -> &AtomicU64 {
    assert!(index * 8 + 8 <= mapping.len());
    // SAFETY: in the mapping, which is aligned to pages, and only used as words here.
    unsafe { AtomicU64::from_ptr(mapping.start().cast::<u64>().add(index).as_ptr()) }
}

fn dir(path: &Path) -> Dir {
    Dir::reach(path).unwrap()
}

fn make(path: &Path, name: &str, size: u64) -> Mapping {
    let unnamed = Unnamed::new(&dir(path), size).unwrap();
    let published = unnamed.publish(&dir(path), OsStr::new(name)).unwrap();
    published.expect("the name is free")
}

fn open(path: &Path, name: &str) -> Result<File, Error> {
    File::open(&dir(path), OsStr::new(name))
}

#[test]
fn memory_without_a_name_is_zero_and_its_size_is_sealed() {
    let mapping = Mapping::anonymous("test", 10_000).unwrap();
    assert_eq!(mapping.len(), 10_000);
    assert!((0..1250).all(|index| word(&mapping, index).load(Ordering::Relaxed) == 0));
    for size in [0, 9_999, 10_001] {
        assert_eq!(ftruncate(mapping.file(), size), Err(Errno::EPERM), "{size}");
    }
    let seals = FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_WRITE);
    assert_eq!(fcntl(mapping.file(), seals), Err(Errno::EPERM));
    let flags = fcntl(mapping.file(), FcntlArg::F_GETFD).unwrap();
    assert_eq!(flags, FdFlag::FD_CLOEXEC.bits());
}

#[test]
fn both_ends_of_a_descriptor_see_the_same_words() {
    let ours = Mapping::anonymous("test", 4096).unwrap();
    let theirs = Mapping::received(fd::duplicate(ours.file()).unwrap()).unwrap();
    word(&ours, 511).store(7, Ordering::Release);
    assert_eq!(word(&theirs, 511).load(Ordering::Acquire), 7);
    drop(ours);
    theirs.prefault().unwrap();
    assert_eq!(word(&theirs, 511).load(Ordering::Acquire), 7);
}

#[test]
fn what_could_change_its_size_is_not_mapped() {
    let scratch = Scratch::new();
    let sealed_with = |seals: SealFlag| {
        let file = memfd_create("test", MFdFlags::MFD_ALLOW_SEALING).unwrap();
        ftruncate(&file, 4096).unwrap();
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).unwrap();
        file
    };
    let plain = memfd_create("test", MFdFlags::empty()).unwrap();
    ftruncate(&plain, 4096).unwrap();
    let on_tmpfs = Plain::create_new(scratch.path().join("file")).unwrap();
    on_tmpfs.set_len(4096).unwrap();
    let on_disk = Plain::open(std::env::current_exe().unwrap()).unwrap();
    let (pipe, _end) = nix::unistd::pipe().unwrap();
    let table: Vec<(&str, OwnedFd)> = vec![
        ("no seal", plain),
        ("none yet", sealed_with(SealFlag::empty())),
        ("grows", sealed_with(SealFlag::F_SEAL_SHRINK)),
        ("shrinks", sealed_with(SealFlag::F_SEAL_GROW)),
        ("named", on_tmpfs.into()),
        ("on a disk", on_disk.into()),
        ("pipe", pipe),
        ("device", Plain::open("/dev/zero").unwrap().into()),
    ];
    for (what, file) in table {
        let error = Mapping::received(file).unwrap_err();
        assert!(matches!(error, Error::Unsealed), "{what}: {error}");
    }
    let both = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW;
    Mapping::received(sealed_with(both)).unwrap();
    // What cannot be written is an error of the call, not a crash.
    let error = Mapping::received(sealed_with(both | SealFlag::F_SEAL_WRITE)).unwrap_err();
    assert_eq!(error.errno(), Some(libc::EPERM));
    let empty = memfd_create("test", MFdFlags::MFD_ALLOW_SEALING).unwrap();
    fcntl(&empty, FcntlArg::F_ADD_SEALS(both)).unwrap();
    let error = Mapping::received(empty).unwrap_err();
    assert!(matches!(error, Error::Size { size: 0 }), "{error}");
}

#[test]
fn sizes_that_cannot_be_mapped_are_refused_before_anything_is_made() {
    let scratch = Scratch::new();
    for size in [0, u64::MAX, 1 << 63, (1 << 63) - 1 + 1] {
        let error = Mapping::anonymous("test", size).unwrap_err();
        assert!(matches!(error, Error::Size { .. }), "{error}");
        let error = Unnamed::new(&dir(scratch.path()), size).unwrap_err();
        assert!(matches!(error, Error::Size { .. }), "{error}");
    }
}

#[test]
fn a_child_without_exec_does_not_have_the_memory() {
    let mapping = Mapping::anonymous("test", 4096).unwrap();
    let address = mapping.start();
    // SAFETY: the child touches one address and leaves.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: has no preconditions; the parent's handlers are not for this child.
        unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
        // SAFETY: that nothing is there is what is tested: the child ends here.
        unsafe { address.write_volatile(1) };
        // SAFETY: leaves without running what the parent registered.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    unsafe { libc::waitpid(child, &mut status, 0) };
    assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSEGV);
}

#[test]
fn a_named_object_is_seen_whole_or_not_at_all() {
    let scratch = Scratch::new();
    let unnamed = Unnamed::new(&dir(scratch.path()), 4096).unwrap();
    word(unnamed.mapping(), 0).store(42, Ordering::Relaxed);
    assert!(scratch.names().is_empty());
    let made = unnamed
        .publish(&dir(scratch.path()), OsStr::new("x"))
        .unwrap();
    let made = made.expect("the name is free");
    let found = open(scratch.path(), "x").unwrap().map().unwrap();
    assert_eq!(word(&found, 0).load(Ordering::Relaxed), 42);
    word(&found, 1).store(43, Ordering::Relaxed);
    assert_eq!(word(&made, 1).load(Ordering::Relaxed), 43);
    let file = fs::metadata(scratch.path().join("x")).unwrap();
    assert_eq!((file.mode() & 0o7777, file.nlink()), (0o600, 1));

    let second = Unnamed::new(&dir(scratch.path()), 8192).unwrap();
    let second = second
        .publish(&dir(scratch.path()), OsStr::new("x"))
        .unwrap();
    let second = second.expect_err("the name is taken");
    second
        .publish(&dir(scratch.path()), OsStr::new("y"))
        .unwrap()
        .expect("another name is free");
    assert_eq!(scratch.names(), ["x", "y"]);
}

#[test]
fn a_killed_maker_leaves_nothing() {
    if let Some(path) = role() {
        let unnamed = Unnamed::new(&dir(path.as_ref()), 1 << 20).unwrap();
        word(unnamed.mapping(), 0).store(1, Ordering::Relaxed);
        tell("made");
        listen();
        return;
    }
    let scratch = Scratch::new();
    let mut player = Player::start(again::command(
        "a_killed_maker_leaves_nothing",
        scratch.path().to_str().unwrap(),
    ));
    player.hear().unwrap();
    let descriptors = format!("/proc/{}/fd", player.pid());
    let holds = |path: &str| {
        fs::read_dir(path).is_ok_and(|mut fds| {
            fds.any(|fd| {
                fs::read_link(fd.unwrap().path()).is_ok_and(|link| link.starts_with(scratch.path()))
            })
        })
    };
    assert!(holds(&descriptors));
    player.kill();
    until("it is gone", || !holds(&descriptors));
    assert!(scratch.names().is_empty());
}

#[test]
fn what_is_not_a_file_of_this_user_alone_is_refused() {
    let scratch = Scratch::new();
    let at = |name: &str| scratch.path().join(name);
    let file = |name: &str, mode: u32| {
        Plain::create_new(at(name)).unwrap().set_len(4096).unwrap();
        fs::set_permissions(at(name), Permissions::from_mode(mode)).unwrap();
    };
    file("good", 0o600);
    assert!(open(scratch.path(), "good").is_ok());
    symlink(at("good"), at("link")).unwrap();
    symlink(at("nowhere"), at("dangling")).unwrap();
    fs::create_dir(at("directory")).unwrap();
    nix::unistd::mkfifo(&at("fifo"), Mode::S_IRWXU).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    for name in ["link", "dangling", "directory", "fifo", "socket"] {
        let error = open(scratch.path(), name).unwrap_err();
        let expected = matches!(error, Error::Kind { wanted: Kind::File });
        assert!(expected, "{name}: {error}");
    }
    for mode in [0o644, 0o660, 0o602, 0o610] {
        let name = format!("mode-{mode:o}");
        file(&name, mode);
        let error = open(scratch.path(), &name).unwrap_err();
        assert!(matches!(error, Error::Mode { mode: found } if found == mode));
    }
    file("two names", 0o600);
    fs::hard_link(at("two names"), at("second name")).unwrap();
    let error = open(scratch.path(), "second name").unwrap_err();
    assert!(matches!(error, Error::Links { count: 2 }), "{error}");
    assert!(open(scratch.path(), "missing").unwrap_err().is_not_found());
    file("empty", 0o600);
    Plain::options()
        .write(true)
        .open(at("empty"))
        .unwrap()
        .set_len(0)
        .unwrap();
    let error = open(scratch.path(), "empty").unwrap().map().unwrap_err();
    assert!(matches!(error, Error::Size { size: 0 }), "{error}");
    if nix::unistd::geteuid().is_root() {
        file("foreign", 0o600);
        std::os::unix::fs::chown(at("foreign"), Some(65_534), None).unwrap();
        let error = open(scratch.path(), "foreign").unwrap_err();
        assert!(matches!(error, Error::Owner { uid: 65_534 }), "{error}");
    }
}

#[test]
fn a_full_device_is_an_error_when_an_object_is_made_or_opened_and_no_signal() {
    let name = "a_full_device_is_an_error_when_an_object_is_made_or_opened_and_no_signal";
    if let Some(path) = role() {
        play_on_a_small_device(path.as_ref());
        tell("done");
        return;
    }
    if !may_unshare("a full device") {
        return;
    }
    let scratch = Scratch::new();
    let path = scratch.path().to_str().unwrap();
    let mut player = Player::start(again::wrapped(&["unshare", "--mount"], name, path));
    assert_eq!(player.hear().as_deref(), Some("done"));
    assert!(player.end());
}

fn play_on_a_small_device(path: &Path) {
    // Seen by this process alone, and gone with it.
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m,mode=700", "rsipc-test"])
        .arg(path)
        .status()
        .unwrap();
    assert!(mounted.success());
    let free = || nix::sys::statvfs::statvfs(path).unwrap().blocks_available();
    let before = free();
    for size in [1 << 21, 1 << 30, 1 << 40] {
        let error = Unnamed::new(&dir(path), size).unwrap_err();
        assert!(error.is_no_space(), "{size}: {error}");
        assert_eq!(free(), before, "{size}");
    }
    let half = make(path, "half", 512 << 10);
    for index in 0..half.len() / 8 {
        word(&half, index).store(1, Ordering::Relaxed);
    }
    // A file with holes that the device cannot fill.
    let sparse = Plain::create_new(path.join("sparse")).unwrap();
    sparse.set_len(1 << 20).unwrap();
    fs::set_permissions(path.join("sparse"), Permissions::from_mode(0o600)).unwrap();
    let error = open(path, "sparse").unwrap().map().unwrap_err();
    assert!(error.is_no_space(), "{error}");
    drop(half);
    fs::remove_file(path.join("half")).unwrap();
    fs::remove_file(path.join("sparse")).unwrap();
    drop(sparse);
    assert_eq!(free(), before);
    let all = make(path, "all", 1 << 20);
    word(&all, all.len() / 8 - 1).store(1, Ordering::Relaxed);
}

#[test]
fn a_file_is_in_use_until_its_last_user_ends_in_whatever_way() {
    if let Some(path) = role() {
        let _held = open(path.as_ref(), "x").unwrap().map().unwrap();
        tell("mapped");
        listen();
        return;
    }
    let scratch = Scratch::new();
    drop(make(scratch.path(), "x", 4096));
    let unused = || open(scratch.path(), "x").unwrap().claim().unwrap();
    // A process that another test is about to start holds all that is open for a moment.
    until("nobody uses it", unused);
    let mut players: Vec<Player> = (0..2)
        .map(|_| {
            Player::start(again::command(
                "a_file_is_in_use_until_its_last_user_ends_in_whatever_way",
                scratch.path().to_str().unwrap(),
            ))
        })
        .collect();
    for player in &mut players {
        player.hear().unwrap();
        assert!(!unused());
    }
    players[0].say("leave");
    assert!(players.remove(0).end());
    assert!(!unused());
    players[0].kill();
    // It is a zombie: nobody has asked how it ended.
    until("nobody uses it", unused);
}

#[test]
fn what_is_claimed_is_waited_for_and_what_was_removed_is_not_found() {
    let scratch = Scratch::new();
    drop(make(scratch.path(), "x", 4096));
    let claimer = open(scratch.path(), "x").unwrap();
    until("nobody uses it", || claimer.claim().unwrap());
    let begin = Instant::now();
    let error = open(scratch.path(), "x").unwrap().map().unwrap_err();
    assert_eq!(error.errno(), Some(libc::EWOULDBLOCK));
    assert!(begin.elapsed() >= Duration::from_secs(1));

    let late = open(scratch.path(), "x").unwrap();
    fs::remove_file(scratch.path().join("x")).unwrap();
    let opener = std::thread::spawn(|| late.map());
    std::thread::sleep(Duration::from_millis(5));
    drop(claimer);
    assert!(opener.join().unwrap().unwrap_err().is_not_found());
}

#[test]
fn those_who_have_it_mapped_go_on_when_the_name_is_removed() {
    let scratch = Scratch::new();
    let made = make(scratch.path(), "x", 4096);
    let found = open(scratch.path(), "x").unwrap().map().unwrap();
    fs::remove_file(scratch.path().join("x")).unwrap();
    word(&made, 3).store(9, Ordering::Release);
    assert_eq!(word(&found, 3).load(Ordering::Acquire), 9);
}

#[test]
fn signals_do_not_keep_memory_from_being_reserved() {
    if role().is_some() {
        extern "C" fn ignore(_: libc::c_int) {}
        // SAFETY: the handler does nothing, which is allowed anywhere.
        unsafe { libc::signal(libc::SIGALRM, ignore as *const () as libc::sighandler_t) };
        let often = libc::timeval {
            tv_sec: 0,
            tv_usec: 500,
        };
        let timer = libc::itimerval {
            it_interval: often,
            it_value: often,
        };
        // SAFETY: reads the timer from a local; the old one is not asked for.
        unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) };
        let mapping = Mapping::anonymous("test", 256 << 20).unwrap();
        let allocated = rsipc_sys::file::meta(mapping.file()).unwrap().allocated;
        assert_eq!(allocated, 256 << 20);
        tell("done");
        return;
    }
    let mut player = Player::start(again::command(
        "signals_do_not_keep_memory_from_being_reserved",
        "storm",
    ));
    assert_eq!(player.hear().as_deref(), Some("done"));
    assert!(player.end());
}

#[test]
fn a_directory_is_listed_whole_however_often() {
    let scratch = Scratch::new();
    let reached = dir(scratch.path());
    for name in ["a", "b", ".c", "d e"] {
        Plain::create_new(scratch.path().join(name)).unwrap();
    }
    for _ in 0..2 {
        let mut names = reached.names().unwrap();
        names.sort();
        assert_eq!(names.len(), 4);
        assert_eq!(&*names[0], OsStr::new(".c"));
    }
    assert!(reached.remove(OsStr::new("a")).unwrap());
    assert!(!reached.remove(OsStr::new("a")).unwrap());
    assert!(reached.make(OsStr::new("sub")).unwrap());
    assert!(!reached.make(OsStr::new("sub")).unwrap());
    let sub = reached.enter(OsStr::new("sub")).unwrap();
    assert_eq!(sub.meta().unwrap().mode, 0o700);
    symlink("sub", scratch.path().join("link")).unwrap();
    for name in ["link", "b"] {
        let error = reached.enter(OsStr::new(name)).unwrap_err();
        assert!(matches!(
            error,
            Error::Kind {
                wanted: Kind::Directory
            }
        ));
    }
    let flags = fcntl(sub.as_fd(), FcntlArg::F_GETFD).unwrap();
    assert_eq!(flags, FdFlag::FD_CLOEXEC.bits());
    assert!(sub.as_fd().as_raw_fd() > 2);
    assert!(reached.remove_dir(OsStr::new("sub")).unwrap());
    assert!(!reached.remove_dir(OsStr::new("sub")).unwrap());
}

#[test]
fn a_mode_and_an_owner_are_given_to_the_file_that_was_meant_and_to_no_other_of_its_name() {
    let scratch = Scratch::new();
    let dir = dir(scratch.path());
    let (name, other) = (OsStr::new("name"), OsStr::new("other"));
    for name in [name, other] {
        drop(UnixListener::bind(scratch.path().join(name)).unwrap());
        dir.set_mode(name, 0o600, &dir.look(name).unwrap().unwrap())
            .unwrap();
    }
    let meant = dir.look(name).unwrap().unwrap();
    let own = Some(meant.uid);
    dir.set_mode(name, 0o640, &meant).unwrap();
    dir.set_owner(name, own, None, &meant).unwrap();
    assert_eq!(dir.look(name).unwrap().unwrap().mode, 0o640);
    dir.rename(other, name).unwrap();
    for refused in [
        dir.set_mode(name, 0o666, &meant),
        dir.set_owner(name, own, None, &meant),
    ] {
        assert_eq!(refused.unwrap_err().errno(), Some(Errno::ESTALE as i32));
    }
    assert_eq!(dir.look(name).unwrap().unwrap().mode, 0o600);
}
