//! `cargo xtask ci`: all of CI, in one command that a developer can run too.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::demo;
use crate::lint;
use crate::protocols::{self, Options};
use crate::provision::Choice;
use crate::sim;
use crate::suites;
use crate::tidy;
use crate::workspace::Workspace;

/// One step: what it is called and what it does.
type Step<'a> = (&'static str, Box<dyn FnOnce() -> Result<()> + 'a>);

/// Runs that CI simulates; a nightly one or a release takes more.
const SIMULATED_RUNS: u32 = 10_000;

/// Runs each step in order; the first failure ends the run.
pub fn run(workspace: &Workspace, choice: Choice) -> Result<()> {
    let mut report = Report::default();
    let outcome = in_order(steps(workspace, choice), &mut report);
    println!("{}", report.text(outcome.is_ok()));
    outcome
}

fn steps(workspace: &Workspace, choice: Choice) -> Vec<Step<'_>> {
    let check = Options { check: true, bless: false };
    vec![
        ("tidy", Box::new(|| tidy::run(workspace))),
        ("lint", Box::new(move || lint::run(workspace, choice))),
        ("protocols", Box::new(move || protocols::run(workspace, choice, check))),
        ("test", Box::new(move || suites::run(workspace, choice, None))),
        ("sim", Box::new(|| sim::run(workspace, sim::Options::seeds(SIMULATED_RUNS)))),
        ("demo", Box::new(move || demo::run(workspace, choice, demo::Options::default()))),
    ]
}

fn in_order(steps: Vec<Step<'_>>, report: &mut Report) -> Result<()> {
    let count = steps.len();
    for (index, (name, step)) in steps.into_iter().enumerate() {
        println!("ci: {name} ({} of {count})", index + 1);
        let start = Instant::now();
        let outcome = step();
        report.lines.push((name, outcome.is_ok(), start.elapsed()));
        outcome.with_context(|| format!("ci stopped at {name}"))?;
    }
    Ok(())
}

/// What happened, for the end of the output.
#[derive(Default)]
struct Report {
    lines: Vec<(&'static str, bool, Duration)>,
}

impl Report {
    fn text(&self, ok: bool) -> String {
        let mut text = String::new();
        for (name, ok, time) in &self.lines {
            let word = if *ok { "ok" } else { "FAILED" };
            text.push_str(&format!("ci: {name:<10} {word:<6} {:>7.1} s\n", time.as_secs_f64()));
        }
        let total: Duration = self.lines.iter().map(|it| it.2).sum();
        let word = if ok { "everything passed" } else { "failed" };
        text.push_str(&format!("ci: {word} in {:.1} s", total.as_secs_f64()));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;
    use std::cell::Cell;

    /// What a change has to pass, cheapest first: the help of `cargo xtask` names the same.
    #[test]
    fn ci_is_these_steps() {
        let here = Workspace::find().unwrap();
        let names: Vec<_> = steps(&here, Choice::Auto).into_iter().map(|it| it.0).collect();
        assert_eq!(names, ["tidy", "lint", "protocols", "test", "sim", "demo"]);
    }

    #[test]
    fn the_first_failure_ends_the_run_and_is_named() {
        let reached = Cell::new(false);
        let steps: Vec<Step<'_>> = vec![
            ("one", Box::new(|| Ok(()))),
            ("two", Box::new(|| bail!("two broke"))),
            (
                "three",
                Box::new(|| {
                    reached.set(true);
                    Ok(())
                }),
            ),
        ];
        let mut report = Report::default();
        let error = in_order(steps, &mut report).unwrap_err();
        assert_eq!(format!("{error:#}"), "ci stopped at two: two broke");
        assert!(!reached.get());
        let text = report.text(false);
        let words: Vec<Vec<&str>> =
            text.lines().map(|it| it.split_whitespace().take(3).collect()).collect();
        assert_eq!(words[0], ["ci:", "one", "ok"]);
        assert_eq!(words[1], ["ci:", "two", "FAILED"]);
        assert!(text.lines().last().unwrap().starts_with("ci: failed in"), "{text}");
    }
}
