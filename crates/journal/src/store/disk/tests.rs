//! Stores that a faulty program, or one of another format, left.

use super::*;

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
    assert!(matches!(error, StoreError::NewerFormat { found: 4, supported: STORE_FORMAT, .. }));
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
        let units = (1..4).map(|it| NamedUnit::of(vec![it; 40])).collect();
        let local = vec![("name".to_owned(), Some(vec![1]))];
        store.commit(&StoreBatch { units, local, ..StoreBatch::default() }).unwrap();
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
    let other = seal(Kind::Units, &number_key(1), &encode(&vec![9u8; 40]));
    check(Kind::Units, &number_key(1), Some(&[0; 60]), "row 1 of units");
    check(Kind::Units, &number_key(2), Some(&other), "row 2 of units");
    check(Kind::Units, &number_key(1), Some(&other), "units has 3 rows, not the 3 written");
    check(Kind::Units, &number_key(1), None, "row 2 of units");
    check(Kind::Units, &number_key(2), None, "units has 2 rows, not the 3 written");
    check(Kind::Local, b"name", None, "local has 0 rows, not the 1 written");
    check(Kind::Local, b"name", Some(b"x"), "`name` of local");
    check(Kind::Meta, TOTALS_KEY, Some(b"x"), "`totals` of meta");
}

/// A store as format 1 had it, without the row of tips and the table of bases, holding rows of today.
#[test]
fn an_older_store_is_brought_forward() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = DiskStore::create(dir.path()).unwrap();
    let units = (1..4).map(|it| NamedUnit::of(vec![it; 120])).collect();
    store.commit(&StoreBatch { units, ..StoreBatch::default() }).unwrap();
    let before = store.load().unwrap();
    let tips = |store: &DiskStore| {
        let txn = store.database.begin_read().unwrap();
        store.meta::<Tips>(&txn, TIPS_KEY).unwrap()
    };
    let expected = tips(&store);
    assert_eq!(expected.0.len(), 3);
    let txn = store.database.begin_write().unwrap();
    put_meta(&txn, &[(FORMAT_KEY, encode(&1u32))]).unwrap();
    txn.open_table(table(Kind::Meta)).unwrap().remove(TIPS_KEY).unwrap();
    txn.delete_table(table(Kind::Base)).unwrap();
    txn.commit().unwrap();
    drop(store);
    // Nobody acknowledged that commit.
    fs::remove_file(dir.path().join(witness::WITNESS_NAME)).unwrap();
    let mut store = DiskStore::open(dir.path()).unwrap();
    assert_eq!(tips(&store), expected);
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
