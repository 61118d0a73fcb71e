//! Creating an account: its first device, its first decision.

use std::{fs, path::Path};

use aura_journal::{
    Ledger, LedgerStore as _, StoreBatch,
    control::{Configuration, ControlChain, Entry, EntryBody, Genesis, RecoveryRole},
    store::DiskStore,
};
use serde::Serialize;

use crate::{
    driver::store_error,
    error::{AgentError, Whose},
    identity::{Identity, io_error},
    recovery_code::RecoveryCode,
};

/// How long whoever has the recovery code waits before it counts, in seconds: three days, in which the
/// account can veto it.
pub const RECOVERY_DELAY_SECONDS: u64 = 3 * 24 * 3600;

/// An account was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Created {
    /// The account's id.
    pub account: String,
    /// The device's id.
    pub device: String,
    /// The device's name.
    pub name: String,
    /// The code with which the account can be recovered, shown this once; empty where the account was there
    /// already.
    pub recovery_code: String,
}

/// Creates an account whose first device is in `dir`.
///
/// # Errors
/// `StoreExists` when there is a device already, `BadName`, `Io`.
pub fn create(dir: &Path, account_name: &str, name: &str) -> Result<Created, AgentError> {
    create_recoverable(dir, account_name, name, RECOVERY_DELAY_SECONDS)
}

/// As [`create`]; whoever has the recovery code waits for this long before it counts.
///
/// # Errors
/// As [`create`].
pub fn create_recoverable(
    dir: &Path,
    account_name: &str,
    name: &str,
    delay_seconds: u64,
) -> Result<Created, AgentError> {
    create_with(dir, account_name, name, delay_seconds, Vec::new())
}

pub(crate) fn create_with(
    dir: &Path,
    account_name: &str,
    name: &str,
    delay_seconds: u64,
    local: Vec<(String, Option<Vec<u8>>)>,
) -> Result<Created, AgentError> {
    let identity = Identity::generate(name)?;
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce)
        .map_err(|error| AgentError::new("NoRandomness", error, Whose::Machine, "try again"))?;
    let first = identity.roster_entry();
    let genesis = Genesis { nonce, name: account_name.to_string(), first };
    let chain = ControlChain::found(genesis, &identity.vote).map_err(|error| {
        AgentError::new("BadName", error, Whose::Caller, "choose another name for the account")
    })?;
    let code = RecoveryCode::generate()?;
    let chain = with_recovery(chain, &code, delay_seconds, &identity)?;
    let account = chain.account().to_string();
    refuse_existing(dir)?;
    make_private(dir)?;
    identity.save(dir)?;
    let batch = StoreBatch { local, ..Ledger::new(chain).take_batch() };
    let mut store = DiskStore::create(dir).map_err(|error| store_error(&error))?;
    store.commit(&batch).map_err(|error| store_error(&error))?;
    Ok(Created {
        account,
        device: identity.device().to_string(),
        name: name.to_string(),
        recovery_code: code.to_text().to_string(),
    })
}

/// Names the code's key in the first configuration that its device can decide on alone.
fn with_recovery(
    mut chain: ControlChain,
    code: &RecoveryCode,
    delay_seconds: u64,
    identity: &Identity,
) -> Result<ControlChain, AgentError> {
    let recovery =
        RecoveryRole::Keys { keys: [code.key().public()].into(), threshold: 1, delay_seconds };
    let next = Configuration { recovery, ..chain.config().clone() };
    let value = Entry { past: Vec::new(), body: EntryBody::Reconfigure(Box::new(next)) };
    let decided = chain.certify_alone(value, &identity.vote).and_then(|it| chain.append(it));
    match decided {
        Ok(_) => Ok(chain),
        Err(error) => Err(AgentError::new(error.code(), error, Whose::Machine, "try again")),
    }
}

/// There is one device in a folder.
pub(crate) fn refuse_existing(dir: &Path) -> Result<(), AgentError> {
    if !dir.join("identity").exists() && !dir.join("ledger.redb").exists() {
        return Ok(());
    }
    Err(AgentError::new(
        "StoreExists",
        format!("there is a device in {} already", dir.display()),
        Whose::Caller,
        "name another folder with --store",
    ))
}

/// The folder, for its owner's eyes alone.
pub(crate) fn make_private(dir: &Path) -> Result<(), AgentError> {
    fs::create_dir_all(dir).map_err(|error| io_error(dir, &error))?;
    let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(dir, owner_only).map_err(|error| io_error(dir, &error))
}
