//! `aura installer`: which apps the account runs, and which releases this device takes.

use std::path::PathBuf;

use aura_agent::{
    AgentError,
    api::{Command, InstallRequest, Response, UpgradeRequest},
    offline,
};
use clap::{Args, Subcommand, ValueEnum};

use crate::{ask, context::Context};

/// The commands of an installer.
#[derive(Debug, Subcommand)]
pub enum Installer {
    /// Install, upgrade or look at one app
    App(App),
}

/// One app.
#[derive(Debug, Args)]
pub struct App {
    /// What the account calls the app
    alias: String,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Install the app for the account
    Install(Install),
    /// Run a release on this device, inside what is installed
    Upgrade(UpgradeArgs),
    /// Show what is installed
    Status,
}

#[derive(Debug, Args)]
struct Install {
    /// The exported chain of its repository
    #[arg(long, value_name = "FILE")]
    repository: PathBuf,
    /// Which versions to accept, such as `^1` or `>=1.0.0, <3`
    #[arg(long, value_name = "REQ", default_value = "*")]
    requirement: String,
    /// Which upgrades devices may take by themselves
    #[arg(long, value_enum, default_value_t = Policy::Minor)]
    policy: Policy,
    /// The version to begin with [default: the highest that the requirement allows]
    #[arg(long, value_name = "V")]
    version: Option<String>,
    /// The module's file [default: fetched from other devices]
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct UpgradeArgs {
    /// The version to run
    #[arg(long, value_name = "V")]
    version: String,
    /// The exported chain of its repository
    #[arg(long, value_name = "FILE")]
    repository: PathBuf,
    /// The module's file [default: fetched from other devices]
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Policy {
    /// None
    Manual,
    /// Those that change no behaviour
    Patch,
    /// Those that stay compatible
    Minor,
}

impl Policy {
    /// The policy's name in requests.
    fn name(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Patch => "patch",
            Self::Minor => "minor",
        }
    }
}

impl Installer {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<(), AgentError> {
        let Self::App(App { alias, action }) = self;
        let store = &context.store;
        let app = match action {
            Action::Install(install) => ask::running(store, &install.request(alias)?).await?,
            Action::Upgrade(upgrade) => ask::running(store, &upgrade.request(alias)?).await?,
            Action::Status => {
                let command = Command::App { alias: alias.clone() };
                ask::running_or_stored(store, &command, |store| {
                    offline::app(store, &alias).map(Response::App)
                })
                .await?
            }
        };
        context.output.object(&app)
    }
}

impl Install {
    fn request(self, alias: String) -> Result<Command, AgentError> {
        let Self { repository, requirement, policy, version, module } = self;
        Ok(Command::Install(InstallRequest {
            alias,
            repository: ask::absolute(&repository)?,
            requirement,
            policy: policy.name().to_owned(),
            version,
            module: module.as_deref().map(ask::absolute).transpose()?,
        }))
    }
}

impl UpgradeArgs {
    fn request(self, alias: String) -> Result<Command, AgentError> {
        let Self { version, repository, module } = self;
        Ok(Command::Upgrade(UpgradeRequest {
            alias,
            version,
            repository: ask::absolute(&repository)?,
            module: module.as_deref().map(ask::absolute).transpose()?,
        }))
    }
}
