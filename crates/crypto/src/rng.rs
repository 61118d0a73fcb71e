//! Randomness that the caller brings, in the shape that each library wants.

use core::{convert::Infallible, fmt};

use chacha20::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _, TryCryptoRng, TryRng};
use zeroize::Zeroizing;

use crate::domain::Label;

/// A stream of random bytes from a seed, for both generations of `rand_core`.
///
/// Production seeds one from the operating system for each operation and drops it; a simulation seeds
/// it from its run. Signing nonces must never come from a seed that is used twice: a replayed or
/// forked run would sign two messages with one nonce and give the share away (trap 1).
pub struct DualRng(ChaCha20Rng);

impl DualRng {
    /// The stream of this seed.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        Self(ChaCha20Rng::from_seed(*seed))
    }

    /// The stream of one step of a session, from the session's secret seed and what tells this step
    /// and its inputs apart from every other: a step that is taken again after a crash draws the same.
    /// Never for signing nonces.
    #[must_use]
    pub fn for_step(seed: &[u8; 32], step: &[&[u8]]) -> Self {
        let mut parts = alloc::vec![seed.as_slice()];
        parts.extend_from_slice(step);
        Self::from_seed(*Label::SessionStep.digest(&parts).as_bytes())
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// `N` random bytes, wiped when dropped.
    #[must_use]
    pub fn bytes<const N: usize>(&mut self) -> Zeroizing<[u8; N]> {
        let mut bytes = Zeroizing::new([0; N]);
        self.fill(bytes.as_mut_slice());
        bytes
    }
}

impl fmt::Debug for DualRng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DualRng(<redacted>)")
    }
}

impl TryRng for DualRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0.try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.try_fill_bytes(bytes)
    }
}

impl TryCryptoRng for DualRng {}

impl rand_core_06::RngCore for DualRng {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.fill(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core_06::Error> {
        self.fill(bytes);
        Ok(())
    }
}

impl rand_core_06::CryptoRng for DualRng {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_generations_read_one_stream() {
        let [mut a, mut b] = [[7; 32]; 2].map(DualRng::from_seed);
        let mut first = [0; 16];
        rand_core_06::RngCore::fill_bytes(&mut a, &mut first);
        let mut second = [0; 16];
        rand_core::Rng::fill_bytes(&mut b, &mut second);
        assert_eq!(first, second);
        rand_core_06::RngCore::fill_bytes(&mut a, &mut first);
        assert_ne!(first, second, "the stream goes on");
        assert_ne!(*DualRng::from_seed([8; 32]).bytes::<16>(), second);
    }

    #[test]
    fn each_step_has_a_stream_of_its_own() {
        let draw = |seed: u8, step: &[&[u8]]| *DualRng::for_step(&[seed; 32], step).bytes::<16>();
        assert_eq!(draw(1, &[b"deal", b"a"]), draw(1, &[b"deal", b"a"]));
        assert_ne!(draw(1, &[b"deal", b"a"]), draw(1, &[b"deal", b"b"]));
        assert_ne!(draw(1, &[b"deal", b"a"]), draw(1, &[b"deala"]));
        assert_ne!(draw(1, &[b"deal", b"a"]), draw(2, &[b"deal", b"a"]));
    }
}
