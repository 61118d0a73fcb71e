//! Giving the account's keys to other holders: when devices came or went after the keys were used, and when
//! people want other devices or numbers.
//!
//! What the roster alone leads to every device helps with. What people want is dealt by devices whose person
//! said so; the others receive, and no more. Nothing changes before the control chain certifies the result,
//! together with the roster and the numbers that it is for (INV-A11).

use std::collections::{BTreeMap, BTreeSet};

use aura_choreography::{Dev, DeviceSet, Reason, Stop};
use aura_coordination::{
    choreography::{
        built_in::KeyProtocol,
        locking::{self, KEYS},
        recovery,
        resharing::{Request, Reshared, Sharings, Side, Step, Terms, Unchanged},
    },
    execution::SessionStatus,
    keystore::TRIES_MAX,
};
use aura_crypto::Holders;
use aura_distribution::{
    Change,
    change::{shares_among, voters_of},
    consent::{OfferedKeys, Origin},
};
use aura_journal::{
    SessionState,
    control::{Configuration, RecoveryRole},
};
use aura_protocol_core::{
    DeviceId, Digest, Outcome, SessionId, UnixTime, decode, encode, limits::UNIT_BODY_BYTES_MAX,
};

use crate::node::{Node, keys::key_app, locks::Grants};

/// How long the roster has to have stayed as it is before its devices get their shares, in seconds.
const QUIET_SECONDS: u64 = 2;
/// How long a resharing that came to nothing is not tried again, in seconds.
pub(super) const RETRY_SECONDS: u64 = 20;
/// How long a lock is asked for, in epochs: longer than a resharing lasts, so that it never outlives its lock.
const GRANT_EPOCHS: u64 = 200;

/// What this device knows of resharings.
#[derive(Debug, Default)]
pub(super) struct Resharings {
    /// Those that were opened.
    pub(super) known: BTreeMap<SessionId, Known>,
    /// The locks that they were granted.
    pub(super) grants: Grants,
    /// The one that this device opened last, while it runs.
    pub(super) mine: Option<SessionId>,
    /// What the roster leads to, and since when.
    since: Option<(Target, UnixTime)>,
    /// Not before.
    pub(super) due: UnixTime,
    /// How many came to nothing in a row.
    tries: u64,
}

/// A resharing that was opened.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) terms: Terms,
    /// The name of the keys that it gives to others.
    pub(super) on: Digest,
}

/// Who is to hold the keys, and how many shares are to use them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) holders: BTreeSet<DeviceId>,
    pub(super) shares: u16,
}

impl Target {
    fn of(side: &Side) -> Self {
        Self { holders: side.devices.keys().copied().collect(), shares: side.threshold }
    }
}

impl Node {
    /// A session was opened: remembers it if it is a resharing.
    pub(super) fn resharing_opened(&mut self, session: SessionId) {
        let Some(known) = self.ledger.state().sessions.get(&session) else { return };
        let (app, params) = (Some(known.open.app), &known.open.params);
        let terms = if app == key_app(KeyProtocol::Reshare) {
            decode::<Terms>(params, UNIT_BODY_BYTES_MAX).ok()
        } else if app == key_app(KeyProtocol::Recover) {
            decode::<recovery::Terms>(params, UNIT_BODY_BYTES_MAX).ok().map(|it| it.reshare)
        } else {
            None
        };
        let Some(terms) = terms else { return };
        if let Some(on) = terms.sharings.name() {
            self.resharing.known.insert(session, Known { terms, on });
        }
    }

    /// Reads the resharings of a ledger that was there before this start.
    pub(super) fn restore_resharings(&mut self) {
        let ids: Vec<SessionId> = self.ledger.state().sessions.keys().copied().collect();
        ids.iter().for_each(|it| self.resharing_opened(*it));
        let known: Vec<SessionId> = self.resharing.known.keys().copied().collect();
        for session in known {
            let messages = self.ledger.state().sessions.get(&session).map(|it| it.messages.clone());
            messages.iter().flatten().for_each(|it| self.note_grant(session, it));
            let (opener, runs) = (self.opener(session), self.resharing_runs(session));
            if opener == Some(self.me) && runs {
                self.resharing.mine = Some(session);
            }
        }
    }

    fn opener(&self, session: SessionId) -> Option<DeviceId> {
        self.ledger.state().sessions.get(&session).map(|it| it.opener)
    }

    pub(super) fn resharing_runs(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(|it| it.context.is_running())
    }

    /// Whether this device takes part in a resharing at this moment.
    pub(super) fn reshares(&self) -> bool {
        self.resharing.known.keys().any(|it| self.resharing_runs(*it))
    }

    /// Whether a session is a resharing.
    pub(super) fn is_resharing(&self, session: SessionId) -> bool {
        self.resharing.known.contains_key(&session)
    }

    /// Whether a resharing rests on the keys that are certified, so that it may still count.
    pub(super) fn may_count(&self, session: SessionId) -> bool {
        let config = self.ledger.chain().config();
        let Some(known) = self.resharing.known.get(&session) else { return false };
        match (known.terms.from.holders, &config.recovery) {
            (Holders::Devices, _) => config.group_key.map(|it| it.1) == Some(known.on),
            (Holders::Guardians, RecoveryRole::Guardians { sharing, .. }) => {
                *sharing == known.on && self.granted_recovery().is_some()
            }
            (Holders::Guardians, _) => false,
        }
    }

    /// What the roster leads to: every voter holds a share.
    fn rule(&self, from: &Side) -> Target {
        let holders = self.voters();
        let shares = shares_among(from.threshold, from.devices.len(), holders.len());
        Target { holders, shares }
    }

    /// What a person's wish means for the keys; none where they stay as they are.
    pub(super) fn wish_for_keys(&self, change: Change) -> Option<(Target, Configuration)> {
        let current = self.ledger.chain().config();
        let plan = change.of(current).ok()?;
        current.group_key?;
        let target = Target { holders: voters_of(&plan), shares: plan.t_sign };
        let stays = target.holders == voters_of(current) && target.shares == current.t_sign;
        (!stays).then_some((target, plan))
    }

    fn wishes(&self) -> impl Iterator<Item = (Target, Configuration)> {
        self.wanted.iter().filter_map(|it| self.wish_for_keys(*it))
    }

    /// Where the keys are to go next, if they are not there.
    pub(super) fn next_target(&self, from: &Side) -> Option<Target> {
        if let Some((wish, _)) = self.wishes().next() {
            return Some(wish);
        }
        let rule = self.rule(from);
        let differs = rule != Target::of(from);
        (differs && (self.keys_in_use() || self.uses_keys())).then_some(rule)
    }

    /// Everybody who has a part in it and is in the account.
    pub(super) fn parties(&self, from: &Side, holders: &BTreeSet<DeviceId>) -> BTreeSet<DeviceId> {
        let roster = &self.ledger.chain().config().roster;
        let old = from.devices.keys().filter(|it| roster.contains_key(it));
        old.chain(holders).copied().collect()
    }

    pub(super) fn is_there(&self, device: DeviceId) -> bool {
        device == self.me || self.peers.contains(&device)
    }

    /// Who is not there, if because of them nothing can begin.
    pub(super) fn hindered(&self, from: &Side, target: &Target) -> Option<Unchanged> {
        let parties = self.parties(from, &target.holders);
        let dealers = parties.iter().filter(|it| from.devices.contains_key(it));
        let dealers = dealers.filter(|it| self.is_there(**it)).count();
        let receives = target.holders.iter().all(|it| self.is_there(*it));
        if receives && usize::from(from.threshold) <= dealers {
            return None;
        }
        let spoke = places(&parties, |it| self.is_there(*it));
        Some(Unchanged::new(parties.len(), spoke, Stop::Aborted(Reason::Insufficient)))
    }

    /// Opens a resharing when there is one to be made. What the roster leads to is opened by the first holder
    /// that is there; what a person wants, by that person's device.
    pub(super) fn reshare_when_due(&mut self) {
        let Some(keys) = self.keys().filter(|_| !self.is_guardian()) else { return };
        let (from, sharings) = (Side::of(keys), Sharings::of(keys));
        let Some(target) = self.next_target(&from) else {
            self.resharing.since = None;
            return;
        };
        let is_wish = self.wishes().any(|it| it.0 == target);
        if self.resharing.since.as_ref().is_none_or(|it| it.0 != target) {
            self.resharing.since = Some((target.clone(), self.now));
        }
        let since = self.resharing.since.as_ref().map_or(self.now, |it| it.1);
        let is_quiet = is_wish || since.saturating_add(QUIET_SECONDS) <= self.now;
        if !is_quiet || self.now < self.resharing.due || self.makes_keys() || self.reshares() {
            return;
        }
        let opens = is_wish || self.first_holder(&from) == Some(self.me);
        let is_new = self.offered_keys().is_empty();
        if !opens || !is_new {
            return;
        }
        if let Some(unchanged) = self.hindered(&from, &target) {
            if is_wish {
                self.give_up_wishes(&unchanged);
            }
            return;
        }
        self.resharing.due = self.now.saturating_add(RETRY_SECONDS);
        // Whoever holds the lock is through soon, or loses it.
        let Ok(view) = self.lock_view() else { return };
        let to = from.next(&target.holders, target.shares);
        let Some(terms) = self.resharing_terms(view, from, sharings, to) else { return };
        self.open_resharing(&terms, &target);
    }

    /// Begins at once with what a person wants.
    pub(super) fn reshare_at_once(&mut self) {
        self.resharing.due = self.now;
        self.reshare_when_due();
    }

    fn first_holder(&self, from: &Side) -> Option<DeviceId> {
        let voters = self.voters();
        let mut holders = from.devices.keys().filter(|it| voters.contains(it));
        holders.find(|it| self.is_there(**it)).copied()
    }

    pub(super) fn resharing_terms(
        &self,
        view: locking::View,
        from: Side,
        sharings: Sharings,
        to: Side,
    ) -> Option<Terms> {
        let store = &self.vault.as_ref()?.store;
        let next = store.next_number(KEYS, view.fence).saturating_add(self.resharing.tries);
        let number = next.min(view.fence.saturating_add(TRIES_MAX - 1));
        let lock = locking::Terms {
            lock: KEYS.to_vec(),
            view,
            number,
            epoch: self.ledger.chain().next_slot().config,
            expires: self.ledger.epoch().saturating_add(GRANT_EPOCHS),
            signers: u8::try_from(from.threshold).ok()?,
        };
        Some(Terms { coordinator: self.me, lock, from, to, sharings })
    }

    pub(super) fn open_resharing(&mut self, terms: &Terms, target: &Target) {
        let parties = self.parties(&terms.from, &target.holders);
        let participants: Vec<DeviceId> = parties.into_iter().collect();
        let Some(app) = key_app(KeyProtocol::Reshare) else { return };
        match self.open_session(app, &participants, encode(terms)) {
            Ok((session, _)) => {
                self.resharing.mine = Some(session);
                let (shares, holders) = (target.shares, target.holders.len());
                self.log(format!(
                    "session {}: the account's keys go to {holders} devices, {shares} use them",
                    session.short()
                ));
            }
            Err(error) => self.log(format!("the account's keys stay where they are: {error}")),
        }
    }

    /// A session ended here. If it was this device's resharing and came to nothing, whoever waits for it is
    /// told why; where others only have not said yet that they want it, it is waited for them.
    pub(super) fn resharing_ended(&mut self, session: SessionId) {
        if self.resharing.mine != Some(session) {
            return;
        }
        self.resharing.mine = None;
        if matches!(
            self.session_status(session),
            Some(SessionStatus::Ended(Outcome::Completed { .. }))
        ) {
            self.resharing.tries = 0;
            return;
        }
        self.resharing.tries = self.resharing.tries.saturating_add(1);
        self.resharing.due = self.now.saturating_add(RETRY_SECONDS);
        let Some((unchanged, declined)) = self.unchanged(session) else { return };
        self.log(format!("session {}: {unchanged}", session.short()));
        if !declined {
            self.give_up_wishes(&unchanged);
        }
    }

    /// Whether the roster leads to this, or the person here wants it.
    fn may_deal(&self, terms: &Terms) -> bool {
        if terms.to.holders == Holders::Guardians {
            return self.wants_guardians(terms);
        }
        let target = Target::of(&terms.to);
        target == self.rule(&terms.from) || self.wishes().any(|it| it.0 == target)
    }

    /// Who was silent, why it ended, and whether somebody declined.
    fn unchanged(&self, session: SessionId) -> Option<(Unchanged, bool)> {
        let known = self.ledger.state().sessions.get(&session)?;
        let units = known.messages.iter().filter_map(|it| self.ledger.unit(it));
        let said: Vec<(DeviceId, bool)> = units
            .filter_map(|it| match &it.body.event {
                aura_journal::Event::SessionMessage(said) => {
                    let declines = ["Decline", "Refuse"].contains(&said.label.as_str());
                    Some((it.body.author, declines))
                }
                _ => None,
            })
            .collect();
        let parties: BTreeSet<DeviceId> = known.open.agreement.runs.keys().copied().collect();
        let spoke = places(&parties, |it| *it == self.me || said.iter().any(|said| said.0 == *it));
        let reason = match self.session_status(session)? {
            SessionStatus::Ended(Outcome::Aborted { reason } | Outcome::Left { reason })
            | SessionStatus::Failed { reason, .. } => reason,
            SessionStatus::Ended(Outcome::Completed { .. }) | SessionStatus::Running => {
                return None;
            }
        };
        let aborted = reason.strip_prefix("aborted: ").map(str::to_string);
        let why = Stop::Aborted(Reason::Other(aborted.unwrap_or(reason)));
        Some((Unchanged::new(parties.len(), spoke, why), said.iter().any(|it| it.1)))
    }

    /// Whether this device takes a step of a resharing, by the account's rules and its person's word.
    pub(super) fn allow_resharing(
        &self,
        known: &SessionState,
        request: &Request,
    ) -> Result<Option<Digest>, String> {
        let terms = &request.terms;
        if terms.from.holders == Holders::Guardians {
            return self.allow_regaining(known, request);
        }
        match request.step {
            Step::Enter => self.check_terms(known, terms)?,
            Step::Offer | Step::Deal => {
                self.check_terms(known, terms)?;
                if !self.may_deal(terms) {
                    return Err("nobody at this device said that they want it".to_string());
                }
            }
            _ => return Ok(None),
        }
        Ok(Some(terms.digest()))
    }

    /// Whether these could be terms of this account at this moment, whoever wants them.
    fn check_terms(&self, known: &SessionState, terms: &Terms) -> Result<(), String> {
        let Terms { coordinator, lock, from, to, sharings } = terms;
        let voters = self.voters();
        let target = Target::of(to);
        let leave = voters.difference(&target.holders).count();
        let parties: BTreeSet<DeviceId> = known.open.agreement.runs.keys().copied().collect();
        let config = self.ledger.chain().next_slot().config;
        let certified = self.ledger.chain().config().group_key.map(|it| it.1);
        let is_target = match to.holders {
            Holders::Devices => target.holders.is_subset(&voters) && leave <= 1,
            Holders::Guardians => self.guards_next(terms),
        };
        let is_fit = sharings.name().is_some_and(|it| Some(it) == certified)
            && from.holders == Holders::Devices
            && Some(to.epoch) == from.epoch.checked_add(1)
            && is_target
            && voters.contains(coordinator)
            && parties == self.parties(from, &target.holders)
            && *coordinator == known.opener
            && (lock.lock.as_slice(), lock.epoch) == (KEYS, config)
            && u16::from(lock.signers) == from.threshold;
        match is_fit {
            true => Ok(()),
            false => Err("these are not terms by which the account's keys go to others now".into()),
        }
    }

    /// What a resharing came to that ended well, here and by its opener's word, and rests on the keys that are
    /// certified.
    pub(super) fn reshared(&self, session: SessionId) -> Option<(&Terms, Reshared)> {
        let known = self.resharing.known.get(&session).filter(|_| self.may_count(session))?;
        let closed = self.ledger.state().sessions.get(&session)?.outcome.as_ref()?;
        let SessionStatus::Ended(Outcome::Completed { result, .. }) =
            self.session_status(session)?
        else {
            return None;
        };
        let is_closed = matches!(closed, Outcome::Completed { .. });
        let reshared: Reshared = decode(&result, UNIT_BODY_BYTES_MAX).ok().filter(|_| is_closed)?;
        let receives = known.terms.to.devices.contains_key(&self.me);
        let store = &self.vault.as_ref()?.store;
        let pending = store.pending(reshared.session).or_else(|| store.keys());
        let holds = !receives || pending.map(|it| it.name()) == Some(reshared.agreed.name);
        holds.then_some((&known.terms, reshared))
    }

    /// The resharings that may be certified as far as this device knows.
    pub(super) fn reshared_sessions(&self) -> impl Iterator<Item = SessionId> {
        let to_devices = |it: &&SessionId| {
            let known = self.resharing.known.get(it);
            known.is_some_and(|it| it.terms.to.holders == Holders::Devices)
        };
        let sessions = self.resharing.known.keys().filter(to_devices).copied();
        sessions.filter(|it| self.reshared(*it).is_some())
    }

    /// The keys among the holders that a resharing led to.
    pub(super) fn offered_resharing(&self, session: SessionId) -> Option<OfferedKeys> {
        let (terms, reshared) = self.reshared(session)?;
        let (key, _) = self.ledger.chain().config().group_key?;
        let Target { holders, shares } = Target::of(&terms.to);
        let follows = match terms.from.holders {
            Holders::Devices => self.rule(&terms.from) == Target::of(&terms.to),
            Holders::Guardians => self.regained_target() == Target::of(&terms.to),
        };
        let origin = Origin::Reshared { follows };
        Some(OfferedKeys { key, name: reshared.agreed.name, threshold: shares, holders, origin })
    }

    /// The configuration that certifies it: with the roster and the numbers that it was made for.
    pub(super) fn with_resharing(&self, session: SessionId) -> Option<Configuration> {
        let offered = self.offered_resharing(session)?;
        let group_key = Some((offered.key, offered.name));
        let target = Target { holders: offered.holders, shares: offered.threshold };
        let (t_sign, t_dkd) = (target.shares, target.shares);
        if offered.origin == (Origin::Reshared { follows: true }) {
            let current = self.ledger.chain().config().clone();
            return Some(Configuration { group_key, t_sign, t_dkd, ..current });
        }
        let (_, plan) = self.wishes().find(|it| it.0 == target)?;
        Some(Configuration { group_key, ..plan })
    }
}

/// The places of those devices, among all of them in order.
fn places(devices: &BTreeSet<DeviceId>, is: impl Fn(&DeviceId) -> bool) -> DeviceSet {
    let places = devices.iter().zip(0..).filter(|it| is(it.0));
    places.map(|it| Dev(it.1)).collect()
}
