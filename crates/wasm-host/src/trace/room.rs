//! A room in which a few devices run sessions of one module: every event reaches everybody in the order
//! in which it was said, and nothing happens but what the script and the module say.

use std::{collections::BTreeMap, rc::Rc};

use aura_protocol_core::{
    Capability, Descriptor, DeviceId, Digest, Epoch, Outcome, ProtocolCapabilities, ProtocolEffect,
    ProtocolInput, ProtocolStep, RecordKey, RecordWrite, SessionId, SessionStart,
    abi::{Envelope, Op, Reply},
    descriptor::ModuleRole,
    encode,
    lifecycle::{EffectReply, chain_trace},
    limits::STEP_FUEL_MAX,
};

use super::{
    Answer, Call, Command, LIST_BYTES_MAX, Line, ROOM_RECORDS_BYTES_MAX, Ran, RunError, STEPS_MAX,
    Script, Step, WAITING_BYTES_MAX,
    queue::{Event, Queue, Waiting},
};
use crate::{BadOutput, CallError, Trapped};

/// Runs `script` on the module that `call` calls, which has `digest` and says `descriptor` of itself.
/// Each step is shown to `seen` when it was made.
///
/// Every session has the rights that the descriptor asks for, but keys and other protocols: these are
/// refused, because a room has none.
///
/// # Errors
/// [`RunError`]. What the module does wrong is part of the trace, and no error.
pub fn run(
    digest: Digest,
    descriptor: &Descriptor,
    script: &Script,
    call: Call<'_>,
    seen: &mut dyn FnMut(&Step),
) -> Result<Ran, RunError> {
    if descriptor.role != ModuleRole::Protocol {
        return Err(RunError::NoSessions);
    }
    let said = script.digest();
    let trace = Digest::tagged("aura trace of a room v1", &[digest.as_bytes(), said.as_bytes()]);
    let mut room = Room {
        descriptor,
        caps: descriptor.capabilities.iter().copied().collect(),
        ran: Ran { steps: 0, sessions: 0, fuel: 0, trace },
        seats: Vec::new(),
        records: Records::default(),
        queue: Queue::default(),
        now: Epoch(0),
        line: 0,
    };
    for Line { number, command } in script.lines() {
        room.line = *number;
        room.obey(command)?;
        while let Some((device, input)) = room.queue.pop() {
            room.deliver(device, input, call, seen)?;
        }
    }
    Ok(room.ran)
}

struct Room<'a> {
    descriptor: &'a Descriptor,
    caps: ProtocolCapabilities,
    ran: Ran,
    seats: Vec<Seat>,
    records: Records,
    queue: Queue,
    now: Epoch,
    line: usize,
}

/// One device's part in the session.
#[derive(Default)]
struct Seat {
    state: Vec<u8>,
    effects: u64,
    wake: Option<Epoch>,
    told: Option<Epoch>,
    is_over: bool,
}

impl Room<'_> {
    fn obey(&mut self, command: &Command) -> Result<(), RunError> {
        match command {
            Command::Start { devices, params } => self.start(*devices, params),
            Command::Signal { device, bytes } => {
                self.push(*device, Waiting::Input(ProtocolInput::Signal(bytes.clone())))
            }
            Command::Event { author, label, payload } => {
                self.publish(*author, label.clone(), payload.clone())
            }
            Command::Clock(epoch) => {
                self.now = self.now.max(*epoch);
                (1..).zip(0..self.seats.len()).try_for_each(|(device, _)| self.remind(device))
            }
            Command::Record { key, bytes } => {
                self.records.put(key.clone(), Some(bytes.clone()));
                self.bounded_records()
            }
        }
    }

    /// A session begins; the one before, if any, is left as it is.
    fn start(&mut self, devices: u8, params: &[u8]) -> Result<(), RunError> {
        self.queue.clear();
        self.ran.sessions += 1;
        self.seats = (0..devices).map(|_| Seat::default()).collect();
        let session = Digest::tagged("aura trace session", &[&self.ran.sessions.to_le_bytes()]);
        (1..=devices).try_for_each(|me| {
            let start = SessionStart {
                session: SessionId::from_bytes(*session.as_bytes()),
                me: device(me),
                opener: device(1),
                participants: (1..=devices).map(device).collect(),
                spoken: self.descriptor.version,
                params: params.to_vec(),
            };
            self.push(me, Waiting::Input(ProtocolInput::Start(start)))
        })
    }

    fn deliver(
        &mut self,
        to: u8,
        input: ProtocolInput,
        call: Call<'_>,
        seen: &mut dyn FnMut(&Step),
    ) -> Result<(), RunError> {
        let caps = self.caps;
        let Some(seat) = self.seat(to).filter(|it| !it.is_over) else { return Ok(()) };
        let op = Op::Step { state: seat.state.clone(), caps, input: input.clone() };
        let reply = match call(&Envelope::new(op), STEP_FUEL_MAX) {
            Ok(replied) => Ok(replied),
            Err(CallError::Trapped(trapped)) => Err(trapped),
            Err(error) => return Err(RunError::Call { line: self.line, source: Box::new(error) }),
        };
        let (answer, state) = self.chained(reply);
        let Ran { steps: number, trace, .. } = self.ran;
        seen(&Step { number, line: self.line, device: to, input, answer: answer.clone(), trace });
        let Some(seat) = self.seat(to) else { return Ok(()) };
        match answer {
            Answer::Stepped { step, .. } => {
                seat.state = state;
                self.follow(to, step)
            }
            Answer::Failed { .. } => Ok(()),
            Answer::Trapped(_) => {
                seat.is_over = true;
                Ok(())
            }
        }
    }

    /// What a reply means, and the state that it leaves, once it is part of the trace.
    fn chained(&mut self, reply: Result<(Reply, u64), Trapped>) -> (Answer, Vec<u8>) {
        let reply = reply.and_then(|(reply, fuel)| match reply {
            Reply::Stepped { .. } | Reply::Failed(_) => Ok((reply, fuel)),
            _ => Err(BadOutput::WrongReply.into()),
        });
        let (output, fuel) = match &reply {
            Ok((reply, fuel)) => (encode(reply), *fuel),
            Err(trapped) => (trapped.code().as_bytes().to_vec(), 0),
        };
        self.ran.trace = chain_trace(self.ran.trace, &output, fuel);
        self.ran.steps += 1;
        self.ran.fuel += fuel;
        match reply {
            Ok((Reply::Stepped { state, step }, _)) => {
                (Answer::Stepped { step, state_bytes: state.len(), fuel }, state)
            }
            Ok((Reply::Failed(error), _)) => (Answer::Failed { error, fuel }, Vec::new()),
            Ok(_) => (Answer::Trapped(BadOutput::WrongReply.into()), Vec::new()),
            Err(trapped) => (Answer::Trapped(trapped), Vec::new()),
        }
    }

    /// Does what a step asks for, in its order.
    fn follow(&mut self, who: u8, step: ProtocolStep) -> Result<(), RunError> {
        for effect in step.effects {
            let number = self.seat(who).map_or(0, |it| {
                it.effects += 1;
                it.effects - 1
            });
            let result = match effect {
                ProtocolEffect::Append { label, payload } => {
                    self.publish(who, label, payload)?;
                    continue;
                }
                ProtocolEffect::Log(_) => continue,
                ProtocolEffect::GetRecord(key) => self.read(|it| EffectReply::Record(it.get(&key))),
                ProtocolEffect::ListRecords { prefix, after, limit } => {
                    self.read(|it| EffectReply::Records(it.list(&prefix, after.as_ref(), limit)))
                }
                ProtocolEffect::Use { capability, .. } => {
                    EffectReply::Denied(format!("a room has no keys: {capability}"))
                }
                ProtocolEffect::RunSubProtocol { protocol, .. } => {
                    EffectReply::Denied(format!("a room runs one protocol, not {protocol}"))
                }
            };
            self.push(who, Waiting::Input(ProtocolInput::Reply { effect: number, result }))?;
        }
        if let Some(seat) = self.seat(who) {
            seat.wake = step.wake;
            seat.is_over = step.outcome.is_some();
        }
        // What the opener decides is what is written; the others decide the same, or are wrong.
        if let Some(Outcome::Completed { batch, .. }) = step.outcome.filter(|_| who == OPENER) {
            self.write(batch)?;
        }
        self.remind(who)
    }

    /// Tells a device that its time has come, once for each time of the clock.
    fn remind(&mut self, who: u8) -> Result<(), RunError> {
        let now = self.now;
        let Some(seat) = self.seat(who) else { return Ok(()) };
        let is_due = seat.wake.is_some_and(|it| it <= now) && seat.told < Some(now);
        if !is_due || seat.is_over {
            return Ok(());
        }
        seat.told = Some(now);
        self.push(who, Waiting::Input(ProtocolInput::Clock(now)))
    }

    fn publish(&mut self, author: u8, label: String, payload: Vec<u8>) -> Result<(), RunError> {
        let event = Rc::new(Event { author: device(author), label, payload });
        (1..)
            .zip(0..self.seats.len())
            .try_for_each(|(to, _)| self.push(to, Waiting::Event(Rc::clone(&event))))
    }

    fn push(&mut self, to: u8, waiting: Waiting) -> Result<(), RunError> {
        if !self.queue.push(to, waiting) {
            return Err(self.too_much("bytes that wait", WAITING_BYTES_MAX as u64));
        }
        if STEPS_MAX < self.ran.steps + self.queue.len() {
            return Err(self.too_much("steps", STEPS_MAX));
        }
        Ok(())
    }

    fn read(&self, read: impl FnOnce(&Records) -> EffectReply) -> EffectReply {
        if self.caps.allows(Capability::ReadRecords) {
            return read(&self.records);
        }
        EffectReply::Denied(format!("{} was not granted", Capability::ReadRecords))
    }

    fn write(&mut self, batch: Vec<RecordWrite>) -> Result<(), RunError> {
        if self.caps.allows(Capability::WriteRecords) {
            batch.into_iter().for_each(|it| self.records.put(it.key.0, it.bytes));
        }
        self.bounded_records()
    }

    fn bounded_records(&self) -> Result<(), RunError> {
        if self.records.bytes <= ROOM_RECORDS_BYTES_MAX {
            return Ok(());
        }
        Err(self.too_much("bytes of records", ROOM_RECORDS_BYTES_MAX as u64))
    }

    const fn too_much(&self, what: &'static str, limit: u64) -> RunError {
        RunError::TooMuch { line: self.line, what, limit }
    }

    fn seat(&mut self, device: u8) -> Option<&mut Seat> {
        self.seats.get_mut(usize::from(device).checked_sub(1)?)
    }
}

/// The device that opens every session.
const OPENER: u8 = 1;

fn device(number: u8) -> DeviceId {
    DeviceId::from_bytes([number; 32])
}

/// What sessions have written, and what the script says was there before.
#[derive(Default)]
struct Records {
    by_key: BTreeMap<Vec<u8>, Vec<u8>>,
    bytes: usize,
}

impl Records {
    fn put(&mut self, key: Vec<u8>, bytes: Option<Vec<u8>>) {
        let size = key.len();
        let (added, before) = match bytes {
            Some(bytes) => (size + bytes.len(), self.by_key.insert(key, bytes)),
            None => (0, self.by_key.remove(&key)),
        };
        let gone = before.map_or(0, |it| size + it.len());
        self.bytes = (self.bytes + added).saturating_sub(gone);
    }

    fn get(&self, key: &RecordKey) -> Option<Vec<u8>> {
        self.by_key.get(&key.0).cloned()
    }

    /// The records whose keys begin with `prefix`, from after `after`: as many as `limit` and
    /// [`LIST_BYTES_MAX`] allow, but one at least.
    fn list(
        &self,
        prefix: &[u8],
        after: Option<&RecordKey>,
        limit: u32,
    ) -> Vec<(RecordKey, Vec<u8>)> {
        let mut left = LIST_BYTES_MAX;
        let mut fits = |size: usize, is_first: bool| {
            let fits = is_first || size <= left;
            left = if fits { left.saturating_sub(size) } else { 0 };
            fits
        };
        let found =
            self.by_key.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix));
        found
            .filter(|(key, _)| after.is_none_or(|after| after.0 < **key))
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .enumerate()
            .take_while(|(index, (key, bytes))| fits(key.len() + bytes.len(), *index == 0))
            .map(|(_, (key, bytes))| (RecordKey(key.clone()), bytes.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use aura_protocol_core::{ProtocolName, ProtocolVersion, Requirement, SchemaId, abi};

    use super::*;
    use crate::HostError;

    fn descriptor(capabilities: &[Capability]) -> Descriptor {
        Descriptor {
            protocol: "room".parse::<ProtocolName>().unwrap(),
            version: ProtocolVersion::new(1, 0, 0),
            abi: abi::VERSION,
            role: ModuleRole::Protocol,
            capabilities: capabilities.iter().copied().collect(),
            session_types: vec![],
            schema: SchemaId::of("room"),
            uses: BTreeSet::new(),
            authors: String::new(),
            source: Digest::ZERO,
        }
    }

    fn stepped(effects: Vec<ProtocolEffect>) -> Result<(Reply, u64), CallError> {
        Ok((
            Reply::Stepped { state: vec![7], step: ProtocolStep { effects, ..Default::default() } },
            10,
        ))
    }

    fn say(word: &str) -> ProtocolEffect {
        ProtocolEffect::Append { label: word.to_owned(), payload: vec![] }
    }

    /// Runs a script on a module that is a function here; what each device was told, and how it ended.
    fn told(
        script: &str,
        capabilities: &[Capability],
        mut module: impl FnMut(u8, &ProtocolInput) -> Result<(Reply, u64), CallError>,
    ) -> (Vec<String>, Result<Ran, RunError>) {
        let (script, mut seen) = (Script::parse(script).unwrap(), Vec::new());
        let mut call = |envelope: &Envelope, _| match &envelope.op {
            Op::Step { state, input, .. } => {
                // A module knows who it is from its start; here its state says it.
                let who = match input {
                    ProtocolInput::Start(start) => start.me.as_bytes()[0],
                    _ => state.first().copied().unwrap_or_default(),
                };
                let replied = module(who, input);
                replied.map(|(reply, fuel)| match reply {
                    Reply::Stepped { step, .. } => {
                        (Reply::Stepped { state: vec![who], step }, fuel)
                    }
                    other => (other, fuel),
                })
            }
            _ => Ok((Reply::Unsupported, 0)),
        };
        let mut look = |step: &Step| seen.push(format!("{} {}", step.device, step.input_words()));
        let descriptor = descriptor(capabilities);
        let ran = run(Digest::ZERO, &descriptor, &script, &mut call, &mut look);
        (seen, ran)
    }

    #[test]
    fn what_one_writes_reaches_all_in_one_order() {
        let (seen, ran) = told("start 2\nsignal 2 x", &[], |_, input| match input {
            ProtocolInput::Signal(_) => stepped(vec![say("a"), say("b")]),
            _ => stepped(vec![]),
        });
        let events = [
            "1 event of 2: “a” “”",
            "2 event of 2: “a” “”",
            "1 event of 2: “b” “”",
            "2 event of 2: “b” “”",
        ];
        assert_eq!(seen[..3], ["1 start “”", "2 start “”", "2 signal “x”"]);
        assert_eq!(seen[3..], events);
        let ran = ran.unwrap();
        assert_eq!((ran.steps, ran.sessions, ran.fuel), (7, 1, 70));
    }

    #[test]
    fn the_trace_is_of_module_script_output_and_fuel() {
        let trace = |script: &str, fuel: u64| {
            let run = told(script, &[], |_, _| stepped(vec![]).map(|(reply, _)| (reply, fuel)));
            run.1.unwrap().trace
        };
        let first = trace("start 1\nsignal 1 x", 10);
        assert_eq!(first, trace("start 1\n# remark\n\n signal 1 x", 10));
        assert_ne!(first, trace("start 1\nsignal 1 y", 10));
        assert_ne!(first, trace("start 1\nsignal 1 x", 11));
    }

    #[test]
    fn records_are_read_as_granted() {
        let list = |after: Option<&str>| ProtocolEffect::ListRecords {
            prefix: b"a/".to_vec(),
            after: after.map(RecordKey::from),
            limit: 2,
        };
        let get = |it: &str| ProtocolEffect::GetRecord(it.into());
        let module = |_: u8, input: &ProtocolInput| match input {
            ProtocolInput::Signal(_) => {
                stepped(vec![get("a/1"), say("x"), get("c"), list(None), list(Some("a/2"))])
            }
            _ => stepped(vec![]),
        };
        let script =
            "record a/1 one\nrecord a/2 two\nrecord a/3 three\nrecord b four\nstart 1\nsignal 1";
        let (seen, _) = told(script, &[Capability::ReadRecords], module);
        let replies: Vec<&str> = seen.iter().filter_map(|it| it.strip_prefix("1 reply ")).collect();
        // The number of a reply counts all effects, also those without one.
        assert_eq!(replies, ["0: record “one”", "2: no record", "3: 2 records", "4: 1 records"]);
        let (seen, _) = told(script, &[], module);
        assert!(seen.contains(&"1 reply 0: denied: “read-records was not granted”".to_owned()));
    }

    #[test]
    fn what_the_opener_completes_is_written() {
        let write = |who: u8| RecordWrite { key: "k".into(), bytes: Some(vec![b'0' + who]) };
        let module = |who: u8, input: &ProtocolInput| match input {
            ProtocolInput::Signal(said) if said == b"end" => {
                let outcome = Outcome::Completed { result: vec![], batch: vec![write(who)] };
                let step = ProtocolStep { outcome: Some(outcome), ..Default::default() };
                Ok((Reply::Stepped { state: vec![], step }, 1))
            }
            ProtocolInput::Signal(_) => stepped(vec![ProtocolEffect::GetRecord("k".into())]),
            _ => stepped(vec![]),
        };
        let both = [Capability::ReadRecords, Capability::WriteRecords];
        let script = "start 2\nsignal 1 end\nsignal 2 end\nsignal 1 late\nstart 1\nsignal 1 look";
        let (seen, _) = told(script, &both, module);
        assert!(!seen.iter().any(|it| it.contains("late")), "a session that ended is told nothing");
        assert_eq!(seen.last().unwrap(), "1 reply 0: record “1”");
        let (seen, _) = told(script, &both[..1], module);
        assert_eq!(seen.last().unwrap(), "1 reply 0: no record");
    }

    #[test]
    fn the_clock_reaches_those_who_wait_once() {
        let module = |who: u8, input: &ProtocolInput| {
            let wake = (who == 2 && !matches!(input, ProtocolInput::Signal(_))).then_some(Epoch(5));
            let step = ProtocolStep { wake, ..Default::default() };
            Ok((Reply::Stepped { state: vec![], step }, 1))
        };
        let (seen, _) = told("start 2\nclock 4\nclock 5\nclock 5\nsignal 2\nclock 9", &[], module);
        assert_eq!(seen[2..], ["2 clock 5", "2 signal “”"]);
    }

    #[test]
    fn an_error_leaves_the_state_and_a_trap_ends_the_session() {
        let module = |_: u8, input: &ProtocolInput| match input {
            ProtocolInput::Signal(said) if said == b"trap" => Err(Trapped::OutOfFuel.into()),
            ProtocolInput::Signal(said) if said == b"odd" => Ok((Reply::Unsupported, 1)),
            ProtocolInput::Signal(_) => {
                Ok((Reply::Failed(aura_protocol_core::ProtocolError::BadState), 3))
            }
            _ => stepped(vec![]),
        };
        let (seen, ran) = told(
            "start 2\nsignal 2 bad\nsignal 2 trap\nsignal 2\nsignal 1 odd\nsignal 1",
            &[],
            module,
        );
        assert_eq!(seen[2..], ["2 signal “bad”", "2 signal “trap”", "1 signal “odd”"]);
        assert_eq!(ran.unwrap().fuel, 23);
    }

    #[test]
    fn a_room_is_bounded() {
        let stopped = |script: &str, effects: fn() -> Vec<ProtocolEffect>| {
            let (seen, ran) = told(script, &[], |_, _| stepped(effects()));
            (seen.len() as u64, ran.unwrap_err().to_string())
        };
        let (steps, error) = stopped("start 1", || vec![say("again")]);
        assert_eq!(error, "line 1 leads to more than 10000 steps: shorten the script");
        assert_eq!(steps, STEPS_MAX);
        let large = || {
            let payload = vec![0; 1 << 20];
            vec![ProtocolEffect::Append { label: String::new(), payload }; 4]
        };
        let (steps, error) = stopped("\nstart 8", large);
        assert_eq!(error, "line 2 leads to more than 16777216 bytes that wait: shorten the script");
        assert_eq!(steps, 1, "each of eight would be given a copy");
    }

    #[test]
    fn what_cannot_run_is_an_error() {
        let mut migration = descriptor(&[]);
        migration.role = ModuleRole::Migration(aura_protocol_core::descriptor::MigrationOffer {
            from: "=1.0.0".parse::<Requirement>().unwrap(),
            from_schema: SchemaId::of("x"),
            reversible: true,
        });
        let script = Script::parse("start 1").unwrap();
        let mut call = |_: &Envelope, _| stepped(vec![]);
        let ran = run(Digest::ZERO, &migration, &script, &mut call, &mut |_| {});
        assert!(matches!(ran, Err(RunError::NoSessions)));
        let (_, ran) = told("start 1", &[], |_, _| {
            Err(HostError::Run { reason: "no memory".to_owned() }.into())
        });
        assert!(matches!(ran, Err(RunError::Call { line: 1, .. })));
    }
}
