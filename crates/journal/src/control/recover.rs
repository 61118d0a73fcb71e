//! The way out of a frozen chain and of a lost majority: the chain goes on from an entry that stands, under
//! a new roster, signed by the recovery role that the configuration there names.
//!
//! Invariants:
//! - INV-J62: a generation begins only with enough signatures of the recovery role that the entry before it
//!   names, and none of their signatures does for another place, value or purpose.
//! - INV-J63: the highest generation wins from its parent on, whichever is seen first.

use std::collections::BTreeMap;

use aura_crypto::{Context, Domain, PublicKey, SecretKey, Signature, SignatureError};
use aura_protocol_core::{AccountId, Digest, encode};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::control::{
    Certificate, CertificateError, CertifiedEntry, ChainError, Configuration, ControlChain, Entry,
    EntryBody, Slot,
};

/// In which generation indices of configurations begin: no index ever stands for two configurations.
const CONFIGS_PER_GENERATION: u32 = 32;

/// The chain goes on from the entry before this one, in another generation and under this configuration.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Recover {
    /// Above every one before.
    pub generation: u64,
    /// The configuration that begins.
    pub config: Configuration,
    /// [`RecoveryRequest::id`]: what was asked for, and could be vetoed.
    pub request: Digest,
}

/// Somebody with a recovery key asks that the account goes on under another configuration. It can be
/// granted once the recovery role's time is over, unless the account vetoes it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RecoveryRequest {
    /// The generation that is to begin.
    pub generation: u64,
    /// The index of the configuration in force, whose recovery role decides.
    pub config: u64,
    /// The configuration that is to begin.
    pub next: Configuration,
    /// Drawn at random: what was vetoed can be asked for again.
    pub nonce: [u8; 32],
    /// Who asks: a key of the recovery role.
    pub key: PublicKey,
    /// Its signature over all of this.
    pub signature: Signature,
}

/// What somebody in the account says of a request to recover it, under its unit's signature.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RecoveryWord {
    /// [`RecoveryRequest::id`].
    pub request: Digest,
    /// What.
    pub says: RecoverySays,
}

/// What can be said of a request to recover the account.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum RecoverySays {
    /// A guardian's person confirmed whose devices the new ones are.
    Approve,
    /// A guardian's time is over: its part of the certificate of the entry that grants the request over the
    /// request's own unit.
    Sign {
        /// Its key in the recovery role.
        key: Box<PublicKey>,
        /// Over the slot and the entry.
        signature: Signature,
    },
    /// Somebody does not want it.
    Object,
    /// Whoever asked takes it back.
    Cancel,
    /// Guardians are asked for an answer.
    Nudge,
}

impl RecoveryRequest {
    /// A request, signed.
    #[must_use]
    pub fn new(
        chain: &ControlChain,
        next: Configuration,
        nonce: [u8; 32],
        key: &SecretKey,
    ) -> Self {
        let (slot, _) = chain.recovers_from();
        let (generation, config) = (slot.generation, slot.config);
        let body = (generation, config, &next, nonce, key.public());
        let context = request_context(slot.account, config);
        let signature = key.sign(&context, &encode(&body));
        Self { generation, config, next, nonce, key: key.public(), signature }
    }

    /// Whether its key signed it. Says nothing on whether the key may ask.
    ///
    /// # Errors
    /// [`SignatureError`] when it did not.
    pub fn verify(&self, account: AccountId) -> Result<(), SignatureError> {
        let body = (self.generation, self.config, &self.next, self.nonce, self.key);
        self.key.verify(&request_context(account, self.config), &encode(&body), &self.signature)
    }

    /// What vetoes and recoveries name it by.
    #[must_use]
    pub fn id(&self) -> Digest {
        Digest::tagged("aura recovery request v1", &[&encode(self)])
    }

    /// The entry that grants it.
    #[must_use]
    pub fn granted(&self, past: Vec<Digest>) -> Entry {
        let (generation, config, request) = (self.generation, self.next.clone(), self.id());
        Entry { past, body: EntryBody::Recover(Box::new(Recover { generation, config, request })) }
    }
}

const fn request_context(account: AccountId, config: u64) -> Context {
    Context { domain: Domain::RecoveryRequest, account, epoch: config }
}

fn context(slot: &Slot) -> Context {
    Context { domain: Domain::Recovery, account: slot.account, epoch: slot.config }
}

/// The index of the configuration with which a generation begins.
pub(super) const fn first_config(generation: u64) -> u64 {
    generation << CONFIGS_PER_GENERATION
}

/// The signature of a recovery key over the entry at a slot.
#[must_use]
pub fn sign_recovery(slot: &Slot, value: &Entry, key: &SecretKey) -> Signature {
    key.sign(&context(slot), &encode(&(slot, value.hash())))
}

/// Whether this is a recovery key's signature over the entry at a slot. Says nothing on whether the key counts.
#[must_use]
pub fn is_recovery_signature(
    slot: &Slot,
    value: &Entry,
    key: &PublicKey,
    signature: &Signature,
) -> bool {
    key.verify(&context(slot), &encode(&(slot, value.hash())), signature).is_ok()
}

/// Checks that the recovery role of `config` decided `value` at `slot`.
pub(super) fn verify_recovery(
    certificate: &Certificate,
    slot: &Slot,
    value: Digest,
    config: &Configuration,
) -> Result<(), ChainError> {
    let Some(threshold) = config.recovery.threshold() else {
        return Err(ChainError::NoRecovery);
    };
    let keys = config.recovery_keys();
    let body = encode(&(slot, value));
    for (key, signature) in &certificate.votes {
        if !keys.contains(key) {
            return Err(CertificateError::NotAVoter { key: Box::new(*key) }.into());
        }
        key.verify(&context(slot), &body, signature)
            .map_err(|_| CertificateError::BadSignature { key: Box::new(*key) })?;
    }
    let (found, needed) = (certificate.votes.len(), usize::from(threshold));
    if found < needed {
        return Err(CertificateError::TooFewVotes { found, needed }.into());
    }
    Ok(())
}

impl ControlChain {
    /// The slot at which a recovery goes on: after the newest entry, or where the chain is frozen, in the
    /// place of the first of which there are two.
    #[must_use]
    pub fn recovery_slot(&self, generation: u64) -> Slot {
        let own = self.frozen().and_then(|other| {
            let is_recovery = matches!(&other.value.body, EntryBody::Recover(_));
            let begins = |it: &&CertifiedEntry| it.slot.generation == other.slot.generation;
            let begun = self.entries().iter().find(begins).filter(|_| is_recovery);
            let k = begun.map_or(other.slot.k, |it| it.slot.k.min(other.slot.k));
            self.entry(k)
        });
        Slot { generation, ..own.map_or_else(|| self.next_slot(), |it| it.slot) }
    }

    /// Where the next generation would begin, and the configuration whose recovery role decides that.
    #[must_use]
    pub fn recovers_from(&self) -> (Slot, &Configuration) {
        let slot = self.recovery_slot(self.generation().saturating_add(1));
        (slot, self.config_at(slot.config).unwrap_or_else(|| self.config()))
    }

    /// The entry that grants a request, with these signatures by recovery keys. It is not appended yet.
    #[must_use]
    pub fn recovered(
        &self,
        value: Entry,
        generation: u64,
        votes: BTreeMap<PublicKey, Signature>,
    ) -> CertifiedEntry {
        let slot = self.recovery_slot(generation);
        CertifiedEntry { slot, value, certificate: Certificate { view: 0, votes } }
    }

    /// Whether the account has certified a veto against a request.
    #[must_use]
    pub fn is_vetoed(&self, request: Digest) -> bool {
        let vetoes = |it: &CertifiedEntry| matches!(&it.value.body, EntryBody::VetoRecovery { request: of } if *of == request);
        self.entries().iter().any(vetoes)
    }
}
