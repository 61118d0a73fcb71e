//! Sessions that this device takes part in: fed with their events, driven step by step.

use std::collections::{BTreeMap, VecDeque};

use aura_coordination::execution::{
    ChildAsked, Instruction, InstructionResult, ProtocolContext, SessionStatus,
};
use aura_journal::{
    Ledger, SessionState,
    event::{CloseSession, Event, RecordPut, SessionMessage},
};
use aura_protocol_core::{
    AppId, DeviceId, Digest, Epoch, Outcome, ProtocolInput, RecordKey, RecordWrite, SessionId,
    UnixTime, lifecycle::EffectReply,
};

use crate::{
    error::{AgentError, Whose},
    node::{AgentEvent, Effect, Node, RequestId, clock::Patience, view},
};

/// Most records in one page of a listing.
const PAGE_RECORDS_MAX: usize = 256;
/// Most bytes of records in one page, unless the first alone has more. An answer has to fit into a
/// call beside the session's state.
const PAGE_BYTES_MAX: usize = 128 << 10;
/// Most events of one participant that a session is given: what it takes has to be remembered as long
/// as it runs, and written with each of its snapshots.
const EVENTS_PER_AUTHOR_MAX: usize = 256;

/// How long a session may be silent until it counts no more among those that its opener has running, in
/// seconds. A participant that says nothing must not use up its opener's share for ever.
const STALLED_SECONDS: u64 = 3600;

/// One session on this device.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) context: ProtocolContext,
    /// Events of the ledger that the protocol was not given yet, oldest first. They come one at a time,
    /// when nothing else waits: the ledger keeps them better than a snapshot could.
    queue: VecDeque<Digest>,
    /// How many events of each participant were queued so far.
    heard: BTreeMap<DeviceId, usize>,
    /// Who waits for the answers to the signals that the context holds.
    signals: VecDeque<Option<RequestId>>,
    /// The step that is under way.
    stepping: Option<Stepping>,
    /// When it last took something, as far as is known since the device was started.
    moved: UnixTime,
    /// The epoch that it waits for, and since when.
    pub(super) patience: Option<Patience>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stepping {
    /// It takes what the person at this device said.
    Signal,
    /// It takes something else.
    Other,
}

impl Running {
    pub(super) const fn new(context: ProtocolContext, now: UnixTime) -> Self {
        Self {
            context,
            queue: VecDeque::new(),
            heard: BTreeMap::new(),
            signals: VecDeque::new(),
            stepping: None,
            moved: now,
            patience: None,
        }
    }

    /// A session after a restart. Whoever waited for its answers is gone.
    pub(super) fn restore(context: ProtocolContext, ledger: &Ledger, now: UnixTime) -> Self {
        let nobody = std::iter::repeat_n(None, context.signals_waiting()).collect();
        let mut running = Self { signals: nobody, ..Self::new(context, now) };
        let session = running.context.start().session;
        if let Some(known) = ledger.state().sessions.get(&session) {
            running.queue_from(known, ledger);
        }
        running
    }

    /// Queues what the ledger holds of a session.
    pub(super) fn queue_from(&mut self, known: &SessionState, ledger: &Ledger) {
        for hash in &known.messages {
            if let Some((author, _)) = ledger.place_of(hash) {
                self.heard(*hash, author);
            }
        }
    }

    /// A participant's event arrived. An author's events are in one order everywhere, so the same of
    /// them are too many on every device.
    pub(super) fn heard(&mut self, unit: Digest, author: DeviceId) {
        if !self.context.is_running() || !self.context.start().participants.contains(&author) {
            return;
        }
        let heard = self.heard.entry(author).or_default();
        if *heard < EVENTS_PER_AUTHOR_MAX {
            *heard += 1;
            if !self.context.has_taken(&unit) {
                self.queue.push_back(unit);
            }
        }
    }

    /// Begins to wait in patience for the epoch that the session wants, or ends it.
    pub(super) fn watch_clock(&mut self, epoch: Epoch, now: UnixTime) {
        self.patience = Patience::next(self.patience, self.context.wake(), epoch, now);
    }

    /// Whether it goes on, and not only because somebody in it is silent for ever.
    pub(super) fn is_moving(&self, now: UnixTime) -> bool {
        self.context.is_running() && now <= self.moved.saturating_add(STALLED_SECONDS)
    }

    /// Whether it is moving, and was opened by `device`.
    pub(super) fn is_of(&self, device: DeviceId, now: UnixTime) -> bool {
        self.is_moving(now) && self.context.start().opener == device
    }

    /// The next step, with the next event of the ledger if nothing else waits.
    fn next_step(&mut self, ledger: &Ledger) -> Option<Instruction> {
        if self.stepping.is_some() {
            return None;
        }
        while let Some(hash) = self.queue.front().copied() {
            let at = ledger.arrived_at(&hash).unwrap_or_default();
            // An event that came before what the session would be told next is not overtaken by it.
            let first = self.context.next_time().is_some_and(|it| at < it);
            if !first && !self.context.is_idle() {
                break;
            }
            self.queue.pop_front();
            let Some(unit) = ledger.unit(&hash) else { continue };
            if let Event::SessionMessage(SessionMessage { label, payload }) = &unit.body.event {
                let (label, payload) = (label.clone(), payload.clone());
                if self.context.event(hash, unit.body.author, label, payload, at).is_err() {
                    // It has ended, or the inbox is full of what the person here says.
                    self.queue.push_front(hash);
                    break;
                }
            }
        }
        let next = self.context.next_step();
        let signal = matches!(&next, Some(Instruction::Step { input, .. })
            if matches!(**input, ProtocolInput::Signal(_)));
        next.as_ref()?;
        self.stepping = Some(if signal { Stepping::Signal } else { Stepping::Other });
        next
    }
}

impl Node {
    pub(super) fn session_message(&mut self, session: SessionId, unit: Digest, author: DeviceId) {
        if let Some(running) = self.sessions.get_mut(&session) {
            running.heard(unit, author);
            self.stirred.insert(session);
        }
    }

    /// Something has come that may matter to any session.
    pub(super) fn stir_all(&mut self) {
        let running = self.sessions.iter().filter(|(_, it)| it.context.is_running());
        self.stirred.extend(running.map(|(session, _)| *session));
    }

    /// Something has come that may matter to the session that this unit's session is a part of.
    pub(super) fn stir_parent(&mut self, unit: &Digest) {
        let Some(body) = self.ledger.unit(unit).map(|it| it.body) else { return };
        let parent = match (&body.event, body.session) {
            (Event::OpenChild(child), _) => Some(child.parent),
            (_, Some(session)) => {
                let known = self.ledger.state().sessions.get(&session);
                known.and_then(|it| it.parent).map(|(parent, _)| parent)
            }
            _ => None,
        };
        self.stirred.extend(parent);
    }

    /// How often a session was looked at to see whether it can go on: what driving them all costs. It
    /// grows with what happens to sessions, not with how many there are.
    #[must_use]
    pub const fn looks(&self) -> u64 {
        self.looks
    }

    /// Hands a session what the person at this device says. `id` waits for the answer.
    pub(super) fn say(
        &mut self,
        session: SessionId,
        input: Vec<u8>,
        id: Option<RequestId>,
    ) -> Result<(), AgentError> {
        let Some(running) = self.sessions.get_mut(&session) else {
            return Err(AgentError::new(
                "NotInSession",
                format!("this device takes no part in session {}", session.short()),
                Whose::Caller,
                "see `aura session list`",
            ));
        };
        running.context.signal(input).map_err(|error| {
            let next = match error.code() {
                "SessionEnded" => "start another session",
                "InboxFull" => "wait until the session has taken what was said before",
                _ => "say less",
            };
            AgentError::new(error.code(), error, Whose::Caller, next)
        })?;
        running.signals.push_back(id);
        self.stirred.insert(session);
        self.keep_session(session);
        Ok(())
    }

    /// Begins the next step of every session that has something to take and whose module is ready.
    pub(super) fn pump_sessions(&mut self) {
        self.judge_sessions();
        for session in std::mem::take(&mut self.stirred) {
            if !self.sessions.get(&session).is_some_and(|it| it.context.is_running()) {
                continue;
            }
            self.looks = self.looks.saturating_add(1);
            self.answer_asked(session);
            let Some(running) = self.sessions.get_mut(&session) else { continue };
            let module = running.context.module();
            if !self.modules.is_ready(&module) {
                continue;
            }
            if let Some(Instruction::Step { state, caps, input }) = running.next_step(&self.ledger)
            {
                self.out.push(Effect::Step { session, module, state, caps, input });
            }
        }
    }

    pub(super) fn stepped(&mut self, session: SessionId, result: InstructionResult) {
        let Some(running) = self.sessions.get_mut(&session) else { return };
        running.moved = self.now;
        self.stirred.insert(session);
        if running.stepping.take() == Some(Stepping::Signal) {
            let waiting = running.signals.pop_front().flatten();
            self.answer_signal(session, waiting, &result);
        }
        let Some(running) = self.sessions.get_mut(&session) else { return };
        match running.context.complete(result) {
            Ok(instructions) => {
                for instruction in instructions {
                    self.instructed(session, instruction);
                }
            }
            Err(error) => self.log(format!("a step's result has no use: {error}")),
        }
        let (epoch, now) = (self.ledger.epoch(), self.now);
        if let Some(running) = self.sessions.get_mut(&session) {
            running.watch_clock(epoch, now);
        }
        self.keep_session(session);
    }

    fn instructed(&mut self, session: SessionId, instruction: Instruction) {
        match instruction {
            Instruction::WriteToLedger { label, payload } => {
                let message = SessionMessage { label, payload };
                self.author(Some(session), Event::SessionMessage(message));
            }
            Instruction::Log(line) => self.log(format!("session {}: {line}", session.short())),
            Instruction::Finish(outcome) => self.finished(session, outcome),
            Instruction::Fail { code, reason } => {
                self.log(format!("session {} failed: {code}: {reason}", session.short()));
                self.end_broken_child(session, &code);
                self.session_ended(session);
            }
            Instruction::RunSubProtocol { .. } => self.children_asked += 1,
            // Questions are answered from the context, also after a restart.
            _ => {}
        }
    }

    /// The opener publishes the decided end; everybody else has computed the same.
    fn finished(&mut self, session: SessionId, outcome: Outcome) {
        let Some(running) = self.sessions.get(&session) else { return };
        let (module, opener) = (running.context.module(), running.context.start().opener);
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
        let Some(running) = self.sessions.get_mut(&session) else { return };
        running.queue.clear();
        let waiting = std::mem::take(&mut running.signals);
        self.derivation_ended(session);
        self.resharing_ended(session);
        let Some(running) = self.sessions.get(&session) else { return };
        let (status, outcome) = view::status_of(running.context.status());
        for id in waiting.into_iter().flatten() {
            let result = self.session_response(session);
            self.out.push(Effect::Answer { id, result });
        }
        let (session, status) = (session.to_string(), status.to_string());
        self.notify(AgentEvent::SessionEnded { session, status, outcome });
    }

    /// Answers what a session asked for, as far as that can be done now.
    fn answer_asked(&mut self, session: SessionId) {
        let Some(known) = self.ledger.state().sessions.get(&session) else { return };
        let Some(running) = self.sessions.get(&session) else { return };
        let (app, module) = (known.open.app, running.context.module());
        if !self.modules.is_ready(&module) {
            return;
        }
        let asked: Vec<Instruction> = running.context.unanswered().collect();
        let replies: Vec<(u64, EffectReply)> =
            asked.into_iter().filter_map(|it| self.answer(session, &module, app, it)).collect();
        if replies.is_empty() {
            return;
        }
        for (effect, reply) in replies {
            let Some(running) = self.sessions.get_mut(&session) else { return };
            let replied = running.context.complete(InstructionResult::Replied { effect, reply });
            if let Err(error) = replied {
                self.log(error.to_string());
            }
        }
        self.keep_session(session);
    }

    fn answer(
        &mut self,
        session: SessionId,
        module: &Digest,
        app: AppId,
        asked: Instruction,
    ) -> Option<(u64, EffectReply)> {
        match asked {
            Instruction::UseCapability { effect, capability, bytes } => {
                self.use_right(session, module, (effect, capability), &bytes)
            }
            Instruction::RunSubProtocol { effect, part, protocol, params } => {
                let asked = ChildAsked { part, protocol, params };
                let reply = self.child_reply(session, &asked)?;
                Some((effect, reply))
            }
            read if self.built_ins.has(app) => self.read_built_in(module, app, read),
            // Records are read as soon as they are in the active layout.
            read if self.records_ready(app) => self.read(module, app, read),
            _ => None,
        }
    }

    fn read_built_in(
        &self,
        module: &Digest,
        app: AppId,
        read: Instruction,
    ) -> Option<(u64, EffectReply)> {
        let schema = self.descriptor(module)?.schema;
        Some(match read {
            Instruction::GetRecord { effect, key } => {
                let held = self.built_in_record(app, schema, &key);
                (effect, EffectReply::Record(held.map(|it| it.record.bytes.clone())))
            }
            Instruction::ListRecords { effect, prefix, after, limit } => {
                let records = self.built_in_records(app, schema, &prefix, after.as_ref());
                (effect, EffectReply::Records(page(records, limit)))
            }
            _ => return None,
        })
    }

    fn read(&self, module: &Digest, app: AppId, read: Instruction) -> Option<(u64, EffectReply)> {
        let layout = self.descriptor(module)?.schema;
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
                let records = self.records_after(app, &prefix, after.as_ref());
                let records = records.map(|it| (&it.key, it.bytes.as_slice()));
                (effect, EffectReply::Records(page(records, limit)))
            }
            _ => return None,
        })
    }

    /// Answers whoever said something to a session, once the session has taken it.
    fn answer_signal(
        &mut self,
        session: SessionId,
        waiting: Option<RequestId>,
        result: &InstructionResult,
    ) {
        // A signal that came with the start of the session has nobody waiting.
        let Some(id) = waiting else { return };
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
        if let Some(snapshot) = self.sessions.get(&session).map(|it| it.context.snapshot()) {
            self.keep_bytes(&format!("session/{session}"), snapshot);
        }
    }

    /// Where a session stands here, or by the ledger where this device takes no part.
    pub(super) fn session_status(&self, session: SessionId) -> Option<SessionStatus> {
        self.sessions.get(&session).map(|it| it.context.status().clone())
    }
}

/// An outcome without its batch, and the batch: the ledger holds records once.
fn split(outcome: Outcome) -> (Outcome, Vec<RecordWrite>) {
    match outcome {
        Outcome::Completed { result, batch } => {
            (Outcome::Completed { result, batch: Vec::new() }, batch)
        }
        other @ (Outcome::Aborted { .. } | Outcome::Left { .. }) => (other, Vec::new()),
    }
}

/// A page of records, bounded in number and bytes.
fn page<'a>(
    records: impl Iterator<Item = (&'a RecordKey, &'a [u8])>,
    limit: u32,
) -> Vec<(RecordKey, Vec<u8>)> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(PAGE_RECORDS_MAX);
    let mut page: Vec<(RecordKey, Vec<u8>)> = Vec::new();
    let mut bytes = 0;
    for (key, content) in records.take(limit) {
        bytes += key.0.len() + content.len();
        if PAGE_BYTES_MAX < bytes && !page.is_empty() {
            break;
        }
        page.push((key.clone(), content.to_vec()));
    }
    page
}
