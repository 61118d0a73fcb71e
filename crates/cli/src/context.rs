//! What holds for every command: where the store is, and how to print.

use std::{env, path::PathBuf};

use clap::Args;

use crate::{logging::Verbosity, output::Output};

/// The variable that names the store when `--store` does not.
const STORE_VARIABLE: &str = "AURA_STORE";
/// The store when neither names one: visible, and beside what a person works on.
const STORE_DEFAULT: &str = "./aura-store";

/// The flags that every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// The store directory [default: $AURA_STORE, else ./aura-store]
    #[arg(long, global = true, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Print one JSON object as the last line of standard output
    #[arg(long, global = true, overrides_with = "json")]
    json: bool,
    /// Log more to standard error; AURA_LOG chooses exactly what
    #[arg(short, long, global = true, overrides_with = "verbose")]
    verbose: bool,
}

/// What a command needs to know beside its own arguments.
#[derive(Debug)]
pub struct Context {
    /// The store directory.
    pub store: PathBuf,
    /// Where answers go.
    pub output: Output,
    /// How much to log.
    pub verbosity: Verbosity,
}

impl Context {
    /// From the flags and the environment.
    pub fn new(global: Global) -> Self {
        let from_environment = || env::var_os(STORE_VARIABLE).filter(|it| !it.is_empty());
        let store = global
            .store
            .or_else(|| from_environment().map(PathBuf::from))
            .unwrap_or_else(|| PathBuf::from(STORE_DEFAULT));
        Self {
            store,
            output: if global.json { Output::Json } else { Output::Text },
            verbosity: if global.verbose { Verbosity::Verbose } else { Verbosity::Normal },
        }
    }
}
