//! What a snapshot stands for: the state that all units below it come to, and what is still to be known of
//! them so that others can rest on them.

use std::collections::{BTreeMap, BTreeSet};

use aura_protocol_core::{AccountId, DecodeError, DeviceId, Digest, Lamport, decode, encode};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::{dag::Spent, fold::state::AccountState, ticks::Ticks};

/// The version of this format.
pub const BASE_VERSION: u16 = 2;
/// Largest base, in bytes: what a device that joins may have to hold at once beside its ledger.
pub const BASE_BYTES_MAX: u64 = 256 << 20;

/// The state at a snapshot and what goes with it: a function of the closure of the entry's past and of the
/// entries up to it, the same on every device.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Base {
    pub(crate) version: u16,
    pub(crate) account: AccountId,
    /// The height of the snapshot's entry.
    pub(crate) k: u64,
    /// The configuration that begins with it.
    pub(crate) config: u64,
    /// The state after it.
    pub(crate) state: AccountState,
    pub(crate) authors: BTreeMap<DeviceId, BaseAuthor>,
    /// By author: from which segment on the units from which place on are left out.
    pub(crate) forks: BTreeMap<DeviceId, BTreeMap<u64, u64>>,
    pub(crate) ticks: Ticks,
    /// The units of open sessions, the newest manifests and the proposals, sorted by hash.
    pub(crate) kept: Vec<Vec<u8>>,
}

/// What is known of an author's units.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct BaseAuthor {
    /// One more than the greatest place.
    pub(crate) count: u64,
    /// The lowest place that is taken twice.
    pub(crate) fork: Option<u64>,
    /// What it has used up of its quota.
    pub(crate) spent: Spent,
    /// Once it has forked: its units that none of its own rests on.
    pub(crate) tips: BTreeSet<Digest>,
    /// The units since the snapshot before and those on which others may rest besides, by place.
    pub(crate) units: Vec<BaseUnit>,
}

/// Where a unit stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub(crate) struct BaseUnit {
    pub(crate) seq: u64,
    pub(crate) unit: Digest,
    pub(crate) lamport: Lamport,
    pub(crate) config: u64,
    pub(crate) segment: u64,
}

impl Base {
    /// The base that `bytes` canonically encode.
    ///
    /// # Errors
    /// [`DecodeError`], the sender's fault.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut base: Self = decode(bytes, usize::try_from(BASE_BYTES_MAX).unwrap_or(usize::MAX))?;
        base.state.read_deadlines(base.kept.iter().map(Vec::as_slice));
        Ok(base)
    }

    /// The canonical encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// The digest that a certified snapshot names.
    #[must_use]
    pub fn digest_of(bytes: &[u8]) -> Digest {
        Digest::tagged("aura base v1", &[bytes])
    }

    /// The height of the snapshot's entry.
    #[must_use]
    pub const fn k(&self) -> u64 {
        self.k
    }

    /// The state after it.
    #[must_use]
    pub const fn state(&self) -> &AccountState {
        &self.state
    }

    /// The units that it keeps whole, encoded: those of open sessions, the newest manifests and the
    /// proposals.
    pub fn kept(&self) -> impl Iterator<Item = &[u8]> {
        self.kept.iter().map(Vec::as_slice)
    }
}
