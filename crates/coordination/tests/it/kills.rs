//! INV-X2, at every single instruction: a session whose host is killed anywhere and starts again from
//! what it has committed emits exactly what it would have emitted, and nothing before it is durable.

use std::collections::BTreeSet;

use aura_coordination::execution::{
    Instruction, InstructionResult, Native, ProtocolContext, SessionStatus, native,
};
use aura_protocol_core::{
    Capability, Descriptor, DeviceId, Digest, Epoch, Outcome, ProtocolCapabilities, ProtocolEffect,
    ProtocolError, ProtocolInput, ProtocolLifecycle, ProtocolStep, RecordKey, RecordWrite,
    SchemaId, SessionId, SessionStart, abi, decode, descriptor::ModuleRole, encode,
    lifecycle::EffectReply,
};
use borsh::{BorshDeserialize, BorshSerialize};
use proptest::prelude::*;

/// Says after each input what it has been given so far, as one hash over all of it in order; on the
/// way it reads, uses a right, runs other sessions, asks for the time, and ends with a record.
#[derive(Debug, Clone, Default, BorshSerialize, BorshDeserialize)]
struct Diary {
    pages: u64,
    all: [u8; 32],
    now: Epoch,
}

impl ProtocolLifecycle for Diary {
    fn descriptor() -> Descriptor {
        Descriptor {
            protocol: "diary".parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            abi: abi::VERSION,
            role: ModuleRole::Protocol,
            capabilities: [].into(),
            session_types: vec![],
            schema: SchemaId::of("diary"),
            uses: [].into(),
            authors: String::new(),
            source: Digest::ZERO,
        }
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
        if input == ProtocolInput::Signal(vec![0]) {
            return Err(ProtocolError::BadInput { reason: "nothing to write".into() });
        }
        if let ProtocolInput::Clock(now) = input {
            assert!(self.now <= now, "the clock goes back");
            self.now = now;
        }
        self.all = *Digest::tagged("diary", &[&self.all, &encode(&input)]).as_bytes();
        self.pages += 1;
        let page = self.all.to_vec();
        let mut effects = vec![ProtocolEffect::Append { label: "page".into(), payload: page }];
        if self.pages.is_multiple_of(3) {
            effects.push(ProtocolEffect::GetRecord(RecordKey(self.all.to_vec())));
        }
        if self.pages % 5 == 1 {
            let (capability, bytes) = (Capability::Sign, self.all.to_vec());
            effects.push(ProtocolEffect::Use { capability, bytes });
            effects.push(ProtocolEffect::Log(format!("page {}", self.pages)));
        }
        if self.pages % 7 == 2 {
            let (protocol, params) = ("album".parse().unwrap(), self.all.to_vec());
            effects.push(ProtocolEffect::RunSubProtocol { protocol, params });
        }
        let wake = (!self.pages.is_multiple_of(4)).then(|| self.now.saturating_add(self.pages % 3));
        let outcome = (self.pages == 60).then(|| Outcome::Completed {
            result: self.all.to_vec(),
            batch: vec![RecordWrite { key: RecordKey::from("diary"), bytes: None }],
        });
        Ok(ProtocolStep { effects, wake, outcome })
    }
}

/// Something that happens around the session.
#[derive(Debug, Clone)]
enum Happening {
    Event(u8),
    Signal(u8),
    Clock(u8),
}

/// More than any history of these tests takes.
const DONE_MAX: usize = 10_000;

/// A host with a disk. Everything that is not on the disk goes with it.
struct Host {
    session: ProtocolContext,
    disk: Vec<u8>,
    /// What the ledger holds: each event with the epoch at which it came.
    ledger: Vec<(u8, Epoch)>,
    now: Epoch,
    /// What has left, in order.
    emitted: Vec<Instruction>,
    /// When it is killed, counted in things that it does.
    kills: BTreeSet<usize>,
    done: usize,
    killed: usize,
}

/// The host was killed, and has started again.
struct Killed;

impl Host {
    fn new(kills: BTreeSet<usize>) -> Self {
        let me = DeviceId::from_bytes([1; 32]);
        let start = SessionStart {
            session: SessionId::from_bytes([9; 32]),
            me,
            opener: me,
            participants: BTreeSet::from([me]),
            spoken: "1.0.0".parse().unwrap(),
            params: Vec::new(),
        };
        let rights = [
            Capability::ReadRecords,
            Capability::WriteRecords,
            Capability::Sign,
            Capability::RunSubProtocol,
        ];
        let session = ProtocolContext::new(start, Digest::ZERO, rights.into_iter().collect());
        let disk = session.snapshot();
        let (ledger, emitted) = (Vec::new(), Vec::new());
        Self { session, disk, ledger, now: Epoch(0), emitted, kills, done: 0, killed: 0 }
    }

    /// Does one more thing, unless it is killed first.
    fn tick(&mut self) -> Result<(), Killed> {
        let at = self.done;
        // A session that is wrong must fail here, and not fill the memory.
        assert!(at < DONE_MAX, "it does not come to rest");
        self.done += 1;
        if !self.kills.contains(&at) {
            return Ok(());
        }
        self.killed += 1;
        self.session = ProtocolContext::restore(&self.disk).unwrap();
        Err(Killed)
    }

    /// Snapshot and what leaves, in one transaction.
    fn commit(&mut self, leaves: Vec<Instruction>) -> Result<(), Killed> {
        self.tick()?;
        self.disk = self.session.snapshot();
        self.emitted.extend(leaves);
        self.tick()
    }

    fn answers(&mut self) -> Result<(), Killed> {
        let asked: Vec<Instruction> = self.session.unanswered().collect();
        for instruction in asked {
            let (effect, reply) = match instruction {
                Instruction::GetRecord { effect, key } => {
                    (effect, EffectReply::Record(Some(key.0)))
                }
                Instruction::UseCapability { effect, bytes, .. } => {
                    (effect, EffectReply::Used(Digest::of(&bytes).as_bytes().to_vec()))
                }
                Instruction::RunSubProtocol { effect, part, params, .. } => {
                    let result = encode(&(part, params));
                    let outcome = Outcome::Completed { result, batch: vec![] };
                    (effect, EffectReply::SubProtocol(outcome))
                }
                other => panic!("{other:?}"),
            };
            self.session.complete(InstructionResult::Replied { effect, reply }).unwrap();
            self.commit(vec![])?;
        }
        Ok(())
    }

    /// Offers events that are not taken, as far as they come first.
    fn offers(&mut self) {
        for (number, at) in self.ledger.clone() {
            let unit = Digest::of(&[number]);
            if self.session.has_taken(&unit) {
                continue;
            }
            let first = self.session.next_time().is_some_and(|it| at < it);
            if !first && !self.session.is_idle() {
                return;
            }
            let author = DeviceId::from_bytes([number; 32]);
            if self.session.event(unit, author, "event".into(), vec![number], at).is_err() {
                return;
            }
        }
    }

    fn runs(&mut self) -> Result<(), Killed> {
        let diary = Native::<Diary>::new();
        loop {
            self.session.clock(self.now);
            self.answers()?;
            self.offers();
            let Some(Instruction::Step { state, caps, input }) = self.session.next_step() else {
                return Ok(());
            };
            self.tick()?;
            let result = native::run(&diary, &state, *input, &caps);
            self.tick()?;
            let leaves = self.session.complete(result).unwrap();
            let leaves = leaves.into_iter().filter(|it| !is_question(it)).collect();
            self.commit(leaves)?;
        }
    }

    fn takes(&mut self, happening: &Happening) {
        match happening {
            Happening::Event(number) => {
                if !self.ledger.iter().any(|(it, _)| it == number) {
                    self.ledger.push((*number, self.now));
                }
            }
            Happening::Clock(more) => self.now = self.now.saturating_add(u64::from(*more)),
            Happening::Signal(said) => {
                if self.session.signal(vec![*said]).is_ok() {
                    self.disk = self.session.snapshot();
                }
            }
        }
        while self.runs().is_err() {}
    }
}

const fn is_question(instruction: &Instruction) -> bool {
    matches!(
        instruction,
        Instruction::GetRecord { .. }
            | Instruction::UseCapability { .. }
            | Instruction::RunSubProtocol { .. }
    )
}

fn play(history: &[Happening], kills: BTreeSet<usize>) -> Host {
    let mut host = Host::new(kills);
    while host.runs().is_err() {}
    for happening in history {
        host.takes(happening);
    }
    host
}

fn arb_history() -> impl Strategy<Value = Vec<Happening>> {
    let happening = prop_oneof![
        3 => (1u8..40).prop_map(Happening::Event),
        2 => (0u8..5).prop_map(Happening::Signal),
        3 => (0u8..3).prop_map(Happening::Clock),
    ];
    prop::collection::vec(happening, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// INV-X2
    #[test]
    fn killed_at_any_instruction_it_emits_the_same(history in arb_history()) {
        let whole = play(&history, BTreeSet::new());
        prop_assert_eq!(whole.killed, 0);
        for at in 0..whole.done {
            let broken = play(&history, BTreeSet::from([at]));
            prop_assert_eq!(broken.killed, 1);
            prop_assert_eq!(&broken.emitted, &whole.emitted, "killed at {}", at);
            prop_assert_eq!(broken.session.status(), whole.session.status());
        }
    }

    /// INV-X2
    #[test]
    fn killed_again_and_again_it_emits_the_same(
        history in arb_history(),
        kills in prop::collection::btree_set(0usize..400, 0..60),
    ) {
        let whole = play(&history, BTreeSet::new());
        let broken = play(&history, kills);
        prop_assert_eq!(&broken.emitted, &whole.emitted);
    }
}

/// The properties above would show nothing if nothing were emitted.
#[test]
fn the_diary_is_written_to_its_end() {
    let history: Vec<Happening> = (1..40)
        .flat_map(|it| [Happening::Event(it), Happening::Clock(1), Happening::Signal(it % 5)])
        .collect();
    let whole = play(&history, BTreeSet::new());
    assert!(matches!(whole.session.status(), SessionStatus::Ended(_)));
    let count = |is: fn(&Instruction) -> bool| whole.emitted.iter().filter(|it| is(it)).count();
    assert_eq!(count(|it| matches!(it, Instruction::WriteToLedger { .. })), 60);
    assert_eq!(count(|it| matches!(it, Instruction::Finish(_))), 1);
    assert!(10 < count(|it| matches!(it, Instruction::Log(_))));
}
