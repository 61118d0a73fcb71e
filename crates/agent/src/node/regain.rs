//! Guardians give the account's keys to its devices after a recovery: the session `recovery`, which begins once
//! the entry that grants the recovery stands, so that new devices can take part in it (decision 0151).

use std::collections::BTreeSet;

use aura_coordination::{
    choreography::{
        built_in::KeyProtocol,
        locking::KEYS,
        recovery,
        resharing::{self, Sharings, Side},
    },
    keystore,
};
use aura_crypto::Holders;
use aura_journal::{
    SessionState,
    control::{EntryBody, RecoveryRole},
};
use aura_protocol_core::{DeviceId, Digest, SessionId, encode, quorum::default_threshold};

use crate::node::{
    Node,
    keys::key_app,
    resharing::{RETRY_SECONDS, Target},
};

/// A recovery by guardians after which the devices have not got the account's keys yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) request: Digest,
    pub(super) generation: u64,
}

impl Node {
    /// The recovery that this generation began with, as long as its devices have not got the keys.
    pub(super) fn granted_recovery(&self) -> Option<Granted> {
        let chain = self.ledger.chain();
        let config = chain.config();
        let is_guarded = matches!(config.recovery, RecoveryRole::Guardians { .. });
        if chain.generation() == 0 || config.group_key.is_none() || !is_guarded {
            return None;
        }
        let begun = chain.entries().iter().rev().find_map(|it| match &it.value.body {
            EntryBody::Recover(it) if it.generation == chain.generation() => Some(it),
            _ => None,
        })?;
        let Granted { request, generation } =
            Granted { request: begun.request, generation: begun.generation };
        (begun.config.group_key == config.group_key).then_some(Granted { request, generation })
    }

    /// Who is to hold the keys after it.
    pub(super) fn regained_target(&self) -> Target {
        let holders = self.voters();
        let shares = u16::try_from(default_threshold(holders.len())).unwrap_or(u16::MAX);
        Target { holders, shares }
    }

    /// Whether keys that wait came out of a recovery: the part of its session that led to them has an id of its
    /// own.
    pub(super) fn is_regained(&self, session: SessionId) -> bool {
        !self.ledger.state().sessions.contains_key(&session) && session != self.sole_name()
    }

    /// Opens the session when it is due: the first of the guardians that approved and are there does.
    pub(super) fn regain_when_due(&mut self) {
        if !self.is_guardian() {
            return;
        }
        let Some(granted) = self.granted_recovery() else { return };
        let Some(keys) = self.keys() else { return };
        let (from, sharings) = (Side::of(keys), Sharings::of(keys));
        let target = self.regained_target();
        let guardians = self.approvals_of(&granted.request);
        let there: BTreeSet<DeviceId> =
            guardians.into_iter().filter(|it| self.is_there(*it)).collect();
        let is_enough = usize::from(from.threshold) <= there.len()
            && target.holders.iter().all(|it| self.is_there(*it));
        let is_free = self.resharing.due <= self.now && !self.regains();
        if !is_enough || !is_free || there.first() != Some(&self.me) {
            return;
        }
        self.resharing.due = self.now.saturating_add(RETRY_SECONDS);
        let to = from.regained(&target.holders, target.shares, granted.generation);
        let Ok(view) = self.lock_view() else { return };
        let Some(reshare) = self.resharing_terms(view, from, sharings, to) else { return };
        let participants: Vec<DeviceId> = there.union(&target.holders).copied().collect();
        let terms = recovery::Terms { reshare, round: 0 };
        let Some(app) = key_app(KeyProtocol::Recover) else { return };
        match self.open_session(app, &participants, encode(&terms)) {
            Ok((session, _)) => {
                self.resharing.mine = Some(session);
                let devices = target.holders.len();
                self.log(format!(
                    "session {}: guardians give the account's keys to {devices} devices",
                    session.short()
                ));
            }
            Err(error) => self.log(format!("the account's keys do not come back yet: {error}")),
        }
    }

    /// Whether such a session runs here. What the account began before it was recovered comes to nothing.
    fn regains(&self) -> bool {
        let from_guardians =
            self.resharing.known.iter().filter(|it| it.1.terms.from.holders == Holders::Guardians);
        from_guardians.into_iter().any(|it| self.resharing_runs(*it.0))
    }

    /// The guardians that approved a request that was granted.
    fn approvals_of(&self, request: &Digest) -> BTreeSet<DeviceId> {
        let words = self.ledger.recovery_words(request);
        self.role_guardians().intersection(&words.approvals).copied().collect()
    }

    /// Whether these could be terms by which guardians give the keys back at this moment.
    fn check_regaining(
        &self,
        known: &SessionState,
        terms: &resharing::Terms,
    ) -> Result<(), String> {
        let resharing::Terms { coordinator, lock, from, to, sharings } = terms;
        let config = self.ledger.chain().config();
        let certified = match &config.recovery {
            RecoveryRole::Guardians { sharing, .. } => Some(*sharing),
            _ => None,
        };
        let guardians = self.guardians();
        let target = self.regained_target();
        let is_party = |it: &DeviceId| guardians.contains(it) || target.holders.contains(it);
        let is_fit = self
            .granted_recovery()
            .is_some_and(|it| *to == from.regained(&target.holders, target.shares, it.generation))
            && from.holders == Holders::Guardians
            && certified.is_some()
            && sharings.name() == certified
            && *coordinator == known.opener
            && guardians.contains(coordinator)
            && known.open.agreement.runs.keys().all(is_party)
            && (lock.lock.as_slice(), lock.epoch) == (KEYS, self.ledger.chain().next_slot().config)
            && u16::from(lock.signers) == from.threshold;
        match is_fit {
            true => Ok(()),
            false => Err("these are not terms by which guardians bring the keys back now".into()),
        }
    }

    /// Whether this device takes a step of the resharing in a recovery. What a guardian deals its key store
    /// permits, once it has released it (INV-RC1); what a device receives, the account's rules.
    pub(super) fn allow_regaining(
        &self,
        known: &SessionState,
        request: &resharing::Request,
    ) -> Result<Option<Digest>, String> {
        let terms = &request.terms;
        if !matches!(
            request.step,
            resharing::Step::Enter | resharing::Step::Offer | resharing::Step::Deal
        ) {
            return Ok(None);
        }
        self.check_regaining(known, terms)?;
        let receives = terms.to.devices.contains_key(&self.me);
        Ok(receives.then(|| terms.digest()))
    }

    /// Whether this device takes a step of a recovery: a guardian whose person approved it does.
    pub(super) fn allow_recovery(
        &self,
        known: &SessionState,
        request: &recovery::Request,
    ) -> Result<Option<Digest>, String> {
        use recovery::Step;
        match request.step {
            Step::Approve | Step::Release if self.is_guardian() => {
                self.check_regaining(known, &request.terms.reshare)?;
                let granted = self.granted_recovery().map(|it| it.request);
                let store = self.vault.as_ref().map(|it| &it.store);
                let agreed = granted.and_then(|it| store?.agreed(it));
                agreed.ok_or("the person at this guardian did not approve this recovery")?;
                Ok(Some(request.terms.digest()))
            }
            Step::Approve => Err("this device guards no account".to_string()),
            Step::Release | Step::Ripe | Step::End => Ok(None),
        }
    }

    /// The sessions that were to bring back the keys and were opened before this one: whoever leads has given
    /// them up, and this guardian takes part in one at a time.
    pub(super) fn regaining_before(&self, session: SessionId) -> Vec<SessionId> {
        let Some(app) = key_app(KeyProtocol::Recover) else { return Vec::new() };
        let opened = |known: &SessionState| {
            let unit = self.ledger.unit(&known.opened_by);
            unit.map(|it| (it.body.lamport, known.opened_by))
        };
        let sessions = &self.ledger.state().sessions;
        let Some(at) = sessions.get(&session).and_then(opened) else { return Vec::new() };
        let others = sessions.values().filter(|it| it.open.app == app && it.id != session);
        others.filter(|it| opened(it) < Some(at)).map(|it| it.id).collect()
    }

    /// The request whose time counts for the session that asks, if it asks for a guardian's approval.
    pub(super) fn resumed_request(&self, request: &keystore::Request) -> Option<Digest> {
        match request {
            keystore::Request::Recover(it) if it.step == recovery::Step::Approve => {
                self.granted_recovery().map(|it| it.request)
            }
            _ => None,
        }
    }
}
