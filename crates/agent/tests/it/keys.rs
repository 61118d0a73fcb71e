//! The account's keys on whole accounts: made by all devices, held by none, kept over every crash.

use std::collections::BTreeSet;

use aura_agent::{
    AgentError,
    api::{Command, DerivedKey, Response},
    node::{Files, Input, KEYS_ROW, RequestId},
};
use aura_crypto::seal::StorageKey;
use aura_protocol_core::{Digest, encode};

use crate::world::{Crash, World, storage_key};

/// Whether all running devices hold shares of the same keys.
fn all_hold_a_share(world: &World) -> bool {
    let status: Vec<_> = world.nodes().iter().map(|it| world.status(*it).keys).collect();
    let keys: BTreeSet<_> = status.iter().map(|it| it.group_key.clone()).collect();
    keys.len() == 1 && status.iter().all(|it| it.share == Some(true) && !it.group_key.is_empty())
}

impl World {
    /// How many lines of a device's ledger begin so.
    pub fn log_lines(&self, index: usize, begin: &str) -> usize {
        match self.node(index).read_command(&Command::Log { limit: 10_000 }).unwrap() {
            Response::Log(log) => log.lines.iter().filter(|it| it.says.starts_with(begin)).count(),
            other => panic!("{other:?}"),
        }
    }

    /// Waits until all devices hold shares of the account's keys.
    #[track_caller]
    pub fn until_keys(&mut self) {
        self.until(240, "all hold a share", all_hold_a_share);
    }
}

#[test]
fn the_devices_make_the_keys_when_all_are_there() {
    for (seed, count, needed) in [(0, 2, 2), (1, 3, 2), (2, 4, 3), (3, 5, 4)] {
        let mut world = World::with_key_stores(seed, count);
        world.until_keys();
        world.settle(5);
        assert_eq!(world.status(0).keys.needed, needed);
        // Once: nobody makes others.
        let opened = world.log_lines(0, "open a session of dkg");
        assert_eq!(opened, 1, "{count} devices");
    }
}

/// A device that is away keeps the others from making keys, and is waited for.
#[test]
fn nobody_makes_keys_without_the_others() {
    let mut world = World::with_key_stores(1, 3);
    world.stop(2);
    world.settle(20);
    assert!(world.all(|it| it.0.keys.group_key.is_empty()));
    assert_eq!(world.log_lines(0, "open a session of dkg"), 0);
    world.start(2);
    world.until_keys();
}

/// INV-A8: killed at every commit, before and after it, the devices still come to keys that all of them
/// hold a share of, or to none.
#[test]
fn a_crash_at_any_commit_leaves_nobody_with_half_a_key() {
    let commits = {
        let mut world = World::with_key_stores(7, 3);
        let before = world.devices[1].commits;
        world.until_keys();
        world.devices[1].commits - before
    };
    assert!(20 < commits, "{commits}");
    for nth in (0..commits).step_by(2) {
        let mut world = World::with_key_stores(7, 3);
        let at = world.devices[1].commits + nth;
        let crash = if nth % 4 == 0 { Crash::Before(at) } else { Crash::After(at) };
        world.devices[1].crash = Some(crash);
        world.revives = true;
        world.until(600, &format!("all hold a share after {crash:?}"), |world| {
            world.nodes().len() == 3 && all_hold_a_share(world)
        });
    }
}

/// INV-A7: what a store holds shows no share without the key that seals it, and nothing in the ledger,
/// the log or an effect does.
#[test]
fn a_stolen_store_shows_no_share() {
    let mut world = World::with_key_stores(1, 3);
    world.until_keys();
    for index in 0..3 {
        let stored = &world.devices[index].stored;
        let sealed = &stored.local[KEYS_ROW];
        let purpose = world.node(index).vault_purpose();
        let wrong = StorageKey::from_keyring(storage_key(index + 1));
        assert!(wrong.open(&purpose, sealed).is_err());
        let opened = StorageKey::from_keyring(storage_key(index)).open(&purpose, sealed).unwrap();
        // The share stands in what was sealed, after the name of its sharing and its index; and nowhere
        // else in the store.
        let share = &opened[1 + 4 + 34..1 + 4 + 66];
        let holds = |bytes: &[u8]| bytes.windows(32).any(|it| it == share);
        assert!(holds(&opened));
        let stored = &world.devices[index].stored;
        assert!(!stored.local.values().any(|it| holds(it)));
        assert!(!stored.units.iter().any(|it| holds(it)));
    }
}

impl World {
    /// Asks a device for a key, and waits for the answer.
    #[track_caller]
    pub fn derive(&mut self, index: usize, context: &str) -> Result<DerivedKey, AgentError> {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.draws += 1;
        let entropy = *Digest::of(&encode(&("command", self.draws))).as_bytes();
        let command = Command::DeriveKey { context: context.to_owned() };
        self.input(index, Input::Command { id, command, files: Box::default(), entropy });
        self.until(300, "the key is there, or not", |world| {
            world.devices[index].answers.contains_key(&id) || !world.is_up(index)
        });
        match self.devices[index].answers.remove(&id) {
            Some(Ok(Response::Key(key))) => Ok(key),
            Some(Err(error)) => Err(error),
            other => panic!("{other:?}"),
        }
    }
}

/// Any quorum derives the same key, with one device off and after restarts; another context gives
/// another key, and nobody who has the ledger has any of them.
#[test]
fn any_quorum_derives_the_same_key() {
    let mut world = World::with_key_stores(3, 3);
    world.until_keys();
    let first = world.derive(0, "photos").unwrap();
    let other = world.derive(1, "letters").unwrap();
    assert_ne!(first.key, other.key);
    assert_ne!(first.public_key, other.public_key);
    for away in 0..3 {
        world.stop(away);
        let by = (away + 1) % 3;
        let key = world.derive(by, "photos").unwrap();
        assert_eq!((&key.key, &key.public_key), (&first.key, &first.public_key), "without {away}");
        world.start(away);
        world.settle(3);
    }
    for device in &world.devices {
        for key in [&first, &other] {
            let digits = key.key.danger_digits();
            let secret: Vec<u8> = (0..32)
                .map(|it| u8::from_str_radix(&digits[2 * it..2 * it + 2], 16).unwrap())
                .collect();
            let holds = |bytes: &[u8]| bytes.windows(32).any(|it| it == secret);
            assert!(!device.stored.units.iter().any(|it| holds(it)));
            assert!(!device.stored.local.values().any(|it| holds(it)));
            assert!(!device.log.iter().any(|it| it.contains(digits)));
            assert!(!format!("{key:?}").contains(digits));
        }
    }
}

/// Too few devices: it is said at once who is missing, and nothing is written.
#[test]
fn too_few_devices_derive_nothing() {
    let mut world = World::with_key_stores(3, 3);
    assert_eq!(world.derive(0, "photos").unwrap_err().code, "NoKeys");
    world.until_keys();
    for away in [1, 2] {
        world.stop(away);
    }
    let units = world.status(0).ledger.units;
    let error = world.derive(0, "photos").unwrap_err();
    assert_eq!(error.code, "NotEnoughDevices");
    assert!(error.message.contains("1 of the 2"), "{error}");
    assert!(error.message.ends_with("not device-1, device-2"), "{error}");
    assert_eq!(world.status(0).ledger.units, units);
    for bad in ["", "\n", &"x".repeat(129)] {
        assert_eq!(world.derive(0, bad).unwrap_err().code, "BadContext");
    }
}

/// A device that is alone has the account's key when it first needs it. Before it is used, other devices
/// may come and make another with it; afterwards it stays (INV-A9).
#[test]
fn a_device_that_is_alone_derives_too() {
    let mut world = World::with_key_stores(3, 1);
    assert!(world.status(0).keys.group_key.is_empty());
    let first = world.derive(0, "photos").unwrap();
    let group_key = world.status(0).keys.group_key;
    assert!(!group_key.is_empty());
    world.stop(0);
    world.start(0);
    assert_eq!(world.derive(0, "photos").unwrap().key, first.key);
    assert_ne!(world.derive(0, "letters").unwrap().key, first.key);
    assert_eq!(world.status(0).keys.group_key, group_key);
}

/// INV-A8: the device that asks, and one that helps, killed at every commit of a derivation.
#[test]
fn a_crash_at_any_commit_leads_to_the_same_key_or_to_none() {
    let begin = || {
        let mut world = World::with_key_stores(5, 3);
        world.until_keys();
        world
    };
    let mut world = begin();
    let before = world.devices[1].commits;
    let first = world.derive(0, "photos").unwrap();
    let commits = world.devices[1].commits - before;
    for nth in 0..commits {
        let mut world = begin();
        let at = world.devices[1].commits + nth;
        world.devices[1].crash =
            Some(if nth % 2 == 0 { Crash::Before(at) } else { Crash::After(at) });
        world.revives = true;
        // A restart may come between a device's two words: then it is asked again.
        let key = (0..5).find_map(|_| world.derive(0, "photos").ok()).unwrap();
        assert_eq!(key.key, first.key, "the helper crashed at {nth}");
    }
}

/// Devices that join one after the other make the keys once, when all are there; the first one's own, if
/// nobody used them, give way.
#[test]
fn an_account_grows_to_keys_of_all() {
    let mut world = World::with_key_stores(2, 1);
    for _ in 0..3 {
        world.invite_and_join(0);
    }
    world.until_keys();
    assert_eq!(world.status(3).keys.needed, 3);
    assert_eq!(world.log_lines(0, "open a session of dkg"), 1);
    let first = world.derive(3, "photos").unwrap();
    world.stop(0);
    assert_eq!(world.derive(1, "photos").unwrap().key, first.key);
}

/// A device that was sent away is needed for nothing: the others derive what they derived with it.
#[test]
fn the_others_go_on_without_a_device_that_left() {
    let mut world = World::with_key_stores(4, 3);
    world.until_keys();
    let first = world.derive(2, "photos").unwrap();
    let device = world.devices[2].id().to_string();
    let revoke = || Command::Revoke { device: device.clone() };
    let _asked = world.command(0, revoke(), Files::default());
    world.ask(1, revoke(), Files::default()).unwrap();
    world.until(60, "both hear of it", |world| (0..2).all(|it| world.status(it).devices == 2));
    world.stop(2);
    assert_eq!(world.derive(0, "photos").unwrap().key, first.key);
    world.stop(1);
    let error = world.derive(0, "photos").unwrap_err();
    assert!(error.message.ends_with("; not device-1"), "{error}");
}

/// INV-A9: keys that were used stay, whoever joins: the newcomer gets a share of them.
#[test]
fn keys_that_were_used_stay() {
    let mut world = World::with_key_stores(2, 1);
    let first = world.derive(0, "photos").unwrap();
    let group_key = world.status(0).keys.group_key;
    world.invite_and_join(0);
    world.until_keys();
    for index in [0, 1] {
        let keys = world.status(index).keys;
        assert_eq!((&keys.group_key, keys.needed), (&group_key, 2));
        assert_eq!(world.derive(index, "photos").unwrap().key, first.key);
    }
    assert_eq!(world.log_lines(0, "open a session of dkg"), 0);
}
