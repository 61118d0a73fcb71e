//! Writing units: what a device says, put at the end of its chain and on top of what it has seen.

use std::cmp::Reverse;

use aura_crypto::SecretKey;
use aura_protocol_core::{
    DeviceId, Digest, Epoch, SessionId, encode,
    limits::{UNIT_BODY_BYTES_MAX, UNIT_DEPS_MAX},
};

use crate::{
    control::{Configuration, SnapshotPoint},
    dag::{Chain, is_late, next_lamport},
    encoded::NamedUnit,
    error::AuthorError,
    event::Event,
    ledger::Ledger,
    scheme::UnitScheme,
    unit::{UNIT_VERSION, UnitBody},
};

/// Most units that are looked at to see whether a link is needed. A link too many does no harm.
const VISITS_MAX: usize = 4096;

impl<S: UnitScheme> Ledger<S> {
    /// Writes, signs and adds a unit, and returns its name. It names the newest configuration and,
    /// beside the author's last unit, up to four of the newest units that nobody rests on yet; where
    /// there are more, what the event answers to is surely among what the unit rests on.
    ///
    /// The unit is part of the next batch; it must be stored before anybody sees it, or a crash
    /// would make a fork of its author.
    ///
    /// # Errors
    /// [`AuthorError`]; nothing has changed then.
    pub fn author(
        &mut self,
        me: DeviceId,
        key: &SecretKey,
        session: Option<SessionId>,
        event: Event,
    ) -> Result<Digest, AuthorError> {
        let (config, current) = self.may_write(me)?;
        if current.roster.get(&me).is_some_and(|it| it.unit_key != key.public()) {
            return Err(AuthorError::WrongKey { device: me });
        }
        let prev = self.dag.chain_of(&me).and_then(Chain::last);
        let deps = self.choose_deps(prev, config, self.answers_to(session, &event));
        let parents = prev.iter().chain(&deps).filter_map(|it| self.dag.lamport(it));
        let body = UnitBody {
            version: UNIT_VERSION,
            account: self.account(),
            config,
            author: me,
            seq: self.next_seq(me),
            lamport: next_lamport(parents),
            prev,
            deps,
            session,
            event,
        };
        if UNIT_BODY_BYTES_MAX < body.event_bytes() {
            let found = body.event_bytes();
            return Err(AuthorError::Size { found, limit: UNIT_BODY_BYTES_MAX });
        }
        let unit = NamedUnit::of(encode(&body.sign_with::<S>(key)));
        if self.dag.spent(&self.chain, &unit.encoded()).is_none() {
            return Err(AuthorError::Quota { device: me, config });
        }
        let name = unit.name();
        self.accept(unit, None);
        Ok(name)
    }

    /// Writes the tick of `epoch`, or of the next that the clock allows if that is earlier.
    ///
    /// A tick counts only if its past holds a quorum's ticks of the epoch before. Where there are more
    /// heads than a unit can link, ticks of an earlier epoch come first, which count for nothing and
    /// link the rest.
    ///
    /// # Errors
    /// As [`Self::author`].
    pub fn tick(&mut self, me: DeviceId, key: &SecretKey, epoch: Epoch) -> Result<(), AuthorError> {
        let wanted = epoch.min(self.epoch().saturating_add(1));
        loop {
            let prev = self.dag.chain_of(&me).and_then(Chain::last);
            let config = self.writing_config(me)?;
            let tips = prev.into_iter().chain(self.choose_deps(prev, config, None));
            let proved = self.dag.ticks_of(tips).stand(self.chain.config()).saturating_add(1);
            let tick = wanted.min(proved);
            self.author(me, key, None, Event::EpochTick { epoch: tick })?;
            if tick == wanted {
                return Ok(());
            }
        }
    }

    /// The unit without which an event means nothing.
    fn answers_to(&self, session: Option<SessionId>, event: &Event) -> Option<Digest> {
        match event {
            Event::AcknowledgeUpgrade { proposal }
            | Event::SignalReady { proposal, .. }
            | Event::DeclineUpgrade { proposal, .. } => Some(*proposal),
            Event::SessionMessage(_) | Event::CloseSession(_) => self.opened_by(session?),
            Event::OpenChild(child) => self.opened_by(child.parent),
            Event::OpenUntil(until) => self.opened_by(until.parent()?),
            Event::PublishManifest(_)
            | Event::Control(_)
            | Event::ProposeUpgrade(_)
            | Event::OpenSession(_)
            | Event::EpochTick { .. }
            | Event::Unread(_) => None,
        }
    }

    fn opened_by(&self, session: SessionId) -> Option<Digest> {
        self.state().sessions.get(&session).map(|it| it.opened_by)
    }

    /// Whether this device can write now, and the configuration that it then names.
    fn may_write(&self, me: DeviceId) -> Result<(u64, &Configuration), AuthorError> {
        let config = self.writing_config(me)?;
        let current = self.chain.config_at(config).filter(|it| it.roster.contains_key(&me));
        let current = current.ok_or(AuthorError::NotInRoster { device: me, config })?;
        if let Some(seq) = self.dag.fork_of(&me) {
            return Err(AuthorError::Forked { device: me, seq });
        }
        let prev = self.dag.chain_of(&me).and_then(Chain::last);
        if prev.is_some_and(|it| self.is_late(&it, config)) {
            let seq = self.next_seq(me).saturating_sub(1);
            return Err(AuthorError::Late { device: me, seq });
        }
        Ok((config, current))
    }

    /// Whether this device can write units now, with its own key and within its quota.
    ///
    /// # Errors
    /// [`AuthorError`], saying what is in the way.
    pub fn check_author(&self, me: DeviceId) -> Result<(), AuthorError> {
        self.may_write(me).map(|_| ())
    }

    /// The configuration that a unit of this device names: the newest of which all is here that
    /// snapshots up to it stand for. None while more than one snapshot stands for units that are missing.
    fn writing_config(&self, me: DeviceId) -> Result<u64, AuthorError> {
        let behind = |it: &&SnapshotPoint| self.segments.missing_until(it.k).is_some();
        let Some(first) = self.chain.snapshots().iter().find(behind) else {
            return Ok(self.chain.config_index());
        };
        let before = self
            .chain
            .config_before(first.config)
            .filter(|it| self.chain.config_at(*it).is_some_and(|it| it.roster.contains_key(&me)));
        // What misses two snapshots is linked by nobody, and its author could write nothing after it.
        let comes_in = |it: &u64| {
            self.chain.snapshots().len() < self.chain.snapshots_until(*it).len().saturating_add(2)
        };
        before.filter(comes_in).ok_or(AuthorError::Behind { k: first.k })
    }

    /// Whether a unit of this configuration must not rest on that one, because it comes too late.
    fn is_late(&self, unit: &Digest, config: u64) -> bool {
        let Some(last) = self.chain.snapshots_until(config).last() else { return false };
        let beside = self.dag.place(unit).filter(|_| last.k < self.segments.of(unit));
        beside.is_some_and(|it| is_late(&self.chain, &it, config))
    }

    fn choose_deps(
        &self,
        prev: Option<Digest>,
        config: u64,
        answers_to: Option<Digest>,
    ) -> Vec<Digest> {
        let heads = self.dag.heads().iter().copied().filter(|it| Some(*it) != prev);
        let mut deps: Vec<Digest> = heads.filter(|it| !self.is_late(it, config)).collect();
        deps.sort_unstable_by_key(|it| Reverse(self.dag.index(it)));
        let all = deps.len() <= UNIT_DEPS_MAX;
        deps.truncate(UNIT_DEPS_MAX);
        // All heads together rest on everything; only where some are left out can one be missed.
        // What a snapshot stands for is there for everybody.
        let settled = self.chain.snapshots_until(config).last().map_or(0, |it| it.k);
        let is_beside = |it: &Digest| self.dag.is_above(it) && settled < self.segments.of(it);
        if let Some(unit) = answers_to.filter(|it| !all && is_beside(it)) {
            let mut tips = deps.clone();
            tips.extend(prev);
            if !self.dag.surely_covers(&tips, &unit, VISITS_MAX) {
                deps.truncate(UNIT_DEPS_MAX.saturating_sub(1));
                deps.push(unit);
            }
        }
        deps.sort_unstable();
        deps
    }
}
