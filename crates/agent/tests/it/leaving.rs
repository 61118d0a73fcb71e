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
