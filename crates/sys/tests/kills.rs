//! Processes that are really killed, at every failpoint and at random, while others go on with the
//! same objects.
//!
//! By itself this takes a few seconds. `KILLS=100` kills a hundred processes at every failpoint;
//! `RANDOM_KILLS=10000` that many at any time. CONTRIBUTING.md has the whole command.

#![cfg(target_os = "linux")]
#![allow(dead_code, reason = "not every test plays with all of it")]

#[path = "kills/acts.rs"]
mod acts;
mod again;
#[path = "kills/ledger.rs"]
mod ledger;

use std::collections::HashMap;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::SeqCst;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{env, fs};

use acts::{Act, Stage};
use again::{Scratch, role, until};
use ledger::{One, PLACES, PerLife, Placed, now};
use rsipc_ring::failpoint::{Failpoint, set_hook};

/// Where a failpoint is passed, and what else has to die so that it is. The compiler sees to it that
/// every failpoint is here.
fn scene(point: Failpoint) -> (&'static [Act], Option<Failpoint>) {
    const RINGS: &[Act] = &[Act::Spsc, Act::Mpsc, Act::Broadcast];
    const LOCKS: &[Act] = &[Act::Mutex, Act::RwLock, Act::Semaphore];
    use Failpoint::*;
    match point {
        CreateBeforeReady => (&[Act::Create], None),
        ClaimBeforeRole | ReleaseBeforeFree => (&[Act::Mpsc, Act::Mutex, Act::Barrier], None),
        SweepBeforeCleanup | SweepBeforeClear | SweepBeforeFree | SweepBeforeRing => {
            (&[Act::Mutex, Act::Semaphore], Some(LockHeld))
        }
        RingBeforeWake => (&[Act::Spsc, Act::Mutex, Act::Event], None),
        RecordReserved | RecordBeforeCommit | RecordBeforeRing | RecordBeforeRelease
        | ReleaseBeforeRing => (RINGS, None),
        RecordBeforePublish => (&[Act::Spsc, Act::Broadcast], None),
        MpscBeforeTail | MpscBeforeUnlatch => (&[Act::Mpsc], None),
        BroadcastBeforeOverwrite => (&[Act::Drop], None),
        CellBeforePublish | CellBeforeUnlatch => (&[Act::Cell], None),
        LockBeforeFence => (&[Act::Mutex, Act::RwLock], None),
        LockBeforeLeave | LockHeld | LockWaiting => (LOCKS, None),
        LeaveBeforePassing | UnlockBeforeRing => (&[Act::Mutex, Act::RwLock], None),
        UnlockBeforeFree => (&[Act::Mutex, Act::RwLock], None),
        ReadBeforeLook | WriteBeforeDrained | ReadBeforeRing => (&[Act::RwLock], None),
        PermitsBeforeSum | PermitsBeforeRing => (&[Act::Semaphore], None),
        EventBeforeCount => (&[Act::Event], None),
        BarrierArrived | BarrierBeforeRing => (&[Act::Barrier], None),
        MapAllocated | MapBeforePublish | MapBeforeVersion | MapBeforeFree | MapBeforeDone
        | MapCounted => (&[Act::Map], None),
        MapBeforeMended => (&[Act::Map], Some(MapAllocated)),
    }
}

const PLAY: &str = "processes_that_are_killed_at_any_failpoint_take_nothing_with_them";

/// What a started process shall do: `RSIPC_KILLS` as `path place life parent point spared act …`.
const PLAN: &str = "RSIPC_KILLS";

/// The life, and what of the ledger it needs to write down its end.
struct Sentence {
    point: Failpoint,
    stage: Stage,
}

static SENTENCE: OnceLock<Sentence> = OnceLock::new();
static SPARED: AtomicI64 = AtomicI64::new(0);

fn hook(point: Failpoint) {
    if let Some(sentence) = SENTENCE.get()
        && sentence.point == point
        && SPARED.fetch_sub(1, SeqCst) == 0
    {
        let (ledger, life) = (&sentence.stage.ledger, sentence.stage.life);
        ledger.life(PerLife::Killed, life).store(now(), SeqCst);
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
        unreachable!("it was killed");
    }
}

/// A process of a test: acts until it is killed or everybody shall leave.
fn play() {
    let plan = env::var(PLAN).expect("a plan");
    let mut words = plan.split(' ');
    let mut word = || words.next().expect("a word");
    let path = word().to_owned();
    let path = Path::new(&path);
    let place: usize = word().parse().expect("a place");
    let life: u64 = word().parse().expect("a life");
    let parent: i32 = word().parse().expect("a parent");
    if let Some(point) = Failpoint::named(word()) {
        let stage = Stage::enter(path, place, life);
        let _ = SENTENCE.set(Sentence { point, stage });
    }
    SPARED.store(word().parse().expect("a number"), SeqCst);
    set_hook(hook);
    let acts: Vec<Act> = words.map(Act::named).collect();
    let mut stage = Stage::enter(path, place, life);
    stage
        .ledger
        .placed(Placed::Started, place)
        .store(life, SeqCst);
    let mut held = None;
    while !stage.is_over(parent) {
        for act in &acts {
            stage.act(*act);
        }
        let held = *held.get_or_insert_with(descriptors);
        if descriptors() > held {
            stage.ledger.broken("descriptors are left open");
        }
    }
}

/// How many files this process has open, those apart by which it knows who lives.
fn descriptors() -> usize {
    let entries = fs::read_dir("/proc/self/fd").expect("a list");
    let target = |entry: std::io::Result<fs::DirEntry>| fs::read_link(entry.ok()?.path()).ok();
    let known = |path: &PathBuf| path.to_string_lossy().contains("pidfd");
    entries
        .filter_map(target)
        .filter(|path| !known(path))
        .count()
}

/// The processes of a test and what they share.
struct Troupe {
    scratch: Scratch,
    stage: Stage,
    names: Vec<String>,
    children: HashMap<usize, (u64, Child)>,
    deaths: u64,
    listener: Option<JoinHandle<()>>,
}

impl Troupe {
    fn new() -> Troupe {
        let scratch = Scratch::new();
        let stage = Stage::build(scratch.path());
        let path = scratch.path().to_owned();
        let listener = thread::spawn(move || Stage::enter(&path, PLACES - 2, 0).listen());
        until("somebody listens", || stage.ledger.get(One::Listening) == 1);
        Troupe {
            stage,
            names: scratch.names(),
            listener: Some(listener),
            scratch,
            children: HashMap::new(),
            deaths: 0,
        }
    }

    /// Starts a process at a place; with a sentence it dies at that failpoint.
    fn start(&mut self, place: usize, acts: &[Act], sentence: Option<(Failpoint, u32)>) -> u64 {
        let life = self.stage.ledger.one(One::Lives).fetch_add(1, SeqCst) + 1;
        let (point, spared) = sentence.map_or(("-", 0), |(point, spared)| (point.name(), spared));
        let acts: Vec<String> = acts.iter().map(|act| act.name()).collect();
        let path = self.scratch.path().display();
        let parent = std::process::id();
        let acts = acts.join(" ");
        let plan = format!("{path} {place} {life} {parent} {point} {spared} {acts}");
        let mut command: Command = again::command(PLAY, "play");
        command
            .env(PLAN, plan)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let child = command.spawn().expect("a process");
        self.children.insert(place, (life, child));
        life
    }

    /// Whether the process at this place has ended, by SIGKILL as it must.
    fn has_died(&mut self, place: usize) -> bool {
        let (_, child) = self.children.get_mut(&place).expect("a process");
        let Some(status) = child.try_wait().expect("its status") else {
            return false;
        };
        assert_eq!(status.signal(), Some(9), "it failed: {status}");
        self.children.remove(&place);
        self.deaths += 1;
        true
    }

    /// Waits until the process at this place dies of its sentence.
    fn await_death(&mut self, place: usize, what: &str) {
        until(what, || self.has_died(place));
    }

    fn kill(&mut self, place: usize) {
        let (life, mut child) = self.children.remove(&place).expect("a process");
        self.stage
            .ledger
            .life(PerLife::Killed, life)
            .store(now(), SeqCst);
        child.kill().expect("a signal");
        child.wait().expect("its end");
        self.deaths += 1;
    }

    fn turns(&self, place: usize) -> u64 {
        self.stage.ledger.placed(Placed::Turns, place).load(SeqCst)
    }

    /// Has the contenders leave, and looks at everything.
    fn conclude(mut self, acts: &[Act], what: &str) {
        self.stage.ledger.one(One::Stop).store(1, SeqCst);
        for (_, (_, mut child)) in std::mem::take(&mut self.children) {
            let mut status = None;
            until("a contender leaves", || {
                status = child.try_wait().expect("its status");
                status.is_some()
            });
            assert!(
                status.is_some_and(|status| status.success()),
                "{what}: {status:?}"
            );
        }
        self.stage.ledger.one(One::Listening).store(2, SeqCst);
        let listener = self.listener.take().expect("a listener");
        listener.join().expect("it has heard everything");
        for act in acts {
            self.stage.conclude(*act, self.deaths);
        }
        if !acts.contains(&Act::Drop) {
            self.stage.look_at_records();
        }
        assert_eq!(self.scratch.names(), self.names, "{what}: files are left");
        assert_eq!(
            self.stage.ledger.get(One::Broken),
            0,
            "{what}: promises broken"
        );
    }
}

fn setting(name: &str, otherwise: u64) -> u64 {
    env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

impl Drop for Troupe {
    fn drop(&mut self) {
        self.stage.ledger.one(One::Listening).store(2, SeqCst);
        for (_, child) in self.children.values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

const CONTENDERS: [usize; 2] = [0, 1];
const VICTIM: usize = 2;
const CORPSE: usize = 3;

#[test]
fn processes_that_are_killed_at_any_failpoint_take_nothing_with_them() {
    if role().is_some() {
        return play();
    }
    let kills = setting("KILLS", 3);
    let begin = Instant::now();
    let mut killed: HashMap<Failpoint, u64> = HashMap::new();
    for act in Act::ALL {
        let mut troupe = Troupe::new();
        for place in CONTENDERS {
            troupe.start(place, &[act], None);
        }
        for &point in Failpoint::ALL {
            let (acts, corpse) = scene(point);
            if !acts.contains(&act) {
                continue;
            }
            let what = format!("{} in {act:?}", point.name());
            for kill in 0..kills.div_ceil(acts.len() as u64) {
                let life = troupe.start(VICTIM, &[act], Some((point, kill as u32 % 4)));
                match corpse {
                    // Whoever is fastest finds the corpse; sooner or later it is the victim.
                    Some(corpse) => until(&what, || {
                        troupe.start(CORPSE, &[act], Some((corpse, 0)));
                        troupe.await_death(CORPSE, &what);
                        troupe.has_died(VICTIM)
                    }),
                    None => troupe.await_death(VICTIM, &what),
                }
                if act == Act::Create {
                    troupe.stage.look_at_unfinished(life);
                }
                *killed.entry(point).or_default() += 1;
            }
            for place in CONTENDERS {
                let turns = troupe.turns(place);
                until("the others go on", || troupe.turns(place) > turns + 1);
            }
        }
        troupe.conclude(&[act], &format!("{act:?}"));
    }
    for point in Failpoint::ALL {
        let count = killed.get(point).copied().unwrap_or(0);
        assert!(count >= kills, "{} has no kill test", point.name());
    }
    let (points, total) = (killed.len(), killed.values().sum::<u64>());
    let took = begin.elapsed().as_secs_f64();
    say(&format!(
        "kills: {total} at {points} failpoints, 0 promises broken, {took:.1} s"
    ));
}

#[test]
fn processes_that_are_killed_at_any_time_take_nothing_with_them() {
    const RINGS: [Act; 3] = [Act::Spsc, Act::Mpsc, Act::Broadcast];
    const REST: [Act; 3] = [Act::Map, Act::Mutex, Act::Semaphore];
    // What a process has written is counted over all rings, so each has one.
    let acts = |place: usize| [&RINGS[place % 3..][..1], &REST].concat();
    const MANY: usize = 8;
    let kills = setting("RANDOM_KILLS", 60);
    let begin = Instant::now();
    let mut random = now() | 1;
    let mut troupe = Troupe::new();
    for place in 0..MANY {
        troupe.start(place, &acts(place), None);
    }
    for _ in 0..kills {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let place = random as usize % MANY;
        let (life, _) = troupe.children[&place];
        let started = |troupe: &Troupe| {
            let started = troupe.stage.ledger.placed(Placed::Started, place);
            started.load(SeqCst) == life
        };
        until("it has begun", || started(&troupe));
        thread::sleep(Duration::from_micros(random >> 20 & 0xFFF));
        troupe.kill(place);
        troupe.start(place, &acts(place), None);
    }
    let ledger = &troupe.stage.ledger;
    let count = ledger.get(One::TakeOvers);
    let took = |number| ledger.life(PerLife::TakeOver, number).load(SeqCst);
    let mut took: Vec<u64> = (0..count).map(took).collect();
    took.sort_unstable();
    let lives = ledger.get(One::Lives);
    let records = (1..=lives).map(|life| ledger.life(PerLife::Committed, life).load(SeqCst));
    let (records, counted) = (records.sum::<u64>(), ledger.get(One::Added));
    let fence = ledger.get(One::Fence);
    troupe.conclude(&[RINGS, REST].concat(), "at random");
    let rank = |share: f64| {
        let at = (took.len() as f64 * share) as usize;
        took.get(at)
            .or(took.last())
            .map_or(0.0, |ns| *ns as f64 / 1e6)
    };
    let seconds = begin.elapsed().as_secs_f64();
    say(&format!(
        "random kills: {kills} of {MANY} contenders in {seconds:.1} s; {records} records, \
         {counted} counts in the map, {fence} locks; 0 torn or lost, 0 double owners, all permits back; \
         {count} take-overs after p50 {:.2} ms, p99 {:.2} ms, at most {:.2} ms",
        rank(0.5),
        rank(0.99),
        rank(1.0),
    ));
}
