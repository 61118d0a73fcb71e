//! `cargo xtask bench NAME [--json]`: the figures of docs/benchmarks, measured again.

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::command::{Invocation, Shell, Streams, demand};
use crate::protocols;
use crate::provision::Choice;
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
    /// Units of the largest ledger that is measured
    #[arg(long, value_name = "UNITS")]
    size: Option<usize>,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Bench {
    /// Simulated runs, restoring a session, exploration
    Choreography,
    /// Gate, engines and host, beside native code
    Modules,
    /// The ledger: import, wake, sync, disk, memory, reload, and its Automerge document
    Journal,
}

impl Bench {
    /// Where its program is. Engines are known to one crate alone, which therefore measures them.
    const fn program(self) -> &'static [&'static str] {
        match self {
            Self::Choreography => {
                &["--profile", "bench", "-p", "aura-benches", "--", "choreography"]
            }
            Self::Modules => &["--release", "-p", "aura-wasm-host", "--example", "figures", "--"],
            Self::Journal => &["--release", "-p", "aura-benches", "--", "journal"],
        }
    }
}

/// Measures, optimised.
pub fn run(workspace: &Workspace, choice: Choice, options: Options) -> Result<()> {
    if matches!(options.name, Bench::Modules) {
        protocols::ensure(workspace, choice)?;
    }
    demand(&Shell, &invocation(workspace, options), Streams::Inherited).map(drop)
}

fn invocation(workspace: &Workspace, options: Options) -> Invocation {
    Invocation::new("cargo")
        .arg("run")
        .args(options.name.program())
        .args(options.json.then_some("--json"))
        .args(options.size.map(|it| format!("--size={it}")))
        .dir(workspace.root())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_and_the_form_are_handed_on() {
        let here = Workspace::find().unwrap();
        let said = |name, json, size| invocation(&here, Options { name, json, size }).to_string();
        let run = "cargo run --profile bench -p aura-benches -- choreography";
        assert_eq!(said(Bench::Choreography, false, None), run);
        assert_eq!(said(Bench::Choreography, true, None), format!("{run} --json"));
        let run = "cargo run --release -p aura-benches -- journal --json --size=1000";
        assert_eq!(said(Bench::Journal, true, Some(1000)), run);
        let run = "cargo run --release -p aura-wasm-host --example figures --";
        assert_eq!(said(Bench::Modules, true, None), format!("{run} --json"));
    }
}
