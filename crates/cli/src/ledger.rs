//! `aura ledger`: what the account's devices signed.

mod document;
mod repair;

use aura_agent::{
    AgentError,
    api::{Command, Response},
    offline,
};
use clap::Subcommand;

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
    /// Make a damaged store anew of what verifies; the device must not be running
    Repair(repair::Repair),
    /// Check every signature and compute the state again; the device must not be running
    Verify,
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
            Self::Document(command) => command.run(context).await,
            Self::Repair(command) => command.run(context).await,
            Self::Verify => context.output.object(&offline::verify(store)?),
        }
    }
}
