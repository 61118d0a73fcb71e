//! Protocols that are part of the program, on whole accounts: without releases, with parts, and killed
//! at every moment.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aura_agent::{DeviceAgent, api::StartRequest};
use aura_coordination::execution::{Filter, Native, WakeCondition, Woken, time::Wait};
use aura_journal::{Event, Unit, event::ChildOpening};
use aura_protocol_core::{DeviceId, Epoch, encode};
use tokio::time::timeout;

use crate::{
    census::{Census, Pause, built_ins},
    field::{DEADLINE, Field, session_of, shows, until},
    world::{Crash, World},
};

fn outer(name: &str, params: &[u8]) -> Vec<u8> {
    encode(&(name.to_owned(), params.to_vec()))
}

#[test]
fn a_built_in_protocol_runs_without_a_release() {
    for seed in 0..10 {
        let mut world = World::of_census(seed, 3);
        let session = world.start_census(0, &[0, 1, 2], 50);
        world.until_ended(&[0, 1, 2], &session, "3 of 3 after nothing");
        let session = world.start_census(2, &[1, 2], 50);
        world.until_ended(&[1, 2], &session, "2 of 2 after 3 of 3");
        let view = world.session(0, &session).unwrap();
        assert_eq!((view.alias.as_str(), view.spoken.as_str()), ("census", "1.0.0"));
        let answered = "answered: Denied(\"this device does not offer `derive-key`: ";
        assert!(world.devices[0].log.iter().any(|it| it.contains(answered)));
    }
}

#[test]
fn everybody_has_to_have_the_same() {
    let mut world = World::with_built_ins(1, 3, built_ins());
    world.stop(2);
    world.devices[2].is_plain = true;
    world.start(2);
    // It announced the protocol when it had it, and takes that back.
    world.settle(3);
    let error = world.start_built_in(0, "census", &[0, 1, 2], vec![]).unwrap_err();
    assert_eq!(error.code, "NoAgreement");
    assert_eq!(world.start_built_in(2, "census", &[2], vec![]).unwrap_err().code, "NotBuiltIn");
    assert_eq!(world.start_built_in(0, "nonsense", &[0], vec![]).unwrap_err().code, "NotBuiltIn");
    let session = world.start_census(0, &[0, 1], 50);
    world.until_ended(&[0, 1], &session, "2 of 2 after nothing");
}

/// A device whose program has lost a protocol says why it does not take part.
#[test]
fn a_device_without_the_protocol_does_not_join() {
    let mut world = World::of_census(1, 3);
    for other in [0, 1] {
        world.cut(2, other);
    }
    let session = world.start_census(0, &[0, 1, 2], 50);
    world.stop(2);
    world.devices[2].is_plain = true;
    world.start(2);
    world.heal();
    world.settle(3);
    let start = format!("session {} is not joined: NotBuiltIn: ", &session[..8]);
    assert!(world.devices[2].log.iter().any(|it| it.starts_with(&start)));
    assert!(!world.has_joined(2, &session));
}

#[test]
fn a_session_runs_another_as_a_part_of_itself() {
    for seed in 0..10 {
        let mut world = World::of_census(seed, 3);
        let params = outer("census", &encode(&50u64));
        let session = world.start_built_in(1, "outer", &[0, 1, 2], params).unwrap();
        world.until_ended(&[0, 1, 2], &session, "part: 3 of 3 after nothing");
        // The part's records are there for the next.
        let session = world.start_census(0, &[0, 1, 2], 50);
        world.until_ended(&[0, 1, 2], &session, "3 of 3 after 3 of 3");
    }
}

/// What the opener cannot begin, nobody waits for.
#[test]
fn a_part_that_cannot_begin_is_denied_everywhere() {
    let mut world = World::of_census(1, 3);
    let session = world.start_built_in(1, "outer", &[0, 1, 2], outer("absent", b"")).unwrap();
    world.until_ended(&[0, 1, 2], &session, "denied: there is no built-in `absent`");
    let session = world.start_built_in(1, "outer", &[0, 1, 2], outer("counter", b"")).unwrap();
    let reason = "denied: its descriptor does not say that it uses `counter`";
    world.until_ended(&[0, 1, 2], &session, reason);
}

/// Sessions stand in each other so deep and no deeper.
#[test]
fn parts_of_parts_end_somewhere() {
    let mut world = World::of_census(1, 3);
    let nested = |depth: usize| {
        (0..depth).fold(outer("census", &encode(&50u64)), |params, _| outer("outer", &params))
    };
    let session = world.start_built_in(0, "outer", &[0, 1, 2], nested(3)).unwrap();
    let result = "part: part: part: part: 3 of 3 after nothing";
    world.until_ended(&[0, 1, 2], &session, result);
    let session = world.start_built_in(0, "outer", &[0, 1, 2], nested(4)).unwrap();
    let result = "part: part: part: part: denied: sessions stand in each other 4 deep at most";
    world.until_ended(&[0, 1, 2], &session, result);
}

/// A session leads to so many others and no more, one after the other as well.
#[test]
fn parts_end_sometime() {
    let mut world = World::of_census(1, 2);
    let session = world.start_built_in(0, "many", &[0, 1], vec![]).unwrap();
    let result = "64 parts: one session leads to 64 others at most";
    world.until_ended(&[0, 1], &session, result);
}

/// A part that the session did not ask for is not joined, whoever opens it.
#[test]
fn a_part_that_nobody_asked_for_is_not_joined() {
    let mut world = World::of_census(1, 3);
    world.make_puppet(2);
    world.settle(1);
    let params = encode(&50u64);
    let parent = world.open_built_in(2, "outer", &[0, 1, 2], outer("census", &params));
    let none = world.open_built_in(2, "census", &[0, 1, 2], params.clone());
    world.settle(1);
    let census = |world: &mut World, params: &[u8]| {
        ChildOpening::Opened(world.built_in_opening(2, "census", &[0, 1, 2], params.to_vec()))
    };
    let asked = census(&mut world, &params);
    let others = [
        // Of a session that asks for nothing, or not as this part.
        (none, 0, asked.clone()),
        (parent, 1, asked.clone()),
    ];
    for (parent, part, opening) in others {
        let child = world.open_part(2, parent, part, opening);
        world.settle(2);
        assert!(!world.has_joined(0, &child.to_string()), "part {part} of {parent}");
    }
    let wrong = census(&mut world, &encode(&51u64));
    let child = world.open_part(2, parent, 0, wrong);
    world.settle(2);
    assert!(!world.has_joined(0, &child.to_string()), "other parameters");
    // The first counts, so what was asked for cannot follow; in a session of its own it is joined.
    let parent = world.open_built_in(2, "outer", &[0, 1, 2], outer("census", &params));
    let child = world.open_part(2, parent, 0, asked);
    world.settle(2);
    assert!(world.has_joined(0, &child.to_string()));
}

/// What each device has said in sessions, in its own order.
fn said(world: &World) -> BTreeMap<DeviceId, Vec<(String, Vec<u8>)>> {
    let mut said: BTreeMap<DeviceId, Vec<(String, Vec<u8>)>> = BTreeMap::new();
    for bytes in &world.devices[0].stored.units {
        let body = Unit::from_bytes(bytes).unwrap().body;
        match body.event {
            Event::SessionMessage(it) => {
                said.entry(body.author).or_default().push((it.label, it.payload));
            }
            Event::OpenChild(_) => {
                said.entry(body.author).or_default().push(("child".to_owned(), vec![]));
            }
            Event::CloseSession(it) => {
                let close = encode(&it.outcome);
                said.entry(body.author).or_default().push(("close".to_owned(), close));
            }
            _ => {}
        }
    }
    said
}

/// A session with a part, everybody there, and each person says something once.
fn run(seed: u64, crash: Option<(usize, Crash)>) -> (World, bool) {
    let mut world = World::of_census(seed, 3);
    world.revives = true;
    if let Some((victim, crash)) = crash {
        let base = world.devices[victim].commits;
        world.devices[victim].crash = Some(match crash {
            Crash::Before(n) => Crash::Before(base + n),
            Crash::After(n) => Crash::After(base + n),
        });
    }
    let params = outer("census", &encode(&1000u64));
    let request = StartRequest {
        alias: "outer".to_owned(),
        with: (0..3).map(|it| world.devices[it].id().to_string()).collect(),
        params,
        input: None,
    };
    let command = aura_agent::api::Command::StartBuiltIn(request);
    world.command(1, command.clone(), aura_agent::node::Files::default());
    if world.devices[1].stored.local.keys().all(|it| !it.starts_with("session/")) {
        // The power went before anything was stored: the person begins again.
        world.until(10, "it is up again", |world| world.is_up(1));
        world.command(1, command, aura_agent::node::Files::default());
    }
    let ended = |world: &World, index: usize| {
        let status = aura_agent::api::Command::Sessions;
        match world.node(index).read_command(&status).unwrap() {
            aura_agent::api::Response::Sessions(it) => {
                it.sessions.len() == 2 && it.sessions.iter().all(|it| it.status == "completed")
            }
            other => panic!("{other:?}"),
        }
    };
    world.until(120, "all is over", |world| {
        world.nodes().len() == 3 && (0..3).all(|it| ended(world, it))
    });
    let struck = crash.is_some_and(|(victim, _)| world.devices[victim].crash.is_none());
    for device in &mut world.devices {
        device.crash = None;
    }
    world.revives = false;
    world.settle(2);
    (world, struck)
}

/// INV-A1: killed before or after every single commit of a session, each device says what it would
/// have said, in the same order, and once; and all end alike.
#[test]
fn a_session_that_is_killed_anywhere_says_the_same() {
    let (whole, _) = run(7, None);
    let expected = said(&whole);
    assert_eq!(expected.values().map(Vec::len).sum::<usize>(), 3 + 1 + 1 + 2, "{expected:?}");
    for victim in 0..3 {
        let mut strikes = 0;
        for n in 0.. {
            let (before, after) = (Crash::Before(n), Crash::After(n));
            let runs = [before, after].map(|crash| run(7, Some((victim, crash))));
            for (world, _) in &runs {
                assert_eq!(said(world), expected, "device {victim}, commit {n}");
            }
            if runs.iter().all(|(_, struck)| !struck) {
                break;
            }
            strikes += 1;
        }
        assert!(5 < strikes, "device {victim} was killed at {strikes} commits");
    }
}

/// Begins a session of a built-in protocol of all devices that run.
async fn start(field: &Field, name: &str, params: Vec<u8>) -> String {
    let with = (1..field.agents.len()).map(|it| format!("device-{it}")).collect();
    let request = StartRequest { alias: name.to_owned(), with, params, input: None };
    let started = until("there is a common version", || async {
        match field.agents[0].start_built_in(request.clone()).await {
            Ok(started) => Some(started),
            Err(error) if error.code == "NoAgreement" => None,
            Err(error) => panic!("{error}"),
        }
    });
    started.await.session
}

async fn ends(field: &Field, session: &str, outcome: &str) {
    for agent in &field.agents {
        let shown = until("the session is completed", || async {
            let shown = session_of(agent, session).await.ok()?;
            (shown.status == "completed").then_some(shown)
        });
        assert_eq!(shown.await.outcome, outcome);
    }
}

/// Real devices: a session without a release, the quorum clock in seconds, and those who wait for both.
#[tokio::test(flavor = "multi_thread")]
async fn built_in_protocols_and_the_clock_work_over_quic() {
    let mut field = Field::new(3).await;
    for agent in field.agents.drain(..) {
        agent.shutdown().await.unwrap();
    }
    for index in 0..3 {
        let builder = DeviceAgent::builder(field.dir(index));
        let census = Arc::new(Native::<Census>::new());
        let builder = builder.built_in(census).built_in(Arc::new(Native::<Pause>::new()));
        field.agents.push(builder.open().await.unwrap());
    }
    for agent in &field.agents {
        shows(agent, "all are connected", |it| it.peers == 2).await;
    }
    let session = start(&field, "census", encode(&1000u64)).await;
    let labels = Some(["here".to_owned()].into());
    let filter = Filter { session: session.parse().ok(), labels, authors: None };
    let all_here = WakeCondition::ThresholdEvents { filter, count: 3 };
    for agent in &field.agents {
        let conditions = vec![WakeCondition::TimeoutAt(Epoch(900)), all_here.clone()];
        let waiting = agent.wait_for(Wait { conditions, predicate: None });
        assert_eq!(timeout(DEADLINE, waiting).await.unwrap().unwrap(), Woken::Met(1));
    }
    ends(&field, &session, "3 of 3 after nothing").await;

    let session = start(&field, "pause", encode(&3u64)).await;
    let epoch = |epoch| Wait {
        conditions: vec![WakeCondition::EpochReached(Epoch(epoch))],
        predicate: None,
    };
    for agent in &field.agents {
        assert_eq!(
            timeout(DEADLINE, agent.wait_for(epoch(3))).await.unwrap().unwrap(),
            Woken::Met(0)
        );
    }
    ends(&field, &session, "woken").await;
    // Nobody waits for the clock any more, so it stands still.
    let far = field.agents[0].wait_for(epoch(1000));
    assert!(timeout(Duration::from_millis(50), far).await.is_err());
    field.shutdown().await;
}
