//! A file of this machine as a location.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::LocationError;

/// Reads a file that must have `size` bytes. Devices, pipes and folders are no files.
pub(super) async fn read(path: PathBuf, size: u32) -> Result<Vec<u8>, LocationError> {
    let read = tokio::task::spawn_blocking(move || read_now(&path, size));
    read.await.unwrap_or_else(|error| Err(LocationError::Unreadable { reason: error.to_string() }))
}

fn read_now(path: &Path, size: u32) -> Result<Vec<u8>, LocationError> {
    let unreadable = |error: io::Error| LocationError::Unreadable { reason: error.to_string() };
    // Looked at before it is opened: opening a pipe waits for its other end.
    let is_file = |it: &std::fs::Metadata| it.is_file();
    if !std::fs::metadata(path).map(|it| is_file(&it)).map_err(unreadable)? {
        return Err(LocationError::Unreadable { reason: "it is no plain file".to_owned() });
    }
    let file = File::open(path).map_err(unreadable)?;
    let announced = file.metadata().map_err(unreadable)?.len();
    if announced != u64::from(size) {
        return Err(LocationError::WrongLength { declared: size, announced });
    }
    let mut bytes = Vec::with_capacity(size as usize);
    file.take(size.into()).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}
