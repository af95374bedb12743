//! What the tests give the algorithms: memory of their own, and a system whose processes die when
//! they are told to.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::HashSet;
use std::ptr::NonNull;
use std::sync::{Arc, Condvar, LazyLock, Mutex};
use std::time::{Duration, Instant};

use rsipc_ring::sync::{AtomicU32, Ordering};
use rsipc_ring::{Flavor, Memory, Policy, System};

/// All flavors there are.
pub const FLAVORS: [Flavor; 5] = [
    Flavor::Spsc,
    Flavor::Mpsc,
    Flavor::Broadcast(Policy::Wait),
    Flavor::Broadcast(Policy::DropOldest),
    Flavor::Broadcast(Policy::Disconnect),
];

/// Marsaglia's xorshift: the same numbers in every run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// Zeroed memory that clones share, as mappings of one object do.
#[derive(Clone)]
pub struct Heap {
    shared: Arc<Block>,
}

struct Block {
    base: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the block is plain memory, freed once by the last owner.
unsafe impl Send for Block {}
// SAFETY: as above; who writes what is for the algorithms to order.
unsafe impl Sync for Block {}

impl Heap {
    pub fn new(size: usize) -> Heap {
        let layout = Layout::from_size_align(size, 64).expect("a layout");
        // SAFETY: the layout is not empty.
        let base = unsafe { alloc_zeroed(layout) };
        Heap {
            shared: Arc::new(Block {
                base: NonNull::new(base).expect("memory"),
                layout,
            }),
        }
    }

    /// Writes as a peer that keeps no rules would, in a moment when nobody else does anything.
    pub fn poke(&self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.shared.layout.size());
        // SAFETY: inside of the block.
        let to = unsafe { self.shared.base.add(offset) };
        // SAFETY: inside of the block, and no other thread is at work.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to.as_ptr(), bytes.len()) };
    }

    pub fn poke_word(&self, offset: usize, word: u64) {
        self.poke(offset, &word.to_le_bytes());
    }

    /// Reads in such a moment.
    pub fn look(&self, offset: usize, len: usize) -> Vec<u8> {
        assert!(offset + len <= self.shared.layout.size());
        let mut bytes = vec![0; len];
        // SAFETY: inside of the block.
        let from = unsafe { self.shared.base.add(offset) };
        // SAFETY: inside of the block, and no other thread is at work.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), bytes.as_mut_ptr(), len) };
        bytes
    }

    pub fn look_word(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.look(offset, 8).try_into().expect("8 bytes"))
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.base.as_ptr(), self.layout) }
    }
}

// SAFETY: the block lives as long as any clone and does not move.
unsafe impl Memory for Heap {
    fn base(&self) -> NonNull<u8> {
        self.shared.base
    }

    fn size(&self) -> usize {
        self.shared.layout.size()
    }
}

/// Where processes live and die.
#[derive(Default)]
pub struct World {
    dead: Mutex<HashSet<u64>>,
    sleepers: Mutex<()>,
    woken: Condvar,
    rung: Mutex<Vec<(u64, u32)>>,
    skipped: Mutex<u64>,
}

static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

impl World {
    pub fn new() -> Arc<World> {
        Arc::default()
    }

    /// A process of this world. The same number is the same process.
    pub fn process(self: &Arc<World>, number: u64) -> Process {
        Process {
            world: Arc::clone(self),
            identity: number << 42 | 7,
            container: 1,
        }
    }

    /// The bells rung since the last call: identity and environment of each.
    pub fn rung(&self) -> Vec<(u64, u32)> {
        std::mem::take(&mut self.rung.lock().expect("a lock"))
    }

    /// Lets so many milliseconds pass at once, for who asks the system for the time.
    pub fn skip(&self, milliseconds: u64) {
        *self.skipped.lock().expect("a lock") += milliseconds;
    }
}

/// The system as one process sees it.
#[derive(Clone)]
pub struct Process {
    world: Arc<World>,
    identity: u64,
    container: u64,
}

impl Process {
    /// The same process, if it were in another container.
    pub fn elsewhere(&self) -> Process {
        Process {
            container: self.container + 1,
            ..self.clone()
        }
    }

    /// The process does nothing any more: its values must be forgotten, not dropped.
    pub fn kill(&self) {
        self.world
            .dead
            .lock()
            .expect("a lock")
            .insert(self.identity);
    }
}

impl System for Process {
    fn identity(&self) -> u64 {
        self.identity
    }

    fn world(&self) -> u64 {
        self.container
    }

    fn alive(&self, identity: u64) -> bool {
        !self.world.dead.lock().expect("a lock").contains(&identity)
    }

    fn wait(&self, word: &AtomicU32, expected: u32, timeout: Option<Duration>) {
        let guard = self.world.sleepers.lock().expect("a lock");
        if word.load(Ordering::SeqCst) == expected {
            let timeout = timeout.unwrap_or(Duration::from_secs(3600));
            let _ = self.world.woken.wait_timeout(guard, timeout);
        }
    }

    fn wake(&self, _word: &AtomicU32, _count: u32) {
        drop(self.world.sleepers.lock().expect("a lock"));
        self.world.woken.notify_all();
    }

    fn ring(&self, identity: u64, environment: u32) {
        self.world
            .rung
            .lock()
            .expect("a lock")
            .push((identity, environment));
    }

    fn now_ms(&self) -> u64 {
        BEGIN.elapsed().as_millis() as u64 + *self.world.skipped.lock().expect("a lock")
    }
}
