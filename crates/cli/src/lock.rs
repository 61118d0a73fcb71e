//! `aura lock`: what must not run beside each other.

use aura_agent::{AgentError, api::Command};
use clap::Subcommand;

use crate::{ask, context::Context};

/// The commands of locks.
#[derive(Debug, Subcommand)]
pub enum Lock {
    /// Show who holds which lock, until when, and who waits for it
    #[command(after_help = STATUS_HELP)]
    Status,
}

const STATUS_HELP: &str = "\
Whatever moves the account's keys holds the lock `keys` meanwhile. Epochs are counted by the devices
together, about one a second while something waits. A holder that is gone loses the lock when its epoch
has come.";

impl Lock {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<(), AgentError> {
        let Self::Status = self;
        context.output.object(&ask::running(&context.store, &Command::Locks).await?)
    }
}
