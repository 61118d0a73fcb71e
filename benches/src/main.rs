//! `aura-bench NAME [--json]`: the figures of docs/benchmarks, each beside a floor measured in the
//! same run. With `--json` the last line on standard output is one object; the table and the
//! progress are on standard error.

mod choreography;
mod clock;
mod row;

use std::{io::Write as _, process::ExitCode};

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

    fn rows(self) -> Result<Vec<Row>> {
        match self {
            Self::Choreography => choreography::rows(),
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
    let rows = cli.name.rows()?;
    eprint!("{}", table(&rows));
    if cli.json {
        let answer = json!({ "bench": cli.name.name(), "rows": rows });
        writeln!(std::io::stdout(), "{answer}")?;
    }
    Ok(())
}
