//! The log is the state.

use std::sync::Arc;

use aura_choreography::{Body, Dev, Event, Input, Label, Machine, Refused, Script, Session};
use aura_protocol_core::{Epoch, encode};

use crate::{addressed, certified, dkd, parts, plain, rounds, table::Table};

/// Every script of these tests, with a table that runs it to its end.
fn tables() -> Vec<(&'static dyn Script, Table)> {
    let table = |script: &'static dyn Script, count, params: Vec<u8>| {
        (script, Table::with_params(script, count, &params))
    };
    vec![
        table(&dkd::Dkd, 5, Vec::new()),
        table(&plain::Plain, 5, Vec::new()),
        table(&rounds::Rounds, 4, encode(&vec![0_u8, 0, 1])),
        table(&rounds::Nested, 3, encode(&vec![1_u8, 0, 1])),
        table(&addressed::Deals, 5, Vec::new()),
        table(&certified::Certified, 4, Vec::new()),
        table(&parts::Outer, 4, encode(&(2_u8, false))),
        table(&parts::Outer, 4, encode(&(1_u8, true))),
        table(&parts::Repeated, 3, Vec::new()),
    ]
}

/// INV-CH1
#[test]
fn a_log_leads_to_the_same_question() {
    for (script, table) in tables() {
        let table = table.run();
        for dev in 0..table.count() {
            let log = table.session(dev).log();
            let mut live = Machine::start(script, table.seat(dev));
            for (index, reply) in log.iter().enumerate() {
                let again = Machine::replay(script, table.seat(dev), log[..index].to_vec());
                assert_eq!(again.pending(), live.pending());
                assert_eq!(again.log(), live.log());
                live.answer(reply.clone());
            }
            assert_eq!(live.ended(), table.session(dev).ended());
            assert!(live.ended().is_some());
        }
    }
}

/// INV-CH2
#[test]
fn a_restored_session_goes_on_as_if_nothing_had_been() {
    for ((_, live), (_, restored)) in tables().into_iter().zip(tables()) {
        let (live, restored) = (live.run(), restored.restoring().run());
        assert_eq!(live.said, restored.said);
        assert_eq!(live.logs, restored.logs);
        assert_eq!(live.ended(), restored.ended());
    }
}

/// INV-CH3
#[test]
fn an_event_that_is_there_wins_over_the_deadline() {
    let (_, table) = tables().remove(0);
    let mut session = Session::new(&dkd::Dkd, table.seat(0));
    session.step(Input::Start).unwrap();
    session.step(Input::Clock(Epoch(0))).unwrap();
    let commit = |author| {
        let body = Body::new(&encode(&1_u64));
        Input::Event(Event { author: Dev(author), label: dkd::dkd::COMMIT, round: 0, body })
    };
    session.step(commit(1)).unwrap();
    session.step(commit(2)).unwrap();
    // The time passes without waking it, and the last commitment is there at that moment.
    session.observe(Epoch(50));
    let output = session.step(commit(3)).unwrap();
    assert_eq!(output.emit[0].label, dkd::dkd::FREEZE);
    // One that is later is too late.
    let mut late = Session::new(&dkd::Dkd, table.seat(0));
    late.step(Input::Start).unwrap();
    late.step(Input::Clock(Epoch(0))).unwrap();
    let output = late.step(Input::Clock(Epoch(50))).unwrap();
    assert_eq!(output.emit[0].label, dkd::dkd::ABORT);
    assert_eq!(late.step(commit(3)), Err(Refused::Ended));
}

/// INV-CH4
#[test]
fn what_others_send_is_bounded_and_harmless() {
    let (_, table) = tables().remove(0);
    let fresh = || {
        let mut session = Session::new(&dkd::Dkd, table.seat(4));
        session.step(Input::Start).unwrap();
        session
    };
    let event = |author, label, round, body: &[u8]| {
        Input::Event(Event { author: Dev(author), label, round, body: Body::new(body) })
    };
    let mut session = fresh();
    for value in 0..10_000_u64 {
        session.step(event(1, dkd::dkd::COMMIT, 0, &encode(&value))).unwrap();
    }
    assert!(session.snapshot().len() < 200, "{}", session.snapshot().len());
    assert_eq!(session.step(event(5, dkd::dkd::COMMIT, 0, &[0; 8])), Err(Refused::NotParticipant));
    assert_eq!(
        session.step(event(255, dkd::dkd::COMMIT, 0, &[0; 8])),
        Err(Refused::NotParticipant)
    );
    // Anything at all, keyed so that a failure can be found again.
    let mut seed = 7_u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as u32
    };
    let mut session = fresh();
    for _ in 0..20_000 {
        let body: Vec<u8> = (0..random() % 40).map(|_| random() as u8).collect();
        let label = Label((random() % 9) as u16);
        let input = event((random() % 7) as u8, label, random() % 80, &body);
        if session.step(input) == Err(Refused::Ended) {
            session = fresh();
        }
    }
}

#[test]
fn a_snapshot_is_one_of_this_session() {
    let (script, table) = tables().remove(0);
    let table = table.run();
    let snapshot = table.session(1).snapshot();
    for length in 0..snapshot.len() {
        assert!(Session::restore(script, Arc::clone(&table.seat(1)), &snapshot[..length]).is_err());
    }
}
