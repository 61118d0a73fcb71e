//! Where things are in this repository.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The repository, by its root folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The repository this program was built from.
    ///
    /// Cargo tells a running program where its package is now, which is right even when the
    /// repository was moved after the build; without cargo, the place of the build is used.
    pub fn find() -> Result<Self> {
        let package = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = package.parent().context("xtask has no folder above it")?;
        Ok(Self { root: root.to_owned() })
    }

    /// A repository at `root`.
    #[cfg(test)]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The root folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The workspace of the guests.
    pub fn guests(&self) -> PathBuf {
        self.root.join("protocols")
    }

    /// Cargo's own folder for guests, inside the root's, so that one `target` holds everything.
    pub fn guest_target(&self) -> PathBuf {
        self.root.join("target/protocols")
    }

    /// Where finished modules lie: `<package>.wasm`.
    pub fn modules(&self) -> PathBuf {
        self.root.join("target/wasm")
    }

    /// Where the browser's page lies, with all that it needs.
    pub fn page(&self) -> PathBuf {
        self.root.join("target/web")
    }

    /// The digests that finished modules are compared with.
    pub fn digests(&self) -> PathBuf {
        self.guests().join("digests.toml")
    }
}
