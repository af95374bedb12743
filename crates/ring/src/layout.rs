//! The header every object begins with; `docs/ring-layout.md` draws it.
//!
//! The first 64 bytes never change after creation. Whoever attaches copies them, checks the copy
//! and works with the copy from then on: what a peer does to them later changes nothing.

use crate::error::OpenError;

/// What an object begins with.
pub const MAGIC: [u8; 8] = *b"RSIPCSHM";

/// Version of all that `docs/ring-layout.md` draws.
pub const VERSION: u32 = 1;

/// Slots in the table of parties.
pub const PARTIES: usize = if cfg!(rsipc_loom) { 3 } else { 128 };

/// Bytes of the part that never changes.
pub const HEADER: usize = 64;

/// Offset of the word that says how far the object is: [`State`].
pub const STATE: usize = 64;

/// Offset of the latch that guards the table of parties and, in some objects, more.
pub const LATCH: usize = 72;

/// Offset of a word for the object's own use, 0 at first.
pub const COUNTER: usize = 88;

/// Offset of the two doorbells.
pub const DOORBELLS: usize = 128;

/// Bytes from one doorbell to the next.
pub const DOORBELL: usize = 64;

/// Offset of the table of parties.
pub const TABLE: usize = 256;

/// Bytes of a slot in the table.
pub const SLOT: usize = 64;

/// Offset of the body, where the object's own part begins. A multiple of 64.
pub const BODY: usize = TABLE + PARTIES * SLOT;

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u32)]
pub enum Kind {
    /// Ring with one producer and one consumer.
    Spsc = 1,
    /// Ring with many producers and one consumer.
    Mpsc = 2,
    /// Ring with one producer and many consumers that each see everything.
    Broadcast = 3,
    /// Latest value.
    Cell = 4,
    /// Bytes without a rule.
    Bytes = 5,
    /// Key-value map.
    Map = 6,
    /// Lock with one owner.
    Mutex = 7,
    /// Lock with one writer or many readers.
    RwLock = 8,
    /// Permits.
    Semaphore = 9,
    /// Flag that is waited for.
    Event = 10,
    /// Meeting point.
    Barrier = 11,
}

/// How far an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum State {
    /// Its creator is at work, or died at it.
    Making = 0,
    /// It can be used.
    Ready = 1,
    /// Nobody shall begin anything new with it.
    Destroyed = 2,
}

/// The part of the header that never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Number of the [`Kind`].
    pub kind: u32,
    /// Bytes of the whole object.
    pub total: u64,
    /// World of the identities in it: [`System::world`](crate::System::world) of its creator.
    pub world: u64,
    /// Three numbers whose meaning is the kind's.
    pub parameters: [u64; 3],
}

impl Header {
    /// The bytes of the header, checksum included.
    pub fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.kind.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.total.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.world.to_le_bytes());
        for (index, parameter) in self.parameters.iter().enumerate() {
            let at = 32 + index * 8;
            bytes[at..at + 8].copy_from_slice(&parameter.to_le_bytes());
        }
        bytes[56..60].copy_from_slice(&(BODY as u32).to_le_bytes());
        let checksum = crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads a private copy of a header that has to fit into `available` bytes.
    pub fn decode(bytes: &[u8; HEADER], available: u64) -> Result<Header, OpenError> {
        if bytes[0..8] != MAGIC {
            return Err(OpenError::NotAnObject);
        }
        let version = u32_at(bytes, 8);
        if version != VERSION {
            return Err(OpenError::Version {
                found: version,
                known: VERSION,
            });
        }
        if u32_at(bytes, 60) != crc32c(&bytes[..60]) {
            return Err(OpenError::Checksum);
        }
        let header = Header {
            kind: u32_at(bytes, 12),
            total: u64_at(bytes, 16),
            world: u64_at(bytes, 24),
            parameters: [u64_at(bytes, 32), u64_at(bytes, 40), u64_at(bytes, 48)],
        };
        if u32_at(bytes, 56) != BODY as u32 {
            return Err(OpenError::Parameter("body offset"));
        }
        if header.total < BODY as u64 {
            return Err(OpenError::Parameter("total size"));
        }
        if header.total > available {
            return Err(OpenError::TooSmall {
                found: available,
                needed: header.total,
            });
        }
        Ok(header)
    }
}

fn u32_at(bytes: &[u8; HEADER], at: usize) -> u32 {
    let mut value = [0; 4];
    value.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(value)
}

fn u64_at(bytes: &[u8; HEADER], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(value)
}

/// CRC-32C (Castagnoli), as in RFC 3720: reflected polynomial 0x82F63B78. Bit by bit: it runs over
/// 60 bytes when an object is opened.
pub fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[cfg(all(test, not(rsipc_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_rfc_3720() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c(&[0xFF; 32]), 0x62A8_AB43);
    }

    #[test]
    fn any_flipped_bit_of_a_header_is_found() {
        let header = Header {
            kind: Kind::Spsc as u32,
            total: 1 << 20,
            world: 0x1234_5678_9ABC_DEF0,
            parameters: [4096, 7, u64::MAX],
        };
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes, 1 << 20), Ok(header));
        for bit in 0..HEADER * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&damaged, u64::MAX).is_err(), "bit {bit}");
        }
    }
}
