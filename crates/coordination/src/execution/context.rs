//! One session on one device: inputs in, instructions out.
//!
//! The context holds no protocol code and no key. It feeds inputs to the protocol one at a time,
//! checks each effect against the granted rights and the limits, and remembers which ledger events it
//! has taken, so that a restart neither repeats nor loses one (INV-X2).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use aura_protocol_core::{
    Capability, DecodeError, DeviceId, Digest, Epoch, Outcome, ProtocolCapabilities,
    ProtocolEffect, ProtocolError, ProtocolInput, ProtocolStep, SessionStart, decode, encode,
    lifecycle::EffectReply,
    limits::{CALL_BYTES_MAX, SESSION_STATE_BYTES_MAX, STEP_EFFECTS_MAX, UNIT_BODY_BYTES_MAX},
};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::execution::{
    asked::{Asked, ChildAsked, Wanted},
    bounds::{Breach, check, check_step},
    error::ContextError,
    types::{Instruction, InstructionResult, SessionStatus},
    wake::Wake,
};

/// Most inputs that wait for the protocol. Events beyond it stay in the ledger until there is room.
pub(super) const INBOX_MAX: usize = 1024;
/// Most bytes of events and signals that wait, likewise: the inbox is a part of every snapshot, and
/// others fill it, so it may weigh no more than the session's own state.
pub(super) const INBOX_BYTES_MAX: usize = SESSION_STATE_BYTES_MAX;
/// Largest signal, in bytes: as much as a participant may say in one event.
pub(super) const SIGNAL_BYTES_MAX: usize = UNIT_BODY_BYTES_MAX;
/// Most answers that a session may be waiting for or have waiting for it: all of one step. They get
/// into the inbox even if it is full, since the session may need them to go on.
const ANSWERS_MAX: usize = STEP_EFFECTS_MAX;
/// Most sessions that run as parts of one session at a time: none of ours runs more than one, and
/// each costs every participant a session.
const CHILDREN_MAX: usize = 8;
/// Largest answer, in bytes, encoded. It has to fit into one call beside the largest state; the
/// rights and lengths around it are below 4 KiB.
const ANSWER_BYTES_MAX: usize = CALL_BYTES_MAX - SESSION_STATE_BYTES_MAX - (4 << 10);

/// One session on one device.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ProtocolContext {
    start: SessionStart,
    module: Digest,
    caps: ProtocolCapabilities,
    state: Vec<u8>,
    inbox: VecDeque<Waiting>,
    taken: BTreeSet<Digest>,
    effects: u64,
    /// How many sessions it asked for, allowed or not.
    parts: u64,
    asked: BTreeMap<u64, Asked>,
    wake: Wake,
    status: SessionStatus,
    /// The step that was begun last and is not over.
    stepping: Option<Stepping>,
    /// Whether the host is at it: not after a restart, which has it begin again.
    #[borsh(skip)]
    under_way: bool,
}

/// An input that waits for the protocol, and where the clock stood when it came.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Waiting {
    at: Epoch,
    input: ProtocolInput,
}

/// What the step takes that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
enum Stepping {
    /// The first input that waits.
    Input,
    /// The time.
    Clock(Epoch),
}

impl ProtocolContext {
    /// A session that is about to be started, pinned to `module` and these rights.
    #[must_use]
    pub fn new(start: SessionStart, module: Digest, caps: ProtocolCapabilities) -> Self {
        let begin = Waiting { at: Epoch(0), input: ProtocolInput::Start(start.clone()) };
        Self {
            inbox: VecDeque::from([begin]),
            start,
            module,
            caps,
            state: Vec::new(),
            taken: BTreeSet::new(),
            effects: 0,
            parts: 0,
            asked: BTreeMap::new(),
            wake: Wake::default(),
            status: SessionStatus::Running,
            stepping: None,
            under_way: false,
        }
    }

    /// The session that [`Self::snapshot`] wrote. A step that was under way is run again, and the
    /// host has to carry out [`Self::unanswered`] again.
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

    /// What the session asked and was not answered yet, in the order of asking.
    pub fn unanswered(&self) -> impl Iterator<Item = Instruction> + '_ {
        self.asked.iter().map(|(effect, asked)| asked.clone().instruction(*effect))
    }

    /// The session that it waits for as this part of itself.
    #[must_use]
    pub fn waits_for_part(&self, part: u64) -> Option<&ChildAsked> {
        self.asked.values().find_map(|it| match it {
            Asked::Child(child) if child.part == part => Some(child),
            _ => None,
        })
    }

    /// How many parts it has asked for so far: the next one's number.
    #[must_use]
    pub const fn parts(&self) -> u64 {
        self.parts
    }

    /// The epoch that it asked to be woken at, while it waits for one.
    #[must_use]
    pub const fn wake(&self) -> Option<Epoch> {
        if self.is_running() { self.wake.wish() } else { None }
    }

    /// The quorum clock stands at `now`. An earlier epoch than before changes nothing.
    pub fn clock(&mut self, now: Epoch) {
        self.wake.advance(now);
    }

    /// Whether no input waits and no step is under way, so that the next event may be offered.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.stepping.is_none() && self.inbox.is_empty() && self.is_running()
    }

    /// The epoch that it would be told before the first input that waits. An event that came earlier
    /// is to be offered first.
    #[must_use]
    pub fn next_time(&self) -> Option<Epoch> {
        let first = self.inbox.front().filter(|_| self.stepping.is_none())?;
        self.wake.before(first.at)
    }

    /// Takes a participant's event, which came here when the clock stood at `at`. Says whether it was
    /// new.
    ///
    /// # Errors
    /// `Ended`, or `Full`: the event stays in the ledger, to be offered again.
    pub fn event(
        &mut self,
        unit: Digest,
        author: DeviceId,
        label: String,
        payload: Vec<u8>,
        at: Epoch,
    ) -> Result<bool, ContextError> {
        if self.taken.contains(&unit) {
            return Ok(false);
        }
        self.queue(at, ProtocolInput::Event { author, label, payload })?;
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
        self.queue(self.wake.now(), ProtocolInput::Signal(input))
    }

    /// How many local signals wait for the protocol.
    #[must_use]
    pub fn signals_waiting(&self) -> usize {
        self.inbox.iter().filter(|it| matches!(it.input, ProtocolInput::Signal(_))).count()
    }

    fn queue(&mut self, at: Epoch, input: ProtocolInput) -> Result<(), ContextError> {
        let session = self.start.session;
        if !self.is_running() {
            return Err(ContextError::Ended { session });
        }
        let (waiting, bytes) =
            (self.inbox.len(), self.inbox.iter().map(|it| weight(&it.input)).sum::<usize>());
        if INBOX_MAX <= waiting || INBOX_BYTES_MAX < bytes + weight(&input) {
            return Err(ContextError::Full { session, waiting });
        }
        // What came earlier comes first, but for the input that a step has under way.
        let under_way = usize::from(self.stepping == Some(Stepping::Input));
        let later = |it: &Waiting| it.at <= at;
        let place = self.inbox.partition_point(later).max(under_way);
        self.inbox.insert(place, Waiting { at, input });
        Ok(())
    }

    /// The next step to run, if there is something to take and none is under way: the first input that
    /// waits, after the time if that has gone on; the time alone once nothing waits and the epoch has
    /// come that the session asked for. So a host offers all events that it has first.
    pub fn next_step(&mut self) -> Option<Instruction> {
        if self.under_way || !self.is_running() {
            return None;
        }
        let next = self.stepping.or_else(|| self.next_input())?;
        let input = match next {
            Stepping::Clock(epoch) => ProtocolInput::Clock(epoch),
            Stepping::Input => self.inbox.front()?.input.clone(),
        };
        (self.stepping, self.under_way) = (Some(next), true);
        let (state, caps) = (self.state.clone(), self.caps);
        Some(Instruction::Step { state, caps, input: Box::new(input) })
    }

    fn next_input(&self) -> Option<Stepping> {
        match self.inbox.front() {
            None => self.wake.due().map(Stepping::Clock),
            Some(first) => {
                Some(self.wake.before(first.at).map_or(Stepping::Input, Stepping::Clock))
            }
        }
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
                let (told, _) = self.end_step()?;
                self.wake.stepped(told, step.wake);
                Ok(self.stepped(state, step))
            }
            InstructionResult::Refused(error) => {
                let (told, input) = self.end_step()?;
                self.wake.refused(told);
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
        if self.asked.remove(&effect).is_none() {
            return Err(ContextError::NotAsked { session });
        }
        let found = encode(&reply).len();
        let result = if found <= ANSWER_BYTES_MAX {
            reply
        } else {
            let limit = format!("an answer has at most {ANSWER_BYTES_MAX} bytes, found {found}");
            EffectReply::Denied(limit)
        };
        self.answer(effect, result);
        Ok(())
    }

    /// An answer goes behind all that waits.
    fn answer(&mut self, effect: u64, result: EffectReply) {
        let (at, input) = (self.wake.now(), ProtocolInput::Reply { effect, result });
        self.inbox.push_back(Waiting { at, input });
    }

    /// The step that is under way is over: gives the input that it took, and the time that it was told.
    fn end_step(&mut self) -> Result<(Option<Epoch>, ProtocolInput), ContextError> {
        let not_asked = ContextError::NotAsked { session: self.start.session };
        if !std::mem::take(&mut self.under_way) {
            return Err(not_asked);
        }
        match self.stepping.take().ok_or_else(|| not_asked.clone())? {
            Stepping::Clock(epoch) => Ok((Some(epoch), ProtocolInput::Clock(epoch))),
            Stepping::Input => match self.inbox.pop_front() {
                Some(first) => Ok((None, first.input)),
                None => Err(not_asked),
            },
        }
    }

    fn stepped(&mut self, state: Vec<u8>, step: ProtocolStep) -> Vec<Instruction> {
        let checked = check_step(&state, &step).and_then(|()| self.check_answers(&step));
        if let Err(Breach { code, reason }) = checked {
            return vec![self.fail(code.to_string(), reason)];
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
        let is_answer = |it: &&Waiting| matches!(it.input, ProtocolInput::Reply { .. });
        let answers = self.inbox.iter().filter(is_answer).count();
        let asked = step.effects.iter().filter(|it| has_answer(it)).count();
        check("a session", "answers due", self.asked.len() + answers + asked, ANSWERS_MAX)
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
        match self.wanted(effect) {
            Wanted::Done(instruction) => Some(instruction),
            Wanted::Asked(asked) => match self.may_ask(&asked) {
                Ok(()) => {
                    self.asked.insert(id, asked.clone());
                    Some(asked.instruction(id))
                }
                // A denial is an answer like any other: the protocol learns of it at its next input.
                Err(reason) => {
                    self.answer(id, EffectReply::Denied(reason));
                    None
                }
            },
        }
    }

    fn wanted(&mut self, effect: ProtocolEffect) -> Wanted {
        let wanted = Wanted::of(effect, self.parts);
        if let Wanted::Asked(Asked::Child(_)) = wanted {
            self.parts = self.parts.saturating_add(1);
        }
        wanted
    }

    fn may_ask(&self, asked: &Asked) -> Result<(), String> {
        asked.allowed(&self.caps)?;
        let is_child = |it: &&Asked| matches!(it, Asked::Child(_));
        let children = self.asked.values().filter(is_child).count();
        if matches!(asked, Asked::Child(_)) && CHILDREN_MAX <= children {
            return Err(format!("at most {CHILDREN_MAX} sessions may run as parts of one"));
        }
        Ok(())
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
        self.asked.clear();
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
