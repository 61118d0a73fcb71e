//! Sessions that were opened: judged here before this device takes part.
//!
//! Some of what a judgement needs may come later than the session itself: a manifest, an entry, the
//! module. Until then the session waits, so that the order of arrival does not show.

use std::collections::BTreeSet;

use aura_coordination::execution::{BuiltIn, ProtocolContext};
use aura_journal::{
    SessionState,
    event::{Event, OpenSession},
};
use aura_protocol_core::{
    AppId, DeviceId, Digest, Manifest, NegotiationPolicy, ProtocolCapabilities, SessionId,
    SessionStart, manifest::transcript, negotiate,
};

use crate::node::{Node, running::Running};

/// Most sessions of one opener that run on this device at a time. The rest wait for those to end, so
/// that nobody fills another's memory by opening more.
pub(super) const RUNNING_PER_OPENER_MAX: usize = 64;
/// Most sessions of one opener that wait to be judged. The rest are not joined.
const WAITING_PER_OPENER_MAX: usize = 256;

/// Sessions that wait to be judged.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    sessions: BTreeSet<SessionId>,
    /// What had arrived when they were judged last.
    judged_at: Option<(usize, u64, usize, usize, usize)>,
}

impl Waiting {
    pub(super) fn of(sessions: impl IntoIterator<Item = SessionId>) -> Self {
        Self { sessions: sessions.into_iter().collect(), judged_at: None }
    }
}

pub(super) enum Judgement {
    /// This device takes part, with this module.
    Join(Digest),
    /// Something that it needs may still come.
    Wait,
    /// It does not take part, because of this.
    Refuse(String),
}

impl Node {
    /// A session was opened that this device may take part in.
    pub(super) fn session_opened(&mut self, session: SessionId) {
        let Some(known) = self.ledger.state().sessions.get(&session) else { return };
        let takes_part = known.open.agreement.runs.contains_key(&self.me);
        if !takes_part || known.outcome.is_some() || self.sessions.contains_key(&session) {
            return;
        }
        let (opener, sessions) = (known.opener, &self.ledger.state().sessions);
        let of_opener = |it: &&SessionId| sessions.get(*it).is_some_and(|it| it.opener == opener);
        let waiting = self.unjudged.sessions.iter().filter(of_opener).count();
        if waiting < WAITING_PER_OPENER_MAX {
            self.unjudged.sessions.insert(session);
            self.unjudged.judged_at = None;
        } else {
            let (opener, session) = (opener.short(), session.short());
            self.log(format!("session {session} is not joined: {waiting} of {opener} wait"));
        }
    }

    /// Judges the sessions that wait, if something has come that could matter to them.
    pub(super) fn judge_sessions(&mut self) {
        let height = self.ledger.chain().height();
        let running = self.sessions.values().filter(|it| it.is_moving(self.now)).count();
        let ready = self.modules.ready_count() + self.upgrades_active();
        let now = (self.ledger.len(), height, ready, running, self.children_asked);
        if self.unjudged.judged_at == Some(now) {
            return;
        }
        self.unjudged.judged_at = Some(now);
        for session in self.unjudged.sessions.clone() {
            let Some(known) = self.ledger.state().sessions.get(&session) else { continue };
            match self.judge_session(known) {
                Judgement::Join(module) => self.join_session(session, module),
                Judgement::Wait => continue,
                Judgement::Refuse(reason) => {
                    self.log(format!("session {} is not joined: {reason}", session.short()));
                }
            }
            self.unjudged.sessions.remove(&session);
        }
    }

    fn join_session(&mut self, session: SessionId, module: Digest) {
        let Some(known) = self.ledger.state().sessions.get(&session) else { return };
        let start = SessionStart {
            session,
            me: self.me,
            opener: known.opener,
            participants: known.open.agreement.runs.keys().copied().collect(),
            spoken: known.open.agreement.spoken,
            params: known.open.params.clone(),
        };
        let caps = self.granted(known.open.app, &module);
        let mut running = Running::new(ProtocolContext::new(start, module, caps), self.now);
        running.queue_from(known, &self.ledger);
        running.context.clock(self.ledger.epoch());
        self.stirred.insert(session);
        self.sessions.insert(session, running);
        self.keep_session(session);
    }

    /// What the account granted the app, cut to what this module asks for.
    fn granted(&self, app: AppId, module: &Digest) -> ProtocolCapabilities {
        let asked = self.descriptor(module).map(|it| it.capabilities.clone()).unwrap_or_default();
        if self.built_ins.has(app) {
            // It is part of what the person at this device runs.
            return asked.into_iter().collect();
        }
        let Some(app) = self.ledger.state().apps.get(&app) else {
            return ProtocolCapabilities::default();
        };
        let granted = app.activation().map(|it| &it.capabilities);
        let granted = granted.unwrap_or(&app.install.capabilities);
        granted.intersection(&asked.into_iter().collect())
    }

    /// Whether the opener negotiated honestly, and the version may still begin.
    fn judge_session(&self, known: &SessionState) -> Judgement {
        let open = &known.open;
        let Some((_, module)) = open.agreement.runs.get(&self.me).copied() else {
            return Judgement::Refuse("this device takes no part".to_string());
        };
        if known.outcome.is_some() {
            return Judgement::Refuse("it has ended".to_string());
        }
        let waits_its_turn = || {
            let of_opener = |it: &&Running| it.is_of(known.opener, self.now);
            RUNNING_PER_OPENER_MAX <= self.sessions.values().filter(of_opener).count()
        };
        let judged = match known.parent {
            // Whoever waits for it is running already.
            Some((parent, part)) => self.judge_child(known, parent, part),
            None if waits_its_turn() => Err(Judgement::Wait),
            None => Ok(()),
        };
        if let Err(judgement) = judged.and_then(|()| self.judge_version(known, &module)) {
            return judgement;
        }
        if !open.manifests.values().all(|it| self.ledger.contains(it)) {
            return Judgement::Wait;
        }
        let Some(manifests) = self.manifests_of(open) else {
            let reason = "its manifests are not what was published";
            return Judgement::Refuse(reason.to_string());
        };
        if transcript(&manifests) != open.transcript {
            let reason = "its transcript is not that of the manifests";
            return Judgement::Refuse(reason.to_string());
        }
        let policy =
            NegotiationPolicy { floor: None, major_max: Some(open.agreement.spoken.major) };
        if negotiate(open.app, &manifests, &policy).as_ref() != Ok(&open.agreement) {
            let reason = "its agreement is not what the manifests lead to";
            return Judgement::Refuse(reason.to_string());
        }
        if self.runs(open.app, &module) { Judgement::Join(module) } else { Judgement::Wait }
    }

    /// Whether the version that is spoken may begin here.
    fn judge_version(&self, known: &SessionState, module: &Digest) -> Result<(), Judgement> {
        let open = &known.open;
        if BuiltIn::app(&open.protocol) == open.app {
            if self.built_ins.runs(open.app, module) {
                return Ok(());
            }
            let (protocol, version) = (&open.protocol, open.agreement.spoken);
            let reason = format!("NotBuiltIn: this device has no built-in {protocol} {version}");
            return Err(Judgement::Refuse(reason));
        }
        let Some(app) = self.ledger.state().apps.get(&open.app) else {
            return Err(Judgement::Wait);
        };
        let (spoken, active) = (open.agreement.spoken.major, app.active.version.major);
        if self.is_blocked(open.app) {
            return Err(Judgement::Wait);
        }
        if active < spoken {
            return match self.began_before_revert(open.app, spoken, &known.opened_by) {
                Some(true) => Ok(()),
                Some(false) => {
                    let reason = format!("VersionOutdated: version {spoken} was taken back");
                    Err(Judgement::Refuse(reason))
                }
                None => Err(Judgement::Wait),
            };
        }
        // After an activation an old session may go on only if it began in the prestate.
        let began_before = || {
            let activation = app.activation()?;
            let past = self.ledger.closure(&activation.prestate).ok()?;
            Some(past.contains(&known.opened_by))
        };
        if spoken < active && began_before() != Some(true) {
            let reason = format!("VersionOutdated: version {} is active now", app.active.version);
            return Err(Judgement::Refuse(reason));
        }
        Ok(())
    }

    /// The manifests that an opener says it read, if they are what the devices published.
    fn manifests_of(&self, open: &OpenSession) -> Option<Vec<Manifest>> {
        let named: BTreeSet<&DeviceId> = open.manifests.keys().collect();
        if named != open.agreement.runs.keys().collect() {
            return None;
        }
        open.manifests
            .iter()
            .map(|(device, hash)| {
                let unit = self.ledger.unit(hash)?;
                match &unit.body.event {
                    Event::PublishManifest(metadata)
                        if unit.body.author == *device && metadata.manifest.device == *device =>
                    {
                        Some(metadata.manifest.clone())
                    }
                    _ => None,
                }
            })
            .collect()
    }
}
