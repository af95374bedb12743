//! Memory that others may write, reached only through checked offsets.
//!
//! No reference to its bytes is ever made: another process may write them at any moment. There are
//! atomic words for what two parties agree by, copies for what one of them owns for the time being,
//! and *racing* copies, word by word with atomics, for what is read first and found valid after.

#[cfg(rsipc_loom)]
pub use self::model::{Memory, ModelMemory, Region};
#[cfg(not(rsipc_loom))]
pub use self::real::{Memory, Region};

use crate::sync::Ordering;

/// Bytes of a word, the unit of all that is shared.
pub const WORD: usize = 8;

impl<M: Memory> Region<M> {
    /// Copies bytes out that may be written meanwhile: each word is one that was there. The caller
    /// finds out afterwards whether they belong together. `offset` is a multiple of 8.
    pub fn read_racing(&self, offset: usize, out: &mut [u8]) {
        let words = self.words(offset, out.len().div_ceil(WORD));
        for (word, out) in words.iter().zip(out.chunks_mut(WORD)) {
            let value = word.load(Ordering::Relaxed).to_le_bytes();
            match <&mut [u8; WORD]>::try_from(&mut *out) {
                Ok(whole) => *whole = value,
                Err(_) => out.copy_from_slice(&value[..out.len()]),
            }
        }
    }

    /// Copies bytes in that may be read meanwhile, but are written by nobody else.
    #[inline(never)]
    pub fn write_racing(&self, offset: usize, bytes: &[u8]) {
        let (first, mut at, mut rest) = (offset & !(WORD - 1), offset % WORD, bytes);
        let words = self.words(first, (at + bytes.len()).div_ceil(WORD));
        for word in words {
            if at == 0
                && let Some((whole, later)) = rest.split_first_chunk()
            {
                word.store(u64::from_le_bytes(*whole), Ordering::Relaxed);
                rest = later;
                continue;
            }
            let (now, later) = rest.split_at(rest.len().min(WORD - at));
            let mut value = word.load(Ordering::Relaxed).to_le_bytes();
            value[at..at + now.len()].copy_from_slice(now);
            word.store(u64::from_le_bytes(value), Ordering::Relaxed);
            (at, rest) = (0, later);
        }
    }
}

#[cfg(not(rsipc_loom))]
mod real {
    use std::fmt;
    use std::ptr::{self, NonNull};

    use super::WORD;
    use crate::error::OpenError;
    use crate::sync::{AtomicU32, AtomicU64};

    /// A stretch of memory, perhaps shared with other processes.
    ///
    /// # Safety
    ///
    /// While the value lives, also when it is moved, `base` and `size` give the same answers and all
    /// bytes of `base .. base + size` can be read and written from every thread. Whoever else writes
    /// them does it in other processes, or through this crate.
    pub unsafe trait Memory: Send + Sync {
        /// The first byte. 64-byte aligned.
        fn base(&self) -> NonNull<u8>;

        /// How many bytes there are.
        fn size(&self) -> usize;
    }

    /// Checked access to a [`Memory`]. An offset outside of it is a mistake of this crate and
    /// panics: whatever a peer wrote was checked before it became an offset.
    pub struct Region<M> {
        base: NonNull<u8>,
        len: usize,
        _memory: M,
    }

    // SAFETY: `Memory` promises that its bytes may be used from every thread; `base` points at them.
    unsafe impl<M: Memory> Send for Region<M> {}
    // SAFETY: as above; through `&Region` bytes are touched by atomics or as the caller of an
    // `unsafe fn` promised.
    unsafe impl<M: Memory> Sync for Region<M> {}

    /// Apart from the checks, so that what they compare need not lie in memory to be printed.
    #[cold]
    #[inline(never)]
    fn outside(offset: usize, len: usize, size: usize) -> ! {
        panic!("{len} bytes at {offset} of {size} bytes of shared memory")
    }

    impl<M: Memory> Region<M> {
        /// Takes the memory. Fails when its base is not 64-byte aligned.
        pub fn new(memory: M) -> Result<Region<M>, OpenError> {
            let base = memory.base();
            let len = memory.size();
            if !(base.as_ptr() as usize).is_multiple_of(64) {
                return Err(OpenError::Misaligned);
            }
            Ok(Region {
                base,
                len,
                _memory: memory,
            })
        }

        /// Bytes of the memory.
        pub fn size(&self) -> usize {
            self.len
        }

        /// A pointer to `len` bytes at `offset`.
        #[inline(always)]
        pub fn pointer(&self, offset: usize, len: usize) -> NonNull<u8> {
            if len > self.len || offset > self.len - len {
                outside(offset, len, self.len);
            }
            // SAFETY: `offset` is at most the memory's length, so the result is in it or one past.
            unsafe { self.base.add(offset) }
        }

        /// The 64-bit word at `offset`, a multiple of 8.
        #[inline(always)]
        pub fn word(&self, offset: usize) -> &AtomicU64 {
            if !offset.is_multiple_of(WORD) {
                outside(offset, WORD, self.len);
            }
            let pointer = self.pointer(offset, WORD).cast();
            // SAFETY: in the memory, which outlives `self`, and aligned since base and offset are.
            // Copies of the same bytes are not concurrent with accesses as a word: `read`, `write`.
            unsafe { AtomicU64::from_ptr(pointer.as_ptr()) }
        }

        /// `count` 64-bit words from `offset` on, a multiple of 8.
        #[inline(always)]
        #[expect(clippy::disallowed_methods, reason = "of atomics, not of bytes")]
        pub fn words(&self, offset: usize, count: usize) -> &[AtomicU64] {
            if !offset.is_multiple_of(WORD) || count > self.len / WORD {
                outside(offset, count, self.len);
            }
            let pointer = self.pointer(offset, count * WORD).cast::<AtomicU64>();
            // SAFETY: as for `word`; an atomic is as large as the word it holds.
            unsafe { std::slice::from_raw_parts(pointer.as_ptr(), count) }
        }

        /// The 32-bit word at `offset`, a multiple of 4. Bytes used as a half are not used as a
        /// whole word.
        #[inline(always)]
        pub fn half(&self, offset: usize) -> &AtomicU32 {
            assert!(offset.is_multiple_of(4), "no half word at {offset}");
            let pointer = self.pointer(offset, 4).cast();
            // SAFETY: as for `word`.
            unsafe { AtomicU32::from_ptr(pointer.as_ptr()) }
        }

        /// Has the processor fetch the line at `offset`, which is read soon. Does nothing where
        /// there is no stable way to say it.
        #[inline(always)]
        pub(crate) fn prefetch(&self, offset: usize) {
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            {
                use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
                let pointer = self.base.as_ptr().wrapping_add(offset).cast_const().cast();
                // SAFETY: a hint that reads nothing and fails nowhere, whatever the address is.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(pointer) };
            }
            #[cfg(not(all(target_arch = "x86_64", not(miri))))]
            let _ = offset;
        }

        /// Copies bytes out that nobody writes meanwhile, by the object's own rules.
        ///
        /// A process that breaks the rules makes the copy hold anything; it stays a copy.
        #[inline(always)]
        pub fn read(&self, offset: usize, out: &mut [u8]) {
            let from = self.pointer(offset, out.len());
            // SAFETY: `pointer` has checked the source, `out` is a place of ours and apart from it.
            unsafe { ptr::copy_nonoverlapping(from.as_ptr(), out.as_mut_ptr(), out.len()) }
        }

        /// As `read`, behind what `out` holds.
        #[inline]
        pub(crate) fn append(&self, offset: usize, len: usize, out: &mut Vec<u8>) {
            let from = self.pointer(offset, len);
            out.reserve(len);
            let end = out.len();
            // SAFETY: `pointer` has checked the source; `reserve` made `len` bytes behind `end`
            // writable, and they are apart from it.
            unsafe { ptr::copy_nonoverlapping(from.as_ptr(), out.as_mut_ptr().add(end), len) };
            // SAFETY: the copy has initialised them.
            unsafe { out.set_len(end + len) };
        }

        /// Copies bytes in that nobody else uses meanwhile, by the object's own rules.
        #[inline(always)]
        pub fn write(&self, offset: usize, bytes: &[u8]) {
            let to = self.pointer(offset, bytes.len());
            // SAFETY: `pointer` has checked the target, `bytes` is ours and apart from it.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to.as_ptr(), bytes.len()) }
        }
    }

    impl<M> fmt::Debug for Region<M> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Region").field("len", &self.len).finish()
        }
    }
}

/// The same under the model checker, whose atomics are no plain words: every word is an object of
/// its own, and bytes that are copied are cells in which two accesses at once are found.
#[cfg(rsipc_loom)]
mod model {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use loom::cell::UnsafeCell;

    use super::WORD;
    use crate::error::OpenError;
    use crate::sync::{AtomicU32, AtomicU64};

    /// The part of the word that starts at `word` which bytes `at .. at + len` cover.
    fn covered(word: usize, at: usize, len: usize) -> (usize, usize) {
        (at.max(word) - word, (at + len).min(word + WORD) - word)
    }

    /// Memory of the model.
    ///
    /// # Safety
    ///
    /// None is asked: the signature is that of the real one.
    pub unsafe trait Memory: Send + Sync {
        /// The words.
        fn model(&self) -> &ModelMemory;
    }

    /// Memory that several threads of a model share. Cloning shares it.
    #[derive(Clone)]
    pub struct ModelMemory {
        shared: Arc<Shared>,
    }

    struct Shared {
        words: Vec<AtomicU64>,
        cells: Vec<UnsafeCell<[u8; WORD]>>,
        halves: BTreeMap<usize, AtomicU32>,
        /// Offset of the first byte that has a cell.
        copied: usize,
    }

    // SAFETY: the cells are loom's, which fails the model when two threads use one at once.
    unsafe impl Send for Shared {}
    // SAFETY: as above.
    unsafe impl Sync for Shared {}

    impl ModelMemory {
        /// Memory of `len` zero bytes. Half words are at `halves` and nowhere else; bytes from
        /// `copied` on can be copied, not only used as words.
        pub fn new(len: usize, halves: &[usize], copied: usize) -> ModelMemory {
            let words = (0..len / WORD).map(|_| AtomicU64::new(0)).collect();
            let cells = (copied / WORD..len / WORD)
                .map(|_| UnsafeCell::new([0; WORD]))
                .collect();
            let halves = halves.iter().map(|&at| (at, AtomicU32::new(0))).collect();
            ModelMemory {
                shared: Arc::new(Shared {
                    words,
                    cells,
                    halves,
                    copied,
                }),
            }
        }
    }

    // SAFETY: nothing is asked.
    unsafe impl Memory for ModelMemory {
        fn model(&self) -> &ModelMemory {
            self
        }
    }

    /// Checked access to a [`Memory`].
    pub struct Region<M> {
        memory: ModelMemory,
        _memory: M,
    }

    impl<M: Memory> Region<M> {
        /// Takes the memory.
        pub fn new(memory: M) -> Result<Region<M>, OpenError> {
            Ok(Region {
                memory: memory.model().clone(),
                _memory: memory,
            })
        }

        /// Bytes of the memory.
        pub fn size(&self) -> usize {
            self.memory.shared.words.len() * WORD
        }

        /// The 64-bit word at `offset`.
        pub fn word(&self, offset: usize) -> &AtomicU64 {
            assert!(offset.is_multiple_of(WORD), "no word at {offset}");
            &self.memory.shared.words[offset / WORD]
        }

        /// `count` 64-bit words from `offset` on.
        pub fn words(&self, offset: usize, count: usize) -> &[AtomicU64] {
            assert!(offset.is_multiple_of(WORD), "no word at {offset}");
            &self.memory.shared.words[offset / WORD..offset / WORD + count]
        }

        /// The 32-bit word at `offset`.
        pub fn half(&self, offset: usize) -> &AtomicU32 {
            &self.memory.shared.halves[&offset]
        }

        /// Nothing, in a model.
        pub(crate) fn prefetch(&self, _offset: usize) {}

        /// Copies bytes out that nobody writes meanwhile.
        pub fn read(&self, offset: usize, out: &mut [u8]) {
            let shared = &*self.memory.shared;
            let len = out.len();
            let mut done = 0;
            while done < len {
                let at = offset + done;
                let word = at & !(WORD - 1);
                let (from, to) = covered(word, at, len - done);
                let value = shared.cells[(word - shared.copied) / WORD].with(|cell| {
                    // SAFETY: loom has checked that nobody writes the cell now.
                    unsafe { *cell }
                });
                out[done..done + to - from].copy_from_slice(&value[from..to]);
                done += to - from;
            }
        }

        /// As `read`, behind what `out` holds.
        pub(crate) fn append(&self, offset: usize, len: usize, out: &mut Vec<u8>) {
            let end = out.len();
            out.resize(end + len, 0);
            self.read(offset, &mut out[end..]);
        }

        /// Copies bytes in that nobody else uses meanwhile.
        pub fn write(&self, offset: usize, bytes: &[u8]) {
            let shared = &*self.memory.shared;
            let len = bytes.len();
            let mut done = 0;
            while done < len {
                let at = offset + done;
                let word = at & !(WORD - 1);
                let (from, to) = covered(word, at, len - done);
                shared.cells[(word - shared.copied) / WORD].with_mut(|cell| {
                    // SAFETY: loom has checked that nobody else uses the cell now.
                    let value = unsafe { &mut *cell };
                    value[from..to].copy_from_slice(&bytes[done..done + to - from]);
                });
                done += to - from;
            }
        }
    }

    impl<M> std::fmt::Debug for Region<M> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Region")
        }
    }
}
