//! `cargo xtask soak [--runs N] [--rounds N] [--modules N]`: what takes too long for every test run: real
//! processes, killed; properties tried on cases that no run tried before; and engines compared on a
//! hundred thousand modules.
//!
//! Each member fails when it found something.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::Args;

use crate::command::{Invocation, Shell, Streams, demand};
use crate::protocols;
use crate::provision::Choice;
use crate::suites::SEED;
use crate::workspace::Workspace;

/// How long to soak.
#[derive(Debug, Clone, Copy, Args)]
pub struct Options {
    /// How many times each member kills its process
    #[arg(long, value_name = "N", default_value_t = 200)]
    runs: u32,
    /// How many rounds of new cases the properties are tried on
    #[arg(long, value_name = "N", default_value_t = 20)]
    rounds: u64,
    /// The seed of the first round; the others follow it. Without one, from the clock
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// How many generated modules the engines are compared on
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    modules: u64,
}

/// Runs every member.
pub fn run(workspace: &Workspace, choice: Choice, options: Options) -> Result<()> {
    demand(&Shell, &journal(workspace, options), Streams::Inherited)?;
    let first = options.seed.unwrap_or_else(of_the_clock);
    for seed in (0..options.rounds).map(|it| first.wrapping_add(it)) {
        println!("properties: seed {seed}");
        demand(&Shell, &properties(workspace, seed), Streams::Inherited)?;
    }
    protocols::ensure(workspace, choice)?;
    demand(&Shell, &engines(workspace, options), Streams::Inherited).map(drop)
}

/// A store whose writer is killed with `kill -9`.
fn journal(workspace: &Workspace, options: Options) -> Invocation {
    Invocation::new("cargo")
        .args(["run", "-p", "aura-journal", "--example", "soak", "--", &options.runs.to_string()])
        .dir(workspace.root())
}

/// The crates whose properties are tried: those that know no clock and no randomness of their own.
const PURE: [&str; 7] = [
    "protocol-core",
    "crypto",
    "journal",
    "choreography",
    "distribution",
    "coordination",
    "testkit",
];

/// The tests of the pure crates, with the cases of this seed. A property that fails names its case.
fn properties(workspace: &Workspace, seed: u64) -> Invocation {
    Invocation::new("cargo")
        .args(["test", "--quiet", "--lib", "--test=it"])
        .args(PURE.map(|it| format!("--package=aura-{it}")))
        .env(SEED, seed.to_string())
        .dir(workspace.root())
}

fn of_the_clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs())
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
        let options = Options { runs: 7, rounds: 1, seed: None, modules: 9 };
        let said = journal(&here, options).to_string();
        assert_eq!(said, "cargo run -p aura-journal --example soak -- 7");
        let tried = properties(&here, 5).to_string();
        assert!(tried.contains("--lib --test=it --package=aura-protocol-core"), "{tried}");
        assert_ne!(properties(&here, 5), properties(&here, 6));
        let said = engines(&here, options).to_string();
        let run = "cargo run --release -p aura-wasm-host --features=engine-wasmi";
        assert_eq!(said, format!("{run} --example differential -- 9"));
    }
}
