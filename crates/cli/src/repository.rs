//! `aura repository`: the publisher's chain of releases. Its store is used by no other process.

use std::path::PathBuf;

use aura_agent::{
    AgentError,
    repository::{self, ReleaseRequest},
};
use clap::Subcommand;

use crate::context::Context;

/// The commands of a publisher.
#[derive(Debug, Subcommand)]
pub enum Repository {
    /// Make an account that is the repository of a protocol
    Create {
        /// The protocol's name in its modules
        #[arg(long)]
        protocol: String,
        /// The repository's name for people
        #[arg(long)]
        name: String,
    },
    /// Certify a module as a release
    Release {
        /// The module's file
        module: PathBuf,
        /// The module that migrates records from the version before
        #[arg(long, value_name = "FILE")]
        migration: Option<PathBuf>,
        /// Where devices may fetch the module: an http(s) or file location; may be given several times
        #[arg(long = "url", value_name = "URL")]
        urls: Vec<String>,
        /// Where devices may fetch the migration module
        #[arg(long = "migration-url", value_name = "URL", requires = "migration")]
        migration_urls: Vec<String>,
        /// What changed, for people
        #[arg(long, value_name = "TEXT", default_value = "")]
        notes: String,
        /// Release a module that fails the checks: devices will refuse it
        #[arg(long)]
        danger_unchecked: bool,
    },
    /// Write the chain of releases to a file that installers read
    Export {
        /// The file to write
        file: PathBuf,
    },
}

impl Repository {
    /// Runs the command.
    pub fn run(self, context: &Context) -> Result<(), AgentError> {
        let store = &context.store;
        match self {
            Self::Create { protocol, name } => {
                context.output.object(&repository::create(store, &name, &protocol)?)
            }
            Self::Release { module, migration, urls, migration_urls, notes, danger_unchecked } => {
                let release = ReleaseRequest {
                    module,
                    migration,
                    urls,
                    migration_urls,
                    notes,
                    danger_unchecked,
                };
                context.output.object(&repository::release(store, release)?)
            }
            Self::Export { file } => context.output.object(&repository::export(store, &file)?),
        }
    }
}
