//! What a store knows of what it holds: what tells after damage how much is missing, and whose.

use std::collections::BTreeMap;

use aura_protocol_core::DeviceId;
use borsh::{BorshDeserialize, BorshSerialize};

use crate::store::{
    packed,
    row::{Checksum, Kind, toggle},
};

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    pub(crate) totals: Totals,
    pub(crate) tips: Tips,
    pub(crate) tail: Tail,
}

/// How many things each table holds, and the sum of its rows' checksums. A row is one thing, but a row of
/// units as many as it has.
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub(crate) struct Totals(BTreeMap<Kind, (u64, Checksum)>);

impl Totals {
    pub(crate) fn count(&self, kind: Kind) -> u64 {
        self.0.get(&kind).map_or(0, |(count, _)| *count)
    }

    pub(crate) fn of(&self, kind: Kind) -> (u64, Checksum) {
        self.0.get(&kind).copied().unwrap_or_default()
    }

    /// Counts a row with so many things that is there from now on.
    pub(crate) fn add(&mut self, kind: Kind, count: u64, row: &[u8]) {
        let total = self.0.entry(kind).or_default();
        total.0 = total.0.wrapping_add(count);
        toggle(&mut total.1, row);
    }

    /// Counts a row with so many things that is there no longer.
    pub(crate) fn remove(&mut self, kind: Kind, count: u64, row: &[u8]) {
        let total = self.0.entry(kind).or_default();
        total.0 = total.0.wrapping_sub(count);
        toggle(&mut total.1, row);
    }

    /// Counts a table that is empty from now on.
    pub(crate) fn clear(&mut self, kind: Kind) {
        self.0.remove(&kind);
    }
}

/// Author → one more than the greatest place of its units.
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub(crate) struct Tips(pub(crate) BTreeMap<DeviceId, u64>);

/// Where an encoded unit has its author and its place: after version, account and configuration.
const AUTHOR_OFFSET: usize = 2 + 32 + 8;
const SEQ_OFFSET: usize = AUTHOR_OFFSET + 32;

impl Tips {
    /// Counts a unit. What is too short for one is none, and nobody's.
    pub(crate) fn add(&mut self, unit: &[u8]) {
        let author = unit.get(AUTHOR_OFFSET..).and_then(|it| it.first_chunk());
        let seq = unit.get(SEQ_OFFSET..).and_then(|it| it.first_chunk());
        if let (Some(author), Some(seq)) = (author, seq) {
            let count = self.0.entry(DeviceId::from_bytes(*author)).or_default();
            *count = u64::from_le_bytes(*seq).saturating_add(1).max(*count);
        }
    }

    pub(crate) fn of(&self, author: &DeviceId) -> u64 {
        self.0.get(author).copied().unwrap_or_default()
    }
}

/// The rows at the end of the units that together are no full row yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub(crate) struct Tail {
    /// How many units stand before them.
    pub(crate) first: u64,
    /// How long they are together.
    bytes: u64,
}

impl Tail {
    /// Whether a row of this length leaves them shorter than a full row, or there are none.
    pub(crate) const fn has_room(&self, bytes: usize) -> bool {
        self.bytes == 0 || self.bytes.saturating_add(bytes as u64) <= packed::FULL_BYTES as u64
    }

    /// A row whose first unit has this number is the last one now.
    pub(crate) fn end_with(&mut self, first: u64, bytes: usize) {
        let bytes = bytes as u64;
        if !self.has_room(bytes as usize) || self.bytes == 0 {
            *self = Self { first, bytes: 0 };
        }
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::row::seal;

    #[test]
    fn a_total_forgets_what_was_removed() {
        let (a, b) = (seal(Kind::Local, b"a", b"1"), seal(Kind::Local, b"b", b"2"));
        let mut once = Totals::default();
        once.add(Kind::Local, 1, &b);
        let mut replaced = Totals::default();
        replaced.add(Kind::Local, 1, &a);
        replaced.add(Kind::Local, 1, &b);
        assert_ne!(once, replaced);
        replaced.remove(Kind::Local, 1, &a);
        assert_eq!(once, replaced);
    }

    #[test]
    fn a_tail_ends_where_a_row_is_full() {
        let mut tail = Tail::default();
        assert!(tail.has_room(packed::FULL_BYTES + 1));
        tail.end_with(3, packed::FULL_BYTES - 10);
        tail.end_with(70, 10);
        assert_eq!(tail, Tail { first: 3, bytes: packed::FULL_BYTES as u64 });
        assert!(!tail.has_room(1));
        tail.end_with(71, 1);
        assert_eq!(tail, Tail { first: 71, bytes: 1 });
    }
}
