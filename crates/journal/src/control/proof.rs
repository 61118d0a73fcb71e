//! Portable proofs that an entry was decided on a chain, for those who know only the account's id.
//!
//! A proof follows the configurations from the genesis: every `Reconfigure` stands in it in full with
//! its votes, since it says who decides from there on. Of the other entries on the way only the hash
//! is needed. What is certified behind them names them through its parent, and its voters saw them.
//!
//! Invariants:
//! - INV-J5: a proof verifies exactly for an entry of the chain, at its height, with its head.
//! - INV-J6: a configuration change that a proof passes over in silence makes it fail.
//! - INV-J7: decoding a proof takes bounded stack, however deep its entries nest.

use std::cell::Cell;

use aura_protocol_core::{AccountId, Digest};
use borsh::{BorshDeserialize, BorshSerialize, io};

use crate::control::{Certificate, CertifiedEntry, ChainError, Entry, Slot, tip::Tip};

/// Deepest nesting of proofs: a proof may hold an entry that embeds a proof (the installation of a
/// listed release), and each level costs the decoder stack.
pub const PROOF_DEPTH_MAX: usize = 4;

/// The way from a genesis to one decided entry, which is the last link.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize)]
pub struct ChainProof {
    /// One link per height, from 0.
    pub links: Vec<ChainLink>,
}

/// One decision on the way.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum ChainLink {
    /// The decision with its votes: the genesis, each `Reconfigure`, and the entry that is proved.
    Full {
        /// [`Slot::roots`] where it stands.
        roots: Digest,
        /// What was decided.
        value: Box<Entry>,
        /// That it was.
        certificate: Certificate,
    },
    /// A decision that changed no configuration.
    Hash {
        /// [`Slot::roots`] where it stands.
        roots: Digest,
        /// H(value).
        value: Digest,
    },
}

/// An entry that was proved. Only [`ChainProof::verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProvedEntry {
    /// Whose chain decided it.
    pub account: AccountId,
    /// Where.
    pub slot: Slot,
    /// What was decided.
    pub entry: Entry,
    /// The chain's head with this entry as its last.
    pub head: Digest,
}

impl ChainLink {
    pub(super) fn full(entry: &CertifiedEntry) -> Self {
        let value = Box::new(entry.value.clone());
        Self::Full { roots: entry.slot.roots, value, certificate: entry.certificate.clone() }
    }
}

impl ChainProof {
    /// Checks the votes along the configurations, and that all links hang together.
    ///
    /// # Errors
    /// [`ChainError`] of the first link that is refused.
    pub fn verify(&self) -> Result<ProvedEntry, ChainError> {
        let Some((ChainLink::Full { roots: Digest::ZERO, value, certificate }, rest)) =
            self.links.split_first()
        else {
            return Err(ChainError::NoGenesis);
        };
        let mut tip = Tip::begin(value, certificate)?;
        let mut proved = Some((Slot::genesis(tip.next.account), value));
        for link in rest {
            let (ChainLink::Full { roots, .. } | ChainLink::Hash { roots, .. }) = link;
            tip.next.roots = *roots;
            proved = match link {
                ChainLink::Full { value, certificate, .. } => {
                    tip.begin_generation(value);
                    let slot = tip.next;
                    tip.accept(value, certificate)?;
                    Some((slot, value))
                }
                ChainLink::Hash { value, .. } => {
                    tip.skip(*value);
                    None
                }
            };
        }
        let (slot, entry) = proved.ok_or(ChainError::NothingProved)?;
        let (account, entry) = (slot.account, Entry::clone(entry));
        Ok(ProvedEntry { account, slot, entry, head: tip.next.parent })
    }
}

thread_local! {
    /// How many proofs the decoder of this thread is inside of.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// One level of nesting, left when dropped.
struct Level;

impl Level {
    fn enter() -> io::Result<Self> {
        let depth = DEPTH.get();
        if PROOF_DEPTH_MAX <= depth {
            let what = format!("proofs nest deeper than {PROOF_DEPTH_MAX}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        DEPTH.set(depth + 1);
        Ok(Self)
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get().saturating_sub(1));
    }
}

impl BorshDeserialize for ChainProof {
    /// Entries embed proofs and proofs hold entries, so a sender could nest them until the stack
    /// ends. Borsh hands no state down to the fields, hence the count beside it.
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let _level = Level::enter()?;
        Ok(Self { links: Vec::deserialize_reader(reader)? })
    }
}
