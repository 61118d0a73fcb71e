//! Modules whose sessions run sessions of other modules as parts, on whole accounts.

use std::collections::BTreeMap;

use aura_agent::{
    api::{Command, InstallRequest, Response, Session, StartRequest},
    node::{Files, RequestId},
};
use aura_journal::{Event, NamedUnit, Unit, event::ChildOpening};
use aura_protocol_core::{DeviceId, Digest, encode};

use crate::{
    acts::install_request,
    publisher::{Publisher, guest},
    world::{Crash, World},
};

const MOTION: &str = "paint it blue";

/// A running account of three that has these apps.
fn world_of(seed: u64, apps: &[&str]) -> World {
    let mut publisher = Publisher::new(5);
    for app in apps {
        publisher.release(&guest(&format!("{app}-1-0-0")), None);
    }
    let mut world = World::new(seed, 3);
    for app in apps {
        let request = InstallRequest {
            alias: (*app).to_owned(),
            requirement: "^1".to_owned(),
            ..install_request("1.0.0")
        };
        let files = Files {
            chain: Some(publisher.chain.clone()),
            module: Some(guest(&format!("{app}-1-0-0"))),
            migration: None,
        };
        world.ask(0, Command::Install(request), files).unwrap();
        world.until(60, "all run it", |it| it.all(|it| it.0.manifest.contains_key(*app)));
    }
    world.settle(2);
    world
}

fn start(world: &mut World, index: usize) -> Command {
    let with = (0..3).map(|it| world.devices[it].id().to_string()).collect();
    let params = MOTION.as_bytes().to_vec();
    let request = StartRequest { alias: "motion".to_owned(), with, params, input: None };
    let command = Command::StartSession(request);
    world.command(index, command.clone(), Files::default());
    command
}

fn sessions(world: &World, index: usize) -> Vec<Session> {
    match world.node(index).read_command(&Command::Sessions).unwrap() {
        Response::Sessions(it) => it.sessions,
        other => panic!("{other:?}"),
    }
}

/// The poll that runs as a part of a motion at a device.
fn poll_of(world: &World, index: usize) -> Option<Session> {
    sessions(world, index).into_iter().find(|it| it.part_of.is_some())
}

fn motion_of(world: &World, index: usize) -> Option<Session> {
    sessions(world, index).into_iter().find(|it| it.part_of.is_none())
}

fn has_ended(session: &Session) -> bool {
    !["pending", "active", "stalled"].contains(&session.status.as_str())
}

/// Lets things happen until the motion has ended everywhere. Each person answers the poll as soon as it
/// is there, and again after the power went.
#[track_caller]
fn answer(world: &mut World, answers: &[&str]) {
    let end = world.now.saturating_add(300);
    let mut asked: Vec<Option<RequestId>> = vec![None; answers.len()];
    loop {
        for (index, says) in answers.iter().enumerate() {
            if !world.is_up(index) {
                asked[index] = None;
                continue;
            }
            let open = poll_of(world, index).filter(|it| {
                asked[index].is_none() && world.has_joined(index, &it.session) && !has_ended(it)
            });
            if let Some(poll) = open {
                let input = says.as_bytes().to_vec();
                let said = Command::Signal { session: poll.session, input };
                let id = world.command(index, said, Files::default());
                asked[index] = world.is_up(index).then_some(id);
            }
        }
        let ended =
            |it: usize| world.is_up(it) && motion_of(world, it).is_some_and(|it| has_ended(&it));
        if (0..answers.len()).all(ended) {
            return;
        }
        if !world.happen() {
            let seen: Vec<_> = world.nodes().into_iter().map(|it| sessions(world, it)).collect();
            assert!(world.now < end, "not in time: {seen:#?}");
            world.tick();
        }
    }
}

#[track_caller]
fn assert_ended(world: &World, index: usize, status: &str, outcome: &str) {
    let motion = motion_of(world, index).unwrap();
    assert_eq!((motion.status.as_str(), motion.outcome.as_str()), (status, outcome), "{index}");
}

/// The modules that the opening of the part names for the three devices.
fn pinned(world: &World, index: usize) -> Vec<Digest> {
    let units = world.devices[index].stored.units.iter();
    let opening = |bytes: &NamedUnit| match Unit::from_bytes(bytes).unwrap().body.event {
        Event::OpenChild(it) => match it.opening {
            ChildOpening::Opened(open) => {
                Some(open.agreement.runs.values().map(|it| it.1).collect())
            }
            ChildOpening::Refused(reason) => panic!("{reason}"),
        },
        _ => None,
    };
    units.filter_map(opening).next().unwrap()
}

#[test]
fn a_module_runs_another_as_a_part() {
    for seed in 0..5 {
        let mut world = world_of(seed, &["poll", "motion"]);
        start(&mut world, 1);
        answer(&mut world, &["yes", "no", "yes"]);
        world.settle(2);
        for index in 0..3 {
            assert_ended(&world, index, "completed", "carried: paint it blue");
            let (motion, poll) =
                (motion_of(&world, index).unwrap(), poll_of(&world, index).unwrap());
            assert_eq!(poll.part_of.as_ref(), Some(&motion.session));
            let part = (poll.alias.as_str(), poll.version.as_str(), poll.outcome.as_str());
            assert_eq!(part, ("poll", "1.0.0", "yes=2 no=1"));
            assert_eq!(pinned(&world, index), [Digest::of(&guest("poll-1-0-0")); 3]);
            // Each wrote the records of its own app.
            let records = world.devices[index].stored.records.values();
            let keys = records.flat_map(|it| it.keys().map(ToString::to_string));
            let mut keys: Vec<String> = keys.collect();
            keys.sort_unstable();
            let own = [format!("motion/{}", motion.session), format!("poll/{}", poll.session)];
            assert_eq!(keys, own);
        }
    }
}

/// What the part comes to by its own fault, by its people's, or because it cannot begin: the session
/// around it goes on and ends alike everywhere.
#[test]
fn the_failure_of_a_part_reaches_the_session_around_it() {
    let mut world = world_of(1, &["poll", "motion"]);
    start(&mut world, 1);
    answer(&mut world, &["yes", "perhaps", "yes"]);
    world.settle(2);
    let reason = "aborted: failed here: an answer is `yes` or `no`";
    for index in 0..3 {
        assert_ended(&world, index, "aborted", reason);
    }

    let mut world = world_of(1, &["motion"]);
    start(&mut world, 1);
    answer(&mut world, &["", "", ""]);
    for index in 0..3 {
        assert_ended(&world, index, "aborted", "aborted: `poll` is not installed");
        assert_eq!(poll_of(&world, index), None);
    }
}

/// What each device has said in sessions, in its own order.
fn said(world: &World) -> BTreeMap<DeviceId, Vec<(String, Vec<u8>)>> {
    let mut said: BTreeMap<DeviceId, Vec<(String, Vec<u8>)>> = BTreeMap::new();
    for bytes in &world.devices[0].stored.units {
        let body = Unit::from_bytes(bytes).unwrap().body;
        let saying = match body.event {
            Event::SessionMessage(it) => (it.label, it.payload),
            Event::OpenChild(it) => ("child".to_owned(), encode(&it.parent)),
            Event::CloseSession(it) => ("close".to_owned(), encode(&(it.outcome, it.batch))),
            _ => continue,
        };
        said.entry(body.author).or_default().push(saying);
    }
    said
}

fn run(crash: Option<(usize, Crash)>) -> (World, bool) {
    let mut world = world_of(7, &["poll", "motion"]);
    world.revives = true;
    if let Some((victim, crash)) = crash {
        let base = world.devices[victim].commits;
        world.devices[victim].crash = Some(match crash {
            Crash::Before(n) => Crash::Before(base + n),
            Crash::After(n) => Crash::After(base + n),
        });
    }
    let command = start(&mut world, 1);
    if world.devices[1].stored.local.keys().all(|it| !it.starts_with("session/")) {
        // The power went before anything was stored: the person begins again.
        world.until(10, "it is up again", |world| world.is_up(1));
        world.settle(2);
        world.command(1, command, Files::default());
    }
    answer(&mut world, &["yes", "no", "yes"]);
    let struck = crash.is_some_and(|(victim, _)| world.devices[victim].crash.is_none());
    for device in &mut world.devices {
        device.crash = None;
    }
    world.revives = false;
    world.settle(2);
    (world, struck)
}

/// INV-A1: a module's session and its part, killed before or after every single commit: each device
/// says what it would have said, in the same order, and once.
#[test]
fn a_part_that_is_killed_anywhere_says_the_same() {
    let (whole, _) = run(None);
    let expected = said(&whole);
    // Put, three heard, close; ask, three answers, close; one part begins, and two sessions end.
    assert_eq!(expected.values().map(Vec::len).sum::<usize>(), 5 + 5 + 3, "{expected:?}");
    for victim in 0..3 {
        let mut strikes = 0;
        for n in 0.. {
            let runs = [Crash::Before(n), Crash::After(n)].map(|it| run(Some((victim, it))));
            for (world, _) in &runs {
                assert_eq!(said(world), expected, "device {victim}, commit {n}");
                assert_ended(world, victim, "completed", "carried: paint it blue");
            }
            if runs.iter().all(|(_, struck)| !struck) {
                break;
            }
            strikes += 1;
        }
        assert!(10 < strikes, "device {victim} was killed at {strikes} commits");
    }
}
