//! Sessions on this device: judged when they open, fed with their events, driven step by step.

use std::collections::BTreeSet;

use aura_coordination::execution::{
    ContextError, Instruction, InstructionResult, ProtocolContext, SessionStatus,
};
use aura_journal::{
    SessionState,
    event::{CloseSession, Event, OpenSession, RecordPut, SessionMessage},
};
use aura_protocol_core::{
    AppId, DeviceId, Digest, Manifest, NegotiationPolicy, Outcome, ProtocolCapabilities,
    ProtocolInput, RecordKey, SessionId, SessionStart, lifecycle::EffectReply,
    manifest::transcript, negotiate,
};

use crate::{
    error::{AgentError, Whose},
    node::{AgentEvent, Effect, Node, view},
};

/// Most records in one page of a listing.
const PAGE_RECORDS_MAX: usize = 256;

impl Node {
    /// A session was opened that this device may take part in.
    pub(super) fn session_opened(&mut self, session: SessionId) {
        let Some(known) = self.ledger.state().sessions.get(&session).cloned() else { return };
        let takes_part = known.open.agreement.runs.contains_key(&self.me);
        if !takes_part || known.outcome.is_some() || self.sessions.contains_key(&session) {
            return;
        }
        if let Err(reason) = self.judge_session(&known) {
            self.log(format!("session {} is not joined: {reason}", session.short()));
            return;
        }
        let Some((_, module)) = known.open.agreement.runs.get(&self.me).copied() else { return };
        let start = SessionStart {
            session,
            me: self.me,
            opener: known.opener,
            participants: known.open.agreement.runs.keys().copied().collect(),
            spoken: known.open.agreement.spoken,
            params: known.open.params.clone(),
        };
        let caps = self.granted(known.open.app, &module);
        self.sessions.insert(session, ProtocolContext::new(start, module, caps));
        self.keep_session(session);
    }

    /// What the account granted the app, cut to what this module asks for.
    fn granted(&self, app: AppId, module: &Digest) -> ProtocolCapabilities {
        let asked = self.descriptor(module).map(|it| it.capabilities.clone()).unwrap_or_default();
        let Some(app) = self.ledger.state().apps.get(&app) else {
            return ProtocolCapabilities::default();
        };
        let granted = app.activations.last().map(|(_, it)| &it.capabilities);
        let granted = granted.unwrap_or(&app.install.capabilities);
        granted.intersection(&ProtocolCapabilities { granted: asked })
    }

    /// Whether the opener negotiated honestly, and the version may still begin.
    fn judge_session(&self, known: &SessionState) -> Result<(), String> {
        let open = &known.open;
        let manifests =
            self.manifests_of(open).ok_or("its manifests are not what was published")?;
        if transcript(&manifests) != open.transcript {
            return Err("its transcript is not that of the manifests".to_string());
        }
        let policy =
            NegotiationPolicy { floor: None, major_max: Some(open.agreement.spoken.major) };
        if negotiate(open.app, &manifests, &policy).as_ref() != Ok(&open.agreement) {
            return Err("its agreement is not what the manifests lead to".to_string());
        }
        let Some(app) = self.ledger.state().apps.get(&open.app) else {
            return Err("its app is not installed".to_string());
        };
        let (spoken, active) = (open.agreement.spoken.major, app.active.version.major);
        if active < spoken {
            return Err(format!("version {} is not active", open.agreement.spoken));
        }
        // After an activation an old session may go on only if it began in the prestate.
        let began_before = || {
            let (_, activation) = app.activations.last()?;
            let past = self.ledger.closure(&activation.prestate).ok()?;
            Some(past.contains(&known.opened_by))
        };
        if spoken < active && began_before() != Some(true) {
            return Err(format!("VersionOutdated: version {} is active now", app.active.version));
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
                    Event::PublishManifest(metadata) if unit.body.author == *device => {
                        Some(metadata.manifest.clone())
                    }
                    _ => None,
                }
            })
            .collect()
    }

    /// A participant's event arrived.
    pub(super) fn session_message(
        &mut self,
        session: SessionId,
        unit: Digest,
        author: DeviceId,
        message: SessionMessage,
    ) {
        let Some(context) = self.sessions.get_mut(&session) else { return };
        if !context.start().participants.contains(&author) {
            return;
        }
        // Ended: there is nothing to tell it. Full: `catch_up` offers it again after a step.
        if context.event(unit, author, message.label, message.payload) == Ok(true) {
            self.keep_session(session);
        }
    }

    /// Offers a session every event of the ledger that it has not taken.
    pub(super) fn catch_up(&mut self, session: SessionId) {
        let Some(known) = self.ledger.state().sessions.get(&session) else { return };
        let missed: Vec<Digest> = known
            .messages
            .iter()
            .filter(|unit| self.sessions.get(&session).is_some_and(|it| !it.has_taken(unit)))
            .copied()
            .collect();
        for hash in missed {
            let Some(unit) = self.ledger.unit(&hash) else { continue };
            if let Event::SessionMessage(message) = unit.body.event.clone() {
                self.session_message(session, hash, unit.body.author, message);
            }
        }
    }

    /// Begins the next step of every session that has something to take and whose module is ready.
    pub(super) fn pump_sessions(&mut self) {
        let waiting: Vec<SessionId> =
            self.sessions.iter().filter(|(_, it)| it.is_running()).map(|(id, _)| *id).collect();
        for session in waiting {
            self.answer_reads(session);
            let Some(context) = self.sessions.get_mut(&session) else { continue };
            let module = context.module();
            if !self.modules.is_ready(&module) {
                continue;
            }
            if let Some(Instruction::Step { state, caps, input }) = context.next_step() {
                if matches!(*input, ProtocolInput::Signal(_)) {
                    self.signalling.insert(session);
                }
                self.out.push(Effect::Step { session, module, state, caps, input });
            }
        }
    }

    pub(super) fn stepped(&mut self, session: SessionId, result: InstructionResult) {
        let signalled = self.signalling.remove(&session);
        if signalled {
            self.answer_signal(session, &result);
        }
        let Some(context) = self.sessions.get_mut(&session) else { return };
        match context.complete(result) {
            Ok(instructions) => {
                for instruction in instructions {
                    self.instructed(session, instruction);
                }
            }
            Err(error) => self.log(format!("a step's result has no use: {error}")),
        }
        self.catch_up(session);
        self.keep_session(session);
    }

    fn instructed(&mut self, session: SessionId, instruction: Instruction) {
        match instruction {
            Instruction::WriteToLedger { label, payload } => {
                let message = SessionMessage { label, payload };
                self.author(Some(session), Event::SessionMessage(message));
            }
            read @ (Instruction::GetRecord { .. } | Instruction::ListRecords { .. }) => {
                self.reads.entry(session).or_default().push(read);
            }
            Instruction::Log(line) => self.log(format!("session {}: {line}", session.short())),
            Instruction::Finish(outcome) => self.finished(session, outcome),
            Instruction::Fail { code, reason } => {
                self.log(format!("session {} failed: {code}: {reason}", session.short()));
                self.session_ended(session);
            }
            Instruction::Step { .. } => {}
            _ => {}
        }
    }

    /// The opener publishes the decided end; everybody else has computed the same.
    fn finished(&mut self, session: SessionId, outcome: Outcome) {
        let Some(context) = self.sessions.get(&session) else { return };
        let (module, opener) = (context.module(), context.start().opener);
        let app = self.ledger.state().sessions.get(&session).map(|it| it.open.app);
        let schema = self.descriptor(&module).map(|it| it.schema);
        if opener == self.me
            && let (Some(app), Some(schema)) = (app, schema)
        {
            let (outcome, batch) = split(outcome);
            let state = self.ledger.state();
            let batch = batch.into_iter().map(|write| {
                let written = state.records.get(&(app, schema, write.key.clone()));
                let base = written.map(|it| it.record.tag.unit);
                RecordPut { key: write.key, base, bytes: write.bytes }
            });
            let close = CloseSession { outcome, schema, batch: batch.collect() };
            self.author(Some(session), Event::CloseSession(close));
        }
        self.session_ended(session);
    }

    fn session_ended(&mut self, session: SessionId) {
        let Some(context) = self.sessions.get(&session) else { return };
        let (status, outcome) = view::status_of(context.status());
        for id in self.signals.remove(&session).into_iter().flatten().flatten() {
            let result = self.session_response(session);
            self.out.push(Effect::Answer { id, result });
        }
        let (session, status) = (session.to_string(), status.to_string());
        self.notify(AgentEvent::SessionEnded { session, status, outcome });
    }

    /// Answers what a session asked for, as soon as the records are in the active layout.
    fn answer_reads(&mut self, session: SessionId) {
        let Some(known) = self.ledger.state().sessions.get(&session) else { return };
        let app = known.open.app;
        if !self.reads.contains_key(&session) || !self.records_ready(app) {
            return;
        }
        for read in self.reads.remove(&session).unwrap_or_default() {
            let Some((effect, reply)) = self.read(session, app, read) else { continue };
            let Some(context) = self.sessions.get_mut(&session) else { return };
            let replied = context.complete(InstructionResult::Replied { effect, reply });
            if let Err(error @ ContextError::Full { .. }) = replied {
                self.log(error.to_string());
            }
        }
        self.keep_session(session);
    }

    fn read(
        &self,
        session: SessionId,
        app: AppId,
        read: Instruction,
    ) -> Option<(u64, EffectReply)> {
        let module = self.sessions.get(&session)?.module();
        let layout = self.descriptor(&module)?.schema;
        let active = self.ledger.state().apps.get(&app)?.active.schema;
        let denied =
            || EffectReply::Denied("the records are in the layout of a later version".to_string());
        Some(match read {
            Instruction::GetRecord { effect, .. } | Instruction::ListRecords { effect, .. }
                if layout != active =>
            {
                (effect, denied())
            }
            Instruction::GetRecord { effect, key } => {
                let bytes = self.record(app, &key).map(|it| it.bytes.clone());
                (effect, EffectReply::Record(bytes))
            }
            Instruction::ListRecords { effect, prefix, after, limit } => {
                let limit = PAGE_RECORDS_MAX.min(usize::try_from(limit).unwrap_or(usize::MAX));
                let page: Vec<(RecordKey, Vec<u8>)> = self
                    .records_after(app, &prefix, after.as_ref())
                    .take(limit)
                    .map(|it| (it.key.clone(), it.bytes.clone()))
                    .collect();
                (effect, EffectReply::Records(page))
            }
            _ => return None,
        })
    }

    /// Answers whoever said something to a session, once the session has taken it.
    fn answer_signal(&mut self, session: SessionId, result: &InstructionResult) {
        let waiting =
            self.signals.get_mut(&session).and_then(std::collections::VecDeque::pop_front);
        // A signal that came with the start of the session has nobody waiting.
        let Some(Some(id)) = waiting else { return };
        let result = match result {
            InstructionResult::Refused(error) => Err(AgentError::new(
                "InputRefused",
                format!("the protocol refuses the input: {error}"),
                Whose::Caller,
                "change the input and try again",
            )),
            InstructionResult::Trapped { code, reason } => Err(AgentError::new(
                code.clone(),
                format!("the module broke: {reason}"),
                Whose::Publisher,
                "report it to the publisher",
            )),
            _ => self.session_response(session),
        };
        self.out.push(Effect::Answer { id, result });
    }

    pub(super) fn keep_session(&mut self, session: SessionId) {
        if let Some(snapshot) = self.sessions.get(&session).map(ProtocolContext::snapshot) {
            self.keep_bytes(&format!("session/{session}"), snapshot);
        }
    }

    /// Where a session stands here, or by the ledger where this device takes no part.
    pub(super) fn session_status(&self, session: SessionId) -> Option<SessionStatus> {
        self.sessions.get(&session).map(|it| it.status().clone())
    }
}

/// An outcome without its batch, and the batch: the ledger holds records once.
fn split(outcome: Outcome) -> (Outcome, Vec<aura_protocol_core::RecordWrite>) {
    match outcome {
        Outcome::Completed { result, batch } => {
            (Outcome::Completed { result, batch: Vec::new() }, batch)
        }
        aborted @ Outcome::Aborted { .. } => (aborted, Vec::new()),
    }
}
