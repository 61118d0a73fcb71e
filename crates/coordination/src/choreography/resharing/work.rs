//! What a resharing is, what it asks of a device's key store, and what it says to the others.

use std::collections::{BTreeMap, BTreeSet};

use aura_choreography::{Completed, Conclude, Dev, DeviceSet, Members, Opening, Payload, Reason};
use aura_crypto::{Derivation, Holders, Message as _, Sharing, Signing};
use aura_protocol_core::{
    DeviceId, Digest, Outcome as Ending, SessionId, decode, encode, limits::UNIT_BODY_BYTES_MAX,
};
use borsh::{BorshDeserialize, BorshSerialize};

use super::script::resharing::Roles;
use crate::{
    choreography::{
        Report, locking,
        sign::{self, Group, Purpose},
        table::{Heard, Rested, Table},
    },
    keystore::{Keys, name_of},
};

/// How many sharings a generation of the account has room for, as a power of two.
const GENERATION_BITS: u32 = 24;

/// Who holds a sharing of the account's keys.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Side {
    /// The account's devices, or its guardians.
    pub holders: Holders,
    /// The sharing's number.
    pub epoch: u64,
    /// Shares that are needed.
    pub threshold: u16,
    /// The share index of each holder, from 1.
    pub devices: BTreeMap<DeviceId, u16>,
}

/// The public parts of the sharings of both keys.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Sharings {
    /// Of the key that signs.
    pub signing: Vec<u8>,
    /// Of the key that others are derived from.
    pub derivation: Vec<u8>,
}

/// From whom to whom: the session's parameters.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Terms {
    /// Who decides, and has to get the lock.
    pub coordinator: DeviceId,
    /// The lock.
    pub lock: locking::Terms,
    /// Who holds the shares.
    pub from: Side,
    /// Who will.
    pub to: Side,
    /// What is held: every replica knows it, also those who hold nothing yet.
    pub sharings: Sharings,
}

impl Sharings {
    /// The public parts of these keys.
    #[must_use]
    pub fn of(keys: &Keys) -> Self {
        let (signing, derivation) = (keys.signing.1.to_bytes(), keys.derivation.1.to_bytes());
        Self { signing, derivation }
    }

    /// The name of the keys that these are the public parts of; none where they are of no keys.
    #[must_use]
    pub fn name(&self) -> Option<Digest> {
        let signing = Sharing::<Signing>::from_bytes(&self.signing).ok()?;
        let derivation = Sharing::<Derivation>::from_bytes(&self.derivation).ok()?;
        Some(name_of(signing.id(), derivation.id()))
    }
}

impl Side {
    /// Those who hold these keys.
    #[must_use]
    pub fn of(keys: &Keys) -> Self {
        let sharing = &keys.signing.1;
        Self {
            holders: sharing.context().holders,
            epoch: sharing.context().epoch,
            threshold: sharing.threshold(),
            devices: keys.holders.iter().map(|(device, index)| (*device, index.get())).collect(),
        }
    }

    /// These devices as the next holders: whoever holds a share already keeps its index, and a new one gets
    /// an index that nobody has.
    #[must_use]
    pub fn next(&self, devices: &BTreeSet<DeviceId>, threshold: u16) -> Self {
        let mut free = (1..=u16::MAX).filter(|it| !self.devices.values().any(|used| used == it));
        let index =
            |it: &DeviceId| Some((*it, self.devices.get(it).copied().or_else(|| free.next())?));
        Self {
            holders: self.holders,
            epoch: self.epoch.saturating_add(1),
            threshold,
            devices: devices.iter().filter_map(index).collect(),
        }
    }

    /// These guardians as holders of a sharing of their own, beside that of the account's devices.
    #[must_use]
    pub fn guardians(&self, guardians: &BTreeSet<DeviceId>, threshold: u16) -> Self {
        Self {
            holders: Holders::Guardians,
            epoch: self.epoch.saturating_add(1),
            threshold,
            devices: guardians.iter().copied().zip(1..).collect(),
        }
    }

    /// These devices as the next holders of the account's keys, which guardians bring back in this generation
    /// of the account. No sharing of an earlier generation has as high a number.
    #[must_use]
    pub fn regained(&self, devices: &BTreeSet<DeviceId>, threshold: u16, generation: u64) -> Self {
        let begins = generation.saturating_mul(1 << GENERATION_BITS);
        Self {
            holders: Holders::Devices,
            epoch: self.epoch.max(begins).saturating_add(1),
            threshold,
            devices: devices.iter().copied().zip(1..).collect(),
        }
    }

    fn check(&self) -> Result<(), Reason> {
        let indices: BTreeSet<u16> = self.devices.values().copied().collect();
        let (devices, threshold) = (self.devices.len(), usize::from(self.threshold));
        let is_size = (2..=devices).contains(&threshold) || (devices, threshold) == (1, 1);
        if indices.len() == devices && !indices.contains(&0) && is_size {
            return Ok(());
        }
        let what = "resharing: 1 of 1, or 2 to N of N holders, each with an index of its own";
        Err(Reason::InvalidState(what.to_owned()))
    }

    fn members(&self, opening: &Opening<'_>) -> Members {
        let places = self.devices.keys().filter_map(|it| opening.place(it));
        Members::of(places.collect()).with_threshold(self.threshold.min(u16::from(u8::MAX)) as u8)
    }
}

impl Terms {
    /// The terms in a session's parameters, if its participants can keep them: all who will hold
    /// shares, and enough of those who do.
    ///
    /// # Errors
    /// [`Reason`]; the opener's fault.
    pub fn of(opening: &Opening<'_>) -> Result<Self, Reason> {
        let other = |error| Reason::Other(format!("the terms of a resharing: {error}"));
        let terms: Self = decode(opening.params, UNIT_BODY_BYTES_MAX).map_err(other)?;
        terms.cast(opening)?;
        Ok(terms)
    }

    /// Who plays which role.
    pub(crate) fn cast(&self, opening: &Opening<'_>) -> Result<Roles, Reason> {
        let invalid = |what: &str| Reason::InvalidState(format!("resharing: {what}"));
        self.from.check()?;
        self.to.check()?;
        if self.to.devices.keys().any(|it| opening.place(it).is_none()) {
            return Err(invalid("whoever receives takes part"));
        }
        if self.to.epoch <= self.from.epoch {
            return Err(invalid("the number has to rise"));
        }
        let shares_both = |it: &DeviceId| self.from.devices.contains_key(it);
        if self.from.holders != self.to.holders && self.to.devices.keys().any(shares_both) {
            return Err(invalid("a device is not its own account's guardian"));
        }
        let coord = opening.place(&self.coordinator);
        let coord = coord.ok_or_else(|| invalid("the coordinator takes part"))?;
        let (old, new) = (self.from.members(opening), self.to.members(opening));
        Ok(Roles { all: opening.all(), coord, old, new })
    }

    /// The name of what is to be done: what a device's owner, or its rules, permit. Tries for the lock
    /// do not change it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&encode(&(&self.from, &self.to, &self.sharings)))
    }

    /// Those who hold the shares.
    #[must_use]
    pub fn old_group(&self) -> Group {
        Group { sharing: self.sharings.signing.clone(), holders: self.from.devices.clone() }
    }

    /// Those who will.
    #[must_use]
    pub fn new_group(&self, outcome: &Outcome) -> Group {
        Group { sharing: outcome.signing.clone(), holders: self.to.devices.clone() }
    }

    /// What the new holders sign together: that it worked.
    #[must_use]
    pub fn proof(&self, session: SessionId, agreed: &Agreement) -> sign::Terms {
        self.signature(Purpose::ResharingProof, self.to.threshold, session, agreed)
    }

    /// What the old ones sign: that it is to count.
    #[must_use]
    pub fn authority(&self, session: SessionId, agreed: &Agreement) -> sign::Terms {
        self.signature(Purpose::ResharingAuthority, self.from.threshold, session, agreed)
    }

    fn signature(
        &self,
        purpose: Purpose,
        signers: u16,
        session: SessionId,
        agreed: &Agreement,
    ) -> sign::Terms {
        let (body, epoch) = (encode(&(session, agreed)), self.lock.epoch);
        sign::Terms { purpose, epoch, body, signers: signers.min(u16::from(u8::MAX)) as u8 }
    }
}

/// What everybody agreed that the dealings lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize, Payload)]
pub struct Agreement {
    /// The name of the keys that result: what the control chain certifies.
    pub name: Digest,
    /// How they came about.
    pub transcript: Digest,
}

/// How a resharing ends.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Reshared {
    /// The session that leads to it: under it the new shares wait to be adopted.
    pub session: SessionId,
    /// What was agreed on.
    pub agreed: Agreement,
    /// The number of the sharing that results.
    pub epoch: u64,
    /// By those who hold the new shares.
    pub proof: Vec<u8>,
    /// By those who hold the old ones.
    pub authority: Vec<u8>,
}

impl Conclude for Reshared {
    fn conclude(self) -> Ending {
        Completed::of(&self).conclude()
    }
}

/// What was heard so far; empty where it is not so far yet.
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct Record {
    /// The receivers' session keys.
    pub keys: Heard<[u8; 32]>,
    /// Who deals.
    pub dealers: DeviceSet,
    /// What they dealt.
    pub dealings: Heard<Rested>,
    /// Who complained about whom.
    pub complaints: Heard<DeviceSet>,
    /// What the accused answered.
    pub answers: Heard<Rested>,
    /// The receivers' proofs that they have their shares.
    pub words: Heard<Vec<u8>>,
    /// What the coordinator says that it comes to.
    pub agreed: Option<Agreement>,
}

impl Record {
    /// What a dealing rests on.
    #[must_use]
    pub fn before_dealings(&self) -> Digest {
        Digest::of(&encode(&(&self.keys, self.dealers)))
    }

    /// What an answer to complaints rests on.
    #[must_use]
    pub fn before_answers(&self) -> Digest {
        Digest::of(&encode(&(&self.keys, self.dealers, &self.dealings, &self.complaints)))
    }

    /// The pairs of a complaint: who complains about whom. Nobody complains about itself.
    pub fn pairs(&self) -> impl Iterator<Item = (Dev, Dev)> {
        let about = |(by, about): (&Dev, &DeviceSet)| {
            let by = *by;
            about.iter().map(move |it| (by, it))
        };
        self.complaints.iter().flat_map(about).filter(|(by, it)| by != it)
    }
}

/// Which step the key store is asked to take. All but the first and the last are functions of what it
/// drew in the first, and of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum Step {
    /// A fresh session key: `[u8; 32]`. Refused where this device was not permitted to take part.
    Enter,
    /// Whether this device would deal: nothing. Refused where it was not permitted to, or does not hold what
    /// is reshared: it may receive all the same.
    Offer,
    /// Its share, dealt anew: [`Rested`].
    Deal,
    /// What came of the dealings: [`Findings`].
    Check,
    /// The sub-shares that others complained about, for all to see: [`Rested`].
    Justify,
    /// What came of the answers: [`Findings`].
    Recheck,
    /// Every receiver has its share, and everybody found the same: keep the new share until the account
    /// adopts it. Nothing, or a refusal.
    Accept,
    /// The session is over here: forget what only it needed. Nothing.
    End,
}

/// What a device found.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Findings {
    /// What it says, if it receives.
    pub report: Report,
    /// What the dealings lead to; none where they lead to nothing.
    pub outcome: Option<Outcome>,
}

impl From<Report> for Findings {
    fn from(report: Report) -> Self {
        Self { report, outcome: None }
    }
}

/// What dealings lead to.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Outcome {
    /// In short.
    pub agreement: Agreement,
    /// The public part of the new sharing of the key that signs.
    pub signing: Vec<u8>,
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
