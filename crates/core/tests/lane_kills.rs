//! Real processes at one end of a channel in shared memory, killed at every failpoint of the path and at
//! any time: what they had written before arrives in order and once, half a message never, then the end.
//!
//! By itself this takes seconds. `KILLS=100` kills a hundred at every failpoint, `RANDOM_KILLS=1000` that
//! many at any time.

#![cfg(target_os = "linux")]

mod both;

use std::env;
use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use both::{End, Got, PATIENCE, envelope};
use rsipc_core::channel::{Limits, Serialization};
use rsipc_ring::Region;
use rsipc_ring::failpoint::{Failpoint, set_hook};
use rsipc_sys::shm::Mapping;
use rsipc_sys::{fd, stream};

const TEST: &str = "a_process_that_is_killed_at_any_failpoint_leaves_whole_messages_in_order";
const PLAN: &str = "RSIPC_LANE_KILLS";
/// Where in the ledger it says how much it has written. Before it is what the harness prints.
const WRITTEN: usize = 4096;

/// The failpoints of the path, and whether they are passed by whoever makes the rings, or takes them.
const PATH: &[(Failpoint, &[bool])] = &[
    (Failpoint::CreateBeforeReady, &[true]),
    (Failpoint::ClaimBeforeRole, &[true, false]),
    (Failpoint::RecordReserved, &[true, false]),
    (Failpoint::RecordBeforeCommit, &[true, false]),
    (Failpoint::RecordBeforePublish, &[true, false]),
    (Failpoint::RecordBeforeRing, &[true, false]),
    (Failpoint::RingBeforeWake, &[true, false]),
    (Failpoint::RecordBeforeRelease, &[true, false]),
    (Failpoint::ReleaseBeforeRing, &[true, false]),
];

/// One end that sends numbered messages of every kind all the time, and checks those that come.
struct Player {
    end: End,
    maker: bool,
    offer: Vec<OwnedFd>,
    sent: u64,
    next: u64,
    ended: bool,
}

fn padding(number: u64) -> usize {
    match number % 50 {
        49 => 100_000,
        part => part as usize * 7,
    }
}

impl Player {
    fn new(fd: OwnedFd, maker: bool) -> Player {
        let mut end = End::new(fd, Serialization::Json, Limits::default());
        if maker {
            let offer = [envelope("fd", "\"offer\""), envelope("fd", "\"offer\"")];
            let _ = end.channel.offer_lanes([&offer[0], &offer[1]]);
        }
        Player {
            end,
            maker,
            offer: Vec::new(),
            sent: 0,
            next: 0,
            ended: false,
        }
    }

    /// Messages that were written, without the offer.
    fn written(&self) -> u64 {
        let offer = if self.maker { 2 } else { 0 };
        self.end.channel.written().saturating_sub(offer)
    }

    fn send(&mut self) {
        let number = self.sent;
        let channel = &mut self.end.channel;
        let pad = "x".repeat(padding(number));
        let sent = if number % 20 == 7 {
            let descriptor = File::open("/dev/null").unwrap().into();
            let payload = envelope("fd", &number.to_string());
            let retry = false;
            let handle = rsipc_core::channel::Outgoing { descriptor, retry };
            channel.send_handle(handle, |out| out.extend_from_slice(&payload))
        } else if number.is_multiple_of(3) && channel.shares() {
            let word = (number as u32).to_le_bytes();
            let gather = number.is_multiple_of(2);
            channel.send_encoded(gather, &word, pad.len(), |out| {
                out.extend(pad.encode_utf16())
            })
        } else {
            channel.send_slice(
                number.is_multiple_of(2),
                format!("[{number},\"{pad}\"]").as_bytes(),
            )
        };
        if sent.is_ok() {
            self.sent += 1;
        }
    }

    fn turn(&mut self) {
        if self.end.channel.failure().is_none() && !self.end.channel.ended() {
            for _ in 0..20 {
                if self.end.channel.queued_messages() < 60 {
                    self.send();
                }
            }
            let _ = self.end.channel.flush();
        }
        if !self.end.poll(Duration::ZERO) {
            self.end.poll(Duration::from_micros(500));
        }
        while let Some(got) = self.end.got.pop_front() {
            self.take(got);
        }
    }

    fn arrived(&mut self, number: u64) {
        assert_eq!(number, self.next, "the number of a message");
        assert!(!self.ended, "a message behind the end");
        self.next += 1;
    }

    fn take(&mut self, got: Got) {
        match got {
            Got::Frame(bytes) => {
                let text = String::from_utf8(bytes).expect("text");
                let (number, pad) = text[1..].split_once(',').expect("two parts");
                let number = number.parse().expect("a number");
                assert_eq!(pad.len(), padding(number) + 3, "a whole message");
                self.arrived(number);
            }
            Got::Batch(words, units, count) => {
                assert_eq!(words.len(), count);
                let all: usize = words.iter().map(|&word| padding(u64::from(word))).sum();
                assert_eq!(all, units.len(), "whole messages");
                for word in words {
                    self.arrived(u64::from(word));
                }
            }
            Got::Handle(frame, descriptor, problem) => {
                assert_eq!(problem, None);
                let text = String::from_utf8(frame).expect("text");
                let message = text.split_once("\"msg\":").expect("a message").1;
                if message == "\"offer\"}" {
                    self.offer.extend(descriptor);
                    if self.offer.len() == 2 {
                        let back = self.offer.pop().expect("the second");
                        let there = self.offer.pop().expect("the first");
                        self.end
                            .channel
                            .accept_lanes([there, back])
                            .expect("memory");
                        let _ = self.end.channel.share();
                    }
                } else {
                    self.arrived(message.trim_end_matches('}').parse().expect("a number"));
                }
            }
            Got::Switched => {
                if self.maker {
                    let _ = self.end.channel.share();
                }
            }
            Got::Taken(_) => {}
            Got::Ended(_) => self.ended = true,
            other => panic!("{other:?}"),
        }
    }
}

static SENTENCE: OnceLock<Failpoint> = OnceLock::new();
static SPARED: AtomicI64 = AtomicI64::new(0);

fn hook(point: Failpoint) {
    if SENTENCE.get() == Some(&point) && SPARED.fetch_sub(1, SeqCst) == 0 {
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
        unreachable!("it was killed");
    }
}

/// The process that is killed: its channel is standard input, its ledger standard output.
fn play(plan: &str) {
    let mut words = plan.split(' ');
    let maker = words.next() == Some("maker");
    if let Some(point) = words.next().and_then(Failpoint::named) {
        SENTENCE.get_or_init(|| point);
    }
    let spared = words.next().expect("a number").parse();
    SPARED.store(spared.expect("a number"), SeqCst);
    set_hook(hook);
    let ledger = Mapping::received(fd::duplicate(std::io::stdout().as_fd()).unwrap()).unwrap();
    let ledger = Region::new(ledger).unwrap();
    let channel = fd::duplicate(std::io::stdin().as_fd()).unwrap();
    let null = File::open("/dev/null").unwrap();
    nix::unistd::dup2_stdin(&null).unwrap();
    let mut player = Player::new(channel, maker);
    while !player.ended {
        player.turn();
        ledger.word(WRITTEN).store(player.written(), SeqCst);
    }
}

struct Victim {
    child: Child,
    ledger: Region<Mapping>,
    survivor: Player,
}

impl Victim {
    fn start(maker: bool, point: &str, spared: u64) -> Victim {
        let (ours, theirs) = stream::pair().unwrap();
        stream::set_nonblocking(theirs.as_fd(), false).unwrap();
        let ledger = Mapping::anonymous("rsipc-ledger", 8192).unwrap();
        let role = if maker { "maker" } else { "taker" };
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", TEST, "--nocapture", "--test-threads=1"])
            .env(PLAN, format!("{role} {point} {spared}"))
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::from(fd::duplicate(ledger.file()).unwrap()))
            .spawn()
            .unwrap();
        Victim {
            child,
            ledger: Region::new(ledger).unwrap(),
            survivor: Player::new(ours, !maker),
        }
    }

    /// Goes on until the end is told, and looks at what came; answers how much that was.
    fn conclude(mut self, what: &str) -> u64 {
        let begin = Instant::now();
        while !self.survivor.ended {
            assert!(begin.elapsed() < PATIENCE, "{what}: no end");
            self.survivor.turn();
        }
        let status = self.child.wait().unwrap();
        assert_eq!(status.signal(), Some(9), "{what}: {status}");
        let (came, written) = (self.survivor.next, self.ledger.word(WRITTEN).load(SeqCst));
        assert!(came >= written, "{what}: {came} of {written} messages came");
        let channel = &mut self.survivor.end.channel;
        // Nobody waits for the dead to make room.
        let begin = Instant::now();
        while channel.send_slice(false, &[b'1'; 10_000]).is_ok() && channel.queued_messages() < 10 {
        }
        channel.flush_blocking(PATIENCE);
        assert!(
            begin.elapsed() < PATIENCE,
            "{what}: a flush that waits for the dead"
        );
        came
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Descriptors and mappings of channels.
fn held() -> (usize, usize) {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let descriptors = fs::read_dir("/proc/self/fd").unwrap().count();
    (descriptors, maps.matches("memfd:rsipc").count())
}

fn setting(name: &str, otherwise: u64) -> u64 {
    env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
fn a_process_that_is_killed_at_any_failpoint_leaves_whole_messages_in_order() {
    if let Ok(plan) = env::var(PLAN) {
        return play(&plan);
    }
    let before = held();
    let kills = setting("KILLS", 1);
    let (mut total, mut messages) = (0u64, 0);
    for (point, makers) in PATH {
        for &maker in *makers {
            let rarely = matches!(
                point,
                Failpoint::CreateBeforeReady | Failpoint::ClaimBeforeRole
            );
            for kill in 0..kills {
                let spared = match (rarely, point) {
                    (true, _) => kill % 2,
                    (_, Failpoint::RingBeforeWake) => total % 4,
                    _ => total * 131 % 3000,
                };
                let what = format!("{} of {maker}, {spared} spared", point.name());
                messages += Victim::start(maker, point.name(), spared).conclude(&what);
                total += 1;
            }
        }
    }
    let begun = Instant::now();
    let mut random = u64::from(std::process::id()) << 20 | 1;
    let at_random = setting("RANDOM_KILLS", 8);
    for _ in 0..at_random {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let mut victim = Victim::start(random & 1 == 0, "-", 0);
        let enough = random >> 8 & 0x3FFF;
        while victim.survivor.next < enough && begun.elapsed() < PATIENCE * 100 {
            victim.survivor.turn();
        }
        victim.child.kill().unwrap();
        messages += victim.conclude("at random");
    }
    assert_eq!(held(), before, "descriptors or mappings are left");
    let text =
        format!("{total} kills at failpoints, {at_random} at random, {messages} messages in order");
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{text}\n").as_bytes());
}
