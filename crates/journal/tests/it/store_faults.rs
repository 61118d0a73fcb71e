//! Disks that fail at every single operation, and that are full.

use std::sync::Arc;

use aura_journal::{LedgerStore as _, StoreBatch, StoreError, Stored, store::DiskStore};

use crate::{medium::Twin, store::batches};

/// Powers of a crash that are tried at each operation.
const SEEDS: u64 = 3;

fn open(disk: &Twin) -> DiskStore {
    DiskStore::open_on(Arc::new(disk.clone())).unwrap()
}

/// A disk with an empty store on it that nobody has open.
fn disk() -> Twin {
    let disk = Twin::default();
    drop(DiskStore::create_on(Arc::new(disk.clone())).unwrap());
    disk
}

/// Commits until the disk fails. Gives what was acknowledged, and the batch that was not.
fn commit_until_failure(disk: &Twin) -> (Stored, Option<StoreBatch>, Option<StoreError>) {
    let mut store = open(disk);
    let mut acknowledged = Stored::default();
    for batch in batches() {
        match store.commit(&batch) {
            Ok(()) => acknowledged.apply(&batch),
            Err(error) => return (acknowledged, Some(batch), Some(error)),
        }
    }
    (acknowledged, None, None)
}

/// INV-J25: whatever operation is the last one before the power fails or the process ends, what was
/// acknowledged is there, the batch under way is there whole or not at all, and the store goes on.
#[test]
fn a_crash_at_any_operation_loses_nothing_acknowledged() {
    let whole = disk();
    let begin = whole.operations();
    let _all = commit_until_failure(&whole);
    let operations = whole.operations() - begin;
    assert!(30 < operations, "{operations}");
    let (mut lost, mut kept) = (0, 0);
    for nth in opening_operations()..operations {
        let disk = disk();
        disk.crash_at(nth);
        let (acknowledged, under_way, _) = commit_until_failure(&disk);
        let Some(under_way) = under_way else { continue };
        let mut with_it = acknowledged.clone();
        with_it.apply(&under_way);
        let powerless = (0..SEEDS).map(|seed| disk.after_power_failure(seed));
        for disk in powerless.chain([disk.after_kill()]) {
            let mut store = open(&disk);
            let mut found = store.load().unwrap();
            if found == with_it {
                kept += 1;
            } else {
                assert_eq!(found, acknowledged, "operation {nth}");
                lost += 1;
                store.commit(&under_way).unwrap();
                found = store.load().unwrap();
            }
            assert_eq!(found, with_it);
        }
    }
    // Both sides of the point from which a commit counts were met.
    assert!(0 < kept && 0 < lost, "{kept} kept, {lost} lost");
}

/// Operations of opening a store, which nobody is promised anything for.
fn opening_operations() -> u64 {
    let disk = disk();
    let begin = disk.operations();
    let _open = open(&disk);
    disk.operations() - begin
}

/// A full disk refuses, whole batches at a time, and with room the store goes on where it was.
#[test]
fn a_full_disk_refuses_and_with_room_it_goes_on() {
    let mut refused = 0;
    for nth in opening_operations().. {
        let disk = disk();
        disk.full_at(nth);
        let (acknowledged, under_way, error) = commit_until_failure(&disk);
        let Some(under_way) = under_way else { break };
        let error = error.unwrap();
        assert_eq!(error.code(), "StoreIo", "{error:?}");
        let StoreError::Io { source, .. } = error else { panic!("{error:?}") };
        assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
        refused += 1;
        disk.free();
        let mut store = open(&disk);
        let found = store.load().unwrap();
        let mut with_it = acknowledged.clone();
        with_it.apply(&under_way);
        if found == acknowledged {
            store.commit(&under_way).unwrap();
        }
        assert_eq!(store.load().unwrap(), with_it, "operation {nth}");
    }
    assert!(10 < refused, "{refused}");
}
