//! `aura-bench NAME [--json]`: the figures of docs/benchmarks, each beside a floor measured in the
//! same run. With `--json` the last line on standard output is one object; the table and the
//! progress are on standard error.

mod choreography;
mod clock;
mod journal;
mod row;

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, ValueEnum};
use row::{Row, table};
use serde_json::json;

/// Figures, each beside a floor.
#[derive(Parser)]
#[command(name = "aura-bench")]
struct Cli {
    /// What is measured
    #[arg(value_enum)]
    name: Bench,
    /// End with a line of JSON
    #[arg(long)]
    json: bool,
    /// Units of the largest ledger that is measured
    #[arg(long, value_name = "UNITS", default_value_t = journal::SIZE_DEFAULT)]
    size: usize,
    /// Measure one size in this process, from a file of units
    #[arg(long, hide = true, value_name = "FILE")]
    part: Option<PathBuf>,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Bench {
    /// Simulated runs, restoring a session, exploration
    Choreography,
    /// The ledger: import, wake, sync, disk, memory, reload, and its Automerge document
    Journal,
}

impl Bench {
    const fn name(self) -> &'static str {
        match self {
            Self::Choreography => "choreography",
            Self::Journal => "journal",
        }
    }

    fn rows(self, size: usize) -> Result<Vec<Row>> {
        match self {
            Self::Choreography => choreography::rows(),
            Self::Journal => journal::rows(size),
        }
    }
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    if let Some(units) = &cli.part {
        return journal::part::run(units, cli.size);
    }
    let rows = cli.name.rows(cli.size)?;
    eprint!("{}", table(&rows));
    if cli.json {
        let answer = json!({ "bench": cli.name.name(), "rows": rows });
        writeln!(std::io::stdout(), "{answer}")?;
    }
    Ok(())
}
