//! What a recovery is, and what it asks of a device's key store.

use aura_choreography::{Opening, Reason};
use aura_crypto::Holders;
use aura_protocol_core::{Digest, SessionId, decode, encode, limits::UNIT_BODY_BYTES_MAX};
use borsh::{BorshDeserialize, BorshSerialize};

use super::script::recovery::Roles;
use crate::choreography::{
    resharing,
    table::{Heard, Table},
};

/// To whom the account goes: the session's parameters. Guardians, new devices, and those of the account's
/// devices that are left take part.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Terms {
    /// From the guardians to the new devices. Its coordinator is one of the guardians.
    pub reshare: resharing::Terms,
    /// How often somebody has objected to earlier attempts.
    pub round: u32,
}

impl Terms {
    /// The terms in a session's parameters, if its participants can keep them.
    ///
    /// # Errors
    /// [`Reason`]; the opener's fault.
    pub fn of(opening: &Opening<'_>) -> Result<Self, Reason> {
        let other = |error| Reason::Other(format!("the terms of a recovery: {error}"));
        let terms: Self = decode(opening.params, UNIT_BODY_BYTES_MAX).map_err(other)?;
        terms.cast(opening)?;
        Ok(terms)
    }

    pub(super) fn cast(&self, opening: &Opening<'_>) -> Result<Roles, Reason> {
        let roles = self.reshare.cast(opening)?;
        let sides = (self.reshare.from.holders, self.reshare.to.holders);
        let leads = roles.old.devices.contains(roles.coord);
        if sides != (Holders::Guardians, Holders::Devices) || !leads {
            let what = "recovery: one of the guardians leads, and new devices receive";
            return Err(Reason::InvalidState(what.to_owned()));
        }
        let guardians = roles.old.with_threshold(self.approvals());
        let (all, coord, leader) = (opening.all(), opening.opener, roles.coord);
        Ok(Roles { all, coord, leader, guardians, old: roles.old, new: roles.new })
    }

    /// How many guardians have to approve: as many as their shares need, and one more after an objection,
    /// if there are that many.
    #[must_use]
    pub fn approvals(&self) -> u8 {
        let from = &self.reshare.from;
        let needed = u32::from(from.threshold).saturating_add(self.round.min(1));
        needed.min(from.devices.len() as u32).min(u32::from(u8::MAX)) as u8
    }

    /// Whether one device's objection stops it.
    #[must_use]
    pub const fn is_vetoable(&self) -> bool {
        self.round == 0
    }

    /// The name of what is to be done: what a guardian's person, or its rules, permit.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&encode(&(self.reshare.digest(), self.round)))
    }

    /// What a guardian signs when it approves.
    #[must_use]
    pub fn approval(&self, session: SessionId) -> Vec<u8> {
        encode(&(session, self.digest()))
    }
}

/// What was heard so far.
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct Record {
    /// The approvals that count.
    pub approvals: Heard<Vec<u8>>,
}

/// Which step the key store is asked to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum Step {
    /// This guardian's approval: bytes. Refused where its person did not permit it. From now on its time
    /// runs.
    Approve,
    /// Whether its time is over: nothing, or [`Refusal::NotYet`](crate::keystore::Refusal::NotYet); its
    /// host answers when it is.
    Ripe,
    /// Enough guardians approved and nobody objected: the store takes part in the resharing. Nothing, or a
    /// refusal.
    Release,
    /// The session is over here. Nothing.
    End,
}

/// One question to the key store.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Request {
    /// Who takes part.
    pub table: Table,
    /// To whom the account goes.
    pub terms: Terms,
    /// The step.
    pub step: Step,
    /// What was heard.
    pub record: Record,
}
