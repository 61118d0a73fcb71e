//! The `aura` command: an account's devices, apps, sessions and upgrades from a shell.
//!
//! Every command prints one object: as text for people, or with `--json` as the last line of
//! standard output for programs. Everything else goes to standard error. Commands ask the process
//! that runs the store, if there is one, through the control socket in the store directory.
//!
//! Invariants:
//! - INV-E1: an error is one line on standard error that says what, whose and what next, and the
//!   exit code says what kind it is.
//! - INV-E2: with `--json` the last line of standard output is one JSON object, whatever happens.
//!
//! Never: rules of the ledger, of upgrades or of modules. They are `aura-agent`'s and below.

mod account;
mod ask;
mod context;
mod device;
mod exit;
mod guardian;
mod installer;
mod key;
mod ledger;
mod lock;
mod logging;
mod output;
mod progress;
mod protocol;
mod recovery;
mod repository;
mod run;
mod session;
mod status;
mod text;
mod threshold;
mod time;
mod trace;
mod upgrade;
mod usage;

use std::process::ExitCode;

use aura_agent::{AgentError, Whose};
use clap::{Parser, Subcommand};

use crate::context::{Context, Global};

/// Devices that share an account run protocols together, and change those protocols while they run.
#[derive(Debug, Parser)]
#[command(name = "aura", version, after_help = exit::HELP)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    group: Group,
}

#[derive(Debug, Subcommand)]
enum Group {
    /// Make an account, or show the one in the store.
    #[command(subcommand)]
    Account(account::Account),
    /// Run the device until it is interrupted.
    Run(run::Run),
    /// Invite, join and list devices.
    #[command(subcommand)]
    Device(device::Device),
    /// Show what the device is, runs and knows.
    Status,
    /// Look at protocol modules, and try them.
    #[command(subcommand)]
    Protocol(protocol::Protocol),
    /// Publish a protocol.
    #[command(subcommand)]
    Repository(repository::Repository),
    /// Install apps and take their upgrades.
    #[command(subcommand)]
    Installer(installer::Installer),
    /// Derive keys that no device holds.
    #[command(subcommand)]
    Key(key::Key),
    /// Set how many devices it takes.
    #[command(subcommand)]
    Threshold(threshold::Threshold),
    /// See what holds which lock.
    #[command(subcommand)]
    Lock(lock::Lock),
    /// Run sessions of an app with other devices.
    #[command(subcommand)]
    Session(session::Session),
    /// Propose that the account activates a release.
    #[command(subcommand)]
    Upgrade(upgrade::Upgrade),
    /// Say who helps to bring the account back.
    #[command(subcommand)]
    Guardian(guardian::Guardian),
    /// Come back from a lost majority, with guardians or with the printed code.
    #[command(subcommand)]
    Recovery(recovery::Recovery),
    /// Read and check the ledger.
    #[command(subcommand)]
    Ledger(ledger::Ledger),
}

impl Group {
    async fn run(self, context: &Context) -> Result<ExitCode, AgentError> {
        match self {
            Self::Protocol(command) => return command.run(context),
            Self::Account(command) => command.run(context).await?,
            Self::Run(command) => command.run(context).await?,
            Self::Device(command) => command.run(context).await?,
            Self::Status => status::run(context).await?,
            Self::Repository(command) => command.run(context)?,
            Self::Installer(command) => command.run(context).await?,
            Self::Key(command) => command.run(context).await?,
            Self::Threshold(command) => command.run(context).await?,
            Self::Lock(command) => command.run(context).await?,
            Self::Session(command) => command.run(context).await?,
            Self::Upgrade(command) => command.run(context).await?,
            Self::Guardian(command) => command.run(context).await?,
            Self::Recovery(command) => command.run(context).await?,
            Self::Ledger(command) => command.run(context).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn main() -> ExitCode {
    // `protocol build` starts this program again, around the compiler.
    if let Some(outcome) = aura_guest_build::metadata::run_as_wrapper() {
        return outcome.unwrap_or_else(|error| usage::as_wrapper(&error));
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::explain(&error),
    };
    let context = Context::new(cli.global);
    match run(cli.group, &context) {
        Ok(code) => code,
        Err(error) => context.output.error(&error),
    }
}

fn run(group: Group, context: &Context) -> Result<ExitCode, AgentError> {
    let process = match group {
        Group::Run(_) => logging::Process::Device,
        _ => logging::Process::Command,
    };
    logging::start(process, context.verbosity)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        AgentError::new(
            "MachineRefused",
            format_args!("no threads could be started: {error}"),
            Whose::Machine,
            "free memory or raise the limit of processes",
        )
    })?;
    runtime.block_on(group.run(context))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_commands_are_well_formed() {
        Cli::command().debug_assert();
    }
}
