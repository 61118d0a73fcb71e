//! Stores that a faulty program, or one of another format, left.

use aura_protocol_core::encode;

use super::*;
use crate::store::{
    counts::{Tail, Tips},
    row::seal,
};

/// Makes a store with this format.
fn with_format(format: u32) -> (tempfile::TempDir, StoreError) {
    let dir = tempfile::tempdir().unwrap();
    let store = DiskStore::create(dir.path()).unwrap();
    let txn = store.database.begin_write().unwrap();
    let row = seal(Kind::Meta, FORMAT_KEY, &encode(&format));
    txn.open_table(table(Kind::Meta)).unwrap().insert(FORMAT_KEY, row.as_slice()).unwrap();
    txn.commit().unwrap();
    drop(store);
    let error = DiskStore::open(dir.path()).unwrap_err();
    (dir, error)
}

#[test]
fn a_newer_format_is_left_alone() {
    let (dir, error) = with_format(STORE_FORMAT + 1);
    assert!(matches!(error, StoreError::NewerFormat { found: 5, supported: STORE_FORMAT, .. }));
    assert_eq!(DiskStore::create(dir.path()).unwrap_err().code(), "StoreExists");
    assert_eq!(with_format(0).1.code(), "StoreDamaged");
}

/// INV-J26: rows whose pages verify but which nobody committed so, as a faulty program would
/// leave them.
#[test]
fn damage_is_named() {
    let check = |kind: Kind, key: &[u8], row: Option<&[u8]>, expected: &str| {
        let dir = tempfile::tempdir().unwrap();
        let mut store = DiskStore::create(dir.path()).unwrap();
        for nth in 1..4 {
            let units = vec![NamedUnit::of(vec![nth; 40])];
            let local = vec![("name".to_owned(), Some(vec![1]))];
            store.commit(&StoreBatch { units, local, ..StoreBatch::default() }).unwrap();
        }
        let txn = store.database.begin_write().unwrap();
        {
            let mut rows = txn.open_table(table(kind)).unwrap();
            match row {
                Some(row) => rows.insert(key, row).unwrap(),
                None => rows.remove(key).unwrap(),
            };
        }
        txn.commit().unwrap();
        let Err(StoreError::Damaged { what, .. }) = store.load() else { panic!("{expected}") };
        assert_eq!(what, expected);
    };
    let mut other = Vec::new();
    packed::push(&mut other, &NamedUnit::of(vec![9; 40]));
    let other = seal(Kind::Units, &number_key(1), &other);
    check(Kind::Units, &number_key(1), Some(&[0; 60]), "unit 1");
    check(Kind::Units, &number_key(2), Some(&other), "the row of units from 2 on");
    check(Kind::Units, &number_key(1), Some(&other), "units holds 3, not the 3 written");
    check(Kind::Units, &number_key(1), None, "the row of units from 2 on");
    check(Kind::Units, &number_key(2), None, "units holds 2, not the 3 written");
    check(Kind::Local, b"name", None, "local holds 0, not the 1 written");
    check(Kind::Local, b"name", Some(b"x"), "`name` of local");
    check(Kind::Meta, TOTALS_KEY, Some(b"x"), "`totals` of meta");
}

/// Small commits end up in full rows, and every row is where its number says.
#[test]
fn small_commits_come_together_in_full_rows() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = DiskStore::create(dir.path()).unwrap();
    let mut expected = Stored::default();
    let rows = |store: &DiskStore| store.keys(Kind::Units).unwrap().len();
    let mut most = 0;
    for nth in 0..200u16 {
        let bytes = [nth.to_le_bytes().as_slice(), &[7; 1_500]].concat();
        let batch = StoreBatch { units: vec![NamedUnit::of(bytes)], ..StoreBatch::default() };
        store.commit(&batch).unwrap();
        expected.apply(&batch);
        most = most.max(rows(&store));
    }
    assert_eq!(store.load().unwrap(), expected);
    let in_a_row = packed::FULL_BYTES / (1_502 + 36);
    assert!(most <= 200 / in_a_row + in_a_row, "{most} rows");
    let full = 200 / in_a_row;
    assert_eq!(rows(&store), full + 200 % in_a_row);
    let all: Vec<NamedUnit> =
        (0..300u16).map(|it| NamedUnit::of(vec![1; 900 + usize::from(it)])).collect();
    let batch = StoreBatch { units: all, ..StoreBatch::default() };
    store.commit(&batch).unwrap();
    expected.apply(&batch);
    assert!(rows(&store) < full + 8, "{}", rows(&store));
    drop(store);
    assert_eq!(DiskStore::open(dir.path()).unwrap().load().unwrap(), expected);
}

/// A store as format 1 had it: a row for each unit, without the rows of tips and of the tail and the table
/// of bases.
#[test]
fn an_older_store_is_brought_forward() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = DiskStore::create(dir.path()).unwrap();
    let units: Vec<NamedUnit> = (1..4).map(|it| NamedUnit::of(vec![it; 120])).collect();
    store.commit(&StoreBatch { units: units.clone(), ..StoreBatch::default() }).unwrap();
    let before = store.load().unwrap();
    let counts = |store: &DiskStore| {
        let txn = store.database.begin_read().unwrap();
        let totals = store.meta::<Totals>(&txn, TOTALS_KEY).unwrap();
        let tips = store.meta::<Tips>(&txn, TIPS_KEY).unwrap();
        Counts { totals, tips, tail: store.meta::<Tail>(&txn, TAIL_KEY).unwrap() }
    };
    let expected = counts(&store);
    assert_eq!(expected.tips.0.len(), 3);
    let txn = store.database.begin_write().unwrap();
    let mut older = expected.clone();
    clear_units(&txn, &mut older).unwrap();
    for (nth, unit) in (0..).zip(&units) {
        let row = seal(Kind::Units, &number_key(nth), &encode(unit.bytes()));
        let mut rows = txn.open_table(table(Kind::Units)).unwrap();
        rows.insert(number_key(nth).as_slice(), row.as_slice()).unwrap();
        older.totals.add(Kind::Units, 1, &row);
    }
    put_counts(&txn, &older).unwrap();
    put_meta(&txn, FORMAT_KEY, &1u32).unwrap();
    for key in [TIPS_KEY, TAIL_KEY] {
        txn.open_table(table(Kind::Meta)).unwrap().remove(key).unwrap();
    }
    txn.delete_table(table(Kind::Base)).unwrap();
    txn.commit().unwrap();
    drop(store);
    // Nobody acknowledged that commit.
    fs::remove_file(dir.path().join(witness::WITNESS_NAME)).unwrap();
    let mut store = DiskStore::open(dir.path()).unwrap();
    assert_eq!(counts(&store), expected);
    assert_eq!(store.load().unwrap(), before);
    let more = StoreBatch { units: vec![NamedUnit::of(vec![7; 300])], ..StoreBatch::default() };
    store.commit(&more).unwrap();
    drop(store);
    // It is of the new format now, and opens as such.
    let mut expected = before;
    expected.apply(&more);
    let store = DiskStore::open(dir.path()).unwrap();
    let txn = store.database.begin_read().unwrap();
    assert_eq!(store.meta::<u32>(&txn, FORMAT_KEY).unwrap(), STORE_FORMAT);
    assert_eq!(store.load().unwrap(), expected);
}
