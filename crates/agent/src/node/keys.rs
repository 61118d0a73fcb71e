//! The account's keys over time: when its devices make them, who may use them, and which ones count.
//!
//! Which keys count is what the control chain certifies. A device votes for keys that all voters hold a
//! share of, itself included, and for others in their place only while nobody has used them: a key that
//! was derived stays the same for ever (INV-A9). A device that waits for other keys to be adopted uses
//! the old ones for nothing, so whoever votes for new keys and whoever uses the old ones are never the
//! same, and one of the two never finds a quorum.

use std::collections::{BTreeMap, BTreeSet};

use aura_coordination::{
    choreography::{built_in::KeyProtocol, dkd, dkg, sign::Purpose},
    keystore::{Keys, Request},
};
use aura_crypto::PublicKey;
use aura_distribution::consent::{OfferedKeys, Origin};
use aura_journal::control::{Configuration, Entry, EntryBody, RecoveryRole};
use aura_protocol_core::{
    AppId, DeviceId, Digest, Outcome, ProtocolName, SessionId, UnixTime, decode, encode,
};

use crate::node::{CONTEXT_BYTES_MAX, Node, control::Intent};

/// How long the roster has to have stayed as it is before its devices make keys, in seconds: devices
/// that join one after the other make them once.
const QUIET_SECONDS: u64 = 2;
/// How long a generation that came to nothing is not tried again, in seconds: as long as one may take.
const RETRY_SECONDS: u64 = 100;

/// When the account's keys are to be made.
#[derive(Debug, Default)]
pub(super) struct Making {
    /// The voters, and since when it is these.
    voters: Option<(BTreeSet<DeviceId>, UnixTime)>,
    /// Not before.
    due: UnixTime,
}

impl Node {
    /// The unit keys of the account's devices.
    pub(super) fn unit_keys(&self) -> BTreeMap<DeviceId, PublicKey> {
        let roster = &self.ledger.chain().config().roster;
        roster.iter().map(|(device, entry)| (*device, entry.unit_key)).collect()
    }

    /// Whether an app is one of the protocols that make and use the account's keys.
    pub(super) fn is_key_app(&self, app: AppId) -> bool {
        let name = self.built_ins.protocol(app).map(ProtocolName::as_str);
        KeyProtocol::ALL.into_iter().any(|it| Some(it.name()) == name)
    }

    pub(super) fn voters(&self) -> BTreeSet<DeviceId> {
        self.ledger.chain().config().voters().map(|it| it.device).collect()
    }

    /// The shares that this device holds and the account certified.
    pub(super) fn keys(&self) -> Option<&Keys> {
        self.vault.as_ref()?.store.keys()
    }

    /// Whether guardians hold shares of the keys: then they are never made anew.
    fn is_guarded(&self) -> bool {
        matches!(self.ledger.chain().config().recovery, RecoveryRole::Guardians { .. })
    }

    /// Whether this device used the keys that are certified, or guardians hold shares of them.
    pub(super) fn uses_keys(&self) -> bool {
        self.vault.as_ref().is_some_and(|it| it.store.is_used()) || self.is_guarded()
    }

    /// Keeps the key store in step with what is certified, and with the sessions that are over.
    pub(super) fn pump_keys(&mut self) {
        if self.vault.is_none() {
            return;
        }
        self.compare_keys();
        self.forget_sessions();
        self.offer_keys();
    }

    /// Adopts the keys that the chain certifies now, and gives others up.
    fn compare_keys(&mut self) {
        let chain = self.ledger.chain();
        let (height, is_member) = (chain.height(), chain.config().roster.contains_key(&self.me));
        let certified = self.certified_sharing();
        let (roster, reshares) = (self.unit_keys(), self.reshares());
        let Some(vault) = &mut self.vault else { return };
        let seen = (height, vault.store.all_pending().count(), reshares);
        if vault.compared.replace(seen) == Some(seen) {
            return;
        }
        vault.store.set_roster(roster);
        let held = vault.store.keys().map(Keys::name);
        if certified == held {
            return;
        }
        let found = vault.store.all_pending().find(|it| Some(it.1.name()) == certified);
        let says = match found.map(|it| it.0).map(|it| vault.store.adopt(it)) {
            Some(Ok(())) => "this device holds a share of the account's keys",
            // Its own part of what is certified may still be on its way through the session.
            _ if reshares && is_member => return,
            _ if held.is_some() => {
                vault.store.retire();
                "the account goes by other keys, and this device's share is gone"
            }
            _ => return,
        };
        self.log(says.to_string());
        self.keep_vault();
    }

    /// Forgets what was drawn or made for sessions that came to nothing.
    fn forget_sessions(&mut self) {
        let Some(vault) = &self.vault else { return };
        let over: Vec<SessionId> = vault
            .store
            .sessions()
            .into_iter()
            .filter(|it| !self.sessions.get(it).is_some_and(|it| it.context.is_running()))
            .filter(|it| !self.may_be_adopted(*it) && !self.is_part(*it))
            .collect();
        if over.is_empty() {
            return;
        }
        if let Some(vault) = &mut self.vault {
            over.into_iter().for_each(|it| vault.store.discard(it));
        }
        self.keep_vault();
    }

    /// Whether this may be a part of a resharing that runs here: parts have names of their own.
    fn is_part(&self, session: SessionId) -> bool {
        let is_known = self.ledger.state().sessions.contains_key(&session);
        !is_known && !self.sessions.contains_key(&session) && self.reshares()
    }

    /// Whether the keys that a session led to may be certified yet.
    fn may_be_adopted(&self, session: SessionId) -> bool {
        if self.is_regained(session) {
            return self.granted_recovery().is_some();
        }
        let keys = self.vault.as_ref().and_then(|it| it.store.pending(session));
        let Some(keys) = keys else { return false };
        let config = self.ledger.chain().config();
        let known = self.ledger.state().sessions.get(&session);
        let failed = known.and_then(|it| it.outcome.as_ref());
        let failed = failed.is_some_and(|it| !matches!(it, Outcome::Completed { .. }));
        if self.is_resharing(session) {
            return !failed && self.may_count(session);
        }
        // Somebody may have voted for them in this slot: then they are kept until it is decided.
        let proposed = || {
            let adopts = |it: &Entry| match &it.body {
                EntryBody::Reconfigure(next) => next.group_key.map(|it| it.1) == Some(keys.name()),
                _ => false,
            };
            self.voter.proposals().any(|it| adopts(it.1))
        };
        let others = keys.holders.keys().copied().collect::<BTreeSet<_>>() != self.voters();
        let adopted = config.group_key.is_some_and(|it| it.1 == keys.name());
        !failed && !adopted && !others && (!self.keys_in_use() || proposed())
    }

    /// Whether some session used the keys that are certified, or tried to. Then they are never made anew.
    pub(super) fn keys_in_use(&self) -> bool {
        let (derive, chain) = (key_app(KeyProtocol::Derive), self.ledger.chain());
        let Some((key, _)) = chain.config().group_key else { return false };
        let under = |unit: &Digest| {
            let config = self.ledger.unit(unit).and_then(|it| chain.config_at(it.body.config));
            config.and_then(|it| it.group_key).map(|it| it.0) == Some(key)
        };
        let mut sessions = self.ledger.state().sessions.values();
        self.is_guarded() || sessions.any(|it| Some(it.open.app) == derive && under(&it.opened_by))
    }

    /// Wants the keys certified that a session has led to.
    fn offer_keys(&mut self) {
        let Some(vault) = &self.vault else { return };
        let made = vault.store.all_pending().map(|it| it.0).filter(|it| self.is_made(*it));
        let sessions: Vec<SessionId> = made.chain(self.reshared_sessions()).collect();
        for session in sessions {
            let wanted =
                |it: &Intent| matches!(it, Intent::AdoptKeys { session: of } if *of == session);
            let is_wanted = self.intents.iter().any(wanted);
            if self.is_finished(session) && !is_wanted && self.with_keys(session).is_some() {
                self.intents.push_back(Intent::AdoptKeys { session });
            }
        }
    }

    /// Whether keys that wait were made anew in this session, and not given to others.
    fn is_made(&self, session: SessionId) -> bool {
        !self.is_resharing(session) && !self.is_regained(session)
    }

    /// Whether the session that led to keys ended well by its opener's word; keys that this device made
    /// alone need no other's.
    fn is_finished(&self, session: SessionId) -> bool {
        let known = self.ledger.state().sessions.get(&session);
        known.is_none_or(|it| matches!(it.outcome, Some(Outcome::Completed { .. })))
    }

    /// The keys that this device would have certified.
    pub(super) fn offered_keys(&self) -> Vec<OfferedKeys> {
        let Some(vault) = &self.vault else { return Vec::new() };
        let made = vault.store.all_pending().filter(|it| self.is_made(it.0));
        let made = made.filter(|it| self.is_finished(it.0)).filter_map(|it| offered(it.1));
        let reshared = self.reshared_sessions().filter_map(|it| self.offered_resharing(it));
        made.chain(reshared).collect()
    }

    /// The configuration that certifies the keys of a session, and what it rests on; none once it is in
    /// force.
    pub(super) fn with_keys(&self, session: SessionId) -> Option<(Vec<Digest>, EntryBody)> {
        let current = self.ledger.chain().config().clone();
        let next = if self.is_resharing(session) {
            self.with_resharing(session)?
        } else {
            let keys = offered(self.vault.as_ref()?.store.pending(session)?)?;
            let (t_sign, t_dkd) = (keys.threshold, keys.threshold);
            Configuration {
                group_key: Some((keys.key, keys.name)),
                t_sign,
                t_dkd,
                ..current.clone()
            }
        };
        if current.group_key == next.group_key {
            return None;
        }
        let closed = self.ledger.state().sessions.get(&session).and_then(|it| it.closed_by);
        // The same for everybody who holds a share, so that all propose one value.
        let past = closed.map_or_else(|| self.ledger.heads(), |it| vec![it]);
        let next = next.with_vote_keys(&self.ledger.announced(&past).ok()?);
        Some((past, EntryBody::Reconfigure(Box::new(next))))
    }

    /// Keys that cannot be certified are nobody's.
    pub(super) fn drop_keys(&mut self, session: SessionId) {
        if let Some(vault) = &mut self.vault {
            vault.store.discard(session);
        }
        self.resharing.known.remove(&session);
        self.keep_vault();
    }

    /// Opens a session in which all voters make the account's keys, when there are none that all of them
    /// hold a share of. The first voter does, so that one session is opened.
    pub(super) fn make_keys_when_due(&mut self) {
        let voters = self.voters();
        if self.making.voters.as_ref().is_none_or(|it| it.0 != voters) {
            self.making.voters = Some((voters.clone(), self.now));
        }
        let since = self.making.voters.as_ref().map_or(self.now, |it| it.1);
        let is_quiet = since.saturating_add(QUIET_SECONDS) <= self.now;
        let opens = voters.first() == Some(&self.me) && 2 <= voters.len();
        let is_due = self.vault.is_some() && self.making.due <= self.now;
        let held = self.keys().map(|it| it.holders.keys().copied().collect());
        let connected = || voters.iter().all(|it| *it == self.me || self.peers.contains(it));
        if !is_quiet || !opens || !is_due || held.as_ref() == Some(&voters) || !connected() {
            return;
        }
        if self.keys_in_use() || self.uses_keys() || !self.offered_keys().is_empty() {
            return;
        }
        if let Some(session) = self.open_generation(&voters) {
            self.making.due = self.now.saturating_add(RETRY_SECONDS);
            self.log(format!("session {}: the devices make the account's keys", session.short()));
        }
    }

    fn open_generation(&mut self, voters: &BTreeSet<DeviceId>) -> Option<SessionId> {
        let participants: Vec<DeviceId> = voters.iter().copied().collect();
        let terms = self.generation_terms();
        let app = key_app(KeyProtocol::Generate)?;
        self.open_session(app, &participants, encode(&terms)).ok().map(|it| it.0)
    }

    /// What the account's next keys are made by.
    fn generation_terms(&self) -> dkg::Terms {
        let epoch = self.keys().map_or(0, |it| it.signing.1.context().epoch).saturating_add(1);
        let config = self.ledger.chain().config();
        let count = u16::try_from(config.voters().count()).unwrap_or(u16::MAX);
        dkg::Terms { epoch, threshold: config.m, indices: (1..=count).collect() }
    }

    /// Whether this device takes a step with its keys, by the account's rules; and what its owner's
    /// rules permit it to derive in this step.
    pub(super) fn allow(
        &self,
        session: SessionId,
        request: &Request,
    ) -> Result<Option<Digest>, String> {
        let known = self.ledger.state().sessions.get(&session).ok_or("the session is not known")?;
        let participants: BTreeSet<DeviceId> = known.open.agreement.runs.keys().copied().collect();
        match request {
            Request::Generate(it) => {
                if it.step == dkg::Step::Enter {
                    self.allow_generation(&participants, &it.terms)?;
                }
                Ok(None)
            }
            Request::Derive(it) => {
                if matches!(it.step, dkd::Step::Initiate | dkd::Step::Commit) {
                    self.allow_derivation(&participants, &it.terms)?;
                }
                Ok(Some(it.terms.digest()))
            }
            Request::Reshare(it) => self.allow_resharing(known, it),
            Request::Lock(_) => Ok(None),
            Request::Sign(it) => {
                use Purpose::{LockGrant, ResharingAuthority, ResharingProof};
                let is_fit = self.is_resharing(session)
                    && matches!(it.terms.purpose, LockGrant | ResharingAuthority | ResharingProof);
                if is_fit {
                    Ok(None)
                } else {
                    Err("this device signs nothing of the kind".to_string())
                }
            }
            Request::Recover(it) => self.allow_recovery(known, it),
        }
    }

    fn allow_generation(
        &self,
        participants: &BTreeSet<DeviceId>,
        terms: &dkg::Terms,
    ) -> Result<(), String> {
        if *participants != self.voters() || *terms != self.generation_terms() {
            return Err("these are not the terms by which the account makes keys now".to_string());
        }
        if self.keys_in_use() || self.uses_keys() {
            return Err("the account's keys are in use, and stay as they are".to_string());
        }
        Ok(())
    }

    fn allow_derivation(
        &self,
        participants: &BTreeSet<DeviceId>,
        terms: &dkd::Terms,
    ) -> Result<(), String> {
        let keys = self.keys().ok_or("this device holds no share of the account's keys")?;
        let needed = keys.derivation.1.threshold();
        let holders = self.holders(keys);
        let purpose = decode::<dkd::Purpose>(&terms.context, CONTEXT_BYTES_MAX + 5);
        let is_fit = *participants == holders && u16::from(terms.devices) == needed;
        if !is_fit || terms.key_version != 0 || purpose.is_err() {
            return Err("these are not the terms by which the account derives keys".to_string());
        }
        if self.makes_keys() {
            return Err("the account's keys are being made anew".to_string());
        }
        Ok(())
    }

    /// Who holds a share and is in the account: a device that left helps nobody.
    pub(super) fn holders(&self, keys: &Keys) -> BTreeSet<DeviceId> {
        let roster = &self.ledger.chain().config().roster;
        keys.holders.keys().filter(|it| roster.contains_key(it)).copied().collect()
    }

    /// Whether this device has part in keys that are not certified yet.
    pub(super) fn makes_keys(&self) -> bool {
        let Some(vault) = &self.vault else { return false };
        let generate = key_app(KeyProtocol::Generate);
        let entered = |it: &SessionId| {
            let known = self.ledger.state().sessions.get(it);
            known.is_some_and(|it| Some(it.open.app) == generate)
        };
        let mut pending = vault.store.all_pending().filter(|it| self.is_made(it.0));
        pending.next().is_some() || vault.store.sessions().iter().any(entered)
    }
}

/// The app of a protocol that uses the account's keys.
pub(super) fn key_app(protocol: KeyProtocol) -> Option<AppId> {
    protocol.built_in().map(|it| it.app)
}

fn offered(keys: &Keys) -> Option<OfferedKeys> {
    Some(OfferedKeys {
        key: keys.signing.1.public_key().ok()?,
        name: keys.name(),
        threshold: keys.signing.1.threshold(),
        holders: keys.holders.keys().copied().collect(),
        origin: Origin::Made,
    })
}
