//! Merkle trees over lists that grow: a root, and short proofs that something is in one.
//!
//! The tree over n leaves splits at the largest power of two below n, so that what has been joined once
//! stays as it is: the roots of its perfect parts are the peaks of a Merkle mountain range.

use aura_protocol_core::Digest;
use borsh::{BorshDeserialize, BorshSerialize};

const LEAF: &str = "aura merkle leaf v1";
const NODE: &str = "aura merkle node v1";

/// The peaks of a list that grows: a digest for each power of two in its length, largest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub(crate) struct Mountains {
    count: u64,
    peaks: Vec<Digest>,
}

impl Mountains {
    pub(crate) fn push(&mut self, value: Digest) {
        let mut peak = leaf(value);
        // Peaks of equal height join, as bits carry.
        let joins = self.count.trailing_ones();
        for _ in 0..joins {
            if let Some(left) = self.peaks.pop() {
                peak = node(left, peak);
            }
        }
        self.peaks.push(peak);
        self.count = self.count.saturating_add(1);
    }

    /// How many were pushed.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    /// The root over everything that was pushed; zero over nothing.
    pub(crate) fn root(&self) -> Digest {
        let mut peaks = self.peaks.iter().rev().copied();
        let last = peaks.next().unwrap_or(Digest::ZERO);
        peaks.fold(last, |right, left| node(left, right))
    }
}

/// The root over these; zero over nothing.
pub(super) fn root(values: &[Digest]) -> Digest {
    match values {
        [] => Digest::ZERO,
        [one] => leaf(*one),
        more => {
            let (left, right) = more.split_at(split(more.len()));
            node(root(left), root(right))
        }
    }
}

/// The digests beside the way from the value at `index` to the root, from below.
pub(super) fn path(values: &[Digest], index: usize) -> Vec<Digest> {
    if values.len() < 2 {
        return Vec::new();
    }
    let at = split(values.len());
    let (left, right) = values.split_at(at);
    let (mut path, beside) = match index.checked_sub(at) {
        None => (self::path(left, index), root(right)),
        Some(index) => (self::path(right, index), root(left)),
    };
    path.push(beside);
    path
}

/// The root of a list of `count` with `value` at `index`; none when the path is of another list.
pub(super) fn root_from(value: Digest, index: u64, count: u64, path: &[Digest]) -> Option<Digest> {
    if count <= index {
        return None;
    }
    let Some((beside, below)) = path.split_last() else {
        return (count == 1).then(|| leaf(value));
    };
    if count < 2 {
        return None;
    }
    let at = 1 << (count - 1).ilog2();
    match index.checked_sub(at) {
        None => Some(node(root_from(value, index, at, below)?, *beside)),
        Some(index) => Some(node(*beside, root_from(value, index, count - at, below)?)),
    }
}

/// The largest power of two below `count`, which is at least 2.
fn split(count: usize) -> usize {
    1 << count.saturating_sub(1).max(1).ilog2()
}

fn leaf(value: Digest) -> Digest {
    Digest::tagged(LEAF, &[value.as_bytes()])
}

fn node(left: Digest, right: Digest) -> Digest {
    Digest::tagged(NODE, &[left.as_bytes(), right.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(count: u8) -> Vec<Digest> {
        (0..count).map(|it| Digest::from_bytes([it; 32])).collect()
    }

    /// The list that grows has the root of the list that is there at once.
    #[test]
    fn mountains_are_the_tree() {
        let mut mountains = Mountains::default();
        assert_eq!(mountains.root(), root(&[]));
        for count in 1..70 {
            mountains.push(Digest::from_bytes([count - 1; 32]));
            assert_eq!(mountains.root(), root(&values(count)), "{count} values");
        }
    }

    #[test]
    fn a_path_leads_to_the_root_from_its_place_alone() {
        for count in 1_u8..20 {
            let values = values(count);
            let whole = root(&values);
            for (index, value) in values.iter().enumerate() {
                let path = path(&values, index);
                for place in 0..u64::from(count) {
                    let found = root_from(*value, place, u64::from(count), &path);
                    assert_eq!(found == Some(whole), place == index as u64, "{index} of {count}");
                }
                let stranger = Digest::from_bytes([200; 32]);
                let found = root_from(stranger, index as u64, u64::from(count), &path);
                assert_ne!(found, Some(whole));
                let longer: Vec<Digest> = path.iter().copied().chain([whole]).collect();
                assert_ne!(root_from(*value, index as u64, u64::from(count), &longer), Some(whole));
            }
        }
    }
}
