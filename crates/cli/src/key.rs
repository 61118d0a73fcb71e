//! `aura key`: keys that the account's devices derive together.

use std::time::Duration;

use aura_agent::{
    AgentError,
    api::{Command, Response},
};
use clap::Subcommand;
use tokio::time::{Instant, sleep};

use crate::{ask, context::Context};

/// Pause between two attempts, while the devices that it takes are not there.
const PAUSE: Duration = Duration::from_millis(200);

/// The commands of keys.
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Derive the account's key for a purpose, and print it
    #[command(after_help = DERIVE_HELP)]
    Derive {
        /// What the key is for: the same words lead to the same key on every device
        context: String,
        /// Wait so long for the devices that it takes
        #[arg(long, value_name = "SECONDS", default_value_t = 30)]
        wait: u64,
    },
}

const DERIVE_HELP: &str = "\
Prints 32 secret bytes as 64 hexadecimal digits, and nothing else. No device has the key before, and
none keeps it: whoever reads the ledger does not learn it. Anybody who can run this command on one
device, while enough others are connected, gets the key.";

impl Key {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<(), AgentError> {
        let Self::Derive { context: purpose, wait } = self;
        let patience = Duration::from_secs(wait);
        let (begun, command) = (Instant::now(), Command::DeriveKey { context: purpose });
        let mut told = String::new();
        loop {
            match ask::running(&context.store, &command).await {
                Ok(Response::Key(key)) => {
                    return context.output.document(key.key.danger_digits(), &key);
                }
                Ok(other) => return Err(ask::unexpected(&other)),
                Err(error) if takes_time(&error) && begun.elapsed() < patience => {
                    if error.message != told {
                        eprintln!("waiting: {}", error.message);
                        told = error.message;
                    }
                    sleep(PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether it only takes time, or devices that may come.
fn takes_time(error: &AgentError) -> bool {
    ["NoKeys", "NotEnoughDevices", "NotDerived", "NoAgreement"].contains(&error.code.as_str())
}
