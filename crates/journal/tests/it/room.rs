//! A real file that may not grow: the limit of the system on the size of files.

#![cfg(unix)]

use std::{env, path::Path, process::Command};

use aura_journal::{
    LedgerStore as _, NamedUnit, StoreBatch, Stored,
    store::{DiskStore, StoreError},
};

/// Where the process under the limit writes.
const DIR: &str = "AURA_JOURNAL_FULL";
/// The limit, in blocks of 512 bytes.
const BLOCKS: u32 = 4_096;
/// Most commits until the limit is reached.
const COMMITS_MAX: u8 = 200;

fn batch(nth: u8) -> StoreBatch {
    StoreBatch { units: vec![NamedUnit::of(vec![nth; 40_000])], ..StoreBatch::default() }
}

/// Commits until there is no room, and ends with the number of commits that were acknowledged.
fn fill(dir: &Path) -> i32 {
    let mut store = DiskStore::create(dir).unwrap();
    for nth in 0..COMMITS_MAX {
        match store.commit(&batch(nth)) {
            Ok(()) => {}
            Err(StoreError::Io { .. }) => {
                // It goes on refusing, and what it has can still be had, or not; it never lies.
                assert!(store.commit(&batch(nth)).is_err());
                return i32::from(nth);
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("it was never full");
}

/// A disk without room: a typed refusal, nothing acknowledged lost, and with room the store goes on.
#[test]
fn without_room_it_refuses_and_with_room_it_goes_on() {
    if let Ok(dir) = env::var(DIR) {
        std::process::exit(fill(Path::new(&dir)));
    }
    let dir = tempfile::tempdir().unwrap();
    // The signal that comes with the limit is ignored, so that writing fails as on a full disk.
    let script = format!("trap '' XFSZ; ulimit -f {BLOCKS}; exec \"$0\" \"$@\"");
    let me = env::current_exe().unwrap();
    let name = "room::without_room_it_refuses_and_with_room_it_goes_on";
    let mut limited = Command::new("sh");
    limited.args(["-c", &script]).arg(me).args(["--exact", name, "--nocapture"]);
    let ended = limited.env(DIR, dir.path()).output().unwrap();
    let acknowledged = ended.status.code().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(2 < acknowledged && acknowledged != 101, "{acknowledged}: {said}");
    let mut expected = Stored::default();
    let acknowledged = u8::try_from(acknowledged).unwrap();
    for nth in 0..acknowledged {
        expected.apply(&batch(nth));
    }
    let mut store = DiskStore::open(dir.path()).unwrap();
    assert_eq!(store.load().unwrap(), expected);
    for nth in acknowledged..acknowledged + 5 {
        store.commit(&batch(nth)).unwrap();
        expected.apply(&batch(nth));
    }
    drop(store);
    assert_eq!(DiskStore::open(dir.path()).unwrap().load().unwrap(), expected);
}
