//! `cargo xtask sim`: builds the simulator and hands it everything else on the line.

use anyhow::Result;
use clap::Args;

use crate::command::{Invocation, Shell, Streams, demand};
use crate::workspace::Workspace;

/// What the task understands itself; the rest is the simulator's.
#[derive(Args)]
pub struct Options {
    /// Build optimised: slower to build, several times as many runs a second
    #[arg(long)]
    release: bool,
    /// For the simulator; `cargo xtask sim --help-all` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    rest: Vec<String>,
}

/// Builds the simulator, then runs it. What it finds is the task's failure.
pub fn run(workspace: &Workspace, options: Options) -> Result<()> {
    demand(&Shell, &build(workspace, &options), Streams::ToStderr)?;
    demand(&Shell, &simulate(workspace, &options), Streams::Inherited).map(drop)
}

const BINARY: [&str; 2] = ["--package=aura-simulator", "--bin=aura-sim"];

fn build(workspace: &Workspace, options: &Options) -> Invocation {
    let call = Invocation::new("cargo").args(["build", "--quiet"]).args(BINARY);
    let call = if options.is_release() { call.arg("--release") } else { call };
    call.dir(workspace.root())
}

fn simulate(workspace: &Workspace, options: &Options) -> Invocation {
    let call = Invocation::new("cargo").args(["run", "--quiet"]).args(BINARY);
    let call = if options.is_release() { call.arg("--release") } else { call };
    call.arg("--").args(options.passed_on()).dir(workspace.root())
}

impl Options {
    /// So many runs of every shipped protocol, built as everything else is.
    pub fn seeds(count: u32) -> Self {
        Self { release: false, rest: vec!["--seeds".to_owned(), count.to_string()] }
    }

    /// Wherever on the line it stands.
    fn is_release(&self) -> bool {
        self.release || self.rest.iter().any(|it| it == "--release")
    }

    fn passed_on(&self) -> impl Iterator<Item = &str> {
        let rest = self.rest.iter().map(String::as_str).filter(|it| *it != "--release");
        rest.map(|it| if it == "--help-all" { "--help" } else { it })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(rest: &[&str]) -> Options {
        Options { release: false, rest: rest.iter().map(|it| (*it).to_owned()).collect() }
    }

    #[test]
    fn all_but_the_profile_is_the_simulators() {
        let workspace = Workspace::find().unwrap();
        let line = options(&["--seeds", "9", "--release", "--json"]);
        assert!(build(&workspace, &line).to_string().contains("aura-sim --release"));
        let call = simulate(&workspace, &line).to_string();
        assert!(call.ends_with("--release -- --seeds 9 --json"), "{call}");
        let call = simulate(&workspace, &options(&["--replay", "dkd L1 seed=1"])).to_string();
        assert!(!call.contains("--release") && call.contains("dkd L1 seed=1"), "{call}");
        let call = simulate(&workspace, &Options::seeds(10_000)).to_string();
        assert!(!call.contains("--release") && call.ends_with("-- --seeds 10000"), "{call}");
    }
}
