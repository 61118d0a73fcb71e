//! Reading a store while no process runs it.

use std::path::{Path, PathBuf};

use aura_journal::{Ledger, LedgerStore as _, Stored, control::ControlChain, store};
use aura_protocol_core::AppId;
use serde::Serialize;

use crate::{
    agent::open_host,
    api::{App, Command, Devices, Log, Proposals, Response, Session, Sessions, Status},
    driver::{open_store, store_error},
    engine::derive_records,
    error::{AgentError, Whose},
    identity::Identity,
    node::{Group, Node, NodeKeys},
};

/// A store was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Whether everything holds.
    pub ok: bool,
    /// Units whose signature, links and place were checked.
    pub units: usize,
    /// Control entries whose certificate was checked from genesis on.
    pub entries: u64,
    /// BLAKE3 over the control head and every app's records.
    pub state_root: String,
    /// Aliases of the apps whose records were derived anew from the units, and were the same.
    pub derived: Vec<String>,
}

/// A store was made anew of what verifies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repaired {
    /// Units that are there.
    pub units: u64,
    /// Units that have to come from other devices again.
    pub units_lost: u64,
    /// Control entries that are there.
    pub entries: u64,
    /// Control entries that have to come from other devices again.
    pub entries_lost: u64,
    /// The damaged file.
    pub kept: PathBuf,
}

/// What the device in `dir` is, ran and knew.
///
/// # Errors
/// When the store cannot be opened, as for the functions below.
pub fn status(dir: &Path) -> Result<Status, AgentError> {
    match read(dir, &Command::Status)? {
        Response::Status(status) => Ok(*status),
        other => Err(unexpected(&other)),
    }
}

/// The devices of the account.
///
/// # Errors
/// When the store cannot be opened.
pub fn devices(dir: &Path) -> Result<Devices, AgentError> {
    match read(dir, &Command::Devices)? {
        Response::Devices(devices) => Ok(devices),
        other => Err(unexpected(&other)),
    }
}

/// What is installed under `alias`.
///
/// # Errors
/// `NotInstalled`, or when the store cannot be opened.
pub fn app(dir: &Path, alias: &str) -> Result<App, AgentError> {
    match read(dir, &Command::App { alias: alias.to_string() })? {
        Response::App(app) => Ok(app),
        other => Err(unexpected(&other)),
    }
}

/// The proposals, as the ledger shows them.
///
/// # Errors
/// `NotInstalled`, or when the store cannot be opened.
pub fn proposals(dir: &Path, alias: Option<&str>) -> Result<Proposals, AgentError> {
    match read(dir, &Command::Proposals { alias: alias.map(ToString::to_string) })? {
        Response::Proposals(proposals) => Ok(proposals),
        other => Err(unexpected(&other)),
    }
}

/// One session.
///
/// # Errors
/// `UnknownSession`, or when the store cannot be opened.
pub fn session(dir: &Path, session: &str) -> Result<Session, AgentError> {
    match read(dir, &Command::Session { session: session.to_string() })? {
        Response::Session(session) => Ok(session),
        other => Err(unexpected(&other)),
    }
}

/// All sessions.
///
/// # Errors
/// When the store cannot be opened.
pub fn sessions(dir: &Path) -> Result<Sessions, AgentError> {
    match read(dir, &Command::Sessions)? {
        Response::Sessions(sessions) => Ok(sessions),
        other => Err(unexpected(&other)),
    }
}

/// The newest `limit` units and entries.
///
/// # Errors
/// When the store cannot be opened.
pub fn log(dir: &Path, limit: usize) -> Result<Log, AgentError> {
    match read(dir, &Command::Log { limit })? {
        Response::Log(log) => Ok(log),
        other => Err(unexpected(&other)),
    }
}

/// The ledger, to read what the functions above do not show.
///
/// # Errors
/// When the store cannot be opened, or `StoreDamaged` when what it holds is no ledger.
pub fn ledger(dir: &Path) -> Result<Ledger, AgentError> {
    Ledger::restore(&load(dir)?).map_err(|error| damaged(&error))
}

/// Makes a damaged store anew of what verifies, and of what `help` has, a ledger of another device of the
/// account. What is still missing comes with the next sync.
///
/// # Errors
/// `StoreUnrepairable` when something is lost that only this device knew; the store is as it was then.
pub fn repair(dir: &Path, help: Option<&Ledger>) -> Result<Repaired, AgentError> {
    let me = Identity::load(dir)?.device();
    let it = store::repair(dir, me, help).map_err(|error| store_error(&error))?;
    Ok(Repaired {
        units: it.units,
        units_lost: it.units_lost,
        entries: it.entries,
        entries_lost: it.entries_lost,
        kept: it.kept,
    })
}

/// Checks everything that a store holds: certificates from genesis on, every unit's signature and
/// links, and that the records are what the units and the modules lead to.
///
/// # Errors
/// `StoreDamaged`, naming the first thing that does not hold.
pub fn verify(dir: &Path) -> Result<Verified, AgentError> {
    let identity = Identity::load(dir)?;
    let stored = load(dir)?;
    let chain = ControlChain::from_entries(stored.entries.iter().cloned())
        .map_err(|error| damaged(&error))?;
    check_signatures(&stored, &chain)?;
    let node = Node::restore(identity.name.clone(), NodeKeys::of(&identity), &stored)?;
    let host = open_host(dir, &identity)?;
    let mut derived = Vec::new();
    for app in stored.records.keys() {
        if derive_again(&node, &host, *app)? {
            derived.push(node.app_alias(*app));
        }
    }
    Ok(Verified {
        ok: true,
        units: stored.units.len(),
        entries: chain.height().saturating_add(1),
        state_root: node.state_root().to_string(),
        derived,
    })
}

/// Opening a store checks its checksums and links; this checks who signed.
fn check_signatures(stored: &Stored, chain: &ControlChain) -> Result<(), AgentError> {
    for (index, unit) in stored.units.iter().enumerate() {
        let unit = aura_journal::Unit::from_bytes(unit.bytes())
            .map_err(|error| damaged(&format!("unit {index}: {error}")))?;
        let config = chain.config_at(unit.body.config);
        if config.is_none() && 0 < chain.generation() {
            // Of a configuration that a recovery has left: it counts nowhere.
            continue;
        }
        let entry = config.and_then(|it| it.roster.get(&unit.body.author));
        let entry = entry.ok_or_else(|| damaged(&format!("unit {index}: unknown author")))?;
        unit.verify(&entry.unit_key).map_err(|error| damaged(&format!("unit {index}: {error}")))?;
    }
    Ok(())
}

/// Whether an app's records could be derived anew; an error when they then differ.
fn derive_again(
    node: &Node,
    host: &aura_wasm_host::ModuleHost,
    app: AppId,
) -> Result<bool, AgentError> {
    let Some(job) = node.derivation(app) else { return Ok(false) };
    for module in job.groups.iter().flat_map(Group::modules) {
        let here = host.contains(*module).map_err(|error| damaged(&error))?;
        if !here {
            return Ok(false);
        }
    }
    let migrated = derive_records(host, job)?;
    if node.agrees_with(app, migrated.records) {
        return Ok(true);
    }
    Err(damaged(&format!(
        "the records of `{}` are not what its units lead to",
        node.app_alias(app)
    )))
}

fn load(dir: &Path) -> Result<Stored, AgentError> {
    open_store(dir)?.load().map_err(|error| store_error(&error))
}

fn read(dir: &Path, command: &Command) -> Result<Response, AgentError> {
    let identity = Identity::load(dir)?;
    let stored = load(dir)?;
    let node = Node::restore(identity.name.clone(), NodeKeys::of(&identity), &stored)?;
    node.read_command(command)
}

fn damaged(error: &dyn std::fmt::Display) -> AgentError {
    AgentError::new(
        "StoreDamaged",
        format!("the store does not verify: {error}"),
        Whose::Machine,
        "restore the folder from a copy, or remove this device and join again as a new one",
    )
}

fn unexpected(response: &Response) -> AgentError {
    let message = format!("an answer of another kind: {response:?}");
    AgentError::new("Unexpected", message, Whose::Machine, "report this as a bug")
}
