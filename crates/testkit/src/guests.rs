//! The guests of this repository, as `cargo xtask protocols` built them.

use std::{
    env, fs, io,
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
    let path = target_dir().join("wasm").join(format!("{name}.wasm"));
    fs::read(&path).map_err(|source| MissingGuest { path, source })
}

fn target_dir() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    match env::var_os("CARGO_TARGET_DIR") {
        // A relative folder is meant from where cargo was called, which is the root.
        Some(dir) => root.join(dir),
        None => root.join("target"),
    }
}
