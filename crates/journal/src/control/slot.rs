//! Slots: the places on a control chain that get one value each.

use aura_protocol_core::{AccountId, Digest, encode};
use borsh::{BorshDeserialize, BorshSerialize};

/// σ = (account, generation, config, k, parent).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Slot {
    /// Whose chain.
    pub account: AccountId,
    /// How often the chain was recovered. The highest wins from its parent on.
    pub generation: u64,
    /// The index of the configuration whose voters decide this slot.
    pub config: u64,
    /// The height on the chain, from 0.
    pub k: u64,
    /// [`Slot::child_parent`] of the slot before; zero at height 0.
    pub parent: Digest,
}

impl Slot {
    /// The slot of an account's genesis.
    #[must_use]
    pub const fn genesis(account: AccountId) -> Self {
        Self { account, generation: 0, config: 0, k: 0, parent: Digest::ZERO }
    }

    /// The parent of the next slot, once `value` is decided here: H(σ ‖ H(value)).
    ///
    /// A *decision* is hashed, never its certificate: two vote subsets for one decision would
    /// otherwise open two slots of one height, and conflict without any fault.
    #[must_use]
    pub fn child_parent(&self, value: Digest) -> Digest {
        Digest::tagged("aura slot parent v1", &[&encode(self), value.as_bytes()])
    }

    /// The slot after this one, once `value` is decided here, under configuration `config`.
    #[must_use]
    pub fn next(&self, value: Digest, config: u64) -> Self {
        Self { config, k: self.k.saturating_add(1), parent: self.child_parent(value), ..*self }
    }
}
