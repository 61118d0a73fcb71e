//! One upgrade on one device: what its driver sees becomes the session's input, and what the session
//! says becomes the driver's work.

use aura_protocol_core::Digest;

use crate::choreography::upgrade::{
    party::Party,
    script::{Prepared, upgrade},
    state::{FailureReason, UpgradeState},
};

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The fold accepted the proposal, and its terms allow an activation.
    Accepted,
    /// The modules are here, verified and compiled.
    Obtained,
    /// The rehearsal worked.
    Rehearsed,
    /// This device refuses: a module, a rehearsal or the proposal's terms.
    Refused {
        /// The stable name of the reason.
        code: String,
        /// The reason, for people.
        reason: String,
    },
    /// This many voters have signalled ready with receipts that this device confirms.
    Ready(usize),
    /// The activation is certified, with or without this device.
    Certified,
    /// The records are migrated, and the result is the certified one.
    Migrated,
    /// The proposal's time is over.
    Expired,
    /// Another activation of the app was certified.
    Superseded,
    /// Its activation was taken back.
    Reverted,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Write that the proposal was seen.
    Acknowledge,
    /// Fetch, verify and compile its modules.
    Obtain,
    /// Migrate the prestate on trial, and run the new version's challenge trace.
    Rehearse,
    /// Announce the new version in the manifest, and sign a receipt.
    SignalReady,
    /// Write that this device refuses, and why.
    Decline {
        /// The stable name of the reason.
        code: String,
        /// The reason, for people.
        reason: String,
    },
    /// Propose the activation for the next slot of the control chain.
    ProposeActivation,
    /// Migrate what there is, and swap.
    Migrate,
}

/// One upgrade on one device: its seat in the session of [`super::script`], and beside it the chain's
/// seat, which says when a quorum is there.
#[derive(Debug, Clone)]
pub struct UpgradeCoordinator {
    proposal: Digest,
    state: UpgradeState,
    device: Option<Party>,
    chain: Option<Party>,
    certified: bool,
    proposed: bool,
}

/// The same proposal in the same state, with the same still to be said.
impl PartialEq for UpgradeCoordinator {
    fn eq(&self, other: &Self) -> bool {
        let seen = |it: &Self| (it.proposal, it.certified, it.proposed);
        seen(self) == seen(other)
            && self.state == other.state
            && self.device == other.device
            && self.chain == other.chain
    }
}

impl Eq for UpgradeCoordinator {}

impl UpgradeCoordinator {
    /// The upgrade that `proposal` proposes, activated by `quorum` ready voters.
    #[must_use]
    pub fn propose(proposal: Digest, quorum: usize) -> Self {
        Self {
            proposal,
            state: UpgradeState::Proposing,
            device: Party::device(proposal),
            chain: Party::chain(proposal, quorum),
            certified: false,
            proposed: false,
        }
    }

    /// An upgrade that was activated before this device's memory begins.
    #[must_use]
    pub const fn activated(proposal: Digest) -> Self {
        let state = UpgradeState::Active;
        Self { proposal, state, device: None, chain: None, certified: true, proposed: true }
    }

    /// The unit that proposed it.
    #[must_use]
    pub const fn proposal(&self) -> Digest {
        self.proposal
    }

    /// Where it stands.
    #[must_use]
    pub const fn state(&self) -> &UpgradeState {
        &self.state
    }

    /// Takes what happened, and says what is to be done. Inputs that do not concern the state are
    /// without effect, so that the ledger may show things in any order.
    pub fn handle(&mut self, input: Input) -> Vec<Effect> {
        match input {
            Input::Accepted => self.accepted(),
            Input::Obtained => self.obtained(),
            Input::Rehearsed => self.rehearsed(),
            Input::Refused { code, reason } => self.refused(code, reason),
            Input::Ready(count) => self.ready(count),
            Input::Certified => self.certified(),
            Input::Migrated => self.migrated(),
            Input::Expired => self.ended(FailureReason::TimedOut),
            Input::Superseded => self.ended(FailureReason::Superseded),
            Input::Reverted => {
                self.state = UpgradeState::Reverted;
                Vec::new()
            }
        }
    }

    fn accepted(&mut self) -> Vec<Effect> {
        if self.state != UpgradeState::Proposing {
            return Vec::new();
        }
        self.state = UpgradeState::Acknowledging;
        let proposal = self.proposal;
        let said = self.device.as_mut().map(|it| it.proposed(proposal)).unwrap_or_default();
        let mut effects = Vec::new();
        effects.extend(said.contains(&upgrade::ACKNOWLEDGE).then_some(Effect::Acknowledge));
        effects.push(Effect::Obtain);
        effects
    }

    fn obtained(&mut self) -> Vec<Effect> {
        if self.state != UpgradeState::Acknowledging {
            return Vec::new();
        }
        self.state = UpgradeState::SignallingReady;
        vec![Effect::Rehearse]
    }

    /// A device that declined once and is bound by a certificate is ready after all.
    fn rehearsed(&mut self) -> Vec<Effect> {
        if self.state != UpgradeState::SignallingReady {
            return Vec::new();
        }
        let prepared = Prepared::Rehearsed;
        let said = self.device.as_mut().map(|it| it.prepared(&prepared)).unwrap_or_default();
        if self.certified {
            self.state = UpgradeState::Activating;
            return vec![Effect::SignalReady, Effect::Migrate];
        }
        self.state = UpgradeState::AwaitingQuorum;
        said.contains(&upgrade::READY).then_some(Effect::SignalReady).into_iter().collect()
    }

    /// Only a device that is ready itself proposes the activation, and once: the driver keeps at it
    /// until the slot is decided.
    fn ready(&mut self, count: usize) -> Vec<Effect> {
        if self.state != UpgradeState::AwaitingQuorum || self.proposed {
            return Vec::new();
        }
        let said = self.chain.as_mut().map(|it| it.ready(count)).unwrap_or_default();
        self.proposed = said.contains(&upgrade::ACTIVATE);
        if self.proposed { vec![Effect::ProposeActivation] } else { Vec::new() }
    }

    /// A certificate binds every device, also one that has not begun or has refused: it gets what it
    /// lacks first, and is blocked if it cannot.
    fn certified(&mut self) -> Vec<Effect> {
        use UpgradeState as State;
        if !std::mem::replace(&mut self.certified, true) {
            let proposal = self.proposal;
            if let Some(device) = &mut self.device {
                device.proposed(proposal);
                device.certified();
            }
        }
        match self.state {
            State::AwaitingQuorum => {
                self.state = State::Activating;
                vec![Effect::Migrate]
            }
            State::Proposing | State::Failed(_) => {
                self.state = State::Acknowledging;
                vec![Effect::Obtain]
            }
            _ => Vec::new(),
        }
    }

    /// The version is active where the session has ended with it and the records are migrated.
    fn migrated(&mut self) -> Vec<Effect> {
        let activated = self.device.as_ref().is_some_and(Party::is_activated);
        if self.state == UpgradeState::Activating && activated {
            self.state = UpgradeState::Active;
        }
        Vec::new()
    }

    fn refused(&mut self, code: String, reason: String) -> Vec<Effect> {
        use UpgradeState as State;
        if matches!(self.state, State::Active | State::Reverted | State::Failed(_)) {
            return Vec::new();
        }
        let proposal = self.proposal;
        if let Some(device) = &mut self.device {
            device.proposed(proposal);
            let (code, reason) = (code.clone(), reason.clone());
            device.prepared(&Prepared::Refused { code, reason });
        }
        if self.certified {
            self.state = UpgradeState::Blocked { code, reason };
            return Vec::new();
        }
        let denied = FailureReason::Denied { code: code.clone(), reason: reason.clone() };
        self.state = UpgradeState::Failed(denied);
        vec![Effect::Decline { code, reason }]
    }

    /// The first reason stays.
    fn ended(&mut self, reason: FailureReason) -> Vec<Effect> {
        if !self.certified && !matches!(self.state, UpgradeState::Failed(_)) {
            self.state = UpgradeState::Failed(reason);
        }
        Vec::new()
    }
}
