//! `aura guardian`: who helps to bring the account back.

use aura_agent::{AgentError, api::Command};
use clap::Subcommand;

use crate::{ask, context::Context};

/// How long an invitation can be used, in seconds, unless told otherwise: the ticket goes to somebody else.
const VALID_SECONDS: u64 = 86_400;

/// The commands of guardians.
#[derive(Debug, Subcommand)]
pub enum Guardian {
    /// Make a ticket with which one more guardian can join the account
    #[command(after_help = ADD_HELP)]
    Add {
        /// For how long it can be used
        #[arg(long, value_name = "SECONDS", default_value_t = VALID_SECONDS)]
        valid: u64,
    },
    /// Show the account's guardians, and how many of them recover it
    List,
    /// Let a guardian go. Said at as many devices as decide
    #[command(after_help = REMOVE_HELP)]
    Remove {
        /// The guardian, by name or id
        guardian: String,
    },
}

const ADD_HELP: &str = "\
The guardian runs `aura --store FOLDER device join TICKET --name NAME`, and `aura --store FOLDER run` from
then on. It votes on nothing and changes nothing, but its device keeps a copy of the account's ledger: take
people whom you would show it. When all have joined: `aura recovery setup`.";

const REMOVE_HELP: &str = "\
It can sign no recovery any more. It still holds its old share, which is worth something only together with
those of other guardians: say `aura recovery setup` again, so that the others get new ones.";

impl Guardian {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<(), AgentError> {
        let command = match self {
            Self::Add { valid } => Command::AddGuardian { valid_seconds: valid },
            Self::List => Command::Guardians,
            Self::Remove { guardian } => Command::Remove { device: guardian },
        };
        context.output.object(&ask::running(&context.store, &command).await?)
    }
}
