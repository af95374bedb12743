//! How a map is laid out: so many shards, each with its head, its chains, its bits and its units.

use crate::layout::BODY;

/// Bytes of a unit, of which entries take whole numbers.
pub(super) const UNIT: usize = 64;

/// Bytes of the head of a shard: a line for writers, one for readers.
pub(super) const HEAD: usize = 128;

const MAX_SHARDS: usize = 1 << 10;
const MAX_BUCKETS: usize = 1 << 24;
const MAX_UNITS: usize = 1 << 25;

/// How many shards and chains a map has, and how large they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    shards: usize,
    buckets: usize,
    units: usize,
}

impl Shape {
    /// The shape for about so many entries that take about so many bytes together. An entry takes
    /// the bytes of its key and its value, each rounded up to 8, and 40, all rounded up to 64.
    ///
    /// A shard has an equal part of the bytes, and an entry has to fit into one shard: there are
    /// more of them the more bytes there are, at most 64.
    pub fn new(bytes: usize, entries: usize) -> Shape {
        let shards = (bytes >> 16).clamp(1, 64).next_power_of_two();
        Shape::with_shards(bytes, entries, shards)
    }

    /// The same with so many shards: a power of two, at most 1,024. Fewer take larger entries, more
    /// let more processes write at once.
    pub fn with_shards(bytes: usize, entries: usize, shards: usize) -> Shape {
        let shards = shards.clamp(1, MAX_SHARDS).next_power_of_two();
        Shape {
            shards,
            buckets: entries
                .div_ceil(shards)
                .clamp(1, MAX_BUCKETS)
                .next_power_of_two(),
            units: bytes.div_ceil(shards).div_ceil(UNIT).clamp(1, MAX_UNITS),
        }
    }

    /// How many shards there are.
    pub fn shards(self) -> usize {
        self.shards
    }

    /// Bytes of a shard for entries: the largest an entry can be.
    pub fn shard_bytes(self) -> usize {
        self.units * UNIT
    }

    /// Bytes of memory a map of this shape needs.
    pub fn size(self) -> usize {
        BODY + self.body()
    }

    pub(super) fn body(self) -> usize {
        self.shards * self.stride()
    }

    /// Two words of the header.
    pub(super) fn encode(self) -> [u64; 2] {
        [
            (self.buckets as u64) << 32 | self.shards as u64,
            self.units as u64,
        ]
    }

    /// The shape of a header, if it is one.
    pub(super) fn decode([counts, units]: [u64; 2]) -> Option<Shape> {
        let shape = Shape {
            shards: (counts & 0xFFFF_FFFF) as usize,
            buckets: (counts >> 32) as usize,
            units: usize::try_from(units).ok()?,
        };
        let valid = shape.shards.is_power_of_two()
            && shape.shards <= MAX_SHARDS
            && shape.buckets.is_power_of_two()
            && shape.buckets <= MAX_BUCKETS
            && (1..=MAX_UNITS).contains(&shape.units);
        valid.then_some(shape)
    }

    pub(super) fn buckets(self) -> usize {
        self.buckets
    }

    pub(super) fn units(self) -> usize {
        self.units
    }

    /// Bytes from one shard to the next.
    fn stride(self) -> usize {
        self.first_unit() + self.units * UNIT
    }

    /// Offset of the bits in a shard: one for each unit.
    pub(super) fn bits(self) -> usize {
        HEAD + (self.buckets * 8).next_multiple_of(64)
    }

    /// Offset of the units in a shard.
    pub(super) fn first_unit(self) -> usize {
        self.bits() + self.units.div_ceil(64).next_multiple_of(8) * 8
    }

    /// Offset of a shard.
    pub(super) fn shard(self, index: usize) -> usize {
        debug_assert!(index < self.shards);
        BODY + index * self.stride()
    }

    pub(super) fn shard_of(self, hash: u64) -> usize {
        hash as usize & (self.shards - 1)
    }

    pub(super) fn bucket_of(self, hash: u64) -> usize {
        (hash >> 16) as usize & (self.buckets - 1)
    }

    /// Shard and chain of a step of an iteration.
    pub(super) fn step(self, step: u64) -> Option<(usize, usize)> {
        let step = usize::try_from(step).ok()?;
        let shard = step / self.buckets;
        (shard < self.shards).then_some((shard, step % self.buckets))
    }
}
