//! What counts as ready, what ends a proposal, and what becomes of sessions and records on the way.

use aura_journal::{
    control::EntryBody,
    event::{CloseSession, Event, ProposeUpgrade, Receipt, RecordPut},
};
use aura_protocol_core::{Digest, Outcome, RecordKey, SchemaId, encode};

use crate::{
    acts::propose_request,
    publisher::Publisher,
    refusals::proposal_of,
    world::{BEGIN, World},
};

/// An account that runs 1.0.0, with one record.
fn running(seed: u64, count: usize) -> World {
    let publisher = Publisher::of_counter();
    let mut world = World::new(seed, count);
    world.install(0, &publisher);
    let all: Vec<usize> = (0..count).collect();
    world.run_session(0, &all);
    world.settle(1);
    world
}

/// The receipt that a device signed for a proposal.
fn receipt_of(world: &World, index: usize) -> Option<Receipt> {
    world.devices[index].stored.units.iter().find_map(|bytes| {
        let unit = aura_journal::Unit::from_bytes(bytes).unwrap();
        match unit.body.event {
            Event::SignalReady { receipt, .. } if unit.body.author == world.devices[index].id() => {
                Some(receipt)
            }
            _ => None,
        }
    })
}

/// INV-D2, INV-D3: of four devices three must be ready. Two are; a third copies the receipt of one of
/// them, a fourth signs another root. Neither counts, until one of them really rehearses.
#[test]
fn false_readiness_does_not_count() {
    for seed in 0..20 {
        let publisher = Publisher::of_counter();
        let mut world = running(seed, 4);
        world.make_puppet(2);
        world.make_puppet(3);
        world.settle(1);
        let proposal = world.propose(0, &publisher, "2.0.0").unwrap();
        let id: Digest = proposal.parse().unwrap();
        world.until(60, "two are ready", |world| {
            world.proposal(0, &proposal).is_some_and(|it| it.ready.len() == 2)
        });
        world.settle(1);
        let copied = receipt_of(&world, 0).unwrap();
        world.write(2, None, Event::SignalReady { proposal: id, receipt: copied.clone() });
        let other_root = Receipt { post_root: Digest::ZERO, ..copied };
        world.write(3, None, Event::SignalReady { proposal: id, receipt: other_root });
        world.settle(10);
        for index in [0, 1] {
            let view = world.proposal(index, &proposal).unwrap();
            assert_eq!((view.state.as_str(), view.ready.len()), ("AwaitingQuorum", 4));
            assert_eq!(world.status(index).active["counter"], "1.0.0");
        }
        // Its own node, from the same disk as before it lied.
        world.stop(2);
        world.start(2);
        world.settle(5);
        assert!(world.all(|it| it.active() == Some("1.0.0")), "its lie stands in the ledger");
    }
}

/// A device that was off while all was decided, and comes back to an account that has moved on.
#[test]
fn a_device_that_was_off_catches_up() {
    for seed in 0..20 {
        let publisher = Publisher::of_counter();
        let mut world = running(seed, 4);
        world.stop(3);
        world.propose(1, &publisher, "2.0.0").unwrap();
        world.assert_agreed("2.0.0");
        world.run_session(0, &[0, 1, 2]);
        world.start(3);
        world.assert_agreed("2.0.0");
        world.run_session(3, &[0, 1, 2, 3]);
        world.assert_agreed("2.0.0");
        assert_eq!(world.status(3).records["counter"], 3);
    }
}

/// A device whose copy of the module is gone fetches it again before it runs anything.
#[test]
fn a_device_whose_modules_are_gone_fetches_them_again() {
    let publisher = Publisher::of_counter();
    let mut world = running(1, 3);
    world.propose(1, &publisher, "2.0.0").unwrap();
    world.assert_agreed("2.0.0");
    world.stop(2);
    world.devices[2].modules.clear();
    world.start(2);
    world.run_session(0, &[0, 1, 2]);
    world.assert_agreed("2.0.0");
}

/// A session that is opened while a participant prepares its modules after a restart is joined with
/// all its rights once they are there.
#[test]
fn a_session_waits_for_the_module() {
    for seed in 0..20 {
        let mut world = running(seed, 2);
        world.stop(0);
        world.start(0);
        world.until(30, "they are connected", |world| world.is_connected(0, 1));
        let session = world.start_session(1, &[0, 1], Some(2)).unwrap();
        world.take_part(0, &session);
        world.until_completed(&[0, 1], &session);
        world.settle(1);
        let status = world.status(0);
        assert_eq!(status.records["counter"], 2, "{:?}", world.devices[0].log);
    }
}

/// After its time a proposal is over, and nothing has changed; the same can be proposed again.
#[test]
fn an_expired_proposal_changes_nothing() {
    for seed in 0..10 {
        let publisher = Publisher::of_counter();
        let mut world = running(seed, 4);
        world.stop(2);
        world.stop(3);
        let root = world.status(0).app_roots.clone();
        let mut request = propose_request("2.0.0");
        request.valid_seconds = 20;
        let proposal = world.propose_with(0, &publisher, request).unwrap();
        world.settle(30);
        for index in [0, 1] {
            let view = world.proposal(index, &proposal).unwrap();
            assert_eq!(view.state, "Failed");
            assert_eq!(view.reason, "it expired before a quorum was ready");
            assert_eq!(world.status(index).app_roots, root);
            assert!(world.status(index).settled);
        }
        // One that comes too late to it declines nothing, and one that restarts neither.
        world.start(2);
        world.start(3);
        world.stop(0);
        world.start(0);
        world.settle(5);
        let view = world.proposal(2, &proposal).unwrap();
        assert_eq!((view.state.as_str(), view.declined.len()), ("Failed", 0), "{view:?}");
        world.propose(1, &publisher, "2.0.0").unwrap();
        world.assert_agreed("2.0.0");
    }
}

/// INV-J10: two proposals for one app: one is activated, the other superseded, on every device.
#[test]
fn one_of_two_proposals_is_activated() {
    for seed in 0..30 {
        let publisher = Publisher::of_counter();
        let mut world = running(seed, 5);
        let first = world.propose(1, &publisher, "2.0.0").unwrap();
        let second = world.propose(4, &publisher, "2.0.0").unwrap();
        world.until(240, "2.0.0 is active", |world| world.all(|it| it.active() == Some("2.0.0")));
        world.assert_agreed("2.0.0");
        let of = |index: usize, id: &str| world.proposal(index, id).unwrap();
        let winner = if of(0, &first).state == "Active" { &first } else { &second };
        for index in 0..5 {
            for id in [&first, &second] {
                let view = of(index, id);
                if id == winner {
                    assert_eq!(view.state, "Active", "{view:?}");
                } else {
                    assert_eq!(view.reason, "another version was activated first", "{view:?}");
                }
            }
            let activated = world.devices[index].stored.entries.iter();
            let activated =
                activated.filter(|it| matches!(it.value.body, EntryBody::ActivateVersion(_)));
            assert_eq!(activated.count(), 1, "one slot, one value");
        }
    }
}

/// A device that joins while a proposal waits for its quorum counts like the others.
#[test]
fn a_device_that_joins_meanwhile_can_be_the_one_that_is_missing() {
    let publisher = Publisher::of_counter();
    let mut world = running(1, 3);
    world.stop(2);
    let mut request = propose_request("2.0.0");
    request.not_before = Some(BEGIN.0 + 300);
    request.valid_seconds = 3000;
    world.propose_with(0, &publisher, request).unwrap();
    world.settle(3);
    let newcomer = world.invite_and_join(0);
    assert_eq!(newcomer, 3);
    world.settle(3);
    assert!(world.all(|it| it.active() == Some("1.0.0")), "its time has not come");
    // Three of four are needed now, and one of the old ones is off.
    world.until(400, "2.0.0 is active", |world| world.all(|it| it.active() == Some("2.0.0")));
    world.start(2);
    world.assert_agreed("2.0.0");
}

/// A proposal whose time is far off holds nothing else up.
#[test]
fn a_proposal_that_waits_holds_nobody_up() {
    let publisher = Publisher::of_counter();
    let mut world = running(1, 3);
    let mut request = propose_request("2.0.0");
    request.not_before = Some(BEGIN.0 + 1_000_000);
    request.valid_seconds = 2_000_000;
    world.propose_with(0, &publisher, request).unwrap();
    world.settle(3);
    world.invite_and_join(0);
    world.settle(3);
    assert!(world.all(|it| it.0.devices == 4));
}

/// A session of the old version that was opened after the activation is refused; one that began
/// before goes on, and its record is migrated.
#[test]
fn old_sessions_end_and_no_new_ones_begin() {
    for seed in 0..10 {
        let publisher = Publisher::of_counter();
        let mut world = running(seed, 5);
        let held = world.start_session(1, &[1, 2, 3], Some(2)).unwrap();
        world.take_part(2, &held);
        world.settle(1);
        world.make_puppet(4);
        world.settle(1);
        let old = world.honest_open(4, &[0, 1, 4]);
        world.propose(0, &publisher, "2.0.0").unwrap();
        world.until(120, "2.0.0 is active", |world| {
            world.all(|it| it.active() == Some("2.0.0") && it.0.settled)
        });
        let late = world.write_open(4, old);
        world.settle(2);
        let refusal = format!("session {} is not joined: VersionOutdated", late.short());
        for index in [0, 1] {
            assert!(world.devices[index].log.iter().any(|it| it.starts_with(&refusal)));
            assert!(!world.has_joined(index, &late.to_string()));
        }
        world.take_part(3, &held);
        world.until_completed(&[1, 2, 3], &held);
        world.settle(2);
        assert_eq!(world.session(1, &held).unwrap().version, "1.0.0");
        assert_eq!(world.status(0).records["counter"], 2);
        world.assert_agreed("2.0.0");
    }
}

/// The newest write of a key counts, in whichever layout and order it came: an old and a new session
/// write the same key, and every device derives the same.
#[test]
fn the_order_in_which_writes_arrive_does_not_show() {
    for seed in 0..30 {
        let publisher = Publisher::of_counter();
        let mut world = running(seed, 7);
        // Both puppets' sessions begin in the prestate, so both may write afterwards. The quorum is five of
        // seven, without them.
        world.make_puppet(3);
        world.make_puppet(4);
        world.settle(1);
        let open = [3, 4].map(|it| {
            let open = world.honest_open(it, &[0, it]);
            (it, world.write_open(it, open))
        });
        world.settle(1);
        world.propose(0, &publisher, "2.0.0").unwrap();
        world.until(120, "2.0.0 is active", |world| {
            world.all(|it| it.active() == Some("2.0.0") && it.0.settled)
        });
        let key = RecordKey::from("sum/both");
        let old = SchemaId::of("counter/1: sum/<session> = u64");
        let new =
            SchemaId::of("counter/2: sum/<session> = {sum: u64, by_device: map<device, u64>}");
        let contents =
            [(old, encode(&7u64)), (new, encode(&(9u64, Vec::<([u8; 32], u64)>::new())))];
        // Apart from each other, so that the writes are concurrent.
        world.cut(3, 4);
        for ((writer, session), (schema, bytes)) in open.into_iter().zip(contents) {
            let put = RecordPut { key: key.clone(), base: None, bytes: Some(bytes) };
            let outcome = Outcome::Completed { result: vec![], batch: vec![] };
            let close = CloseSession { outcome, schema, batch: vec![put] };
            world.write(writer, Some(session), Event::CloseSession(close));
            if world.random.below(2) == 0 {
                world.settle(1);
            }
        }
        world.heal();
        world.settle(2);
        world.assert_agreed("2.0.0");
        assert_eq!(world.status(0).records["counter"], 2);
    }
}

/// A device that computes something else than what was certified blocks the app and says so. It does
/// not go on with the old version, and does not take part with the new one.
#[test]
fn a_device_that_computes_otherwise_is_blocked() {
    for seed in 0..10 {
        let publisher = Publisher::of_counter();
        let mut world = running(seed, 4);
        world.computes_otherwise = Some(3);
        let before = world.status(3).app_roots;
        world.propose(0, &publisher, "2.0.0").unwrap();
        world.until(120, "2.0.0 is active", |world| {
            world.all(|it| it.active() == Some("2.0.0") && it.0.settled)
                || (0..3).all(|it| world.status(it).active["counter"] == "2.0.0")
                    && !world.status(3).blocked.is_empty()
        });
        world.settle(2);
        let status = world.status(3);
        assert!(status.blocked["counter"].starts_with("ResultMismatch: "), "{status:?}");
        assert_eq!(status.app_roots, before);
        assert!((0..3).all(|it| world.status(it).blocked.is_empty()));
        let error = world.start_session(3, &[0, 3], None).unwrap_err();
        assert_eq!(error.code, "AppBlocked");
        let session = world.start_session(0, &[0, 3], Some(1)).unwrap();
        world.settle(2);
        assert!(!world.has_joined(3, &session));
        world.run_session(0, &[0, 1, 2]);
        // Once it computes rightly, a restart sets it right.
        world.computes_otherwise = None;
        world.stop(3);
        world.start(3);
        world.take_part(3, &session);
        world.until(60, "the session is completed", |world| {
            world.session(0, &session).unwrap().status == "completed"
        });
        world.assert_agreed("2.0.0");
    }
}

/// A write that arrives after a decision comes after all that the decision closed over, however early
/// it was made: devices that hold the other write already change to it.
#[test]
fn a_late_write_counts_as_late() {
    for seed in 0..10 {
        let mut world = running(seed, 4);
        world.make_puppet(3);
        world.settle(1);
        let open = world.honest_open(3, &[0, 3]);
        let session = world.write_open(3, open);
        world.settle(1);
        for index in 0..3 {
            world.cut(3, index);
        }
        let honest = world.run_session(0, &[0, 1, 2]);
        world.settle(1);
        let before = world.status(1).app_roots;
        let put = RecordPut {
            key: RecordKey(format!("sum/{honest}").into_bytes()),
            base: None,
            bytes: Some(encode(&77u64)),
        };
        let close = CloseSession {
            outcome: Outcome::Completed { result: vec![], batch: vec![] },
            schema: SchemaId::of("counter/1: sum/<session> = u64"),
            batch: vec![put],
        };
        world.write(3, Some(session), Event::CloseSession(close));
        world.invite_and_join(0);
        world.heal();
        world.settle(2);
        assert_ne!(world.status(1).app_roots, before);
        world.assert_agreed("1.0.0");
    }
}

/// INV-A5: terms that only a member without a node of its own would write are not followed by the hundred.
#[test]
fn a_flood_of_proposals_is_followed_a_few_at_a_time() {
    let publisher = Publisher::of_counter();
    let mut world = running(1, 4);
    world.make_puppet(3);
    world.settle(1);
    for second in 0..50 {
        let expires = BEGIN.saturating_add(2000 + second);
        // Nobody is to activate it before its time, which is never.
        let not_before = Some(expires);
        let proposal = ProposeUpgrade { expires, not_before, ..proposal_of(&publisher, 3) };
        world.write(3, None, Event::ProposeUpgrade(Box::new(proposal)));
    }
    world.devices[3].modules = publisher.modules.clone();
    world.settle(5);
    let ready = world.devices[0].stored.units.iter().filter(|bytes| {
        let unit = aura_journal::Unit::from_bytes(bytes).unwrap();
        let signal = matches!(unit.body.event, Event::SignalReady { .. });
        signal && unit.body.author == world.devices[0].id()
    });
    assert_eq!(ready.count(), 8);
    // The others' proposals are not held up.
    world.propose(1, &publisher, "2.0.0").unwrap();
    world.until(120, "2.0.0 is active", |world| {
        world.all(|it| it.active() == Some("2.0.0") && it.0.settled)
    });
}
