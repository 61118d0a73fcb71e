//! Sessions that run as parts of others (`ProtocolEffect::RunSubProtocol`).
//!
//! Whether a part begins is the opener's to say, once, in the ledger: what a device happens to know at
//! that moment must not lead to one answer here and another there. What can be seen in the protocol
//! itself everybody judges alike.

use aura_coordination::execution::{BuiltIn, ChildAsked};
use aura_journal::{
    SessionState, child_session_id,
    event::{ChildOpening, CloseSession, Event, OpenChild},
};
use aura_protocol_core::{
    AppId, DeviceId, Outcome, ProtocolName, SessionId, lifecycle::EffectReply,
};

use crate::{
    node::{Node, commands::unknown, sessions::Judgement},
    text::printable,
};

/// How deep sessions may stand in each other: a recovery that reshares under a lock is three deep.
const NESTING_MAX: usize = 4;
/// Most sessions that one session leads to, over all depths and from its beginning to its end: none of
/// ours leads to ten, and each costs every participant a session.
const PARTS_MAX: usize = 64;
/// Longest reason for which a part does not begin, in bytes.
const REASON_BYTES_MAX: usize = 256;

impl Node {
    /// The answer to a session that asked for a part, once there is one.
    pub(super) fn child_reply(
        &mut self,
        session: SessionId,
        asked: &ChildAsked,
    ) -> Option<EffectReply> {
        if let Err(reason) = self.may_have_child(session, &asked.protocol) {
            return Some(EffectReply::Denied(reason));
        }
        let child = child_session_id(session, asked.part);
        let state = self.ledger.state();
        if let Some(reason) = state.refused_children.get(&child) {
            return Some(EffectReply::Denied(reason.clone()));
        }
        if let Some(known) = state.sessions.get(&child) {
            return known.outcome.clone().map(EffectReply::SubProtocol);
        }
        if state.sessions.get(&session).is_some_and(|it| it.opener == self.me) {
            self.open_child(session, asked);
        }
        None
    }

    /// What everybody judges alike: whether the descriptor names the protocol, and how deep it stands.
    fn may_have_child(&self, session: SessionId, protocol: &ProtocolName) -> Result<(), String> {
        let module = self.sessions.get(&session).map(|it| it.context.module());
        let uses = module.and_then(|it| self.descriptor(&it)).map(|it| &it.uses);
        if !uses.is_some_and(|it| it.contains(protocol)) {
            return Err(format!("its descriptor does not say that it uses `{protocol}`"));
        }
        if NESTING_MAX <= self.depth(session) {
            return Err(format!("sessions stand in each other {NESTING_MAX} deep at most"));
        }
        Ok(())
    }

    /// How many sessions a session is a part of.
    fn depth(&self, session: SessionId) -> usize {
        let sessions = &self.ledger.state().sessions;
        let above = |it: &SessionId| Some(sessions.get(it)?.parent?.0);
        // Each names the one above by a hash of it, so there is no circle.
        std::iter::successors(above(&session), above).count()
    }

    /// Whether the session at the top of this one has led to as many parts as it may. Its opener decides
    /// that: what others know of its parts may come later.
    fn may_begin(&self, parent: SessionId) -> Result<(), String> {
        let sessions = &self.ledger.state().sessions;
        let top = |session: SessionId| {
            let above = |it: &SessionId| Some(sessions.get(it)?.parent?.0);
            std::iter::successors(Some(session), above).last()
        };
        let of = top(parent);
        let parts = sessions.iter().filter(|(it, known)| known.parent.is_some() && top(**it) == of);
        if parts.count() < PARTS_MAX {
            return Ok(());
        }
        Err(format!("one session leads to {PARTS_MAX} others at most"))
    }

    fn open_child(&mut self, parent: SessionId, asked: &ChildAsked) {
        let ChildAsked { part, protocol, params } = asked;
        let Some(known) = self.ledger.state().sessions.get(&parent) else { return };
        let (of, participants) = (known.open.app, known.open.agreement.runs.keys().copied());
        let participants: Vec<DeviceId> = participants.collect();
        let app = self.may_begin(parent).and_then(|()| self.child_app(of, protocol));
        // What is being prepared will be ready or fail, and that is the time to say whether it begins.
        if app.as_ref().is_ok_and(|it| self.is_preparing(*it)) {
            return;
        }
        let opening = app.and_then(|app| {
            self.opening(app, &participants, params.clone()).map_err(|it| it.message)
        });
        let opening = match opening {
            Ok(open) => ChildOpening::Opened(open),
            Err(reason) => ChildOpening::Refused(printable(&reason, REASON_BYTES_MAX)),
        };
        let child = child_session_id(parent, *part);
        let event = Event::OpenChild(Box::new(OpenChild { parent, part: *part, opening }));
        self.author(Some(child), event);
    }

    /// The app that a part of a session of `of` is a session of: that of the same repository, else the
    /// only one of that name. A built-in protocol uses built-in ones.
    fn child_app(&self, of: AppId, protocol: &ProtocolName) -> Result<AppId, String> {
        if self.built_ins.has(of) {
            let app = BuiltIn::app(protocol);
            let missing = || format!("there is no built-in `{protocol}`");
            return self.built_ins.has(app).then_some(app).ok_or_else(missing);
        }
        let apps = &self.ledger.state().apps;
        let beside = apps.get(&of).map(|it| AppId::derive(it.install.repository, protocol));
        if let Some(app) = beside.filter(|it| apps.contains_key(it)) {
            return Ok(app);
        }
        let named = apps.iter().filter(|(_, it)| it.install.protocol == *protocol);
        match named.map(|(app, _)| *app).collect::<Vec<_>>().as_slice() {
            [app] => Ok(*app),
            [] => Err(unknown(protocol.as_str()).message),
            several => Err(format!("{} installed apps are called `{protocol}`", several.len())),
        }
    }

    /// Whether a part of a session is what the parent asked for, here too.
    pub(super) fn judge_child(
        &self,
        known: &SessionState,
        parent: SessionId,
        part: u64,
    ) -> Result<(), Judgement> {
        let Some(above) = self.sessions.get(&parent) else { return Err(Judgement::Wait) };
        let open = &known.open;
        let Some(asked) = above.context.waits_for_part(part) else {
            if above.context.is_running() && above.context.parts() <= part {
                return Err(Judgement::Wait);
            }
            let reason = "the session that it is a part of did not ask for it, or has ended";
            return Err(Judgement::Refuse(reason.to_string()));
        };
        let of = self.ledger.state().sessions.get(&parent).map(|it| it.open.app);
        let app = of.and_then(|it| self.child_app(it, &asked.protocol).ok());
        if app.is_some_and(|it| it != open.app)
            || asked.protocol != open.protocol
            || asked.params != open.params
        {
            let reason = "it is not what the session that it is a part of asked for";
            return Err(Judgement::Refuse(reason.to_string()));
        }
        // The app may be on its way.
        if app.is_none() { Err(Judgement::Wait) } else { Ok(()) }
    }

    /// A part that broke at its opener ends for everybody: others wait for its outcome.
    pub(super) fn end_broken_child(&mut self, session: SessionId, code: &str) {
        let Some(known) = self.ledger.state().sessions.get(&session) else { return };
        let module = self.sessions.get(&session).map(|it| it.context.module());
        let schema = module.and_then(|it| self.descriptor(&it)).map(|it| it.schema);
        if let Some(schema) = schema
            && known.parent.is_some()
            && known.opener == self.me
            && known.outcome.is_none()
        {
            let outcome = Outcome::Aborted { reason: format!("it broke at its opener: {code}") };
            let close = CloseSession { outcome, schema, batch: Vec::new() };
            self.author(Some(session), Event::CloseSession(close));
        }
    }
}
