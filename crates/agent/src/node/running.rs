//! Sessions that this device takes part in: fed with their events, driven step by step.

use std::collections::{BTreeMap, VecDeque};

use aura_coordination::execution::{
    Instruction, InstructionResult, ProtocolContext, SessionStatus,
};
use aura_journal::{
    Ledger, SessionState,
    event::{CloseSession, Event, RecordPut, SessionMessage},
};
use aura_protocol_core::{
    AppId, DeviceId, Digest, Outcome, ProtocolInput, RecordKey, RecordWrite, SessionId, UnixTime,
    lifecycle::EffectReply,
};

use crate::{
    error::{AgentError, Whose},
    node::{AgentEvent, Effect, Node, RequestId, view},
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
            if let Some(unit) = ledger.unit(hash) {
                self.heard(*hash, unit.body.author);
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
        let mut next = self.context.next_step();
        while next.is_none() {
            let hash = self.queue.pop_front()?;
            let unit = ledger.unit(&hash)?;
            if let Event::SessionMessage(SessionMessage { label, payload }) = &unit.body.event {
                let (label, payload) = (label.clone(), payload.clone());
                // Nothing waits, so there is room for one; whoever has ended needs none.
                self.context.event(hash, unit.body.author, label, payload).ok()?;
            }
            next = self.context.next_step();
        }
        let signal = matches!(&next, Some(Instruction::Step { input, .. })
            if matches!(**input, ProtocolInput::Signal(_)));
        self.stepping = Some(if signal { Stepping::Signal } else { Stepping::Other });
        next
    }
}

impl Node {
    pub(super) fn session_message(&mut self, session: SessionId, unit: Digest, author: DeviceId) {
        if let Some(running) = self.sessions.get_mut(&session) {
            running.heard(unit, author);
        }
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
        self.keep_session(session);
        Ok(())
    }

    /// Begins the next step of every session that has something to take and whose module is ready.
    pub(super) fn pump_sessions(&mut self) {
        self.judge_sessions();
        let waiting = self.sessions.iter().filter(|(_, it)| it.context.is_running());
        for session in waiting.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.answer_reads(session);
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
                self.session_ended(session);
            }
            // Reads are answered from the context, also after a restart.
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
        let (status, outcome) = view::status_of(running.context.status());
        for id in waiting.into_iter().flatten() {
            let result = self.session_response(session);
            self.out.push(Effect::Answer { id, result });
        }
        let (session, status) = (session.to_string(), status.to_string());
        self.notify(AgentEvent::SessionEnded { session, status, outcome });
    }

    /// Answers what a session asked for, as soon as the records are in the active layout.
    fn answer_reads(&mut self, session: SessionId) {
        let Some(known) = self.ledger.state().sessions.get(&session) else { return };
        let Some(running) = self.sessions.get(&session) else { return };
        let (app, module) = (known.open.app, running.context.module());
        if !self.records_ready(app) || !self.modules.is_ready(&module) {
            return;
        }
        let asked: Vec<Instruction> = running.context.unanswered_reads().collect();
        if asked.is_empty() {
            return;
        }
        let replies: Vec<(u64, EffectReply)> =
            asked.into_iter().filter_map(|it| self.read(&module, app, it)).collect();
        for (effect, reply) in replies {
            let Some(running) = self.sessions.get_mut(&session) else { return };
            let replied = running.context.complete(InstructionResult::Replied { effect, reply });
            if let Err(error) = replied {
                self.log(error.to_string());
            }
        }
        self.keep_session(session);
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
                let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                let page = self.page(app, &prefix, after.as_ref(), limit);
                (effect, EffectReply::Records(page))
            }
            _ => return None,
        })
    }

    /// A page of records, bounded in number and bytes.
    fn page(
        &self,
        app: AppId,
        prefix: &[u8],
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Vec<(RecordKey, Vec<u8>)> {
        let mut page: Vec<(RecordKey, Vec<u8>)> = Vec::new();
        let mut bytes = 0;
        for record in self.records_after(app, prefix, after).take(limit.min(PAGE_RECORDS_MAX)) {
            bytes += record.key.0.len() + record.bytes.len();
            if PAGE_BYTES_MAX < bytes && !page.is_empty() {
                break;
            }
            page.push((record.key.clone(), record.bytes.clone()));
        }
        page
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
        aborted @ Outcome::Aborted { .. } => (aborted, Vec::new()),
    }
}
