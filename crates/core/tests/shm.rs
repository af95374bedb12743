//! Objects by name between real processes: who may, who wins, what is left after a kill.

#![cfg(target_os = "linux")]
#![allow(dead_code, reason = "not every test plays with all of it")]

#[path = "../../sys/tests/again/mod.rs"]
mod again;

use std::fs::{self, File as Plain, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use again::{Player, Scratch, listen, may_unshare, role, tell, until};
use rsipc_core::shm::{Found, Name, Registry, RunDir, ShmError};
use rsipc_sys::fifo::EnvironmentBell;
use rsipc_sys::file::{Error as SysError, meta};
use rsipc_sys::shm::Mapping;

const NOBODY: u32 = 65_534;

fn registry(path: &Path) -> Registry {
    Registry::of(RunDir::at(path).unwrap()).unwrap()
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn make(registry: &Registry, text: &str, size: u64) -> Result<Mapping, ShmError> {
    registry.create(&name(text), size, Ok)
}

/// The directory of this process's world in a run directory.
fn world(path: &Path) -> PathBuf {
    path.join(format!("{:016x}", rsipc_sys::identity::world().unwrap()))
}

fn inode(mapping: &Mapping) -> u64 {
    meta(mapping.file()).unwrap().inode
}

fn is_root() -> bool {
    rsipc_sys::process::effective_user() == 0
}

fn skipped(what: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "NOT TESTED, not root: {what}");
}

/// Runs a shell script as another user; whether it succeeded.
fn as_nobody(script: &str) -> bool {
    Command::new("sh")
        .args(["-c", script])
        .uid(NOBODY)
        .gid(NOBODY)
        .stderr(Stdio::null())
        .status()
        .unwrap()
        .success()
}

/// Starts a process of this binary for `test`, which finds `path` in its role.
fn player(test: &str, path: &Path) -> Player {
    Player::start(again::command(test, path.to_str().unwrap()))
}

#[test]
fn the_run_directory_is_made_for_this_user_alone() {
    let scratch = Scratch::new();
    let path = scratch.path().join("run");
    let run_dir = RunDir::at(&path).unwrap();
    assert_eq!(run_dir.path(), path);
    for made in [&path, &world(&path)] {
        assert_eq!(fs::symlink_metadata(made).unwrap().mode() & 0o7777, 0o700);
    }
    RunDir::at(&path).unwrap();
    // It is held by its descriptor: what becomes of its name changes nothing.
    let registry = Registry::of(run_dir).unwrap();
    fs::rename(&path, scratch.path().join("elsewhere")).unwrap();
    fs::create_dir(&path).unwrap();
    make(&registry, "x", 1).unwrap();
    assert!(fs::read_dir(&path).unwrap().next().is_none());
    registry.open_object(&name("x")).unwrap();
}

#[test]
fn a_run_directory_others_have_a_hand_in_is_refused() {
    let scratch = Scratch::new();
    let at = |name: &str| scratch.path().join(name);
    let refused = |name: &str| RunDir::at(&at(name)).unwrap_err();
    RunDir::at(&at("good")).unwrap();
    symlink(at("good"), at("link")).unwrap();
    symlink(at("nowhere"), at("dangling")).unwrap();
    Plain::create_new(at("file")).unwrap();
    for name in ["link", "dangling", "file"] {
        assert_eq!(refused(name).code(), "ERR_RSIPC_UNTRUSTED", "{name}");
    }
    assert!(!at("nowhere").exists());
    for mode in [0o755, 0o710, 0o701, 0o777, 0o1777] {
        let name = format!("mode-{mode:o}");
        fs::create_dir(at(&name)).unwrap();
        fs::set_permissions(at(&name), Permissions::from_mode(mode)).unwrap();
        let error = refused(&name);
        assert!(error.to_string().contains("700"), "{error}");
        assert_eq!(error.code(), "ERR_RSIPC_UNTRUSTED");
    }
    // In a directory in which others can put something else in its place.
    fs::create_dir(at("shared")).unwrap();
    fs::set_permissions(at("shared"), Permissions::from_mode(0o777)).unwrap();
    assert_eq!(refused("shared/run").code(), "ERR_RSIPC_UNTRUSTED");
    assert!(!at("shared/run").exists());
    fs::set_permissions(at("shared"), Permissions::from_mode(0o1777)).unwrap();
    RunDir::at(&at("shared/run")).unwrap();
    // Its world as well.
    fs::remove_dir_all(world(&at("good"))).unwrap();
    symlink("/tmp", world(&at("good"))).unwrap();
    assert_eq!(refused("good").code(), "ERR_RSIPC_UNTRUSTED");
    assert_eq!(refused("missing/run").code(), "ERR_RSIPC_SYSTEM");
    assert_eq!(
        RunDir::at(Path::new("/")).unwrap_err().code(),
        "ERR_RSIPC_UNTRUSTED"
    );
}

#[test]
fn another_user_neither_prepares_nor_opens_what_is_ours() {
    if !is_root() {
        return skipped("the tricks of a second user");
    }
    let scratch = Scratch::new();
    // A place everybody may write to, as /tmp is.
    let common = scratch.path().join("common");
    fs::create_dir(&common).unwrap();
    for path in [scratch.path(), &common] {
        fs::set_permissions(path, Permissions::from_mode(0o1777)).unwrap();
    }
    let victim = scratch.path().join("victim");
    fs::create_dir(&victim).unwrap();
    fs::set_permissions(&victim, Permissions::from_mode(0o700)).unwrap();
    let tricks = [
        ("directory", "mkdir -m 700 $P"),
        ("open directory", "mkdir -m 777 $P"),
        ("link", "ln -s ../victim $P"),
        ("dangling link", "ln -s /nowhere $P"),
        ("file", "echo x > $P"),
        ("fifo", "mkfifo -m 666 $P"),
    ];
    for (index, (what, script)) in tricks.into_iter().enumerate() {
        let path = common.join(format!("run-{index}"));
        let script = format!("P={}; {script}", path.display());
        assert!(as_nobody(&script), "{what}");
        let error = RunDir::at(&path).unwrap_err();
        assert_eq!(error.code(), "ERR_RSIPC_UNTRUSTED", "{what}: {error}");
    }
    assert!(fs::read_dir(&victim).unwrap().next().is_none());

    let path = common.join("ours");
    let registry = registry(&path);
    make(&registry, "x", 4096).unwrap();
    let (top, own) = (path.display(), world(&path));
    let own = own.display();
    for script in [
        format!("cat {own}/x.shm"),
        format!("echo > {own}/x.shm"),
        format!("echo > {own}/y.shm"),
        format!("ls {top}"),
        format!("ln {own}/x.shm {}/hard", common.display()),
        format!("mv {top} {top}-away"),
        format!("rmdir {top}"),
    ] {
        assert!(!as_nobody(&script), "{script}");
    }
    // What is foreign is not used, even where somebody got it in.
    chown(world(&path).join("x.shm"), Some(NOBODY), None).unwrap();
    let error = registry.open_object(&name("x")).unwrap_err();
    assert!(
        matches!(
            &error,
            ShmError::Object {
                source: SysError::Owner { uid: NOBODY },
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(registry.clean().unwrap().problems.len(), 1);
}

#[test]
fn the_environment_says_where_the_run_directory_is() {
    let test = "the_environment_says_where_the_run_directory_is";
    if role().is_some() {
        tell(&match Registry::open() {
            Ok(registry) => registry.run_dir().path().display().to_string(),
            Err(error) => format!("{} {error}", error.code()),
        });
        return;
    }
    let scratch = Scratch::new();
    let (mine, runtime) = (scratch.path().join("mine"), scratch.path().join("runtime"));
    fs::create_dir(&runtime).unwrap();
    fs::set_permissions(&runtime, Permissions::from_mode(0o700)).unwrap();
    let ask = |wrapper: &[&str], variables: &[(&str, &Path)]| {
        let mut command = again::wrapped(wrapper, test, "tell");
        command
            .env_remove("RSIPC_RUN_DIR")
            .env_remove("XDG_RUNTIME_DIR");
        command.envs(variables.iter().copied());
        let mut player = Player::start(command);
        let told = player.hear().unwrap();
        player.end();
        told
    };
    let xdg = ("XDG_RUNTIME_DIR", &*runtime);
    let told = ask(&[], &[("RSIPC_RUN_DIR", &mine), xdg]);
    assert_eq!(Path::new(&told), mine);
    let told = ask(&[], &[("RSIPC_RUN_DIR", Path::new("relative")), xdg]);
    assert!(told.starts_with("ERR_RSIPC_UNTRUSTED"), "{told}");
    let told = ask(&[], &[("RSIPC_RUN_DIR", Path::new("")), xdg]);
    assert_eq!(Path::new(&told), runtime.join("rsipc"));
    if !is_root() || !may_unshare("the run directory without XDG_RUNTIME_DIR") {
        return;
    }
    // A /dev/shm of its own, so that the real one is left alone.
    let fallback = |setup: &str, variables: &[(&str, &Path)]| {
        let script = format!("mount -t tmpfs -o mode=1777 none /dev/shm && {setup} exec \"$@\"");
        ask(
            &["unshare", "--mount", "sh", "-c", &script, "sh"],
            variables,
        )
    };
    assert_eq!(fallback("", &[]), "/dev/shm/rsipc-0");
    for path in ["relative", "/nowhere", "/tmp", "/proc/version"] {
        let told = fallback("", &[("XDG_RUNTIME_DIR", Path::new(path))]);
        assert_eq!(told, "/dev/shm/rsipc-0", "{path}");
    }
    let told = fallback(
        "setpriv --reuid=65534 --clear-groups mkdir -m 700 /dev/shm/other &&",
        &[("XDG_RUNTIME_DIR", Path::new("/dev/shm/other"))],
    );
    assert_eq!(told, "/dev/shm/rsipc-0");
    // Not passed over: our processes would end up in two places.
    let told = fallback(
        "setpriv --reuid=65534 --clear-groups mkdir -m 700 /dev/shm/rsipc-0 &&",
        &[],
    );
    assert!(told.starts_with("ERR_RSIPC_UNTRUSTED"), "{told}");
    assert!(
        told.contains("user 65534") && told.contains("RSIPC_RUN_DIR"),
        "{told}"
    );
}

#[test]
fn a_name_is_made_once_and_found_as_often_as_wanted() {
    let scratch = Scratch::new();
    let registry = registry(scratch.path());
    let error = registry.open_object(&name("x")).unwrap_err();
    assert_eq!(error.code(), "ERR_RSIPC_NOT_FOUND");
    let made = make(&registry, "x", 4096).unwrap();
    let error = make(&registry, "x", 4096).unwrap_err();
    assert_eq!(error.code(), "ERR_RSIPC_NAME_TAKEN");
    assert_eq!(
        inode(&registry.open_object(&name("x")).unwrap()),
        inode(&made)
    );
    registry.unlink(&name("x")).unwrap();
    let error = registry.unlink(&name("x")).unwrap_err();
    assert_eq!(error.code(), "ERR_RSIPC_NOT_FOUND");
    let next = make(&registry, "x", 4096).unwrap();
    assert_ne!(inode(&next), inode(&made));
    for size in [0, u64::MAX] {
        let error = make(&registry, "y", size).unwrap_err();
        assert!(matches!(
            error,
            ShmError::Object {
                source: SysError::Size { .. },
                ..
            }
        ));
    }
}

#[test]
fn what_is_not_filled_in_is_never_seen() {
    let scratch = Scratch::new();
    let registry = registry(scratch.path());
    let filled: Result<Mapping, ShmError> = registry.create(&name("x"), 4096, |memory| {
        assert_eq!(
            registry.open_object(&name("x")).unwrap_err().code(),
            "ERR_RSIPC_NOT_FOUND"
        );
        // Somebody is faster.
        drop(make(&registry, "x", 8192).unwrap());
        Ok(memory)
    });
    assert_eq!(filled.unwrap_err().code(), "ERR_RSIPC_NAME_TAKEN");
    assert_eq!(registry.open_object(&name("x")).unwrap().len(), 8192);
    let failed: Result<Mapping, ShmError> =
        registry.create(&name("y"), 4096, |_| Err(ShmError::Busy));
    assert_eq!(failed.unwrap_err().code(), "ERR_RSIPC_BUSY");
    let panicked = std::panic::catch_unwind(|| {
        registry.create::<Mapping, ShmError>(&name("y"), 4096, |_| panic!("on purpose"))
    });
    assert!(panicked.is_err());
    assert_eq!(registry.list().unwrap().objects.len(), 1);
}

#[test]
fn of_many_who_race_for_a_name_one_makes_it_and_all_have_the_same() {
    const RACERS: usize = 16;
    const ROUNDS: usize = 30;
    if let Some(path) = role() {
        let registry = registry(path.as_ref());
        while let Some(round) = listen() {
            let found: Found<Mapping> = registry
                .open_or_create::<_, ShmError>(&name(&round), 64 << 10, Ok)
                .unwrap();
            let (made, mapping) = match found {
                Found::Made(mapping) => (1, mapping),
                Found::There(mapping) => (0, mapping),
            };
            tell(&format!("{made} {}", inode(&mapping)));
        }
        return;
    }
    let scratch = Scratch::new();
    let test = "of_many_who_race_for_a_name_one_makes_it_and_all_have_the_same";
    let mut racers: Vec<Player> = (0..RACERS).map(|_| player(test, scratch.path())).collect();
    for round in 0..ROUNDS {
        for racer in &mut racers {
            racer.say(&format!("round-{round}"));
        }
        let told: Vec<String> = racers.iter_mut().map(|it| it.hear().unwrap()).collect();
        let made = told.iter().filter(|told| told.starts_with('1')).count();
        assert_eq!(made, 1, "{told:?}");
        assert!(told.iter().all(|it| it[2..] == told[0][2..]), "{told:?}");
    }
    let listing = registry(scratch.path()).list().unwrap();
    assert_eq!(listing.objects.len(), ROUNDS);
}

#[test]
fn a_full_device_is_told_apart_and_leaves_room_for_what_fits() {
    let test = "a_full_device_is_told_apart_and_leaves_room_for_what_fits";
    if let Some(path) = role() {
        let registry = registry(path.as_ref());
        let error = make(&registry, "x", 2 << 20).unwrap_err();
        assert!(
            matches!(
                error,
                ShmError::NoSpace {
                    size: 0x20_0000,
                    ..
                }
            ),
            "{error}"
        );
        assert_eq!(error.code(), "ERR_RSIPC_NO_SPACE");
        let error = registry
            .open_or_create::<_, ShmError>(&name("x"), 2 << 20, Ok)
            .unwrap_err();
        assert_eq!(error.code(), "ERR_RSIPC_NO_SPACE");
        assert!(registry.list().unwrap().objects.is_empty());
        make(&registry, "x", 512 << 10).unwrap();
        tell("done");
        return;
    }
    if !may_unshare("a full device") {
        return;
    }
    let scratch = Scratch::new();
    let path = scratch.path().to_str().unwrap();
    let script = format!("mount -t tmpfs -o size=1m,mode=700 none {path} && exec \"$@\"");
    let wrapper = ["unshare", "--mount", "sh", "-c", &script, "sh"];
    let mut player = Player::start(again::wrapped(&wrapper, test, path));
    assert_eq!(player.hear().as_deref(), Some("done"));
    assert!(player.end());
}

#[test]
fn what_is_planted_is_listed_refused_and_left_alone() {
    let scratch = Scratch::new();
    let registry = registry(scratch.path());
    let at = |name: &str| world(scratch.path()).join(name);
    let target = scratch.path().join("target");
    fs::write(&target, "precious").unwrap();
    symlink(&target, at("link.shm")).unwrap();
    fs::create_dir(at("directory.shm")).unwrap();
    fs::write(at("open.shm"), "x").unwrap();
    fs::set_permissions(at("open.shm"), Permissions::from_mode(0o666)).unwrap();
    fs::write(at("..shm"), "x").unwrap();
    fs::write(at("no ours"), "x").unwrap();
    fs::write(at("0000000000000001-0.bell"), "x").unwrap();
    // A file of ours that was cut short, one that was never reserved: ours all the same.
    for (name, size) in [("empty.shm", 0), ("short.shm", 3), ("sparse.shm", 1 << 20)] {
        Plain::create_new(at(name)).unwrap().set_len(size).unwrap();
        fs::set_permissions(at(name), Permissions::from_mode(0o600)).unwrap();
    }
    for refused in ["link", "directory", "open"] {
        let error = registry.open_object(&name(refused)).unwrap_err();
        assert_eq!(error.code(), "ERR_RSIPC_UNTRUSTED", "{refused}: {error}");
        let error = make(&registry, refused, 1).unwrap_err();
        assert_eq!(error.code(), "ERR_RSIPC_NAME_TAKEN", "{refused}: {error}");
    }
    let error = registry.open_object(&name("empty")).unwrap_err();
    assert!(matches!(
        error,
        ShmError::Object {
            source: SysError::Size { size: 0 },
            ..
        }
    ));
    assert_eq!(registry.open_object(&name("short")).unwrap().len(), 3);
    let sparse = registry.open_object(&name("sparse")).unwrap();
    let found = meta(sparse.file()).unwrap();
    assert!(found.allocated >= found.size, "its holes are filled");

    let expected = [
        ("directory", None, true),
        ("empty", Some(0), false),
        ("link", None, true),
        ("open", None, true),
        ("short", Some(3), false),
        ("sparse", Some(1 << 20), true),
    ]
    .map(|(name, size, in_use)| (name.to_owned(), size, in_use));
    // A process that another test is about to start holds all that is open here for a moment.
    until("it is listed as it is", || {
        let found = registry.list().unwrap().objects.into_iter();
        found
            .map(|it| (it.name.to_string(), it.size.ok(), it.in_use))
            .eq(expected.iter().cloned())
    });
    let listing = registry.list().unwrap();
    assert_eq!(listing.strangers, ["..shm", "no ours"]);
    assert_eq!((listing.bells.len(), listing.bells[0].alive), (1, false));

    let mut removed = 0;
    let mut cleaned = registry.clean().unwrap();
    until("what is unused is removed", || {
        removed += cleaned.objects;
        assert_eq!(cleaned.bells, 0);
        cleaned = registry.clean().unwrap();
        cleaned.objects == 0 && cleaned.kept == 1
    });
    assert_eq!(removed, 2);
    let mut problems: Vec<_> = cleaned
        .problems
        .iter()
        .map(|it| it.0.to_str().unwrap())
        .collect();
    problems.sort_unstable();
    let bell = "0000000000000001-0.bell";
    assert_eq!(
        problems,
        [
            "..shm",
            bell,
            "directory.shm",
            "link.shm",
            "no ours",
            "open.shm"
        ]
    );
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    assert!(at("open.shm").exists() && at("directory.shm").exists());
}

#[test]
fn cleaning_removes_what_the_dead_left_and_nothing_else() {
    let test = "cleaning_removes_what_the_dead_left_and_nothing_else";
    if let Some(path) = role() {
        let registry = registry(path.as_ref());
        let number = std::process::id();
        let _object = make(&registry, &format!("of-{number}"), 4096).unwrap();
        let _shared = registry.open_object(&name("shared")).unwrap();
        let _bell = EnvironmentBell::new(registry.run_dir().dir(), 0).unwrap();
        tell("ready");
        listen();
        return;
    }
    let scratch = Scratch::new();
    let registry = registry(scratch.path());
    drop(make(&registry, "shared", 4096).unwrap());
    let mut players: Vec<Player> = (0..3).map(|_| player(test, scratch.path())).collect();
    for player in &mut players {
        player.hear().unwrap();
    }
    let cleaned = registry.clean().unwrap();
    assert_eq!((cleaned.objects, cleaned.bells, cleaned.kept), (0, 0, 7));
    let dead = players[0].pid();
    players[0].kill();
    let listed = || registry.list().unwrap();
    until("its death is seen", || {
        listed().objects.iter().any(|it| !it.in_use)
            && listed().bells.iter().any(|bell| !bell.alive)
    });
    until("what it left is removed", || {
        registry.clean().unwrap();
        listed().objects.len() == 3 && listed().bells.len() == 2
    });
    assert!(
        listed()
            .objects
            .iter()
            .all(|it| it.name != name(&format!("of-{dead}")))
    );
    players.clear();
    until("nothing is left", || {
        registry.clean().unwrap();
        listed().objects.is_empty() && listed().bells.is_empty()
    });
    let cleaned = registry.clean().unwrap();
    assert_eq!((cleaned.objects, cleaned.bells, cleaned.kept), (0, 0, 0));
    assert!(cleaned.problems.is_empty());
}

#[test]
fn another_pid_namespace_has_names_of_its_own_and_is_cleaned_when_it_is_gone() {
    let test = "another_pid_namespace_has_names_of_its_own_and_is_cleaned_when_it_is_gone";
    if let Some(path) = role() {
        let registry = registry(path.as_ref());
        let _object = make(&registry, "x", 4096).unwrap();
        let _bell = EnvironmentBell::new(registry.run_dir().dir(), 0).unwrap();
        tell("ready");
        listen();
        return;
    }
    if !may_unshare("names in another pid namespace") {
        return;
    }
    let scratch = Scratch::new();
    let registry = registry(scratch.path());
    let path = scratch.path().to_str().unwrap();
    let wrapper = ["unshare", "--pid", "--kill-child", "--mount-proc"];
    let mut container = Player::start(again::wrapped(&wrapper, test, path));
    container.hear().unwrap();
    let error = registry.open_object(&name("x")).unwrap_err();
    assert_eq!(error.code(), "ERR_RSIPC_NOT_FOUND");
    assert_eq!(registry.clean().unwrap().worlds, 0);
    assert_eq!(scratch.names().len(), 2);
    // No process here can tell by a number whether it lives; the lock of its world can.
    container.kill();
    until("its world is removed", || {
        registry.clean().unwrap().worlds == 1
    });
    assert_eq!(scratch.names().len(), 1);
}

#[test]
fn a_killed_cleaner_is_finished_by_the_next() {
    let test = "a_killed_cleaner_is_finished_by_the_next";
    const OBJECTS: usize = 200;
    if let Some(path) = role() {
        let registry = registry(path.as_ref());
        tell("ready");
        listen();
        loop {
            registry.clean().unwrap();
        }
    }
    let scratch = Scratch::new();
    let registry = registry(scratch.path());
    let mut interrupted = 0;
    let mut seed = 1u32;
    for _ in 0..20 {
        for index in 0..OBJECTS {
            let _ = make(&registry, &format!("object-{index}"), 1);
        }
        let held = registry.open_object(&name("object-7")).unwrap();
        let mut cleaner = player(test, scratch.path());
        cleaner.hear().unwrap();
        cleaner.say("go");
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_micros(u64::from(seed % 4_000)) {
            std::hint::spin_loop();
        }
        cleaner.kill();
        drop(cleaner);
        let left = registry.list().unwrap().objects.len();
        interrupted += usize::from(left > 1 && left < OBJECTS);
        until("all but one is gone", || {
            registry.clean().unwrap();
            registry.list().unwrap().objects.len() == 1
        });
        assert_eq!(
            inode(&registry.open_object(&name("object-7")).unwrap()),
            inode(&held)
        );
    }
    assert!(interrupted > 0, "no kill came in the middle");
}

#[test]
fn what_is_held_keeps_its_name_while_others_clean_and_race() {
    let test = "what_is_held_keeps_its_name_while_others_clean_and_race";
    if let Some(words) = role() {
        let (what, path) = words.split_once(' ').unwrap();
        let registry = registry(path.as_ref());
        let end = Instant::now() + Duration::from_secs(2);
        let mut rounds = 0;
        while Instant::now() < end {
            rounds += 1;
            match what {
                "clean" => drop(registry.clean().unwrap()),
                "ring" => {
                    let bell = EnvironmentBell::new(registry.run_dir().dir(), rounds).unwrap();
                    let own = rsipc_sys::identity::own().unwrap();
                    let ringer = rsipc_sys::fifo::Ringer::new(registry.run_dir().dir()).unwrap();
                    assert!(ringer.ring(own, bell.environment()) && bell.drain());
                }
                _ => hold(&registry, rounds),
            }
        }
        tell(&rounds.to_string());
        return;
    }
    let scratch = Scratch::new();
    let path = scratch.path().to_str().unwrap();
    let mut players: Vec<(&str, Player)> = ["clean", "clean", "hold", "hold", "hold", "ring"]
        .map(|what| {
            let command = again::command(test, &format!("{what} {path}"));
            (what, Player::start(command))
        })
        .into();
    for (what, player) in &mut players {
        let rounds: u32 = player.hear().expect(what).parse().unwrap();
        assert!(rounds > 10, "{what}: {rounds}");
    }
}

/// Takes an object, perhaps an old one, and looks whether the name still means it.
fn hold(registry: &Registry, round: u32) {
    let shared = name(&format!("shared-{}", round % 2));
    let found = registry.open_or_create::<_, ShmError>(&shared, 4096, Ok);
    let (Found::Made(held) | Found::There(held)) = found.unwrap();
    for _ in 0..3 {
        let again = registry.open_object(&shared).expect("it has its name");
        assert_eq!(inode(&again), inode(&held));
        std::thread::yield_now();
    }
}

#[test]
fn a_stopped_cleaner_holds_nobody_up_for_long() {
    let test = "a_stopped_cleaner_holds_nobody_up_for_long";
    if let Some(path) = role() {
        let run_dir = RunDir::at(path.as_ref()).unwrap();
        let lock = run_dir.dir().lock_file("lock".as_ref()).unwrap();
        let how = rsipc_sys::file::Lock::Exclusive;
        assert!(rsipc_sys::file::try_lock(std::os::fd::AsFd::as_fd(&lock), how).unwrap());
        tell("locked");
        listen();
        return;
    }
    let scratch = Scratch::new();
    let registry = registry(scratch.path());
    let _held = make(&registry, "x", 4096).unwrap();
    let mut stopped = player(test, scratch.path());
    stopped.hear().unwrap();
    assert_eq!(registry.clean().unwrap_err().code(), "ERR_RSIPC_BUSY");
    assert_eq!(
        registry.unlink(&name("x")).unwrap_err().code(),
        "ERR_RSIPC_BUSY"
    );
    registry.open_object(&name("x")).unwrap();
    make(&registry, "y", 4096).unwrap();
    let found = registry.open_or_create::<_, ShmError>(&name("z"), 4096, Ok);
    assert!(matches!(found.unwrap(), Found::Made(_)));
    stopped.kill();
    until("its lock is free", || registry.clean().is_ok());
}
