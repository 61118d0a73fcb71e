//! `aura-sim`: many simulated runs, or one again.
//!
//! The last line on standard output is one JSON object with `--json`; progress is on standard error.
//! Exit codes: 0 nothing found, 1 something found, 2 not understood.

use std::{collections::BTreeMap, io::Write as _, process::ExitCode, time::Instant};

use anyhow::{Context as _, Result, anyhow};
use aura_simulator::{
    campaign::Campaign,
    plan::{Depth, Replay},
    protocols::{self, Protocol},
    subject::{Failure, Subject},
};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

/// Simulated runs of choreographies with everything that goes wrong.
#[derive(Parser)]
#[command(name = "aura-sim")]
struct Cli {
    /// How many seeds to run
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// One protocol instead of all that must hold
    #[arg(long)]
    protocol: Option<String>,
    /// What is simulated of a device: L1 its sessions, L2 its ledger too, L2-keyed the same with hashes
    /// for signatures
    #[arg(long, default_value = "L1")]
    level: Depth,
    /// How many devices take part [default: 3 to 6, by seed]
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=64))]
    devices: Option<u8>,
    /// How many threads [default: one a core]
    #[arg(long)]
    threads: Option<usize>,
    /// End with a line of JSON
    #[arg(long)]
    json: bool,
    /// Run one plan again, and tell what happens
    #[arg(long, value_name = "LINE")]
    replay: Option<String>,
    /// Tell it as a Mermaid sequence diagram
    #[arg(long, requires = "replay")]
    diagram: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match &cli.replay {
        Some(line) => replay(line, cli.json, cli.diagram),
        None => campaign(&cli),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn find(name: &str) -> Result<&'static Protocol> {
    protocols::find(name).ok_or_else(|| {
        let known = protocols::all().into_iter().chain(protocols::real());
        let known = known.chain(protocols::broken());
        let known: Vec<&str> = known.map(|it| it.name).collect();
        anyhow!("`{name}` is no protocol; there are {}", known.join(", "))
    })
}

fn campaign(cli: &Cli) -> Result<bool> {
    let protocols = match &cli.protocol {
        Some(name) => vec![find(name)?],
        None => protocols::all().to_vec(),
    };
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let end = cli.from.checked_add(cli.seeds).context("there are no seeds behind the last")?;
    let campaign = Campaign {
        protocols,
        level: cli.level,
        devices: cli.devices,
        seeds: cli.from..end,
        threads: cli.threads.unwrap_or_else(cores),
    };
    let bar = ProgressBar::new(cli.seeds);
    let style = "{bar:40} {pos}/{len} runs, {per_sec}, {eta} left";
    bar.set_style(ProgressStyle::with_template(style)?);
    let begin = Instant::now();
    let report = campaign.run(&|done| bar.inc(done)).map_err(|why| anyhow!(why))?;
    let seconds = begin.elapsed().as_secs_f64();
    bar.finish_and_clear();
    let failure = campaign.explain(&report);
    let runs_per_s = (report.runs as f64 / seconds).round();
    let [finished, aborted, left] = report.outcomes;
    eprintln!(
        "{} runs in {seconds:.2} s ({runs_per_s:.0}/s), {} events; devices: {finished} finished, \
         {aborted} aborted, {left} gave up; {} runs failed; trace hash {:016x}",
        report.runs, report.events, report.failed, report.trace_hash
    );
    eprintln!("faults: {}; shown: {}", counted(&report.faults), counted(&report.shown));
    if let Some(failure) = &failure {
        eprintln!("first failure: {}", failure.violation);
        eprintln!("  run it again:    --replay '{}'", failure.replay);
        eprintln!("  smallest like it: --replay '{}'", failure.smallest);
    }
    let json = json!({
        "seeds": report.runs,
        "level": cli.level.to_string(),
        "failed": report.failed,
        "trace_hash": format!("{:016x}", report.trace_hash),
        "runs_per_s": runs_per_s,
        "faults": report.faults,
        "shown": report.shown,
        "first_failure": failure.as_ref().map(described),
    });
    answer(cli.json, &json)?;
    Ok(report.failed == 0)
}

/// Counts by class, those above nought.
fn counted(counts: &BTreeMap<&'static str, u64>) -> String {
    let some = counts.iter().filter(|it| *it.1 != 0);
    some.map(|(class, count)| format!("{count} {class}")).collect::<Vec<_>>().join(", ")
}

fn described(failure: &Failure) -> Value {
    json!({
        "protocol": failure.replay.protocol,
        "seed": failure.replay.plan.seed,
        "code": failure.violation.code(),
        "violation": failure.violation.to_string(),
        "replay": failure.replay.to_string(),
        "smallest": failure.smallest.to_string(),
    })
}

fn replay(line: &str, json: bool, diagram: bool) -> Result<bool> {
    let replay: Replay = line.parse()?;
    let mut subject = Subject::new(find(&replay.protocol)?, replay.level);
    let (run, trace) = subject.trace(&replay.plan);
    let violation = run.violation.as_ref().map(ToString::to_string);
    let mut out = std::io::stdout().lock();
    if diagram {
        write!(out, "{}", trace.diagram())?;
    } else if !json {
        write!(out, "{}", trace.text())?;
    }
    match &violation {
        Some(violation) => eprintln!("broken: {violation}"),
        None => eprintln!("every promise was kept"),
    }
    let hash = format!("{:016x}", run.hash);
    let told = json!({ "run": line, "violation": violation, "trace_hash": hash, "trace": trace });
    drop(out);
    answer(json, &told)?;
    Ok(violation.is_none())
}

/// The last line on standard output.
fn answer(wanted: bool, json: &Value) -> Result<()> {
    if wanted {
        writeln!(std::io::stdout(), "{json}")?;
    }
    Ok(())
}
