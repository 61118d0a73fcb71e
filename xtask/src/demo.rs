//! `cargo xtask demo`: the main job, on real parts; `cargo xtask demo recovery`: guardians.
//!
//! Five `aura run` processes on loopback make one account, run a protocol together, and change it
//! while they run. Everything is asked of them through the `aura` command, as a person would; what
//! the summary says was read from its answers. `--keep` leaves the stores for anyone who doubts it.

mod aura;
mod deadline;
mod device;
mod files;
mod guarded;
pub mod hostile;
pub mod leash;
mod process;
mod session;
mod steps;
mod summary;
mod timeline;
mod world;

use std::fmt;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::command::{Invocation, Shell, Streams, demand};
use crate::protocols;
use crate::provision::Choice;
use crate::workspace::Workspace;
use steps::STEPS;
use summary::Summary;
use timeline::Timeline;
use world::{Modules, World};

/// What a demo shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Job {
    /// Devices run a protocol together, and change it while they run
    Main,
    /// Two of three devices are lost, and guardians bring the account back
    Recovery,
}

/// How the demo is run.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// What is shown
    #[arg(value_enum, default_value_t = Job::Main)]
    job: Job,
    /// How many devices the account has
    #[arg(long, default_value_t = DEVICES_DEFAULT, value_parser = clap::value_parser!(u8).range(4..=9))]
    devices: u8,
    /// Leave the stores and logs in DIR, which must be new or empty
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Print one JSON object as the last line of standard output
    #[arg(long)]
    json: bool,
}

/// A small test that is built beside the program. Cargo unites the features of dependencies over
/// what it is asked for: asked for the program alone it would choose fewer than for the tests, and
/// compile the network and the sandbox a second time.
const FEATURE_TEST: &str = "tasks";

/// The account of the main job. Fewer than four leave no quorum once one is stopped and two stay
/// on the old version; more than nine only take time.
const DEVICES_DEFAULT: u8 = 5;

impl Default for Options {
    fn default() -> Self {
        Self { job: Job::Main, devices: DEVICES_DEFAULT, keep: None, json: false }
    }
}

/// What went wrong, and on which device if it was one device's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The device's name.
    pub device: Option<String>,
    /// What it said or did not do.
    pub reason: String,
}

impl Fault {
    /// A fault of nobody's in particular.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { device: None, reason: reason.into() }
    }

    /// A fault seen on `device`.
    pub fn on(device: &str, reason: impl Into<String>) -> Self {
        Self { device: Some(device.to_owned()), reason: reason.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(device) = &self.device {
            write!(f, "device {device}: ")?;
        }
        write!(f, "{}", self.reason)
    }
}

impl std::error::Error for Fault {}

/// A host of its own for a device: a network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The namespace's file.
    pub namespace: PathBuf,
    /// The address that the device listens at.
    pub address: Ipv4Addr,
}

/// Is told of each step before it begins.
pub trait Watch {
    /// The step's key.
    fn step(&mut self, key: &str);
}

/// Nobody looks on.
struct Unwatched;

impl Watch for Unwatched {
    fn step(&mut self, _key: &str) {}
}

/// Runs the main job with each device on a host of its own.
pub fn run_on(program: &Path, modules: &Path, sites: &[Site], watch: &mut dyn Watch) -> Result<()> {
    let place = Place::make(None)?;
    let modules = Modules::find(modules)?;
    let world = World::new(program.to_owned(), place.path(), modules, sites.len());
    let mut world = world.on(sites);
    let mut summary = Summary::default();
    let outcome = play(&mut world, &mut summary, watch);
    let facts = world.end();
    if outcome.is_ok() {
        println!("{}", summary.table(&facts));
    }
    place.close(outcome)
}

/// Runs the demo.
pub fn run(workspace: &Workspace, choice: Choice, options: Options) -> Result<()> {
    if options.job == Job::Recovery {
        return run_recovery(workspace, &options);
    }
    let binary = prepare(workspace, choice)?;
    let place = Place::make(options.keep.as_deref())?;
    let modules = Modules::find(&workspace.modules())?;
    let mut world = World::new(binary, place.path(), modules, usize::from(options.devices));
    let mut summary = Summary::default();
    let outcome = play(&mut world, &mut summary, &mut Unwatched);
    // The devices end here, whatever happened, and before their stores may be removed.
    let facts = world.end();
    if options.json {
        println!("{}", summary.json(&facts, outcome.as_ref().err())?);
    } else if outcome.is_ok() {
        println!("{}", summary.table(&facts));
    }
    place.close(outcome)
}

/// Runs the demo of a recovery, which needs no guests.
fn run_recovery(workspace: &Workspace, options: &Options) -> Result<()> {
    eprintln!("demo: building the aura program");
    let binary = program(workspace)?;
    let place = Place::make(options.keep.as_deref())?;
    let (shown, outcome) = guarded::play(binary, place.path());
    if options.json {
        println!("{}", shown.json(outcome.as_ref().err()));
    }
    place.close(outcome)
}

/// The guests and the `aura` program, built.
pub fn prepare(workspace: &Workspace, choice: Choice) -> Result<PathBuf> {
    protocols::ensure(workspace, choice)?;
    eprintln!("demo: building the aura program");
    program(workspace)
}

/// The `aura` program, built as the tests build it: dependencies are then compiled once for both.
pub fn program(workspace: &Workspace) -> Result<PathBuf> {
    let build = Invocation::new("cargo")
        .args(["build", "--workspace", "--bin", "aura", "--test", FEATURE_TEST])
        .args(["--message-format", "json-render-diagnostics"])
        .dir(workspace.root());
    let ran = demand(&Shell, &build, Streams::StdoutCaptured)?;
    let messages = String::from_utf8_lossy(&ran.stdout).into_owned();
    executable(&messages).context("cargo built no program named aura")
}

/// The program among cargo's messages.
fn executable(messages: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|it| serde_json::from_str(it).ok());
    messages
        .filter(|it: &Value| it.pointer("/target/name").is_some_and(|it| it == "aura"))
        .find_map(|it| Some(PathBuf::from(it.get("executable")?.as_str()?)))
}

/// A step that failed, and how.
#[derive(Debug)]
pub struct Stopped {
    step: &'static str,
    number: usize,
    fault: Fault,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the demo stopped at step {} ({}), {}", self.number, self.step, self.fault)
    }
}

impl std::error::Error for Stopped {}

/// Each step in turn, with its time.
fn play(world: &mut World, summary: &mut Summary, watch: &mut dyn Watch) -> Result<(), Stopped> {
    let timeline = Timeline::start();
    for (index, step) in STEPS.iter().enumerate() {
        let number = index + 1;
        watch.step(step.key);
        timeline.begin(number, STEPS.len(), step.title);
        let start = Instant::now();
        let outcome = (step.run)(world, &timeline);
        summary.took(step, start.elapsed());
        timeline.end(outcome.is_ok(), start.elapsed());
        outcome.map_err(|fault| Stopped { step: step.key, number, fault })?;
    }
    Ok(())
}

/// Where the stores lie.
enum Place {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Place {
    fn make(keep: Option<&Path>) -> Result<Self> {
        let Some(dir) = keep else {
            let made = tempfile::Builder::new().prefix("aura-demo-").tempdir();
            return Ok(Self::Temporary(made.context("no temporary folder can be made")?));
        };
        std::fs::create_dir_all(dir)
            .with_context(|| format!("{} cannot be made", dir.display()))?;
        if std::fs::read_dir(dir)?.next().is_some() {
            bail!("{} is not empty; name a new folder after --keep", dir.display());
        }
        Ok(Self::Kept(std::path::absolute(dir)?))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(dir) => dir.path(),
        }
    }

    /// Ends the demo: what a failed one leaves is kept, with the logs that tell why.
    fn close(self, outcome: Result<(), Stopped>) -> Result<()> {
        let stopped = match (outcome, self) {
            (Ok(()), Self::Kept(path)) => {
                eprintln!(
                    "demo: the stores are in {0}; read one with `aura --store {0}/<device> \
                           status --json`",
                    path.display()
                );
                return Ok(());
            }
            (Ok(()), Self::Temporary(dir)) => {
                return dir.close().context("the temporary folder cannot be removed");
            }
            (Err(stopped), Self::Kept(path)) => (stopped, path),
            (Err(stopped), Self::Temporary(dir)) => (stopped, dir.keep()),
        };
        let (stopped, path) = stopped;
        bail!("{stopped}; the stores and logs are in {}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_step_device_and_reason() {
        let fault = Fault::on("dora", "never became ready");
        let stopped = Stopped { step: "catch_up", number: 7, fault };
        let text = "the demo stopped at step 7 (catch_up), device dora: never became ready";
        assert_eq!(stopped.to_string(), text);
    }

    #[test]
    fn a_folder_with_something_in_it_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("mine"), "").unwrap();
        let error = Place::make(Some(dir.path())).err().unwrap().to_string();
        assert!(error.contains("is not empty"), "{error}");
        assert!(Place::make(Some(&dir.path().join("new/folder"))).is_ok());
    }

    #[test]
    fn what_a_failed_demo_leaves_is_kept_and_named() {
        let place = Place::make(None).unwrap();
        let path = place.path().to_owned();
        let stopped = Stopped { step: "account", number: 1, fault: Fault::new("no") };
        let error = place.close(Err(stopped)).unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
        std::fs::remove_dir(&path).unwrap();
    }

    #[test]
    fn the_program_is_found_among_the_messages() {
        let messages = concat!(
            "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"aura_agent\"},\"executable\":null}\n",
            "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"aura\"},\"executable\":\"/t/aura\"}\n",
        );
        assert_eq!(executable(messages), Some(PathBuf::from("/t/aura")));
        assert_eq!(executable("{\"reason\":\"build-finished\"}"), None);
    }
}
