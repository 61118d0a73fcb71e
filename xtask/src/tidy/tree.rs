//! The files that rules look at, read once.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Text files by their path from the root, with `/` between its parts.
#[derive(Debug, Default)]
pub struct Tree {
    files: BTreeMap<String, String>,
}

/// The folders that are ours to keep tidy.
const FOLDERS: [&str; 8] =
    ["crates", "xtask", "protocols", "tests", "examples", "docs", "fuzz", "benches"];
/// The kinds of file that a rule reads.
const KINDS: [&str; 3] = ["rs", "toml", "md"];

impl Tree {
    /// Reads the repository at `root`.
    pub fn read(root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        tree.read_files_of(root, root)?;
        for folder in FOLDERS {
            tree.read_below(root, &root.join(folder))?;
        }
        Ok(tree)
    }

    fn read_below(&mut self, root: &Path, dir: &Path) -> Result<()> {
        if !dir.is_dir() {
            return Ok(());
        }
        self.read_files_of(root, dir)?;
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            // A link could lead out of the repository, and `target` holds other people's code.
            let skipped = name == "target" || name.as_encoded_bytes().starts_with(b".");
            if entry.file_type()?.is_dir() && !skipped {
                self.read_below(root, &entry.path())?;
            }
        }
        Ok(())
    }

    fn read_files_of(&mut self, root: &Path, dir: &Path) -> Result<()> {
        let entries =
            fs::read_dir(dir).with_context(|| format!("{} cannot be read", dir.display()))?;
        for entry in entries {
            let path = entry?.path();
            let known = path.extension().is_some_and(|it| KINDS.iter().any(|kind| it == *kind));
            if !known || !path.is_file() {
                continue;
            }
            let text = fs::read_to_string(&path)
                .with_context(|| format!("{} cannot be read as text", path.display()))?;
            let inside = path.strip_prefix(root)?;
            let parts: Vec<_> = inside.iter().map(|it| it.to_string_lossy()).collect();
            self.files.insert(parts.join("/"), text);
        }
        Ok(())
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// The text of one file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Every file with its text, sorted by path.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Every Rust file with its text.
    pub fn rust_files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(|(path, _)| path.ends_with(".rs"))
    }

    /// The manifests of packages: each folder's path with the manifest's path and text.
    pub fn packages(&self) -> impl Iterator<Item = Package<'_>> {
        self.files().filter_map(|(path, text)| {
            let folder = path.strip_suffix("/Cargo.toml")?;
            let is_package = text.lines().any(|it| it.trim() == "[package]");
            is_package.then_some(Package { folder, manifest: path, text })
        })
    }
}

/// A package by its manifest.
#[derive(Debug, Clone, Copy)]
pub struct Package<'a> {
    /// Its folder.
    pub folder: &'a str,
    /// The path of its manifest.
    pub manifest: &'a str,
    /// The text of its manifest.
    pub text: &'a str,
}

impl<'a> Package<'a> {
    /// The last part of the folder's path, by which this repository names its crates.
    pub fn short_name(&self) -> &'a str {
        self.folder.rsplit('/').next().unwrap_or(self.folder)
    }

    /// Whether this is a guest, with its own workspace's rules.
    pub fn is_guest(&self) -> bool {
        self.folder.starts_with("protocols/")
    }
}

#[cfg(test)]
pub fn tree(files: &[(&str, &str)]) -> Tree {
    let own = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
    Tree { files: files.iter().map(own).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ours_and_skips_what_was_built() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "[package]\n").unwrap();
        };
        for path in [
            "README.md",
            "crates/a/Cargo.toml",
            "crates/a/src/lib.rs",
            "crates/a/data.bin",
            "protocols/target/x/src/lib.rs",
            "target/y.rs",
        ] {
            write(path);
        }
        let tree = Tree::read(dir.path()).unwrap();
        let paths: Vec<_> = tree.files().map(|it| it.0).collect();
        assert_eq!(paths, ["README.md", "crates/a/Cargo.toml", "crates/a/src/lib.rs"]);
        let packages: Vec<_> = tree.packages().map(|it| (it.folder, it.short_name())).collect();
        assert_eq!(packages, [("crates/a", "a")]);
    }
}
