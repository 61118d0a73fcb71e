//! Snapshots on running devices: taken, compacted, joined from, and crashed over.

use aura_agent::{
    api::{Command, Compacted, Response},
    node::Files,
};

use crate::{
    publisher::Publisher,
    world::{Crash, World},
};

impl World {
    fn snapshot(&mut self, index: usize) -> u64 {
        match self.ask(index, Command::Snapshot, Files::default()).unwrap() {
            Response::SnapshotTaken(taken) => taken.k,
            other => panic!("{other:?}"),
        }
    }

    fn compact(&mut self, index: usize) -> Result<Compacted, String> {
        match self.ask(index, Command::Compact, Files::default()) {
            Ok(Response::Compacted(compacted)) => Ok(compacted),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.code),
        }
    }

    #[track_caller]
    fn agree(&mut self) {
        self.until(120, "all have come to rest alike", |world| {
            let root = world.status(0).state_root;
            world.all(|it| it.0.settled && it.0.state_root == root)
        });
    }
}

/// Devices compact while a session is open, go on, upgrade, and let one in that begins with what they kept.
#[test]
fn a_device_joins_from_what_others_kept() {
    for seed in 0..6 {
        let publisher = Publisher::of_counter();
        let mut world = World::new(seed, 3);
        world.breaks_per_mille = 5;
        world.install(0, &publisher);
        world.run_session(0, &[0, 1, 2]);
        world.settle(1);
        let open = world.start_session(1, &[0, 1, 2], Some(2)).unwrap();
        world.settle(1);
        assert_eq!(world.compact(0), Err("NoSnapshot".to_owned()));
        let k = world.snapshot(0);
        world.settle(4);
        for index in 0..3 {
            let compacted = world.compact(index).unwrap();
            assert_eq!(compacted.k, k);
            assert!(0 < compacted.dropped, "{compacted:?}");
        }
        for index in [0, 2] {
            world.take_part(index, &open);
        }
        world.until_completed(&[0, 1, 2], &open);
        world.propose(0, &publisher, "2.0.0").unwrap();
        world.until(120, "2.0.0 is active", |world| {
            world.all(|it| it.active() == Some("2.0.0") && it.0.settled)
        });
        let added = world.invite_and_join(2);
        world.agree();
        world.until(120, "the newcomer runs it", |world| world.all(|it| it.manifest_has("2.0.0")));
        world.run_session(added, &[0, 1, 2, added]);
        world.agree();
        // And again, now that an activation lies below.
        let next = world.snapshot(1);
        world.settle(4);
        assert_eq!(world.compact(0).unwrap().k, next);
        let added = world.invite_and_join(0);
        world.agree();
        world.until(120, "the newcomer runs it", |world| world.all(|it| it.manifest_has("2.0.0")));
        world.run_session(0, &[0, 1, 2, 3, added]);
        world.agree();
    }
}

/// Whatever moment a device loses its power at while it compacts, it goes on after.
#[test]
fn a_crash_while_compacting_loses_nothing() {
    for before in [true, false] {
        let publisher = Publisher::of_counter();
        let mut world = World::new(3, 3);
        world.install(0, &publisher);
        world.run_session(0, &[0, 1, 2]);
        world.snapshot(0);
        world.settle(4);
        let commits = world.devices[1].commits;
        let crash = if before { Crash::Before(commits) } else { Crash::After(commits) };
        world.devices[1].crash = Some(crash);
        world.command(1, Command::Compact, Files::default());
        assert!(!world.is_up(1));
        world.start(1);
        world.settle(2);
        match (before, world.compact(1)) {
            (true, Ok(compacted)) => assert!(0 < compacted.dropped),
            (false, Err(code)) => assert_eq!(code, "NoSnapshot"),
            (_, other) => panic!("{other:?}"),
        }
        world.run_session(1, &[0, 1, 2]);
        world.agree();
    }
}
