//! What a key derivation asks of a device's key store, and what it says to the others.

use alloc::{collections::BTreeMap, vec::Vec};

use aura_choreography::{Cast, Dev, DeviceSet, Opening, Payload, Reason};
use aura_protocol_core::{Digest, decode, encode, limits::UNIT_BODY_BYTES_MAX};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::table::{Heard, Table};

/// Whom a key is for: one's keys are never another's. Its encoding is the context of [`Terms`].
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
#[non_exhaustive]
pub enum Purpose {
    /// The account's owner, for what they say.
    Owner(Vec<u8>),
}

/// Which key: the session's parameters.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Terms {
    /// What the key is for.
    pub context: Vec<u8>,
    /// Raised to replace a key that became known.
    pub key_version: u32,
    /// How many devices are waited for: as many as the sharing needs, and one more for each that may
    /// lie without making the others begin anew.
    pub devices: u8,
}

impl Terms {
    /// The name of what is to be derived: what a device's owner, or its rules, permit.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&encode(&(&self.context, self.key_version)))
    }

    pub(crate) fn cast(opening: &Opening<'_>) -> Result<Cast, Reason> {
        let other = |error| Reason::Other(alloc::format!("the terms of a derivation: {error}"));
        let terms: Self = decode(opening.params, UNIT_BODY_BYTES_MAX).map_err(other)?;
        Ok(opening.with_threshold(terms.devices))
    }
}

/// What a device shows of its evaluation before it shows it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Payload)]
pub struct Commitment {
    /// A fresh key: the blind is sealed to it.
    pub key: [u8; 32],
    /// To what it will reveal.
    pub digest: Digest,
}

/// How a derivation ends.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Payload)]
pub struct Derived {
    /// The blind, sealed for each device that helped.
    #[borsh(deserialize_with = "crate::table::read_heard")]
    pub blinds: BTreeMap<Dev, Vec<u8>>,
    /// The derived public key, and a proof that the opener has the key.
    pub claim: Vec<u8>,
}

/// What was heard so far.
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct Record {
    /// What the opener asks to be evaluated.
    pub initiation: Vec<u8>,
    /// The commitments that count.
    pub commits: Heard<Commitment>,
    /// What their authors revealed.
    pub reveals: Heard<Vec<u8>>,
    /// What the opener announced.
    pub derived: Option<Derived>,
}

/// Which step the key store is asked to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum Step {
    /// A blinded input and its proof: bytes. Of use at the opener alone.
    Initiate,
    /// A commitment to this device's evaluation: [`Commitment`].
    Commit,
    /// The evaluation and its proof: bytes.
    Reveal,
    /// At the opener, what all reveals make: [`Made`].
    Derive,
    /// The blind is opened and the key kept for this device's owner, if it is the announced one. Nothing,
    /// or a refusal.
    Open,
    /// The session is over here. Nothing.
    End,
}

/// What the reveals came to.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum Made {
    /// The key. Reveals that do not hold were skipped.
    Derived(Derived),
    /// Too few reveals hold; those of these do not.
    Guilty(DeviceSet),
}

/// One question to the key store.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Request {
    /// Who takes part.
    pub table: Table,
    /// Which key.
    pub terms: Terms,
    /// The step.
    pub step: Step,
    /// What was heard.
    pub record: Record,
}

impl Request {
    /// This question among all that a key store is asked: the third kind of them.
    pub const KIND: u8 = 2;

    /// What a script hands to its host.
    #[must_use]
    pub fn question(&self) -> Vec<u8> {
        encode(&(Self::KIND, self))
    }
}
