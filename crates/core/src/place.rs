//! Where bytes lie that a message speaks of: in a [slab](crate::slab), whose form does not depend on the system.

/// Where the bytes of a Buffer lie; what its message says instead of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which slab.
    pub slab: u32,
    /// Which word.
    pub lease: u32,
    /// The number of this lending.
    pub number: u32,
    /// The first byte.
    pub offset: u32,
    /// How many.
    pub length: u32,
}

impl Place {
    /// Bytes that a message has of it.
    pub const SIZE: usize = 20;

    /// As bytes.
    pub fn to_bytes(self) -> [u8; Place::SIZE] {
        let mut bytes = [0; Place::SIZE];
        let parts = [self.slab, self.lease, self.number, self.offset, self.length];
        for (place, part) in bytes.chunks_exact_mut(4).zip(parts) {
            place.copy_from_slice(&part.to_le_bytes());
        }
        bytes
    }

    /// From bytes that a peer has written.
    pub fn from_bytes(bytes: &[u8; Place::SIZE]) -> Place {
        let mut parts = bytes.chunks_exact(4).map(|part| {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(part);
            u32::from_le_bytes(bytes)
        });
        let mut next = || parts.next().unwrap_or(0);
        Place {
            slab: next(),
            lease: next(),
            number: next(),
            offset: next(),
            length: next(),
        }
    }
}
