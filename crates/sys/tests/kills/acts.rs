//! What the processes of a kill test do, over and over, each turn with its checks: a promise that does
//! not hold is written into the ledger.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use rsipc_ring::layout::{Kind, crc32c};
use rsipc_ring::lock::{Barrier, Event, LockError, Mutex, Reset, RwLock, Semaphore};
use rsipc_ring::map::{Shape, SharedMap, When};
use rsipc_ring::table::NO_ENVIRONMENT;
use rsipc_ring::{Cell, Consumer, Flavor, Patience, Policy, Producer, Ring, WriteError};
use rsipc_sys::dir::Dir;
use rsipc_sys::identity;
use rsipc_sys::os::Os;
use rsipc_sys::shm::{File, Mapping, Unnamed};

use super::ledger::{LIVES, Ledger, One, PLACES, PerLife, Placed, now};

type Sys = Arc<Os>;

/// What is shared, and with it what is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Act {
    Spsc,
    Mpsc,
    Broadcast,
    /// A broadcast ring in which old records are written over.
    Drop,
    Cell,
    Mutex,
    RwLock,
    Semaphore,
    Event,
    Barrier,
    Map,
    /// A new object in memory that nobody has used.
    Create,
}

impl Act {
    pub(crate) const ALL: [Act; 12] = [
        Act::Spsc,
        Act::Mpsc,
        Act::Broadcast,
        Act::Drop,
        Act::Cell,
        Act::Mutex,
        Act::RwLock,
        Act::Semaphore,
        Act::Event,
        Act::Barrier,
        Act::Map,
        Act::Create,
    ];

    pub(crate) fn name(self) -> String {
        format!("{self:?}")
    }

    pub(crate) fn named(name: &str) -> Act {
        let found = Act::ALL.into_iter().find(|act| act.name() == name);
        found.expect("an act")
    }
}

const LIMIT: u64 = 3;
const RING: usize = 4096;
const CELL: usize = 500;
const LONG: Patience = Patience {
    spin: Duration::ZERO,
    timeout: Some(Duration::from_secs(20)),
};
const SHORT: Patience = Patience {
    spin: Duration::ZERO,
    timeout: Some(Duration::from_millis(2)),
};

fn shape() -> Shape {
    Shape::with_shards(16 << 10, 64, 2)
}

/// What a process of a test knows.
pub(crate) struct Stage {
    path: PathBuf,
    dir: Dir,
    os: Sys,
    pub(crate) ledger: Ledger,
    pub(crate) place: usize,
    pub(crate) life: u64,
    written: u64,
    turn: u64,
}

/// Whole bytes of any length that depends on the number: life, number, filling, checksum.
fn seal(life: u64, number: u64) -> Vec<u8> {
    let mut bytes = [life.to_le_bytes(), number.to_le_bytes()].concat();
    let filling = (number.wrapping_mul(7).wrapping_add(life) % 120) as u8;
    bytes.extend((0..filling).map(|at| at.wrapping_mul(31).wrapping_add(number as u8)));
    bytes.extend_from_slice(&crc32c(&bytes).to_le_bytes());
    bytes
}

fn unseal(bytes: &[u8]) -> Option<(u64, u64)> {
    let word = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let (life, number) = (word(0)?, word(8)?);
    (bytes == seal(life, number)).then_some((life, number))
}

fn fine<T, E: Debug>(what: &str, result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{what}: {error:?}"))
}

impl Stage {
    /// Makes the ledger and every object but [`Act::Create`]'s.
    pub(crate) fn build(path: &Path) -> Stage {
        let dir = fine("the directory", Dir::reach(path));
        let os = Arc::new(fine("the system", Os::new(&dir)));
        publish(&dir, "Ledger", Ledger::SIZE as usize);
        let made = |act: Act, size: usize| publish(&dir, &act.name(), size);
        let s = || Arc::clone(&os);
        let ring = Ring::<Mapping, Sys>::size(RING);
        for (act, flavor) in [
            (Act::Spsc, Flavor::Spsc),
            (Act::Mpsc, Flavor::Mpsc),
            (Act::Broadcast, Flavor::Broadcast(Policy::Wait)),
            (Act::Drop, Flavor::Broadcast(Policy::DropOldest)),
        ] {
            fine("a ring", Ring::create(made(act, ring), s(), flavor, RING));
        }
        let size = Cell::<Mapping, Sys>::size(CELL);
        fine("a cell", Cell::create(made(Act::Cell, size), s(), CELL));
        let map = made(Act::Map, shape().size());
        fine("a map", SharedMap::create(map, s(), shape(), 7));
        let none = NO_ENVIRONMENT;
        let lock = made(Act::Mutex, Mutex::<Mapping, Sys>::SIZE);
        fine("a mutex", Mutex::create(lock, s(), none));
        let lock = made(Act::RwLock, RwLock::<Mapping, Sys>::SIZE);
        fine("a lock", RwLock::create(lock, s(), none));
        let lock = made(Act::Semaphore, Semaphore::<Mapping, Sys>::SIZE);
        fine("a semaphore", Semaphore::create(lock, s(), none, LIMIT));
        let lock = made(Act::Event, Event::<Mapping, Sys>::SIZE);
        fine(
            "an event",
            Event::create(lock, s(), none, Reset::Auto, false),
        );
        let lock = made(Act::Barrier, Barrier::<Mapping, Sys>::SIZE);
        fine("a barrier", Barrier::create(lock, s(), none, 2));
        Stage::enter(path, PLACES - 1, 0)
    }

    /// The stage as another process has made it.
    pub(crate) fn enter(path: &Path, place: usize, life: u64) -> Stage {
        let dir = fine("the directory", Dir::reach(path));
        Stage {
            os: Arc::new(fine("the system", Os::new(&dir))),
            ledger: Ledger::new(open(&dir, "Ledger")),
            path: path.to_owned(),
            dir,
            place,
            life,
            written: 0,
            turn: 0,
        }
    }

    fn memory(&self, act: Act) -> Mapping {
        open(&self.dir, &act.name())
    }

    fn os(&self) -> Sys {
        Arc::clone(&self.os)
    }

    /// Whether everybody shall leave, because the test says so or is gone.
    pub(crate) fn is_over(&self, parent: i32) -> bool {
        self.ledger.get(One::Stop) != 0 || nix::unistd::getppid().as_raw() != parent
    }

    /// Attaches, does everything once or a few times, checks, and leaves.
    pub(crate) fn act(&mut self, act: Act) {
        match act {
            Act::Spsc => self.ring(act, Kind::Spsc),
            Act::Mpsc => self.ring(act, Kind::Mpsc),
            Act::Broadcast | Act::Drop => self.ring(act, Kind::Broadcast),
            Act::Cell => self.cell(),
            Act::Mutex => self.mutex(),
            Act::RwLock => self.rwlock(),
            Act::Semaphore => self.semaphore(),
            Act::Event => self.event(),
            Act::Barrier => self.barrier(),
            Act::Map => self.map(),
            Act::Create => self.create(),
        }
        self.turn += 1;
        let turns = self.ledger.placed(Placed::Turns, self.place);
        turns.fetch_add(1, SeqCst);
    }

    fn check(&self, holds: bool, what: &str) {
        if !holds {
            self.ledger.broken(what);
        }
    }

    fn ring(&mut self, act: Act, kind: Kind) {
        let ring = fine("the ring", Ring::attach(self.memory(act), self.os(), kind));
        ring.object().sweep();
        // In turns, so that a ring never has all its processes at one end.
        for step in 0..2 {
            if (self.turn + self.life + step).is_multiple_of(2) {
                if let Ok(mut producer) = ring.producer(NO_ENVIRONMENT) {
                    self.produce(&mut producer);
                }
            } else if let Ok(mut consumer) = ring.consumer(NO_ENVIRONMENT) {
                self.consume(act, &mut consumer);
            }
        }
    }

    fn produce(&mut self, producer: &mut Producer<Mapping, Sys>) {
        let done = |stage: &mut Stage, count: u64| {
            stage.written += count;
            let committed = stage.ledger.life(PerLife::Committed, stage.life);
            committed.store(stage.written, SeqCst);
        };
        for _ in 0..10 {
            match producer.write(&seal(self.life, self.written), SHORT) {
                Ok(()) => done(self, 1),
                Err(WriteError::Full) => return,
                Err(error) => return self.ledger.broken(&format!("write: {error}")),
            }
            // One that is given up leaves nothing.
            drop(producer.reserve(16));
        }
        let batch: Vec<_> = (0..4)
            .map(|at| seal(self.life, self.written + at))
            .collect();
        match producer.try_write_batch(batch.iter().map(Vec::as_slice)) {
            Ok(count) => done(self, count as u64),
            Err(error) => self.ledger.broken(&format!("batch: {error}")),
        }
    }

    fn consume(&mut self, act: Act, consumer: &mut Consumer<Mapping, Sys>) {
        let mut bytes = Vec::new();
        let mut next: HashMap<u64, u64> = HashMap::new();
        for _ in 0..20 {
            match consumer.wait(SHORT) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => return self.ledger.broken(&format!("wait: {error}")),
            }
            let record = match consumer.peek() {
                Ok(Some(record)) => record,
                Ok(None) => continue,
                Err(error) => return self.ledger.broken(&format!("peek: {error}")),
            };
            record.read_into(&mut bytes);
            let Some((life, number)) = unseal(&bytes).filter(|found| found.0 < LIVES as u64) else {
                return self
                    .ledger
                    .broken(&format!("{act:?}: a torn record: {bytes:?}"));
            };
            if matches!(act, Act::Broadcast | Act::Drop) {
                // Everybody sees everything from where it came in.
                let expected = next.insert(life, number + 1).unwrap_or(number);
                let text = format!("{act:?}: {number} of {life}, expected {expected}");
                let whole = number == expected || act == Act::Drop && number > expected;
                self.check(whole, &text);
            } else {
                // One consumer at a time; a dead one's unreleased records are read again.
                let seen = self.ledger.life(PerLife::Seen, life);
                let expected = seen.load(SeqCst);
                let text = format!("{act:?}: {number} of {life}, expected {expected}");
                self.check(number <= expected, &text);
                seen.fetch_max(number + 1, SeqCst);
            }
            record.release();
        }
    }

    /// Reads the broadcast ring from its beginning until everybody has left.
    pub(crate) fn listen(&self) {
        let (memory, kind) = (self.memory(Act::Broadcast), Kind::Broadcast);
        let ring = fine("it", Ring::attach(memory, self.os(), kind));
        let mut consumer = fine("the end", ring.consumer(NO_ENVIRONMENT));
        self.ledger.one(One::Listening).store(1, SeqCst);
        let mut bytes = Vec::new();
        loop {
            let over = self.ledger.get(One::Listening) == 2;
            if !fine("wait", consumer.wait(SHORT)) {
                if over {
                    return;
                }
                continue;
            }
            while fine("read", consumer.read_into(&mut bytes)) {
                let Some((life, number)) = unseal(&bytes) else {
                    self.ledger.broken("Broadcast: a torn record");
                    continue;
                };
                let expected = self
                    .ledger
                    .life(PerLife::Seen, life)
                    .swap(number + 1, SeqCst);
                let text = format!("Broadcast: {number} of {life}, expected {expected}");
                self.check(number == expected, &text);
            }
        }
    }

    fn cell(&mut self) {
        let cell = fine("the cell", Cell::attach(self.memory(Act::Cell), self.os()));
        let version = self.ledger.one(One::CellVersion);
        let party = cell.party(NO_ENVIRONMENT).ok();
        let mut bytes = Vec::new();
        for _ in 0..10 {
            let before = version.load(SeqCst);
            let found = fine("a value", cell.get(&mut bytes));
            self.check(found >= before, "Cell: an old value");
            self.check(found == 0 || unseal(&bytes).is_some(), "Cell: a torn value");
            let made = fine("a value", cell.set(&seal(self.life, self.turn)));
            self.check(made > before, "Cell: a version twice");
            version.fetch_max(made, SeqCst);
        }
        if let Some(party) = party {
            cell.wait(&party, cell.version(), SHORT);
        }
        cell.object().sweep();
    }

    fn mutex(&mut self) {
        let memory = self.memory(Act::Mutex);
        let mut mutex = fine("it", Mutex::attach(memory, self.os(), NO_ENVIRONMENT));
        mutex.object().sweep();
        for round in 0..6_u64 {
            let held = if (round + self.turn).is_multiple_of(3) {
                let held = fine("poll", mutex.poll());
                if held.is_none() {
                    std::thread::yield_now();
                    mutex.cancel();
                }
                held
            } else {
                let held = fine("lock", mutex.lock(LONG));
                self.check(held.is_some(), "Mutex: nobody took over in 20 s");
                held
            };
            let Some(held) = held else { continue };
            let inside = self.ledger.one(One::Inside);
            let before = inside.swap(self.life, SeqCst);
            if before != 0 {
                self.check(held.recovered, "Mutex: two owners, or not told of a death");
                let killed = self.ledger.life(PerLife::Killed, before).load(SeqCst);
                self.check(killed != 0, "Mutex: taken from a living owner");
                if held.recovered && killed != 0 {
                    let number = self.ledger.one(One::TakeOvers).fetch_add(1, SeqCst);
                    let took = now().saturating_sub(killed).max(1);
                    let entry = number % LIVES as u64;
                    self.ledger
                        .life(PerLife::TakeOver, entry)
                        .store(took, SeqCst);
                }
            }
            let fence = self.ledger.one(One::Fence);
            let last = fence.swap(held.fence, SeqCst);
            self.check(held.fence > last, "Mutex: a fencing number twice");
            if round == 1 {
                // Long enough for others to wait, and for a death to come meanwhile.
                std::thread::sleep(Duration::from_micros(100));
            }
            let mine = inside
                .compare_exchange(self.life, 0, SeqCst, SeqCst)
                .is_ok();
            self.check(mine, "Mutex: two owners");
            fine("unlock", mutex.unlock(held.fence));
        }
    }

    fn rwlock(&mut self) {
        let memory = self.memory(Act::RwLock);
        let mut lock = fine("it", RwLock::attach(memory, self.os(), NO_ENVIRONMENT));
        lock.object().sweep();
        let pair = || {
            let left = self.ledger.get(One::Left);
            std::thread::yield_now();
            (left, self.ledger.get(One::Right))
        };
        for round in 0..6_u64 {
            if (round + self.life).is_multiple_of(2) {
                let reading = fine("read", lock.read(LONG));
                let Some(reading) = reading else {
                    self.ledger.broken("RwLock: no reading in 20 s");
                    continue;
                };
                let (left, right) = pair();
                let whole = left == right || reading.recovered;
                self.check(whole, "RwLock: read what is half written");
                // Half written it may be; nobody may go on writing.
                self.check(pair() == (left, right), "RwLock: written while it is read");
                fine("unlock", lock.unlock_read());
            } else {
                let held = if round == 1 {
                    fine("poll", lock.poll_write())
                } else {
                    fine("write", lock.write(LONG))
                };
                let Some(held) = held else {
                    lock.cancel();
                    continue;
                };
                let (left, right) = pair();
                let whole = left == right || held.recovered;
                self.check(whole, "RwLock: two writers, or not told of a death");
                let next = left.max(right) + 1;
                self.ledger.one(One::Left).store(next, SeqCst);
                std::thread::yield_now();
                self.ledger.one(One::Right).store(next, SeqCst);
                fine("unlock", lock.unlock_write(held.fence));
            }
        }
    }

    fn semaphore(&mut self) {
        let memory = self.memory(Act::Semaphore);
        let mut it = fine("it", Semaphore::attach(memory, self.os(), NO_ENVIRONMENT));
        it.object().sweep();
        let mine = self.ledger.placed(Placed::Holding, self.place);
        for round in 0..6_u64 {
            let permits = 1 + (round + self.life) % LIMIT;
            let got = if round.is_multiple_of(3) {
                let got = fine("poll", it.poll(permits));
                if !got {
                    it.cancel();
                    continue;
                }
                got
            } else {
                fine("acquire", it.acquire(permits, LONG))
            };
            self.check(got, "Semaphore: no permit in 20 s");
            if !got {
                continue;
            }
            let count = self.ledger.placed(Placed::Permits, self.place);
            count.store(permits, SeqCst);
            mine.store(self.os_identity(), SeqCst);
            let many = || self.permits_of_the_living() > LIMIT;
            // Whoever died between two looks is seen with who got what it had.
            let more = many() && many() && many();
            self.check(!more, "Semaphore: more permits than there are");
            std::thread::yield_now();
            mine.store(0, SeqCst);
            fine("release", it.release(permits));
        }
    }

    fn os_identity(&self) -> u64 {
        fine("an identity", identity::own())
    }

    fn permits_of_the_living(&self) -> u64 {
        let permits = |place| {
            let holder = self.ledger.placed(Placed::Holding, place).load(SeqCst);
            if !identity::alive(holder) {
                return 0;
            }
            let permits = self.ledger.placed(Placed::Permits, place).load(SeqCst);
            let again = self.ledger.placed(Placed::Holding, place).load(SeqCst);
            if again == holder { permits } else { 0 }
        };
        (0..PLACES).map(permits).sum()
    }

    fn event(&mut self) {
        let memory = self.memory(Act::Event);
        let mut event = fine("it", Event::attach(memory, self.os(), NO_ENVIRONMENT));
        event.object().sweep();
        for _ in 0..3 {
            fine("wait", event.wait(SHORT));
            fine("set", event.set());
            if !fine("poll", event.poll()) {
                event.cancel();
            }
            fine("set", event.set());
        }
    }

    fn barrier(&mut self) {
        let memory = self.memory(Act::Barrier);
        let mut barrier = fine("it", Barrier::attach(memory, self.os(), NO_ENVIRONMENT));
        barrier.object().sweep();
        for _ in 0..6 {
            match barrier.wait(SHORT) {
                Ok(_) => {}
                Err(LockError::Broken) => {
                    let _ = barrier.reset();
                }
                Err(error) => self.ledger.broken(&format!("Barrier: {error}")),
            }
        }
    }

    fn map(&mut self) {
        let map = fine("it", SharedMap::attach(self.memory(Act::Map), self.os()));
        let party = map.party(NO_ENVIRONMENT).ok();
        map.object().sweep();
        self.look_at_key(&map, self.place);
        let number = self.ledger.placed(Placed::Key, self.place);
        let (own, gone) = (key(b'k', self.place), key(b'd', self.place));
        let mut value = Vec::new();
        let always = When::Always;
        for round in 0..4 {
            let next = number.load(SeqCst) + 1;
            fine("set", map.set(&own, &seal(0, next), None, always));
            number.store(next, SeqCst);
            let found = fine("get", map.get(&own, &mut value)).is_some();
            let mine = found && unseal(&value) == Some((0, next));
            self.check(mine, "Map: a value that was set is not there");
            fine("add", map.add(b"count", 1, None));
            self.ledger.one(One::Added).fetch_add(1, SeqCst);
            let ttl = (round == 0).then_some(Duration::from_millis(1));
            fine("set", map.set(&gone, &seal(1, next), ttl, always));
            fine("delete", map.delete(&gone, always));
            let found = fine("get", map.get(&gone, &mut value)).is_some();
            self.check(!found, "Map: a value that was deleted is there");
            for shared in [b"a", b"b"] {
                fine("set", map.set(shared, &seal(2, self.turn), None, always));
                if fine("get", map.get(shared, &mut value)).is_some() {
                    self.check(unseal(&value).is_some(), "Map: a torn value");
                }
            }
        }
        fine("set", map.set(&gone, b"", Some(Duration::ZERO), always));
        fine("purge", map.purge());
        drop(party);
    }

    /// The key of a place has the number that is written down, or the next.
    fn look_at_key(&self, map: &SharedMap<Mapping, Sys>, place: usize) {
        let number = self.ledger.placed(Placed::Key, place);
        let expected = number.load(SeqCst);
        let mut value = Vec::new();
        let found = fine("get", map.get(&key(b'k', place), &mut value)).is_some();
        let found = if found { unseal(&value) } else { Some((0, 0)) };
        match found {
            Some((0, found)) if found == expected || found == expected + 1 => {
                number.store(found, SeqCst);
            }
            other => {
                let text = format!("Map: {other:?} under a key, {expected} was set");
                self.ledger.broken(&text);
            }
        }
    }

    fn create(&mut self) {
        let name = format!("New{}", self.life);
        let memory = publish(&self.dir, &name, Mutex::<Mapping, Sys>::SIZE);
        fine("a mutex", Mutex::create(memory, self.os(), NO_ENVIRONMENT));
        let _ = std::fs::remove_file(self.path.join(name));
    }

    /// What must hold when everybody but the caller is gone.
    pub(crate) fn conclude(&mut self, act: Act, deaths: u64) {
        let none = NO_ENVIRONMENT;
        match act {
            Act::Spsc | Act::Mpsc | Act::Broadcast | Act::Drop => {
                let kinds = [Kind::Spsc, Kind::Mpsc, Kind::Broadcast, Kind::Broadcast];
                let kind = kinds[act as usize];
                let ring = fine("it", Ring::attach(self.memory(act), self.os(), kind));
                ring.object().sweep();
                let mut consumer = fine("the end", ring.consumer(none));
                while fine("wait", consumer.wait(SHORT)) {
                    self.consume(act, &mut consumer);
                }
                self.written = 0;
                let mut producer = fine("the other end", ring.producer(none));
                fine("write", producer.write(&seal(0, 0), LONG));
                drop((consumer, producer));
                self.swept(ring.object().occupants().count(), act);
            }
            Act::Cell => {
                let cell = fine("it", Cell::attach(self.memory(act), self.os()));
                self.cell();
                self.swept(cell.object().occupants().count(), act);
            }
            Act::Mutex => {
                let mut it = fine("it", Mutex::attach(self.memory(act), self.os(), none));
                let held = fine("lock", it.lock(LONG)).expect("a free lock");
                fine("unlock", it.unlock(held.fence));
                self.swept(it.object().occupants().count() - 1, act);
            }
            Act::RwLock => {
                let mut it = fine("it", RwLock::attach(self.memory(act), self.os(), none));
                let held = fine("write", it.write(LONG)).expect("a free lock");
                fine("unlock", it.unlock_write(held.fence));
                self.swept(it.object().occupants().count() - 1, act);
            }
            Act::Semaphore => {
                let it = Semaphore::attach(self.memory(act), self.os(), none);
                let mut it = fine("it", it);
                self.check(it.available() == LIMIT, "Semaphore: permits are lost");
                self.check(it.acquire(LIMIT, LONG) == Ok(true), "Semaphore: not all");
                self.swept(it.object().occupants().count() - 1, act);
            }
            Act::Event => {
                let mut it = fine("it", Event::attach(self.memory(act), self.os(), none));
                fine("set", it.set());
                self.check(it.wait(LONG) == Ok(true), "Event: set and nobody passes");
                self.swept(it.object().occupants().count() - 1, act);
            }
            Act::Barrier => {
                let mut it = fine("it", Barrier::attach(self.memory(act), self.os(), none));
                let mut other = fine("another", it.another(none));
                fine("reset", it.reset());
                self.check(it.poll() == Ok(None), "Barrier: one passes alone");
                let passed = other.wait(LONG).is_ok_and(|passed| passed.is_some());
                self.check(passed, "Barrier: two do not pass");
                self.check(it.poll().is_ok_and(|it| it.is_some()), "Barrier: one stays");
                self.swept(it.object().occupants().count() - 2, act);
            }
            Act::Map => {
                let map = fine("it", SharedMap::attach(self.memory(act), self.os()));
                // Readers first, before anybody repairs.
                for place in 0..PLACES {
                    self.look_at_key(&map, place);
                }
                let (mut entries, mut step) = (Vec::new(), Some(0));
                while let Some(at) = step {
                    step = fine("scan", map.scan(at, &mut entries));
                }
                let keys: HashMap<_, _> = entries.iter().map(|it| (&it.key, &it.value)).collect();
                self.check(keys.len() == entries.len(), "Map: a key twice");
                let added = self.ledger.get(One::Added) as i64;
                let count = fine("add", map.add(b"count", 0, None));
                let right = (added..=added + deaths as i64).contains(&count);
                self.check(right, &format!("Map: counted {added}, found {count}"));
                // All memory is there again.
                for entry in entries {
                    let gone = map.delete(&entry.key, When::Always);
                    self.check(gone.is_ok(), "Map: an entry stays");
                }
                fine("purge", map.purge());
                self.check(map.is_empty(), "Map: entries that are not there");
                map.object().sweep();
                self.swept(map.object().occupants().count(), act);
            }
            Act::Create => {}
        }
    }

    /// All that was committed was read, once the rings are empty.
    pub(crate) fn look_at_records(&self) {
        for life in 1..=self.ledger.get(One::Lives) {
            let committed = self.ledger.life(PerLife::Committed, life).load(SeqCst);
            let seen = self.ledger.life(PerLife::Seen, life).load(SeqCst);
            let text = format!("Rings: {seen} of {committed} records of {life}");
            self.check(seen >= committed, &text);
        }
    }

    fn swept(&self, left: usize, act: Act) {
        self.check(left == 0, &format!("{act:?}: {left} slots of the dead"));
    }

    /// An object whose creator died is said to be unfinished.
    pub(crate) fn look_at_unfinished(&self, life: u64) {
        let name = format!("New{life}");
        let memory = open(&self.dir, &name);
        let found = Mutex::attach(memory, self.os(), NO_ENVIRONMENT).err();
        let right = format!("{found:?}").contains("NotReady");
        self.check(right, &format!("Create: unfinished, and {found:?}"));
        let _ = std::fs::remove_file(self.path.join(name));
    }
}

fn key(letter: u8, place: usize) -> Vec<u8> {
    vec![letter, place as u8]
}

fn publish(dir: &Dir, name: &str, size: usize) -> Mapping {
    let unnamed = fine("memory", Unnamed::new(dir, size as u64));
    let published = fine("a name", unnamed.publish(dir, OsStr::new(name)));
    published.expect("the name is free")
}

fn open(dir: &Dir, name: &str) -> Mapping {
    let file = fine("a file", File::open(dir, OsStr::new(name)));
    fine("memory", file.map())
}
