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
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use thiserror::Error;

use crate::command::{Invocation, Runner, Shell, Streams};

/// Set for the wrapper: cargo's folder, under which the sources of dependencies lie. Its presence makes
/// a program a wrapper.
const CARGO_HOME_VARIABLE: &str = "AURA_GUEST_CARGO_HOME";
/// Set for the wrapper: the folder of the repository that the SDK is from.
const REPOSITORY_VARIABLE: &str = "AURA_GUEST_ROOT";
/// Set for the wrapper: the folder of a guest that lies elsewhere.
const GUEST_VARIABLE: &str = "AURA_GUEST_FOLDER";

/// The folders that a crate's place is told relative to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folders {
    /// The repository of Aura, where the guest depends on a checkout of it.
    pub repository: Option<PathBuf>,
    /// The guest's own, where that is outside the repository.
    pub guest: Option<PathBuf>,
    /// Cargo's.
    pub cargo_home: PathBuf,
}

/// Why the compiler was not started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WrapperError {
    /// This program was started as a wrapper, and not by cargo.
    #[error("cargo named no compiler to run")]
    NoCompiler,
    /// The compiler is not here, or this machine cannot start it.
    #[error("`{compiler}` could not be started")]
    NotStarted {
        /// Its program.
        compiler: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// Lets cargo run this program as the wrapper around its compiler.
pub(crate) fn tell(cargo: Invocation, folders: &Folders) -> Invocation {
    let mut cargo = cargo.env(CARGO_HOME_VARIABLE, &folders.cargo_home);
    let named = [(REPOSITORY_VARIABLE, &folders.repository), (GUEST_VARIABLE, &folders.guest)];
    for (name, folder) in named {
        cargo = match folder {
            Some(folder) => cargo.env(name, folder),
            None => cargo.env_remove(name),
        };
    }
    cargo
}

/// Runs the compiler for cargo if that is what this process was started for. Programs that build guests
/// begin with it.
#[must_use]
pub fn run_as_wrapper() -> Option<Result<ExitCode, WrapperError>> {
    let folder = |name| env::var_os(name).map(PathBuf::from);
    let folders = Folders {
        repository: folder(REPOSITORY_VARIABLE),
        guest: folder(GUEST_VARIABLE),
        cargo_home: folder(CARGO_HOME_VARIABLE)?,
    };
    Some(wrap(&folders))
}

fn wrap(folders: &Folders) -> Result<ExitCode, WrapperError> {
    let mut args = env::args_os().skip(1);
    let rustc = args.next().ok_or(WrapperError::NoCompiler)?;
    let mut args: Vec<OsString> = args.collect();
    // Absent when cargo only asks the compiler about itself.
    let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    if let Some(place) = package.as_deref().and_then(|it| stable_place(it, folders)) {
        replace_metadata(&mut args, &place);
    }
    let ran =
        Shell.run(&Invocation::new(&rustc).args(&args), Streams::Inherited).map_err(|source| {
            WrapperError::NotStarted { compiler: rustc.display().to_string(), source }
        })?;
    let code = ran.code.and_then(|it| u8::try_from(it).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}

/// Where a package lies, said without naming this machine; `None` for packages from elsewhere, such
/// as those of `std` or of a git repository, whose places are the same everywhere.
fn stable_place(package: &Path, folders: &Folders) -> Option<String> {
    if let Ok(inside) = package.strip_prefix(folders.cargo_home.join("registry/src")) {
        // Without its first part: the folder of a registry is named after its address.
        let inside: PathBuf = inside.components().skip(1).collect();
        return Some(format!("registry/{}", inside.display()));
    }
    let inside = |folder: &Option<PathBuf>| package.strip_prefix(folder.as_ref()?).ok();
    let named = [("repository", &folders.repository), ("guest", &folders.guest)];
    named.iter().find_map(|(name, folder)| Some(format!("{name}/{}", inside(folder)?.display())))
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
        let (repository, guest) = (Some(root.into()), Some("/guests".into()));
        Folders { repository, guest, cargo_home: "/home/ann/.cargo".into() }
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

    /// INV-GB1
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

    /// INV-GB1
    #[test]
    fn a_guest_elsewhere_is_told_by_its_own_folder() {
        let place = |it: &str| stable_place(Path::new(it), &folders("/guests/aura"));
        assert_eq!(place("/guests/standup").as_deref(), Some("guest/standup"));
        let sdk = place("/guests/aura/crates/protocol-sdk");
        assert_eq!(sdk.as_deref(), Some("repository/crates/protocol-sdk"));
        assert_eq!(place("/elsewhere/standup"), None);
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
