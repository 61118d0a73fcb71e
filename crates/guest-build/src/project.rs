//! What a folder builds: its guests, and where the SDK lies that they depend on.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::build::{BuildError, Plan, cargo_home};
use crate::command::{Runner, Streams, demand};
use crate::metadata::Folders;
use crate::provision::{TARGET, Toolchain};

/// The package that every guest depends on, and its folder inside the repository.
const SDK: (&str, &str) = ("aura-protocol-sdk", "crates/protocol-sdk");

/// The names of the packages in `folder`'s workspace that become modules, sorted.
///
/// # Errors
/// [`BuildError`]: it is no workspace, or nothing in it becomes a module.
pub fn packages(
    runner: &impl Runner,
    folder: &Path,
    toolchain: &Toolchain,
) -> Result<Vec<String>, BuildError> {
    let ask = toolchain.cargo().dir(folder).args(["metadata", "--no-deps", "--locked"]);
    let metadata = ask_cargo(runner, ask)?;
    guests(&metadata, folder)
}

/// What building `folder` comes to, wherever it is: its own package if it has one, otherwise every
/// guest of its workspace. Makes or mends the lockfile, as cargo does.
///
/// # Errors
/// [`BuildError`]: there is no package, or it does not become a module.
pub fn plan(
    runner: &impl Runner,
    folder: &Path,
    toolchain: &Toolchain,
) -> Result<Plan, BuildError> {
    let unfound = |source| BuildError::Io { path: folder.to_owned(), what: "found", source };
    let folder = folder.canonicalize().map_err(unfound)?;
    let ask = toolchain.cargo().dir(&folder).args(["metadata", "--filter-platform", TARGET]);
    let metadata = ask_cargo(runner, ask)?;
    let manifest = folder.join("Cargo.toml");
    let own = metadata.packages.iter().find(|it| it.manifest_path == manifest);
    let packages = match own {
        Some(own) if own.is_guest() => vec![own.name.clone()],
        Some(_) => return Err(BuildError::NoGuest { folder }),
        None => guests(&metadata, &folder)?,
    };
    let root = metadata.workspace_root.clone();
    let repository = metadata.repository();
    let is_inside = repository.as_ref().is_some_and(|it| root.starts_with(it));
    Ok(Plan {
        packages,
        target: metadata.target_directory.join("guests"),
        modules: metadata.target_directory.join("wasm"),
        folders: Folders {
            repository,
            guest: (!is_inside).then_some(root),
            cargo_home: cargo_home()?,
        },
        folder,
    })
}

/// What matters here of `cargo metadata`.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    /// Absent for what lies on this machine.
    source: Option<String>,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    crate_types: Vec<String>,
}

impl Package {
    fn is_guest(&self) -> bool {
        self.targets.iter().any(|it| it.crate_types.iter().any(|it| it == "cdylib"))
    }
}

impl Metadata {
    /// The checkout of the repository that the SDK is taken from.
    fn repository(&self) -> Option<PathBuf> {
        let sdk = self.packages.iter().find(|it| it.name == SDK.0 && it.source.is_none())?;
        let folder = sdk.manifest_path.parent()?;
        let root = folder.ancestors().nth(2)?;
        (root.join(SDK.1) == folder).then(|| root.to_owned())
    }
}

fn ask_cargo(
    runner: &impl Runner,
    ask: crate::command::Invocation,
) -> Result<Metadata, BuildError> {
    let ran = demand(runner, &ask.args(["--format-version", "1"]), Streams::StdoutCaptured)?;
    serde_json::from_slice(&ran.stdout)
        .map_err(|error| BuildError::Unexpected { said: error.to_string() })
}

fn guests(metadata: &Metadata, folder: &Path) -> Result<Vec<String>, BuildError> {
    let members = metadata.packages.iter().filter(|it| metadata.workspace_members.contains(&it.id));
    let mut names: Vec<String> =
        members.filter(|it| it.is_guest()).map(|it| it.name.clone()).collect();
    names.sort();
    if names.is_empty() {
        return Err(BuildError::NoGuest { folder: folder.to_owned() });
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn package(name: &str, place: &str, kind: &str) -> Value {
        json!({
            "id": name, "name": name, "source": null, "manifest_path": format!("{place}/Cargo.toml"),
            "targets": [{"crate_types": [kind]}],
        })
    }

    fn metadata(packages: &[Value]) -> Metadata {
        let members: Vec<&Value> = packages.iter().map(|it| &it["id"]).collect();
        let metadata = json!({
            "packages": packages, "workspace_members": members,
            "workspace_root": "/w", "target_directory": "/w/target",
        });
        serde_json::from_value(metadata).unwrap()
    }

    #[test]
    fn packages_that_become_modules_are_guests() {
        let found = metadata(&[
            package("counter-2", "/w/counter-2", "cdylib"),
            package("counter-common", "/w/counter-common", "lib"),
            package("counter-1", "/w/counter-1", "cdylib"),
        ]);
        assert_eq!(guests(&found, Path::new("/w")).unwrap(), ["counter-1", "counter-2"]);
        let none = guests(&metadata(&[package("x", "/w", "lib")]), Path::new("/w"));
        assert!(matches!(none, Err(BuildError::NoGuest { .. })), "{none:?}");
    }

    #[test]
    fn the_repository_is_where_the_sdk_lies() {
        let sdk = |place| metadata(&[package(SDK.0, place, "lib")]).repository();
        assert_eq!(sdk("/home/ann/aura/crates/protocol-sdk"), Some("/home/ann/aura".into()));
        assert_eq!(sdk("/home/ann/sdk"), None, "another layout is no checkout of ours");
        let mut fetched = package(SDK.0, "/cargo/git/aura/crates/protocol-sdk", "lib");
        fetched["source"] = json!("git+https://example.org/aura");
        assert_eq!(metadata(&[fetched]).repository(), None);
    }
}
