//! `aura account`: the account that a store belongs to.

use aura_agent::{
    AgentError, account,
    api::{Command, Response, Status},
    offline,
};
use clap::Subcommand;
use serde::Serialize;

use crate::{ask, context::Context};

/// The commands of an account.
#[derive(Debug, Subcommand)]
pub enum Account {
    /// Make an account with this device as its first
    Create {
        /// The name of this device
        #[arg(long)]
        name: String,
        /// The name of the account [default: that of the device]
        #[arg(long, value_name = "TEXT")]
        account_name: Option<String>,
        /// For how long the account can veto a recovery with the code that is printed
        #[arg(long, value_name = "SECONDS", default_value_t = account::RECOVERY_DELAY_SECONDS)]
        recovery_delay: u64,
    },
    /// Show the account of this store
    Show,
}

/// What `account show` prints: the part of the status that is about the account.
#[derive(Debug, Serialize)]
struct Shown {
    account: String,
    account_name: String,
    device: String,
    name: String,
    devices: usize,
    m: u16,
}

impl Account {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<(), AgentError> {
        match self {
            Self::Create { name, account_name, recovery_delay } => {
                let account_name = account_name.as_deref().unwrap_or(&name);
                let created = account::create_recoverable(
                    &context.store,
                    account_name,
                    &name,
                    recovery_delay,
                )?;
                context.output.object(&created)
            }
            Self::Show => show(context).await,
        }
    }
}

async fn show(context: &Context) -> Result<(), AgentError> {
    let answer = ask::running_or_stored(&context.store, &Command::Status, |store| {
        Ok(Response::Status(Box::new(offline::status(store)?)))
    });
    match answer.await? {
        Response::Status(status) => {
            let Status { account, account_name, device, name, devices, m, .. } = *status;
            context.output.object(&Shown { account, account_name, device, name, devices, m })
        }
        other => Err(ask::unexpected(&other)),
    }
}
