//! `cargo xtask soak [--runs N]`: what takes too long for every test run: real processes, killed.
//!
//! The members are programs of their own; each ends with one line of JSON, and fails when it found
//! something.

use anyhow::Result;
use clap::Args;

use crate::command::{Invocation, Shell, Streams, demand};
use crate::workspace::Workspace;

/// How long to soak.
#[derive(Debug, Clone, Copy, Args)]
pub struct Options {
    /// How many times each member kills its process
    #[arg(long, value_name = "N", default_value_t = 200)]
    runs: u32,
}

/// Runs every member.
pub fn run(workspace: &Workspace, options: Options) -> Result<()> {
    demand(&Shell, &journal(workspace, options), Streams::Inherited).map(drop)
}

/// A store whose writer is killed with `kill -9`.
fn journal(workspace: &Workspace, options: Options) -> Invocation {
    Invocation::new("cargo")
        .args(["run", "-p", "aura-journal", "--example", "soak", "--", &options.runs.to_string()])
        .dir(workspace.root())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_runs_is_handed_on() {
        let here = Workspace::find().unwrap();
        let said = journal(&here, Options { runs: 7 }).to_string();
        assert_eq!(said, "cargo run -p aura-journal --example soak -- 7");
    }
}
