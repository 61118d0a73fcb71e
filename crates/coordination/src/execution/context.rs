//! One session on one device: inputs in, instructions out.
//!
//! The context holds no protocol code and no key. It feeds inputs to the protocol one at a time,
//! checks each effect against the granted rights and the limits, and remembers which ledger events it
//! has taken, so that a restart neither repeats nor loses one (INV-X2).

use std::collections::{BTreeSet, VecDeque};

use aura_protocol_core::{
    Capability, DecodeError, DeviceId, Digest, Outcome, ProtocolCapabilities, ProtocolEffect,
    ProtocolError, ProtocolInput, ProtocolStep, SessionId, SessionStart, decode, encode,
    lifecycle::EffectReply,
    limits::{BATCH_RECORDS_MAX, SESSION_STATE_BYTES_MAX, STEP_EFFECTS_MAX},
};
use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

use crate::execution::types::{Instruction, InstructionResult, SessionStatus};

/// Largest snapshot: the protocol's state and the inputs that wait.
const SNAPSHOT_BYTES_MAX: usize = 4 * SESSION_STATE_BYTES_MAX;
/// Most inputs that wait for the protocol. Events beyond it stay in the ledger until there is room.
const INBOX_MAX: usize = 1024;

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
    /// More inputs wait than may.
    #[error("session {} has more than {INBOX_MAX} inputs waiting", .session.short())]
    Full {
        /// The session.
        session: SessionId,
    },
    /// An answer to something that was not asked.
    #[error("session {} did not ask for this", .session.short())]
    NotAsked {
        /// The session.
        session: SessionId,
    },
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
    awaited: BTreeSet<u64>,
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
            awaited: BTreeSet::new(),
            status: SessionStatus::Running,
            stepping: false,
        }
    }

    /// The session that [`Self::snapshot`] wrote. A step that was under way is run again.
    ///
    /// # Errors
    /// [`DecodeError`] when `bytes` are no snapshot.
    pub fn restore(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode(bytes, SNAPSHOT_BYTES_MAX)
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
    /// `Ended` or `Full`.
    pub fn signal(&mut self, input: Vec<u8>) -> Result<(), ContextError> {
        self.queue(ProtocolInput::Signal(input))
    }

    /// How many local signals wait for the protocol.
    #[must_use]
    pub fn signals_waiting(&self) -> usize {
        self.inbox.iter().filter(|it| matches!(it, ProtocolInput::Signal(_))).count()
    }

    fn queue(&mut self, input: ProtocolInput) -> Result<(), ContextError> {
        if !self.is_running() {
            return Err(ContextError::Ended { session: self.start.session });
        }
        if INBOX_MAX <= self.inbox.len() {
            return Err(ContextError::Full { session: self.start.session });
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
    /// `NotAsked` when no such answer is due.
    pub fn complete(
        &mut self,
        result: InstructionResult,
    ) -> Result<Vec<Instruction>, ContextError> {
        let not_asked = ContextError::NotAsked { session: self.start.session };
        if let InstructionResult::Replied { effect, reply } = result {
            if !self.awaited.remove(&effect) {
                return Err(not_asked);
            }
            self.queue(ProtocolInput::Reply { effect, result: reply })?;
            return Ok(Vec::new());
        }
        if !std::mem::take(&mut self.stepping) {
            return Err(not_asked);
        }
        let input = self.inbox.pop_front().ok_or(not_asked)?;
        Ok(match result {
            InstructionResult::Stepped { state, step } => self.stepped(state, step),
            InstructionResult::Refused(error) => self.refused(&input, &error),
            InstructionResult::Trapped { code, reason } => vec![self.fail(code, reason)],
            InstructionResult::Replied { .. } => Vec::new(),
        })
    }

    fn stepped(&mut self, state: Vec<u8>, step: ProtocolStep) -> Vec<Instruction> {
        if let Some(reason) = broken_limit(&state, &step) {
            return vec![self.fail("LimitExceeded".to_string(), reason)];
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

    /// A participant's bad event is set aside and the session goes on: nobody may end it by sending
    /// nonsense. Anything else that the protocol refuses at the start is a failure here.
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
            ProtocolEffect::GetRecord(key) => {
                self.awaited.insert(id);
                let allowed = self.caps.allows(Capability::ReadRecords);
                self.granted(id, allowed, Instruction::GetRecord { effect: id, key })
            }
            ProtocolEffect::ListRecords { prefix, after, limit } => {
                self.awaited.insert(id);
                let allowed = self.caps.allows(Capability::ReadRecords);
                self.granted(
                    id,
                    allowed,
                    Instruction::ListRecords { effect: id, prefix, after, limit },
                )
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

    fn granted(&mut self, id: u64, allowed: bool, instruction: Instruction) -> Option<Instruction> {
        if allowed {
            return Some(instruction);
        }
        self.awaited.remove(&id);
        self.deny(id, "`read-records` was not granted".to_string());
        None
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
        self.inbox.clear();
        self.status = SessionStatus::Ended(outcome.clone());
        Instruction::Finish(outcome)
    }

    fn fail(&mut self, code: String, reason: String) -> Instruction {
        self.inbox.clear();
        self.status = SessionStatus::Failed { code: code.clone(), reason: reason.clone() };
        Instruction::Fail { code, reason }
    }
}

fn broken_limit(state: &[u8], step: &ProtocolStep) -> Option<String> {
    if SESSION_STATE_BYTES_MAX < state.len() {
        return Some(format!(
            "a state of {} bytes, allowed {SESSION_STATE_BYTES_MAX}",
            state.len()
        ));
    }
    if STEP_EFFECTS_MAX < step.effects.len() {
        return Some(format!("{} effects, allowed {STEP_EFFECTS_MAX}", step.effects.len()));
    }
    match &step.outcome {
        Some(Outcome::Completed { batch, .. }) if BATCH_RECORDS_MAX < batch.len() => {
            Some(format!("{} records, allowed {BATCH_RECORDS_MAX}", batch.len()))
        }
        _ => None,
    }
}
