//! The account's keys among other holders, on whole accounts: the same keys, whoever comes, goes, is away or
//! loses its power.

use aura_agent::{
    AgentError,
    api::{Command, Lock, Response},
    node::{Files, RequestId},
};

use crate::world::{Crash, World};

impl World {
    /// Waits until these devices, and no others, hold shares of the account's keys.
    #[track_caller]
    fn until_shares(&mut self, seconds: u64, holders: &[usize], needed: u16) {
        self.until(seconds, &format!("{holders:?} hold a share"), |world| {
            let devices = holders.len();
            holders.iter().all(|it| {
                let status = world.status(*it);
                (status.keys.share, status.keys.needed, status.devices)
                    == (Some(true), needed, devices)
            })
        });
        // Whoever heard of it last gives its old share up.
        self.settle(3);
    }

    /// What the person at a device says: this device is to leave in order.
    fn remove(&mut self, index: usize, leaver: usize) -> RequestId {
        let device = self.devices[leaver].id().to_string();
        self.command(index, Command::Remove { device }, Files::default())
    }

    fn set_threshold(&mut self, index: usize, votes: u16, shares: Option<u16>) -> RequestId {
        self.command(index, Command::SetThreshold { votes, shares }, Files::default())
    }

    #[track_caller]
    fn answered(&mut self, index: usize, id: RequestId) -> Result<Response, AgentError> {
        for _ in 0..300 {
            if self.devices[index].answers.contains_key(&id) {
                break;
            }
            self.settle(1);
        }
        let logs: Vec<_> = self.devices.iter().map(|it| it.log.join("\n")).collect();
        assert!(self.devices[index].answers.contains_key(&id), "{}", logs.join("\n\n"));
        self.devices[index].answers.remove(&id).unwrap()
    }

    fn lock(&self, index: usize) -> Lock {
        match self.node(index).read_command(&Command::Locks).unwrap() {
            Response::Locks(locks) => locks.locks[0].clone(),
            other => panic!("{other:?}"),
        }
    }
}

/// What must be the same before and after, and what must not.
fn key_and_entries(world: &World, index: usize) -> (String, u64) {
    let status = world.status(index);
    (status.keys.group_key, status.ledger.entries)
}

/// INV-A11: an account grows while its keys are in use. Each device that joins gets a share by itself, and all
/// derive what the first one derived alone.
#[test]
fn keys_that_are_in_use_grow_with_the_account() {
    for seed in 0..3 {
        let mut world = World::with_key_stores(seed, 1);
        let first = world.derive(0, "photos").unwrap();
        let group_key = world.status(0).keys.group_key;
        for (count, needed) in [(2, 2), (3, 2), (4, 3)] {
            world.invite_and_join(0);
            let holders: Vec<usize> = (0..count).collect();
            world.until_shares(240, &holders, needed);
            for index in holders {
                assert_eq!(world.status(index).keys.group_key, group_key);
                assert_eq!(world.derive(index, "photos").unwrap().key, first.key, "{seed} {index}");
            }
            assert_eq!(world.lock(0).holder, None);
        }
        assert_eq!(world.log_lines(0, "open a session of dkg"), 0);
        assert_eq!(world.log_lines(0, "open a session of resharing"), 3);
        // Any three of four, and no two.
        world.stop(0);
        assert_eq!(world.derive(2, "photos").unwrap().key, first.key);
        world.stop(1);
        assert_eq!(world.derive(2, "photos").unwrap_err().code, "NotEnoughDevices");
    }
}

/// A device leaves in order: the persons at m devices say so, its share is gone, and those who stay derive
/// what they derived with it. The last two part as well, though it takes both of them.
#[test]
fn a_device_leaves_in_order() {
    for seed in 0..3 {
        let mut world = World::with_key_stores(seed, 3);
        world.until_keys();
        let key = world.derive(2, "photos").unwrap().key;
        let before = key_and_entries(&world, 0);
        let asked = world.remove(0, 2);
        world.settle(30);
        assert_eq!(key_and_entries(&world, 0), before, "one person decides nothing");
        let second = world.remove(1, 2);
        for (index, id) in [(0, asked), (1, second)] {
            match world.answered(index, id).unwrap() {
                Response::DeviceLeft(left) => assert_eq!(left.name, "device-2"),
                other => panic!("{other:?}"),
            }
        }
        world.until_shares(60, &[0, 1], 2);
        world.until(60, "its share is gone", |it| it.status(2).keys.share == Some(false));
        assert_eq!(world.derive(0, "photos").unwrap().key, key);
        assert_eq!((world.status(0).m, world.status(0).keys.group_key), (2, before.0.clone()));
        // Now only both together can let one of them go.
        let asked = world.remove(0, 1);
        world.settle(3);
        let leaver = world.remove(1, 1);
        assert!(world.answered(0, asked).is_ok() && world.answered(1, leaver).is_ok());
        world.until_shares(60, &[0], 1);
        world.stop(1);
        assert_eq!(world.derive(0, "photos").unwrap().key, key);
        assert_eq!(world.status(0).keys.group_key, before.0);
    }
}

/// Other numbers, by the persons at m devices: all have to help from then on.
#[test]
fn people_set_how_many_devices_it_takes() {
    let mut world = World::with_key_stores(4, 3);
    world.until_keys();
    let key = world.derive(0, "photos").unwrap().key;
    let refused = |world: &mut World, votes, shares| {
        let id = world.set_threshold(0, votes, shares);
        world.answered(0, id).unwrap_err().code
    };
    assert_eq!(refused(&mut world, 1, None), "BadThreshold");
    assert_eq!(refused(&mut world, 2, Some(1)), "BadThreshold");
    assert_eq!(refused(&mut world, 2, None), "NothingToChange");

    let asked = world.set_threshold(0, 3, None);
    world.settle(3);
    let second = world.set_threshold(1, 3, None);
    match world.answered(0, asked).unwrap() {
        Response::ThresholdSet(set) => assert_eq!((set.votes, set.shares, set.devices), (3, 3, 3)),
        other => panic!("{other:?}"),
    }
    assert!(world.answered(1, second).is_ok());
    world.until_shares(60, &[0, 1, 2], 3);
    assert_eq!(world.derive(2, "photos").unwrap().key, key);
    world.stop(2);
    assert_eq!(world.derive(0, "photos").unwrap_err().code, "NotEnoughDevices");
}

/// Votes alone are decided without moving any key.
#[test]
fn votes_alone_move_no_keys() {
    let mut world = World::with_key_stores(4, 3);
    world.until_keys();
    let asked = world.set_threshold(0, 3, Some(2));
    world.settle(3);
    assert_eq!(world.status(0).m, 2);
    let _second = world.set_threshold(2, 3, Some(2));
    assert!(world.answered(0, asked).is_ok());
    assert_eq!((world.status(0).m, world.status(0).keys.needed), (3, 2));
    assert_eq!(world.log_lines(0, "open a session of resharing"), 0);
}

/// Whoever is away is named, and nothing changes: not the roster, not the keys, not the configuration.
#[test]
fn with_devices_offline_nothing_changes() {
    let mut world = World::with_key_stores(2, 4);
    world.until_keys();
    let key = world.derive(0, "photos").unwrap().key;
    world.stop(2);
    world.stop(3);
    world.settle(2);
    let before = key_and_entries(&world, 0);
    for asked in [world.remove(0, 3), world.set_threshold(0, 4, None)] {
        let error = world.answered(0, asked).unwrap_err();
        assert_eq!(error.code, "NotReshared");
        assert_eq!(error.message, "2 of 4 devices offline; nothing changed");
    }
    assert_eq!(key_and_entries(&world, 0), before);
    assert_eq!(world.log_lines(0, "open a session of resharing"), 0);
    world.start(3);
    world.settle(3);
    assert_eq!(world.derive(0, "photos").unwrap().key, key);
}

/// A device goes in the middle, at whatever step: the resharing is taken back by itself, no configuration
/// begins, and when the device is back the next one succeeds.
#[test]
fn whoever_goes_in_the_middle_changes_nothing() {
    let mut failed = 0;
    for steps in (0..400).step_by(40) {
        let mut world = World::with_key_stores(steps, 3);
        world.until_keys();
        let key = world.derive(0, "photos").unwrap().key;
        let before = key_and_entries(&world, 0);
        let asked = world.set_threshold(0, 3, None);
        world.settle(3);
        let second = world.set_threshold(1, 3, None);
        for _ in 0..steps {
            world.happen();
        }
        world.stop(2);
        world.until(600, "both are told", |world| {
            world.devices[0].answers.contains_key(&asked)
                || world.devices[1].answers.contains_key(&second)
        });
        let decided = world.status(0).m == 3;
        if !decided {
            failed += 1;
            assert_eq!(key_and_entries(&world, 0), before, "{steps}");
            assert_eq!(world.derive(1, "photos").unwrap().key, key, "{steps}");
        }
        world.start(2);
        world.settle(10);
        assert_eq!(world.derive(2, "photos").unwrap().key, key, "{steps}");
    }
    assert!(2 < failed, "{failed}");
}

/// INV-A8, INV-A11: killed at every commit, before and after it, the device that joins, the one that leads and
/// one that helps come to the same keys in new shares.
#[test]
fn a_crash_at_any_commit_leads_to_the_same_keys_in_new_shares() {
    let begin = || {
        let mut world = World::with_key_stores(5, 2);
        world.until_keys();
        let key = world.derive(0, "photos").unwrap().key;
        world.invite_and_join(0);
        (world, key)
    };
    for victim in 0..3 {
        let commits = {
            let (mut world, _) = begin();
            let before = world.devices[victim].commits;
            world.until_shares(240, &[0, 1, 2], 2);
            world.devices[victim].commits - before
        };
        assert!(20 < commits, "{commits}");
        for nth in (victim..commits).step_by(5) {
            let (mut world, key) = begin();
            let at = world.devices[victim].commits + nth;
            let crash = if nth % 2 == 0 { Crash::Before(at) } else { Crash::After(at) };
            world.devices[victim].crash = Some(crash);
            world.revives = true;
            world.until(900, &format!("{victim}, {crash:?}: all hold a share"), |world| {
                world.nodes().len() == 3
                    && (0..3).all(|it| world.status(it).keys.share == Some(true))
            });
            world.settle(5);
            let derived = (0..5).find_map(|_| world.derive(2, "photos").ok()).unwrap();
            assert_eq!(derived.key, key, "{victim}, {crash:?}");
        }
    }
}

/// INV-A12: a holder of the lock that is gone keeps it until its epoch, which comes although no session waits,
/// and no longer. Everybody sees the same.
#[test]
fn a_holder_that_is_gone_loses_the_lock() {
    for seed in 0..3 {
        let mut world = World::with_key_stores(seed, 3);
        world.until_keys();
        let key = world.derive(0, "photos").unwrap().key;
        let _first = world.set_threshold(0, 3, None);
        world.settle(1);
        let _second = world.set_threshold(1, 3, None);
        world.until(200, "the lock is held", |it| it.lock(2).holder.is_some());
        let held = world.lock(2);
        let holder = (0..2).find(|it| held.holder == Some(format!("device-{it}"))).unwrap();
        world.stop(holder);
        let other = 1 - holder;
        world.settle(2);
        for index in [other, 2] {
            let seen = world.lock(index);
            assert_eq!(
                (&seen.holder, seen.until, seen.number),
                (&held.holder, held.until, held.number)
            );
        }
        world.until(500, "it is free", |it| it.lock(2).holder.is_none());
        assert!(held.until.unwrap() <= world.lock(2).epoch);
        let clock = world.lock(2).epoch;
        world.settle(30);
        assert!(world.lock(2).epoch <= clock + 2, "nobody waits any more");
        world.start(holder);
        world.settle(10);
        for index in [0, 1] {
            let _asked = world.set_threshold(index, 3, None);
            world.settle(2);
        }
        world.until_shares(300, &[0, 1, 2], 3);
        assert!(held.number < world.lock(0).number);
        assert_eq!(world.derive(2, "photos").unwrap().key, key);
    }
}
