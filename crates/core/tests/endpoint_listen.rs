//! Listening and connecting between real processes: who wins, what is left after a kill, who is
//! let in.

#![cfg(target_os = "linux")]
#![allow(dead_code, reason = "not every test plays with all of it")]

#[path = "../../sys/tests/again/mod.rs"]
mod again;

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use again::{Player, Scratch, listen, role, tell, until};
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rsipc_core::Endpoint;
use rsipc_core::endpoint::{
    Allow, EndpointError, Incoming, ListenOptions, Listener, Reason, activation, bind, connect,
};
use rsipc_core::shm::{Registry, RunDir};
use rsipc_sys::file::Error as SysError;
use rsipc_sys::wait::{Interest, ready};

const NOBODY: u32 = 65_534;
const READABLE: Interest = Interest {
    readable: true,
    writable: false,
};

fn endpoint(path: &Path) -> Endpoint {
    Endpoint::unix(path)
}

fn bound(path: &Path) -> Result<Listener, EndpointError> {
    bind(&endpoint(path), &ListenOptions::default())
}

fn connected(path: &Path) -> Result<UnixStream, EndpointError> {
    let client = connect(&endpoint(path), &Allow::SameUser)?;
    Ok(UnixStream::from(client.fd))
}

/// The connections that have come, waiting for the first.
fn accepted(listener: &mut Listener) -> Vec<Incoming> {
    ready(listener.as_fd(), READABLE, None).unwrap();
    listener.accept(64).unwrap().incoming
}

fn reason(outcome: Result<Listener, EndpointError>) -> Reason {
    match outcome {
        Ok(_) => panic!("it listens"),
        Err(error) => {
            // Every one says which endpoint.
            assert!(error.to_string().starts_with("unix"), "{error}");
            // Nothing of a reason can be taken out of a reference.
            let text = format!("{:?}", error.reason());
            match error.reason() {
                Reason::InUse { pid } => Reason::InUse { pid: *pid },
                Reason::Untrusted(SysError::Kind { wanted }) => {
                    Reason::Untrusted(SysError::Kind { wanted: *wanted })
                }
                Reason::Untrusted(SysError::Owner { uid }) => {
                    Reason::Untrusted(SysError::Owner { uid: *uid })
                }
                Reason::Untrusted(SysError::Mode { mode }) => {
                    Reason::Untrusted(SysError::Mode { mode: *mode })
                }
                _ => panic!("{text}"),
            }
        }
    }
}

fn is_root() -> bool {
    let root = rsipc_sys::process::effective_user() == 0;
    if !root {
        let _ = writeln!(std::io::stderr(), "NOT TESTED, not root: two users");
    }
    root
}

/// Starts a process of this binary for `test`, which finds `path` in its role.
fn player(test: &str, path: &Path) -> Player {
    Player::start(again::command(test, path.to_str().unwrap()))
}

/// The part of a test that listens at the path it is told, and goes on until it is killed.
fn serve() -> bool {
    let Some(path) = role() else { return false };
    match bound(Path::new(&path)) {
        Ok(mut listener) => {
            tell("listening");
            while ready(listener.as_fd(), READABLE, None).is_ok() {
                for incoming in listener.accept(64).unwrap().incoming {
                    if let Incoming::Connection { fd, .. } = incoming {
                        let _ = UnixStream::from(fd).write_all(b"served");
                    }
                }
            }
        }
        Err(error) => {
            let Reason::InUse { pid } = error.reason() else {
                panic!("{error}")
            };
            tell(&format!("in use by {pid:?}"));
            listen();
        }
    }
    true
}

#[test]
fn a_client_is_accepted_and_each_end_knows_the_other() {
    let scratch = Scratch::new();
    let path = scratch.path().join("app.sock");
    for kind in ["unix", "unix+seqpacket"] {
        let text = format!("{kind}:{}", path.display());
        let endpoint = Endpoint::parse(&text).unwrap();
        let mut listener = bind(&endpoint, &ListenOptions::default()).unwrap();
        let client = connect(&endpoint, &Allow::SameUser).unwrap();
        let own = std::process::id();
        assert_eq!(client.peer.unwrap().pid, Some(own));
        let found = accepted(&mut listener);
        let [Incoming::Connection { fd, peer }] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!(peer.unwrap().pid, Some(own));
        for fd in [fd, &client.fd] {
            let flags = FdFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFD).unwrap());
            assert!(flags.contains(FdFlag::FD_CLOEXEC));
            let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL).unwrap());
            assert!(flags.contains(OFlag::O_NONBLOCK));
        }
        assert_eq!(scratch.names(), [".app.sock.lock", "app.sock"]);
        drop(listener);
        assert!(scratch.names().is_empty());
    }
}

#[test]
fn a_socket_for_datagrams_has_the_same_care() {
    let scratch = Scratch::new();
    let path = scratch.path().join("log");
    let endpoint = Endpoint::parse(&format!("unix+dgram:{}", path.display())).unwrap();
    // A dead one's.
    drop(UnixDatagram::bind(&path).unwrap());
    let listener = bind(&endpoint, &ListenOptions::default()).unwrap();
    assert!(listener.is_datagram());
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    assert!(matches!(
        reason(bind(&endpoint, &ListenOptions::default())),
        Reason::InUse { .. }
    ));
    let client = UnixDatagram::from(connect(&endpoint, &Allow::SameUser).unwrap().fd);
    client.send(b"whole").unwrap();
    let mut received = [0; 16];
    let socket = UnixDatagram::from(rsipc_sys::fd::duplicate(listener.as_fd()).unwrap());
    assert_eq!(socket.recv(&mut received).unwrap(), 5);
    drop(listener);
    assert!(scratch.names().is_empty());
}

#[test]
fn modes_and_owners_are_as_asked_whatever_the_umask() {
    let scratch = Scratch::new();
    let path = scratch.path().join("app.sock");
    for mode in [0o600, 0o666, 0o660, 0o777] {
        let mut options = ListenOptions::default();
        options.mode = mode;
        let _listener = bind(&endpoint(&path), &options).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, mode);
    }
    if is_root() {
        let mut options = ListenOptions::default();
        (options.uid, options.gid) = (Some(NOBODY), Some(NOBODY));
        // The second finds the first's, which was its own although it belongs to another.
        for _ in 0..2 {
            let listener = bind(&endpoint(&path), &options).unwrap();
            let found = fs::metadata(&path).unwrap();
            assert_eq!((found.uid(), found.gid()), (NOBODY, NOBODY));
            fs::rename(&path, scratch.path().join("kept")).unwrap();
            drop(listener);
            fs::rename(scratch.path().join("kept"), &path).unwrap();
        }
        assert!(matches!(
            reason(bound(&path)),
            Reason::Untrusted(SysError::Owner { uid: NOBODY })
        ));
    }
}

#[test]
fn nobody_finds_the_socket_with_other_permissions_or_before_it_listens() {
    let scratch = Scratch::new();
    let path = scratch.path().join("app.sock");
    let end = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|threads| {
        let watchers = [(); 2].map(|()| {
            threads.spawn(|| {
                let mut seen = 0;
                while !end.load(std::sync::atomic::Ordering::Relaxed) {
                    if let Ok(found) = fs::symlink_metadata(&path) {
                        assert_eq!(found.mode() & 0o777, 0o606);
                        seen += 1;
                    }
                    match connected(&path) {
                        // Refused by one that has just been closed; or too many wait already.
                        Ok(_) => {}
                        Err(error) => {
                            assert!(
                                ["ENOENT", "ECONNREFUSED", "EAGAIN"].contains(&error.code()),
                                "{error}"
                            )
                        }
                    }
                }
                seen
            })
        });
        let mut options = ListenOptions::default();
        options.mode = 0o606;
        for _ in 0..2_000 {
            drop(bind(&endpoint(&path), &options).unwrap());
        }
        end.store(true, std::sync::atomic::Ordering::Relaxed);
        let seen: u32 = watchers.map(|watcher| watcher.join().unwrap()).iter().sum();
        assert!(seen > 0);
    });
}

#[test]
fn a_name_of_any_length_is_listened_at_and_connected_to() {
    let scratch = Scratch::new();
    for length in (90..=130).chain([200, 255, 256, 1000, 3900]) {
        let mut path = scratch.path().to_owned();
        while path.as_os_str().len() + 200 < length {
            path.push("ö".repeat(90));
        }
        fs::create_dir_all(&path).unwrap();
        let left = length.saturating_sub(path.as_os_str().len() + 1).max(1);
        let path = path.join("s".repeat(left));
        let mut listener = bound(&path).unwrap_or_else(|error| panic!("{length}: {error}"));
        let client = connected(&path).unwrap_or_else(|error| panic!("{length}: {error}"));
        assert_eq!(accepted(&mut listener).len(), 1);
        drop((client, listener));
        assert!(!path.exists());
    }
    // A name of 255 bytes has no room for that of its lock.
    let path = scratch.path().join("s".repeat(255));
    assert_eq!(bound(&path).unwrap_err().code(), "ENAMETOOLONG");
    // Relative, and through links to directories.
    symlink(scratch.path(), scratch.path().join("link")).unwrap();
    let path = scratch.path().join("link").join("app.sock");
    let mut listener = bound(&path).unwrap();
    connected(&path).unwrap();
    assert_eq!(accepted(&mut listener).len(), 1);
}

#[test]
fn what_a_killed_server_has_left_is_taken_over() {
    if serve() {
        return;
    }
    let scratch = Scratch::new();
    let path = scratch.path().join("app.sock");
    // The long run: 1,000 of 1,000.
    let kills = std::env::var("RESTARTS").map_or(30, |count| count.parse().unwrap());
    for _ in 0..kills {
        let mut server = player("what_a_killed_server_has_left_is_taken_over", &path);
        assert_eq!(server.hear().unwrap(), "listening");
        let mut client = connected(&path).unwrap();
        client.set_nonblocking(false).unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        assert_eq!(text, "served");
        server.kill();
        drop(server);
        assert!(path.exists());
        assert_eq!(connected(&path).unwrap_err().code(), "ECONNREFUSED");
    }
    // What was killed before it had the name, too.
    drop(UnixListener::bind(scratch.path().join(".rsipc-x.new")));
    drop(bound(&path).unwrap());
    assert_eq!(scratch.names(), [".rsipc-x.new"]);
}

#[test]
fn of_sixteen_that_start_at_once_one_wins_and_the_others_are_told_who() {
    if serve() {
        return;
    }
    let test = "of_sixteen_that_start_at_once_one_wins_and_the_others_are_told_who";
    let scratch = Scratch::new();
    let path = scratch.path().join("app.sock");
    let rounds = std::env::var("RACES").map_or(4, |count| count.parse().unwrap());
    for round in 0..rounds {
        // Every other time there is what a dead server has left, without or with a lock.
        if round % 2 == 1 {
            let _ = fs::remove_file(&path);
            drop(UnixListener::bind(&path).unwrap());
        }
        let mut racers: Vec<Player> = (0..16).map(|_| player(test, &path)).collect();
        let told: Vec<String> = racers
            .iter_mut()
            .map(|racer| racer.hear().unwrap())
            .collect();
        let winner = told.iter().position(|text| text == "listening").unwrap();
        let expected = format!("in use by Some({})", racers[winner].pid());
        for (index, text) in told.iter().enumerate() {
            assert!(index == winner || *text == expected, "{told:?}");
        }
        let mut client = connected(&path).unwrap();
        client.set_nonblocking(false).unwrap();
        client.read_to_string(&mut String::new()).unwrap();
    }
}

#[test]
fn a_server_that_is_stopped_keeps_its_name() {
    if serve() {
        return;
    }
    let scratch = Scratch::new();
    let path = scratch.path().join("app.sock");
    let mut server = player("a_server_that_is_stopped_keeps_its_name", &path);
    assert_eq!(server.hear().unwrap(), "listening");
    let pid = nix::unistd::Pid::from_raw(server.pid());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
    let own = server.pid() as u32;
    for _ in 0..3 {
        assert!(matches!(reason(bound(&path)), Reason::InUse { pid } if pid == Some(own)));
    }
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).unwrap();
    let mut client = connected(&path).unwrap();
    client.set_nonblocking(false).unwrap();
    client.read_to_string(&mut String::new()).unwrap();
}

#[test]
fn a_server_that_keeps_no_lock_is_found_by_connecting() {
    let scratch = Scratch::new();
    let path = scratch.path().join("app.sock");
    let other = UnixListener::bind(&path).unwrap();
    assert!(matches!(reason(bound(&path)), Reason::InUse { pid: None }));
    // Of another type, and busy.
    let text = format!("unix+seqpacket:{}", path.display());
    let seqpacket = Endpoint::parse(&text).unwrap();
    let outcome = bind(&seqpacket, &ListenOptions::default());
    assert!(matches!(reason(outcome), Reason::InUse { pid: None }));
    assert_eq!(scratch.names(), ["app.sock"]);
    drop(other);
    bound(&path).unwrap();
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let scratch = Scratch::new();
    let path = scratch.path().join("app.sock");
    let target = scratch.path().join("target");
    let refused = || {
        let names = scratch.names();
        assert!(matches!(
            reason(bound(&path)),
            Reason::Untrusted(SysError::Kind { .. })
        ));
        assert_eq!(scratch.names(), names);
    };
    fs::write(&path, "precious").unwrap();
    refused();
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    refused();
    fs::remove_dir(&path).unwrap();
    // Links: to nothing, to a file, to a socket of a dead and of a living server.
    symlink(&target, &path).unwrap();
    refused();
    assert!(!target.exists());
    fs::write(&target, "precious").unwrap();
    refused();
    fs::remove_file(&target).unwrap();
    let living = UnixListener::bind(&target).unwrap();
    refused();
    drop(living);
    refused();
    fs::remove_file(&path).unwrap();
    // A link, or anything else, in the place of the lock.
    let lock = scratch.path().join(".app.sock.lock");
    symlink(&target, &lock).unwrap();
    refused();
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    refused();
    fs::remove_dir(&lock).unwrap();
    fs::write(&lock, "").unwrap();
    fs::set_permissions(&lock, Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(
        reason(bound(&path)),
        Reason::Untrusted(SysError::Mode { .. })
    ));
    fs::remove_file(&lock).unwrap();
    // A second name of a file of this user's own, which would be written over.
    fs::remove_file(&target).unwrap();
    fs::write(&target, "precious").unwrap();
    fs::set_permissions(&target, Permissions::from_mode(0o600)).unwrap();
    fs::hard_link(&target, &lock).unwrap();
    let error = bound(&path).unwrap_err();
    assert!(matches!(
        error.reason(),
        Reason::Untrusted(SysError::Links { count: 2 })
    ));
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
}

#[test]
fn a_directory_in_which_others_can_replace_the_socket_is_refused() {
    let scratch = Scratch::new();
    let path = scratch.path().join("app.sock");
    let set = |mode| fs::set_permissions(scratch.path(), Permissions::from_mode(mode)).unwrap();
    set(0o777);
    assert!(matches!(
        reason(bound(&path)),
        Reason::Untrusted(SysError::Mode { .. })
    ));
    set(0o1777);
    drop(bound(&path).unwrap());
    set(0o700);
    let missing = bound(&scratch.path().join("no/app.sock")).unwrap_err();
    assert_eq!((missing.code(), missing.call()), ("ENOENT", Some("open")));
}

#[test]
fn closing_removes_the_own_name_and_no_other() {
    let scratch = Scratch::new();
    let path = scratch.path().join("app.sock");
    let first = bound(&path).unwrap();
    // Somebody has removed it and listens there himself.
    fs::remove_file(&path).unwrap();
    let second = UnixListener::bind(&path).unwrap();
    drop(first);
    assert_eq!(scratch.names(), ["app.sock"]);
    UnixStream::connect(&path).unwrap();
    drop(second);
}

#[test]
fn a_name_of_this_user_needs_no_path() {
    if let Some(role) = role() {
        let name = Endpoint::parse("rsipc:app").unwrap();
        if role == "clean" {
            let registry = Registry::of(RunDir::open().unwrap()).unwrap();
            let listed = registry.list().unwrap();
            assert!(listed.strangers.is_empty(), "{listed:?}");
            let [server] = &listed.servers[..] else {
                panic!("{listed:?}")
            };
            tell(&format!(
                "{} {} {:?}",
                server.name, server.alive, server.pid
            ));
            let cleaned = registry.clean().unwrap();
            assert!(cleaned.problems.is_empty(), "{cleaned:?}");
            tell(&format!("{} removed", cleaned.sockets));
            return;
        }
        let mut listener = bind(&name, &ListenOptions::default()).unwrap();
        tell("listening");
        assert_eq!(accepted(&mut listener).len(), 1);
        tell("accepted");
        listen();
        return;
    }
    let scratch = Scratch::new();
    let start = |role| {
        let mut command = again::command("a_name_of_this_user_needs_no_path", role);
        command.env("RSIPC_RUN_DIR", scratch.path().join("run"));
        Player::start(command)
    };
    let mut server = start("serve");
    assert_eq!(server.hear().unwrap(), "listening");
    let registry = Registry::of(RunDir::at(&scratch.path().join("run")).unwrap()).unwrap();
    let dir = fs::read_dir(scratch.path().join("run")).unwrap().next();
    let _client = connected(&dir.unwrap().unwrap().path().join("app.sock")).unwrap();
    assert_eq!(server.hear().unwrap(), "accepted");
    let told = format!("app true Some({})", server.pid());
    let mut clean = start("clean");
    assert_eq!(clean.hear().unwrap(), told);
    assert_eq!(clean.hear().unwrap(), "0 removed");
    assert!(clean.end());
    server.kill();
    drop(server);
    let mut clean = start("clean");
    assert_eq!(clean.hear().unwrap(), "app false None");
    assert_eq!(clean.hear().unwrap(), "1 removed");
    assert!(clean.end());
    let listed = registry.list().unwrap();
    assert!(listed.servers.is_empty() && listed.strangers.is_empty());
}

#[test]
fn a_successor_takes_the_listener_over_with_its_name() {
    let scratch = Scratch::new();
    let path = scratch.path().join("app.sock");
    let first = bound(&path).unwrap();
    // Connects before, and is served after.
    let early = connected(&path).unwrap();
    let copy = |fd: &dyn AsFd| rsipc_sys::fd::duplicate(fd.as_fd()).unwrap();
    let lock = copy(&first.lock().unwrap());
    let options = ListenOptions::default();
    let mut second = Listener::adopt(&endpoint(&path), copy(&first), Some(lock), &options).unwrap();
    first.leave();
    // It is this process's still, as nobody has signed since.
    assert!(path.exists());
    let late = connected(&path).unwrap();
    assert_eq!(accepted(&mut second).len(), 2);
    assert!(matches!(reason(bound(&path)), Reason::InUse { .. }));
    drop((early, late));
    // Without its lock the name is somebody else's.
    let stray = Listener::adopt(&endpoint(&path), copy(&second), None, &options).unwrap();
    drop(stray);
    assert!(path.exists());
    // What is no lock of that name, and what is no socket that listens.
    let other: OwnedFd = fs::File::open("/dev/null").unwrap().into();
    Listener::adopt(
        &endpoint(&path),
        copy(&second),
        Some(copy(&other)),
        &options,
    )
    .unwrap_err();
    Listener::adopt(&endpoint(&path), other, None, &options).unwrap_err();
}

/// A copy whose number is none of those that several are handed down with: each takes the place of
/// whatever had its number.
fn out_of_the_way(fd: BorrowedFd<'_>) -> OwnedFd {
    let mut low = Vec::new();
    loop {
        let copy = rsipc_sys::fd::duplicate(fd).unwrap();
        if copy.as_raw_fd() > 20 {
            return copy;
        }
        low.push(copy);
    }
}

#[test]
fn a_successor_that_is_another_process_has_the_name_when_its_predecessor_ends() {
    let test = "a_successor_that_is_another_process_has_the_name_when_its_predecessor_ends";
    if let Some(path) = role() {
        let path = PathBuf::from(path);
        let [socket, lock] = [10, 11].map(|number| rsipc_sys::fd::adopt(number).unwrap());
        let options = ListenOptions::default();
        let mut listener = Listener::adopt(&endpoint(&path), socket, Some(lock), &options).unwrap();
        tell("adopted");
        assert_eq!(accepted(&mut listener).len(), 1);
        tell("accepted");
        return;
    }
    let scratch = Scratch::new();
    let path = scratch.path().join("app.sock");
    let listener = bound(&path).unwrap();
    let mut command = again::command(test, path.to_str().unwrap());
    let copies = [listener.as_fd(), listener.lock().unwrap()].map(out_of_the_way);
    for (number, copy) in [10, 11].into_iter().zip(copies) {
        rsipc_sys::process::hand_down(&mut command, copy, number);
    }
    let mut successor = Player::start(command);
    assert_eq!(successor.hear().unwrap(), "adopted");
    drop(listener);
    let client = connect(&endpoint(&path), &Allow::SameUser).unwrap();
    assert_eq!(client.peer.unwrap().pid, Some(successor.pid() as u32));
    assert_eq!(successor.hear().unwrap(), "accepted");
    assert!(successor.end());
    assert!(scratch.names().is_empty());
}

#[test]
fn who_is_not_allowed_is_refused_at_both_ends() {
    if let Some(path) = role() {
        let error = connected(Path::new(&path)).unwrap_err();
        tell(error.code());
        let allow = Allow::Listed {
            uids: vec![0],
            gids: vec![],
        };
        let mut socket = UnixStream::from(connect(&endpoint(Path::new(&path)), &allow).unwrap().fd);
        socket.set_nonblocking(false).unwrap();
        let mut text = Vec::new();
        // Closed: an end, or a reset if something was left unread.
        let _ = socket.read_to_end(&mut text);
        tell(&format!("{} bytes", text.len()));
        return;
    }
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    fs::set_permissions(scratch.path(), Permissions::from_mode(0o755)).unwrap();
    let path = scratch.path().join("app.sock");
    let mut options = ListenOptions::default();
    options.mode = 0o666;
    let mut listener = bind(&endpoint(&path), &options).unwrap();
    let as_nobody = |groups: &'static str| {
        let test = "who_is_not_allowed_is_refused_at_both_ends";
        // `setpriv` sets groups, which is not stable here.
        let id = NOBODY.to_string();
        let wrapper = [
            "setpriv", "--reuid", &id, "--regid", &id, "--groups", groups,
        ];
        let mut command = again::wrapped(&wrapper, test, path.to_str().unwrap());
        command.current_dir("/");
        Player::start(command)
    };
    let mut serve_one = |allow, groups, expected| {
        listener.set_allow(allow);
        let mut client = as_nobody(groups);
        // The client refuses the server first, and leaves.
        assert_eq!(client.hear().unwrap(), "ERR_RSIPC_PEER_REFUSED");
        let mut found = Vec::new();
        until("both have come", || {
            found.extend(listener.accept(64).unwrap().incoming);
            found.len() == 2
        });
        for incoming in found {
            let refused = match incoming {
                Incoming::Refused { peer } => peer.uid == NOBODY,
                Incoming::Connection { fd, .. } => {
                    let _ = UnixStream::from(fd).write_all(b"hello");
                    false
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(refused, expected == "0 bytes");
        }
        assert_eq!(client.hear().unwrap(), expected);
    };
    serve_one(Allow::SameUser, "1234", "0 bytes");
    let listed = |uids, gids| Allow::Listed { uids, gids };
    serve_one(listed(vec![1], vec![2]), "1234", "0 bytes");
    serve_one(listed(vec![NOBODY], vec![]), "1234", "5 bytes");
    serve_one(listed(vec![], vec![NOBODY]), "1234", "5 bytes");
    serve_one(listed(vec![], vec![1234]), "5,1234,7", "5 bytes");
    serve_one(listed(vec![], vec![1234]), "5,7", "0 bytes");
    serve_one(Allow::Anyone, "1234", "5 bytes");
}

#[test]
fn another_user_gains_nothing_by_being_first() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    // As /tmp.
    fs::set_permissions(scratch.path(), Permissions::from_mode(0o1777)).unwrap();
    let path = scratch.path().join("app.sock");
    let lock = scratch.path().join(".app.sock.lock");
    let as_nobody = |script: String| {
        let status = Command::new("sh")
            .args(["-c", &script])
            .uid(NOBODY)
            .gid(NOBODY)
            .current_dir("/")
            .status();
        assert!(status.unwrap().success(), "{script}");
    };
    let (socket_text, lock_text) = (path.display(), lock.display());
    let bind_script = format!(
        "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"{socket_text}\")'"
    );
    for trick in [
        bind_script,
        format!("ln -s /etc/passwd {socket_text}"),
        format!("mkdir {socket_text}"),
        format!("umask 077; : > {lock_text}"),
        format!("ln -s /etc/passwd {lock_text}"),
        format!("mkdir {lock_text}"),
    ] {
        as_nobody(trick.clone());
        let error = bound(&path).unwrap_err();
        let told = matches!(error.reason(), Reason::Untrusted(_)) || error.code() == "EACCES";
        assert!(told, "{trick}: {error}");
        as_nobody(format!("rm -rf {socket_text} {lock_text}"));
        assert!(scratch.names().is_empty(), "{trick}");
    }
}

#[test]
fn a_name_in_the_abstract_namespace_is_guarded() {
    let name = format!("unix:@rsipc-test-{}", std::process::id());
    let endpoint = Endpoint::parse(&name).unwrap();
    let mut options = ListenOptions::default();
    options.allow = Allow::Anyone;
    assert!(matches!(
        bind(&endpoint, &options).unwrap_err().reason(),
        Reason::Unguarded
    ));
    let mut listener = bind(&endpoint, &ListenOptions::default()).unwrap();
    let twice = bind(&endpoint, &ListenOptions::default()).unwrap_err();
    assert_eq!(twice.code(), "EADDRINUSE");
    connect(&endpoint, &Allow::Anyone).unwrap_err();
    let _client = connect(&endpoint, &Allow::SameUser).unwrap();
    assert_eq!(accepted(&mut listener).len(), 1);
}

#[test]
fn internet_sockets_take_ports_of_the_system_and_tell_them() {
    for text in ["tcp://127.0.0.1:0", "tcp://[::1]:0", "tcp://localhost:0"] {
        let options = ListenOptions::default();
        let Ok(mut listener) = bind(&Endpoint::parse(text).unwrap(), &options) else {
            assert!(text.contains("::1"), "{text}");
            continue;
        };
        let address = listener.address();
        assert_ne!(address.to_string(), text);
        let client = connect(&address, &Allow::SameUser).unwrap();
        assert_eq!(accepted(&mut listener).len(), 1);
        let writable = Interest {
            readable: false,
            writable: true,
        };
        ready(client.fd.as_fd(), writable, None).unwrap();
        rsipc_sys::socket::take_error(client.fd.as_fd()).unwrap();
        let twice = bind(&address, &options).unwrap_err();
        assert_eq!(twice.code(), "EADDRINUSE");
    }
    let udp = Endpoint::parse("udp://127.0.0.1:0").unwrap();
    let listener = bind(&udp, &ListenOptions::default()).unwrap();
    assert!(listener.is_datagram());
    connect(&listener.address(), &Allow::SameUser).unwrap();
    let unknown = Endpoint::parse("tcp://host.invalid:1").unwrap();
    let error = connect(&unknown, &Allow::SameUser).unwrap_err();
    assert_eq!(error.code(), "ENOTFOUND");
    for text in ["stdio:", "fifo:/tmp/f", "pipe:x", "file:/tmp/"] {
        let endpoint = Endpoint::parse(text).unwrap();
        let error = bind(&endpoint, &ListenOptions::default()).unwrap_err();
        assert_eq!(error.code(), "ERR_RSIPC_UNSUPPORTED");
    }
}

#[test]
fn without_descriptors_connections_are_dropped_and_the_listener_recovers() {
    let Some(path) = role() else {
        // In a process of its own: the limit is the whole process's.
        let scratch = Scratch::new();
        let test = "without_descriptors_connections_are_dropped_and_the_listener_recovers";
        let mut child = player(test, &scratch.path().join("app.sock"));
        assert_eq!(child.hear().unwrap(), "recovered");
        assert!(child.end());
        return;
    };
    let path = Path::new(&path);
    let mut listener = bound(path).unwrap();
    let clients: Vec<UnixStream> = (0..20).map(|_| connected(path).unwrap()).collect();
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    // Room for three: the lowest free numbers are above those in use.
    let highest = clients
        .iter()
        .map(|client| client.as_raw_fd())
        .max()
        .unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, highest as u64 + 4, hard).unwrap();
    let found = listener.accept(64).unwrap();
    assert!(!found.pause && !found.more, "{found:?}");
    let is_connection = |incoming: &&Incoming| matches!(incoming, Incoming::Connection { .. });
    let served = found.incoming.iter().filter(is_connection).count();
    assert!((1..=4).contains(&served), "{served}");
    assert_eq!(found.incoming.len(), 20);
    // Nobody waits any more, so there is no spinning.
    assert!(listener.accept(64).unwrap().incoming.is_empty());
    // Without even the spare one it asks for a pause.
    drop(clients);
    drop(found);
    let late = connected(path).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 0, hard).unwrap();
    let first = listener.accept(64).unwrap();
    let second = listener.accept(64).unwrap();
    assert!(first.pause || second.pause || matches!(first.incoming[..], [Incoming::Dropped]));
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    listener.accept(64).unwrap();
    drop(late);
    let _client = connected(path).unwrap();
    let found = accepted(&mut listener);
    assert!(found.iter().any(|incoming| is_connection(&incoming)));
    tell("recovered");
}

#[test]
fn sockets_of_a_service_manager_are_found_by_name() {
    let test = "sockets_of_a_service_manager_are_found_by_name";
    if let Some(role) = role() {
        if role == "not meant" {
            assert!(activation::activated().is_empty());
            let endpoint = Endpoint::parse("systemd:").unwrap();
            let error = bind(&endpoint, &ListenOptions::default()).unwrap_err();
            assert_eq!(error.code(), "ERR_RSIPC_NOT_ACTIVATED");
            tell("none");
            return;
        }
        // By the shell in front, which has the number that this process has now.
        let names: Vec<Box<str>> = activation::activated()
            .into_iter()
            .map(|one| one.name)
            .collect();
        assert_eq!(names, ["first".into(), "second".into()] as [Box<str>; 2]);
        let endpoint = |text| Endpoint::parse(text).unwrap();
        let options = ListenOptions::default();
        // There are two, so one has to say which.
        bind(&endpoint("systemd:"), &options).unwrap_err();
        bind(&endpoint("systemd:third"), &options).unwrap_err();
        let mut listener = bind(&endpoint("systemd:second"), &options).unwrap();
        assert!(activation::notify("READY=1").unwrap());
        assert_eq!(accepted(&mut listener).len(), 1);
        tell("accepted");
        return;
    }
    let scratch = Scratch::new();
    let paths = ["one", "two"].map(|name| scratch.path().join(name));
    let mut sockets: Vec<OwnedFd> = paths
        .iter()
        .map(|path| UnixListener::bind(path).unwrap().into())
        .collect();
    // What is no socket is left out.
    sockets.push(fs::File::open("/dev/null").unwrap().into());
    let manager = UnixDatagram::bind(scratch.path().join("notify")).unwrap();
    let patience = std::time::Duration::from_secs(30);
    manager.set_read_timeout(Some(patience)).unwrap();
    // `exec` keeps the number, and there is no other way to say it before it is known.
    let script = "export LISTEN_PID=$$; exec \"$0\" \"$@\"";
    let mut command = again::wrapped(&["sh", "-c", script], test, "activated");
    command
        .env("LISTEN_FDS", "3")
        .env("LISTEN_FDNAMES", "first:second:none")
        .env("NOTIFY_SOCKET", scratch.path().join("notify"));
    for (number, socket) in (3..).zip(sockets) {
        rsipc_sys::process::hand_down(&mut command, out_of_the_way(socket.as_fd()), number);
    }
    let mut child = Player::start(command);
    let mut state = [0; 64];
    let length = manager.recv(&mut state).unwrap();
    assert_eq!(&state[..length], b"READY=1");
    let _client = UnixStream::connect(&paths[1]).unwrap();
    assert_eq!(child.hear().unwrap(), "accepted");
    assert!(child.end());
    let mut command = again::command(test, "not meant");
    command.env("LISTEN_PID", "1").env("LISTEN_FDS", "1");
    assert_eq!(Player::start(command).hear().unwrap(), "none");
}
