//! Properties of a session over arbitrary histories: what hosts, participants and protocols may do
//! in any order, nonsense included.

use aura_coordination::execution::{
    ContextError, Instruction, InstructionResult, ProtocolContext, SessionStatus,
};
use aura_protocol_core::{
    Capability, DeviceId, Digest, Epoch, Outcome, ProtocolEffect, ProtocolError, ProtocolInput,
    ProtocolStep, RecordKey, RecordWrite, lifecycle::EffectReply,
};
use proptest::prelude::*;

use crate::context::context;

/// One thing that happens to a session.
#[derive(Debug, Clone)]
enum Happening {
    Event(u8),
    Signal(u8),
    /// The clock goes on by so much.
    Clock(u8),
    Begin,
    End(InstructionResult),
    /// The host answers one of the reads that it was told to do.
    Answer(usize),
    /// It answers something, asked or not.
    Reply(u64),
}

/// What a session made of it.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Event(Result<bool, ContextError>),
    Signal(Result<(), ContextError>),
    Begun(Option<Instruction>),
    Done(Result<Vec<Instruction>, ContextError>),
    Nothing,
}

/// A host that carries out what it is told: at most one step, and the reads that it has not answered.
#[derive(Clone)]
struct Host {
    session: ProtocolContext,
    step: Option<Instruction>,
    reads: Vec<Instruction>,
    now: Epoch,
}

impl Host {
    fn new(granted: &[Capability]) -> Self {
        Self { session: context(granted), step: None, reads: Vec::new(), now: Epoch(0) }
    }

    fn takes(&mut self, happening: &Happening) -> Seen {
        match happening {
            Happening::Event(number) => {
                let unit = Digest::of(&[*number]);
                let author = DeviceId::from_bytes([*number; 32]);
                Seen::Event(self.session.event(unit, author, "add".into(), vec![*number], self.now))
            }
            Happening::Signal(number) => Seen::Signal(self.session.signal(vec![*number])),
            Happening::Clock(more) => {
                self.now = self.now.saturating_add(u64::from(*more));
                self.session.clock(self.now);
                Seen::Nothing
            }
            Happening::Begin => {
                let begun = self.session.next_step();
                if begun.is_some() {
                    self.step.clone_from(&begun);
                }
                Seen::Begun(begun)
            }
            Happening::End(result) => {
                self.step = None;
                self.completes(result.clone())
            }
            Happening::Answer(_) if self.reads.is_empty() => Seen::Nothing,
            Happening::Answer(which) => {
                let read = self.reads.remove(which % self.reads.len());
                self.completes(answer(&read))
            }
            Happening::Reply(effect) => {
                self.reads.retain(|it| effect_of(it) != Some(*effect));
                let reply = EffectReply::Record(None);
                self.completes(InstructionResult::Replied { effect: *effect, reply })
            }
        }
    }

    fn completes(&mut self, result: InstructionResult) -> Seen {
        let done = self.session.complete(result);
        for instruction in done.iter().flatten() {
            if effect_of(instruction).is_some() {
                self.reads.push(instruction.clone());
            }
        }
        if !self.session.is_running() {
            self.reads.clear();
        }
        Seen::Done(done)
    }

    /// Loses everything but the snapshot, and begins again what had been begun.
    fn restarts(&mut self) {
        let snapshot = self.session.snapshot();
        let mut session = ProtocolContext::restore(&snapshot).unwrap();
        assert_eq!(session.snapshot(), snapshot);
        assert!(session.unanswered().eq(self.reads.iter().cloned()), "a read is lost");
        if self.step.is_some() {
            assert_eq!(session.next_step(), self.step, "another step than before");
        }
        self.session = session;
    }
}

fn effect_of(instruction: &Instruction) -> Option<u64> {
    match instruction {
        Instruction::GetRecord { effect, .. }
        | Instruction::ListRecords { effect, .. }
        | Instruction::UseCapability { effect, .. }
        | Instruction::RunSubProtocol { effect, .. } => Some(*effect),
        _ => None,
    }
}

fn answer(read: &Instruction) -> InstructionResult {
    let (effect, reply) = match read {
        Instruction::GetRecord { effect, key } => {
            (*effect, EffectReply::Record(Some(key.0.clone())))
        }
        Instruction::ListRecords { effect, prefix, .. } => {
            (*effect, EffectReply::Records(vec![(RecordKey(prefix.clone()), vec![1])]))
        }
        Instruction::UseCapability { effect, bytes, .. } => {
            (*effect, EffectReply::Used(bytes.clone()))
        }
        Instruction::RunSubProtocol { effect, params, .. } => {
            let outcome = Outcome::Completed { result: params.clone(), batch: vec![] };
            (*effect, EffectReply::SubProtocol(outcome))
        }
        other => panic!("not a question: {other:?}"),
    };
    InstructionResult::Replied { effect, reply }
}

fn arb_effect() -> impl Strategy<Value = ProtocolEffect> {
    prop_oneof![
        any::<u8>()
            .prop_map(|it| ProtocolEffect::Append { label: "add".into(), payload: vec![it] }),
        any::<u8>().prop_map(|it| ProtocolEffect::GetRecord(RecordKey(vec![it]))),
        any::<u8>().prop_map(|it| ProtocolEffect::ListRecords {
            prefix: vec![it],
            after: None,
            limit: 3
        }),
        prop::sample::select(vec![Capability::Sign, Capability::Seal, Capability::WriteRecords])
            .prop_map(|capability| ProtocolEffect::Use { capability, bytes: vec![] }),
        any::<u8>().prop_map(|it| ProtocolEffect::RunSubProtocol {
            protocol: "counter".parse().unwrap(),
            params: vec![it],
        }),
        Just(ProtocolEffect::Log("line".into())),
    ]
}

fn arb_outcome() -> impl Strategy<Value = Outcome> {
    let write = any::<u8>().prop_map(|it| RecordWrite { key: RecordKey(vec![it]), bytes: None });
    prop_oneof![
        Just(Outcome::Aborted { reason: "enough".into() }),
        prop::collection::vec(write, 0..3)
            .prop_map(|batch| Outcome::Completed { result: vec![], batch }),
    ]
}

fn arb_result() -> impl Strategy<Value = InstructionResult> {
    let effects = prop::collection::vec(arb_effect(), 0..4);
    // Ends are rare, or there would be no histories to speak of.
    let outcome = prop::option::weighted(0.05, arb_outcome());
    let wake = prop::option::weighted(0.3, (0u64..12).prop_map(Epoch));
    let step = (effects, wake, outcome).prop_map(|(effects, wake, outcome)| ProtocolStep {
        effects,
        wake,
        outcome,
    });
    let culprit = DeviceId::from_bytes([7; 32]);
    let bad = ProtocolError::BadEvent { culprit, label: "add".into(), reason: "no".into() };
    prop_oneof![
        20 => (any::<u8>(), step)
            .prop_map(|(state, step)| InstructionResult::Stepped { state: vec![state], step }),
        3 => Just(InstructionResult::Refused(bad)),
        1 => Just(InstructionResult::Refused(ProtocolError::BadState)),
        1 => Just(InstructionResult::Trapped { code: "OutOfFuel".into(), reason: "loop".into() }),
    ]
}

fn arb_history() -> impl Strategy<Value = Vec<Happening>> {
    let happening = prop_oneof![
        2 => (0u8..12).prop_map(Happening::Event),
        1 => any::<u8>().prop_map(Happening::Signal),
        2 => (0u8..3).prop_map(Happening::Clock),
        4 => Just(Happening::Begin),
        4 => arb_result().prop_map(Happening::End),
        3 => any::<usize>().prop_map(Happening::Answer),
        1 => (0u64..12).prop_map(Happening::Reply),
    ];
    prop::collection::vec(happening, 0..60)
}

fn arb_rights() -> impl Strategy<Value = Vec<Capability>> {
    let all = vec![
        Capability::ReadRecords,
        Capability::WriteRecords,
        Capability::Sign,
        Capability::Seal,
        Capability::RunSubProtocol,
    ];
    prop::sample::subsequence(all, 0..=5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// INV-X1: the same inputs in the same order lead to the same instructions, and to the same bytes.
    #[test]
    fn the_same_history_leads_to_the_same_instructions(
        rights in arb_rights(),
        history in arb_history(),
    ) {
        let (mut one, mut two) = (Host::new(&rights), Host::new(&rights));
        for happening in &history {
            prop_assert_eq!(one.takes(happening), two.takes(happening));
            prop_assert_eq!(one.session.snapshot(), two.session.snapshot());
        }
    }

    /// INV-X2: wherever a session is stopped and restored, and however often, it goes on as one that
    /// never stopped: nothing is taken twice, nothing is lost, not even a read that was under way.
    #[test]
    fn a_restart_never_shows(rights in arb_rights(), history in arb_history(), again in any::<u64>()) {
        let mut whole = Host::new(&rights);
        let mut broken = Host::new(&rights);
        for (index, happening) in history.iter().enumerate() {
            if again >> (index % 64) & 1 == 1 {
                broken.restarts();
            }
            prop_assert_eq!(whole.takes(happening), broken.takes(happening));
            prop_assert_eq!(whole.session.snapshot(), broken.session.snapshot());
        }
    }

    /// INV-X2: an event is taken at most once, in whatever order the ledger offers it again.
    #[test]
    fn each_event_is_taken_once(offers in prop::collection::vec(0u8..12, 0..40)) {
        let mut host = Host::new(&[]);
        let mut taken = Vec::new();
        for number in offers {
            host.takes(&Happening::Event(number));
            host.takes(&Happening::Begin);
            if let Some(Instruction::Step { input, .. }) = host.step.clone()
                && let ProtocolInput::Event { payload, .. } = *input
            {
                prop_assert!(!taken.contains(&payload), "{:?} came twice", payload);
                taken.push(payload);
            }
            let step = ProtocolStep::default();
            host.takes(&Happening::End(InstructionResult::Stepped { state: vec![], step }));
        }
    }

    /// INV-X3: whatever a protocol asks for, the host is told to do no more than was granted.
    #[test]
    fn nothing_is_done_without_its_right(rights in arb_rights(), history in arb_history()) {
        let mut host = Host::new(&rights);
        for happening in &history {
            let Seen::Done(Ok(instructions)) = host.takes(happening) else { continue };
            for instruction in &instructions {
                let needs = match instruction {
                    Instruction::GetRecord { .. } | Instruction::ListRecords { .. } => {
                        Capability::ReadRecords
                    }
                    Instruction::UseCapability { capability, .. } => *capability,
                    Instruction::RunSubProtocol { .. } => Capability::RunSubProtocol,
                    _ => continue,
                };
                prop_assert!(rights.contains(&needs));
                let on_bytes = matches!(instruction, Instruction::UseCapability { .. });
                prop_assert!(!on_bytes || needs != Capability::WriteRecords);
            }
            if let SessionStatus::Ended(Outcome::Completed { batch, .. }) = host.session.status() {
                prop_assert!(batch.is_empty() || rights.contains(&Capability::WriteRecords));
            }
        }
    }
}
