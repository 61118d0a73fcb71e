//! The beginning of the engine's file, read before the engine does, which may write to it.
//!
//! One bit of it says which of two commits is the newest. The engine believes it after a clean
//! shutdown, so that a flip of that bit would silently take back the last commit; here it is
//! compared with the commits' numbers. After an unclean end the numbers cannot tell; the witness can.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use crate::store::StoreError;

/// How much of the file is read.
const BYTES: usize = 320;

const MAGIC: [u8; 9] = *b"redb\x1a\x0a\xa9\x0d\x0a";
const FLAGS_OFFSET: usize = MAGIC.len();
/// Which of the two slots holds the newest commit.
const SECOND_IS_NEWEST: u8 = 1;
/// The last run did not end cleanly: the second slot may hold a commit that never finished.
const UNCLEAN: u8 = 2;
const SLOT_OFFSETS: [usize; 2] = [64, 192];
/// Where a slot holds the number of its commit.
const NUMBER_OFFSET: usize = 104;

/// The beginning of the file at `path`.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(BYTES as u64).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(StoreError::NotFound { path: path.to_path_buf() })
        }
        Err(source) => Err(StoreError::Io { path: path.to_path_buf(), source }),
    }
}

/// Refuses what the engine would take for an older state than it is. `witnessed` is the newest commit
/// that is known to have been durable.
pub(crate) fn check(bytes: &[u8], witnessed: Option<u64>) -> Result<(), String> {
    let Some(newest) = newest(bytes) else {
        return Err("it does not begin like a store".to_owned());
    };
    let flags = bytes.get(FLAGS_OFFSET).copied().unwrap_or_default();
    let [first, second] = SLOT_OFFSETS.map(|offset| number(bytes, offset + NUMBER_OFFSET));
    let newest_is_named =
        if flags & SECOND_IS_NEWEST == 0 { second <= first } else { first <= second };
    if flags & UNCLEAN == 0 && !newest_is_named {
        return Err("it names an old commit as the newest".to_owned());
    }
    match witnessed {
        Some(witnessed) if newest < witnessed => {
            Err(format!("commit {witnessed} was acknowledged, and it names {newest} as the newest"))
        }
        _ => Ok(()),
    }
}

/// The number of the commit that is named as the newest, if this is the beginning of a store.
pub(crate) fn newest(bytes: &[u8]) -> Option<u64> {
    if bytes.len() < BYTES || !bytes.starts_with(&MAGIC) {
        return None;
    }
    let flags = bytes.get(FLAGS_OFFSET)?;
    let slot = SLOT_OFFSETS.get(usize::from(flags & SECOND_IS_NEWEST))?;
    Some(number(bytes, slot + NUMBER_OFFSET))
}

/// Names the other commit as the newest.
pub(crate) fn flip(bytes: &mut [u8]) {
    if let Some(flags) = bytes.get_mut(FLAGS_OFFSET) {
        *flags ^= SECOND_IS_NEWEST;
    }
}

fn number(bytes: &[u8], offset: usize) -> u64 {
    let number = bytes.get(offset..).and_then(|it| it.first_chunk());
    number.copied().map(u64::from_le_bytes).unwrap_or_default()
}
