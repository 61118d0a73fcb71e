//! Logs, on standard error.

use std::{
    env,
    io::{self, IsTerminal as _},
};

use aura_agent::{AgentError, Whose};
use tracing_subscriber::EnvFilter;

/// The variable that chooses what is logged, in the syntax of `tracing-subscriber`.
const FILTER_VARIABLE: &str = "AURA_LOG";

/// How much a person asked to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// What a command does by itself.
    Normal,
    /// More, because of `--verbose`.
    Verbose,
}

/// What kind of process logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// One that runs a device, and whose log tells its story.
    Device,
    /// One that gives an answer and ends; its errors come back as errors.
    Command,
}

/// Begins to log. To be called once in a process.
///
/// # Errors
/// `BadLogFilter` if `AURA_LOG` is not a filter.
pub fn start(process: Process, verbosity: Verbosity) -> Result<(), AgentError> {
    let filter = match env::var(FILTER_VARIABLE) {
        Ok(filter) if !filter.is_empty() => filter,
        Ok(_) | Err(_) => default_filter(process, verbosity).to_owned(),
    };
    let filter = EnvFilter::builder().parse(&filter).map_err(|error| {
        AgentError::new(
            "BadLogFilter",
            format_args!("{FILTER_VARIABLE}={filter} is not a log filter: {error}"),
            Whose::Caller,
            "write it like `warn,aura=debug`, or unset it",
        )
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // Colours are for eyes: in a file they are noise.
    log.with_ansi(io::stderr().is_terminal()).init();
    Ok(())
}

/// `aura` is the beginning of the names of all our crates.
fn default_filter(process: Process, verbosity: Verbosity) -> &'static str {
    match (process, verbosity) {
        (Process::Device, Verbosity::Normal) => "warn,aura=info",
        (Process::Device | Process::Command, Verbosity::Verbose) => "warn,aura=debug",
        (Process::Command, Verbosity::Normal) => "off",
    }
}
