//! Stores as older versions of this crate wrote them, byte for byte, are brought forward.

use std::{fs, path::Path};

use aura_journal::{
    LedgerStore as _, NamedUnit, StoreBatch, Stored,
    store::{DiskStore, STORE_FORMAT},
};

/// The store's file: its length, then what is not nought, by place.
fn stored_file(format: u32) -> Vec<u8> {
    let name = format!("tests/vectors/store-{format}.txt");
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
    let mut lines = text.lines().filter(|it| !it.starts_with('#'));
    let mut file = vec![0; lines.next().unwrap().parse().unwrap()];
    for line in lines {
        let (at, digits) = line.split_once(' ').unwrap();
        let at: usize = at.parse().unwrap();
        if let Some((byte, count)) = digits.split_once('*') {
            let byte = u8::from_str_radix(byte, 16).unwrap();
            file[at..at + count.parse::<usize>().unwrap()].fill(byte);
            continue;
        }
        for (nth, place) in file[at..at + digits.len() / 2].iter_mut().enumerate() {
            *place = u8::from_str_radix(&digits[2 * nth..2 * nth + 2], 16).unwrap();
        }
    }
    file
}

/// What was written into each: four commits.
fn written() -> Stored {
    let mut stored = Stored::default();
    for nth in 0..4u8 {
        let units = (0..=nth).map(|it| NamedUnit::of(vec![nth * 10 + it; 120])).collect();
        let local =
            vec![("name".to_owned(), Some(vec![nth])), (format!("at {nth}"), Some(vec![9; 40]))];
        stored.apply(&StoreBatch { units, local, ..StoreBatch::default() });
    }
    stored
}

/// A file of each older format opens, holds what was written, takes more, and is of today's format then.
#[test]
fn every_older_format_is_brought_forward() {
    for format in 1..STORE_FORMAT {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ledger.redb"), stored_file(format)).unwrap();
        let mut store = DiskStore::open(dir.path()).unwrap();
        let mut expected = written();
        assert_eq!(store.load().unwrap(), expected, "format {format}");
        let more =
            StoreBatch { units: vec![NamedUnit::of(vec![77; 300])], ..StoreBatch::default() };
        store.commit(&more).unwrap();
        expected.apply(&more);
        drop(store);
        let again = DiskStore::open(dir.path()).unwrap();
        assert_eq!(again.load().unwrap(), expected, "format {format}");
    }
}
