//! Bytes beside a connection: real processes at one end, killed at every point of the path and at any time. What came is
//! whole and in order, then comes the end, and no memory is left.
//!
//! By itself this takes seconds. `KILLS=100` kills a hundred at every point and as many at any time.

#![cfg(target_os = "linux")]

use std::env;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rsipc_core::endpoint::{Connection, Driver, Event, Framing, Kind, Limits, Scratch};
use rsipc_core::slab::{Place, Received};
use rsipc_sys::{fd, stream};

const TEST: &str = "a_process_that_is_killed_anywhere_leaves_whole_messages_in_order_and_no_memory";
const PLAN: &str = "RSIPC_BESIDE_KILLS";
const PATIENCE: Duration = Duration::from_secs(60);
const CAPACITY: usize = 4 * 1024 * 1024;
const OFFER: &[u8] = b"a slab";
const TAKEN: &[u8] = b"taken";

/// Where a victim may be killed.
const POINTS: &[&str] = &[
    "offered", "laid", "accepted", "written", "mapped", "found", "copied", "kept", "back",
];

/// How often a point is passed before it kills.
struct Sentence<'a> {
    point: &'a str,
    spared: u64,
}

impl Sentence<'_> {
    fn pass(&mut self, point: &str) {
        if self.point != point {
            return;
        }
        if self.spared == 0 {
            let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
            unreachable!("it was killed");
        }
        self.spared -= 1;
    }
}

fn size(number: u64) -> usize {
    20_000 + (number as usize * 7_919) % 300_000
}

fn byte(number: u64) -> u8 {
    (number * 31 + 7) as u8
}

/// One end that sends numbered messages beside its connection, and checks those that come.
struct Player<'a> {
    driver: Driver,
    sentence: Sentence<'a>,
    scratch: Scratch,
    offered: bool,
    ready: bool,
    sent: u64,
    beside: u64,
    next: u64,
    kept: Vec<Received>,
    ended: bool,
}

impl<'a> Player<'a> {
    fn new(fd: OwnedFd, sentence: Sentence<'a>) -> Player<'a> {
        let mut driver =
            Driver::new(fd, Connection::new(Framing::Bytes, Limits::default())).unwrap();
        driver.connection().hello(b"{}");
        Player {
            driver,
            sentence,
            scratch: Scratch::default(),
            offered: false,
            ready: false,
            sent: 0,
            beside: 0,
            next: 0,
            kept: Vec::new(),
            ended: false,
        }
    }

    fn send(&mut self) {
        let connection = self.driver.connection();
        if !self.offered {
            self.offered = true;
            connection.offer_slab(OFFER, CAPACITY).unwrap();
            self.sentence.pass("offered");
        }
        let bytes = vec![byte(self.sent); size(self.sent)];
        let head = self.sent.to_le_bytes();
        let laid = if self.ready {
            connection.lay(&bytes)
        } else {
            None
        };
        match laid {
            Some(place) => {
                self.sentence.pass("laid");
                connection
                    .send_beside(Kind::Message, &head, &place)
                    .unwrap();
                self.beside += 1;
            }
            None => connection
                .send(Kind::Message, |out| {
                    out.extend_from_slice(&head);
                    out.extend_from_slice(&bytes);
                })
                .unwrap(),
        }
        self.sent += 1;
        self.sentence.pass("accepted");
    }

    fn turn(&mut self) {
        for _ in 0..4 {
            if self.driver.connection().outstanding() < 1_000_000 {
                self.send();
            }
        }
        // A peer that is gone is told with what it had sent.
        let _ = self.driver.flush();
        self.sentence.pass("written");
        let mut events = Vec::new();
        self.driver
            .receive(256 * 1024, &mut self.scratch, &mut events);
        if events.is_empty() {
            thread::sleep(Duration::from_micros(200));
        }
        for event in events {
            self.take(event);
        }
        if self.driver.connection().taken() {
            let _ = self.driver.flush();
        }
        let _ = self.driver.connection().eased();
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Run { kind, bytes } => {
                let mut rest = bytes.as_slice();
                while let Some((length, after)) = rest.split_first_chunk::<4>() {
                    let (payload, behind) = after.split_at(u32::from_le_bytes(*length) as usize);
                    rest = behind;
                    self.payload(kind, payload);
                }
            }
            Event::Large { kind, bytes } => self.payload(kind, &bytes),
            Event::Handles { bytes, mut fds, .. } => {
                assert_eq!(bytes, OFFER);
                let file = fds.pop().expect("a descriptor");
                let connection = self.driver.connection();
                connection.accept_slab(0, file).unwrap();
                connection
                    .send(Kind::Reply, |out| out.extend_from_slice(TAKEN))
                    .unwrap();
                self.sentence.pass("mapped");
            }
            Event::Hello(_) => {}
            // Half a frame may have been written: it is no message.
            Event::Ended { .. } => self.ended = true,
            other => panic!("{other:?}"),
        }
    }

    fn payload(&mut self, kind: Kind, payload: &[u8]) {
        match kind {
            Kind::Reply => {
                assert_eq!(payload, TAKEN);
                self.driver.connection().slab_ready(0);
                self.ready = true;
            }
            Kind::Message => {
                let (head, bytes) = payload.split_first_chunk().expect("a number");
                self.arrived(u64::from_le_bytes(*head), bytes);
            }
            Kind::Beside => {
                let (place, head) = payload[1..].split_first_chunk().expect("a place");
                let number = u64::from_le_bytes(head.try_into().expect("a number"));
                let connection = self.driver.connection();
                let found = connection
                    .find(&Place::from_bytes(place))
                    .expect("what was laid");
                self.sentence.pass("found");
                let keep = number.is_multiple_of(3);
                if keep {
                    assert!(found.keep(), "it was sent");
                    self.sentence.pass("kept");
                }
                let mut bytes = vec![0; found.len()];
                found.copy_to(&mut bytes);
                self.sentence.pass("copied");
                if keep {
                    self.kept.push(found);
                    if self.kept.len() > 4 {
                        self.kept.remove(0).give_back();
                    }
                } else {
                    assert!(found.done(), "it was sent");
                }
                self.sentence.pass("back");
                self.arrived(number, &bytes);
            }
            other => panic!("{other:?}"),
        }
    }

    fn arrived(&mut self, number: u64, bytes: &[u8]) {
        assert_eq!(number, self.next, "the number of a message");
        assert_eq!(bytes.len(), size(number), "its size");
        assert!(
            bytes.iter().all(|&one| one == byte(number)),
            "message {number} is torn"
        );
        self.next += 1;
    }
}

/// The process that is killed: its connection is standard input.
fn play(plan: &str) {
    let (point, spared) = plan.split_once(' ').expect("two words");
    let spared = spared.parse().expect("a number");
    let fd = fd::duplicate(std::io::stdin().as_fd()).unwrap();
    let mut player = Player::new(fd, Sentence { point, spared });
    while !player.ended {
        player.turn();
    }
}

struct Victim {
    child: Child,
    survivor: Player<'static>,
}

impl Victim {
    fn start(point: &str, spared: u64) -> Victim {
        let (ours, theirs) = stream::pair().unwrap();
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", TEST, "--nocapture", "--test-threads=1"])
            .env(PLAN, format!("{point} {spared}"))
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let never = Sentence {
            point: "",
            spared: 0,
        };
        Victim {
            child,
            survivor: Player::new(ours, never),
        }
    }

    /// Goes on until the end is told; answers how many messages came, and how many went beside.
    fn conclude(mut self, what: &str) -> (u64, u64) {
        let begin = Instant::now();
        while !self.survivor.ended {
            assert!(begin.elapsed() < PATIENCE, "{what}: no end");
            self.survivor.turn();
        }
        let status = self.child.wait().unwrap();
        assert_eq!(status.signal(), Some(9), "{what}: {status}");
        // What the dead had lent is there as long as somebody has it.
        for kept in &self.survivor.kept {
            let mut bytes = vec![0; kept.len()];
            kept.copy_to(&mut bytes);
            assert!(bytes.iter().all(|one| *one == bytes[0]), "{what}");
        }
        (self.survivor.next, self.survivor.beside)
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Descriptors and mappings of slabs.
fn held() -> (usize, usize) {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let descriptors = fs::read_dir("/proc/self/fd").unwrap().count();
    (descriptors, maps.matches("memfd:rsipc").count())
}

#[test]
fn a_process_that_is_killed_anywhere_leaves_whole_messages_in_order_and_no_memory() {
    if let Ok(plan) = env::var(PLAN) {
        return play(&plan);
    }
    let before = held();
    let kills: u64 = env::var("KILLS").map_or(1, |text| text.parse().expect("a number"));
    let (mut total, mut messages, mut beside) = (0, 0, 0);
    for point in POINTS {
        for kill in 0..kills {
            let spared = match *point {
                "offered" | "mapped" => 0,
                _ => (kill * 37 + 20) % 200,
            };
            let what = format!("{point}, {spared} spared");
            let (came, went) = Victim::start(point, spared).conclude(&what);
            total += 1;
            messages += came;
            beside += went;
        }
    }
    for round in 0..4 * kills {
        let mut victim = Victim::start("", 0);
        let begin = Instant::now();
        while victim.survivor.next < round * 53 % 400 && begin.elapsed() < PATIENCE {
            victim.survivor.turn();
        }
        victim.child.kill().unwrap();
        let (came, went) = victim.conclude("at any time");
        total += 1;
        messages += came;
        beside += went;
    }
    assert_eq!(held(), before, "descriptors or mappings are left");
    assert!(beside > 0, "nothing went beside");
    let text = format!("{total} kills, {messages} messages came, {beside} went beside\n");
    let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
}
