//! Ledgers stay small without anybody asking.

use aura_journal::Ledger;

use crate::{
    publisher::Publisher,
    world::{Crash, World},
};

/// After so many units a device of these tests proposes a snapshot.
const UNITS: usize = 60;

impl World {
    fn small(seed: u64, count: usize) -> Self {
        let mut world = Self::new(seed, 0);
        world.snapshot_units = (0..count).map(|it| (it, UNITS)).collect();
        for index in 0..count {
            world.add(crate::world::identity(index), crate::world::chain_of(count));
        }
        world
    }

    pub fn ledger_of(&self, index: usize) -> Ledger {
        Ledger::restore(&self.devices[index].stored).unwrap()
    }

    /// How many snapshots a device has proposed.
    fn snapshots_proposed(&self, index: usize) -> usize {
        let line = |it: &&String| it.starts_with("a snapshot is proposed");
        self.devices[index].log.iter().filter(line).count()
    }

    /// Runs sessions until there are so many snapshots more, all of which everybody has heard of.
    #[track_caller]
    fn grow(&mut self, snapshots: usize, with: &[usize]) {
        let goal = self.ledger_of(with[0]).chain().snapshots().len() + snapshots;
        for nth in 0..60 {
            if goal <= self.ledger_of(with[0]).chain().snapshots().len() {
                self.settle(130);
                return;
            }
            self.run_session(with[nth % with.len()], with);
            self.settle(30);
        }
        panic!("no snapshot is taken");
    }
}

/// Voters take snapshots and drop units by themselves, through lost connections and crashes. One that keeps
/// everything, those that dropped, and one that begins with what they kept come to the same state.
#[test]
fn ledgers_are_kept_small_and_say_the_same_as_whole_ones() {
    for seed in 0..4 {
        let publisher = Publisher::of_counter();
        let mut world = World::small(seed, 4);
        world.snapshot_units.insert(3, usize::MAX);
        world.stop(3);
        world.start(3);
        world.breaks_per_mille = 3;
        world.install(0, &publisher);
        let members = [0, 1, 2, 3];
        world.grow(1, &members);
        world.revives = true;
        let commits = world.devices[1].commits;
        world.devices[1].crash = Some(if seed % 2 == 0 {
            Crash::Before(commits + 5)
        } else {
            Crash::After(commits + 5)
        });
        world.settle(3);
        world.grow(2, &members);
        let whole = world.ledger_of(3);
        assert!(whole.base().is_none() && 3 <= whole.chain().snapshots().len());
        assert!(3 * UNITS < whole.len(), "{}", whole.len());
        for index in 0..3 {
            let small = world.ledger_of(index);
            let newest = whole.chain().snapshots().last().unwrap().k;
            assert_eq!(small.base().map(|(k, _)| k), Some(newest), "seed {seed}, device {index}");
            assert!(small.len() < whole.len() / 2);
            assert_eq!(small.state(), whole.state());
        }
        // Those that are left have nothing to give it but what they kept.
        world.revives = false;
        world.breaks_per_mille = 0;
        world.settle(1);
        world.stop(3);
        let added = world.invite_and_join(0);
        world.settle(5);
        let fresh = world.ledger_of(added);
        assert!(fresh.base().is_some());
        world.start(3);
        world.settle(5);
        assert_eq!(world.ledger_of(added).state(), world.ledger_of(3).state());
        world.run_session(added, &[0, 1, 2, 3, added]);
    }
}

/// All voters find at once that a snapshot is due, and one of them proposes it.
#[test]
fn voters_take_turns_to_propose_a_snapshot() {
    let publisher = Publisher::of_counter();
    let mut world = World::small(7, 4);
    for index in 0..4 {
        world.snapshot_units.insert(index, UNITS);
    }
    world.install(0, &publisher);
    world.grow(2, &[0, 1, 2, 3]);
    let ledger = world.ledger_of(0);
    let lines = (0..4).map(|it| world.snapshots_proposed(it)).sum::<usize>();
    assert_eq!(lines, ledger.chain().snapshots().len());

    // While a voter is away the next snapshot would shut it out: there is one more, and no other.
    let snapshots = ledger.chain().snapshots().len();
    world.stop(3);
    for _ in 0..60 {
        if 4 * UNITS < world.ledger_of(0).len() {
            break;
        }
        world.run_session(0, &[0, 1, 2]);
        world.settle(130);
    }
    let ledger = world.ledger_of(0);
    assert!(4 * UNITS < ledger.len(), "nothing that the absent one needs is dropped");
    assert_eq!(ledger.chain().snapshots().len(), snapshots + 1);
    world.start(3);
    world.settle(300);
    let ledger = world.ledger_of(0);
    assert!(snapshots + 2 <= ledger.chain().snapshots().len());
    assert_eq!(world.ledger_of(3).state(), ledger.state());
    world.run_session(3, &[0, 1, 2, 3]);
}
