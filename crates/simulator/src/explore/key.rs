//! A global state as a row of small numbers, and the set of those seen.

use std::{fmt::Debug, hash::Hash, hint::black_box};

/// A row of numbers, one a slot; all zeros is no state.
pub(super) trait Key: Copy + Eq + Hash + Default + Debug {
    /// How many numbers it holds.
    const SLOTS: usize;
    /// The largest number.
    const MAX: u32;

    /// The number of a slot.
    fn at(self, slot: usize) -> u32;
    /// The same row with another number in a slot. Numbers above [`Self::MAX`] are the caller's to
    /// keep out.
    fn with(self, slot: usize, number: u32) -> Self;
    /// A well mixed hash.
    fn mixed(self) -> u64;
}

/// Eight slots of 16 bits.
impl Key for u128 {
    const SLOTS: usize = 8;
    const MAX: u32 = u16::MAX as u32;

    fn at(self, slot: usize) -> u32 {
        (self >> (16 * slot) & 0xffff) as u32
    }

    fn with(self, slot: usize, number: u32) -> Self {
        let shift = 16 * slot;
        self & !(0xffff << shift) | Self::from(number & 0xffff) << shift
    }

    fn mixed(self) -> u64 {
        mix(self as u64 ^ 0x9e37_79b9_7f4a_7c15, (self >> 64) as u64 ^ 0xd1b5_4a32_d192_ed03)
    }
}

/// Sixteen slots of 32 bits, for what does not fit into a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Wide([u32; 16]);

impl Key for Wide {
    const SLOTS: usize = 16;
    const MAX: u32 = u32::MAX;

    fn at(self, slot: usize) -> u32 {
        self.0.get(slot).copied().unwrap_or_default()
    }

    fn with(mut self, slot: usize, number: u32) -> Self {
        if let Some(it) = self.0.get_mut(slot) {
            *it = number;
        }
        self
    }

    fn mixed(self) -> u64 {
        self.0.iter().fold(0x9e37_79b9_7f4a_7c15, |hash, it| {
            mix(hash ^ u64::from(*it), 0xd1b5_4a32_d192_ed03)
        })
    }
}

fn mix(low: u64, high: u64) -> u64 {
    let product = u128::from(low) * u128::from(high | 1);
    let folded = product as u64 ^ (product >> 64) as u64;
    folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ folded >> 29
}

/// A set of states: open addressing, keys in the table itself. It is never iterated, so its order
/// cannot show.
pub(super) struct Seen<K> {
    table: Vec<K>,
    filled: usize,
    shift: u32,
}

impl<K: Key> Seen<K> {
    pub(super) fn new() -> Self {
        Self { table: vec![K::default(); 1 << 12], filled: 0, shift: 64 - 12 }
    }

    /// Adds a key that is not all zeros. Says whether it was new.
    pub(super) fn insert(&mut self, key: K) -> bool {
        if self.table.len() < 2 * (self.filled + 1) {
            self.grow();
        }
        let new = self.place(key);
        self.filled += usize::from(new);
        new
    }

    /// Loads what [`Self::insert`] of these keys is about to look at. The loads do not wait for each
    /// other, so that the processor does them at once.
    pub(super) fn touch(&self, keys: impl Iterator<Item = K>) {
        let touched = keys.filter(|it| self.table.get(self.home(*it)) == Some(it)).count();
        black_box(touched);
    }

    fn home(&self, key: K) -> usize {
        (key.mixed() >> self.shift) as usize
    }

    fn place(&mut self, key: K) -> bool {
        let mut at = self.home(key);
        let mask = self.table.len() - 1;
        while let Some(it) = self.table.get_mut(at) {
            if *it == key {
                return false;
            }
            if *it == K::default() {
                *it = key;
                return true;
            }
            at = (at + 1) & mask;
        }
        false
    }

    fn grow(&mut self) {
        let larger = vec![K::default(); 2 * self.table.len()];
        let old = std::mem::replace(&mut self.table, larger);
        self.shift -= 1;
        for key in old.into_iter().filter(|it| *it != K::default()) {
            self.place(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn rows<K: Key>() {
        let mut key = K::default();
        for slot in 0..K::SLOTS {
            key = key.with(slot, 1000 + slot as u32);
        }
        key = key.with(3, K::MAX).with(3, 7);
        let read: Vec<_> = (0..K::SLOTS).map(|slot| key.at(slot)).collect();
        let expected: Vec<_> =
            (0..K::SLOTS as u32).map(|slot| if slot == 3 { 7 } else { 1000 + slot }).collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn rows_hold_what_was_put_in() {
        rows::<u128>();
        rows::<Wide>();
    }

    #[test]
    fn the_set_agrees_with_a_tree() {
        let (mut seen, mut tree, mut word) = (Seen::<u128>::new(), BTreeSet::new(), 1_u64);
        for _ in 0..50_000 {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let key = u128::from(word >> 49).with(5, (word >> 60) as u32) | 1 << 96;
            assert_eq!(seen.insert(key), tree.insert(key));
        }
        assert_eq!(seen.filled, tree.len());
    }
}
