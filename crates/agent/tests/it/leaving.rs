//! Devices that leave: sent away by people, or replaced because they forked.

use aura_agent::{
    api::{Command, Response},
    join::JoinRequest,
    node::Files,
    ticket::Ticket,
};

use crate::{
    publisher::Publisher,
    world::{World, identity},
};

/// A device leaves once the persons at m devices say so, and not before.
#[test]
fn people_send_a_device_away() {
    for seed in 0..5 {
        let publisher = Publisher::of_counter();
        let mut world = World::new(seed, 4);
        world.install(0, &publisher);
        world.run_session(0, &[0, 1, 2, 3]);
        let device = world.devices[3].id().to_string();
        let unknown = Command::Revoke { device: "nobody".to_owned() };
        assert_eq!(world.ask(0, unknown, Files::default()).unwrap_err().code, "UnknownDevice");
        let revoke = || Command::Revoke { device: device.clone() };
        let asked: Vec<_> =
            (0..2).map(|index| world.command(index, revoke(), Files::default())).collect();
        world.settle(40);
        assert_eq!(world.status(2).devices, 4);
        match world.ask(2, revoke(), Files::default()).unwrap() {
            Response::DeviceLeft(left) => assert_eq!(left.device, device),
            other => panic!("{other:?}"),
        }
        world.until(60, "all hear of it", |world| {
            (0..3).all(|it| world.status(it).devices == 3)
                && (0..2).all(|it| world.devices[it].answers.contains_key(&asked[it]))
        });
        world.run_session(0, &[0, 1, 2]);
        assert_eq!((world.status(0).m, world.status(0).records["counter"]), (3, 2));
    }
}

/// A device that went on from a backup and forked gets its seat back under another key.
#[test]
fn a_forked_device_is_admitted_anew() {
    let publisher = Publisher::of_counter();
    let mut world = World::new(3, 4);
    world.install(0, &publisher);
    world.settle(3);
    // Device 3 writes, and goes on from what its disk had before.
    let backup = world.devices[3].stored.clone();
    world.run_session(3, &[0, 3]);
    world.stop(3);
    for index in 0..3 {
        world.cut(index, 3);
    }
    world.devices[3].stored = backup;
    world.went_back.insert(3);
    world.start(3);
    let _alone = world.start_session(3, &[1, 3], Some(4));
    world.heal();
    world.settle(40);
    let old = world.devices[3].id().to_string();
    let invite = Command::Invite { valid_seconds: 60, replaces: Some(old) };
    let ticket = match world.ask(0, invite, Files::default()).unwrap() {
        Response::Ticket(issued) => Ticket::from_text(&issued.ticket).unwrap(),
        other => panic!("{other:?}"),
    };
    world.stop(3);
    let newcomer = identity(9);
    let id = world.join(0, JoinRequest::new(&ticket, &newcomer));
    let chain = world.joined(0, id).unwrap();
    assert_eq!((chain.config().roster.len(), chain.config().m), (4, 3));
    let added = world.add(newcomer, chain);
    world.until(60, "the newcomer is there", |world| world.is_connected(0, added));
    world.until(60, "it runs what the account runs", |world| {
        world.all(|it| it.manifest_has("1.0.0"))
    });
    world.run_session(added, &[0, 1, 2, added]);
}

/// A device whose disk went back votes no more, also after a restart: it might vote twice.
#[test]
fn a_device_that_went_back_abstains() {
    let publisher = Publisher::of_counter();
    let mut world = World::new(5, 3);
    world.settle(2);
    let backup = world.devices[2].stored.clone();
    world.install(0, &publisher);
    world.run_session(2, &[0, 2]);
    world.stop(2);
    world.devices[2].stored = backup;
    world.went_back.insert(2);
    world.start(2);
    world.until(60, "it has caught up", |world| world.all(|it| it.0.peers == 2));
    world.settle(5);
    assert!(world.devices[2].log.iter().any(|it| it.contains("It votes no more")));
    for restarts in [false, true] {
        if restarts {
            world.stop(2);
            world.start(2);
            world.settle(5);
        }
        // Two of three decide, and one of them is away.
        world.stop(1);
        let k = world.status(0).ledger.entries;
        let id = world.command(0, Command::Snapshot, Files::default());
        world.settle(40);
        assert_eq!(world.status(0).ledger.entries, k);
        assert!(!world.devices[0].answers.contains_key(&id));
        world.start(1);
        world.until(60, "the other one votes", |world| world.devices[0].answers.contains_key(&id));
    }
}
