//! A hash that is the same in every process and every version: it is part of the layout.
//!
//! Eight bytes at a time are mixed in by a multiplication to 128 bits whose halves are folded, as
//! in wyhash. The seed is the map's, so keys that collide in one map do not in another.

const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
const STEP: u64 = 0xD6E8_FEB8_6659_FD93;

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// The hash of a key.
pub(super) fn hash(seed: u64, key: &[u8]) -> u64 {
    let mut state = seed ^ MIX ^ (key.len() as u64).wrapping_mul(STEP);
    for chunk in key.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        state = fold(state ^ u64::from_le_bytes(word), STEP).wrapping_add(MIX);
    }
    fold(state ^ seed.rotate_left(32), MIX)
}

#[cfg(all(test, not(rsipc_loom)))]
mod tests {
    use super::hash;

    #[test]
    fn the_hash_never_changes() {
        assert_eq!(hash(0, b""), HASH_OF_NOTHING);
        assert_eq!(hash(1, b"a key of some length"), HASH_OF_A_KEY);
    }

    const HASH_OF_NOTHING: u64 = 13_730_537_811_256_138_321;
    const HASH_OF_A_KEY: u64 = 12_787_552_126_849_644_394;

    #[test]
    fn similar_keys_spread_over_all_chains() {
        let mut chains = [0; 256];
        for number in 0..25_600_u32 {
            chains[(hash(7, &number.to_le_bytes()) >> 16 & 255) as usize] += 1;
        }
        assert!(chains.iter().all(|&keys| (40..200).contains(&keys)));
    }
}
