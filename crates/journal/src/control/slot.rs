//! Slots: the places on a control chain that get one value each.

use aura_protocol_core::{AccountId, Digest, encode};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::control::facts::Facts;

/// σ = (account, generation, config, k, parent, roots).
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
    /// Over all decisions before this slot, and over what is so by them; zero at height 0. Votes sign
    /// it, so that a few digests show one decision or one fact.
    pub roots: Digest,
}

/// The roots of the slot at height `k`, from the root over the values decided before it and the root
/// over the facts. A genesis has nothing before it.
pub(super) fn roots_of(k: u64, history: Digest, facts: Digest) -> Digest {
    if k == 0 && history == Digest::ZERO && facts == Facts::default().root() {
        return Digest::ZERO;
    }
    Digest::tagged("aura slot roots v1", &[history.as_bytes(), facts.as_bytes()])
}

impl Slot {
    /// The slot of an account's genesis.
    #[must_use]
    pub const fn genesis(account: AccountId) -> Self {
        Self { account, generation: 0, config: 0, k: 0, parent: Digest::ZERO, roots: Digest::ZERO }
    }

    /// The parent of the next slot, once `value` is decided here: H(σ ‖ H(value)).
    ///
    /// A *decision* is hashed, never its certificate: two vote subsets for one decision would
    /// otherwise open two slots of one height, and conflict without any fault.
    #[must_use]
    pub fn child_parent(&self, value: Digest) -> Digest {
        Digest::tagged("aura slot parent v1", &[&encode(self), value.as_bytes()])
    }

    /// The slot after this one, once `value` is decided here, under configuration `config`; its roots
    /// are for a chain to fill in.
    #[must_use]
    pub fn next(&self, value: Digest, config: u64) -> Self {
        let (k, parent) = (self.k.saturating_add(1), self.child_parent(value));
        Self { config, k, parent, roots: Digest::ZERO, ..*self }
    }
}
