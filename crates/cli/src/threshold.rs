//! `aura threshold`: how many devices it takes.

use aura_agent::{AgentError, api::Command};
use clap::Subcommand;

use crate::{ask, context::Context};

/// The commands of thresholds.
#[derive(Debug, Subcommand)]
pub enum Threshold {
    /// Set how many devices decide, and how many use the account's keys
    #[command(after_help = SET_HELP)]
    Set {
        /// Devices that decide: more than half of those that vote
        votes: u16,
        /// Devices that use the account's keys: at least two of several; as many as decide otherwise
        #[arg(long, value_name = "SHARES")]
        shares: Option<u16>,
    },
}

const SET_HELP: &str = "\
Said at as many devices as decide; each waits until enough have said so. With 2 of 3 or 3 of 5 votes no
device may be cloned; 3 of 4 or 4 of 5 bear one. The account's keys stay the same: all devices get new
shares, and the old ones are worth nothing. All have to be connected; otherwise nothing changes.";

impl Threshold {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<(), AgentError> {
        let Self::Set { votes, shares } = self;
        let set = Command::SetThreshold { votes, shares };
        context.output.object(&ask::running(&context.store, &set).await?)
    }
}
