//! `cargo xtask soak [--runs N] [--modules N]`: what takes too long for every test run: real processes,
//! killed; and engines compared on a hundred thousand modules.
//!
//! The members are programs of their own; each ends with one line of JSON, and fails when it found
//! something.

use anyhow::Result;
use clap::Args;

use crate::command::{Invocation, Shell, Streams, demand};
use crate::protocols;
use crate::provision::Choice;
use crate::workspace::Workspace;

/// How long to soak.
#[derive(Debug, Clone, Copy, Args)]
pub struct Options {
    /// How many times each member kills its process
    #[arg(long, value_name = "N", default_value_t = 200)]
    runs: u32,
    /// How many generated modules the engines are compared on
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    modules: u64,
}

/// Runs every member.
pub fn run(workspace: &Workspace, choice: Choice, options: Options) -> Result<()> {
    demand(&Shell, &journal(workspace, options), Streams::Inherited)?;
    protocols::ensure(workspace, choice)?;
    demand(&Shell, &engines(workspace, options), Streams::Inherited).map(drop)
}

/// A store whose writer is killed with `kill -9`.
fn journal(workspace: &Workspace, options: Options) -> Invocation {
    Invocation::new("cargo")
        .args(["run", "-p", "aura-journal", "--example", "soak", "--", &options.runs.to_string()])
        .dir(workspace.root())
}

/// Every engine on the same generated modules, the corpus and the guests: equal results, fuel and memory.
fn engines(workspace: &Workspace, options: Options) -> Invocation {
    Invocation::new("cargo")
        .args(["run", "--release", "-p", "aura-wasm-host", "--features=engine-wasmi"])
        .args(["--example", "differential", "--", &options.modules.to_string()])
        .dir(workspace.root())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_handed_on() {
        let here = Workspace::find().unwrap();
        let options = Options { runs: 7, modules: 9 };
        let said = journal(&here, options).to_string();
        assert_eq!(said, "cargo run -p aura-journal --example soak -- 7");
        let said = engines(&here, options).to_string();
        let run = "cargo run --release -p aura-wasm-host --features=engine-wasmi";
        assert_eq!(said, format!("{run} --example differential -- 9"));
    }
}
