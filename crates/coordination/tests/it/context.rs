//! One session, driven by hand.

use std::collections::BTreeSet;

use aura_coordination::execution::{
    ChildAsked, ContextError, Instruction, InstructionResult, ProtocolContext, SessionStatus,
};
use aura_protocol_core::{
    Capability, DeviceId, Digest, Epoch, Outcome, ProtocolCapabilities, ProtocolEffect,
    ProtocolError, ProtocolInput, ProtocolStep, RecordKey, RecordWrite, SessionId, SessionStart,
    lifecycle::EffectReply,
};

fn start() -> SessionStart {
    let me = DeviceId::from_bytes([1; 32]);
    SessionStart {
        session: SessionId::from_bytes([9; 32]),
        me,
        opener: me,
        participants: BTreeSet::from([me]),
        spoken: "1.0.0".parse().unwrap(),
        params: Vec::new(),
    }
}

pub fn context(caps: &[Capability]) -> ProtocolContext {
    let caps: ProtocolCapabilities = caps.iter().copied().collect();
    ProtocolContext::new(start(), Digest::of(b"module"), caps)
}

pub fn input(instruction: Option<Instruction>) -> ProtocolInput {
    match instruction {
        Some(Instruction::Step { input, .. }) => *input,
        other => panic!("expected a step, found {other:?}"),
    }
}

pub fn stepped(state: &[u8], effects: Vec<ProtocolEffect>) -> InstructionResult {
    let step = ProtocolStep { effects, wake: None, outcome: None };
    InstructionResult::Stepped { state: state.to_vec(), step }
}

pub fn ended(batch: Vec<RecordWrite>) -> InstructionResult {
    let outcome = Some(Outcome::Completed { result: Vec::new(), batch });
    let step = ProtocolStep { effects: Vec::new(), wake: None, outcome };
    InstructionResult::Stepped { state: Vec::new(), step }
}

#[test]
fn one_step_at_a_time_in_order() {
    let mut session = context(&[]);
    assert!(matches!(input(session.next_step()), ProtocolInput::Start(_)));
    assert_eq!(session.next_step(), None, "a step is under way");
    session.signal(b"5".to_vec()).unwrap();
    let append = ProtocolEffect::Append { label: "add".into(), payload: vec![5] };
    let done = session.complete(stepped(b"s", vec![append])).unwrap();
    assert_eq!(done, [Instruction::WriteToLedger { label: "add".into(), payload: vec![5] }]);
    assert_eq!(input(session.next_step()), ProtocolInput::Signal(b"5".to_vec()));
}

/// INV-X2: no event twice, none lost, and a step that was under way is run again.
#[test]
fn a_restored_session_goes_on_as_if_it_had_not_stopped() {
    let mut session = context(&[]);
    session.next_step().unwrap();
    session.complete(stepped(b"s", vec![])).unwrap();
    let unit = Digest::of(b"unit");
    let author = DeviceId::from_bytes([2; 32]);
    assert_eq!(session.event(unit, author, "add".into(), vec![1], Epoch(0)), Ok(true));
    let snapshot = session.snapshot();
    let before = input(session.next_step());

    let mut restored = ProtocolContext::restore(&snapshot).unwrap();
    assert_eq!(restored.event(unit, author, "add".into(), vec![1], Epoch(0)), Ok(false));
    assert_eq!(input(restored.next_step()), before);
    restored.complete(stepped(b"t", vec![])).unwrap();
    assert_eq!(restored.next_step(), None);
    assert!(ProtocolContext::restore(&snapshot[1..]).is_err());
}

/// INV-X3
#[test]
fn what_was_not_granted_is_denied() {
    let get = ProtocolEffect::GetRecord(RecordKey::from("sum/1"));
    let mut session = context(&[]);
    session.next_step().unwrap();
    assert_eq!(session.complete(stepped(b"", vec![get.clone()])).unwrap(), []);
    let ProtocolInput::Reply { effect: 0, result: EffectReply::Denied(_) } =
        input(session.next_step())
    else {
        panic!("expected a denial");
    };

    let mut session = context(&[Capability::ReadRecords]);
    session.next_step().unwrap();
    let asked = session.complete(stepped(b"", vec![get])).unwrap();
    assert_eq!(asked, [Instruction::GetRecord { effect: 0, key: RecordKey::from("sum/1") }]);
    let reply = EffectReply::Record(None);
    let replied = InstructionResult::Replied { effect: 0, reply: reply.clone() };
    session.complete(replied.clone()).unwrap();
    assert!(matches!(session.complete(replied), Err(ContextError::NotAsked { .. })));
    assert_eq!(input(session.next_step()), ProtocolInput::Reply { effect: 0, result: reply });
}

#[test]
fn records_need_the_right_to_write() {
    let write = RecordWrite { key: RecordKey::from("k"), bytes: None };
    let mut session = context(&[]);
    session.next_step().unwrap();
    session.complete(ended(vec![write.clone()])).unwrap();
    assert!(
        matches!(session.status(), SessionStatus::Failed { code, .. } if code == "CapabilityDenied")
    );

    let mut session = context(&[Capability::WriteRecords]);
    session.next_step().unwrap();
    session.complete(ended(vec![write])).unwrap();
    assert!(matches!(session.status(), SessionStatus::Ended(_)));
    assert!(matches!(session.signal(Vec::new()), Err(ContextError::Ended { .. })));
}

#[test]
fn a_bad_event_does_not_end_a_session_but_a_trap_does() {
    let mut session = context(&[]);
    session.next_step().unwrap();
    session.complete(stepped(b"", vec![])).unwrap();
    let culprit = DeviceId::from_bytes([2; 32]);
    session.event(Digest::of(b"u"), culprit, "add".into(), vec![], Epoch(0)).unwrap();
    session.next_step().unwrap();
    let error =
        ProtocolError::BadEvent { culprit, label: "add".into(), reason: "no number".into() };
    let done = session.complete(InstructionResult::Refused(error)).unwrap();
    assert!(matches!(&done[..], [Instruction::Log(line)] if line.contains("no number")));
    assert!(session.is_running());

    session.signal(Vec::new()).unwrap();
    session.next_step().unwrap();
    let trap = InstructionResult::Trapped { code: "OutOfFuel".into(), reason: "loop".into() };
    session.complete(trap).unwrap();
    assert!(matches!(session.status(), SessionStatus::Failed { code, .. } if code == "OutOfFuel"));
}

/// What cannot begin, or cannot go on from its own state, is broken; what is only told nonsense is not.
#[test]
fn a_refusal_of_the_start_or_of_the_state_ends_a_session() {
    let unexpected = || ProtocolError::Unexpected { reason: "ended".into() };
    let mut session = context(&[]);
    session.next_step().unwrap();
    session.complete(InstructionResult::Refused(unexpected())).unwrap();
    assert!(
        matches!(session.status(), SessionStatus::Failed { code, .. } if code == "ProtocolRefused")
    );

    let mut session = context(&[]);
    session.next_step().unwrap();
    session.complete(stepped(b"s", vec![])).unwrap();
    for (error, running) in [(unexpected(), true), (ProtocolError::BadState, false)] {
        session.signal(Vec::new()).unwrap();
        let Some(Instruction::Step { state, .. }) = session.next_step() else {
            panic!("a signal waits");
        };
        assert_eq!(state, b"s", "a refusal changes nothing");
        session.complete(InstructionResult::Refused(error)).unwrap();
        assert_eq!(session.is_running(), running);
    }
}

/// INV-X3: a right is used by the host, which is told only of what was granted.
#[test]
fn rights_are_used_by_the_host() {
    let uses = |capability| ProtocolEffect::Use { capability, bytes: b"text".to_vec() };
    let mut session = context(&[Capability::Sign, Capability::WriteRecords]);
    session.next_step().unwrap();
    let effects =
        vec![uses(Capability::Sign), uses(Capability::Seal), uses(Capability::WriteRecords)];
    let asked = session.complete(stepped(b"", effects)).unwrap();
    let sign = Instruction::UseCapability {
        effect: 0,
        capability: Capability::Sign,
        bytes: b"text".to_vec(),
    };
    assert_eq!(asked, std::slice::from_ref(&sign));
    let session = ProtocolContext::restore(&session.snapshot()).unwrap();
    assert_eq!(session.unanswered().collect::<Vec<_>>(), [sign], "a restart asks again");
    let mut session = session;
    for (effect, why) in [(1, "`seal` was not granted"), (2, "`write-records` is not a right")] {
        let ProtocolInput::Reply { effect: found, result: EffectReply::Denied(reason) } =
            input(session.next_step())
        else {
            panic!("expected a denial");
        };
        assert!(found == effect && reason.starts_with(why), "{reason}");
        session.complete(stepped(b"", vec![])).unwrap();
    }
    let reply = EffectReply::Used(b"signature".to_vec());
    session.complete(InstructionResult::Replied { effect: 0, reply: reply.clone() }).unwrap();
    assert_eq!(input(session.next_step()), ProtocolInput::Reply { effect: 0, result: reply });
}

/// What a device does beside moves none of its parts: each participant counts its own effects.
#[test]
fn parts_are_numbered_alike_whatever_else_is_asked() {
    let child = |params: &[u8]| ProtocolEffect::RunSubProtocol {
        protocol: "counter".parse().unwrap(),
        params: params.to_vec(),
    };
    let said = ProtocolEffect::Append { label: "said".into(), payload: vec![] };
    let parts = |effects: Vec<ProtocolEffect>| {
        let mut session = context(&[Capability::RunSubProtocol]);
        session.next_step().unwrap();
        session.complete(stepped(b"", effects)).unwrap();
        let session = ProtocolContext::restore(&session.snapshot()).unwrap();
        [0, 1].map(|it| session.waits_for_part(it).unwrap().params.clone())
    };
    let silent = parts(vec![child(b"a"), child(b"b")]);
    assert_eq!(silent, [b"a", b"b"]);
    assert_eq!(parts(vec![said.clone(), child(b"a"), said, child(b"b")]), silent);
}

#[test]
fn a_session_has_a_few_children_at_a_time() {
    let child = ProtocolEffect::RunSubProtocol {
        protocol: "counter".parse().unwrap(),
        params: b"p".to_vec(),
    };
    let mut session = context(&[Capability::RunSubProtocol]);
    session.next_step().unwrap();
    let asked = session.complete(stepped(b"", vec![child; 9])).unwrap();
    assert_eq!(asked.len(), 8);
    let (protocol, params) = ("counter".parse().unwrap(), b"p".to_vec());
    assert_eq!(session.waits_for_part(7), Some(&ChildAsked { part: 7, protocol, params }));
    assert_eq!((session.waits_for_part(8), session.parts()), (None, 9));
    assert!(matches!(
        input(session.next_step()),
        ProtocolInput::Reply { effect: 8, result: EffectReply::Denied(_) }
    ));
}
