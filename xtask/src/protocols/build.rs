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
    eprintln!("protocols: building guests (std: {})", toolchain.std_origin());
    // Fetched first: the folders that paths are remapped from exist only afterwards.
    let fetch = toolchain.cargo().args(["fetch", "--locked", "--manifest-path"]).arg(&manifest);
    demand(runner, &fetch.dir(workspace.guests()), Streams::ToStderr)?;
    let invocation = invocation(workspace, toolchain, &cargo_home()?)?;
    let ran = demand(runner, &invocation, Streams::StdoutCaptured)?;
    let modules = modules(&String::from_utf8_lossy(&ran.stdout))?;
    if modules.is_empty() {
        bail!("no package in {} builds a cdylib, so there is no guest", manifest.display());
    }
    modules.into_iter().map(|module| finish(module, &workspace.modules())).collect()
}

fn invocation(
    workspace: &Workspace,
    toolchain: &Toolchain,
    cargo_home: &Path,
) -> Result<Invocation> {
    let mut invocation = toolchain
        .cargo()
        .args(["build", "--release", "--locked", "--target", TARGET])
        .args(["--message-format", "json-render-diagnostics", "--manifest-path"])
        .arg(workspace.guests().join("Cargo.toml"))
        .arg("--target-dir")
        .arg(workspace.guest_target())
        .args(toolchain.build_args())
        .dir(workspace.guests());
    for (name, _) in env::vars_os() {
        let name_text = name.to_string_lossy();
        let profile = name_text.starts_with("CARGO_PROFILE_");
        if profile || CALLER_VARIABLES.contains(&name_text.as_ref()) {
            invocation = invocation.env_remove(&name);
        }
    }
    let this = env::current_exe().context("the path of this program is not known")?;
    Ok(invocation
        .env("CARGO_ENCODED_RUSTFLAGS", encoded_flags(workspace.root(), cargo_home))
        .env("CARGO_INCREMENTAL", "0")
        .env("RUSTC_WRAPPER", this)
        .env(metadata::ROOT_VARIABLE, workspace.root())
        .env(metadata::CARGO_HOME_VARIABLE, cargo_home))
}

/// Remaps every folder of this machine that can occur in a module. The last match wins, so the
/// more special folders come last.
fn encoded_flags(root: &Path, cargo_home: &Path) -> String {
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

fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    let home = env::home_dir().context("neither CARGO_HOME nor HOME is set")?;
    Ok(home.join(".cargo"))
}

/// The two fields of cargo's `compiler-artifact` message that matter here, and who it is about.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

#[derive(Debug, PartialEq, Eq)]
struct Module {
    name: String,
    file: PathBuf,
}

/// The modules among cargo's messages, sorted by name.
fn modules(messages: &str) -> Result<Vec<Module>> {
    let mut found = Vec::new();
    for line in messages.lines() {
        let message: Message = serde_json::from_str(line)
            .with_context(|| format!("cargo printed something that is not a message: {line}"))?;
        if message.reason != "compiler-artifact" {
            continue;
        }
        let is_module = |it: &PathBuf| it.extension().is_some_and(|it| it == "wasm");
        if let Some(file) = message.filenames.into_iter().find(is_module) {
            found.push(Module { name: package_name(&message.manifest_path)?, file });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

#[derive(Deserialize)]
struct Manifest {
    package: Package,
}

#[derive(Deserialize)]
struct Package {
    name: String,
}

fn package_name(manifest: &Path) -> Result<String> {
    let text = fs::read_to_string(manifest)
        .with_context(|| format!("{} cannot be read", manifest.display()))?;
    let manifest: Manifest = toml::from_str(&text)
        .with_context(|| format!("{} names no package", manifest.display()))?;
    Ok(manifest.package.name)
}

/// Copies a module to its place. It appears there whole or not at all, because tests that run
/// beside a build may be reading it.
fn finish(module: Module, into: &Path) -> Result<Guest> {
    let bytes = fs::read(&module.file)
        .with_context(|| format!("{} cannot be read", module.file.display()))?;
    fs::create_dir_all(into).with_context(|| format!("{} cannot be made", into.display()))?;
    let place = into.join(format!("{}.wasm", module.name));
    if fs::read(&place).ok().as_ref() != Some(&bytes) {
        let beside = into.join(format!(".{}.{}", module.name, std::process::id()));
        fs::write(&beside, &bytes)
            .and_then(|()| fs::rename(&beside, &place))
            .with_context(|| format!("{} cannot be written", place.display()))?;
    }
    let digest = blake3::hash(&bytes).to_hex().to_string();
    Ok(Guest { name: module.name, bytes: bytes.len(), digest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(manifest: &Path, file: &str) -> String {
        serde_json::json!({
            "reason": "compiler-artifact", "manifest_path": manifest, "filenames": [file]
        })
        .to_string()
    }

    #[test]
    fn modules_are_named_by_their_package() {
        let dir = tempfile::tempdir().unwrap();
        let manifest = dir.path().join("Cargo.toml");
        fs::write(&manifest, "[package]\nname = \"counter-1-0-0\"\n").unwrap();
        let messages = [
            artifact(Path::new("/x/Cargo.toml"), "/t/libx.rlib"),
            artifact(&manifest, "/t/counter_1_0_0.wasm"),
            r#"{"reason":"build-finished","success":true}"#.to_owned(),
        ];
        let found = modules(&messages.join("\n")).unwrap();
        let expected =
            Module { name: "counter-1-0-0".into(), file: "/t/counter_1_0_0.wasm".into() };
        assert_eq!(found, [expected]);
    }

    #[test]
    fn what_is_not_a_message_is_an_error() {
        assert!(modules("warning: hello").unwrap_err().to_string().contains("warning: hello"));
    }

    #[test]
    fn a_finished_module_lies_whole_at_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("built.wasm");
        fs::write(&file, b"\0asm").unwrap();
        let into = dir.path().join("wasm");
        let guest = finish(Module { name: "counter".into(), file }, &into).unwrap();
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
