//! Compiling the guests so that the bytes depend on nothing but the sources and the compiler.
//!
//! Three things would otherwise leak this machine into a module: paths in panic messages (remapped),
//! flags from the caller's environment (hidden), and cargo's hash of the package's folder, which
//! names and orders symbols (`metadata.rs`).

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::metadata;
use crate::command::{Invocation, Runner, Streams, demand};
use crate::provision::{TARGET, Toolchain};
use crate::workspace::Workspace;

/// One finished module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// The package it was built from.
    pub name: String,
    /// Its size.
    pub bytes: usize,
    /// BLAKE3 of the file, in hexadecimal.
    pub digest: String,
}

/// Variables by which a caller's shell or configuration could change the bytes.
const CALLER_VARIABLES: [&str; 7] = [
    "RUSTFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_TARGET",
    "CARGO_TARGET_DIR",
];

/// Builds every guest in release and copies the modules to `target/wasm`.
pub fn build(
    runner: &impl Runner,
    workspace: &Workspace,
    toolchain: &Toolchain,
) -> Result<Vec<Guest>> {
    let manifest = workspace.guests().join("Cargo.toml");
    if !manifest.is_file() {
        bail!("{} is missing; the guests have their own workspace there", manifest.display());
    }
    let cargo = || clean(toolchain.cargo()).dir(workspace.guests());
    let ask = cargo().args(["metadata", "--no-deps", "--locked", "--format-version", "1"]);
    let metadata = demand(runner, &ask, Streams::StdoutCaptured)?;
    let names = guest_packages(&metadata.stdout)?;
    if names.is_empty() {
        bail!("no package in {} builds a cdylib, so there is no guest", manifest.display());
    }
    eprintln!("protocols: building {} guests (std: {})", names.len(), toolchain.std_origin());
    // Fetched first: the folders that paths are remapped from exist only afterwards.
    let fetch = cargo().args(["fetch", "--locked", "--target", TARGET]);
    demand(runner, &fetch, Streams::ToStderr)?;
    let cargo_home = cargo_home()?;
    let mut guests = Vec::new();
    for name in names {
        let invocation = compile(cargo(), &name, workspace, toolchain, &cargo_home)?;
        let ran = demand(runner, &invocation, Streams::StdoutCaptured)?;
        let file = module_file(&String::from_utf8_lossy(&ran.stdout))?
            .with_context(|| format!("cargo built no module for {name}"))?;
        guests.push(finish(name, &file, &workspace.modules())?);
    }
    Ok(guests)
}

/// Cargo without what a caller's shell would make it do differently.
pub fn clean(mut cargo: Invocation) -> Invocation {
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PROFILE_") || CALLER_VARIABLES.contains(&text.as_ref()) {
            cargo = cargo.env_remove(&name);
        }
    }
    cargo
}

/// Compiles one guest, as a module alone: the library that tests use is another kind of crate, and
/// beside it the compiler would not optimise across crates.
fn compile(
    cargo: Invocation,
    name: &str,
    workspace: &Workspace,
    toolchain: &Toolchain,
    cargo_home: &Path,
) -> Result<Invocation> {
    let this = this_program(env::current_exe().context("the path of this program is not known")?);
    Ok(cargo
        .args(["rustc", "--release", "--locked", "--target", TARGET])
        .args(["--package", name, "--lib", "--crate-type", "cdylib"])
        .args(["--message-format", "json-render-diagnostics", "--target-dir"])
        .arg(workspace.guest_target())
        .args(toolchain.build_args())
        .env("CARGO_ENCODED_RUSTFLAGS", encoded_flags(workspace.root(), cargo_home))
        .env("CARGO_INCREMENTAL", "0")
        .env("RUSTC_WRAPPER", this)
        .env(metadata::ROOT_VARIABLE, workspace.root())
        .env(metadata::CARGO_HOME_VARIABLE, cargo_home))
}

/// Where this program is. A build of the workspace may have replaced its file, which Linux then calls
/// deleted; what is at its place now is the same program, of the same sources.
fn this_program(path: PathBuf) -> PathBuf {
    let replaced = path.to_str().and_then(|it| it.strip_suffix(" (deleted)")).map(PathBuf::from);
    replaced.filter(|it| !path.exists() && it.exists()).unwrap_or(path)
}

/// Remaps every folder of this machine that can occur in a module. The last match wins, so the
/// more special folders come last.
pub fn encoded_flags(root: &Path, cargo_home: &Path) -> String {
    let mut remaps = vec![(root.to_owned(), "/aura"), (cargo_home.to_owned(), "/cargo")];
    // The folder of a registry is named after its address, and mirrors have their own.
    remaps.extend(registries(cargo_home).into_iter().map(|it| (it, "/registry")));
    let flags: Vec<String> = remaps
        .iter()
        .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()))
        .collect();
    flags.join("\u{1f}")
}

/// The folders that cargo unpacks registries to.
fn registries(cargo_home: &Path) -> Vec<PathBuf> {
    let folders = |entries: fs::ReadDir| entries.filter_map(|it| Some(it.ok()?.path())).collect();
    let mut found: Vec<PathBuf> =
        fs::read_dir(cargo_home.join("registry/src")).map(folders).unwrap_or_default();
    found.sort();
    found
}

/// Cargo's own folder on this machine.
pub fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    let home = env::home_dir().context("neither CARGO_HOME nor HOME is set")?;
    Ok(home.join(".cargo"))
}

/// What matters here of `cargo metadata`.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    crate_types: Vec<String>,
}

/// The packages that become modules, sorted by name.
fn guest_packages(metadata: &[u8]) -> Result<Vec<String>> {
    let metadata: Metadata =
        serde_json::from_slice(metadata).context("`cargo metadata` said something unexpected")?;
    let is_module = |it: &Target| it.crate_types.iter().any(|it| it == "cdylib");
    let guests = metadata.packages.into_iter().filter(|it| it.targets.iter().any(is_module));
    let mut names: Vec<String> = guests.map(|it| it.name).collect();
    names.sort();
    Ok(names)
}

/// The field of cargo's `compiler-artifact` message that matters here.
#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// The module among the files that cargo says it made.
fn module_file(messages: &str) -> Result<Option<PathBuf>> {
    let mut found = None;
    for line in messages.lines() {
        let message: Message = serde_json::from_str(line)
            .with_context(|| format!("cargo printed something that is not a message: {line}"))?;
        let is_module = |it: &PathBuf| it.extension().is_some_and(|it| it == "wasm");
        found = message.filenames.into_iter().find(is_module).or(found);
    }
    Ok(found)
}

/// Copies a module to its place. It appears there whole or not at all, because tests that run
/// beside a build may be reading it.
pub(super) fn finish(name: String, file: &Path, into: &Path) -> Result<Guest> {
    let bytes = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    fs::create_dir_all(into).with_context(|| format!("{} cannot be made", into.display()))?;
    let place = into.join(format!("{name}.wasm"));
    if fs::read(&place).ok().as_ref() != Some(&bytes) {
        let beside = into.join(format!(".{name}.{}", std::process::id()));
        fs::write(&beside, &bytes)
            .and_then(|()| fs::rename(&beside, &place))
            .with_context(|| format!("{} cannot be written", place.display()))?;
    }
    let digest = blake3::hash(&bytes).to_hex().to_string();
    Ok(Guest { name, bytes: bytes.len(), digest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_was_replaced_is_found_at_its_place() {
        let here = env::current_exe().unwrap();
        let deleted = PathBuf::from(format!("{} (deleted)", here.display()));
        assert_eq!(this_program(deleted), here);
        assert_eq!(this_program(here.clone()), here);
        let gone = PathBuf::from("/nowhere/xtask (deleted)");
        assert_eq!(this_program(gone.clone()), gone);
    }

    #[test]
    fn packages_that_become_modules_are_guests() {
        let metadata = serde_json::json!({"packages": [
            {"name": "counter-2", "targets": [{"crate_types": ["cdylib", "rlib"]}]},
            {"name": "counter-common", "targets": [{"crate_types": ["lib"]}]},
            {"name": "counter-1", "targets": [{"crate_types": ["cdylib"]}]},
        ]});
        let names = guest_packages(metadata.to_string().as_bytes()).unwrap();
        assert_eq!(names, ["counter-1", "counter-2"]);
        assert!(guest_packages(b"{}").is_err());
    }

    #[test]
    fn the_module_is_found_among_the_messages() {
        let messages = [
            r#"{"reason":"compiler-artifact","filenames":["/t/libx.rlib"]}"#,
            r#"{"reason":"compiler-artifact","filenames":["/t/counter_1_0_0.wasm"]}"#,
            r#"{"reason":"build-finished","success":true}"#,
        ];
        let found = module_file(&messages.join("\n")).unwrap();
        assert_eq!(found, Some(PathBuf::from("/t/counter_1_0_0.wasm")));
    }

    #[test]
    fn what_is_not_a_message_is_an_error() {
        let error = module_file("warning: hello").unwrap_err();
        assert!(error.to_string().contains("warning: hello"), "{error}");
    }

    #[test]
    fn a_finished_module_lies_whole_at_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("built.wasm");
        fs::write(&file, b"\0asm").unwrap();
        let into = dir.path().join("wasm");
        let guest = finish("counter".into(), &file, &into).unwrap();
        assert_eq!(fs::read(into.join("counter.wasm")).unwrap(), b"\0asm");
        assert_eq!((guest.bytes, guest.digest.len()), (4, 64));
        assert_eq!(fs::read_dir(&into).unwrap().count(), 1, "nothing else is left there");
    }

    #[test]
    fn every_folder_of_this_machine_is_remapped() {
        let home = tempfile::tempdir().unwrap();
        let mirror = home.path().join("registry/src/mirror-1");
        fs::create_dir_all(&mirror).unwrap();
        let flags = encoded_flags(Path::new("/home/ann/aura"), home.path());
        let expected = [
            "--remap-path-prefix=/home/ann/aura=/aura".to_owned(),
            format!("--remap-path-prefix={}=/cargo", home.path().display()),
            format!("--remap-path-prefix={}=/registry", mirror.display()),
        ];
        assert_eq!(flags.split('\u{1f}').collect::<Vec<_>>(), expected);
    }
}
