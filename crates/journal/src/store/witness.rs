//! A file beside the store that says how far the store was.
//!
//! One bit of the engine's file says which of two commits is the newest. While a store is open the
//! engine cannot tell a flip of that bit from a commit that never finished, and would take back the
//! last commit in silence. So the number of each commit is noted here once the commit is durable; a
//! store that names an older one is not opened.
//!
//! The note is not synced: that would double the price of a commit. After a power failure it may be
//! behind, never ahead, and is then a weaker witness; after the end of a process it is exact. A note
//! that does not verify says nothing.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use crate::store::row::{CHECKSUM_BYTES, Kind, seal, unseal};

/// The file's name in the store's directory.
pub(crate) const WITNESS_NAME: &str = "ledger.commits";
const KEY: &[u8] = b"newest commit";
const BYTES: u64 = CHECKSUM_BYTES as u64 + 8;

/// The number of the newest commit that was acknowledged, if the file in `dir` says it.
pub(crate) fn read(dir: &Path) -> io::Result<Option<u64>> {
    let mut bytes = Vec::new();
    match File::open(dir.join(WITNESS_NAME)) {
        Ok(file) => file.take(BYTES + 1).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let number = unseal(Kind::Meta, KEY, &bytes).and_then(|it| it.try_into().ok());
    Ok(number.map(u64::from_le_bytes))
}

/// Writes notes.
#[derive(Debug)]
pub(crate) struct Witness {
    path: PathBuf,
    file: File,
}

impl Witness {
    /// Opens the file in `dir`, or makes it.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        let path = dir.join(WITNESS_NAME);
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
        Ok(Self { path, file })
    }

    /// Notes that this commit is durable. A store is as good without the note, so that it goes on
    /// when this fails.
    pub(crate) fn note(&mut self, number: u64) {
        let row = seal(Kind::Meta, KEY, &number.to_le_bytes());
        let noted = self.file.rewind().and_then(|()| self.file.write_all(&row));
        if let Err(error) = noted {
            tracing::warn!(%error, path = %self.path.display(), "commit not noted");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_last_note_counts_and_a_damaged_one_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), None);
        let mut witness = Witness::open(dir.path()).unwrap();
        witness.note(7);
        witness.note(8);
        assert_eq!(read(dir.path()).unwrap(), Some(8));
        let path = dir.path().join(WITNESS_NAME);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
            assert_eq!(read(dir.path()).unwrap(), None, "{at}");
        }
        fs::write(&path, &good[..good.len() - 1]).unwrap();
        assert_eq!(read(dir.path()).unwrap(), None);
    }
}
