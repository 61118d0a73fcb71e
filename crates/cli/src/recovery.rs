//! `aura recovery`: coming back from a lost majority, or from a frozen account, with guardians or with the
//! printed code.

use std::io;

use aura_agent::{
    AgentError, Whose,
    api::{Command, Secret},
};
use clap::Subcommand;

use crate::{ask, context::Context};

/// How long guardians wait, in seconds, unless told otherwise: three days, so that whoever is on the way
/// can object.
const DELAY_SECONDS: u64 = 259_200;
/// How long a new device's ticket can be used, in seconds: longer than guardians wait, objections included.
const VALID_SECONDS: u64 = 2_592_000;

/// The commands of recovery.
#[derive(Debug, Subcommand)]
pub enum Recovery {
    /// Let the account's guardians be those who recover it. Said at as many devices as decide
    #[command(after_help = SETUP_HELP)]
    Setup {
        /// How many of the guardians it takes; more than half of them unless told otherwise
        #[arg(long, value_name = "COUNT")]
        guardians: Option<u16>,
        /// How long each guardian waits after its person approved a recovery
        #[arg(long, value_name = "SECONDS", default_value_t = DELAY_SECONDS)]
        delay: u64,
    },
    /// As a guardian, make a ticket for a new device of whoever lost theirs
    Invite {
        /// For how long it can be used
        #[arg(long, value_name = "SECONDS", default_value_t = VALID_SECONDS)]
        valid: u64,
    },
    /// Ask that the account goes on with some devices alone: as a guardian, or with the printed code
    #[command(after_help = REQUEST_HELP)]
    Request {
        /// The code that was printed when the account was created; `-` reads it from the standard input
        #[arg(long)]
        code: Option<String>,
        /// A device that stays, by name or id; can be given several times
        #[arg(long, value_name = "DEVICE")]
        keep: Vec<String>,
        /// A new device that comes in, by the beginning of its id; can be given several times. All that asked
        /// this guardian, unless told otherwise
        #[arg(long, value_name = "ID", conflicts_with = "code")]
        new: Vec<String>,
    },
    /// As a guardian, approve a request, after you made sure in person whose devices these are
    Approve {
        /// The request, as `status` shows it; needed where there is more than one
        request: Option<String>,
    },
    /// Ask the guardians that have said nothing for an answer
    Nudge {
        /// The request, as `status` shows it; needed where there is more than one
        request: Option<String>,
    },
    /// Show who may recover the account, what was asked for, and how long it waits
    Status,
    /// Do not let the account be recovered as it was asked for
    #[command(after_help = VETO_HELP)]
    Veto {
        /// The request, as `status` shows it; needed where there is more than one
        request: Option<String>,
    },
    /// As the guardian that asked, take the request back
    Cancel {
        /// The request, as `status` shows it; needed where there is more than one
        request: Option<String>,
    },
    /// Recover the account as it was asked for, once the time is over
    #[command(after_help = COMPLETE_HELP)]
    Complete {
        /// The code that was printed when the account was created; `-` reads it from the standard input
        #[arg(long)]
        code: Option<String>,
        /// The request, as `status` shows it; needed where there is more than one
        request: Option<String>,
    },
}

const SETUP_HELP: &str = "\
All guardians and all devices have to be connected: each guardian gets a share of the account's keys, beside
those of the devices. Whoever recovers the account now, such as the printed code, has its own time first;
after that the guardians take its place, and the code does nothing any more.
As many guardians as it takes can take the account over if they agree to, also without waiting.";

const REQUEST_HELP: &str = "\
Guardians: the new device first asks with `aura device join TICKET`, where the ticket is that of `aura recovery
invite`. Then one guardian asks, and as many as needed approve. Each waits its own time and signs by itself.
Printed code: said at a device that stays.";

const VETO_HELP: &str = "\
Guardians: the first objection of any device or guardian ends a request. After that the wait doubles, one
guardian more has to approve, and single objections end nothing: a stolen device must not keep its owner out.
What as many devices as decide have vetoed is over in any case.
Printed code: said at as many devices as decide.";

const COMPLETE_HELP: &str = "\
Guardians: says whether it is done, and if not, what it waits for.
Printed code: signs it.";

impl Recovery {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<(), AgentError> {
        let command = match self {
            Self::Setup { guardians, delay } => {
                Command::SetUpRecovery { needed: guardians, delay_seconds: delay }
            }
            Self::Invite { valid } => Command::InviteRecovered { valid_seconds: valid },
            Self::Request { code: Some(code), keep, .. } => {
                Command::RequestRecovery { code: read(code)?, keep }
            }
            Self::Request { code: None, keep, new } => Command::AskGuardians { keep, new },
            Self::Approve { request } => Command::ApproveRecovery { request },
            Self::Nudge { request } => Command::NudgeGuardians { request },
            Self::Status => Command::RecoveryStatus,
            Self::Veto { request } => Command::VetoRecovery { request },
            Self::Cancel { request } => Command::CancelRecovery { request },
            Self::Complete { code: Some(code), request } => {
                Command::CompleteRecovery { code: read(code)?, request }
            }
            Self::Complete { code: None, request } => Command::CompleteByGuardians { request },
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
