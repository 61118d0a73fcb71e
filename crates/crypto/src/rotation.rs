//! The chain of group keys: a new key is the account's only if the old one says so, and the new one
//! too.
//!
//! For those who know nothing but a key. Resharing keeps the key, so the chain grows only when a key
//! is given up: after a quorum may have been compromised.

use alloc::vec::Vec;

use aura_protocol_core::{AccountId, Digest, UnixTime};
use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

use crate::{
    domain::{Context, Domain},
    keys::{PublicKey, Signature},
    message::Message,
};

/// One step of the chain. Both keys sign the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Rotation {
    /// One more than the version before.
    pub version: u64,
    /// The key that is given up.
    pub old: PublicKey,
    /// The key that follows.
    pub new: PublicKey,
    /// How the new key came about: the transcript that all its holders signed.
    pub transcript: Digest,
    /// After this time nobody should begin to trust the step; judged by voters' clocks.
    pub expires: UnixTime,
}

/// A step with its signatures.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedRotation {
    /// The step.
    pub rotation: Rotation,
    /// By the old key.
    pub by_old: Signature,
    /// By the new key.
    pub by_new: Signature,
}

/// The key that a chain has led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ChainHead {
    /// The account.
    pub account: AccountId,
    /// How many steps led here.
    pub version: u64,
    /// The key.
    pub key: PublicKey,
}

/// Why a step is refused. Always its author's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RotationError {
    /// The step does not follow the last one.
    #[error("key rotation: version {found} does not follow version {current} with its key")]
    Order {
        /// The version that the chain has led to.
        current: u64,
        /// The step's version.
        found: u64,
    },
    /// The old key did not sign it for this account.
    #[error("key rotation: the old key did not sign the step")]
    OldSignature,
    /// The new key did not sign it for this account.
    #[error("key rotation: the new key did not sign the step")]
    NewSignature,
}

impl Message for Rotation {
    const BYTES_MAX: usize = 8 + 32 + 32 + 32 + 8;
}

impl Message for SignedRotation {
    const BYTES_MAX: usize = Rotation::BYTES_MAX + 128;
}

impl Rotation {
    /// What both keys sign [`Message::to_bytes`] under.
    #[must_use]
    pub const fn context(&self, account: AccountId) -> Context {
        Context { domain: Domain::KeyRotation, account, epoch: self.version }
    }
}

impl ChainHead {
    /// The head after a step: exactly the next version, from exactly this key, signed by both
    /// (INV-C15).
    ///
    /// # Errors
    /// [`RotationError`].
    pub fn step(&self, step: &SignedRotation) -> Result<Self, RotationError> {
        let SignedRotation { rotation, by_old, by_new } = step;
        let next = self.version.checked_add(1);
        if next != Some(rotation.version) || rotation.old != self.key {
            let (current, found) = (self.version, rotation.version);
            return Err(RotationError::Order { current, found });
        }
        let context = rotation.context(self.account);
        let body: Vec<u8> = rotation.to_bytes();
        self.key.verify(&context, &body, by_old).map_err(|_| RotationError::OldSignature)?;
        rotation.new.verify(&context, &body, by_new).map_err(|_| RotationError::NewSignature)?;
        Ok(Self { account: self.account, version: rotation.version, key: rotation.new })
    }
}
