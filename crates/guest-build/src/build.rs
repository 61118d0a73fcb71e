//! Compiling the guests so that the bytes depend on nothing but the sources and the compiler.
//!
//! Three things would otherwise leak this machine into a module: paths in panic messages (remapped),
//! flags from the caller's environment (hidden), and cargo's hash of the package's folder, which
//! names and orders symbols (`metadata.rs`).

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use crate::command::{CommandError, Invocation, Runner, Streams, demand};
use crate::metadata::{self, Folders};
use crate::provision::{TARGET, Toolchain};

/// One finished module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// The package it was built from.
    pub name: String,
    /// Its size.
    pub bytes: usize,
    /// BLAKE3 of the file, in hexadecimal.
    pub digest: String,
    /// Where it lies.
    pub file: PathBuf,
}

/// What is built, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The folder that cargo runs in.
    pub folder: PathBuf,
    /// The packages that become modules, sorted.
    pub packages: Vec<String>,
    /// Cargo's own folder for what it builds.
    pub target: PathBuf,
    /// Where finished modules go: `<package>.wasm`.
    pub modules: PathBuf,
    /// The folders of this machine that no module may depend on.
    pub folders: Folders,
}

/// Why there is no module.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Cargo or the compiler failed; what they wrote before says why.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// Nothing there becomes a module: the fault of who named the folder.
    #[error(
        "no package in {} builds a cdylib, so there is no guest; its Cargo.toml needs \
         `crate-type = [\"cdylib\", \"rlib\"]` under [lib]",
        folder.display()
    )]
    NoGuest {
        /// The folder.
        folder: PathBuf,
    },
    /// Cargo says that it is done, but names no module.
    #[error("cargo built no module for {package}")]
    NoModule {
        /// The package.
        package: String,
    },
    /// Cargo's answer is not one that this program knows: they are of different times.
    #[error("cargo said something unexpected: {said}")]
    Unexpected {
        /// What it said, or where it is wrong.
        said: String,
    },
    /// A file or folder cannot be used.
    #[error("{} cannot be {what}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The environment says neither where cargo's folder is nor where the person's is.
    #[error("neither CARGO_HOME nor HOME is set")]
    NoHome,
}

/// The linker leaves room for the largest number wherever it put one in, which is a twelfth of a module
/// (docs/decisions/0160).
const SHORT_NUMBERS: &str = "link-arg=--compress-relocations";

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

/// Builds every package of the plan in release, and copies the modules to their place.
///
/// # Errors
/// [`BuildError`]; the modules that were finished before stay.
pub fn build(
    runner: &impl Runner,
    plan: &Plan,
    toolchain: &Toolchain,
) -> Result<Vec<Guest>, BuildError> {
    let cargo = || clean(toolchain.cargo()).dir(&plan.folder);
    // Fetched first: the folders that paths are remapped from exist only afterwards.
    let fetch = cargo().args(["fetch", "--locked", "--target", TARGET]);
    demand(runner, &fetch, Streams::ToStderr)?;
    let mut guests = Vec::new();
    for name in &plan.packages {
        let ran =
            demand(runner, &compile(cargo(), name, plan, toolchain)?, Streams::StdoutCaptured)?;
        let file = module_file(&String::from_utf8_lossy(&ran.stdout))?
            .ok_or_else(|| BuildError::NoModule { package: name.clone() })?;
        guests.push(finish(name.clone(), &file, &plan.modules)?);
    }
    Ok(guests)
}

/// Cargo without what a caller's shell would make it do differently.
#[must_use]
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
    plan: &Plan,
    toolchain: &Toolchain,
) -> Result<Invocation, BuildError> {
    let io = |source| BuildError::Io { path: "this program".into(), what: "found", source };
    let this = this_program(env::current_exe().map_err(io)?);
    let cargo = cargo
        .args(["rustc", "--release", "--locked", "--target", TARGET])
        .args(["--package", name, "--lib", "--crate-type", "cdylib"])
        // What names and lines a module carried, every device would fetch.
        .args(["--config", "profile.release.strip=true"])
        .args(["--message-format", "json-render-diagnostics", "--target-dir"])
        .arg(&plan.target)
        .args(toolchain.build_args())
        .env("CARGO_ENCODED_RUSTFLAGS", encoded_flags(&plan.folders))
        .env("CARGO_INCREMENTAL", "0")
        .env("RUSTC_WRAPPER", this);
    // The last of all: after `--`, for the guest alone.
    let cargo = metadata::tell(cargo, &plan.folders);
    Ok(cargo.args(["--", "-C", SHORT_NUMBERS]))
}

/// Where this program is. A build of the workspace may have replaced its file, which Linux then calls
/// deleted; what is at its place now is the same program, of the same sources.
fn this_program(path: PathBuf) -> PathBuf {
    let replaced = path.to_str().and_then(|it| it.strip_suffix(" (deleted)")).map(PathBuf::from);
    replaced.filter(|it| !path.exists() && it.exists()).unwrap_or(path)
}

/// Remaps every folder of this machine that can occur in a module. The last match wins, so the
/// more special folders come last.
#[must_use]
pub fn encoded_flags(folders: &Folders) -> String {
    let named = |folder: &Option<PathBuf>, name| folder.clone().map(|it| (it, name));
    let mut remaps: Vec<(PathBuf, &str)> = Vec::new();
    remaps.extend(named(&folders.guest, "/guest"));
    remaps.extend(named(&folders.repository, "/aura"));
    remaps.push((folders.cargo_home.clone(), "/cargo"));
    // The folder of a registry is named after its address, and mirrors have their own.
    remaps.extend(registries(&folders.cargo_home).into_iter().map(|it| (it, "/registry")));
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
///
/// # Errors
/// [`BuildError::NoHome`].
pub fn cargo_home() -> Result<PathBuf, BuildError> {
    let named = env::var_os("CARGO_HOME").map(PathBuf::from);
    named.or_else(|| env::home_dir().map(|it| it.join(".cargo"))).ok_or(BuildError::NoHome)
}

/// The field of cargo's `compiler-artifact` message that matters here.
#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// The module among the files that cargo says it made.
fn module_file(messages: &str) -> Result<Option<PathBuf>, BuildError> {
    let mut found = None;
    for line in messages.lines() {
        let message: Message = serde_json::from_str(line)
            .map_err(|_| BuildError::Unexpected { said: line.to_owned() })?;
        let is_module = |it: &PathBuf| it.extension() == Some(OsStr::new("wasm"));
        found = message.filenames.into_iter().find(is_module).or(found);
    }
    Ok(found)
}

/// Copies a module to its place. It appears there whole or not at all, because tests that run
/// beside a build may be reading it.
///
/// # Errors
/// [`BuildError::Io`].
pub fn finish(name: String, file: &Path, into: &Path) -> Result<Guest, BuildError> {
    let io = |path: &Path, what| {
        let path = path.to_owned();
        move |source| BuildError::Io { path, what, source }
    };
    let bytes = fs::read(file).map_err(io(file, "read"))?;
    fs::create_dir_all(into).map_err(io(into, "made"))?;
    let place = into.join(format!("{name}.wasm"));
    if fs::read(&place).ok().as_ref() != Some(&bytes) {
        let beside = into.join(format!(".{name}.{}", std::process::id()));
        fs::write(&beside, &bytes)
            .and_then(|()| fs::rename(&beside, &place))
            .map_err(io(&place, "written"))?;
    }
    let digest = blake3::hash(&bytes).to_hex().to_string();
    Ok(Guest { name, bytes: bytes.len(), digest, file: place })
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

    /// INV-GB1
    #[test]
    fn every_folder_of_this_machine_is_remapped() {
        let home = tempfile::tempdir().unwrap();
        let mirror = home.path().join("registry/src/mirror-1");
        fs::create_dir_all(&mirror).unwrap();
        let folders = Folders {
            repository: Some("/home/ann/aura".into()),
            guest: Some("/home/ann/standup".into()),
            cargo_home: home.path().to_owned(),
        };
        let flags = encoded_flags(&folders);
        let expected = [
            "--remap-path-prefix=/home/ann/standup=/guest".to_owned(),
            "--remap-path-prefix=/home/ann/aura=/aura".to_owned(),
            format!("--remap-path-prefix={}=/cargo", home.path().display()),
            format!("--remap-path-prefix={}=/registry", mirror.display()),
        ];
        assert_eq!(flags.split('\u{1f}').collect::<Vec<_>>(), expected);
    }
}
