//! `aura protocol`: protocol modules as files, from their sources on.

mod build;
mod check;
mod new;

use std::{path::PathBuf, process::ExitCode};

use aura_agent::{
    AgentError,
    inspect::{self, ShownType},
};
use clap::Subcommand;
use serde::Serialize;

use crate::{context::Context, trace};

/// The commands of modules.
#[derive(Debug, Subcommand)]
pub enum Protocol {
    /// Write a new protocol's crate, with its tests
    New(new::New),
    /// Compile a crate to a module: the same bytes on every machine
    Build(build::Build),
    /// Hold a module against every rule of the gate, and say what to do about each it breaks
    Check(check::Check),
    /// Check a module and show what it says of itself; it is not run
    Inspect {
        /// The module's file
        file: PathBuf,
        /// Show its session types: who says what to whom, and who decides
        #[arg(long)]
        types: bool,
        /// Show its session types as Mermaid sequence diagrams
        #[arg(long, conflicts_with = "types")]
        diagram: bool,
    },
    /// Run a module's sessions here, as a script says, without an account
    Run(trace::Run),
}

impl Protocol {
    /// Runs the command.
    pub fn run(self, context: &Context) -> Result<ExitCode, AgentError> {
        match self {
            Self::Check(command) => return command.run(context),
            Self::New(command) => command.run(context)?,
            Self::Build(command) => command.run(context)?,
            Self::Run(command) => command.run(context)?,
            Self::Inspect { file, types: false, diagram: false } => {
                context.output.object(&inspect::inspect(&file)?)?;
            }
            Self::Inspect { file, diagram, .. } => {
                let types = inspect::types(&file)?;
                let text = |it: &ShownType| if diagram { &it.diagram } else { &it.text }.clone();
                let text: Vec<String> = types.iter().map(text).collect();
                context
                    .output
                    .document(&text.join("\n"), &SessionTypes { session_types: types })?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Serialize)]
struct SessionTypes {
    session_types: Vec<ShownType>,
}
