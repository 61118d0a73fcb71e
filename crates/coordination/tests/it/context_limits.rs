//! What a session may hold, say and ask for.

use aura_coordination::execution::{
    ContextError, Instruction, InstructionResult, ProtocolContext, SessionStatus,
};
use aura_protocol_core::{
    Capability, DeviceId, Digest, Epoch, Outcome, ProtocolEffect, ProtocolInput, ProtocolStep,
    RecordKey, RecordWrite,
    lifecycle::EffectReply,
    limits::{
        BATCH_RECORDS_MAX, RECORD_BYTES_MAX, RECORD_KEY_BYTES_MAX, SESSION_STATE_BYTES_MAX,
        STEP_EFFECTS_MAX, UNIT_BODY_BYTES_MAX,
    },
};

use crate::context::{context, ended, input, stepped};

/// What becomes of a session whose first step returns this.
#[track_caller]
fn check(result: InstructionResult, expect: Result<(), &str>) {
    let mut session = context(&[Capability::ReadRecords, Capability::WriteRecords]);
    session.next_step().unwrap();
    let instructions = session.complete(result).unwrap();
    match (session.status(), expect) {
        (SessionStatus::Running | SessionStatus::Ended(_), Ok(())) => {}
        (SessionStatus::Failed { code, reason }, Err(expected)) => {
            assert_eq!(code, expected);
            // A step that breaks a limit has no effect but that.
            let fail = Instruction::Fail { code: code.clone(), reason: reason.clone() };
            assert_eq!(instructions, [fail]);
        }
        (found, expect) => panic!("expected {expect:?}, found {found:?}"),
    }
}

fn append(bytes: usize) -> ProtocolEffect {
    ProtocolEffect::Append { label: String::new(), payload: vec![0; bytes] }
}

fn write(key: usize, content: usize) -> RecordWrite {
    RecordWrite { key: RecordKey(vec![b'k'; key]), bytes: Some(vec![0; content]) }
}

fn event(session: &mut ProtocolContext, number: u32, bytes: usize) -> Result<bool, ContextError> {
    let unit = Digest::of(&number.to_le_bytes());
    session.event(unit, DeviceId::from_bytes([2; 32]), "add".into(), vec![0; bytes], Epoch(0))
}

#[test]
fn states_and_effects_are_limited() {
    check(stepped(&vec![0; SESSION_STATE_BYTES_MAX], vec![]), Ok(()));
    check(stepped(&vec![0; SESSION_STATE_BYTES_MAX + 1], vec![]), Err("LimitExceeded"));
    let log = ProtocolEffect::Log(String::new());
    check(stepped(b"", vec![log.clone(); STEP_EFFECTS_MAX]), Ok(()));
    check(stepped(b"", vec![log; STEP_EFFECTS_MAX + 1]), Err("LimitExceeded"));
}

/// What does not fit a unit can never be said: better to fail here than to hang in the ledger.
#[test]
fn events_and_outcomes_fit_a_unit() {
    check(stepped(b"", vec![append(UNIT_BODY_BYTES_MAX - 64)]), Ok(()));
    check(stepped(b"", vec![append(UNIT_BODY_BYTES_MAX - 63)]), Err("LimitExceeded"));
    let result = |bytes: usize| {
        let outcome = Some(Outcome::Completed { result: vec![0; bytes], batch: Vec::new() });
        let step = ProtocolStep { effects: Vec::new(), wake: None, outcome };
        InstructionResult::Stepped { state: Vec::new(), step }
    };
    check(result(UNIT_BODY_BYTES_MAX - 128), Ok(()));
    check(result(UNIT_BODY_BYTES_MAX), Err("LimitExceeded"));
    check(ended(vec![write(1, UNIT_BODY_BYTES_MAX - 200)]), Ok(()));
    check(ended(vec![write(1, UNIT_BODY_BYTES_MAX - 40)]), Err("LimitExceeded"));
    // The ledger adds to each record which write it replaces.
    let many = |bytes: u8| (1..=220).map(|key| write(key, usize::from(bytes))).collect();
    check(ended(many(100)), Ok(()));
    check(ended(many(150)), Err("LimitExceeded"));
}

#[test]
fn records_are_limited_and_written_once() {
    let many = |count: usize| (1..=count).map(|key| write(key, 0)).collect::<Vec<_>>();
    let short = |count: usize| -> Vec<RecordWrite> {
        let key = |it: usize| RecordKey(it.to_le_bytes().to_vec());
        (0..count).map(|it| RecordWrite { key: key(it), bytes: None }).collect()
    };
    check(ended(short(BATCH_RECORDS_MAX)), Ok(()));
    check(ended(short(BATCH_RECORDS_MAX + 1)), Err("LimitExceeded"));
    check(ended(many(2)), Ok(()));
    check(ended(vec![write(RECORD_KEY_BYTES_MAX, 0)]), Ok(()));
    check(ended(vec![write(RECORD_KEY_BYTES_MAX + 1, 0)]), Err("LimitExceeded"));
    check(ended(vec![write(1, RECORD_BYTES_MAX)]), Err("LimitExceeded"));
    check(ended(vec![write(3, 0), write(3, 1)]), Err("RecordWrittenTwice"));
}

/// The ledger keeps what does not fit, and offers it again.
#[test]
fn a_full_inbox_takes_no_more_until_a_step_is_done() {
    let mut session = context(&[]);
    // The start waits too.
    for number in 1..1024 {
        assert_eq!(event(&mut session, number, 1), Ok(true));
    }
    let full = event(&mut session, 1024, 1).unwrap_err();
    assert_eq!(full.code(), "InboxFull");
    assert!(full.to_string().contains("has 1024 inputs waiting"), "{full}");
    assert_eq!(session.signal(vec![1]).unwrap_err().code(), "InboxFull");
    assert!(!session.has_taken(&Digest::of(&1024u32.to_le_bytes())));
    assert_eq!(event(&mut session, 7, 1), Ok(false), "known ones are known, full or not");

    session.next_step().unwrap();
    session.complete(stepped(b"", vec![])).unwrap();
    assert_eq!(event(&mut session, 1024, 1), Ok(true));
}

/// What others say weighs no more than the session itself, so that its snapshots stay small.
#[test]
fn an_inbox_is_limited_by_weight() {
    let mut session = context(&[]);
    let bytes = UNIT_BODY_BYTES_MAX - 64;
    let taken = (0..1000).take_while(|it| event(&mut session, *it, bytes) == Ok(true)).count();
    assert_eq!(taken, SESSION_STATE_BYTES_MAX / bytes);
    assert!(session.snapshot().len() < 2 * SESSION_STATE_BYTES_MAX);
    let large = session.signal(vec![0; UNIT_BODY_BYTES_MAX + 1]).unwrap_err();
    assert_eq!(large.code(), "LimitExceeded", "it would never fit");
}

/// A session of the largest state with a full inbox comes back.
#[test]
fn the_largest_session_is_restored() {
    let mut session = context(&[]);
    session.next_step().unwrap();
    session.complete(stepped(&vec![7; SESSION_STATE_BYTES_MAX], vec![])).unwrap();
    for number in 0..2000 {
        if event(&mut session, number, 1000).is_err() {
            break;
        }
    }
    let restored = ProtocolContext::restore(&session.snapshot()).unwrap();
    assert_eq!(restored, session);
}

/// Others can fill the inbox, but not shut out what the session itself has asked for.
#[test]
fn an_answer_gets_into_a_full_inbox() {
    let mut session = context(&[Capability::ReadRecords]);
    session.next_step().unwrap();
    let read = ProtocolEffect::GetRecord(RecordKey::from("sum"));
    session.complete(stepped(b"", vec![read])).unwrap();
    for number in 0..1024 {
        assert_eq!(event(&mut session, number, 1), Ok(true));
    }
    let reply = EffectReply::Record(Some(vec![5]));
    let replied = InstructionResult::Replied { effect: 0, reply: reply.clone() };
    assert_eq!(session.complete(replied), Ok(Vec::new()));
    for _ in 0..1024 {
        session.next_step().unwrap();
        session.complete(stepped(b"", vec![])).unwrap();
    }
    let last = input(session.next_step());
    assert_eq!(last, ProtocolInput::Reply { effect: 0, result: reply });
}

#[test]
fn a_session_asks_for_so_much_and_no_more() {
    for rights in [&[Capability::ReadRecords][..], &[]] {
        let mut session = context(rights);
        let read = ProtocolEffect::GetRecord(RecordKey::from("sum"));
        let log = ProtocolEffect::Log(String::new());
        session.next_step().unwrap();
        let reads = vec![read.clone(); STEP_EFFECTS_MAX];
        session.complete(stepped(b"", reads)).unwrap();
        session.signal(Vec::new()).unwrap();
        let asked = if rights.is_empty() { 0 } else { STEP_EFFECTS_MAX };
        assert_eq!(session.unanswered().count(), asked);

        session.next_step().unwrap();
        session.complete(stepped(b"", vec![log])).unwrap();
        assert!(session.is_running(), "what has no answer is not counted");
        session.signal(Vec::new()).unwrap();
        session.next_step().unwrap();
        // Two denials were taken meanwhile, where reading is not granted.
        session.complete(stepped(b"", vec![read; 3])).unwrap();
        let SessionStatus::Failed { code, .. } = session.status() else {
            panic!("more answers are due than may");
        };
        assert_eq!(code, "LimitExceeded");
        assert_eq!(session.unanswered().count(), 0, "it waits for nothing any more");
    }
}

#[test]
fn an_answer_that_no_call_can_hold_is_a_denial() {
    let mut session = context(&[Capability::ReadRecords]);
    session.next_step().unwrap();
    let page = ProtocolEffect::ListRecords { prefix: vec![], after: None, limit: 256 };
    session.complete(stepped(b"", vec![page])).unwrap();
    let records = vec![(RecordKey::from("k"), vec![0; RECORD_BYTES_MAX - 1]); 5];
    let reply = EffectReply::Records(records);
    session.complete(InstructionResult::Replied { effect: 0, reply }).unwrap();
    let ProtocolInput::Reply { effect: 0, result: EffectReply::Denied(reason) } =
        input(session.next_step())
    else {
        panic!("expected a denial");
    };
    assert!(reason.contains("at most"), "{reason}");
}

#[test]
fn answers_that_nobody_waits_for_are_refused() {
    let mut session = context(&[Capability::ReadRecords]);
    let not_asked = |it: Result<Vec<Instruction>, ContextError>| {
        assert_eq!(it.unwrap_err().code(), "NotAsked");
    };
    let reply = InstructionResult::Replied { effect: 0, reply: EffectReply::Record(None) };
    // No step is under way, and nothing was read.
    not_asked(session.complete(stepped(b"", vec![])));
    let trap = InstructionResult::Trapped { code: "OutOfFuel".into(), reason: "loop".into() };
    not_asked(session.complete(trap));
    not_asked(session.complete(reply.clone()));
    assert!(session.is_running(), "a stray answer harms nobody");

    session.next_step().unwrap();
    let read = ProtocolEffect::GetRecord(RecordKey::from("sum"));
    session.complete(stepped(b"", vec![read])).unwrap();
    session.signal(Vec::new()).unwrap();
    session.next_step().unwrap();
    session.complete(ended(Vec::new())).unwrap();
    // The session ended before the answer came.
    assert_eq!(session.complete(reply).unwrap_err().code(), "SessionEnded");
    not_asked(session.complete(stepped(b"", vec![])));
    assert_eq!(session.next_step(), None);
    assert_eq!(event(&mut session, 1, 1).unwrap_err().code(), "SessionEnded");
}
