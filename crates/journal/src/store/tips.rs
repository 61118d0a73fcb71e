//! How many units of each author a store has: what tells after damage whose are missing.

use std::collections::BTreeMap;

use aura_protocol_core::DeviceId;
use borsh::{BorshDeserialize, BorshSerialize};

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
