//! Keyed randomness: every draw is a function of the seed and of what it is for, never of how many
//! draws came before it. Removing a fault from a plan therefore moves nothing else in its run.

/// The finalizer of splitmix64: cheap, and good enough to scatter keys.
#[must_use]
pub const fn mix(value: u64) -> u64 {
    let mut it = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    it ^ (it >> 31)
}

/// A cheap hash of some bytes, for traces and keys.
#[must_use]
pub fn hash_bytes(seed: u64, bytes: &[u8]) -> u64 {
    let mut hash = seed ^ bytes.len() as u64;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        hash = mix(hash ^ chunk.try_into().map_or(0, u64::from_le_bytes));
    }
    let rest = chunks.remainder().iter().rev().fold(0, |sum, it| sum << 8 | u64::from(*it));
    if chunks.remainder().is_empty() { hash } else { mix(hash ^ rest) }
}

/// What a draw is for. The same key under two purposes draws two unrelated values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Purpose {
    Plan = 1,
    Delay,
    Split,
    Tamper,
}

/// The draws of one seed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Draws(u64);

impl Draws {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    /// The value for this key.
    pub(crate) const fn of(self, purpose: Purpose, key: u64, place: u64) -> u64 {
        mix(self.0 ^ mix(key ^ place.rotate_left(48) ^ (purpose as u64).rotate_left(58)))
    }

    /// The value for this key, below `bound`.
    pub(crate) const fn below(self, bound: u64, purpose: Purpose, key: u64, place: u64) -> u64 {
        // A multiplication instead of a division; the bias is below bound / 2^32.
        ((self.of(purpose, key, place) >> 32) * bound) >> 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_seed_purpose_key_and_place() {
        let base = Draws::new(7).of(Purpose::Delay, 1, 2);
        assert_eq!(base, Draws::new(7).of(Purpose::Delay, 1, 2));
        let others = [
            Draws::new(8).of(Purpose::Delay, 1, 2),
            Draws::new(7).of(Purpose::Split, 1, 2),
            Draws::new(7).of(Purpose::Delay, 2, 2),
            Draws::new(7).of(Purpose::Delay, 1, 1),
        ];
        assert!(others.iter().all(|it| *it != base));
    }

    #[test]
    fn bounded_draws_cover_their_range_and_nothing_else() {
        let mut seen = [0_u32; 6];
        for key in 0..6_000 {
            seen[Draws::new(3).below(6, Purpose::Delay, key, 0) as usize] += 1;
        }
        assert!(seen.iter().all(|it| (800..1_200).contains(it)), "{seen:?}");
    }

    #[test]
    fn every_byte_counts() {
        let bytes = [5_u8; 19];
        let base = hash_bytes(0, &bytes);
        for index in 0..bytes.len() {
            let mut other = bytes;
            other[index] ^= 1;
            assert_ne!(hash_bytes(0, &other), base, "byte {index}");
        }
        assert_ne!(hash_bytes(0, &[0; 8]), hash_bytes(0, &[0; 16]));
    }
}
