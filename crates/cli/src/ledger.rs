//! `aura ledger`: what the account's devices signed.

mod document;
mod repair;

use std::path::PathBuf;

use aura_agent::{
    AgentError, Whose,
    api::{Command, Response},
    offline,
    statements::{self, Asked, Known},
};
use clap::{ArgGroup, Subcommand};

use crate::{ask, context::Context};

/// Lines of a log unless told otherwise: what a person reads, and programs ask for all.
const LOG_LINES: usize = 100;

/// The commands of the ledger.
#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// List control entries and units, oldest first
    Log {
        /// How many of the newest at most
        #[arg(long, value_name = "N", default_value_t = LOG_LINES)]
        limit: usize,
    },
    /// Write the account as one Automerge document
    Document(document::Document),
    /// Let what the account came to so far stand for all units, by decision of the account
    Snapshot,
    /// Drop the units that the newest snapshot stands for, once no device needs them
    Compact,
    /// Make a damaged store anew of what verifies; the device must not be running
    Repair(repair::Repair),
    /// Check every signature and compute the state again; the device must not be running
    Verify,
    /// Write a short proof of something that is or was decided; the device must not be running
    #[command(group = ArgGroup::new("what").required(true))]
    Prove {
        /// The file to write the proof to
        file: PathBuf,
        /// Which version of this app the account runs
        #[arg(long, value_name = "ALIAS", group = "what")]
        app: Option<String>,
        /// That this device, by its whole id, belongs to the account
        #[arg(long, value_name = "ID", group = "what")]
        device: Option<String>,
        /// What was decided at this height
        #[arg(long, value_name = "K", group = "what")]
        entry: Option<u64>,
        /// Write the account's chain as well, for whoever checks
        #[arg(long, value_name = "FILE")]
        chain: Option<PathBuf>,
    },
    /// Check a proof; needs no store and no network
    #[command(group = ArgGroup::new("known").required(true))]
    Check {
        /// The file with the proof
        file: PathBuf,
        /// A chain of the account that is trusted
        #[arg(long, value_name = "FILE", group = "known")]
        chain: Option<PathBuf>,
        /// The height and the head of an entry that is trusted, as `prove` prints them
        #[arg(long, value_name = "K:HEAD", group = "known")]
        head: Option<String>,
    },
}

/// The command line's groups ask for one of the options, so this is not seen.
fn nothing_named() -> AgentError {
    let (message, next) = ("nothing is named", "name one of the options");
    AgentError::new(crate::exit::USAGE, message, Whose::Caller, next)
}

impl Ledger {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<(), AgentError> {
        let store = &context.store;
        match self {
            Self::Log { limit } => {
                let command = Command::Log { limit };
                let log = ask::running_or_stored(store, &command, |store| {
                    offline::log(store, limit).map(Response::Log)
                });
                context.output.object(&log.await?)
            }
            Self::Snapshot => {
                context.output.object(&ask::running(store, &Command::Snapshot).await?)
            }
            Self::Compact => context.output.object(&ask::running(store, &Command::Compact).await?),
            Self::Document(command) => command.run(context).await,
            Self::Repair(command) => command.run(context).await,
            Self::Verify => context.output.object(&offline::verify(store)?),
            Self::Prove { file, app, device, entry, chain } => {
                let asked = app
                    .map(Asked::App)
                    .or_else(|| device.map(Asked::Device))
                    .or_else(|| entry.map(Asked::Entry));
                let asked = asked.ok_or_else(nothing_named)?;
                let proved = statements::prove(store, &asked, &file, chain.as_deref())?;
                context.output.object(&proved)
            }
            Self::Check { file, chain, head } => {
                let known = chain.as_deref().map(Known::Chain);
                let known = known.or(head.as_deref().map(Known::Head)).ok_or_else(nothing_named)?;
                context.output.object(&statements::check(&file, known)?)
            }
        }
    }
}
