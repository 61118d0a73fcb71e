//! `cargo xtask bench NAME [--json]`: the figures of docs/benchmarks, measured again.

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::command::{Invocation, Shell, Streams, demand};
use crate::workspace::Workspace;

/// What to measure.
#[derive(Debug, Clone, Copy, Args)]
pub struct Options {
    /// What is measured
    #[arg(value_enum)]
    name: Bench,
    /// End with a line of JSON
    #[arg(long)]
    json: bool,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Bench {
    /// Simulated runs, restoring a session, exploration
    Choreography,
}

impl Bench {
    const fn name(self) -> &'static str {
        match self {
            Self::Choreography => "choreography",
        }
    }
}

/// Measures, optimised.
pub fn run(workspace: &Workspace, options: Options) -> Result<()> {
    demand(&Shell, &invocation(workspace, options), Streams::Inherited).map(drop)
}

fn invocation(workspace: &Workspace, options: Options) -> Invocation {
    Invocation::new("cargo")
        .args(["run", "--release", "-p", "aura-benches", "--", options.name.name()])
        .args(options.json.then_some("--json"))
        .dir(workspace.root())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_and_the_form_are_handed_on() {
        let here = Workspace::find().unwrap();
        let said =
            |json| invocation(&here, Options { name: Bench::Choreography, json }).to_string();
        let run = "cargo run --release -p aura-benches -- choreography";
        assert_eq!(said(false), run);
        assert_eq!(said(true), format!("{run} --json"));
    }
}
