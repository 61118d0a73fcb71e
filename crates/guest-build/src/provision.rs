//! Brings a machine to the point where it can compile for WebAssembly.
//!
//! Three ways, tried in turn, each said aloud before it is tried:
//! 1. the pinned toolchain already has `wasm32-unknown-unknown`;
//! 2. `rustup target add` downloads it;
//! 3. on Debian, as root, where rustup cannot download: the distribution's own compiler with the
//!    source of its standard library, which is then built along with the guests.
//!
//! If none works there is one error that names all three and why each failed.

use std::env;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use thiserror::Error;

use crate::command::{Invocation, Runner, Shell, Streams};

/// What guests are compiled for.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// The environment variable that chooses a way when `--wasm-toolchain` is not given.
pub const CHOICE_VARIABLE: &str = "AURA_WASM_TOOLCHAIN";

/// Debian's packages: compiler, cargo, the source of `std`, and the linker for WebAssembly.
const DEBIAN_PACKAGES: [&str; 5] =
    ["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm", "lld-22"];

/// Debian's programs by their full path: rustup's shims come first in `PATH`.
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_LINKER: &str = "/usr/bin/wasm-ld-22";

/// Which way to the target a person allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    /// Each way in turn until one works.
    Auto,
    /// Only what the toolchain has already; nothing is downloaded or installed.
    Installed,
    /// Only `rustup target add`.
    Rustup,
    /// Only the distribution's compiler, building `std` (needs Debian and root).
    Debian,
}

/// The variable names no way.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{CHOICE_VARIABLE} is {value:?}, which is no way to a compiler; there are {}", known())]
pub struct UnknownChoice {
    value: String,
}

fn known() -> String {
    let known = Choice::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    known.map(|it| it.get_name().to_owned()).collect::<Vec<_>>().join(", ")
}

impl Choice {
    /// The flag, else the environment, else every way in turn.
    ///
    /// # Errors
    /// [`UnknownChoice`], when the environment names none.
    pub fn from_flag(flag: Option<Self>) -> Result<Self, UnknownChoice> {
        let variable = || env::var(CHOICE_VARIABLE).ok().filter(|it| !it.is_empty());
        match (flag, variable()) {
            (Some(choice), _) => Ok(choice),
            (None, None) => Ok(Self::Auto),
            (None, Some(value)) => Self::named(value),
        }
    }

    fn named(value: String) -> Result<Self, UnknownChoice> {
        Self::from_str(&value, false).map_err(|_| UnknownChoice { value })
    }
}

/// A compiler that can build guests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Toolchain {
    /// The toolchain of this workspace, whose `std` for the target came compiled.
    Prebuilt,
    /// The distribution's toolchain, which compiles `std` along with the guests.
    Source {
        /// Its cargo.
        cargo: PathBuf,
        /// Its compiler.
        rustc: PathBuf,
        /// Its linker for WebAssembly.
        linker: PathBuf,
    },
}

impl Toolchain {
    /// The program that asks this toolchain's compiler something.
    pub fn rustc(&self) -> Invocation {
        match self {
            Self::Prebuilt => Invocation::new("rustc"),
            Self::Source { rustc, .. } => Invocation::new(rustc),
        }
    }

    /// This toolchain's cargo, set up so that it compiles for [`TARGET`] when told to build.
    pub fn cargo(&self) -> Invocation {
        match self {
            Self::Prebuilt => Invocation::new("cargo"),
            Self::Source { cargo, rustc, linker } => Invocation::new(cargo)
                .env("RUSTC", rustc)
                // `-Z build-std` is unstable; the distribution's compiler is a stable one.
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)
                .env_remove("RUSTUP_TOOLCHAIN"),
        }
    }

    /// What a build needs to be told beyond its usual arguments.
    pub fn build_args(&self) -> &'static [&'static str] {
        match self {
            Self::Prebuilt => &[],
            Self::Source { .. } => &["-Z", "build-std=std,panic_abort"],
        }
    }

    /// Where `std` comes from: two answers, two different sets of bytes.
    pub fn std_origin(&self) -> &'static str {
        match self {
            Self::Prebuilt => "prebuilt",
            Self::Source { .. } => "source",
        }
    }
}

/// The machine as provisioning sees it.
pub trait Machine: Runner {
    /// Whether a file or folder is there.
    fn exists(&self, path: &Path) -> bool;
    /// The names in a folder; none when it cannot be read.
    fn names_in(&self, dir: &Path) -> Vec<String>;
    /// Tells the person at the terminal what happens next.
    fn say(&self, line: &str);
}

impl Machine for Shell {
    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn names_in(&self, dir: &Path) -> Vec<String> {
        let names = |entries: std::fs::ReadDir| {
            entries.filter_map(|it| it.ok()?.file_name().into_string().ok()).collect()
        };
        std::fs::read_dir(dir).map(names).unwrap_or_default()
    }

    fn say(&self, line: &str) {
        eprintln!("provision: {line}");
    }
}

/// Why no compiler for the target could be had, one reason a way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoTarget {
    reasons: Vec<(Way, String)>,
}

impl fmt::Display for NoTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no WebAssembly target on this machine; tried ")?;
        for (index, (way, reason)) in self.reasons.iter().enumerate() {
            let gap = if index == 0 { "" } else { "; " };
            write!(f, "{gap}{}: {reason}", way.name())?;
        }
        write!(
            f,
            ". Next, one of: a toolchain that has {TARGET}; `rustup target add {TARGET}` with a \
             network; as root on Debian, `apt-get install {}`",
            DEBIAN_PACKAGES.join(" ")
        )
    }
}

impl std::error::Error for NoTarget {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Installed,
    Rustup,
    Debian,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Installed => "(1) an installed target",
            Self::Rustup => "(2) `rustup target add`",
            Self::Debian => "(3) Debian's packages",
        }
    }

    fn attempt(self, machine: &impl Machine) -> Result<Toolchain, String> {
        match self {
            Self::Installed => installed(machine),
            Self::Rustup => rustup(machine),
            Self::Debian => debian(machine),
        }
    }
}

/// Finds or installs a compiler for [`TARGET`], by the ways that `choice` allows.
///
/// # Errors
/// [`NoTarget`], with a reason for each way that was tried.
pub fn provision(machine: &impl Machine, choice: Choice) -> Result<Toolchain, NoTarget> {
    let ways: &[Way] = match choice {
        Choice::Auto => &[Way::Installed, Way::Rustup, Way::Debian],
        Choice::Installed => &[Way::Installed],
        Choice::Rustup => &[Way::Rustup],
        Choice::Debian => &[Way::Debian],
    };
    let mut reasons = Vec::new();
    for way in ways {
        match way.attempt(machine) {
            Ok(toolchain) => return Ok(toolchain),
            Err(reason) => {
                machine.say(&format!("{} did not work: {reason}", way.name()));
                reasons.push((*way, reason));
            }
        }
    }
    Err(NoTarget { reasons })
}

/// Way 1. `rustc` names the folder even when it is empty, so the core library is looked for.
fn installed(machine: &impl Machine) -> Result<Toolchain, String> {
    let ask = Invocation::new("rustc").args(["--print", "target-libdir", "--target", TARGET]);
    let answer = captured(machine, &ask)?;
    let dir = Path::new(answer.trim());
    let has_core =
        machine.names_in(dir).iter().any(|it| it.starts_with("libcore-") && it.ends_with(".rlib"));
    if has_core { Ok(Toolchain::Prebuilt) } else { Err(format!("no libcore in {}", dir.display())) }
}

/// Way 2. Believed only when way 1 then finds the target.
fn rustup(machine: &impl Machine) -> Result<Toolchain, String> {
    machine.say(&format!("trying `rustup target add {TARGET}`"));
    shown(machine, &Invocation::new("rustup").args(["target", "add", TARGET]))?;
    installed(machine).map_err(|reason| format!("rustup says done, but there is {reason}"))
}

/// Way 3.
fn debian(machine: &impl Machine) -> Result<Toolchain, String> {
    is_debian(machine)?;
    if debian_missing(machine).is_some() {
        install_from_debian(machine, &DEBIAN_PACKAGES)?;
        if let Some(missing) = debian_missing(machine) {
            return Err(format!("the packages are installed, but {missing} is not there"));
        }
    }
    machine.say("Debian's compiler builds the guests, and std with them");
    Ok(Toolchain::Source {
        cargo: DEBIAN_CARGO.into(),
        rustc: DEBIAN_RUSTC.into(),
        linker: DEBIAN_LINKER.into(),
    })
}

/// Says why nothing of Debian's can be had, if this is another system.
fn is_debian(machine: &impl Machine) -> Result<(), String> {
    let is = machine.exists(Path::new("/etc/debian_version"));
    if is { Ok(()) } else { Err("this is not Debian".to_owned()) }
}

/// Installs packages, as root on Debian.
///
/// # Errors
/// Says why nothing was installed.
pub fn install_from_debian(machine: &impl Machine, packages: &[&str]) -> Result<(), String> {
    is_debian(machine)?;
    if captured(machine, &Invocation::new("id").arg("-u"))?.trim() != "0" {
        return Err("not root, so nothing can be installed".to_owned());
    }
    machine.say(&format!("installing Debian's {}", packages.join(" ")));
    let apt = || Invocation::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive");
    shown(machine, &apt().arg("update"))?;
    let install = apt().args(["install", "--yes", "--no-install-recommends"]);
    shown(machine, &install.args(packages))
}

/// The first thing of way 3 that this machine lacks.
fn debian_missing(machine: &impl Machine) -> Option<String> {
    let lacking = |it: &&str| !machine.exists(Path::new(*it));
    if let Some(program) = [DEBIAN_CARGO, DEBIAN_RUSTC, DEBIAN_LINKER].into_iter().find(lacking) {
        return Some(program.to_owned());
    }
    let ask = Invocation::new(DEBIAN_RUSTC).args(["--print", "sysroot"]);
    let Ok(sysroot) = captured(machine, &ask) else {
        return Some(format!("a {DEBIAN_RUSTC} that answers"));
    };
    let lock = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/Cargo.lock");
    (!machine.exists(&lock)).then(|| lock.display().to_string())
}

/// What a program prints, or why there is nothing.
///
/// # Errors
/// Says how it failed.
pub fn captured(machine: &impl Machine, invocation: &Invocation) -> Result<String, String> {
    let ran =
        machine.run(invocation, Streams::Captured).map_err(|it| not_started(invocation, &it))?;
    if !ran.success() {
        return Err(format!("`{invocation}` failed ({})", ran.failure()));
    }
    Ok(String::from_utf8_lossy(&ran.stdout).into_owned())
}

/// Runs a program that shows what it does.
///
/// # Errors
/// Says how it failed.
pub fn shown(machine: &impl Machine, invocation: &Invocation) -> Result<(), String> {
    let ran =
        machine.run(invocation, Streams::ToStderr).map_err(|it| not_started(invocation, &it))?;
    if ran.success() { Ok(()) } else { Err(format!("`{invocation}` failed ({})", ran.failure())) }
}

fn not_started(invocation: &Invocation, error: &io::Error) -> String {
    format!("`{invocation}` could not be started ({error})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Ran;
    use crate::command::fake::FakeRunner;
    use std::cell::Cell;

    const ASK: &str = "rustc --print target-libdir --target wasm32-unknown-unknown";
    const SOURCE_LOCK: &str = "/usr/lib/rustlib/src/rust/library/Cargo.lock";

    /// A machine with the files it is given; some appear only after a command was run.
    struct Fake {
        runner: FakeRunner,
        files: Vec<&'static str>,
        after: Option<(&'static str, Vec<&'static str>)>,
        appeared: Cell<bool>,
    }

    impl Fake {
        fn new(runner: FakeRunner, files: &[&'static str]) -> Self {
            Self { runner, files: files.to_vec(), after: None, appeared: Cell::new(false) }
        }

        fn after(mut self, command: &'static str, files: &[&'static str]) -> Self {
            self.after = Some((command, files.to_vec()));
            self
        }

        fn files(&self) -> Vec<&'static str> {
            let later = self.after.iter().filter(|_| self.appeared.get());
            self.files.iter().chain(later.flat_map(|(_, files)| files)).copied().collect()
        }
    }

    impl Runner for Fake {
        fn run(&self, invocation: &Invocation, streams: Streams) -> io::Result<Ran> {
            if let Some((command, _)) = &self.after
                && invocation.to_string().starts_with(command)
            {
                self.appeared.set(true);
            }
            self.runner.run(invocation, streams)
        }
    }

    impl Machine for Fake {
        fn exists(&self, path: &Path) -> bool {
            self.files().iter().any(|it| Path::new(it) == path)
        }

        fn names_in(&self, dir: &Path) -> Vec<String> {
            let inside = |it: &str| Path::new(it).strip_prefix(dir).ok().map(|it| it.to_path_buf());
            self.files().iter().filter_map(|it| inside(it)?.to_str().map(str::to_owned)).collect()
        }

        fn say(&self, _line: &str) {}
    }

    fn debian_ready() -> Vec<&'static str> {
        vec![DEBIAN_CARGO, DEBIAN_RUSTC, DEBIAN_LINKER, SOURCE_LOCK]
    }

    #[test]
    fn an_installed_target_is_used_and_nothing_else_is_run() {
        let machine =
            Fake::new(FakeRunner::default().on(ASK, 0, "/lib/w\n"), &["/lib/w/libcore-1.rlib"]);
        assert_eq!(provision(&machine, Choice::Auto), Ok(Toolchain::Prebuilt));
        assert_eq!(machine.runner.commands(), [ASK]);
    }

    #[test]
    fn a_target_folder_without_core_is_not_a_target() {
        let machine =
            Fake::new(FakeRunner::default().on(ASK, 0, "/lib/w\n"), &["/lib/w/libstd-1.rlib"]);
        let error = provision(&machine, Choice::Installed).unwrap_err();
        assert!(error.to_string().contains("no libcore in /lib/w"), "{error}");
        assert_eq!(machine.runner.commands(), [ASK]);
    }

    #[test]
    fn rustup_adds_what_is_missing() {
        let runner = FakeRunner::default().on(ASK, 0, "/lib/w\n").on("rustup target add", 0, "");
        let machine = Fake::new(runner, &[]).after("rustup", &["/lib/w/libcore-1.rlib"]);
        assert_eq!(provision(&machine, Choice::Auto), Ok(Toolchain::Prebuilt));
        let add = "rustup target add wasm32-unknown-unknown";
        assert_eq!(machine.runner.commands(), [ASK, add, ASK]);
    }

    #[test]
    fn rustup_is_not_believed_on_its_word() {
        let runner = FakeRunner::default().on(ASK, 0, "/lib/w\n").on("rustup target add", 0, "");
        let error = provision(&Fake::new(runner, &[]), Choice::Rustup).unwrap_err();
        assert!(error.to_string().contains("rustup says done, but"), "{error}");
    }

    #[test]
    fn debian_installs_its_compiler_where_rustup_cannot_download() {
        let runner = FakeRunner::default()
            .on(ASK, 0, "/lib/w\n")
            .on("rustup target add", 1, "")
            .on("id -u", 0, "0\n")
            .on("apt-get", 0, "")
            .on("/usr/bin/rustc --print sysroot", 0, "/usr\n");
        let machine =
            Fake::new(runner, &["/etc/debian_version"]).after("apt-get install", &debian_ready());
        let toolchain = provision(&machine, Choice::Auto).unwrap();
        assert_eq!(toolchain.std_origin(), "source");
        assert_eq!(toolchain.build_args(), ["-Z", "build-std=std,panic_abort"]);
        let commands = machine.runner.commands();
        let install = "apt-get install --yes --no-install-recommends \
                       rustc-web cargo-web rust-web-src rust-web-llvm lld-22";
        assert!(commands.contains(&"apt-get update".to_owned()), "{commands:?}");
        assert!(commands.contains(&install.to_owned()), "{commands:?}");
        let frontend = machine.runner.env_of("apt-get install", "DEBIAN_FRONTEND");
        assert_eq!(frontend, Some("noninteractive".into()));
    }

    #[test]
    fn debian_installs_nothing_that_is_there() {
        let runner = FakeRunner::default().on("/usr/bin/rustc --print sysroot", 0, "/usr\n");
        let files = [&["/etc/debian_version"][..], &debian_ready()].concat();
        let machine = Fake::new(runner, &files);
        assert!(provision(&machine, Choice::Debian).is_ok());
        assert_eq!(machine.runner.commands(), ["/usr/bin/rustc --print sysroot"]);
    }

    #[test]
    fn debian_names_the_piece_that_is_still_missing() {
        let runner = FakeRunner::default().on("id -u", 0, "0\n").on("apt-get", 0, "").on(
            "/usr/bin/rustc --print sysroot",
            0,
            "/usr\n",
        );
        let machine = Fake::new(runner, &["/etc/debian_version"])
            .after("apt-get install", &[DEBIAN_CARGO, DEBIAN_RUSTC, DEBIAN_LINKER]);
        let error = provision(&machine, Choice::Debian).unwrap_err().to_string();
        assert!(error.contains(SOURCE_LOCK), "{error}");
    }

    #[test]
    fn without_root_debian_installs_nothing() {
        let runner = FakeRunner::default().on("id -u", 0, "1000\n");
        let machine = Fake::new(runner, &["/etc/debian_version"]);
        let error = provision(&machine, Choice::Debian).unwrap_err().to_string();
        assert!(error.contains("(3) Debian's packages: not root"), "{error}");
        assert_eq!(machine.runner.commands(), ["id -u"]);
    }

    #[test]
    fn when_no_way_works_one_line_names_all_three() {
        let runner = FakeRunner::default().on(ASK, 0, "/lib/w\n");
        let error = provision(&Fake::new(runner, &[]), Choice::Auto).unwrap_err().to_string();
        assert_eq!(
            error,
            "no WebAssembly target on this machine; tried (1) an installed target: no libcore in \
             /lib/w; (2) `rustup target add`: `rustup target add wasm32-unknown-unknown` could not \
             be started (no such program); (3) Debian's packages: this is not Debian. Next, one \
             of: a toolchain that has wasm32-unknown-unknown; `rustup target add \
             wasm32-unknown-unknown` with a network; as root on Debian, `apt-get install rustc-web \
             cargo-web rust-web-src rust-web-llvm lld-22`"
        );
    }

    #[test]
    fn an_unknown_way_is_answered_with_the_known_ones() {
        let text = "AURA_WASM_TOOLCHAIN is \"x\", which is no way to a compiler; there are auto, \
                    installed, rustup, debian";
        assert_eq!(Choice::named("x".into()).unwrap_err().to_string(), text);
        assert_eq!(Choice::named("debian".into()), Ok(Choice::Debian));
        assert_eq!(Choice::from_flag(Some(Choice::Rustup)), Ok(Choice::Rustup));
    }

    #[test]
    fn each_way_can_be_forced() {
        let tried = |choice| {
            let machine = Fake::new(FakeRunner::default().on(ASK, 0, "/lib/w\n"), &[]);
            provision(&machine, choice).unwrap_err().reasons.into_iter().map(|it| it.0).collect()
        };
        let check = |choice, ways: &[Way]| {
            let found: Vec<Way> = tried(choice);
            assert_eq!(found, ways);
        };
        check(Choice::Installed, &[Way::Installed]);
        check(Choice::Rustup, &[Way::Rustup]);
        check(Choice::Debian, &[Way::Debian]);
        check(Choice::Auto, &[Way::Installed, Way::Rustup, Way::Debian]);
    }
}
