//! A built-in protocol that does everything that a session can do: it counts who is there until a
//! deadline, reads and writes a record, uses a right, and takes what people say.

use std::{collections::BTreeSet, sync::Arc};

use aura_agent::{
    AgentError,
    api::{Command, Response, StartRequest},
    engine::BuiltInProtocols,
    node::Files,
};
use aura_coordination::execution::Native;
use aura_protocol_core::{
    Capability, Descriptor, DeviceId, Digest, Epoch, Outcome, ProtocolCapabilities, ProtocolEffect,
    ProtocolError, ProtocolInput, ProtocolLifecycle, ProtocolStep, RecordKey, RecordWrite,
    SchemaId, SessionStart, abi, decode, descriptor::ModuleRole, encode, lifecycle::EffectReply,
};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::world::World;

pub fn describe(name: &str, uses: &[&str]) -> Descriptor {
    Descriptor {
        protocol: name.parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
        abi: abi::VERSION,
        role: ModuleRole::Protocol,
        capabilities: [
            Capability::ReadRecords,
            Capability::WriteRecords,
            Capability::DeriveKey,
            Capability::RunSubProtocol,
        ]
        .into(),
        session_types: vec![],
        schema: SchemaId::of("census: text"),
        uses: uses.iter().map(|it| it.parse().unwrap()).collect(),
        authors: String::new(),
        source: Digest::ZERO,
    }
}

/// A session of the census. Its parameter is for how many epochs it waits.
#[derive(Debug, Clone, Default, BorshSerialize, BorshDeserialize)]
pub struct Census {
    start: Option<SessionStart>,
    deadline: Option<Epoch>,
    here: BTreeSet<DeviceId>,
    said: Vec<Vec<u8>>,
    /// How many were there, once the opener counts no more.
    counted: Option<String>,
    answers: Vec<String>,
}

impl Census {
    fn start(&self) -> Result<&SessionStart, ProtocolError> {
        let reason = || ProtocolError::Unexpected { reason: "before the start".into() };
        self.start.as_ref().ok_or_else(reason)
    }

    /// The opener counts no more, and reads what it counted the last time. What it reads it says: the
    /// others may come to read when there is more.
    fn count(&mut self, late: bool, step: &mut ProtocolStep) -> Result<(), ProtocolError> {
        let start = self.start()?;
        let all = start.participants == self.here;
        if start.me == start.opener && self.counted.is_none() && (all || late) {
            self.counted = Some(format!("{} of {}", self.here.len(), start.participants.len()));
            step.effects.push(ProtocolEffect::GetRecord(RecordKey::from("last")));
        }
        Ok(())
    }

    fn take(&mut self, input: ProtocolInput) -> Result<ProtocolStep, ProtocolError> {
        let mut step = ProtocolStep::default();
        match input {
            ProtocolInput::Start(start) => {
                self.start = Some(start);
                let (capability, bytes) = (Capability::DeriveKey, b"key".to_vec());
                step.effects.push(append("here", b""));
                step.effects.push(ProtocolEffect::Use { capability, bytes });
            }
            ProtocolInput::Clock(now) => {
                let epochs: u64 = decode(&self.start()?.params, 8).unwrap_or(5);
                let deadline = *self.deadline.get_or_insert(now.saturating_add(epochs));
                self.count(deadline <= now, &mut step)?;
            }
            ProtocolInput::Event { author, label, .. } if label == "here" => {
                self.here.insert(author);
                self.count(false, &mut step)?;
            }
            ProtocolInput::Event { author, label, payload } if label == "decided" => {
                if author == self.start()?.opener {
                    let counted = text(&payload).split(" after ").next().map(Into::into);
                    let write = RecordWrite { key: RecordKey::from("last"), bytes: counted };
                    let batch = vec![write];
                    step.outcome = Some(Outcome::Completed { result: payload, batch });
                }
            }
            ProtocolInput::Event { payload, .. } => self.said.push(payload),
            ProtocolInput::Signal(said) if said.is_empty() => {
                return Err(ProtocolError::BadInput { reason: "say something".into() });
            }
            ProtocolInput::Signal(said) => step.effects.push(append("said", &said)),
            ProtocolInput::Reply { result: EffectReply::Record(last), .. } => {
                let last = last.unwrap_or_else(|| b"nothing".to_vec());
                let counted = self.counted.clone().unwrap_or_default();
                let says = format!("{counted} after {}", text(&last));
                step.effects.push(append("decided", says.as_bytes()));
            }
            ProtocolInput::Reply { result, .. } => {
                self.answers.push(format!("{result:?}"));
                let answers = self.answers.join(",");
                step.effects.push(ProtocolEffect::Log(format!("answered: {answers}")));
            }
        }
        if self.counted.is_none() && step.outcome.is_none() {
            step.wake = Some(self.deadline.unwrap_or(Epoch(0)));
        }
        Ok(step)
    }
}

fn append(label: &str, payload: &[u8]) -> ProtocolEffect {
    ProtocolEffect::Append { label: label.to_owned(), payload: payload.to_vec() }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl ProtocolLifecycle for Census {
    fn descriptor() -> Descriptor {
        describe("census", &[])
    }

    fn new() -> Self {
        Self::default()
    }

    fn restore(state: &[u8]) -> Result<Self, ProtocolError> {
        decode(state, state.len()).map_err(|_| ProtocolError::BadState)
    }

    fn snapshot(&self) -> Vec<u8> {
        encode(self)
    }

    fn step(
        &mut self,
        input: ProtocolInput,
        _caps: &ProtocolCapabilities,
    ) -> Result<ProtocolStep, ProtocolError> {
        let mut next = self.clone();
        let step = next.take(input)?;
        *self = next;
        Ok(step)
    }
}

/// A session that runs another as a part of itself, and ends as that one does. Its parameters are the
/// name of the part, and the part's parameters.
#[derive(Debug, Clone, Default, BorshSerialize, BorshDeserialize)]
pub struct Outer;

impl ProtocolLifecycle for Outer {
    fn descriptor() -> Descriptor {
        describe("outer", &["outer", "census", "absent"])
    }

    fn new() -> Self {
        Self
    }

    fn restore(_state: &[u8]) -> Result<Self, ProtocolError> {
        Ok(Self)
    }

    fn snapshot(&self) -> Vec<u8> {
        vec![1]
    }

    fn step(
        &mut self,
        input: ProtocolInput,
        _caps: &ProtocolCapabilities,
    ) -> Result<ProtocolStep, ProtocolError> {
        let bad = |_| ProtocolError::BadInput { reason: "no parameters".into() };
        let mut step = ProtocolStep::default();
        match input {
            ProtocolInput::Start(start) => {
                let (name, params): (String, Vec<u8>) =
                    decode(&start.params, 1 << 10).map_err(bad)?;
                let protocol = name.parse().unwrap();
                step.effects.push(ProtocolEffect::RunSubProtocol { protocol, params });
            }
            ProtocolInput::Reply { result: EffectReply::SubProtocol(outcome), .. } => {
                let result = match outcome {
                    Outcome::Completed { result, batch } => {
                        assert!(batch.is_empty(), "the part's records are the part's");
                        format!("part: {}", text(&result))
                    }
                    Outcome::Aborted { reason } | Outcome::Left { reason } => {
                        format!("part aborted: {reason}")
                    }
                };
                let result = result.into_bytes();
                step.outcome = Some(Outcome::Completed { result, batch: vec![] });
            }
            ProtocolInput::Reply { result: EffectReply::Denied(reason), .. } => {
                let result = format!("denied: {reason}").into_bytes();
                step.outcome = Some(Outcome::Completed { result, batch: vec![] });
            }
            _ => {}
        }
        Ok(step)
    }
}

/// A session that runs one part after the other, until it may not.
#[derive(Debug, Clone, Default, BorshSerialize, BorshDeserialize)]
pub struct Many {
    done: u64,
}

impl ProtocolLifecycle for Many {
    fn descriptor() -> Descriptor {
        describe("many", &["census"])
    }

    fn new() -> Self {
        Self::default()
    }

    fn restore(state: &[u8]) -> Result<Self, ProtocolError> {
        decode(state, state.len()).map_err(|_| ProtocolError::BadState)
    }

    fn snapshot(&self) -> Vec<u8> {
        encode(self)
    }

    fn step(
        &mut self,
        input: ProtocolInput,
        _caps: &ProtocolCapabilities,
    ) -> Result<ProtocolStep, ProtocolError> {
        let mut step = ProtocolStep::default();
        match input {
            ProtocolInput::Reply { result: EffectReply::Denied(reason), .. } => {
                let result = format!("{} parts: {reason}", self.done).into_bytes();
                step.outcome = Some(Outcome::Completed { result, batch: vec![] });
                return Ok(step);
            }
            ProtocolInput::Reply { result: EffectReply::SubProtocol(_), .. } => self.done += 1,
            ProtocolInput::Start(_) => {}
            _ => return Ok(step),
        }
        let (protocol, params) = ("census".parse().unwrap(), encode(&50u64));
        step.effects.push(ProtocolEffect::RunSubProtocol { protocol, params });
        Ok(step)
    }
}

/// A session that ends so many epochs after it has begun.
#[derive(Debug, Clone, Default, BorshSerialize, BorshDeserialize)]
pub struct Pause {
    epochs: u64,
    until: Option<Epoch>,
}

impl ProtocolLifecycle for Pause {
    fn descriptor() -> Descriptor {
        describe("pause", &[])
    }

    fn new() -> Self {
        Self::default()
    }

    fn restore(state: &[u8]) -> Result<Self, ProtocolError> {
        decode(state, state.len()).map_err(|_| ProtocolError::BadState)
    }

    fn snapshot(&self) -> Vec<u8> {
        encode(self)
    }

    fn step(
        &mut self,
        input: ProtocolInput,
        _caps: &ProtocolCapabilities,
    ) -> Result<ProtocolStep, ProtocolError> {
        let mut step = ProtocolStep::default();
        match input {
            ProtocolInput::Start(start) => {
                self.epochs = decode(&start.params, 8).map_err(|_| ProtocolError::BadState)?;
            }
            ProtocolInput::Clock(now) => {
                let until = *self.until.get_or_insert(now.saturating_add(self.epochs));
                if until <= now {
                    let (result, batch) = (b"woken".to_vec(), vec![]);
                    step.outcome = Some(Outcome::Completed { result, batch });
                }
            }
            _ => {}
        }
        step.wake = Some(self.until.unwrap_or(Epoch(0)));
        Ok(step)
    }
}

/// All of them.
pub fn built_ins() -> BuiltInProtocols {
    let mut built_ins = BuiltInProtocols::default();
    built_ins.add(Arc::new(Native::<Census>::new()));
    built_ins.add(Arc::new(Native::<Outer>::new()));
    built_ins.add(Arc::new(Native::<Many>::new()));
    built_ins
}

impl World {
    /// A running account whose program has the protocols of these tests, and has said so.
    pub fn of_census(seed: u64, count: usize) -> Self {
        let mut world = Self::with_built_ins(seed, count, built_ins());
        world.settle(2);
        world
    }

    /// Begins a session of a built-in protocol.
    pub fn start_built_in(
        &mut self,
        index: usize,
        name: &str,
        with: &[usize],
        params: Vec<u8>,
    ) -> Result<String, AgentError> {
        let request = StartRequest {
            alias: name.to_owned(),
            with: with.iter().map(|it| self.devices[*it].id().to_string()).collect(),
            params,
            input: None,
        };
        match self.ask(index, Command::StartBuiltIn(request), Files::default())? {
            Response::Started(started) => Ok(started.session),
            other => panic!("{other:?}"),
        }
    }

    /// Begins a census that waits for so many epochs.
    #[track_caller]
    pub fn start_census(&mut self, index: usize, with: &[usize], epochs: u64) -> String {
        self.start_built_in(index, "census", with, encode(&epochs)).unwrap()
    }

    /// Waits until a session has ended so at all of these.
    #[track_caller]
    pub fn until_ended(&mut self, devices: &[usize], session: &str, outcome: &str) {
        self.until(120, &format!("it ends as `{outcome}`"), |world| {
            devices.iter().all(|it| {
                let view = world.session(*it, session);
                view.is_some_and(|it| it.status == "completed" && it.outcome == outcome)
            })
        });
    }
}
