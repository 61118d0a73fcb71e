//! The quorum clock on whole accounts: who ticks when, who waits in vain, and what nobody can do.

use aura_agent::{
    AgentEvent,
    api::{Command, ProposeRequest, Response},
    node::{Files, Input},
};
use aura_coordination::execution::{Filter, News, WaitList, WakeCondition, Woken, time::Wait};
use aura_journal::{Event, Unit};
use aura_protocol_core::{Epoch, SessionId, UnixTime};

use crate::{acts::propose_request, publisher::Publisher, world::World};

impl World {
    /// How many ticks of its own a device has stored.
    fn ticks(&self, index: usize) -> usize {
        let device = &self.devices[index];
        let units = device.stored.units.iter().map(|it| Unit::from_bytes(it).unwrap().body);
        units
            .filter(|it| it.author == device.id() && matches!(it.event, Event::EpochTick { .. }))
            .count()
    }
}

/// A silent participant does not stop a session that has a deadline, and hears how it ended.
#[test]
fn a_deadline_comes_without_those_who_sleep() {
    for seed in 0..10 {
        let mut world = World::of_census(seed, 3);
        world.cut(2, 0);
        world.cut(2, 1);
        let session = world.start_census(0, &[0, 1, 2], 5);
        world.until_ended(&[0, 1], &session, "2 of 3 after nothing");
        assert!(Epoch(5) <= world.node(0).epoch());
        world.heal();
        world.until_ended(&[2], &session, "2 of 3 after nothing");
    }
}

/// INV-A6: a device ticks while a session of its own waits for an epoch, once an interval at most, and
/// never otherwise.
#[test]
fn a_device_ticks_while_somebody_waits_and_never_otherwise() {
    let mut world = World::of_census(1, 3);
    world.settle(30);
    assert!((0..3).all(|it| world.ticks(it) == 0), "nobody waits");
    world.cut(2, 0);
    world.cut(2, 1);
    let (begin, session) = (world.now, world.start_census(0, &[0, 1, 2], 20));
    world.until_ended(&[0, 1], &session, "2 of 3 after nothing");
    let seconds = (world.now.0 - begin.0) as usize;
    assert!(20 <= seconds, "20 epochs took {seconds} seconds");
    for index in [0, 1] {
        let ticks = world.ticks(index);
        assert!((20..=seconds + 1).contains(&ticks), "{ticks} ticks in {seconds} seconds");
    }
    world.heal();
    world.until_ended(&[2], &session, "2 of 3 after nothing");
    let before: Vec<usize> = (0..3).map(|it| world.ticks(it)).collect();
    world.settle(30);
    assert_eq!((0..3).map(|it| world.ticks(it)).collect::<Vec<_>>(), before, "it is over");
}

/// INV-A6: one that signs all the ticks it likes moves nobody's clock.
#[test]
fn a_device_that_ticks_ahead_fires_no_deadline() {
    let mut world = World::of_census(1, 4);
    world.make_puppet(3);
    world.settle(1);
    // Three of four have to agree, and two are apart.
    world.cut(2, 0);
    world.cut(2, 1);
    let session = world.start_census(0, &[0, 1, 2], 5);
    for epoch in (0..200).chain([u64::MAX, u64::MAX - 1]) {
        world.write(3, None, Event::EpochTick { epoch: Epoch(epoch) });
    }
    for _ in 0..20 {
        world.settle(1);
        assert!(world.node(0).epoch() <= Epoch(1));
    }
    assert_ne!(world.session(0, &session).unwrap().status, "completed");
    // With the third awake the fourth cannot hold it up by ticking nonsense.
    world.heal();
    world.until_ended(&[0, 1, 2], &session, "3 of 3 after nothing");
}

/// A clock that stands still is said to, nothing is written, and the session goes on with the clock.
#[test]
fn a_session_waits_in_patience() {
    let mut world = World::of_census(1, 3);
    let session = world.start_census(0, &[0, 1, 2], 4);
    world.stop(1);
    world.stop(2);
    world.settle(5);
    assert_eq!(world.session(0, &session).unwrap().status, "active", "its patience is not over");
    world.settle(10);
    let view = world.session(0, &session).unwrap();
    assert_eq!(view.status, "stalled");
    assert_eq!(view.outcome, "waits for the clock; missing: device-1, device-2");
    let stalls = |world: &World| {
        let is_stall = |it: &&AgentEvent| matches!(it, AgentEvent::SessionStalled { .. });
        world.devices[0].events.iter().filter(is_stall).count()
    };
    assert_eq!(stalls(&world), 1);
    let units = world.status(0).ledger.units;
    world.settle(60);
    assert_eq!((world.status(0).ledger.units, stalls(&world)), (units, 1), "nothing is written");
    world.start(1);
    world.until(60, "it goes on", |world| world.session(0, &session).unwrap().status != "stalled");
    world.start(2);
    world.until(60, "all have ended alike", |world| {
        let outcome = |it: usize| world.session(it, &session).map(|it| (it.status, it.outcome));
        let first = outcome(0).filter(|(status, _)| status == "completed");
        first.is_some() && outcome(1) == first && outcome(2) == first
    });
}

/// An event that was there when the deadline passed is weighed first, whatever the person at the device
/// says meanwhile (INV-X4).
#[test]
fn an_event_that_is_there_wins_over_a_deadline_that_has_passed() {
    let mut world = World::of_census(1, 3);
    world.cut(0, 1);
    world.cut(0, 2);
    let session = world.start_census(0, &[0, 1, 2], 3);
    world.settle(1);
    // It waits; both answers come, and the engine is at the first of them for long.
    world.is_busy = Some(0);
    world.heal();
    world.until(60, "the deadline has passed", |world| Epoch(6) <= world.node(0).epoch());
    let input = b"what now".to_vec();
    let command = aura_agent::api::Command::Signal { session: session.clone(), input };
    world.command(0, command, aura_agent::node::Files::default());
    world.is_busy = None;
    world.until_ended(&[0, 1, 2], &session, "3 of 3 after nothing");
}

/// The clock goes on where it stood after all devices were off.
#[test]
fn a_restart_of_all_keeps_the_clock() {
    let mut world = World::of_census(1, 3);
    let session = world.start_census(0, &[0, 1, 2], 30);
    world.cut(2, 0);
    world.cut(2, 1);
    world.until(60, "it is the tenth", |world| Epoch(10) <= world.node(0).epoch());
    for index in 0..3 {
        world.stop(index);
    }
    for index in 0..3 {
        world.start(index);
    }
    assert!(Epoch(9) <= world.node(0).epoch());
    world.until(120, "it ends", |world| world.session(0, &session).unwrap().status == "completed");
}

/// What those are told who wait: each event once as it comes, and what there was before.
#[test]
fn waits_are_told_what_there_is_and_what_comes() {
    let mut world = World::of_census(1, 3);
    let session = world.start_census(0, &[0, 1, 2], 5);
    world.settle(1);
    let id: SessionId = session.parse().unwrap();
    let filter =
        Filter { session: Some(id), labels: Some(["here".to_owned()].into()), authors: None };
    let condition = WakeCondition::ThresholdEvents { filter, count: 3 };
    let wait = || Wait {
        conditions: vec![WakeCondition::TimeoutAt(Epoch(0)), condition.clone()],
        predicate: None,
    };
    world.requests += 1;
    let request = aura_agent::node::RequestId(world.requests);
    world.input(0, Input::Recall { id: request, conditions: wait().conditions });
    let known = world.devices[0].recalled.remove(&request).unwrap();
    assert_eq!(WaitList::default().add(wait(), &known), Err(Woken::Met(1)), "events win");
    // The news of the session's whole life say the same.
    let events = world.devices[0].news.iter().filter(|it| matches!(it, News::Event(_)));
    assert_eq!(
        WaitList::default().add(wait(), &events.cloned().collect::<Vec<_>>()),
        Err(Woken::Met(1))
    );
}

/// What happens in one session costs the others nothing: no session is looked at for another's events,
/// and none for its own past.
#[test]
fn driving_sessions_costs_what_happens() {
    let mut costs = vec![];
    for others in [0, 50] {
        let mut world = World::of_census(1, 3);
        // They wait for somebody who never comes.
        world.stop(2);
        for _ in 0..others {
            world.start_census(1, &[1, 2], 1_000_000);
        }
        world.settle(5);
        let session = world.start_census(0, &[0, 1], 5);
        world.until_ended(&[0, 1], &session, "2 of 2 after nothing");
        let before = world.node(1).looks();
        for _ in 0..20 {
            let session = world.start_census(0, &[0, 1], 5);
            world.until_ended(&[0, 1], &session, "2 of 2 after 2 of 2");
        }
        costs.push(world.node(1).looks() - before);
    }
    assert!(0 < costs[0] && costs[1] <= costs[0] + costs[0] / 10, "{costs:?}");
}

/// A clock that is wrong by far too much to be believed, ahead or behind, fires nothing that waits for a time
/// and holds nothing up; its device says what is the matter, and a person settles it.
#[test]
fn a_wrong_clock_neither_hastens_nor_delays_what_waits_for_a_time() {
    let century = 100 * 365 * 86_400;
    for (off, why) in [(century, "ahead"), (-century, "behind")] {
        let publisher = Publisher::of_counter();
        let mut world = World::new(3, 4);
        world.install(0, &publisher);
        world.settle(1);
        world.clocks.insert(3, off);
        world.settle(1);
        let clock = world.status(3).clock;
        assert!(!clock.sure && clock.why.contains(why), "{clock:?}");
        assert!(clock.time.abs_diff(world.now.0) < 10, "it goes on from where it was");
        // Hellos, ticks of the quorum clock and sessions do not mind.
        world.run_session(3, &[0, 1, 2, 3]);
        let at = UnixTime(world.now.0 + 300);
        let request = ProposeRequest {
            not_before: Some(at.0),
            valid_seconds: 600,
            ..propose_request("2.0.0")
        };
        world.propose_with(0, &publisher, request).unwrap();
        world.settle(200);
        assert!(world.all(|it| it.active() == Some("1.0.0")));
        assert_eq!(world.log_lines(3, "vote for 3"), 0);
        world.until(150, "three that know the time are enough", |world| {
            world.all(|it| it.active() == Some("2.0.0"))
        });
        assert!(at <= world.now);
        // A restart does not make it sure.
        world.stop(3);
        world.start(3);
        assert!(!world.status(3).clock.sure);
        let trusted = world.ask(3, Command::TrustClock, Files::default());
        if 0 < off {
            assert!(matches!(trusted, Ok(Response::ClockTrusted(_))), "{trusted:?}");
            world.settle(1);
            assert!(world.status(3).clock.sure);
        } else {
            assert_eq!(trusted.unwrap_err().code, "ClockBehind");
        }
        world.clocks.remove(&3);
        world.settle(1);
        assert_eq!(world.status(3).clock.sure, off < 0, "what has passed stays passed");
    }
}

/// One whose clock is ahead within what is believed votes early, and cannot make the account do so.
#[test]
fn one_device_that_is_early_activates_nothing() {
    let publisher = Publisher::of_counter();
    let mut world = World::new(4, 4);
    world.install(0, &publisher);
    world.clocks.insert(3, 86_400);
    world.settle(1);
    assert!(world.status(3).clock.sure);
    let at = world.now.0 + 120;
    let request = ProposeRequest {
        not_before: Some(at),
        valid_seconds: 3 * 86_400,
        ..propose_request("2.0.0")
    };
    world.propose_with(0, &publisher, request).unwrap();
    world.settle(100);
    assert!(world.all(|it| it.active() == Some("1.0.0")));
    world.until(60, "the others come", |world| world.all(|it| it.active() == Some("2.0.0")));
    assert!(at <= world.now.0);
}
