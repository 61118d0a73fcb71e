//! Detached votes, and the ledger messages that carry them.

use aura_crypto::{Context, Domain, PublicKey, SecretKey, Signature, SignatureError};
use aura_protocol_core::{Digest, encode};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::control::{Announcement, Entry, RecoveryRequest, RecoveryWord, Slot};

/// What a vote says: the two phases of a decision, and the way from one attempt to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum Phase {
    /// "I have checked this value and voted for no other in this view."
    Prepare,
    /// "I have seen a quorum prepared for it, and am locked on it." A quorum of these decides.
    Commit,
    /// "I have left the views below this one." The value is the one that the voter is locked on, or
    /// zero. Not a vote for it: it only brings devices whose votes were split into one view.
    NewView,
}

/// A signature by a vote key over (σ, phase, view, H(value)), valid outside whatever carries it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Vote {
    /// Which place on the chain.
    pub slot: Slot,
    /// Which phase.
    pub phase: Phase,
    /// Which attempt at this slot.
    pub view: u64,
    /// The hash of the value voted for.
    pub value: Digest,
    /// The voter's key, canonical.
    pub key: PublicKey,
    /// Its signature.
    pub signature: Signature,
}

/// What travels in units to get a slot decided.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
#[non_exhaustive]
pub enum ControlMessage {
    /// A value for a slot.
    Propose {
        /// Which place on the chain.
        slot: Slot,
        /// Which attempt.
        view: u64,
        /// The value.
        value: Box<Entry>,
    },
    /// A vote for a value.
    Vote(Box<Vote>),
    /// The vote key that the unit's author will use next. Concerns no slot.
    Announce(Announcement),
    /// A recovery key asks for another generation. Concerns no slot.
    RequestRecovery(Box<RecoveryRequest>),
    /// What somebody says of such a request. Concerns no slot.
    Recovery(Box<RecoveryWord>),
}

impl Vote {
    /// A vote, signed.
    #[must_use]
    pub fn sign(slot: Slot, phase: Phase, view: u64, value: Digest, key: &SecretKey) -> Self {
        let signature = key.sign(&context(&slot), &signed_body(&slot, phase, view, value));
        Self { slot, phase, view, value, key: key.public(), signature }
    }

    /// Whether the key signed it. Says nothing on whether the key may vote.
    ///
    /// # Errors
    /// [`SignatureError`] when it did not.
    pub fn verify(&self) -> Result<(), SignatureError> {
        let body = signed_body(&self.slot, self.phase, self.view, self.value);
        self.key.verify(&context(&self.slot), &body, &self.signature)
    }
}

fn context(slot: &Slot) -> Context {
    Context { domain: Domain::Vote, account: slot.account, epoch: slot.config }
}

/// (σ, phase, view, H(value)) in canonical encoding: what a vote signs.
pub(crate) fn signed_body(slot: &Slot, phase: Phase, view: u64, value: Digest) -> Vec<u8> {
    encode(&(slot, phase, view, value))
}
