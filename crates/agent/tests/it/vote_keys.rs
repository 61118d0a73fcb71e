//! Vote keys on whole accounts: announced, put in force by the next configuration, and erased then.

use aura_agent::{
    api::{Command, Response},
    node::{Files, VOTE_KEYS_ROW},
};
use aura_crypto::{PublicKey, SecretKey, seal::StorageKey};
use aura_protocol_core::decode;

use crate::world::{Crash, World, storage_key};

impl World {
    /// An account of three devices that made their keys, so that nothing else changes the configuration, and
    /// that announced their next vote keys.
    fn ready_to_rekey(seed: u64) -> Self {
        let mut world = Self::with_key_stores(seed, 3);
        world.until_keys();
        world.until(30, "all announce a key", |world| world.all_announced(3));
        world
    }

    /// The vote keys in a device's store.
    fn stored_vote_keys(&self, index: usize) -> Vec<PublicKey> {
        let purpose = self.node(index).vote_keys_purpose();
        let sealed = &self.devices[index].stored.local[VOTE_KEYS_ROW];
        let opened = StorageKey::from_keyring(storage_key(index)).open(&purpose, sealed).unwrap();
        let seeds: Vec<[u8; 32]> = decode(&opened, 1024).unwrap();
        seeds.into_iter().map(|it| SecretKey::from_seed(it).public()).collect()
    }

    /// The key that a device's chain says that it votes with, and since when.
    fn vote_key(&self, index: usize) -> (PublicKey, u64) {
        let device = self.devices[index].id();
        let entries = self.devices[index].stored.entries.clone();
        let chain = aura_journal::control::ControlChain::from_entries(entries).unwrap();
        let key = chain.config().roster[&device].vote_key;
        (key, chain.vote_key_since(device).unwrap())
    }

    /// Whether all running devices say that all of these have announced their next vote key.
    fn all_announced(&self, count: usize) -> bool {
        self.nodes().iter().all(|index| {
            match self.node(*index).read_command(&Command::Devices).unwrap() {
                Response::Devices(it) => {
                    it.devices.iter().filter(|it| it.next_vote_key).count() == count
                }
                other => panic!("{other:?}"),
            }
        })
    }

    #[track_caller]
    fn next_configuration(&mut self, by: usize) {
        self.ask(by, Command::Snapshot, Files::default()).unwrap();
        self.settle(2);
    }
}

/// With each configuration all devices vote with the keys that they announced, and have no others but the
/// next ones.
#[test]
fn a_vote_key_ends_with_its_configuration() {
    let mut world = World::ready_to_rekey(3);
    let mut used: Vec<PublicKey> = (0..3).map(|it| world.vote_key(it).0).collect();
    for _ in 0..3 {
        world.next_configuration(0);
        world.until(30, "all announce the next key", |world| world.all_announced(3));
        for index in 0..3 {
            let (key, since) = world.vote_key(index);
            let held = world.stored_vote_keys(index);
            assert_eq!((held.len(), held[0]), (2, key), "device {index}");
            assert!(!held.iter().any(|it| used.contains(it)), "device {index} holds an old key");
            assert!(0 < since);
            used.push(key);
        }
    }
    // After a restart as well.
    world.stop(1);
    world.start(1);
    world.stop(2);
    world.next_configuration(0);
}

/// INV-A16: killed at every commit around a change of the configuration, before and after it, a device can
/// vote in it, and holds nothing of the last.
#[test]
fn a_crash_at_any_commit_leaves_a_device_able_to_vote() {
    let run = |crash: Option<usize>| {
        let mut world = World::ready_to_rekey(11);
        let begin = world.devices[1].commits;
        world.devices[1].crash = crash.map(|nth| {
            if nth % 2 == 0 {
                Crash::Before(begin + nth / 2)
            } else {
                Crash::After(begin + nth / 2)
            }
        });
        world.revives = true;
        let (old, _) = world.vote_key(1);
        world.next_configuration(0);
        world
            .until(60, "all are there", |world| world.nodes().len() == 3 && world.all_announced(3));
        world.devices[1].crash = None;
        let commits = world.devices[1].commits - begin;
        let (key, _) = world.vote_key(1);
        let held = world.stored_vote_keys(1);
        assert!(held.contains(&key), "{crash:?}: it does not hold the key in force");
        assert!(key == old || !held.contains(&old), "{crash:?}: it holds an old key");
        // Two of three decide, and one of them is away.
        world.revives = false;
        world.stop(2);
        world.next_configuration(0);
        commits
    };
    let commits = run(None);
    assert!(3 < commits, "{commits}");
    for nth in 0..2 * commits {
        run(Some(nth));
    }
}

/// A device that was away for several configurations votes with the key that it had announced, since no
/// other took its place.
#[test]
fn a_device_that_was_away_finds_its_key() {
    for seed in 0..3 {
        let mut world = World::ready_to_rekey(seed);
        let held = world.stored_vote_keys(2);
        // What it wrote last is known: a device with units that nobody has seen may miss one snapshot.
        world.settle(5);
        world.stop(2);
        for _ in 0..3 {
            world.next_configuration(0);
        }
        world.start(2);
        world.until(60, "all announce a key again", |world| world.all_announced(3));
        let (key, since) = world.vote_key(2);
        assert!(held.contains(&key));
        assert!(since < world.vote_key(0).1, "it kept its key while it was away");
        assert!(world.stored_vote_keys(2).contains(&key));
        world.stop(1);
        world.next_configuration(0);
        assert!(!held.contains(&world.vote_key(2).0));
    }
}
