//! `aura-explore [NAME] [--json]`: explores the suite, or the models whose names contain NAME. Exits
//! with 1 when one does not come out as it must.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Instant,
};

use aura_simulator::explore::{Case, ExploreError, Report, Verdict, run_suite};
use serde_json::json;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let as_json = arguments.iter().any(|it| it == "--json");
    let names: Vec<&String> = arguments.iter().filter(|it| *it != "--json").collect();
    let filter = match names.as_slice() {
        [] => "",
        [name] if !name.starts_with('-') => name.as_str(),
        _ => return usage(),
    };
    let (mut begin, mut written) = (Instant::now(), Ok(()));
    let fits = run_suite(filter, |case, result, fits| {
        let seconds = begin.elapsed().as_secs_f64();
        let line = if as_json {
            as_object(case, result, fits, seconds)
        } else {
            row(case, result, fits, seconds)
        };
        if written.is_ok() {
            written = writeln!(io::stdout(), "{line}");
        }
        begin = Instant::now();
    });
    match written {
        Ok(()) if fits => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn usage() -> ExitCode {
    let usage = "usage: aura-explore [NAME] [--json]";
    match writeln!(io::stderr(), "{usage}") {
        Ok(()) | Err(_) => ExitCode::from(2),
    }
}

fn row(case: &Case, result: &Result<Report, ExploreError>, fits: bool, seconds: f64) -> String {
    let mark = if fits { "as it must" } else { "WRONG" };
    match result {
        Ok(it) => {
            let verdict = match &it.verdict {
                Verdict::Violated { trace, .. } if fits => {
                    format!("fails in {} steps", trace.steps.len())
                }
                other => other.to_string(),
            };
            format!("{:<44} {:>9} states {seconds:>7.2} s  {mark}: {verdict}", case.name, it.unique)
        }
        Err(error) => format!("{:<44} {mark}: {error}", case.name),
    }
}

fn as_object(
    case: &Case,
    result: &Result<Report, ExploreError>,
    fits: bool,
    seconds: f64,
) -> String {
    let found = match result {
        Ok(it) => json!({
            "unique": it.unique,
            "generated": it.generated,
            "places": it.places,
            "locals": it.locals,
            "runs": it.runs,
            "terminals": it.terminals,
            "verdict": it.verdict.to_string(),
            "trace": match &it.verdict {
                Verdict::Violated { trace, .. } => {
                    trace.steps.iter().map(|step| step.text.clone()).collect::<Vec<_>>()
                }
                Verdict::Holds | Verdict::Capped => Vec::new(),
            },
        }),
        Err(error) => json!({ "error": error.to_string() }),
    };
    json!({ "name": case.name, "as_expected": fits, "seconds": seconds, "found": found })
        .to_string()
}
