//! `aura ledger repair`: what verifies of a damaged store, with what another device's store has.

use std::path::PathBuf;

use aura_agent::{AgentError, offline};
use clap::Args;

use crate::{ask, context::Context};

/// How to repair.
#[derive(Debug, Args)]
pub struct Repair {
    /// The store of another device of the account, running or not, that has what is damaged here
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
}

impl Repair {
    /// Repairs the store.
    pub async fn run(self, context: &Context) -> Result<(), AgentError> {
        let help = match &self.from {
            Some(from) => Some(ask::ledger(from).await?),
            None => None,
        };
        context.output.object(&offline::repair(&context.store, help.as_ref())?)
    }
}
