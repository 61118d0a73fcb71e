//! `aura protocol`: protocol modules as files.

use std::path::PathBuf;

use aura_agent::{AgentError, inspect};
use clap::Subcommand;

use crate::context::Context;

/// The commands of modules.
#[derive(Debug, Subcommand)]
pub enum Protocol {
    /// Check a module and show what it says of itself; it is not run
    Inspect {
        /// The module's file
        file: PathBuf,
    },
}

impl Protocol {
    /// Runs the command.
    pub fn run(self, context: &Context) -> Result<(), AgentError> {
        match self {
            Self::Inspect { file } => context.output.object(&inspect::inspect(&file)?),
        }
    }
}
