//! Stable crate identities for guests.
//!
//! Cargo tells the compiler a hash, `-C metadata=…`, that tells crates of equal name apart. For a
//! package outside the workspace's root, as the crates of this repository are for the workspace of
//! the guests, the hash covers the absolute path of the package. It names the symbols, and so can
//! change the order of functions: the same sources in two folders would be two modules.
//!
//! Cargo can be told to start the compiler through a wrapper. This program is that wrapper: it
//! replaces the hash by one over what identifies the crate without its place.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::command::{Invocation, Runner, Shell, Streams};

/// Set for the wrapper: the folder of the repository. Its presence makes this program a wrapper.
pub const ROOT_VARIABLE: &str = "AURA_GUEST_ROOT";
/// Set for the wrapper: cargo's folder, under which the sources of dependencies lie.
pub const CARGO_HOME_VARIABLE: &str = "AURA_GUEST_CARGO_HOME";

/// The folders that a crate's place is told relative to.
struct Folders {
    root: PathBuf,
    cargo_home: PathBuf,
}

/// Runs the compiler for cargo if that is what this process was started for.
pub fn run_as_wrapper() -> Option<Result<ExitCode>> {
    let folders = Folders {
        root: env::var_os(ROOT_VARIABLE)?.into(),
        cargo_home: env::var_os(CARGO_HOME_VARIABLE)?.into(),
    };
    Some(wrap(&folders))
}

fn wrap(folders: &Folders) -> Result<ExitCode> {
    let mut args = env::args_os().skip(1);
    let rustc = args.next().context("cargo named no compiler to run")?;
    let mut args: Vec<OsString> = args.collect();
    // Absent when cargo only asks the compiler about itself.
    let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    if let Some(place) = package.as_deref().and_then(|it| stable_place(it, folders)) {
        replace_metadata(&mut args, &place);
    }
    let ran = Shell.run(&Invocation::new(rustc).args(&args), Streams::Inherited)?;
    let code = ran.code.and_then(|it| u8::try_from(it).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}

/// Where a package lies, said without naming this machine; `None` for packages from elsewhere,
/// such as those of `std`, whose places are the compiler's own.
fn stable_place(package: &Path, folders: &Folders) -> Option<String> {
    if let Ok(inside) = package.strip_prefix(folders.cargo_home.join("registry/src")) {
        // Without its first part: the folder of a registry is named after its address.
        let inside: PathBuf = inside.components().skip(1).collect();
        return Some(format!("registry/{}", inside.display()));
    }
    let inside = package.strip_prefix(&folders.root).ok()?;
    Some(format!("repository/{}", inside.display()))
}

/// Replaces the value of `-C metadata=` by a hash of the place and of the arguments that make one
/// build of a package differ from another: its crate, kinds, features and target.
fn replace_metadata(args: &mut [OsString], place: &str) {
    let mut hasher = blake3::Hasher::new();
    hasher.update(place.as_bytes());
    for pair in args.windows(2) {
        if let [name, value] = pair
            && ["--crate-name", "--crate-type", "--cfg", "--target"].iter().any(|it| name == it)
        {
            hasher.update(&[0]).update(name.as_encoded_bytes());
            hasher.update(&[0]).update(value.as_encoded_bytes());
        }
    }
    let hash = hasher.finalize().to_hex();
    let short: String = hash.chars().take(16).collect();
    let is_metadata = |it: &&mut OsString| it.as_encoded_bytes().starts_with(b"metadata=");
    if let Some(value) = args.iter_mut().find(is_metadata) {
        *value = OsStr::new(&format!("metadata={short}")).to_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(root: &str) -> Folders {
        Folders { root: root.into(), cargo_home: "/home/ann/.cargo".into() }
    }

    fn metadata(root: &str, package: &str, feature: &str) -> String {
        let place = stable_place(Path::new(package), &folders(root)).unwrap();
        let feature = format!("feature={feature:?}");
        let args = ["--crate-name", "core", "--cfg", &feature, "-C", "metadata=123", "-C", "lto"];
        let mut args: Vec<OsString> = args.iter().map(OsString::from).collect();
        replace_metadata(&mut args, &place);
        assert_eq!(args[4], "-C");
        args[5].clone().into_string().unwrap()
    }

    #[test]
    fn the_folder_of_the_repository_does_not_matter() {
        let here = metadata("/home/me/aura", "/home/me/aura/crates/core", "std");
        assert_eq!(here, metadata("/home/ann/src", "/home/ann/src/crates/core", "std"));
        assert_eq!(here.len(), "metadata=".len() + 16);
    }

    #[test]
    fn crates_that_differ_stay_apart() {
        let here = metadata("/a", "/a/crates/core", "std");
        assert_ne!(here, metadata("/a", "/a/crates/core", "alloc"));
        assert_ne!(here, metadata("/a", "/a/crates/sdk", "std"));
    }

    #[test]
    fn the_address_of_a_registry_does_not_matter() {
        let place = |it: &str| stable_place(Path::new(it), &folders("/a"));
        let first = place("/home/ann/.cargo/registry/src/index-1/borsh-1.8.0");
        assert_eq!(first.as_deref(), Some("registry/borsh-1.8.0"));
        assert_eq!(first, place("/home/ann/.cargo/registry/src/mirror-2/borsh-1.8.0"));
    }

    #[test]
    fn the_crates_of_std_are_left_alone() {
        let place = stable_place(Path::new("/usr/src/rustc/library/core"), &folders("/a"));
        assert_eq!(place, None);
    }
}
