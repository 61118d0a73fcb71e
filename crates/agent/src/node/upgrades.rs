//! Driving each proposal's coordinator: showing it what the ledger says, doing what it asks.

use std::collections::{BTreeMap, BTreeSet};

use aura_coordination::choreography::upgrade::{
    Effect as Do, Input as Saw, UpgradeCoordinator, UpgradeState,
};
use aura_distribution::{
    Rehearsal,
    consent::{check_proposal, confirmed},
};
use aura_journal::{
    Event, ProposalState,
    control::{Denied, Verdict},
};
use aura_protocol_core::{AppId, DeviceId, Digest, ModuleRef};

use crate::{
    error::AgentError,
    node::{AgentEvent, Effect, Node, RehearseJob, control::Intent},
};

/// Most open proposals of one author that a device follows at a time. Each costs it a fetch, a compile
/// and a rehearsal.
const OPEN_PER_AUTHOR_MAX: usize = 8;

impl Node {
    /// Shows every coordinator what has happened since.
    pub(super) fn advance_upgrades(&mut self) {
        let proposals: Vec<Digest> = self.ledger.state().proposals.keys().copied().collect();
        for proposal in proposals {
            if !self.upgrades.contains_key(&proposal) {
                if self.is_one_too_many(proposal) {
                    continue;
                }
                let upgrade = self.new_upgrade(proposal);
                self.upgrades.insert(proposal, upgrade);
            }
            self.advance_upgrade(proposal);
        }
    }

    /// A device follows a few open proposals of each author at a time; what is certified it follows in
    /// any case.
    fn is_one_too_many(&self, proposal: Digest) -> bool {
        let proposals = &self.ledger.state().proposals;
        let Some(known) = proposals.get(&proposal) else { return true };
        let is_open = |(other, upgrade): &(&Digest, &UpgradeCoordinator)| {
            let author = proposals.get(*other).map(|it| it.author);
            author == Some(known.author) && !is_over(upgrade.state())
        };
        known.activated_at.is_none()
            && OPEN_PER_AUTHOR_MAX <= self.upgrades.iter().filter(is_open).count()
    }

    fn new_upgrade(&self, proposal: Digest) -> UpgradeCoordinator {
        let state = self.ledger.state();
        let activated = state.proposals.get(&proposal).is_some_and(|it| it.activated_at.is_some());
        let is_active = state.apps.values().any(|it| it.active.proposal == Some(proposal));
        if activated && !is_active {
            // A later version is active: there is nothing left to do for this one.
            return UpgradeCoordinator::activated(proposal);
        }
        UpgradeCoordinator::propose(proposal, usize::from(self.ledger.chain().config().m))
    }

    fn advance_upgrade(&mut self, proposal: Digest) {
        let Some(known) = self.ledger.state().proposals.get(&proposal).cloned() else { return };
        if self.is_settled_upgrade(proposal, &known) {
            return;
        }
        match self.upgrades.get(&proposal).map(UpgradeCoordinator::state) {
            Some(UpgradeState::Proposing) => self.judge_terms(proposal, &known),
            Some(UpgradeState::Acknowledging) => self.judge_modules(proposal, &known),
            // Something that the prestate needs had not come yet.
            Some(UpgradeState::SignallingReady) => self.rehearse(&known),
            Some(UpgradeState::AwaitingQuorum) => {
                if let Some(rehearsal) = self.rehearsals.get(&proposal) {
                    let roster = &self.ledger.chain().config().roster;
                    let all = roster.keys().all(|it| rehearsal.personal.contains_key(it));
                    let ready = confirmed(&self.ledger, &known, rehearsal);
                    self.saw(proposal, Saw::Ready(ready));
                    if !all {
                        // A device has joined since, and its receipt has to be computed too.
                        self.rehearse(&known);
                    }
                }
            }
            _ => {}
        }
    }

    /// Shows certificates: this proposal's own, or one that came before it.
    fn is_settled_upgrade(&mut self, proposal: Digest, known: &ProposalState) -> bool {
        let app = known.proposal.app;
        let Some(active) = self.ledger.state().apps.get(&app).map(|it| it.active.clone()) else {
            return true;
        };
        if known.activated_at.is_none() {
            if active.version != known.proposal.from {
                self.saw(proposal, Saw::Superseded);
                return true;
            }
            return false;
        }
        if self.is_reverted(known) {
            self.saw(proposal, Saw::Reverted);
            return true;
        }
        if active.proposal != Some(proposal) {
            // A later version is active: there is nothing left to do for this one.
            self.upgrades.insert(proposal, UpgradeCoordinator::activated(proposal));
            return true;
        }
        self.saw(proposal, Saw::Certified);
        false
    }

    /// Whether its activation was taken back.
    pub(super) fn is_reverted(&self, known: &ProposalState) -> bool {
        let app = self.ledger.state().apps.get(&known.proposal.app);
        known.activated_at.is_some_and(|k| app.is_some_and(|it| it.reverted(k).is_some()))
    }

    /// The height from which on the version is active that the proposal leads away from.
    fn began_from(&self, known: &ProposalState) -> Option<u64> {
        let app = self.ledger.state().apps.get(&known.proposal.app)?;
        let until = known.activated_at.unwrap_or(u64::MAX);
        let mut before = app.versions().rev().filter(|it| it.k < until);
        before.find(|it| it.version == known.proposal.from).map(|it| it.k)
    }

    fn judge_terms(&mut self, proposal: Digest, known: &ProposalState) {
        let Some(app) = self.ledger.state().apps.get(&known.proposal.app) else { return };
        if known.activated_at.is_none() && known.proposal.expires < self.now {
            self.saw(proposal, Saw::Expired);
            return;
        }
        match check_proposal(app, known, self.now) {
            Ok(()) | Err(Verdict::Wait(_)) => self.saw(proposal, Saw::Accepted),
            Err(Verdict::Deny(Denied { code, reason })) => {
                self.saw(proposal, Saw::Refused { code, reason });
            }
            Err(Verdict::Accept) => {}
        }
    }

    fn judge_modules(&mut self, proposal: Digest, known: &ProposalState) {
        let modules = modules_of(known);
        if modules.iter().all(|it| self.has_module(&it.digest)) {
            match self.check_descriptors(known) {
                Ok(()) => self.saw(proposal, Saw::Obtained),
                Err(reason) => {
                    let code = "DescriptorMismatch".to_string();
                    self.saw(proposal, Saw::Refused { code, reason });
                }
            }
            return;
        }
        let refusal = modules.iter().find_map(|it| {
            self.module_failure(&it.digest).filter(|error| is_refusal(error)).cloned()
        });
        if let Some(AgentError { code, message, .. }) = refusal {
            self.saw(proposal, Saw::Refused { code, reason: message });
            return;
        }
        for module in modules {
            self.obtain(&module, None);
        }
    }

    fn check_descriptors(&self, known: &ProposalState) -> Result<(), String> {
        let release = &known.release;
        let migration = release.migration.iter().map(|it| (&it.module.digest, &it.descriptor));
        let said = [(&release.module.digest, &release.descriptor)].into_iter().chain(migration);
        for (digest, descriptor) in said {
            if self.descriptor(digest) != Some(descriptor) {
                return Err(format!("module {} is not what its release says", digest.short()));
            }
        }
        Ok(())
    }

    /// Shows a coordinator something, and does what it asks.
    fn saw(&mut self, proposal: Digest, input: Saw) {
        let Some(upgrade) = self.upgrades.get_mut(&proposal) else { return };
        let before = upgrade.state().clone();
        let effects = upgrade.handle(input);
        let after = upgrade.state().clone();
        if before != after {
            let state = after.to_string();
            self.log(format!("proposal {}: {state}", proposal.short()));
            self.notify(AgentEvent::Upgrade { proposal: proposal.to_string(), state });
        }
        for effect in effects {
            self.carry_out(proposal, effect);
        }
    }

    fn carry_out(&mut self, proposal: Digest, effect: Do) {
        let Some(known) = self.ledger.state().proposals.get(&proposal).cloned() else { return };
        match effect {
            Do::Acknowledge => {
                if !known.acknowledged.contains(&self.me) {
                    self.author(None, Event::AcknowledgeUpgrade { proposal });
                }
            }
            Do::Obtain => {
                for module in modules_of(&known) {
                    self.obtain(&module, None);
                }
            }
            Do::Rehearse => self.rehearse(&known),
            Do::SignalReady => self.signal_ready(&known),
            Do::Decline { code, reason } => {
                if !known.declined.contains_key(&self.me) {
                    self.author(None, Event::DeclineUpgrade { proposal, code, reason });
                }
            }
            Do::ProposeActivation => self.intents.push_back(Intent::Activate { proposal }),
            Do::Migrate => self.begin_swap(&known),
        }
    }

    fn rehearse(&mut self, known: &ProposalState) {
        let app = known.proposal.app;
        if self.rehearsing.contains(&known.unit) {
            return;
        }
        if known.activated_at.is_some() && self.ledger.is_settled(&known.unit) {
            // A snapshot stands for the prestate: m voters went from it to what was certified.
            self.saw(known.unit, Saw::Rehearsed);
            return;
        }
        let Some(target) = self.began_from(known) else { return };
        let Some(groups) = self.prestate(app, target, &[known.unit]) else { return };
        self.rehearsing.insert(known.unit);
        let signers: BTreeSet<DeviceId> =
            self.ledger.chain().config().roster.keys().copied().collect();
        self.out.push(Effect::Rehearse(Box::new(RehearseJob {
            proposal: known.unit,
            steps: known.proposal.steps.clone(),
            module: known.proposal.digest,
            version: known.release.version,
            caps: known.proposal.capabilities,
            groups,
            signers,
        })));
    }

    pub(super) fn rehearsed(&mut self, proposal: Digest, result: Result<Rehearsal, AgentError>) {
        self.rehearsing.remove(&proposal);
        match result {
            Ok(rehearsal) => {
                if let Err(reason) = self.agrees_with_certificate(proposal, &rehearsal) {
                    let code = "ResultMismatch".to_string();
                    self.saw(proposal, Saw::Refused { code, reason });
                    return;
                }
                self.rehearsals.insert(proposal, rehearsal);
                self.saw(proposal, Saw::Rehearsed);
            }
            Err(AgentError { code, message, .. }) => {
                self.saw(proposal, Saw::Refused { code, reason: message });
            }
        }
    }

    /// A device that comes after the certificate applies it only if it computes the same.
    fn agrees_with_certificate(
        &self,
        proposal: Digest,
        rehearsal: &Rehearsal,
    ) -> Result<(), String> {
        let apps = self.ledger.state().apps.values();
        let mut certified = apps.flat_map(|it| &it.activations).map(|(_, it)| it);
        let Some(activation) = certified.find(|it| it.proposal == proposal) else { return Ok(()) };
        if activation.pre_root == rehearsal.pre_root && activation.post_root == rehearsal.post_root
        {
            Ok(())
        } else {
            Err("the certified result is not what this device computed".to_string())
        }
    }

    fn signal_ready(&mut self, known: &ProposalState) {
        self.adopt(known.proposal.app, &known.release);
        self.publish_manifest();
        let receipt = self.rehearsals.get(&known.unit).and_then(|it| it.receipt(self.me));
        if let Some(receipt) = receipt
            && known.activated_at.is_none()
            && !known.ready.contains_key(&self.me)
        {
            self.author(None, Event::SignalReady { proposal: known.unit, receipt });
        }
    }

    fn begin_swap(&mut self, known: &ProposalState) {
        let app = known.proposal.app;
        let rehearsal = self.rehearsals.get(&known.unit);
        let agrees = rehearsal.map(|it| self.agrees_with_certificate(known.unit, it));
        if let Some(Err(reason)) = agrees {
            let code = "ResultMismatch".to_string();
            self.saw(known.unit, Saw::Refused { code, reason });
        } else if self.records_ready(app) {
            // A restart after the swap: there is nothing left to do.
            self.saw(known.unit, Saw::Migrated);
        } else {
            self.swap_records(app);
        }
    }

    pub(super) fn records_swapped(&mut self, app: AppId, k: u64) {
        let active = self.ledger.state().apps.get(&app).map(|it| it.active.clone());
        if let Some(active) = active.filter(|it| it.k == k)
            && let Some(proposal) = active.proposal
        {
            self.saw(proposal, Saw::Migrated);
        }
    }

    /// A migration that fails on certified ground blocks its app, and nothing else.
    pub(super) fn records_blocked(&mut self, app: AppId, error: &AgentError) {
        self.log(format!("app {} is blocked: {error}", app.short()));
        let active = self.ledger.state().apps.get(&app).and_then(|it| it.active.proposal);
        if let Some(proposal) = active {
            let (code, reason) = (error.code.clone(), error.message.clone());
            self.saw(proposal, Saw::Refused { code, reason });
        }
    }

    pub(super) fn expire_upgrades(&mut self) {
        let now = self.now;
        let proposals = self.ledger.state().proposals.values();
        let expired: Vec<Digest> = proposals
            .filter(|it| it.activated_at.is_none() && it.proposal.expires < now)
            .map(|it| it.unit)
            .collect();
        for proposal in expired {
            self.saw(proposal, Saw::Expired);
        }
    }

    /// Whether this device cannot run an app as certified.
    pub(super) fn is_blocked(&self, app: AppId) -> bool {
        self.blocked_apps().contains_key(&app)
    }

    /// How many activations were carried out here.
    pub(super) fn upgrades_active(&self) -> usize {
        let states = self.upgrades.values().map(UpgradeCoordinator::state);
        states.filter(|it| **it == UpgradeState::Active).count()
    }

    /// Apps that this device cannot run as certified, and why.
    pub(super) fn blocked_apps(&self) -> BTreeMap<AppId, String> {
        let proposals = &self.ledger.state().proposals;
        let refused = self.ledger.state().apps.iter().filter_map(|(app, it)| {
            let error = self.module_failure(&it.active.digest).filter(|it| is_refusal(it))?;
            Some((*app, format!("{}: {}", error.code, error.message)))
        });
        let blocked = self.upgrades.iter().filter_map(|(proposal, upgrade)| {
            let UpgradeState::Blocked { code, reason } = upgrade.state() else { return None };
            Some((proposals.get(proposal)?.proposal.app, format!("{code}: {reason}")))
        });
        refused.chain(blocked.filter(|(app, _)| !self.records_ready(*app))).collect()
    }
}

/// Whether nothing more happens to a proposal in this state, unless it is certified after all.
const fn is_over(state: &UpgradeState) -> bool {
    use UpgradeState as State;
    let over = matches!(state, State::Active | State::Reverted | State::Failed(_));
    over || matches!(state, State::Blocked { .. })
}

fn modules_of(known: &ProposalState) -> Vec<ModuleRef> {
    let migration = known.release.migration.iter().map(|it| it.module.clone());
    [known.release.module.clone()].into_iter().chain(migration).collect()
}

/// A verdict on the module itself, as opposed to a failure to reach it, which passes.
pub(super) fn is_refusal(error: &AgentError) -> bool {
    matches!(error.whose, crate::error::Whose::Publisher)
}
