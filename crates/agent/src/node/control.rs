//! Taking part in decisions: proposing what this device wants, voting on what others want.

use aura_coordination::choreography::upgrade::{UpgradeCoordinator, UpgradeState};
use aura_distribution::{
    Change, Consent,
    consent::{OfferedKeys, WantedGuardians, activation, revert_of},
};
use aura_journal::{
    control::{
        CertifiedEntry, ControlMessage, Denied, Entry, EntryBody, EntryPolicy as _, Install,
        ReAdmit, Revoke, RosterChange, RosterEntry, Slot, Verdict, VoterOutput,
    },
    event::Event,
    sync::SyncMessage,
};
use aura_protocol_core::{AppId, DeviceId, Digest, SessionId, UnixTime};

use crate::{
    api::{DeviceLeft, Response},
    error::{AgentError, Whose},
    node::{AgentEvent, Effect, Node, RequestId, view},
};

/// How long the first view of a contended slot lasts, in seconds. Each next one lasts twice as long
/// (`02-ledger`, section 5).
const VIEW_SECONDS: u64 = 30;
/// After this many doublings a view's time grows no more: nine hours.
const VIEW_DOUBLINGS_MAX: u64 = 10;

/// For how long a value that this device cannot judge keeps it from proposing another, in seconds.
/// What the value rests on is on its way for as long as one sync takes.
const UNJUDGED_SECONDS_MAX: u64 = 30;

/// A view of a contended slot, and since when this device has been in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Contention {
    slot: Slot,
    view: u64,
    since: UnixTime,
}

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
    /// Let a device in, in the place of another one.
    ReAdmit {
        /// What is decided.
        readmit: Box<ReAdmit>,
        /// Who waits.
        id: RequestId,
    },
    /// Send a device away.
    Revoke {
        /// Which device.
        device: DeviceId,
        /// Who waits.
        id: RequestId,
    },
    /// What the person here wants to be changed.
    Change {
        /// What.
        change: Change,
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
    /// Take a snapshot.
    Snapshot {
        /// How many there were when it was asked for.
        known: usize,
        /// Who waits; nobody where it is taken because the ledger has grown.
        id: Option<RequestId>,
    },
    /// Do not let the account be recovered.
    Veto {
        /// The request.
        request: Digest,
        /// Who waits; nobody where somebody's objection was enough for an answer.
        id: Option<RequestId>,
    },
    /// Let guardians recover the account that got their shares in a session.
    Guard {
        /// The session.
        session: SessionId,
    },
    /// Take an activation back.
    Revert {
        /// Of which app.
        app: AppId,
        /// The activation's height.
        activation: u64,
        /// Who waits.
        id: RequestId,
    },
    /// Certify the keys that a session led to.
    AdoptKeys {
        /// The session.
        session: SessionId,
    },
    /// Activate what a proposal proposes.
    Activate {
        /// The proposal.
        proposal: Digest,
    },
}

impl Intent {
    /// Whether nobody asked for it: it takes the time that it takes.
    pub(super) const fn is_upkeep(&self) -> bool {
        matches!(self, Self::Snapshot { id: None, .. } | Self::Veto { id: None, .. })
    }
}

impl Node {
    /// Measures the view of a slot for which several values are proposed, and leaves it when its time
    /// is over.
    pub(super) fn watch_contention(&mut self) {
        let Some((slot, view)) = self.voter.contended() else {
            self.contention = None;
            return;
        };
        let fresh = Contention { slot, view, since: self.now };
        let known = self.contention.filter(|it| it.slot == slot && it.view == view);
        let contention = *self.contention.insert(known.unwrap_or(fresh));
        let lasts = VIEW_SECONDS << view.min(VIEW_DOUBLINGS_MAX);
        if contention.since.saturating_add(lasts) <= self.now {
            self.log(format!("slot {}: the vote is split, on to the next view", slot.k));
            self.voter.time_out();
        }
    }

    /// Votes, decides and proposes as far as it goes.
    pub(super) fn pump_control(&mut self) {
        while self.poll_voter() {}
        self.intents_met();
        self.propose_next();
        while self.poll_voter() {}
        self.intents_met();
    }

    /// Units of this device came from others: it went on from a backup, or somebody else has its keys. What
    /// it voted since is not known here, so it votes no more, and is to be admitted anew.
    pub(super) fn went_back(&mut self) {
        if self.set_back.is_none() {
            let entry = self.ledger.chain().config().roster.get(&self.me);
            let own = entry.map_or_else(|| self.unit_key.public(), |it| it.vote_key);
            self.set_back = Some(own);
            self.keep("set-back", &own);
            self.log(
                "others have units of this device that it does not know: it went on from a backup, or was \
                 cloned. It votes no more; send it away, and let it join again as a new device"
                    .to_string(),
            );
        }
    }

    /// One round of the voter. Says whether anything happened.
    fn poll_voter(&mut self) -> bool {
        let chain = self.ledger.chain();
        let (offered, keys_used) = (self.offered_keys(), self.uses_keys());
        let guardians = self.wanted_guardians();
        let consent = Consent {
            ledger: &self.ledger,
            rehearsals: &self.rehearsals,
            leaving: &self.leaving,
            wanted: &self.wanted,
            guardians: guardians.as_ref(),
            unwanted_recoveries: &self.recoveries.unwanted,
            unwanted_activations: &self.unwanted_activations,
            offered_keys: &offered,
            keys_used,
            now: self.now,
            clock_is_sure: self.wall.doubt().is_none(),
        };
        let own = self.ledger.chain().config().roster.get(&self.me).map(|it| it.vote_key);
        let held = self.vote_keys.of(own.filter(|_| self.set_back.is_none()));
        let outputs = self.voter.poll(chain, &consent, held);
        let mut moved = false;
        for output in outputs {
            match output {
                VoterOutput::Vote { record, vote } => {
                    self.batch.vote_record = Some(record);
                    self.author(None, Event::Control(ControlMessage::Vote(vote)));
                    moved = true;
                }
                VoterOutput::Decided(entry) => return self.decided(entry),
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

    /// Says whether the chain has grown.
    fn decided(&mut self, entry: CertifiedEntry) -> bool {
        let k = entry.slot.k;
        let imported = self.ledger.import_entry(entry);
        self.voter.advance(self.ledger.chain());
        if let Err(error) = &imported {
            self.log(format!("the decision at {k} cannot be taken: {error}"));
        }
        imported.is_ok()
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

    /// Proposes the first intent that this device would vote for now, unless another value is under
    /// way. Those that can never be decided are dropped; those that have to wait hold nobody up.
    fn propose_next(&mut self) {
        if self.is_guardian() {
            return;
        }
        let slot = self.ledger.chain().next_slot();
        let mut at = 0;
        while let Some(intent) = self.intents.get(at) {
            let Some(value) = self.value(intent) else {
                at += 1;
                continue;
            };
            match self.judge_own(&slot, &value) {
                Verdict::Wait(_) => at += 1,
                Verdict::Deny(denied) => self.intent_denied(at, &denied),
                Verdict::Accept if self.is_under_way(&slot, &value) => return,
                Verdict::Accept => {
                    self.propose_value(slot, &value);
                    if self.voter.proposals().any(|(_, it)| same_body(it, &value)) {
                        return;
                    }
                    let reason = "the value cannot be proposed for this slot".to_string();
                    self.intent_denied(at, &Denied { code: "NotProposed".to_string(), reason });
                }
            }
        }
    }

    /// What nobody's chain could hold must not be proposed: it would be proposed again and again.
    fn judge_own(&self, slot: &Slot, value: &Entry) -> Verdict {
        if let Err(error) = self.ledger.chain().check_next(value) {
            let (code, reason) = (error.code().to_string(), error.to_string());
            return Verdict::Deny(Denied { code, reason });
        }
        let guardians = self.wanted_guardians();
        self.consent(&self.offered_keys(), guardians.as_ref()).check(slot, value)
    }

    fn consent<'a>(
        &'a self,
        offered_keys: &'a [OfferedKeys],
        guardians: Option<&'a WantedGuardians>,
    ) -> Consent<'a> {
        Consent {
            ledger: &self.ledger,
            rehearsals: &self.rehearsals,
            leaving: &self.leaving,
            wanted: &self.wanted,
            guardians,
            unwanted_recoveries: &self.recoveries.unwanted,
            unwanted_activations: &self.unwanted_activations,
            offered_keys,
            keys_used: self.uses_keys(),
            now: self.now,
            clock_is_sure: self.wall.doubt().is_none(),
        }
    }

    /// Whether this value, or another one that this device would vote for, is proposed for the slot.
    /// One that it cannot judge yet is given some time, so that two do not split the voters; but not
    /// for ever, since anybody can propose one that nobody will ever be able to judge.
    fn is_under_way(&mut self, slot: &Slot, value: &Entry) -> bool {
        let offered = self.offered_keys();
        let guardians = self.wanted_guardians();
        let consent = self.consent(&offered, guardians.as_ref());
        let mut waits = false;
        for (_, other) in self.voter.proposals() {
            match consent.check(slot, other) {
                _ if same_body(other, value) => return true,
                Verdict::Accept => return true,
                Verdict::Wait(_) => waits = true,
                Verdict::Deny(_) => {}
            }
        }
        if !waits {
            return false;
        }
        match self.deferred {
            Some((since, until)) if since == *slot => self.now < until,
            _ => {
                let until = self.now.saturating_add(UNJUDGED_SECONDS_MAX);
                self.deferred = Some((*slot, until));
                true
            }
        }
    }

    fn propose_value(&mut self, slot: Slot, value: &Entry) {
        let value = Box::new(value.clone());
        let message = ControlMessage::Propose { slot, view: 0, value };
        self.author(None, Event::Control(message));
        self.offer_new_units();
    }

    fn value(&self, intent: &Intent) -> Option<Entry> {
        if let Intent::Snapshot { .. } = intent {
            // A second past would be a second value: one that is proposed already will do.
            let is_snapshot = |it: &&Entry| matches!(it.body, EntryBody::Snapshot(_));
            if let Some(proposed) = self.voter.proposals().map(|(_, it)| it).find(is_snapshot) {
                return Some(proposed.clone());
            }
        }
        if let Intent::AdoptKeys { session } = intent {
            let (past, body) = self.with_keys(*session)?;
            return Some(Entry { past, body });
        }
        if let Intent::Guard { session } = intent {
            return self.guarded_by(*session);
        }
        let heads = self.ledger.heads();
        let body = self.body(intent, &heads)?;
        let past = match &body {
            EntryBody::ActivateVersion(activate) => activate.prestate.clone(),
            _ => heads,
        };
        Some(Entry { past, body })
    }

    /// What is decided by an entry that closes over `past`, where it can choose that.
    fn body(&self, intent: &Intent, past: &[Digest]) -> Option<EntryBody> {
        match intent {
            Intent::AddDevice { entry, .. } => self.with_device(entry, past),
            Intent::ReAdmit { readmit, .. } => {
                let keys = self.ledger.announced(past).ok()?;
                Some(RosterChange::ReAdmit(readmit.clone()).with_keys(keys))
            }
            Intent::Revoke { device, .. } => {
                let (last_seq, last_hash) = self.ledger.last_of(*device)?;
                let revoke = Revoke { device: *device, last_seq, last_hash };
                Some(RosterChange::Revoke(revoke).with_keys(self.ledger.announced(past).ok()?))
            }
            Intent::Install { install, .. } => Some(EntryBody::Install(install.clone())),
            // What has not arrived comes, and then it can be computed.
            Intent::Snapshot { .. } => self.ledger.snapshot(past).ok().map(EntryBody::Snapshot),
            Intent::Activate { proposal } => {
                let known = self.ledger.state().proposals.get(proposal)?;
                let rehearsal = self.rehearsals.get(proposal)?;
                Some(EntryBody::ActivateVersion(Box::new(activation(known, rehearsal))))
            }
            Intent::Veto { request, .. } => Some(EntryBody::VetoRecovery { request: *request }),
            Intent::Revert { app, activation, .. } => {
                let revert = revert_of(self.ledger.state().apps.get(app)?).ok()?;
                (revert.activation == *activation).then_some(EntryBody::RevertVersion(revert))
            }
            Intent::AdoptKeys { session } => self.with_keys(*session).map(|it| it.1),
            Intent::Guard { session } => self.guarded_by(*session).map(|it| it.body),
            // What moves the keys is certified with them.
            Intent::Change { change, .. } if self.wish_for_keys(*change).is_some() => None,
            Intent::Change { change, .. } => {
                let next = change.of(self.ledger.chain().config()).ok()?;
                let keys = self.ledger.announced(&self.ledger.heads()).ok()?;
                Some(EntryBody::Reconfigure(Box::new(next.with_vote_keys(&keys))))
            }
        }
    }

    /// The configuration with one device more, and with the vote keys that are announced in `past`.
    pub(super) fn with_device(&self, entry: &RosterEntry, past: &[Digest]) -> Option<EntryBody> {
        let keys = self.ledger.announced(past).ok()?;
        let next = self.ledger.chain().config().with_device(entry.clone()).with_vote_keys(&keys);
        Some(EntryBody::Reconfigure(Box::new(next)))
    }

    fn intent_denied(&mut self, at: usize, denied: &Denied) {
        let error = AgentError::new(
            denied.code.clone(),
            &denied.reason,
            Whose::Caller,
            "change what the message names, and try again",
        );
        match self.intents.remove(at) {
            Some(Intent::AddDevice { id, .. } | Intent::ReAdmit { id, .. }) => {
                self.out.push(Effect::AnswerJoin { id, result: Err(error) });
            }
            Some(
                Intent::Install { id, .. }
                | Intent::Snapshot { id: Some(id), .. }
                | Intent::Veto { id: Some(id), .. }
                | Intent::Revoke { id, .. },
            ) => {
                self.out.push(Effect::Answer { id, result: Err(error) });
            }
            Some(Intent::Revert { app, activation, id }) => {
                self.unwanted_activations.remove(&(app, activation));
                self.out.push(Effect::Answer { id, result: Err(error) });
            }
            Some(Intent::Snapshot { id: None, .. }) => self.snapshot_put_off(&error),
            Some(Intent::Veto { id: None, .. }) => {}
            Some(Intent::Guard { .. }) => {
                self.log(format!("the guardians do not recover the account yet: {error}"));
            }
            Some(Intent::Activate { proposal }) => {
                self.log(format!("proposal {} is not activated: {error}", proposal.short()));
            }
            Some(Intent::AdoptKeys { session }) => {
                self.log(format!("the keys of session {} are given up: {error}", session.short()));
                self.drop_keys(session);
            }
            Some(Intent::Change { change, id }) => {
                self.wanted.remove(&change);
                self.out.push(Effect::Answer { id, result: Err(error) });
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
                Intent::ReAdmit { readmit, .. } => {
                    let roster = &self.ledger.chain().config().roster;
                    roster.contains_key(&readmit.entry.device)
                }
                Intent::Revoke { device, .. } => {
                    !self.ledger.chain().config().roster.contains_key(device)
                }
                Intent::Install { install, .. } => {
                    self.ledger.state().apps.contains_key(&install.app)
                }
                Intent::Snapshot { known, .. } => *known < self.ledger.chain().snapshots().len(),
                Intent::Veto { request, id } => {
                    let is_open = || self.ledger.recovery_requests().any(|it| it.0 == *request);
                    self.ledger.chain().is_vetoed(*request) || (id.is_none() && !is_open())
                }
                Intent::Revert { app, activation, .. } => self.is_past(*app, *activation),
                Intent::AdoptKeys { session } => self.with_keys(*session).is_none(),
                Intent::Guard { session } => self.is_guard_met(*session),
                Intent::Change { change, .. } => change.of(self.ledger.chain().config()).is_err(),
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
            Intent::Revoke { device, id } => {
                self.leaving.remove(&device);
                let (name, k) = (self.device_name(device), self.ledger.chain().height());
                let left = DeviceLeft { device: device.to_string(), name, k };
                self.out.push(Effect::Answer { id, result: Ok(Response::DeviceLeft(left)) });
            }
            Intent::AddDevice { id, .. } | Intent::ReAdmit { id, .. } => {
                let entries = self.ledger.chain().entries().to_vec();
                self.out.push(Effect::AnswerJoin { id, result: Ok(entries) });
            }
            Intent::Install { install, id } => {
                let result = self.app_response(&install.alias);
                self.out.push(Effect::Answer { id, result });
            }
            Intent::Snapshot { id: Some(id), .. } => {
                let result = self.snapshot_taken();
                self.out.push(Effect::Answer { id, result });
            }
            Intent::Change { change, id } => self.wish_over(change, id),
            Intent::Revert { app, activation, id } => {
                let result = self.reverted(app, activation);
                self.out.push(Effect::Answer { id, result });
            }
            Intent::Veto { request, id: Some(id) } => {
                let result = Ok(self.vetoed(request));
                self.out.push(Effect::Answer { id, result });
            }
            Intent::Snapshot { id: None, .. }
            | Intent::Veto { id: None, .. }
            | Intent::Activate { .. }
            | Intent::Guard { .. }
            | Intent::AdoptKeys { .. } => {}
        }
    }
}

/// Two proposals of one decision may differ in the units that they close over.
fn same_body(a: &Entry, b: &Entry) -> bool {
    a.body == b.body
}
