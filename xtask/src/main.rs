//! The project's tasks: `cargo xtask <task>`.
//!
//! Everything the project does to itself is here, in Rust, and CI runs nothing else. A task finds
//! or installs what it needs, says what it does on standard error, and answers on standard output.
//!
//! Exit codes: 0 done, 1 failed (the last line on standard error says what and what next),
//! 2 not understood.

mod bench;
mod browser;
mod ci;
mod command;
mod demo;
mod lint;
#[cfg_attr(not(target_os = "linux"), path = "net/elsewhere.rs")]
mod net;
mod protocols;
mod sim;
mod soak;
mod suites;
mod tidy;
mod web;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use aura_guest_build::provision::{self, Choice};
use workspace::Workspace;

/// The tasks of the Aura repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
#[command(
    after_help = "New here? `cargo xtask demo` shows what Aura does, `cargo xtask test` shows \
                        that it works.\nExit codes: 0 done, 1 failed, 2 not understood."
)]
struct Cli {
    /// How to get a compiler for WebAssembly [default: auto, or $AURA_WASM_TOOLCHAIN]
    #[arg(long, global = true, value_enum, value_name = "WAY")]
    wasm_toolchain: Option<Choice>,
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// The main job: five devices upgrade a protocol over the wire while it runs
    Demo(demo::Options),
    /// Everything a fresh machine needs, then every test, or one suite's
    Test {
        /// A group of crates or one crate
        suite: Option<String>,
    },
    /// Build the guests in protocols/ and print their digests
    Protocols(protocols::Options),
    /// Build the page that runs modules in a browser, and serve it
    Web(web::Options),
    /// Simulate choreographies from many seeds, or one run again
    Sim(sim::Options),
    /// Figures, each beside a floor measured in the same run
    Bench(bench::Options),
    /// Processes killed with kill -9, and engines compared on generated modules, for a long time
    Soak(soak::Options),
    /// Check the rules of this repository that no compiler knows
    Tidy,
    /// Formatting, clippy and documentation, without a warning
    Lint,
    /// All of CI: tidy, lint, protocols --check, test, sim of 10,000 runs, demo
    Ci,
}

fn main() -> ExitCode {
    if let Some(outcome) = aura_guest_build::metadata::run_as_wrapper() {
        return outcome.unwrap_or_else(|error| report(&error.into()));
    }
    if let Some(outcome) = demo::leash::run_as_leash() {
        return outcome.unwrap_or_else(|error| report(&error));
    }
    if let Some(outcome) = net::run_as_inside() {
        return outcome.unwrap_or_else(|error| report(&error));
    }
    run().map_or_else(|error| report(&error), |()| ExitCode::SUCCESS)
}

fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}

fn run() -> Result<()> {
    let workspace = Workspace::find()?;
    let suites = suites::help(&suites::all(&workspace)?);
    let command = Cli::command().mut_subcommand("test", |it| it.after_help(suites));
    let cli = Cli::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    let choice = Choice::from_flag(cli.wasm_toolchain)?;
    match cli.task {
        Task::Demo(options) => demo::run(&workspace, choice, options),
        Task::Test { suite } => suites::run(&workspace, choice, suite.as_deref()),
        Task::Protocols(options) => protocols::run(&workspace, choice, options),
        Task::Web(options) => web::run(&workspace, choice, options),
        Task::Sim(options) => sim::run(&workspace, options),
        Task::Bench(options) => bench::run(&workspace, choice, options),
        Task::Soak(options) => soak::run(&workspace, choice, options),
        Task::Tidy => tidy::run(&workspace),
        Task::Lint => lint::run(&workspace, choice),
        Task::Ci => ci::run(&workspace, choice),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_unknown_task_is_not_understood() {
        let error = Cli::try_parse_from(["cargo xtask", "dmeo"]).err().unwrap();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("'demo'"), "{error}");
    }

    #[test]
    fn every_task_is_in_the_help() {
        let help = Cli::command().render_help().to_string();
        let tasks =
            ["demo", "test", "protocols", "web", "sim", "bench", "soak", "tidy", "lint", "ci"];
        for task in tasks.into_iter().chain(["--wasm-toolchain"]) {
            assert!(help.contains(task), "{task} is not in: {help}");
        }
    }
}
