//! One session on one device: inputs in, instructions out.
//!
//! The context holds no protocol code and no key. It feeds inputs to the protocol one at a time,
//! checks each effect against the granted rights and the limits, and remembers which ledger events it
//! has taken, so that a restart neither repeats nor loses one (INV-X2).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use aura_protocol_core::{
    Capability, DecodeError, DeviceId, Digest, Outcome, ProtocolCapabilities, ProtocolEffect,
    ProtocolError, ProtocolInput, ProtocolStep, RecordKey, SessionId, SessionStart, decode, encode,
    lifecycle::EffectReply,
    limits::{CALL_BYTES_MAX, SESSION_STATE_BYTES_MAX, STEP_EFFECTS_MAX, UNIT_BODY_BYTES_MAX},
};
use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

use crate::execution::{
    bounds::{Breach, check, check_step},
    types::{Instruction, InstructionResult, SessionStatus},
};

/// Most inputs that wait for the protocol. Events beyond it stay in the ledger until there is room.
const INBOX_MAX: usize = 1024;
/// Most bytes of events and signals that wait, likewise: the inbox is a part of every snapshot, and
/// others fill it, so it may weigh no more than the session's own state.
const INBOX_BYTES_MAX: usize = SESSION_STATE_BYTES_MAX;
/// Largest signal, in bytes: as much as a participant may say in one event.
const SIGNAL_BYTES_MAX: usize = UNIT_BODY_BYTES_MAX;
/// Most answers that a session may be waiting for or have waiting for it: all of one step. They get
/// into the inbox even if it is full, since the session may need them to go on.
const ANSWERS_MAX: usize = STEP_EFFECTS_MAX;
/// Largest answer, in bytes, encoded. It has to fit into one call beside the largest state; the
/// rights and lengths around it are below 4 KiB.
const ANSWER_BYTES_MAX: usize = CALL_BYTES_MAX - SESSION_STATE_BYTES_MAX - (4 << 10);

/// Why a context does not take something.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ContextError {
    /// The session has ended or failed.
    #[error("session {} has ended", .session.short())]
    Ended {
        /// The session.
        session: SessionId,
    },
    /// As many inputs wait as may.
    #[error(
        "session {} has {waiting} inputs waiting; at most {INBOX_MAX} of {INBOX_BYTES_MAX} bytes may",
        .session.short()
    )]
    Full {
        /// The session.
        session: SessionId,
        /// How many inputs wait.
        waiting: usize,
    },
    /// A signal that would never fit.
    #[error("a signal has at most {SIGNAL_BYTES_MAX} bytes, found {found}")]
    TooLarge {
        /// Bytes found.
        found: usize,
    },
    /// An answer to something that was not asked.
    #[error("session {} did not ask for this", .session.short())]
    NotAsked {
        /// The session.
        session: SessionId,
    },
}

impl ContextError {
    /// The stable name of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Ended { .. } => "SessionEnded",
            Self::Full { .. } => "InboxFull",
            Self::TooLarge { .. } => "LimitExceeded",
            Self::NotAsked { .. } => "NotAsked",
        }
    }
}

/// What a session asked to read, kept until it is answered.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
enum Read {
    One(RecordKey),
    Page { prefix: Vec<u8>, after: Option<RecordKey>, limit: u32 },
}

impl Read {
    fn instruction(self, effect: u64) -> Instruction {
        match self {
            Self::One(key) => Instruction::GetRecord { effect, key },
            Self::Page { prefix, after, limit } => {
                Instruction::ListRecords { effect, prefix, after, limit }
            }
        }
    }
}

/// One session on one device.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ProtocolContext {
    start: SessionStart,
    module: Digest,
    caps: ProtocolCapabilities,
    state: Vec<u8>,
    inbox: VecDeque<ProtocolInput>,
    taken: BTreeSet<Digest>,
    effects: u64,
    reads: BTreeMap<u64, Read>,
    status: SessionStatus,
    #[borsh(skip)]
    stepping: bool,
}

impl ProtocolContext {
    /// A session that is about to be started, pinned to `module` and these rights.
    #[must_use]
    pub fn new(start: SessionStart, module: Digest, caps: ProtocolCapabilities) -> Self {
        Self {
            inbox: VecDeque::from([ProtocolInput::Start(start.clone())]),
            start,
            module,
            caps,
            state: Vec::new(),
            taken: BTreeSet::new(),
            effects: 0,
            reads: BTreeMap::new(),
            status: SessionStatus::Running,
            stepping: false,
        }
    }

    /// The session that [`Self::snapshot`] wrote. A step that was under way is run again, and the
    /// host has to carry out [`Self::unanswered_reads`] again.
    ///
    /// There is no limit on a device's own bytes: whatever went into them was limited before.
    ///
    /// # Errors
    /// [`DecodeError`] when `bytes` are no snapshot.
    pub fn restore(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode(bytes, bytes.len())
    }

    /// Everything that is needed to go on after a restart.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        encode(self)
    }

    /// What the session began with.
    #[must_use]
    pub const fn start(&self) -> &SessionStart {
        &self.start
    }

    /// The module that it is pinned to.
    #[must_use]
    pub const fn module(&self) -> Digest {
        self.module
    }

    /// Where it stands.
    #[must_use]
    pub const fn status(&self) -> &SessionStatus {
        &self.status
    }

    /// Whether it goes on.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        matches!(self.status, SessionStatus::Running)
    }

    /// Whether the event of `unit` was taken before.
    #[must_use]
    pub fn has_taken(&self, unit: &Digest) -> bool {
        self.taken.contains(unit)
    }

    /// What the session asked to read and was not answered yet, in the order of asking.
    pub fn unanswered_reads(&self) -> impl Iterator<Item = Instruction> + '_ {
        self.reads.iter().map(|(effect, read)| read.clone().instruction(*effect))
    }

    /// Takes a participant's event. Says whether it was new.
    ///
    /// # Errors
    /// `Ended`, or `Full`: the event stays in the ledger, to be offered again.
    pub fn event(
        &mut self,
        unit: Digest,
        author: DeviceId,
        label: String,
        payload: Vec<u8>,
    ) -> Result<bool, ContextError> {
        if self.taken.contains(&unit) {
            return Ok(false);
        }
        self.queue(ProtocolInput::Event { author, label, payload })?;
        Ok(self.taken.insert(unit))
    }

    /// Takes what the person at this device says.
    ///
    /// # Errors
    /// `Ended`, `TooLarge` or `Full`.
    pub fn signal(&mut self, input: Vec<u8>) -> Result<(), ContextError> {
        if SIGNAL_BYTES_MAX < input.len() {
            return Err(ContextError::TooLarge { found: input.len() });
        }
        self.queue(ProtocolInput::Signal(input))
    }

    /// How many local signals wait for the protocol.
    #[must_use]
    pub fn signals_waiting(&self) -> usize {
        self.inbox.iter().filter(|it| matches!(it, ProtocolInput::Signal(_))).count()
    }

    fn queue(&mut self, input: ProtocolInput) -> Result<(), ContextError> {
        let session = self.start.session;
        if !self.is_running() {
            return Err(ContextError::Ended { session });
        }
        let (waiting, bytes) = (self.inbox.len(), self.inbox.iter().map(weight).sum::<usize>());
        if INBOX_MAX <= waiting || INBOX_BYTES_MAX < bytes + weight(&input) {
            return Err(ContextError::Full { session, waiting });
        }
        self.inbox.push_back(input);
        Ok(())
    }

    /// The next step to run, if an input waits and none is under way.
    pub fn next_step(&mut self) -> Option<Instruction> {
        if self.stepping || !self.is_running() {
            return None;
        }
        let input = self.inbox.front()?.clone();
        self.stepping = true;
        let (state, caps) = (self.state.clone(), self.caps.clone());
        Some(Instruction::Step { state, caps, input: Box::new(input) })
    }

    /// Takes the host's answer, and says what is to be done next, in this order.
    ///
    /// # Errors
    /// `NotAsked` when no such answer is due, `Ended` when the session ended before it came.
    pub fn complete(
        &mut self,
        result: InstructionResult,
    ) -> Result<Vec<Instruction>, ContextError> {
        match result {
            InstructionResult::Replied { effect, reply } => {
                self.replied(effect, reply).map(|()| Vec::new())
            }
            InstructionResult::Stepped { state, step } => {
                self.end_step()?;
                Ok(self.stepped(state, step))
            }
            InstructionResult::Refused(error) => {
                let input = self.end_step()?;
                Ok(self.refused(&input, &error))
            }
            InstructionResult::Trapped { code, reason } => {
                self.end_step()?;
                Ok(vec![self.fail(code, reason)])
            }
        }
    }

    fn replied(&mut self, effect: u64, reply: EffectReply) -> Result<(), ContextError> {
        let session = self.start.session;
        if !self.is_running() {
            return Err(ContextError::Ended { session });
        }
        if self.reads.remove(&effect).is_none() {
            return Err(ContextError::NotAsked { session });
        }
        let found = encode(&reply).len();
        let result = if found <= ANSWER_BYTES_MAX {
            reply
        } else {
            let limit = format!("an answer has at most {ANSWER_BYTES_MAX} bytes, found {found}");
            EffectReply::Denied(limit)
        };
        self.inbox.push_back(ProtocolInput::Reply { effect, result });
        Ok(())
    }

    /// The step that is under way is over: gives the input that it took.
    fn end_step(&mut self) -> Result<ProtocolInput, ContextError> {
        let under_way = std::mem::take(&mut self.stepping);
        let input = if under_way { self.inbox.pop_front() } else { None };
        input.ok_or(ContextError::NotAsked { session: self.start.session })
    }

    fn stepped(&mut self, state: Vec<u8>, step: ProtocolStep) -> Vec<Instruction> {
        let checked = check_step(&state, &step).and_then(|()| self.check_answers(&step));
        if let Err(Breach { code, reason }) = checked {
            return vec![self.fail(code.to_string(), reason)];
        }
        if let Some(epoch) = step.wake {
            // Refused rather than ignored: a session that waits for a clock that never ticks hangs.
            let reason =
                format!("it asks to be woken at epoch {epoch}, and there is no quorum clock");
            return vec![self.fail("ClockNotOffered".to_string(), reason)];
        }
        self.state = state;
        let mut instructions: Vec<Instruction> =
            step.effects.into_iter().filter_map(|effect| self.effect(effect)).collect();
        if let Some(outcome) = step.outcome {
            instructions.push(self.finish(outcome));
        }
        instructions
    }

    fn check_answers(&self, step: &ProtocolStep) -> Result<(), Breach> {
        let is_answer = |it: &&ProtocolInput| matches!(it, ProtocolInput::Reply { .. });
        let answers = self.inbox.iter().filter(is_answer).count();
        let asked = step.effects.iter().filter(|it| has_answer(it)).count();
        check("a session", "answers due", self.reads.len() + answers + asked, ANSWERS_MAX)
    }

    /// A bad event or signal is set aside and the session goes on: nobody may end it by sending
    /// nonsense. One that cannot even start, or cannot read its own state, has failed.
    fn refused(&mut self, input: &ProtocolInput, error: &ProtocolError) -> Vec<Instruction> {
        match (input, error) {
            (ProtocolInput::Start(_), _) | (_, ProtocolError::BadState) => {
                vec![self.fail("ProtocolRefused".to_string(), error.to_string())]
            }
            _ => vec![Instruction::Log(format!("input refused: {error}"))],
        }
    }

    fn effect(&mut self, effect: ProtocolEffect) -> Option<Instruction> {
        let id = self.effects;
        self.effects = self.effects.saturating_add(1);
        match effect {
            ProtocolEffect::Append { label, payload } => {
                Some(Instruction::WriteToLedger { label, payload })
            }
            ProtocolEffect::Log(line) => Some(Instruction::Log(line)),
            ProtocolEffect::GetRecord(key) => self.read(id, Read::One(key)),
            ProtocolEffect::ListRecords { prefix, after, limit } => {
                self.read(id, Read::Page { prefix, after, limit })
            }
            ProtocolEffect::Use { capability, .. } => {
                self.deny(id, format!("this host offers no `{capability}`"));
                None
            }
            ProtocolEffect::RunSubProtocol { protocol, .. } => {
                self.deny(id, format!("this host cannot run `{protocol}` as a part of a session"));
                None
            }
        }
    }

    fn read(&mut self, id: u64, read: Read) -> Option<Instruction> {
        if !self.caps.allows(Capability::ReadRecords) {
            self.deny(id, "`read-records` was not granted".to_string());
            return None;
        }
        self.reads.insert(id, read.clone());
        Some(read.instruction(id))
    }

    /// A denial is an answer like any other: the protocol learns of it at its next input (INV-X3).
    fn deny(&mut self, effect: u64, reason: String) {
        let result = EffectReply::Denied(reason);
        self.inbox.push_back(ProtocolInput::Reply { effect, result });
    }

    fn finish(&mut self, outcome: Outcome) -> Instruction {
        let writes = matches!(&outcome, Outcome::Completed { batch, .. } if !batch.is_empty());
        if writes && !self.caps.allows(Capability::WriteRecords) {
            let reason = "the session writes records, but `write-records` was not granted";
            return self.fail("CapabilityDenied".to_string(), reason.to_string());
        }
        self.end(SessionStatus::Ended(outcome.clone()));
        Instruction::Finish(outcome)
    }

    fn fail(&mut self, code: String, reason: String) -> Instruction {
        self.end(SessionStatus::Failed { code: code.clone(), reason: reason.clone() });
        Instruction::Fail { code, reason }
    }

    /// Nothing waits for a session that is over, and it waits for nothing.
    fn end(&mut self, status: SessionStatus) {
        self.inbox.clear();
        self.reads.clear();
        self.status = status;
    }
}

/// What an input from others counts towards [`INBOX_BYTES_MAX`].
fn weight(input: &ProtocolInput) -> usize {
    match input {
        ProtocolInput::Event { label, payload, .. } => label.len() + payload.len(),
        ProtocolInput::Signal(bytes) => bytes.len(),
        ProtocolInput::Start(_) | ProtocolInput::Clock(_) | ProtocolInput::Reply { .. } => 0,
    }
}

/// Whether the protocol gets an answer to this effect, be it a denial.
const fn has_answer(effect: &ProtocolEffect) -> bool {
    match effect {
        ProtocolEffect::Append { .. } | ProtocolEffect::Log(_) => false,
        ProtocolEffect::GetRecord(_)
        | ProtocolEffect::ListRecords { .. }
        | ProtocolEffect::Use { .. }
        | ProtocolEffect::RunSubProtocol { .. } => true,
    }
}
