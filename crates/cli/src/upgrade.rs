//! `aura upgrade`: releases that the account activates together.

use std::{path::PathBuf, time::Duration};

use aura_agent::{
    AgentError, Whose,
    api::{Command, Proposal, Proposals, ProposeRequest, Response},
    offline,
};
use clap::{Args, Subcommand, ValueEnum};
use tokio::time::{Instant, sleep};

use crate::{ask, context::Context};

/// Pause between two looks at the proposals: people do not notice it, and the device hardly does.
const PAUSE: Duration = Duration::from_millis(100);

/// The commands of upgrades.
#[derive(Debug, Subcommand)]
pub enum Upgrade {
    /// Propose that the account activates a release
    Propose(Propose),
    /// Show where the proposals stand
    Status(Status),
    /// Take the active version back: the one before it is active again, and nothing that was written
    /// since is lost
    Revert(Revert),
}

/// A version to take back.
#[derive(Debug, Args)]
#[command(
    after_help = "It is decided once it was said at as many devices as the account needs votes; \
                        each of them waits for that."
)]
pub struct Revert {
    /// The app's alias
    alias: String,
}

/// A proposal to make.
#[derive(Debug, Args)]
pub struct Propose {
    /// The app's alias
    alias: String,
    /// The version to activate
    #[arg(long, value_name = "V")]
    version: String,
    /// The exported chain of its repository
    #[arg(long, value_name = "FILE")]
    repository: PathBuf,
    /// The module's file [default: fetched from other devices]
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,
    /// The migration module's file [default: fetched from other devices]
    #[arg(long, value_name = "FILE")]
    migration: Option<PathBuf>,
    /// No device votes before this time, in Unix seconds
    #[arg(long, value_name = "UNIX")]
    not_before: Option<u64>,
    /// For how long the proposal stands
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400)]
    valid: u64,
    /// How long sessions of the old version may go on after activation
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    grace: u64,
}

/// Which proposals to show, and what to wait for.
#[derive(Debug, Args)]
pub struct Status {
    /// Only those of this app
    alias: Option<String>,
    /// Only this one, by its id or how it begins
    #[arg(long, value_name = "ID")]
    proposal: Option<String>,
    /// Wait until the newest of them has come so far
    #[arg(long, value_name = "STATE", ignore_case = true)]
    wait: Option<State>,
    /// How long to wait
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "wait")]
    timeout: u64,
}

/// How far a proposal has come on this device, in order; then the ways in which it can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum State {
    /// Written, not yet accepted
    Proposing,
    /// Its modules are fetched and checked
    Acknowledging,
    /// The records are migrated on trial
    SignallingReady,
    /// This device is ready
    AwaitingQuorum,
    /// Certified; the records are migrated
    Activating,
    /// New sessions run the new version
    Active,
    /// It was active, and was taken back
    Reverted,
    /// It ended, and nothing changed
    Failed,
    /// Certified, but this device cannot apply it
    Blocked,
}

impl State {
    /// Whether a proposal in the state `other` has come as far as this. One that ended otherwise
    /// has not, and one that was awaited to fail has to fail.
    fn is_reached_by(self, other: Self) -> bool {
        let has_ended = |state| matches!(state, Self::Reverted | Self::Failed | Self::Blocked);
        if has_ended(self) || has_ended(other) { self == other } else { self <= other }
    }
}

impl Upgrade {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<(), AgentError> {
        match self {
            Self::Propose(propose) => {
                let command = propose.request()?;
                context.output.object(&ask::running(&context.store, &command).await?)
            }
            Self::Revert(Revert { alias }) => {
                let command = Command::Revert { alias };
                context.output.object(&ask::running(&context.store, &command).await?)
            }
            Self::Status(status) => {
                let proposals = match status.wait {
                    Some(state) => status.wait_for(state, context).await?,
                    None => status.look(context).await?,
                };
                context.output.object(&proposals)
            }
        }
    }
}

impl Propose {
    fn request(self) -> Result<Command, AgentError> {
        let absolute = |path: Option<PathBuf>| path.as_deref().map(ask::absolute).transpose();
        Ok(Command::Propose(ProposeRequest {
            alias: self.alias,
            version: self.version,
            repository: ask::absolute(&self.repository)?,
            module: absolute(self.module)?,
            migration: absolute(self.migration)?,
            not_before: self.not_before,
            valid_seconds: self.valid,
            grace_seconds: self.grace,
        }))
    }
}

impl Status {
    /// The proposals that were asked for, on the running device or in the store.
    async fn look(&self, context: &Context) -> Result<Proposals, AgentError> {
        let command = Command::Proposals { alias: self.alias.clone() };
        let answer = ask::running_or_stored(&context.store, &command, |store| {
            offline::proposals(store, self.alias.as_deref()).map(Response::Proposals)
        });
        self.chosen(answer.await?)
    }

    fn chosen(&self, answer: Response) -> Result<Proposals, AgentError> {
        let Response::Proposals(mut proposals) = answer else {
            return Err(ask::unexpected(&answer));
        };
        if let Some(id) = &self.proposal {
            proposals.proposals.retain(|it| it.proposal.starts_with(id));
        }
        Ok(proposals)
    }

    /// Looks at the running device until the newest proposal has come as far as `state`. One that
    /// failed is not the end of waiting: a newer one may be on its way to this device.
    async fn wait_for(&self, state: State, context: &Context) -> Result<Proposals, AgentError> {
        let begun = Instant::now();
        let command = Command::Proposals { alias: self.alias.clone() };
        loop {
            let proposals = self.chosen(ask::running(&context.store, &command).await?)?;
            let newest = proposals.proposals.last();
            let reached = newest.and_then(|it| State::from_str(&it.state, true).ok());
            if reached.is_some_and(|it| state.is_reached_by(it)) {
                return Ok(proposals);
            }
            if Duration::from_secs(self.timeout) <= begun.elapsed() {
                return Err(not_reached(newest, self.timeout));
            }
            sleep(PAUSE).await;
        }
    }
}

fn not_reached(newest: Option<&Proposal>, seconds: u64) -> AgentError {
    let stands = newest.map_or_else(|| "there is no proposal".to_owned(), standing);
    AgentError::new(
        "TimedOut",
        format_args!("{stands} after {seconds} s"),
        Whose::Nobody,
        "see with `aura device list` who is connected, and ask again",
    )
}

/// Where a proposal stands, in a sentence.
fn standing(proposal: &Proposal) -> String {
    let Proposal { alias, version, state, reason, ready, declined, needed, .. } = proposal;
    let mut said = format!("{alias} {version} is {state}");
    if !reason.is_empty() {
        said += &format!(" ({reason})");
    }
    let count = ready.len();
    said += &format!(" with {count} of {needed} devices ready");
    if !ready.is_empty() {
        said += &format!(" ({})", ready.join(", "));
    }
    for (name, why) in declined {
        said += &format!(", {name} declined ({why})");
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_reached_by_those_after_it() {
        assert!(State::AwaitingQuorum.is_reached_by(State::Active));
        assert!(!State::Active.is_reached_by(State::Activating));
        assert!(!State::Active.is_reached_by(State::Failed));
        assert!(!State::Active.is_reached_by(State::Blocked));
        assert!(State::Failed.is_reached_by(State::Failed));
        assert!(!State::Failed.is_reached_by(State::Active));
    }

    #[test]
    fn a_proposal_that_is_not_there_yet_is_told_in_full() {
        let proposal = Proposal {
            proposal: "aa11".into(),
            alias: "counter".into(),
            from: "1.0.0".into(),
            version: "2.0.0".into(),
            state: "AwaitingQuorum".into(),
            reason: String::new(),
            ready: vec!["anna".into(), "bert".into()],
            declined: [("cleo".into(), "DigestMismatch".into())].into(),
            needed: 4,
        };
        assert_eq!(
            not_reached(Some(&proposal), 5).message,
            "counter 2.0.0 is AwaitingQuorum with 2 of 4 devices ready (anna, bert), \
             cleo declined (DigestMismatch) after 5 s"
        );
        assert_eq!(not_reached(None, 5).message, "there is no proposal after 5 s");
    }
}
