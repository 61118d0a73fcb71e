//! Taking part in decisions: proposing what this device wants, voting on what others want.

use aura_coordination::choreography::upgrade::{UpgradeCoordinator, UpgradeState};
use aura_distribution::{Consent, consent::activation};
use aura_journal::{
    control::{
        CertifiedEntry, Configuration, ControlMessage, Denied, Entry, EntryBody, EntryPolicy as _,
        Install, RosterEntry, Verdict, VoterOutput,
    },
    event::Event,
    sync::SyncMessage,
};
use aura_protocol_core::Digest;

use crate::{
    error::{AgentError, Whose},
    node::{AgentEvent, Effect, Node, RequestId, view},
};

/// Something that this device wants decided. It is proposed again at every free slot until it is
/// decided, cannot be any more, or is refused.
#[derive(Debug)]
pub(super) enum Intent {
    /// Let a device in.
    AddDevice {
        /// The device.
        entry: Box<RosterEntry>,
        /// Who waits.
        id: RequestId,
    },
    /// Install an app.
    Install {
        /// What to install.
        install: Box<Install>,
        /// Who waits.
        id: RequestId,
    },
    /// Activate what a proposal proposes.
    Activate {
        /// The proposal.
        proposal: Digest,
    },
}

impl Node {
    /// Votes, decides and proposes as far as it goes.
    pub(super) fn pump_control(&mut self) {
        while self.poll_voter() {}
        self.intents_met();
        self.propose_next();
        while self.poll_voter() {}
        self.intents_met();
    }

    /// One round of the voter. Says whether anything happened.
    fn poll_voter(&mut self) -> bool {
        let chain = self.ledger.chain();
        let is_voter = chain.config().voter_with_key(&self.vote_key.public()).is_some();
        let consent = Consent { ledger: &self.ledger, rehearsals: &self.rehearsals, now: self.now };
        let key = is_voter.then_some(&self.vote_key);
        let outputs = self.voter.poll(chain, &consent, key);
        let mut moved = false;
        for output in outputs {
            match output {
                VoterOutput::Vote { record, vote } => {
                    self.batch.vote_record = Some(record);
                    self.author(None, Event::Control(ControlMessage::Vote(vote)));
                    moved = true;
                }
                VoterOutput::Decided(entry) => {
                    self.decided(entry);
                    return true;
                }
                _ => {}
            }
        }
        moved && self.observe_own()
    }

    /// Shows the voter this device's own messages at once.
    fn observe_own(&mut self) -> bool {
        self.offer_new_units();
        true
    }

    fn decided(&mut self, entry: CertifiedEntry) {
        let k = entry.slot.k;
        if let Err(error) = self.ledger.import_entry(entry) {
            self.log(format!("the decision at {k} cannot be taken: {error}"));
        }
        self.voter.advance(self.ledger.chain());
    }

    /// Tells of entries that were decided since the last time, here or elsewhere, and passes them on.
    pub(super) fn note_decisions(&mut self) {
        let entries = self.ledger.chain().entries();
        let new: Vec<CertifiedEntry> = entries.iter().skip(self.noted).cloned().collect();
        self.noted = entries.len();
        for entry in new {
            let (k, says) = (entry.slot.k, view::entry_says(&entry.value));
            self.log(format!("decided at {k}: {says}"));
            self.notify(AgentEvent::Decided { k, says });
            for to in self.peers.clone() {
                let message = SyncMessage::Entries(vec![entry.clone()]);
                self.out.push(Effect::Send { to, message });
            }
        }
    }

    /// Proposes the first intent, unless a value that this device would accept is under way.
    fn propose_next(&mut self) {
        let Some(body) = self.intents.front().and_then(|it| self.body(it)) else { return };
        let past = match &body {
            EntryBody::ActivateVersion(activate) => activate.prestate.clone(),
            _ => self.ledger.heads(),
        };
        let value = Entry { past, body };
        let slot = self.ledger.chain().next_slot();
        let consent = Consent { ledger: &self.ledger, rehearsals: &self.rehearsals, now: self.now };
        let under_way = self.voter.proposals().any(|(_, other)| {
            same_body(other, &value) || !matches!(consent.check(&slot, other), Verdict::Deny(_))
        });
        if under_way {
            return;
        }
        match consent.check(&slot, &value) {
            Verdict::Accept => {
                let value = Box::new(value);
                let message = ControlMessage::Propose { slot, view: 0, value };
                self.author(None, Event::Control(message));
                self.offer_new_units();
            }
            Verdict::Wait(_) => {}
            Verdict::Deny(denied) => self.intent_denied(&denied),
        }
    }

    fn body(&self, intent: &Intent) -> Option<EntryBody> {
        match intent {
            Intent::AddDevice { entry, .. } => {
                let current = self.ledger.chain().config();
                let entries = current.roster.values().chain([&**entry]).cloned();
                Some(EntryBody::Reconfigure(Box::new(Configuration {
                    recovery: current.recovery.clone(),
                    group_key: current.group_key,
                    ..Configuration::with_defaults(entries)
                })))
            }
            Intent::Install { install, .. } => Some(EntryBody::Install(install.clone())),
            Intent::Activate { proposal } => {
                let known = self.ledger.state().proposals.get(proposal)?;
                let rehearsal = self.rehearsals.get(proposal)?;
                Some(EntryBody::ActivateVersion(Box::new(activation(known, rehearsal))))
            }
        }
    }

    fn intent_denied(&mut self, denied: &Denied) {
        let error = AgentError::new(
            denied.code.clone(),
            &denied.reason,
            Whose::Caller,
            "change what the message names, and try again",
        );
        match self.intents.pop_front() {
            Some(Intent::AddDevice { id, .. }) => {
                self.out.push(Effect::AnswerJoin { id, result: Err(error) });
            }
            Some(Intent::Install { id, .. }) => {
                self.out.push(Effect::Answer { id, result: Err(error) });
            }
            Some(Intent::Activate { proposal }) => {
                self.log(format!("proposal {} is not activated: {error}", proposal.short()));
            }
            None => {}
        }
    }

    /// Drops and answers the intents that have been decided, here or by somebody else.
    fn intents_met(&mut self) {
        for intent in std::mem::take(&mut self.intents) {
            let met = match &intent {
                Intent::AddDevice { entry, .. } => {
                    self.ledger.chain().config().roster.contains_key(&entry.device)
                }
                Intent::Install { install, .. } => {
                    self.ledger.state().apps.contains_key(&install.app)
                }
                Intent::Activate { proposal } => {
                    let upgrade = self.upgrades.get(proposal);
                    let waiting =
                        |it: &UpgradeCoordinator| *it.state() == UpgradeState::AwaitingQuorum;
                    let known = self.ledger.state().proposals.get(proposal);
                    known.is_none_or(|it| it.activated_at.is_some())
                        || !upgrade.is_some_and(waiting)
                }
            };
            if met { self.intent_met(intent) } else { self.intents.push_back(intent) }
        }
    }

    fn intent_met(&mut self, intent: Intent) {
        match intent {
            Intent::AddDevice { id, .. } => {
                let entries = self.ledger.chain().entries().to_vec();
                self.out.push(Effect::AnswerJoin { id, result: Ok(entries) });
            }
            Intent::Install { install, id } => {
                let result = self.app_response(&install.alias);
                self.out.push(Effect::Answer { id, result });
            }
            Intent::Activate { .. } => {}
        }
    }
}

/// Two proposals of one decision may differ in the units that they close over.
fn same_body(a: &Entry, b: &Entry) -> bool {
    a.body == b.body
}
