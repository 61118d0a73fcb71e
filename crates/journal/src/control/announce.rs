//! Announcements of vote keys: which key a device will vote with next.
//!
//! A vote key is in force from one configuration on until another takes its place, and is erased then. The
//! next one must be known before, so a device says it in the ledger, in a unit, as soon as the one before
//! is in force.

use aura_crypto::{Context, Domain, PublicKey, SecretKey, Signature, SignatureError};
use aura_protocol_core::{AccountId, DeviceId, encode};
use borsh::{BorshDeserialize, BorshSerialize};

/// The vote key that a device will use next, and that it holds it: nobody announces another one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Announcement {
    /// The key.
    pub key: PublicKey,
    /// Its signature over the device.
    pub proof: Signature,
}

impl Announcement {
    /// The announcement of `key` by `device`.
    #[must_use]
    pub fn new(account: AccountId, device: DeviceId, key: &SecretKey) -> Self {
        let proof = key.sign(&context(account), &encode(&device));
        Self { key: key.public(), proof }
    }

    /// Whether `device` holds the key.
    ///
    /// # Errors
    /// [`SignatureError`] when it does not.
    pub fn verify(&self, account: AccountId, device: DeviceId) -> Result<(), SignatureError> {
        self.key.verify(&context(account), &encode(&device), &self.proof)
    }
}

/// A key that was announced may be taken in any later configuration.
const fn context(account: AccountId) -> Context {
    Context { domain: Domain::VoteKey, account, epoch: 0 }
}
