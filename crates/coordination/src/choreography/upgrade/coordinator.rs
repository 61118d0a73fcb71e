//! The transitions of an upgrade.

use aura_protocol_core::Digest;

use crate::choreography::upgrade::state::{FailureReason, UpgradeState};

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

/// One upgrade on one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpgradeCoordinator {
    proposal: Digest,
    quorum: usize,
    state: UpgradeState,
    certified: bool,
    proposed: bool,
}

impl UpgradeCoordinator {
    /// The upgrade that `proposal` proposes, activated by `quorum` ready voters.
    #[must_use]
    pub const fn propose(proposal: Digest, quorum: usize) -> Self {
        let state = UpgradeState::Proposing;
        Self { proposal, quorum, state, certified: false, proposed: false }
    }

    /// An upgrade that was activated before this device's memory begins.
    #[must_use]
    pub const fn activated(proposal: Digest) -> Self {
        let state = UpgradeState::Active;
        Self { proposal, quorum: 0, state, certified: true, proposed: true }
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
            Input::Certified => self.certified(),
            Input::Refused { code, reason } => self.refused(code, reason),
            Input::Superseded => self.ended(FailureReason::Superseded),
            Input::Expired => self.ended(FailureReason::TimedOut),
            other => self.advance(&other),
        }
    }

    fn advance(&mut self, input: &Input) -> Vec<Effect> {
        use UpgradeState as State;
        match (&self.state, input) {
            (State::Proposing, Input::Accepted) => {
                self.state = State::Acknowledging;
                vec![Effect::Acknowledge, Effect::Obtain]
            }
            (State::Acknowledging, Input::Obtained) => {
                self.state = State::SignallingReady;
                vec![Effect::Rehearse]
            }
            (State::SignallingReady, Input::Rehearsed) if self.certified => {
                self.state = State::Activating;
                vec![Effect::SignalReady, Effect::Migrate]
            }
            (State::SignallingReady, Input::Rehearsed) => {
                self.state = State::AwaitingQuorum;
                vec![Effect::SignalReady]
            }
            (State::AwaitingQuorum, Input::Ready(count)) if self.quorum <= *count => {
                // Said once: the driver keeps at it until the slot is decided.
                if std::mem::replace(&mut self.proposed, true) {
                    Vec::new()
                } else {
                    vec![Effect::ProposeActivation]
                }
            }
            (State::Activating, Input::Migrated) => {
                self.state = State::Active;
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// A certificate binds every device, also one that has not begun or has refused: it gets what it
    /// lacks first, and is blocked if it cannot.
    fn certified(&mut self) -> Vec<Effect> {
        use UpgradeState as State;
        self.certified = true;
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

    fn refused(&mut self, code: String, reason: String) -> Vec<Effect> {
        if matches!(self.state, UpgradeState::Active | UpgradeState::Failed(_)) {
            return Vec::new();
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
