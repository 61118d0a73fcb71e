//! The main job on pure nodes, in any order of delivery, with breaks, partitions and crashes.

use aura_protocol_core::Digest;

use crate::{
    publisher::Publisher,
    world::{Crash, World},
};

/// The main job of five devices, as the demo runs it on processes.
fn main_job(mut world: World) -> World {
    let publisher = Publisher::of_counter();
    world.breaks_per_mille = 5;
    let first = world.random.below(5) as usize;
    world.install(first, &publisher);
    world.run_session(first, &[0, 1, 2, 3, 4]);
    for index in [1, 2, 3] {
        world.upgrade(index, &publisher, "1.1.0");
    }
    world.until(60, "three run 1.1.0", |world| {
        [1, 2, 3].iter().all(|it| crate::acts::Seen(world.status(*it)).manifest_has("1.1.0"))
    });
    world.settle(1);
    let mixed = world.run_session(2, &[0, 1, 2, 3, 4]);
    assert_eq!(world.session(1, &mixed).unwrap().spoken, "1.0.0");

    let held = world.start_session(1, &[1, 2, 3], Some(2)).unwrap();
    assert_eq!(world.session(1, &held).unwrap().spoken, "1.1.0");
    world.take_part(2, &held);
    world.settle(1);
    world.stop(4);
    let proposal = world.propose(0, &publisher, "2.0.0").unwrap();
    world.until(120, "2.0.0 is active on four", |world| {
        world.all(|it| it.active() == Some("2.0.0") && it.0.settled)
    });
    world.run_session(3, &[0, 1, 2, 3]);
    world.take_part(3, &held);
    world.until_completed(&[1, 2, 3], &held);
    assert_eq!(world.session(2, &held).unwrap().version, "1.1.0");

    world.start(4);
    world.assert_agreed("2.0.0");
    let last = world.run_session(4, &[0, 1, 2, 3, 4]);
    assert_eq!(world.session(0, &last).unwrap().spoken, "2.0.0");
    world.assert_agreed("2.0.0");
    assert_eq!(world.proposal(4, &proposal).unwrap().state, "Active");
    assert_eq!(world.status(0).records["counter"], 5);
    world
}

/// INV-A1, INV-A3, INV-D4: whatever the order of delivery, one version is active in the end, and all
/// devices hold the same state.
#[test]
fn the_main_job_comes_to_one_end() {
    for seed in 0..60 {
        main_job(World::new(seed, 5));
    }
}

/// INV-A2: the same inputs lead to the same effects.
#[test]
fn the_same_seed_is_the_same_run() {
    let traced = |seed: u64| {
        let mut world = World::new(seed, 5);
        world.trace = Some(Digest::ZERO);
        main_job(world).trace.unwrap()
    };
    let first = traced(3);
    assert_eq!(traced(3), first);
    assert_ne!(traced(4), first);
}

/// Three devices with a session's record, and a proposal on its way.
fn activation(seed: u64) -> (World, String) {
    let publisher = Publisher::of_counter();
    let mut world = World::new(seed, 3);
    world.install(0, &publisher);
    world.run_session(1, &[0, 1, 2]);
    let proposal = world.propose(0, &publisher, "2.0.0").unwrap();
    (world, proposal)
}

/// INV-A1: a device whose power goes at any of its commits loses nothing that it said, and says
/// nothing else in its place; the account activates all the same.
#[test]
fn a_crash_at_any_commit_of_an_activation_loses_nothing() {
    for victim in 0..3 {
        let before = activation(1).0.devices[victim].commits;
        let mut whole = activation(1).0;
        whole.assert_agreed("2.0.0");
        let commits = whole.devices[victim].commits - before;
        assert!(5 < commits);
        for nth in 0..commits {
            for crash in [Crash::Before(before + nth), Crash::After(before + nth)] {
                let (mut world, _) = activation(1);
                world.revives = true;
                world.devices[victim].crash = Some(crash);
                world.until(180, "all are up and run 2.0.0", |world| {
                    (0..3).all(|it| world.is_up(it)) && world.all(|it| it.active() == Some("2.0.0"))
                });
                world.assert_agreed("2.0.0");
                let activated = world.devices[victim].stored.entries.iter().filter(|it| {
                    matches!(it.value.body, aura_journal::control::EntryBody::ActivateVersion(_))
                });
                assert_eq!(activated.count(), 1);
            }
        }
    }
}

/// INV-A1, INV-A2: crashes of anybody at any time, breaks and partitions all at once.
#[test]
fn trouble_of_all_kinds_comes_to_one_end() {
    for seed in 0..60 {
        let (mut world, _) = activation(seed);
        world.revives = true;
        world.breaks_per_mille = 20;
        for _ in 0..8 {
            let victim = world.random.below(3) as usize;
            let other = (victim + 1) % 3;
            match world.random.below(3) {
                0 => world.cut(victim, other),
                1 => world.heal(),
                _ if world.is_up(victim) => {
                    let nth = world.devices[victim].commits + world.random.below(3) as usize;
                    world.devices[victim].crash = Some(Crash::After(nth));
                }
                _ => {}
            }
            for _ in 0..world.random.below(60) {
                world.happen();
            }
            world.tick();
        }
        world.heal();
        world.breaks_per_mille = 0;
        world.until(240, "all are up", |world| (0..3).all(|it| world.is_up(it)));
        world.assert_agreed("2.0.0");
    }
}
