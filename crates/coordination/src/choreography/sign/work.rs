//! What a group signature asks of a device's key store.

use std::collections::BTreeMap;

use aura_choreography::{Cast, DeviceSet, Opening, Reason};
use aura_crypto::Domain;
use aura_protocol_core::{DeviceId, Digest, decode, encode, limits::UNIT_BODY_BYTES_MAX};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::choreography::table::{Heard, Rested, Table};

/// What the group signs. Each has a domain of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
#[non_exhaustive]
pub enum Purpose {
    /// A certified checkpoint.
    Checkpoint,
    /// A lock, with its fencing number.
    LockGrant,
    /// A change of the group key.
    KeyRotation,
    /// A derived public key: a quorum derived the same one.
    DerivedKey,
    /// Nothing: a device shows that it takes part again.
    Redemption,
    /// A resharing worked: by those who hold the new shares.
    ResharingProof,
    /// A resharing worked, and is to count: by those who hold the old ones.
    ResharingAuthority,
}

impl Purpose {
    /// Its domain.
    #[must_use]
    pub const fn domain(self) -> Domain {
        match self {
            Self::Checkpoint => Domain::Checkpoint,
            Self::LockGrant => Domain::LockGrant,
            Self::KeyRotation => Domain::KeyRotation,
            Self::DerivedKey => Domain::DerivedKeyGroup,
            Self::Redemption => Domain::Redemption,
            Self::ResharingProof => Domain::ResharingProof,
            Self::ResharingAuthority => Domain::ResharingAuthority,
        }
    }
}

/// What is signed, and how many signers are waited for: the session's parameters.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Terms {
    /// What for.
    pub purpose: Purpose,
    /// The configuration that the signature is valid in.
    pub epoch: u64,
    /// What.
    pub body: Vec<u8>,
    /// How many signers are waited for: as many as the sharing needs.
    pub signers: u8,
}

impl Terms {
    /// The name of what is to be signed: what a device's owner, or its rules, permit.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&encode(&(self.purpose, self.epoch, &self.body)))
    }

    pub(super) fn cast(opening: &Opening<'_>) -> Result<Cast, Reason> {
        let other = |error| Reason::Other(format!("the terms of a signature: {error}"));
        let terms: Self = decode(opening.params, UNIT_BODY_BYTES_MAX).map_err(other)?;
        Ok(opening.with_threshold(terms.signers))
    }
}

/// Whose signature it is, where not everybody who takes part holds a share of the key, or not of the one
/// that is current.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Group {
    /// The public part of the sharing.
    pub sharing: Vec<u8>,
    /// Who holds which share.
    pub holders: BTreeMap<DeviceId, u16>,
}

/// What was heard so far.
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct Record {
    /// The nonce commitments of those who sign.
    pub nonces: Heard<Vec<u8>>,
    /// Their signature shares, each resting on the nonces that its signer heard.
    pub shares: Heard<Rested>,
    /// The signature that was announced; empty before.
    pub signature: Vec<u8>,
}

impl Record {
    /// What a share rests on.
    #[must_use]
    pub fn before_shares(&self) -> Digest {
        Digest::of(&encode(&self.nonces))
    }
}

/// Which step the key store is asked to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum Step {
    /// Fresh nonces: their commitment, as bytes.
    Nonces,
    /// A share, which spends them: [`Rested`].
    Sign,
    /// What the shares make: [`Made`].
    Aggregate,
    /// Whether the announced signature is the group's: nothing, or a refusal.
    Verify,
    /// The session is over here. Nothing.
    End,
}

/// What signature shares came to.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum Made {
    /// The signature.
    Signature([u8; 64]),
    /// Shares of these do not fit: choose signers without them.
    Guilty(DeviceSet),
    /// Some signed with other nonces than this device heard of.
    Differ,
}

/// One question to the key store.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Request {
    /// Who takes part.
    pub table: Table,
    /// What is signed.
    pub terms: Terms,
    /// Whose signature it is; without it, that of those who hold this device's current key.
    pub group: Option<Group>,
    /// The step.
    pub step: Step,
    /// What was heard.
    pub record: Record,
}
