//! A store whose files are not as they were written.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::aura::Store;

/// Places in a file at which a byte is flipped: enough to meet each of its parts.
const PLACES: usize = 24;

/// Notes how far the store was. A damaged one says nothing, and the store is as good without it.
const WITNESS: &str = "ledger.commits";

/// The files that a device cannot do without.
fn needed(store: &Store) -> Vec<PathBuf> {
    files(store).into_iter().filter(|it| !it.ends_with(WITNESS)).collect()
}

fn files(store: &Store) -> Vec<PathBuf> {
    let entries = fs::read_dir(store.path()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// A damaged store is reported as such by every command, and is not touched.
#[track_caller]
fn is_damaged(store: &Store, file: &Path, bytes: &[u8]) {
    fs::write(file, bytes).unwrap();
    for args in [&["status"][..], &["ledger", "verify"], &["run"]] {
        let error = store.fails(args, damage_of(file), 4);
        assert_eq!(error["whose"], "machine", "{error}");
        // Which of its files to restore.
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(error["message"].as_str().unwrap().contains(name), "{error}");
    }
    assert_eq!(fs::read(file).unwrap(), bytes);
}

fn damage_of(file: &Path) -> &'static str {
    if file.ends_with("identity") { "IdentityDamaged" } else { "StoreDamaged" }
}

#[test]
fn a_file_that_is_cut_off() {
    let store = Store::with_account("anna");
    for file in needed(&store) {
        let whole = fs::read(&file).unwrap();
        for length in [0, 1, whole.len() / 2, whole.len() - 1] {
            is_damaged(&store, &file, &whole[..length]);
        }
        fs::write(&file, whole).unwrap();
    }
    assert_eq!(store.json(&["ledger", "verify"])["ok"], true);
}

#[test]
fn a_file_that_is_something_else() {
    let store = Store::with_account("anna");
    for file in needed(&store) {
        let whole = fs::read(&file).unwrap();
        is_damaged(&store, &file, &vec![0xa5; whole.len()]);
        fs::write(&file, whole).unwrap();
    }
}

/// A flipped byte is noticed, or was not in use: there is no third.
#[test]
fn a_flipped_byte_is_never_believed() {
    let store = Store::with_account("anna");
    let before = store.json(&["status"]);
    for file in files(&store) {
        let whole = fs::read(&file).unwrap();
        for place in 0..PLACES {
            let at = whole.len() * place / PLACES;
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            fs::write(&file, flipped).unwrap();
            let ran = store.run(&["--json", "status"]);
            match ran.code {
                0 => assert_eq!(ran.object(), before, "{} at {at}", file.display()),
                4 => assert_eq!(ran.object()["error"]["code"], damage_of(&file), "{at}: {ran}"),
                _ => panic!("{} at {at}: {ran}", file.display()),
            }
        }
        fs::write(&file, whole).unwrap();
    }
}

/// One device's ledger is all its own: what it lost, nobody has.
#[test]
fn a_repair_keeps_everything_or_refuses() {
    let store = Store::with_account("anna");
    assert_eq!(store.start().stop().code(), Some(0));
    let before = store.json(&["ledger", "log"]);
    let repaired = store.json(&["ledger", "repair"]);
    assert_eq!((&repaired["units"], &repaired["units_lost"]), (&1.into(), &0.into()));
    assert!(Path::new(repaired["kept"].as_str().unwrap()).exists());
    assert_eq!(store.json(&["ledger", "log"]), before);
    let file = store.path().join("ledger.redb");
    fs::write(&file, vec![0xa5; 50_000]).unwrap();
    store.fails(&["ledger", "repair"], "StoreUnrepairable", 4);
    assert_eq!(fs::read(&file).unwrap(), vec![0xa5; 50_000]);
}
