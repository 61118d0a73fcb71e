//! Keys that devices derive together, over real processes.

use std::fs;

use crate::aura::{Device, Store};

/// An account of three running devices that have made its keys.
fn three() -> (Vec<Store>, Vec<Option<Device>>) {
    let anna = Store::with_account("anna");
    let mut devices = vec![Some(anna.start())];
    let mut stores = vec![anna];
    for name in ["bert", "cleo"] {
        let ticket = stores[0].json(&["device", "invite"])["ticket"].as_str().unwrap().to_owned();
        let store = Store::new();
        store.json(&["device", "join", &ticket, "--name", name]);
        devices.push(Some(store.start()));
        stores.push(store);
        // The next one needs the votes of those that are in.
        let peers = stores.len() - 1;
        stores[0].await_status("connected", |status| status["peers"] == peers);
    }
    for store in &stores {
        store.await_status("keys", |status| status["keys"]["share"] == true);
    }
    (stores, devices)
}

/// Any two of three derive the same key, with the third one off, and the ledger does not have it.
#[test]
fn any_two_of_three_derive_the_same_key() {
    let (stores, mut devices) = three();
    let first = stores[0].json(&["key", "derive", "photos"]);
    let key = first["key"].as_str().unwrap();
    assert_eq!((key.len(), first["context"].as_str()), (64, Some("photos")));
    let other = stores[1].json(&["key", "derive", "letters"]);
    assert_ne!(other["key"], first["key"]);

    assert_eq!(devices[0].take().unwrap().stop().code(), Some(0));
    for store in &stores[1..] {
        store.await_status("without the first", |status| status["peers"] == 1);
    }
    // People and scripts get the key and nothing else.
    let ran = stores[2].run(&["key", "derive", "photos"]);
    assert_eq!((ran.code, ran.stdout.trim_end()), (0, key), "{ran}");
    assert_eq!(ran.stdout.lines().count(), 1, "{ran}");

    assert_eq!(devices[1].take().unwrap().stop().code(), Some(0));
    stores[2].await_status("alone", |status| status["peers"] == 0);
    let derive = ["key", "derive", "photos", "--wait", "0"];
    let error = stores[2].fails(&derive, "NotEnoughDevices", 1);
    assert!(error["message"].as_str().unwrap().contains("1 of the 2"), "{error}");

    drop(devices);
    let secret: Vec<u8> =
        (0..32).map(|it| u8::from_str_radix(&key[2 * it..2 * it + 2], 16).unwrap()).collect();
    for store in &stores {
        let ledger = fs::read(store.path().join("ledger.redb")).unwrap();
        assert!(!ledger.windows(32).any(|it| it == secret));
        let log = store.run(&["ledger", "log"]);
        assert!(!log.stdout.contains(key));
    }
}

/// The key that seals a device's secrets is beside the store, not in it; a device that cannot open them
/// does not start.
#[test]
fn a_store_without_its_key_file_does_not_start() {
    let store = Store::with_account("anna");
    let device = store.start();
    let key = store.json(&["key", "derive", "photos"])["key"].clone();
    assert_eq!(store.json(&["status"])["keys"]["sealed_under"], "a key file");
    assert_eq!(device.stop().code(), Some(0));
    let (file, aside) = (store.beside("store.key"), store.beside("aside"));
    fs::rename(&file, &aside).unwrap();
    store.fails(&["run"], "StorageKeyMissing", 1);
    fs::write(&file, b"no key").unwrap();
    store.fails(&["run"], "WrongStorageKey", 1);
    let device = store.start_with(&[("AURA_KEY_FILE", aside.to_str().unwrap())]);
    assert_eq!(store.json(&["key", "derive", "photos"])["key"], key);
    assert_eq!(device.stop().code(), Some(0));
}

/// A passphrase in the place of the key file.
#[test]
fn a_passphrase_seals_as_well() {
    let store = Store::with_account("anna");
    let phrase = |it: &'static str| [("AURA_PASSPHRASE", it)];
    let device = store.start_with(&phrase("three words long"));
    let key = store.json(&["key", "derive", "photos"])["key"].clone();
    assert_eq!(store.json(&["status"])["keys"]["sealed_under"], "a passphrase");
    assert_eq!(device.stop().code(), Some(0));
    assert!(!store.beside("store.key").exists());
    store.fails(&["run"], "WrongStorageKey", 1);
    let ran = store.run_with(&["--json", "run"], &phrase("other words"));
    assert_eq!(ran.object()["error"]["code"], "WrongStorageKey", "{ran}");
    let device = store.start_with(&phrase("three words long"));
    assert_eq!(store.json(&["key", "derive", "photos"])["key"], key);
    assert_eq!(device.stop().code(), Some(0));
}
