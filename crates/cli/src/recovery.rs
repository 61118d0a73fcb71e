//! `aura recovery`: coming back from a lost majority, or from a frozen account, with the printed code.

use std::io;

use aura_agent::{
    AgentError, Whose,
    api::{Command, Secret},
};
use clap::Subcommand;

use crate::{ask, context::Context};

/// The commands of recovery.
#[derive(Debug, Subcommand)]
pub enum Recovery {
    /// Ask that the account goes on with this device and those named alone
    Request {
        /// The code that was printed when the account was created; `-` reads it from the standard input
        #[arg(long)]
        code: String,
        /// A device that stays, by name or id; can be given several times
        #[arg(long, value_name = "DEVICE")]
        keep: Vec<String>,
    },
    /// Show who may recover the account, what was asked for, and how long it waits
    Status,
    /// Do not let the account be recovered as it was asked for. Said at as many devices as decide
    Veto {
        /// The request, as `status` shows it; needed where there is more than one
        request: Option<String>,
    },
    /// Recover the account as it was asked for, once the time is over
    Complete {
        /// The code that was printed when the account was created; `-` reads it from the standard input
        #[arg(long)]
        code: String,
        /// The request, as `status` shows it; needed where there is more than one
        request: Option<String>,
    },
}

impl Recovery {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<(), AgentError> {
        let command = match self {
            Self::Request { code, keep } => Command::RequestRecovery { code: read(code)?, keep },
            Self::Status => Command::RecoveryStatus,
            Self::Veto { request } => Command::VetoRecovery { request },
            Self::Complete { code, request } => {
                Command::CompleteRecovery { code: read(code)?, request }
            }
        };
        context.output.object(&ask::running(&context.store, &command).await?)
    }
}

/// What stands on a command line can be seen by others on this machine.
fn read(code: String) -> Result<Secret, AgentError> {
    if code != "-" {
        return Ok(Secret(code));
    }
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(|error| {
        AgentError::new("Io", error, Whose::Caller, "give the code as one line, or with --code")
    })?;
    Ok(Secret(line))
}
