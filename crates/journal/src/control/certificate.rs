//! Certificates: m votes of distinct canonical keys for one value in one slot.

use std::{
    collections::BTreeMap,
    io::{self, Read},
};

use aura_crypto::{PublicKey, Signature};
use aura_protocol_core::{Digest, canonical::read_map, limits::DEVICES_MAX, quorum::decided};
use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

use crate::control::{Configuration, Entry, Phase, Slot, Vote};

/// A commit quorum. A map by key, never a list: one key counts once (`07-attack-zoo`, row 12).
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Certificate {
    /// The view in which it was reached.
    pub view: u64,
    /// The commit votes.
    #[borsh(deserialize_with = "read_votes")]
    pub votes: BTreeMap<PublicKey, Signature>,
}

/// Checking a key costs curve arithmetic, so a frame full of keys is refused by their count.
fn read_votes<R: Read>(reader: &mut R) -> io::Result<BTreeMap<PublicKey, Signature>> {
    let mut count = [0; 4];
    reader.read_exact(&mut count)?;
    if DEVICES_MAX < u32::from_le_bytes(count) as usize {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "more votes than devices"));
    }
    read_map(&mut count.as_slice().chain(reader))
}

/// A decided value with its proof.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CertifiedEntry {
    /// Where it stands.
    pub slot: Slot,
    /// What was decided.
    pub value: Entry,
    /// That it was.
    pub certificate: Certificate,
}

/// Why votes do not certify a value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// Too few distinct voters of the configuration signed.
    #[error("{found} of {needed} votes")]
    TooFewVotes {
        /// Distinct voters found.
        found: usize,
        /// Votes that the configuration asks for.
        needed: usize,
    },
    /// A vote is by a key that may not vote in this configuration.
    #[error("vote by {key}, which is no voter of this configuration")]
    NotAVoter {
        /// The key.
        key: Box<PublicKey>,
    },
    /// A vote's signature does not verify.
    #[error("vote by {key} has a bad signature")]
    BadSignature {
        /// The key.
        key: Box<PublicKey>,
    },
}

impl Certificate {
    /// Checks that the voters of `config` decided `value` at `slot`.
    ///
    /// # Errors
    /// [`CertificateError`]. One bad vote spoils a certificate, so that each has one valid form of
    /// its votes and nothing can be smuggled along.
    pub fn verify(
        &self,
        slot: &Slot,
        value: Digest,
        config: &Configuration,
    ) -> Result<(), CertificateError> {
        let needed = usize::from(config.m);
        for (key, signature) in &self.votes {
            if config.voter_with_key(key).is_none() {
                return Err(CertificateError::NotAVoter { key: Box::new(*key) });
            }
            let (slot, phase, view) = (*slot, Phase::Commit, self.view);
            let vote = Vote { slot, phase, view, value, key: *key, signature: *signature };
            vote.verify().map_err(|_| CertificateError::BadSignature { key: Box::new(*key) })?;
        }
        let counted = decided(self.votes.keys().map(|key| (*key, ())), needed);
        match counted {
            Some(_) => Ok(()),
            None => Err(CertificateError::TooFewVotes { found: self.votes.len(), needed }),
        }
    }
}
