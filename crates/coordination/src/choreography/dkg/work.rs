//! What a key generation asks of a device's key store, and what it says to the others.

use std::collections::BTreeMap;

use aura_choreography::{Dev, DeviceSet, Opening, Payload, Reason};
use aura_protocol_core::{Digest, decode, encode, limits::UNIT_BODY_BYTES_MAX};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::choreography::{
    report::Verdict,
    table::{Heard, Rested, Table},
};

/// What a key generation is for: the session's parameters. All participants are members.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Terms {
    /// The number of the sharing that results.
    pub epoch: u64,
    /// Shares that will be needed.
    pub threshold: u16,
    /// The share index of each participant, by place: distinct, from 1.
    pub indices: Vec<u16>,
}

/// What a member publishes for the others to open, or why it does not.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Payload)]
#[borsh(use_discriminant = false)]
pub enum Delivery {
    /// A share for each other member, sealed.
    Sealed(BTreeMap<Dev, Vec<u8>>),
    /// These members' commitments break the rules, as everybody can check.
    Accuse(DeviceSet),
    /// What others say rests on something else than this device heard: somebody told two devices two
    /// things, and this device cannot know who.
    Differ,
}

/// What the members were heard to say so far; empty where it is not so far yet.
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct Record {
    /// The session keys.
    pub keys: Heard<[u8; 32]>,
    /// The commitments.
    pub commits: Heard<Rested>,
    /// What was sealed for this device.
    pub sealed: Heard<Vec<u8>>,
    /// Who complained about whom.
    pub complaints: Heard<DeviceSet>,
    /// What the accused answered.
    pub answers: Heard<Rested>,
    /// The signatures on how the keys came about.
    pub words: Heard<Vec<u8>>,
}

impl Record {
    /// What a commitment rests on.
    #[must_use]
    pub fn before_commits(&self) -> Digest {
        Digest::of(&encode(&self.keys))
    }

    /// What an answer to complaints rests on.
    #[must_use]
    pub fn before_answers(&self) -> Digest {
        Digest::of(&encode(&(&self.keys, &self.commits, &self.complaints)))
    }
}

/// Which step the key store is asked to take. All but the first and the last are functions of what it
/// drew in the first, and of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum Step {
    /// A fresh session key: `[u8; 32]`.
    Enter,
    /// A commitment: [`Rested`].
    Commit,
    /// Shares for the others: [`Delivery`].
    Deliver,
    /// What came of the others' shares: [`Report`](crate::choreography::Report).
    Check,
    /// The shares that others complained about, for all to see: [`Rested`].
    Justify,
    /// What came of the answers: [`Report`](crate::choreography::Report).
    Recheck,
    /// Everybody signed: keep the share until the account adopts it. The keys' name, as a digest.
    Accept,
    /// The session is over here: forget what only it needed. Nothing.
    End,
}

/// One question to the key store.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Request {
    /// Who takes part.
    pub table: Table,
    /// What for.
    pub terms: Terms,
    /// The step.
    pub step: Step,
    /// What was heard.
    pub record: Record,
}

impl Terms {
    /// The terms in a session's parameters, if its participants can keep them.
    ///
    /// # Errors
    /// [`Reason`]; the opener's fault.
    pub fn of(opening: &Opening<'_>) -> Result<Self, Reason> {
        let other = |error| Reason::Other(format!("the terms of a key generation: {error}"));
        let terms: Self = decode(opening.params, UNIT_BODY_BYTES_MAX).map_err(other)?;
        let (members, threshold) = (opening.devices.len(), usize::from(terms.threshold));
        let indices: std::collections::BTreeSet<u16> = terms.indices.iter().copied().collect();
        let is_fit = terms.indices.len() == members
            && indices.len() == members
            && !indices.contains(&0)
            && (2..=members).contains(&threshold);
        if is_fit {
            return Ok(terms);
        }
        let what = "key generation: 2 to N of N members, each with an index of its own";
        Err(Reason::InvalidState(what.to_owned()))
    }
}

impl Delivery {
    pub(super) const fn verdict(&self) -> Verdict {
        match self {
            Self::Sealed(_) => Verdict::Fits,
            Self::Accuse(devices) => Verdict::Accuses(*devices),
            Self::Differ => Verdict::Differs,
        }
    }

    /// What is sealed for a device; nothing fits if there is nothing.
    pub(super) fn sealed_for(&self, dev: Dev) -> Vec<u8> {
        match self {
            Self::Sealed(sealed) => sealed.get(&dev).cloned().unwrap_or_default(),
            Self::Accuse(_) | Self::Differ => Vec::new(),
        }
    }
}
