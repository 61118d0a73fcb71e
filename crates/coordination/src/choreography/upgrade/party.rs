//! One participant of an upgrade's session: this device, or the chain as this device sees it.

use std::sync::Arc;

use aura_choreography::{Body, Dev, Event, Input, Label, Payload, Seat, Session};
use aura_protocol_core::{DeviceId, Digest, SessionId, encode};

use crate::choreography::upgrade::script::{Prepared, Terms, Upgrade, upgrade};

static SCRIPT: Upgrade = Upgrade;

/// The device that proposed, as every party sees it.
const PROPOSER: Dev = Dev(0);
/// Most devices beside the chain: a session has at most 128 participants.
const DEVICES_MAX: usize = 127;

/// A session of [`Upgrade`] at one seat. It is given what concerns that seat and no more: the script
/// waits for the proposer, for the chain, and at the chain for a quorum.
pub(super) struct Party {
    session: Session,
    chain: Dev,
}

impl Party {
    /// This device, beside a proposer and the chain.
    pub(super) fn device(proposal: Digest) -> Option<Self> {
        Self::new(proposal, 2, 1, Dev(1))
    }

    /// The chain, which waits for `quorum` ready devices.
    pub(super) fn chain(proposal: Digest, quorum: usize) -> Option<Self> {
        let devices = quorum.clamp(1, DEVICES_MAX);
        let mut party = Self::new(proposal, devices, devices as u8, Dev(devices as u8))?;
        party.hear(PROPOSER, upgrade::PROPOSE, &proposal);
        // The chain has nothing to prepare.
        party.prepared(&Prepared::Rehearsed);
        Some(party)
    }

    /// None only if the script had no roles for such terms, which it has for all of these.
    fn new(proposal: Digest, devices: usize, quorum: u8, me: Dev) -> Option<Self> {
        let ids = (0..=devices as u8).map(|it| DeviceId::from_bytes([it; 32])).collect();
        let session = SessionId::from_bytes(*proposal.as_bytes());
        let params = encode(&Terms { proposal, quorum });
        let seat = Seat::new(&SCRIPT, session, me, PROPOSER, ids, params).ok()?;
        let mut session = Session::new(&SCRIPT, Arc::new(seat));
        session.step(Input::Start).ok()?;
        Some(Self { session, chain: Dev(devices as u8) })
    }

    /// The proposal reaches this seat. Gives what the session says.
    pub(super) fn proposed(&mut self, proposal: Digest) -> Vec<Label> {
        self.hear(PROPOSER, upgrade::PROPOSE, &proposal)
    }

    /// This seat's own work is over.
    pub(super) fn prepared(&mut self, prepared: &Prepared) -> Vec<Label> {
        self.step(Input::Signal(encode(prepared)))
    }

    /// A certificate is the chain's decision.
    pub(super) fn certified(&mut self) -> Vec<Label> {
        self.hear(self.chain, upgrade::ACTIVATE, &())
    }

    /// So many devices are ready.
    pub(super) fn ready(&mut self, count: usize) -> Vec<Label> {
        let devices = (0..self.chain.0).map(Dev).take(count);
        devices.flat_map(|it| self.hear(it, upgrade::READY, &())).collect()
    }

    /// Whether the session has learned that the version is activated.
    pub(super) fn is_activated(&self) -> bool {
        matches!(self.session.ended(), Some(Ok(_)))
    }

    fn hear(&mut self, author: Dev, label: Label, value: &impl Payload) -> Vec<Label> {
        let body = Body::new(&encode(value));
        self.step(Input::Event(Event { author, label, round: 0, body }))
    }

    /// What comes after the end is nobody's concern.
    fn step(&mut self, input: Input) -> Vec<Label> {
        let said = self.session.step(input).map(|it| it.emit).unwrap_or_default();
        said.iter().map(|it| it.label).collect()
    }
}

impl Clone for Party {
    /// The same answers lead to the same state.
    fn clone(&self) -> Self {
        let seat = Arc::new(self.session.seat().clone());
        let session = Session::restore(&SCRIPT, Arc::clone(&seat), &self.session.snapshot());
        // A session reads its own snapshot; if ever it did not, it would begin anew.
        let session = session.unwrap_or_else(|_| Session::new(&SCRIPT, seat));
        Self { session, chain: self.chain }
    }
}

impl PartialEq for Party {
    fn eq(&self, other: &Self) -> bool {
        self.session.snapshot() == other.session.snapshot()
    }
}

impl std::fmt::Debug for Party {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Party").field("log", &self.session.log()).finish_non_exhaustive()
    }
}
