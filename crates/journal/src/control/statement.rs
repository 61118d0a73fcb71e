//! Short proofs of one thing that is or was decided, for those who hold a chain or an entry of it.
//!
//! Votes sign a slot, and a slot names two roots: over the decisions before it, and over what was so by
//! then. So a slot with its votes and a way of a few digests shows one decision or one fact, and nothing
//! else of the account.
//!
//! Invariants:
//! - INV-J17: a proof is accepted only for what the chain decided, and no byte of it can be changed.

use aura_protocol_core::{AccountId, Digest, decode, encode};
use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

use crate::control::{
    Certificate, CertificateError, ChainError, ControlChain, Entry, Fact, Slot, Subject, facts,
    merkle,
    recover::{first_config, verify_recovery},
    slot::roots_of,
};

/// Largest encoded proof, in bytes: one of the newest entry holds that entry.
pub const STATEMENT_BYTES_MAX: usize = crate::control::ENTRY_BYTES_MAX + 64 * 1024;

/// A proof of one statement about an account.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LedgerProof {
    account: AccountId,
    generation: u64,
    config: u64,
    k: u64,
    parent: Digest,
    history: Digest,
    facts: Digest,
    /// H(value) of the entry at `k`.
    value: Digest,
    certificate: Certificate,
    claim: Claim,
}

#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
enum Claim {
    /// It was so when the entry was decided.
    Is { fact: Fact, salt: Digest, index: u64, count: u64, path: Vec<Digest> },
    /// It was decided before the entry.
    Was { k: u64, value: Digest, path: Vec<Digest> },
    /// It is the entry.
    Says(Box<Entry>),
}

/// What a proof shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// This was so just before the entry at this height.
    Is {
        /// The fact.
        fact: Fact,
        /// The height.
        k: u64,
    },
    /// A value with this hash was decided at this height.
    Was {
        /// H(value).
        value: Digest,
        /// The height.
        k: u64,
    },
    /// This was decided at this height.
    Says {
        /// The value.
        value: Box<Entry>,
        /// The height.
        k: u64,
    },
}

impl Statement {
    /// The height that it speaks of.
    #[must_use]
    pub const fn k(&self) -> u64 {
        match self {
            Self::Is { k, .. } | Self::Was { k, .. } | Self::Says { k, .. } => *k,
        }
    }
}

/// What to prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// How things stand with a device or an app.
    Is(Subject),
    /// What was decided at this height.
    Was(u64),
}

/// Why a proof is refused, or cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StatementError {
    /// There is no such fact or entry on the chain.
    #[error("the chain says nothing of that")]
    Unknown,
    /// The bytes are no proof.
    #[error("not a proof: {0}")]
    Malformed(String),
    /// It is about another account.
    #[error("a proof of account {found}; the chain is that of {expected}")]
    WrongAccount {
        /// The chain's.
        expected: AccountId,
        /// The proof's.
        found: AccountId,
    },
    /// The chain that is here ends before the configuration that decided the entry.
    #[error("configuration {config} decided it, which this chain does not reach; get a newer one")]
    UnknownConfig {
        /// The configuration.
        config: u64,
    },
    /// Another entry stands at that height.
    #[error("the chain holds another entry at height {k}")]
    AnotherEntry {
        /// The height.
        k: u64,
    },
    /// The entry that is known is at another height than the proof's.
    #[error("the proof rests on entry {found}, and the one that is known is {known}")]
    AnotherHeight {
        /// The proof's.
        found: u64,
        /// The known one's.
        known: u64,
    },
    /// Its votes do not certify the entry.
    #[error("certificate is refused")]
    Certificate(#[from] CertificateError),
    /// What it claims is not under the roots that were voted on.
    #[error("what is claimed does not follow from what was decided")]
    NotUnderRoot,
}

impl StatementError {
    /// The stable name of the reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "NothingDecided",
            Self::Malformed(_) => "NotAProof",
            Self::WrongAccount { .. } => "WrongAccount",
            Self::UnknownConfig { .. } => "UnknownConfiguration",
            Self::AnotherEntry { .. } => "AnotherEntry",
            Self::AnotherHeight { .. } => "AnotherHeight",
            Self::Certificate(_) => "BadCertificate",
            Self::NotUnderRoot => "NotUnderRoot",
        }
    }
}

impl LedgerProof {
    /// Proves the answer by the chain's newest entry.
    ///
    /// # Errors
    /// [`StatementError::Unknown`] when the chain says nothing of it.
    pub fn make(chain: &ControlChain, question: Question) -> Result<Self, StatementError> {
        let newest = chain.entries().last().ok_or(StatementError::Unknown)?;
        let slot = newest.slot;
        let (facts, values) = (chain.facts_before_last(), chain.values_before_last());
        let claim = match question {
            Question::Was(k) if k == slot.k => Claim::Says(Box::new(newest.value.clone())),
            Question::Was(k) => {
                let index = usize::try_from(k).map_err(|_| StatementError::Unknown)?;
                let value = *values.get(index).ok_or(StatementError::Unknown)?;
                Claim::Was { k, value, path: merkle::path(&values, index) }
            }
            // The newest entry itself says what changed last.
            Question::Is(subject) if chain.fact(subject) != facts.get(subject).map(|it| &it.0) => {
                Claim::Says(Box::new(newest.value.clone()))
            }
            Question::Is(subject) => {
                let (fact, salt) = facts.get(subject).cloned().ok_or(StatementError::Unknown)?;
                let (index, leaves) = facts.leaves(subject);
                let index = index.ok_or(StatementError::Unknown)?;
                let path = merkle::path(&leaves, index);
                let (index, count) = (index as u64, leaves.len() as u64);
                Claim::Is { fact, salt, index, count, path }
            }
        };
        Ok(Self {
            account: slot.account,
            generation: slot.generation,
            config: slot.config,
            k: slot.k,
            parent: slot.parent,
            history: merkle::root(&values),
            facts: facts.root(),
            value: newest.value.hash(),
            certificate: newest.certificate.clone(),
            claim,
        })
    }

    /// The proof as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads a proof. It is not checked yet.
    ///
    /// # Errors
    /// [`StatementError::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StatementError> {
        decode(bytes, STATEMENT_BYTES_MAX)
            .map_err(|error| StatementError::Malformed(error.to_string()))
    }

    /// Checks the proof with a chain of the account, which may end before the entry that the proof rests
    /// on, as long as its last configuration decided it.
    ///
    /// # Errors
    /// [`StatementError`], naming the first thing that does not hold.
    pub fn check(&self, chain: &ControlChain) -> Result<Statement, StatementError> {
        if self.account != chain.account() {
            let (expected, found) = (chain.account(), self.account);
            return Err(StatementError::WrongAccount { expected, found });
        }
        let config = chain
            .config_at(self.config)
            .ok_or(StatementError::UnknownConfig { config: self.config })?;
        let slot = self.slot();
        if self.config < first_config(self.generation) {
            // The first slot of a generation, which a configuration of the one before decided.
            verify_recovery(&self.certificate, &slot, self.value, config).map_err(|error| {
                match error {
                    ChainError::Certificate(error) => StatementError::Certificate(error),
                    _ => StatementError::UnknownConfig { config: self.config },
                }
            })?;
        } else {
            self.certificate.verify(&slot, self.value, config)?;
        }
        let known = chain.head_at(self.k);
        if known.is_some_and(|it| it != slot.child_parent(self.value)) {
            return Err(StatementError::AnotherEntry { k: self.k });
        }
        if known.is_none() && self.config != chain.config_index() {
            // A configuration decides nothing above the entry that ends it.
            return Err(StatementError::UnknownConfig { config: self.config });
        }
        self.claimed()
    }

    /// Checks the proof with nothing but the height and the head of an entry, as a ticket names them.
    /// The votes are not looked at: whoever knows the head knows that it was decided.
    ///
    /// # Errors
    /// [`StatementError`], naming the first thing that does not hold.
    pub fn check_head(&self, k: u64, head: Digest) -> Result<Statement, StatementError> {
        if self.k != k {
            return Err(StatementError::AnotherHeight { found: self.k, known: k });
        }
        if self.slot().child_parent(self.value) != head {
            return Err(StatementError::AnotherEntry { k });
        }
        self.claimed()
    }

    fn slot(&self) -> Slot {
        let (account, generation, config) = (self.account, self.generation, self.config);
        let roots = roots_of(self.k, self.history, self.facts);
        Slot { account, generation, config, k: self.k, parent: self.parent, roots }
    }

    /// What it claims, if that is under the roots.
    fn claimed(&self) -> Result<Statement, StatementError> {
        match &self.claim {
            Claim::Is { fact, salt, index, count, path } => {
                let tree = merkle::root_from(fact.leaf(*salt), *index, *count, path);
                let root = tree.map(|it| facts::root_of(*count, it));
                if root != Some(self.facts) {
                    return Err(StatementError::NotUnderRoot);
                }
                Ok(Statement::Is { fact: fact.clone(), k: self.k })
            }
            Claim::Was { k, value, path } => {
                if merkle::root_from(*value, *k, self.k, path) != Some(self.history) {
                    return Err(StatementError::NotUnderRoot);
                }
                Ok(Statement::Was { value: *value, k: *k })
            }
            Claim::Says(value) => {
                if value.hash() != self.value {
                    return Err(StatementError::NotUnderRoot);
                }
                Ok(Statement::Says { value: value.clone(), k: self.k })
            }
        }
    }
}
