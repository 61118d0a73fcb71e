//! `aura-explore [NAME] [--json]`: explores the suite, or the models whose names contain NAME. Exits
//! with 1 when one does not come out as it must.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Instant,
};

use aura_simulator::{
    certificates::{CertificateCase, CertificateError, Finding, run_certificate_suite},
    explore::{Case, ExploreError, Report, Verdict, run_suite, suite},
};
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
    let mut say = |line: String| {
        if written.is_ok() {
            written = writeln!(io::stdout(), "{line}");
        }
    };
    let (certified, count) = run_certificate_suite(filter, |case, result| {
        let seconds = begin.elapsed().as_secs_f64();
        say(certificate_line(case, result, seconds, as_json));
        begin = Instant::now();
    });
    let none = 0 < count && !suite().iter().any(|it| it.name.contains(filter));
    let fits = none
        || run_suite(filter, |case, result, fits| {
            let seconds = begin.elapsed().as_secs_f64();
            let line = if as_json {
                as_object(case, result, fits, seconds)
            } else {
                row(case, result, fits, seconds)
            };
            say(line);
            begin = Instant::now();
        });
    match written {
        Ok(()) if fits && certified => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn usage() -> ExitCode {
    let usage = "usage: aura-explore [NAME] [--json]";
    match writeln!(io::stderr(), "{usage}") {
        Ok(()) | Err(_) => ExitCode::from(2),
    }
}

/// A line on a model of the control chain.
fn certificate_line(
    case: &CertificateCase,
    result: &Result<(usize, Finding, bool), CertificateError>,
    seconds: f64,
    as_json: bool,
) -> String {
    if as_json {
        let found = match result {
            Ok((states, finding, _)) => json!({
                "unique": states,
                "verdict": finding.to_string(),
                "trace": match finding {
                    Finding::Conflict(steps) => steps.clone(),
                    Finding::Holds | Finding::Parts => Vec::new(),
                },
            }),
            Err(error) => json!({ "error": error.to_string() }),
        };
        let fits = result.as_ref().is_ok_and(|it| it.2);
        return json!({ "name": case.name, "as_expected": fits, "seconds": seconds, "found": found })
            .to_string();
    }
    match result {
        Ok((states, finding, fits)) => {
            let mark = if *fits { "as it must" } else { "WRONG" };
            format!("{:<44} {states:>9} states {seconds:>7.2} s  {mark}: {finding}", case.name)
        }
        Err(error) => format!("{:<44} WRONG: {error}", case.name),
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
