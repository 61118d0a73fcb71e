//! The file of a module that is not here yet as a whole.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// An open file that holds the beginning of a module. What is in it is never believed: it is hashed
/// with the rest. So it is not synced either; after a crash it may be short, or wrong.
pub(super) struct PartFile {
    path: PathBuf,
    file: File,
}

impl PartFile {
    /// Opens the file, or makes it, and reads at most `bytes_max` of it. What is longer is no part of
    /// this module: such a file is emptied.
    pub(super) fn open(path: &Path, bytes_max: u64) -> io::Result<(Self, Vec<u8>)> {
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        let length = file.metadata()?.len();
        let mut stored = Vec::new();
        if bytes_max < length {
            file.set_len(0)?;
        } else {
            (&mut file).take(bytes_max).read_to_end(&mut stored)?;
        }
        Ok((Self { path: path.to_path_buf(), file }, stored))
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    pub(super) fn truncate(&mut self, length: usize) -> io::Result<()> {
        self.file.set_len(length as u64)?;
        self.file.seek(SeekFrom::Start(length as u64)).map(drop)
    }

    pub(super) fn remove(self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!("{} stays: {error}", self.path.display());
        }
    }
}
