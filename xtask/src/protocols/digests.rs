//! `protocols/digests.toml`: which bytes each guest has under which compiler.
//!
//! One table a compiler, one line a guest. The key leaves out the machine the compiler runs on:
//! the bytes of a module do not depend on it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, Result};
use aura_guest_build::build::Guest;

use crate::command::{Runner, Streams, demand};
use crate::provision::Toolchain;

const HEADER: &str = "\
# BLAKE3 of each guest, one table a compiler. Written by `cargo xtask protocols --bless`,
# compared by `cargo xtask protocols --check`. Commit it together with the change that needs it.

";

/// What of a compiler decides the bytes of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolchainKey(String);

impl fmt::Display for ToolchainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl ToolchainKey {
    /// Asks the compiler of `toolchain` who it is.
    pub fn ask(runner: &impl Runner, toolchain: &Toolchain) -> Result<Self> {
        let ran = demand(runner, &toolchain.rustc().arg("-vV"), Streams::Captured)?;
        let text = String::from_utf8_lossy(&ran.stdout);
        Self::parse(&text, toolchain).with_context(|| format!("`rustc -vV` said: {text}"))
    }

    fn parse(text: &str, toolchain: &Toolchain) -> Result<Self> {
        let field = |name: &str| text.lines().find_map(|it| it.strip_prefix(name)).map(str::trim);
        let release = field("release:").context("the compiler names no release")?;
        let commit = field("commit-hash:").context("the compiler names no commit")?;
        let llvm = field("LLVM version:").unwrap_or("unknown");
        let std = toolchain.std_origin();
        Ok(Self(format!("rustc {release} ({commit}), LLVM {llvm}, std {std}")))
    }
}

/// What a comparison came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every guest has the bytes it should have.
    Same,
    /// Nothing is known about this compiler.
    UnknownToolchain,
    /// One sentence for each guest that differs: what, and what next.
    Different(Vec<String>),
}

/// The file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Digests(BTreeMap<String, BTreeMap<String, String>>);

impl Digests {
    /// Reads the file; one that is not there holds nothing.
    pub fn load(path: &Path) -> Result<Self> {
        match fs::read_to_string(path) {
            Ok(text) => {
                Self::parse(&text).with_context(|| format!("{} is damaged", path.display()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
        }
    }

    /// Reads the text of the file.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(Self(toml::from_str(text)?))
    }

    /// Writes the file.
    pub fn save(&self, path: &Path) -> Result<()> {
        let text = format!("{HEADER}{}", toml::to_string(&self.0)?);
        fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
    }

    /// The entries: each compiler with the guests it knows.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &BTreeMap<String, String>)> {
        self.0.iter().map(|(key, guests)| (key.as_str(), guests))
    }

    /// Replaces the entry of one compiler.
    pub fn bless(&mut self, key: &ToolchainKey, guests: &[Guest]) {
        let entry = guests.iter().map(|it| (it.name.clone(), it.digest.clone())).collect();
        self.0.insert(key.0.clone(), entry);
    }

    /// Compares what was built with the entry of this compiler.
    pub fn check(&self, key: &ToolchainKey, guests: &[Guest]) -> Verdict {
        let Some(known) = self.0.get(&key.0) else {
            return Verdict::UnknownToolchain;
        };
        let mut findings = Vec::new();
        for Guest { name, digest, .. } in guests {
            match known.get(name) {
                Some(expected) if expected == digest => (),
                Some(expected) => findings.push(format!(
                    "{name} is {digest} but protocols/digests.toml says {expected}; if its sources \
                     were meant to change, run `cargo xtask protocols --bless`, else find what did"
                )),
                None => findings.push(format!(
                    "{name} is not in protocols/digests.toml; run `cargo xtask protocols --bless`"
                )),
            }
        }
        for name in known.keys().filter(|it| !guests.iter().any(|guest| guest.name == **it)) {
            findings.push(format!(
                "{name} is in protocols/digests.toml but is no guest; run `cargo xtask protocols \
                 --bless`"
            ));
        }
        if findings.is_empty() { Verdict::Same } else { Verdict::Different(findings) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUSTC: &str = "rustc 1.95.0 (598 2026-04-14)\nbinary: rustc\ncommit-hash: 598\nhost: \
                         x86_64\nrelease: 1.95.0\nLLVM version: 22.1.2\n";

    fn key() -> ToolchainKey {
        ToolchainKey::parse(RUSTC, &Toolchain::Prebuilt).unwrap()
    }

    fn guest(name: &str, digest: &str) -> Guest {
        Guest { name: name.into(), bytes: 1, digest: digest.into(), file: "x.wasm".into() }
    }

    #[track_caller]
    fn findings(digests: &Digests, guests: &[Guest]) -> Vec<String> {
        match digests.check(&key(), guests) {
            Verdict::Different(findings) => findings,
            verdict => panic!("{verdict:?}"),
        }
    }

    #[test]
    fn a_key_names_the_compiler_but_not_its_machine() {
        assert_eq!(key().to_string(), "rustc 1.95.0 (598), LLVM 22.1.2, std prebuilt");
        let elsewhere = RUSTC.replace("x86_64", "aarch64");
        assert_eq!(ToolchainKey::parse(&elsewhere, &Toolchain::Prebuilt).unwrap(), key());
        assert!(ToolchainKey::parse("rustc 1.95.0", &Toolchain::Prebuilt).is_err());
    }

    #[test]
    fn what_is_blessed_is_the_same_after_a_round_trip() {
        let mut digests = Digests::default();
        digests.bless(&key(), &[guest("a", "11"), guest("b", "22")]);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("digests.toml");
        digests.save(&path).unwrap();
        let read = Digests::load(&path).unwrap();
        assert_eq!(read, digests);
        assert_eq!(read.check(&key(), &[guest("a", "11"), guest("b", "22")]), Verdict::Same);
    }

    #[test]
    fn other_bytes_under_a_known_compiler_are_found() {
        let mut digests = Digests::default();
        digests.bless(&key(), &[guest("a", "11")]);
        let found = findings(&digests, &[guest("a", "12")]);
        assert!(found[0].starts_with("a is 12 but protocols/digests.toml says 11"), "{found:?}");
        assert!(found[0].contains("--bless"));
    }

    #[test]
    fn a_new_guest_and_a_gone_one_are_found() {
        let mut digests = Digests::default();
        digests.bless(&key(), &[guest("gone", "11")]);
        let found = findings(&digests, &[guest("new", "22")]);
        assert!(found[0].starts_with("new is not in"), "{found:?}");
        assert!(found[1].starts_with("gone is in protocols/digests.toml but"), "{found:?}");
    }

    #[test]
    fn an_unknown_compiler_is_no_failure() {
        let verdict = Digests::default().check(&key(), &[guest("a", "11")]);
        assert_eq!(verdict, Verdict::UnknownToolchain);
    }

    #[test]
    fn a_damaged_file_is_not_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("digests.toml");
        fs::write(&path, "a = 1").unwrap();
        assert!(Digests::load(&path).unwrap_err().to_string().contains("is damaged"));
        assert_eq!(Digests::load(&dir.path().join("none")).unwrap(), Digests::default());
    }
}
