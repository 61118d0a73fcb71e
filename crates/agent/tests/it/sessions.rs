//! What a session takes from whom, and what it does not.

use aura_agent::api::{Command, StartRequest};
use aura_agent::node::Files;
use aura_journal::event::{CloseSession, Event, RecordPut, SessionMessage};
use aura_protocol_core::{AppId, Digest, Outcome, RecordKey, SchemaId};

use crate::{
    publisher::Publisher,
    world::{Crash, World},
};

/// An account of `count` devices that runs 1.0.0, the last of them a puppet.
pub fn with_puppet(seed: u64, count: usize) -> World {
    let mut world = World::new(seed, count);
    world.install(0, &Publisher::of_counter());
    world.settle(1);
    world.make_puppet(count - 1);
    world.settle(1);
    world
}

/// An opener that did not negotiate as it says is not followed.
#[test]
fn a_forged_opening_is_not_joined() {
    let foreign = Digest::of(b"something else");
    let mut world = with_puppet(1, 3);
    let honest = world.honest_open(2, &[0, 1, 2]);
    let me = world.devices[0].id();
    let of_another = honest.manifests[&world.devices[1].id()];

    let mut agreement = honest.clone();
    agreement.agreement.spoken = "1.9.0".parse().unwrap();
    let mut module = honest.clone();
    module.agreement.runs.insert(me, ("1.0.0".parse().unwrap(), foreign));
    let mut transcript = honest.clone();
    transcript.transcript = foreign;
    let mut manifest = honest.clone();
    manifest.manifests.insert(me, of_another);
    let mut left_out = honest.clone();
    left_out.manifests.remove(&me);
    let mut unknown = honest.clone();
    unknown.manifests.insert(me, foreign);
    let mut app = honest.clone();
    app.app = AppId::from_bytes([7; 32]);

    for (what, open, said) in [
        ("agreement", agreement, true),
        ("module", module, true),
        ("transcript", transcript, true),
        ("another's manifest", manifest, true),
        ("a manifest left out", left_out, true),
        // What may still come is waited for, and nothing else happens.
        ("a manifest that nobody has", unknown, false),
        ("an app that is not installed", app, false),
    ] {
        let session = world.write_open(2, open);
        world.settle(2);
        for index in [0, 1] {
            assert!(!world.has_joined(index, &session.to_string()), "{what}");
            let start = format!("session {} is not joined", session.short());
            let log = &world.devices[index].log;
            assert_eq!(log.iter().any(|it| it.starts_with(&start)), said, "{what}: {log:?}");
        }
    }
    // The honest one is joined.
    let session = world.write_open(2, honest);
    world.settle(1);
    assert!(world.has_joined(0, &session.to_string()));
}

/// Whoever takes no part has no say.
#[test]
fn messages_of_others_are_ignored() {
    let mut world = with_puppet(1, 4);
    let session = world.start_session(0, &[0, 1], Some(1)).unwrap();
    let id = session.parse().unwrap();
    world.settle(1);
    world.write_number(3, id, 1000);
    let outcome = Outcome::Completed { result: b"mine".to_vec(), batch: vec![] };
    let close = CloseSession { outcome, schema: SchemaId::from_bytes([0; 32]), batch: vec![] };
    world.write(3, Some(id), Event::CloseSession(close));
    world.settle(1);
    world.take_part(1, &session);
    world.until_completed(&[0, 1], &session);
    world.settle(1);
    assert_eq!(world.session(2, &session).unwrap().outcome, "sum=3");
}

/// What the protocol refuses, whoever said it learns; what it takes, it takes once.
#[test]
fn refused_input_reaches_whoever_said_it() {
    let mut world = with_puppet(1, 3);
    let session = world.start_session(0, &[0, 1], None).unwrap();
    for bad in ["", "many", "-1", "18446744073709551616"] {
        assert_eq!(world.say(0, &session, bad).unwrap_err().code, "InputRefused", "{bad}");
    }
    world.say(0, &session, "5").unwrap();
    assert_eq!(world.say(0, &session, "6").unwrap_err().code, "InputRefused");
    let foreign = Digest::of(b"no session").to_string();
    assert_eq!(world.say(0, &foreign, "6").unwrap_err().code, "NotInSession");
    assert_eq!(world.say(0, "sixty", "6").unwrap_err().code, "BadArgument");
    world.take_part(1, &session);
    world.until(30, "it is completed", |world| {
        [0, 1].iter().all(|it| world.session(*it, &session).unwrap().outcome == "sum=7")
    });
    assert_eq!(world.say(0, &session, "6").unwrap_err().code, "SessionEnded");
}

/// Signals that were said before a crash are taken after it, and none twice.
#[test]
fn what_was_said_survives_a_crash() {
    for seed in 0..20 {
        let mut world = with_puppet(seed, 3);
        let session = world.start_session(0, &[0, 1], None).unwrap();
        let command = Command::Signal { session: session.clone(), input: b"1".to_vec() };
        world.command(0, command, Files::default());
        for _ in 0..world.random.below(6) {
            world.happen();
        }
        world.stop(0);
        world.start(0);
        world.take_part(1, &session);
        world.until_completed(&[0, 1], &session);
    }
}

/// INV-A5: a participant that says far more than the protocol needs fills no memory and breaks no store: its
/// session goes on, and the others' devices start again as if nothing were.
#[test]
fn a_flood_of_events_is_taken_a_few_at_a_time() {
    let mut world = with_puppet(1, 3);
    let session = world.start_session(0, &[0, 1, 2], Some(1)).unwrap();
    let id = session.parse().unwrap();
    world.settle(1);
    for number in 0..600u32 {
        let message = if number % 2 == 0 {
            SessionMessage { label: "flood".to_owned(), payload: vec![7; 60_000] }
        } else {
            SessionMessage { label: "\u{1b}[2J\n".repeat(100), payload: vec![] }
        };
        world.write(2, Some(id), Event::SessionMessage(message));
    }
    // In the middle of it, and at its end.
    for _ in 0..300 {
        world.happen();
    }
    let kept = |world: &World, index: usize| {
        let name = format!("session/{session}");
        world.devices[index].stored.local[&name].len()
    };
    assert!(kept(&world, 0) < 200_000, "{} bytes", kept(&world, 0));
    world.stop(0);
    world.start(0);
    world.settle(2);
    assert!(kept(&world, 1) < 200_000, "{} bytes", kept(&world, 1));
    world.take_part(1, &session);
    let refused = world.devices[1].log.iter().filter(|it| it.contains("input refused"));
    assert!(refused.count() <= 300, "a bounded number is looked at");
}

/// INV-A5: most sessions of one opener wait their turn; those of others do not.
#[test]
fn a_flood_of_sessions_waits() {
    let mut world = with_puppet(1, 3);
    let open = world.honest_open(2, &[0, 2]);
    let flood: Vec<String> =
        (0..400).map(|_| world.write_open(2, open.clone()).to_string()).collect();
    world.settle(2);
    let running = |world: &World| flood.iter().filter(|it| world.has_joined(0, it)).count();
    assert_eq!(running(&world), 64);
    world.run_session(1, &[0, 1]);
    world.run_session(0, &[0, 1]);
    // One that ends makes room for the next.
    let first = flood.iter().find(|it| world.has_joined(0, it)).unwrap().clone();
    world.write_number(2, first.parse().unwrap(), 1);
    world.say(0, &first, "2").unwrap();
    world.settle(1);
    assert_eq!(running(&world), 65);
    world.stop(0);
    world.start(0);
    world.settle(1);
    assert_eq!(running(&world), 65);
    // Those in which somebody is silent for ever make room in the end.
    world.now = world.now.saturating_add(3700);
    world.settle(1);
    assert_eq!(running(&world), 64 + 65);
}

/// A session of more devices than a unit has links.
#[test]
fn a_session_of_everybody() {
    let mut world = World::new(1, 10);
    world.install(0, &Publisher::of_counter());
    world.settle(1);
    let all: Vec<usize> = (0..10).collect();
    world.run_session(3, &all);
}

/// Names are what people type; an id names one device, whatever others call themselves.
#[test]
fn participants_are_found_by_name_and_id() {
    let mut world = with_puppet(1, 3);
    let victim = world.devices[1].id().to_string();
    let own = world.devices[2].id();
    let mut metadata = world.puppet(2).ledger.state().metadata[&own].1.clone();
    metadata.name = victim.clone();
    world.write(2, None, Event::PublishManifest(metadata));
    world.settle(1);
    let start = |name: &str| {
        Command::StartSession(StartRequest {
            alias: "counter".to_owned(),
            with: vec![name.to_owned()],
            params: vec![],
            input: None,
        })
    };
    assert!(world.ask(0, start(&victim), Files::default()).is_ok());
    assert!(world.ask(0, start("device-1"), Files::default()).is_ok());
    let error = world.ask(0, start("device-9"), Files::default()).unwrap_err();
    assert_eq!(error.code, "UnknownDevice");
}

/// A record in a layout that the app never had is left where it is, and stops nothing: neither the
/// records of others nor an upgrade.
#[test]
fn a_record_of_an_unknown_layout_stops_nothing() {
    let publisher = Publisher::of_counter();
    let mut world = with_puppet(1, 4);
    let open = world.honest_open(3, &[0, 3]);
    let session = world.write_open(3, open.clone());
    let put = RecordPut { key: RecordKey::from("sum/x"), base: None, bytes: Some(vec![1]) };
    let close = CloseSession {
        outcome: Outcome::Completed { result: vec![], batch: vec![] },
        schema: SchemaId::from_bytes([0xee; 32]),
        batch: vec![put],
    };
    world.write(3, Some(session), Event::CloseSession(close.clone()));
    // And one of an app that nobody installed.
    let mut elsewhere = open;
    elsewhere.app = AppId::from_bytes([7; 32]);
    let session = world.write_open(3, elsewhere);
    world.write(3, Some(session), Event::CloseSession(close));
    world.settle(2);
    world.run_session(0, &[0, 1, 2]);
    world.settle(2);
    assert!(world.all(|it| it.0.settled && it.0.records["counter"] == 1));
    world.propose(0, &publisher, "2.0.0").unwrap();
    world.assert_agreed("2.0.0");
    assert!(world.all(|it| it.0.records["counter"] == 1));
}

/// Garbage in the layout of the app is set aside by the migration, and the rest goes on.
#[test]
fn a_record_that_cannot_be_read_is_set_aside() {
    let publisher = Publisher::of_counter();
    let mut world = with_puppet(1, 4);
    world.run_session(0, &[0, 1, 2]);
    let open = world.honest_open(3, &[0, 3]);
    let session = world.write_open(3, open);
    let put = RecordPut {
        key: RecordKey::from("sum/\u{1b}[31m"),
        base: None,
        bytes: Some(b"no number".to_vec()),
    };
    let close = CloseSession {
        outcome: Outcome::Completed { result: vec![], batch: vec![] },
        schema: SchemaId::of("counter/1: sum/<session> = u64"),
        batch: vec![put],
    };
    world.write(3, Some(session), Event::CloseSession(close));
    world.settle(2);
    assert!(world.all(|it| it.0.records["counter"] == 2));
    world.propose(0, &publisher, "2.0.0").unwrap();
    world.assert_agreed("2.0.0");
    assert!(world.all(|it| it.0.records["counter"] == 1));
}

/// INV-A1: whoever loses power at whatever moment of a session says its number once, and the session
/// comes to its end on every device.
#[test]
fn sessions_survive_trouble() {
    for seed in 0..40 {
        let mut world = World::new(seed, 3);
        world.install(0, &Publisher::of_counter());
        world.settle(1);
        let session = world.start_session(0, &[0, 1, 2], Some(1)).unwrap();
        world.revives = true;
        world.breaks_per_mille = 20;
        for _ in 0..12 {
            let victim = world.random.below(3) as usize;
            if world.is_up(victim) {
                let nth = world.devices[victim].commits + world.random.below(3) as usize;
                let after = world.random.below(2) == 0;
                let crash = if after { Crash::After(nth) } else { Crash::Before(nth) };
                world.devices[victim].crash = Some(crash);
            }
            for index in world.nodes() {
                // Whether it is said already, nobody remembers; a second number is refused.
                let input = (index + 1).to_string().into_bytes();
                let command = Command::Signal { session: session.clone(), input };
                world.command(index, command, Files::default());
            }
            for _ in 0..world.random.below(40) {
                world.happen();
            }
            world.tick();
        }
        world.breaks_per_mille = 0;
        for device in &mut world.devices {
            device.crash = None;
        }
        world.until(60, "all are up", |world| world.nodes().len() == 3);
        for index in 0..3 {
            let input = (index + 1).to_string().into_bytes();
            let command = Command::Signal { session: session.clone(), input };
            world.until(60, "it is joined", |world| world.has_joined(index, &session));
            world.command(index, command, Files::default());
        }
        world.until_completed(&[0, 1, 2], &session);
        world.settle(1);
        for device in &world.devices {
            let said = device.stored.units.iter().filter(|bytes| {
                let unit = aura_journal::Unit::from_bytes(bytes).unwrap();
                matches!(unit.body.event, Event::SessionMessage(_))
            });
            assert_eq!(said.count(), 3);
        }
        world.assert_agreed("1.0.0");
        assert_eq!(world.status(0).records["counter"], 1);
    }
}
