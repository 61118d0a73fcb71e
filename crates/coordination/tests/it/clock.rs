//! INV-X4: what a session is told of the clock, and when.

use aura_coordination::execution::{InstructionResult, ProtocolContext};
use aura_protocol_core::{
    DeviceId, Digest, Epoch, ProtocolError, ProtocolInput, ProtocolStep, lifecycle::EffectReply,
};

use crate::context::{context, input};

fn step(wake: Option<u64>) -> InstructionResult {
    let step = ProtocolStep { effects: vec![], wake: wake.map(Epoch), outcome: None };
    InstructionResult::Stepped { state: vec![], step }
}

/// A session that has begun, and asked for this.
fn begun(wake: Option<u64>) -> ProtocolContext {
    let mut session = context(&[]);
    session.next_step().unwrap();
    session.complete(step(wake)).unwrap();
    session
}

fn event(session: &mut ProtocolContext, number: u8, at: u64) {
    let (unit, author) = (Digest::of(&[number]), DeviceId::from_bytes([2; 32]));
    assert_eq!(session.event(unit, author, "add".into(), vec![number], Epoch(at)), Ok(true));
}

/// Takes one input and asks for this.
#[track_caller]
fn takes(session: &mut ProtocolContext, wake: Option<u64>) -> String {
    let taken = match input(session.next_step()) {
        ProtocolInput::Clock(epoch) => format!("clock {epoch}"),
        ProtocolInput::Event { payload, .. } => format!("event {}", payload[0]),
        ProtocolInput::Signal(said) => format!("signal {}", said[0]),
        ProtocolInput::Reply { .. } => "reply".to_owned(),
        ProtocolInput::Start(_) => "start".to_owned(),
    };
    session.complete(step(wake)).unwrap();
    taken
}

#[test]
fn a_session_that_never_asks_is_never_told() {
    let mut session = begun(None);
    session.clock(Epoch(5));
    assert_eq!(session.next_step(), None);
    event(&mut session, 1, 5);
    assert_eq!(takes(&mut session, None), "event 1");
    assert_eq!(session.wake(), None);
}

#[test]
fn it_is_woken_when_the_epoch_has_come() {
    let mut session = begun(Some(3));
    assert_eq!(session.wake(), Some(Epoch(3)));
    session.clock(Epoch(2));
    assert_eq!(session.next_step(), None);
    session.clock(Epoch(7));
    session.clock(Epoch(6));
    assert_eq!(takes(&mut session, None), "clock 7", "the clock does not go back");
    assert_eq!((session.next_step(), session.wake()), (None, None));
}

#[test]
fn who_asks_for_epoch_zero_is_told_at_once_and_once() {
    let mut session = begun(Some(0));
    assert_eq!(takes(&mut session, Some(0)), "clock 0");
    assert_eq!(session.next_step(), None, "it was told just now");
    event(&mut session, 1, 0);
    assert_eq!(takes(&mut session, Some(0)), "event 1");
    assert_eq!(takes(&mut session, Some(0)), "clock 0", "it asked again");
    session.clock(Epoch(1));
    assert_eq!(takes(&mut session, None), "clock 1");
}

/// Each event is judged by the epoch at which it came, and one that is there wins over a deadline that
/// has passed since.
#[test]
fn an_event_that_is_there_wins_over_a_deadline() {
    let mut session = begun(Some(4));
    event(&mut session, 1, 2);
    event(&mut session, 2, 2);
    event(&mut session, 3, 3);
    session.clock(Epoch(9));
    event(&mut session, 4, 9);
    assert_eq!(takes(&mut session, Some(4)), "clock 2");
    assert_eq!(takes(&mut session, Some(4)), "event 1");
    assert_eq!(takes(&mut session, Some(4)), "event 2");
    assert_eq!(takes(&mut session, Some(4)), "clock 3");
    assert_eq!(takes(&mut session, Some(4)), "event 3");
    // The fourth came after the deadline, and the session hears of the deadline first.
    assert_eq!(takes(&mut session, None), "clock 9");
    assert_eq!(takes(&mut session, None), "event 4");
    assert_eq!(session.next_step(), None);
}

/// Also when it is offered late, behind what the person here has said: it is what the host is asked for
/// first.
#[test]
fn what_came_earlier_is_taken_earlier() {
    let mut session = begun(Some(4));
    session.clock(Epoch(9));
    session.signal(vec![5]).unwrap();
    assert_eq!(session.next_time(), Some(Epoch(9)));
    event(&mut session, 1, 2);
    assert_eq!(takes(&mut session, Some(4)), "clock 2");
    assert_eq!(takes(&mut session, Some(4)), "event 1");
    assert_eq!(takes(&mut session, Some(4)), "clock 9");
    assert_eq!(takes(&mut session, Some(4)), "signal 5");
}

/// Whoever has asked once is told the time with every event, also while it waits for none.
#[test]
fn it_judges_by_the_time_once_it_has_asked() {
    let mut session = begun(Some(1));
    session.clock(Epoch(1));
    assert_eq!(takes(&mut session, None), "clock 1");
    session.clock(Epoch(8));
    assert_eq!(session.next_step(), None);
    session.signal(vec![5]).unwrap();
    assert_eq!(takes(&mut session, None), "clock 8");
    assert_eq!(takes(&mut session, None), "signal 5");
}

/// What was told is in the snapshot, and a step that was under way is run again.
#[test]
fn a_restart_does_not_tell_twice() {
    let mut session = begun(Some(2));
    session.clock(Epoch(2));
    event(&mut session, 1, 2);
    let before = session.snapshot();
    assert_eq!(input(session.next_step()), ProtocolInput::Clock(Epoch(2)));
    let mut session = ProtocolContext::restore(&before).unwrap();
    assert_eq!(takes(&mut session, Some(2)), "clock 2");
    let mut session = ProtocolContext::restore(&session.snapshot()).unwrap();
    assert_eq!(takes(&mut session, None), "event 1");
    assert_eq!(session.next_step(), None);
}

/// A protocol that refuses the time is not told the same for ever.
#[test]
fn a_refused_time_was_told() {
    let mut session = begun(Some(0));
    assert_eq!(input(session.next_step()), ProtocolInput::Clock(Epoch(0)));
    let error = ProtocolError::Unexpected { reason: "what of it".into() };
    session.complete(InstructionResult::Refused(error)).unwrap();
    assert_eq!(session.next_step(), None);
    assert_eq!(session.wake(), Some(Epoch(0)), "its wish stands");
    session.clock(Epoch(1));
    assert_eq!(takes(&mut session, None), "clock 1");
}

#[test]
fn answers_come_with_their_time_too() {
    use aura_protocol_core::{Capability, ProtocolEffect, RecordKey};
    let mut session = context(&[Capability::ReadRecords]);
    session.next_step().unwrap();
    let effects = vec![ProtocolEffect::GetRecord(RecordKey::from("k"))];
    let step = ProtocolStep { effects, wake: Some(Epoch(90)), outcome: None };
    session.complete(InstructionResult::Stepped { state: vec![], step }).unwrap();
    session.clock(Epoch(4));
    let reply = EffectReply::Record(None);
    session.complete(InstructionResult::Replied { effect: 0, reply }).unwrap();
    session.clock(Epoch(5));
    assert_eq!(takes(&mut session, None), "clock 4");
    assert_eq!(takes(&mut session, None), "reply");
}
