//! What comes back of a damaged store, and what must not.

use std::{fs, path::Path};

use aura_journal::{
    Ledger, LedgerStore as _, StoreBatch, StoreError,
    store::{DiskStore, repair},
    sync::{SyncMessage, answer, hello},
};
use tempfile::TempDir;

use crate::support::*;

const UNITS: usize = 60;

/// A store of a ledger in which `writers` of three devices write in turn, closed, and the ledger.
fn stored(dir: &Path, writers: usize) -> (Vec<Device>, Ledger) {
    let (devices, chain) = account(3);
    let mut ledger = Ledger::new(chain);
    for nth in 0..UNITS {
        let device = &devices[nth % writers];
        write(&mut ledger, device, metadata(device, &nth.to_string()));
    }
    let mut batch = ledger.take_batch();
    batch.local.push(("clock".to_owned(), Some(vec![1])));
    DiskStore::create(dir).unwrap().commit(&batch).unwrap();
    (devices, ledger)
}

/// Flips a byte in the middle of a unit as it lies in the file.
fn damage(dir: &Path, unit: &[u8]) {
    let path = dir.join("ledger.redb");
    let mut bytes = fs::read(&path).unwrap();
    let places: Vec<usize> =
        (0..bytes.len() - unit.len()).filter(|at| bytes[*at..].starts_with(unit)).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at + unit.len() / 2] ^= 1;
    }
    fs::write(path, bytes).unwrap();
}

/// Brings `ledger` up to date with `full`.
fn catch_up(ledger: &mut Ledger, full: &Ledger) {
    for message in answer(full, &hello(ledger)) {
        if let SyncMessage::Units(units) = message {
            for outcome in ledger.import_all(PEER, units.iter().map(Vec::as_slice)) {
                let _applied = outcome.unwrap();
            }
        }
    }
}

/// INV-J26: the error names the unit; the repair keeps what does not rest on it; the rest comes with the
/// next sync.
#[test]
fn others_units_come_again() {
    let dir = TempDir::new().unwrap();
    let (devices, ledger) = stored(dir.path(), 2);
    let lost = ledger.arrivals()[40];
    damage(dir.path(), ledger.unit_bytes(&lost).unwrap());
    let error = DiskStore::open(dir.path()).unwrap_err();
    assert!(matches!(&error, StoreError::Damaged { what, .. } if what == "unit 40"), "{error}");
    // The third device has written nothing, so that all is others'.
    let repaired = repair(dir.path(), devices[2].id, None).unwrap();
    assert_eq!((repaired.entries, repaired.entries_lost), (2, 0));
    assert_eq!((repaired.units, repaired.units_lost), (40, 20));
    assert!(repaired.kept.exists());
    assert!(!dir.path().join("repair").exists());
    let stored = DiskStore::open(dir.path()).unwrap().load().unwrap();
    assert_eq!(stored.local["clock"], [1]);
    let mut again = Ledger::restore(&stored).unwrap();
    catch_up(&mut again, &ledger);
    assert_eq!(again.state(), ledger.state());
    assert_eq!(again.heads(), ledger.heads());
}

/// A device that forgot units of its own would sign others in their places.
#[test]
fn own_units_must_be_there() {
    let dir = TempDir::new().unwrap();
    let (devices, ledger) = stored(dir.path(), 2);
    let lost = ledger.arrivals()[40];
    damage(dir.path(), ledger.unit_bytes(&lost).unwrap());
    let before = fs::read(dir.path().join("ledger.redb")).unwrap();
    let error = repair(dir.path(), devices[0].id, None).unwrap_err();
    assert_eq!(error.code(), "StoreUnrepairable");
    assert!(error.to_string().contains("own units from place 20 on"), "{error}");
    let now = fs::read(dir.path().join("ledger.redb")).unwrap();
    assert!(now == before, "the store was touched");
    // With another device's ledger they are.
    let (_, other) = account(3);
    let mut help = Ledger::new(other);
    catch_up(&mut help, &ledger);
    let repaired = repair(dir.path(), devices[0].id, Some(&help)).unwrap();
    assert_eq!((repaired.units, repaired.units_lost), (60, 0));
    let stored = DiskStore::open(dir.path()).unwrap().load().unwrap();
    assert_eq!(Ledger::restore(&stored).unwrap().state(), ledger.state());
    // But not with that of another account.
    damage(dir.path(), ledger.unit_bytes(&lost).unwrap());
    let foreign = Ledger::new(repository());
    let error = repair(dir.path(), devices[0].id, Some(&foreign)).unwrap_err();
    assert!(error.to_string().contains("another account"), "{error}");
}

/// The bit that says which commit is the newest is set right, and nothing is lost.
#[test]
fn a_commit_that_was_taken_back_is_brought_back() {
    let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (devices, mut ledger) = stored(dir.path(), 1);
    let mut store = DiskStore::open(dir.path()).unwrap();
    write(&mut ledger, &devices[0], metadata(&devices[0], "last"));
    store.commit(&ledger.take_batch()).unwrap();
    // The process ends here without a word, and the bit flips.
    for name in ["ledger.redb", "ledger.commits"] {
        fs::copy(dir.path().join(name), other.path().join(name)).unwrap();
    }
    let path = other.path().join("ledger.redb");
    let mut bytes = fs::read(&path).unwrap();
    bytes[9] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(DiskStore::open(other.path()).unwrap_err().code(), "StoreDamaged");
    let repaired = repair(other.path(), devices[0].id, None).unwrap();
    assert_eq!((repaired.units, repaired.units_lost), (UNITS as u64 + 1, 0));
    assert!(DiskStore::open(other.path()).is_ok());
}

#[test]
fn what_only_this_device_knew_must_be_there() {
    let dir = TempDir::new().unwrap();
    let (devices, _) = stored(dir.path(), 2);
    let value = vec![0x5a; 2000];
    let local = vec![("session".to_owned(), Some(value.clone()))];
    let more = StoreBatch { local, ..StoreBatch::default() };
    DiskStore::open(dir.path()).unwrap().commit(&more).unwrap();
    damage(dir.path(), &value);
    let error = repair(dir.path(), devices[2].id, None).unwrap_err();
    assert!(error.to_string().contains("values of the device itself are lost"), "{error}");
}

#[test]
fn a_store_in_use_is_left_alone() {
    let dir = TempDir::new().unwrap();
    let (devices, _) = stored(dir.path(), 1);
    let open = DiskStore::open(dir.path()).unwrap();
    assert_eq!(repair(dir.path(), devices[0].id, None).unwrap_err().code(), "StoreInUse");
    drop(open);
    let nowhere = dir.path().join("nowhere");
    assert_eq!(repair(&nowhere, devices[0].id, None).unwrap_err().code(), "StoreNotFound");
    // A sound store is made anew, whole.
    assert_eq!(repair(dir.path(), devices[0].id, None).unwrap().units, UNITS as u64);
}
