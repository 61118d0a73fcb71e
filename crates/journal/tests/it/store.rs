//! Both stores under one suite; crashes; damage.

use std::{
    fs,
    path::{Path, PathBuf},
};

use aura_journal::{
    Ledger, LedgerStore, NamedUnit, RecordChange, StoreBatch, StoreError, Stored,
    control::{CertifiedEntry, Lock, VoteRecord},
    store::{Compaction, DiskStore, MemoryStore},
};
use aura_protocol_core::{
    AppId, Digest, Lamport, Record, RecordKey, Tag, limits::UNIT_BODY_BYTES_MAX,
};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::{history::*, medium::draw, support::*};

fn record(app: u8, key: &str, text: &str) -> Record {
    Record {
        app: AppId::from_bytes([app; 32]),
        schema: schema(),
        key: RecordKey::from(key),
        tag: Tag { lamport: Lamport(3), unit: Digest::of(text.as_bytes()) },
        origin: RecordKey::from(key),
        bytes: text.as_bytes().to_vec(),
    }
}

fn vote_record(view: u64) -> VoteRecord {
    let slot = repository().next_slot();
    let value = Digest::of(b"value");
    VoteRecord { slot, view, prepared: Some(value), lock: Some(Lock { view, value }) }
}

/// A batch that continues what is stored, drawn from a few numbers.
fn batch(entries: &mut Vec<CertifiedEntry>, draw: &[u8; 6]) -> StoreBatch {
    let [kind, app, key, text, units, more] = *draw;
    let entry = (more % 4 == 0 && !entries.is_empty()).then(|| entries.remove(0));
    let (name, value) = (format!("key {}", key % 5), format!("{text}"));
    let app_id = AppId::from_bytes([app % 3; 32]);
    let change = match kind % 4 {
        0 => Some(RecordChange::Put(record(app % 3, &name, &value))),
        1 => Some(RecordChange::Delete { app: app_id, key: RecordKey::from(name.as_str()) }),
        2 => {
            let keys = 0..key % 4;
            let records = keys.map(|it| record(app % 3, &format!("key {it}"), &value)).collect();
            Some(RecordChange::Swap { app: app_id, records })
        }
        _ => None,
    };
    StoreBatch {
        entries: entry.into_iter().collect(),
        compaction: (units % 5 == 0).then(|| Compaction {
            base: vec![text; 30],
            units: (0..key % 4).map(|it| NamedUnit::of(vec![it; 40])).collect(),
        }),
        units: (0..units % 4)
            .map(|it| NamedUnit::of(vec![it ^ text; usize::from(text) * 10]))
            .collect(),
        vote_record: (more % 3 == 0).then(|| vote_record(u64::from(text))),
        records: change.into_iter().collect(),
        local: vec![(name, Some(value.into_bytes()).filter(|_| more % 5 != 0))],
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// INV-J25: what is loaded is what was committed, on disk as in memory, open or opened again.
    #[test]
    fn what_was_committed_is_loaded(draws in prop::collection::vec(any::<[u8; 6]>(), 1..12)) {
        let dir = TempDir::new().unwrap();
        let mut disk = DiskStore::create(dir.path()).unwrap();
        let mut memory = MemoryStore::new();
        let mut expected = Stored::default();
        let mut entries = repository().entries().to_vec();
        for draw in &draws {
            let batch = batch(&mut entries, draw);
            disk.commit(&batch).unwrap();
            memory.commit(&batch).unwrap();
            expected.apply(&batch);
            prop_assert_eq!(&disk.load().unwrap(), &expected);
        }
        prop_assert_eq!(&memory.load().unwrap(), &expected);
        drop(disk);
        prop_assert_eq!(&DiskStore::open(dir.path()).unwrap().load().unwrap(), &expected);
    }

    /// INV-J25: a ledger that was stored as it went is the same after it is opened again.
    #[test]
    fn a_reopened_ledger_is_the_same((count, steps) in forking_steps(), every in 1usize..5) {
        let history = play(count, &steps);
        let dir = TempDir::new().unwrap();
        let mut disk = DiskStore::create(dir.path()).unwrap();
        let mut ledger = Ledger::new(history.founded.clone());
        for entry in &history.entries {
            ledger.import_entry(entry.clone()).unwrap();
        }
        for (nth, unit) in history.units.iter().enumerate() {
            prop_assert!(ledger.import(PEER, unit).is_ok());
            if nth % every == 0 {
                disk.commit(&ledger.take_batch()).unwrap();
            }
        }
        disk.commit(&ledger.take_batch()).unwrap();
        drop(disk);
        let stored = DiskStore::open(dir.path()).unwrap().load().unwrap();
        let reopened = Ledger::restore(&stored).unwrap();
        prop_assert_eq!(view(&history, &reopened), view(&history, &ledger));
        prop_assert_eq!(reopened.arrivals(), ledger.arrivals());
    }
}

/// The batches of a short history, each as the ledger gives it.
pub fn batches() -> Vec<StoreBatch> {
    let (devices, chain) = account(3);
    let mut ledger = Ledger::new(chain);
    let mut batches = vec![ledger.take_batch()];
    for nth in 0u8..6 {
        write(&mut ledger, &devices[0], metadata(&devices[0], &nth.to_string()));
        let mut batch = ledger.take_batch();
        batch.vote_record = Some(vote_record(u64::from(nth)));
        batch.records.push(RecordChange::Put(record(nth % 2, "key", &nth.to_string())));
        batch.local.push(("nth".to_owned(), Some(vec![nth])));
        batches.push(batch);
    }
    batches
}

/// INV-J25: a crash before or after any write leaves all that was acknowledged, and whole batches
/// only; and the ledger goes on from there.
#[test]
fn a_crash_loses_nothing_acknowledged() {
    let batches = batches();
    for nth in 0..batches.len() as u64 {
        for stored_too in [false, true] {
            let mut store = MemoryStore::new();
            if stored_too {
                store.crash_after(nth)
            } else {
                store.crash_before(nth)
            }
            let mut acknowledged = Stored::default();
            let mut rest = batches.iter();
            let lost = loop {
                let batch = rest.next().unwrap();
                match store.commit(batch) {
                    Ok(()) => acknowledged.apply(batch),
                    Err(error) => {
                        assert!(matches!(error, StoreError::Crashed));
                        break batch;
                    }
                }
            };
            // A crashed process neither reads nor writes.
            assert_eq!(store.load().unwrap_err().code(), "StoreCrashed");
            assert_eq!(store.commit(lost).unwrap_err().code(), "StoreCrashed");
            let mut store = store.clone();
            store.restart();
            if stored_too {
                acknowledged.apply(lost);
            } else {
                assert_eq!(store.load().unwrap(), acknowledged);
                store.commit(lost).unwrap();
                acknowledged.apply(lost);
            }
            for batch in rest {
                store.commit(batch).unwrap();
                acknowledged.apply(batch);
            }
            assert_eq!(store.load().unwrap(), acknowledged);
            assert_eq!(Ledger::restore(&acknowledged).unwrap().len(), 6);
        }
    }
}

/// A store with something of everything in it, and what that is.
fn filled(dir: &Path) -> (DiskStore, Stored) {
    let mut store = DiskStore::create(dir).unwrap();
    let mut expected = Stored::default();
    for batch in batches() {
        store.commit(&batch).unwrap();
        expected.apply(&batch);
    }
    let units = (0u32..20).map(|it| vec![it as u8; 300]).chain([vec![7; UNIT_BODY_BYTES_MAX]]);
    let records = (0..30).map(|it| record(5, &format!("key {it}"), &"x".repeat(it))).collect();
    let swap = RecordChange::Swap { app: AppId::from_bytes([5; 32]), records };
    let batch = StoreBatch {
        units: units.map(NamedUnit::of).collect(),
        records: vec![swap],
        ..StoreBatch::default()
    };
    store.commit(&batch).unwrap();
    expected.apply(&batch);
    (store, expected)
}

fn file(dir: &Path) -> PathBuf {
    dir.join("ledger.redb")
}

fn witness(dir: &Path) -> PathBuf {
    dir.join("ledger.commits")
}

/// INV-J25: a process that ends without a word loses nothing acknowledged.
#[test]
fn an_unclean_end_loses_nothing() {
    let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (_still_open, expected) = filled(dir.path());
    fs::copy(file(dir.path()), file(other.path())).unwrap();
    assert_eq!(DiskStore::open(other.path()).unwrap().load().unwrap(), expected);
}

#[test]
fn a_store_is_used_by_one_at_a_time() {
    let dir = TempDir::new().unwrap();
    assert_eq!(DiskStore::open(dir.path()).unwrap_err().code(), "StoreNotFound");
    let store = DiskStore::create(dir.path()).unwrap();
    let error = DiskStore::open(dir.path()).unwrap_err();
    assert!(matches!(&error, StoreError::InUse { path } if *path == file(dir.path())), "{error}");
    assert_eq!(DiskStore::create(dir.path()).unwrap_err().code(), "StoreExists");
    drop(store);
    assert_eq!(DiskStore::create(dir.path()).unwrap_err().code(), "StoreExists");
    assert_eq!(DiskStore::open(dir.path()).unwrap().load().unwrap(), Stored::default());
}

/// What an interrupted creation left behind is in nobody's way.
#[test]
fn an_interrupted_creation_is_begun_again() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("ledger.redb.new"), b"half of it").unwrap();
    assert_eq!(DiskStore::open(dir.path()).unwrap_err().code(), "StoreNotFound");
    let deep = dir.path().join("deep/er");
    assert!(DiskStore::create(dir.path()).is_ok());
    assert!(DiskStore::create(&deep).is_ok());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
}

#[test]
fn what_does_not_continue_the_store_is_refused() {
    let dir = TempDir::new().unwrap();
    let stores: [Box<dyn LedgerStore>; 2] =
        [Box::new(DiskStore::create(dir.path()).unwrap()), Box::new(MemoryStore::new())];
    for mut store in stores {
        let entries = repository().entries().to_vec();
        let gap = StoreBatch { entries: entries[1..].to_vec(), ..StoreBatch::default() };
        assert_eq!(store.commit(&gap).unwrap_err().code(), "StoreUnordered");
        let swap = RecordChange::Swap { app: app(), records: vec![record(1, "a", "b")] };
        let foreign = StoreBatch { records: vec![swap], ..StoreBatch::default() };
        assert_eq!(store.commit(&foreign).unwrap_err().code(), "StoreForeignRecord");
        assert_eq!(store.load().unwrap(), Stored::default());
        let all = StoreBatch { entries, ..StoreBatch::default() };
        store.commit(&all).unwrap();
        assert_eq!(store.commit(&all).unwrap_err().code(), "StoreUnordered");
    }
}

#[test]
fn batches_merge_in_order() {
    let batches = batches();
    let mut merged = StoreBatch::default();
    assert!(merged.is_empty());
    let (mut one_by_one, mut at_once) = (Stored::default(), Stored::default());
    for batch in batches {
        assert!(!batch.is_empty());
        one_by_one.apply(&batch);
        merged.merge(batch);
    }
    merged.merge(StoreBatch::default());
    at_once.apply(&merged);
    assert_eq!(one_by_one, at_once);
}

#[test]
fn what_is_no_store_is_damaged() {
    let dir = TempDir::new().unwrap();
    let (store, expected) = filled(dir.path());
    drop(store);
    let good = fs::read(file(dir.path())).unwrap();
    let cut = |len: usize| good[..len].to_vec();
    let garbage = [Vec::new(), vec![0; 9000], b"redb".to_vec()];
    for bytes in garbage.into_iter().chain([100, 4096, good.len() / 2].map(cut)) {
        fs::write(file(dir.path()), &bytes).unwrap();
        let error = DiskStore::open(dir.path()).unwrap_err();
        assert_eq!(error.code(), "StoreDamaged", "{} bytes: {error}", bytes.len());
    }
    // What was appended is in no page that is in use.
    let long = [good.as_slice(), &[0; 4096]].concat();
    fs::write(file(dir.path()), &long).unwrap();
    assert_eq!(DiskStore::open(dir.path()).unwrap().load().unwrap(), expected);
}

/// INV-J26: a store with a flipped bit is reported as damaged, or is what it was; whether it was
/// closed or not, and whether it was opened before.
#[test]
fn flipped_bits_are_noticed() {
    const SEED: u64 = 7;
    let (open, closed) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (store, expected) = filled(open.path());
    let witness = fs::read(witness(open.path())).unwrap();
    let unclean = fs::read(file(open.path())).unwrap();
    drop(store);
    let clean = fs::read(file(open.path())).unwrap();
    let (mut noticed, mut harmless) = (0, 0);
    for (name, bytes) in [("clean", &clean), ("unclean", &unclean)] {
        let used: Vec<usize> = (0..bytes.len()).filter(|it| bytes[*it] != 0).collect();
        let drawn = (0..300).map(|nth| used[draw(SEED, nth) % used.len()]);
        let anywhere = (300..340).map(|nth| draw(SEED, nth) % bytes.len());
        let header = (0..320).filter(|it| it % 16 < 12 || *it < 64);
        for at in header.chain(drawn).chain(anywhere) {
            let bit = draw(SEED, at as u64) % 8;
            let flip = Flip { good: bytes, witness: &witness, at, bit };
            if flip_is_noticed(closed.path(), &flip, &expected) {
                noticed += 1;
            } else {
                harmless += 1;
            }
        }
        // Which of two commits counts hangs on one bit.
        let flip = Flip { good: bytes, witness: &witness, at: 9, bit: 0 };
        assert!(flip_is_noticed(closed.path(), &flip, &expected), "{name}");
    }
    assert!(300 < noticed, "{noticed} noticed, {harmless} harmless");
}

struct Flip<'a> {
    good: &'a [u8],
    witness: &'a [u8],
    at: usize,
    bit: usize,
}

fn flip_is_noticed(dir: &Path, flip: &Flip<'_>, expected: &Stored) -> bool {
    let Flip { good, at, bit, .. } = *flip;
    let mut bytes = good.to_vec();
    bytes[at] ^= 1 << bit;
    fs::write(file(dir), &bytes).unwrap();
    fs::write(witness(dir), flip.witness).unwrap();
    let noticed = [(), ()].map(|()| match DiskStore::open(dir).and_then(|store| store.load()) {
        Ok(stored) => {
            assert_eq!(&stored, expected, "byte {at} bit {bit} changed what is stored");
            false
        }
        Err(StoreError::Damaged { .. }) => true,
        Err(error) => panic!("byte {at} bit {bit}: {error:?}"),
    });
    noticed[0]
}

/// INV-J26: a store that an older copy was put in the place of is noticed; the copy with what stood
/// beside it is a store.
#[test]
fn an_older_copy_is_noticed() {
    let dir = TempDir::new().unwrap();
    let mut store = DiskStore::create(dir.path()).unwrap();
    let all = batches();
    let (first, rest) = all.split_first().unwrap();
    store.commit(first).unwrap();
    let (old, old_witness) =
        (fs::read(file(dir.path())).unwrap(), fs::read(witness(dir.path())).unwrap());
    for batch in rest {
        store.commit(batch).unwrap();
    }
    drop(store);
    fs::write(file(dir.path()), &old).unwrap();
    let error = DiskStore::open(dir.path()).unwrap_err();
    assert_eq!(error.code(), "StoreDamaged");
    assert!(error.to_string().contains("was acknowledged"), "{error}");
    fs::write(witness(dir.path()), old_witness).unwrap();
    assert_eq!(DiskStore::open(dir.path()).unwrap().load().unwrap().entries, first.entries);
}
