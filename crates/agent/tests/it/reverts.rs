//! Taking a version back: decided by persons, by all alike, and nothing that was written is lost.

use std::collections::BTreeMap;

use aura_agent::{
    api::{Command, Response},
    engine::derive_records,
    node::{Files, RequestId},
};
use aura_protocol_core::{AppId, Record, SchemaId, decode};

use crate::{
    publisher::{HOST, Publisher},
    world::World,
};

const SUM_BYTES: usize = 8;

/// The layout of a version's records.
fn schema(version: &str) -> SchemaId {
    Publisher::of_counter().release_of(version).descriptor.schema
}

/// An account at 2.0.0 with a record that 1.0.0 wrote and one that 2.0.0 wrote.
fn upgraded(seed: u64, count: usize) -> (World, Publisher) {
    let publisher = Publisher::of_counter();
    let mut world = World::new(seed, count);
    world.install(0, &publisher);
    let all: Vec<usize> = (0..count).collect();
    world.run_session(0, &all);
    world.propose(0, &publisher, "2.0.0").unwrap();
    world.assert_agreed("2.0.0");
    world.run_session(1, &all);
    world.settle(1);
    (world, publisher)
}

fn revert() -> Command {
    Command::Revert { alias: "counter".to_owned() }
}

fn say(world: &mut World, devices: &[usize]) -> Vec<RequestId> {
    devices.iter().map(|it| world.command(*it, revert(), Files::default())).collect()
}

fn refused(world: &mut World, index: usize) -> String {
    world.ask(index, revert(), Files::default()).unwrap_err().code
}

/// A device's records of the counter, made anew from what its ledger holds.
fn records(world: &World, index: usize) -> BTreeMap<String, Record> {
    let publisher = Publisher::of_counter();
    let app = AppId::derive(publisher.chain.account(), &"counter".parse().unwrap());
    let job = world.node(index).derivation(app).unwrap();
    let records = derive_records(&HOST, job).unwrap().records;
    assert!(world.node(index).agrees_with(app, records.clone()));
    records.into_iter().map(|it| (it.key.to_string(), it)).collect()
}

/// INV-A30: once m persons have said so new sessions run the version before, with everything in its
/// layout: what was written before the upgrade, and after it, and after it was taken back.
#[test]
fn a_version_is_taken_back_and_what_was_written_is_kept() {
    for seed in 0..10 {
        let (mut world, publisher) = upgraded(seed, 4);
        let before = records(&world, 0);
        assert_eq!(before.len(), 2);
        let asked = say(&mut world, &[0, 1, 2]);
        world.assert_agreed("1.0.0");
        for (index, id) in asked.into_iter().enumerate() {
            match world.devices[index].answers.remove(&id).unwrap().unwrap() {
                Response::VersionReverted(it) => assert_eq!(it.version, "1.0.0"),
                other => panic!("{other:?}"),
            }
        }
        let after = records(&world, 3);
        assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
        for record in after.values() {
            assert_eq!(record.schema, schema("1.0.0"));
            assert!(0 < decode::<u64>(&record.bytes, SUM_BYTES).unwrap());
        }
        world.run_session(3, &[0, 1, 2, 3]);
        world.assert_agreed("1.0.0");
        assert_eq!(world.status(2).records["counter"], 3);
        // And once more, from there.
        world.propose(2, &publisher, "2.0.0").unwrap();
        world.assert_agreed("2.0.0");
        world.run_session(0, &[0, 1, 2, 3]);
        world.assert_agreed("2.0.0");
        let again = records(&world, 1);
        assert_eq!(again.len(), 4);
        assert!(again.values().all(|it| it.schema == schema("2.0.0")));
    }
}

/// INV-A30: fewer than m persons take nothing back, and there is nothing before what was installed.
#[test]
fn fewer_than_a_quorum_take_nothing_back() {
    let (mut world, _) = upgraded(1, 4);
    let asked = say(&mut world, &[1, 2]);
    world.settle(60);
    assert!(world.all(|it| it.active() == Some("2.0.0")));
    assert!(asked.iter().zip([1, 2]).all(|(it, at)| !world.devices[at].answers.contains_key(it)));
    say(&mut world, &[3]);
    world.assert_agreed("1.0.0");
    assert_eq!(refused(&mut world, 0), "NothingToRevert");
    let unknown = Command::Revert { alias: "other".to_owned() };
    assert!(world.ask(0, unknown, Files::default()).is_err());
}

/// A device that was off for the upgrade and its end needs both, and comes to the same; one that was off
/// while the version was taken back too.
#[test]
fn devices_that_were_off_come_to_the_same() {
    for seed in 0..10 {
        let publisher = Publisher::of_counter();
        let mut world = World::new(seed, 4);
        world.install(0, &publisher);
        world.run_session(0, &[0, 1, 2, 3]);
        world.settle(1);
        world.stop(3);
        world.propose(0, &publisher, "2.0.0").unwrap();
        world.assert_agreed("2.0.0");
        world.run_session(0, &[0, 1, 2]);
        say(&mut world, &[0, 1, 2]);
        world.assert_agreed("1.0.0");
        world.start(3);
        world.assert_agreed("1.0.0");
        world.run_session(3, &[0, 1, 2, 3]);
        world.assert_agreed("1.0.0");
        let all = records(&world, 3);
        assert_eq!(all.len(), 3);
        assert!(all.values().all(|it| it.schema == schema("1.0.0")));
        // A restart finds what was.
        world.stop(1);
        world.start(1);
        world.assert_agreed("1.0.0");
        assert_eq!(world.status(1).records["counter"], 3);
    }
}

/// A session that began under the version that is taken back goes on to its end, and what it writes then
/// is there in the layout of the version before.
#[test]
fn a_pinned_session_writes_after_its_version_was_taken_back() {
    for seed in 0..10 {
        let (mut world, _) = upgraded(seed, 3);
        let session = world.start_session(0, &[0, 1, 2], Some(1)).unwrap();
        world.until(30, "all have joined", |it| (0..3).all(|at| it.has_joined(at, &session)));
        say(&mut world, &[0, 1]);
        world.assert_agreed("1.0.0");
        for index in [1, 2] {
            world.take_part(index, &session);
        }
        world.until_completed(&[0, 1, 2], &session);
        world.assert_agreed("1.0.0");
        let all = records(&world, 2);
        assert_eq!(all.len(), 3);
        assert!(all.values().all(|it| it.schema == schema("1.0.0")));
    }
}
