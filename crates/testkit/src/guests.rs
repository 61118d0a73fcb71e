//! The guests of this repository, as `cargo xtask protocols` built them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use thiserror::Error;

/// A guest was not built.
#[derive(Debug, Error)]
#[error("{} cannot be read: run `cargo xtask protocols` first", path.display())]
pub struct MissingGuest {
    /// Where it should be.
    pub path: PathBuf,
    /// What the system says.
    #[source]
    pub source: io::Error,
}

/// The module that the package `name` under `protocols/` makes.
///
/// # Errors
/// [`MissingGuest`] when it was not built.
pub fn load(name: &str) -> Result<Vec<u8>, MissingGuest> {
    // Where the task puts them, whatever folder cargo itself was told to use.
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/wasm");
    let path = built.join(format!("{name}.wasm"));
    fs::read(&path).map_err(|source| MissingGuest { path, source })
}
