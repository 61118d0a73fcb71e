//! Fork proofs: two signed units of one author at one place, for whoever knows the account's chain.

use aura_protocol_core::{AccountId, DeviceId};
use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

use crate::{Ledger, UnitScheme, control::ControlChain, unit::Unit};

/// That a device has signed two units for one place of its chain. It can be carried anywhere: only the
/// device's own key makes one.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ForkProof {
    /// One of the units.
    pub one: Unit,
    /// The other.
    pub other: Unit,
}

/// Why a fork proof proves nothing. Always the fault of whoever brought it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ForkProofError {
    /// It is of another account.
    #[error("a unit of account {found} proves nothing in {expected}")]
    Account {
        /// Whose chain is asked.
        expected: AccountId,
        /// The unit's account.
        found: AccountId,
    },
    /// The units have different authors or places, or are the same.
    #[error("the units are not two of one author at one place")]
    NoFork,
    /// The author is not in the roster that a unit names, as far as the chain is known here.
    #[error("device {author} is not in configuration {config}")]
    UnknownAuthor {
        /// The author.
        author: DeviceId,
        /// The index of the configuration.
        config: u64,
    },
    /// The author did not sign one of them.
    #[error("a signature is not by device {author}")]
    Signature {
        /// Who is said to have signed.
        author: DeviceId,
    },
}

impl ForkProof {
    /// Who has forked, and at which place.
    ///
    /// # Errors
    /// [`ForkProofError`], naming the first thing that is wrong.
    pub fn verify(&self, chain: &ControlChain) -> Result<(DeviceId, u64), ForkProofError> {
        let (author, seq) = (self.one.body.author, self.one.body.seq);
        for unit in [&self.one, &self.other] {
            let (expected, found) = (chain.account(), unit.body.account);
            if expected != found {
                return Err(ForkProofError::Account { expected, found });
            }
        }
        let same_place = (self.other.body.author, self.other.body.seq) == (author, seq);
        if !same_place || self.one.body == self.other.body {
            return Err(ForkProofError::NoFork);
        }
        for unit in [&self.one, &self.other] {
            let config = unit.body.config;
            let entry = chain.config_at(config).and_then(|it| it.roster.get(&author));
            let entry = entry.ok_or(ForkProofError::UnknownAuthor { author, config })?;
            unit.verify(&entry.unit_key).map_err(|_| ForkProofError::Signature { author })?;
        }
        Ok((author, seq))
    }
}

impl<S: UnitScheme> Ledger<S> {
    /// The proof that a device has forked, at the lowest place that is known here.
    #[must_use]
    pub fn fork_proof(&self, device: DeviceId) -> Option<ForkProof> {
        let chain = self.dag.chain_of(&device)?;
        let read = |held: &crate::dag::Held| Unit::from_bytes(held.bytes()).ok();
        let mut units = chain.at(chain.fork()?).filter_map(|it| self.dag.held(&it));
        let (one, other) = (read(units.next()?)?, read(units.next()?)?);
        Some(ForkProof { one, other })
    }
}
