//! `aura device`: the devices of the account.

use std::net::SocketAddr;

use aura_agent::{
    AgentError,
    api::{Command, Response},
    join, offline,
};
use clap::Subcommand;

use crate::{ask, context::Context};

/// How long an invitation can be used, in seconds, unless told otherwise: long enough to walk over
/// to the other device, short enough that a forgotten ticket is worth nothing tomorrow.
const VALID_SECONDS: u64 = 3600;

/// The commands of devices.
#[derive(Debug, Subcommand)]
pub enum Device {
    /// Make a ticket with which one more device can join the account
    #[command(visible_alias = "add")]
    Invite {
        /// For how long it can be used
        #[arg(long, value_name = "SECONDS", default_value_t = VALID_SECONDS)]
        valid: u64,
        /// The device, by name or id, whose seat the new one gets: one that has signed two things for one
        /// place, because it was cloned or went on from a backup
        #[arg(long, value_name = "DEVICE")]
        replaces: Option<String>,
    },
    /// Let a device leave in order: those who stay get its part of the account's keys first
    #[command(after_help = REMOVE_HELP)]
    Remove {
        /// The device, by name or id
        device: String,
    },
    /// Send a lost device away: what it writes from now on does not count. Said at as many devices as decide
    Revoke {
        /// The device, by name or id
        device: String,
    },
    /// Make this store a device of the account that a ticket is from
    Join {
        /// The ticket, as `aura device invite` printed it
        ticket: String,
        /// The name of this device
        #[arg(long)]
        name: String,
        /// Where to listen for other devices while joining; port 0 takes a free one
        #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0")]
        bind: SocketAddr,
    },
    /// Take the system's clock for right, however far it is ahead of what this device knows
    TrustClock,
    /// List the devices of the account
    List,
}

const REMOVE_HELP: &str = "\
Said at as many devices as decide; each waits until enough have said so. The account's keys stay the same,
and go to those who stay: all of them have to be connected, and as many as hold the keys now. The leaving
device helps if it is there. Otherwise nothing changes. A lost device: `aura device revoke`.";

impl Device {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<(), AgentError> {
        let store = &context.store;
        match self {
            Self::Revoke { device } => {
                let revoke = Command::Revoke { device };
                context.output.object(&ask::running(store, &revoke).await?)
            }
            Self::Remove { device } => {
                let remove = Command::Remove { device };
                context.output.object(&ask::running(store, &remove).await?)
            }
            Self::Invite { valid, replaces } => {
                let invite = Command::Invite { valid_seconds: valid, replaces };
                context.output.object(&ask::running(store, &invite).await?)
            }
            Self::Join { ticket, name, bind } => {
                context.output.object(&join::join(store, &ticket, &name, bind).await?)
            }
            Self::TrustClock => {
                context.output.object(&ask::running(store, &Command::TrustClock).await?)
            }
            Self::List => {
                let devices = ask::running_or_stored(store, &Command::Devices, |store| {
                    offline::devices(store).map(Response::Devices)
                });
                context.output.object(&devices.await?)
            }
        }
    }
}
