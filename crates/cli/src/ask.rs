//! Asking the device: the process that runs it, or the store where there is no process.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use aura_agent::{
    AgentError, Whose,
    api::{Command, Response},
    control,
    copy::LedgerCopy,
    offline,
};
use aura_journal::Ledger;
use tokio::time::sleep;

/// How long a store may be held by a process that does not answer: one that is just starting or
/// stopping, or another command that reads the store.
const HELD_MAX: Duration = Duration::from_secs(3);
/// Pause between two looks. Starting and stopping take some tens of milliseconds.
const PAUSE: Duration = Duration::from_millis(25);

/// Asks the process that runs the device.
///
/// # Errors
/// `NotRunning` if there is none, and whatever it answers.
pub async fn running(store: &Path, command: &Command) -> Result<Response, AgentError> {
    running_or_stored(store, command, |store| {
        // A store that cannot be opened is the better answer.
        offline::status(store)?;
        Err(AgentError::new(
            "NotRunning",
            format_args!("no process runs the device in {}", store.display()),
            Whose::Caller,
            format!("start it with `aura --store {} run`", store.display()),
        ))
    })
    .await
}

/// Asks the process that runs the device or, if there is none, reads the store.
///
/// # Errors
/// Whatever the process answers, or the store.
pub async fn running_or_stored(
    store: &Path,
    command: &Command,
    read: impl Fn(&Path) -> Result<Response, AgentError>,
) -> Result<Response, AgentError> {
    let begun = Instant::now();
    loop {
        if let Some(response) = control::request(store, command).await? {
            return Ok(response);
        }
        match read(store) {
            Err(error) if error.code == "StoreInUse" && begun.elapsed() < HELD_MAX => {
                sleep(PAUSE).await;
            }
            read => return read,
        }
    }
}

/// A copy of the ledger of the process that runs the device or, if there is none, the stored one.
///
/// # Errors
/// Whatever the process answers, or the store.
pub async fn ledger(store: &Path) -> Result<Ledger, AgentError> {
    let begun = Instant::now();
    loop {
        if let Some(ledger) = running_ledger(store).await? {
            return Ok(ledger);
        }
        match offline::ledger(store) {
            Err(error) if error.code == "StoreInUse" && begun.elapsed() < HELD_MAX => {
                sleep(PAUSE).await;
            }
            read => return read,
        }
    }
}

/// A copy of the ledger of the process that runs the device; `None` if there is none, or it stops.
async fn running_ledger(store: &Path) -> Result<Option<Ledger>, AgentError> {
    let mut copy = LedgerCopy::default();
    while let Some(piece) = control::request(store, &copy.next()).await? {
        if copy.add(&piece)? {
            return copy.ledger().map(Some);
        }
    }
    Ok(None)
}

/// An absolute path: the running device has a working directory of its own.
///
/// # Errors
/// `BadPath` if it is empty, or the working directory is gone.
pub fn absolute(path: &Path) -> Result<std::path::PathBuf, AgentError> {
    std::path::absolute(path).map_err(|error| {
        AgentError::new(
            "BadPath",
            format_args!("the path {:?} cannot be used: {error}", path.display()),
            Whose::Caller,
            "name a file",
        )
    })
}

/// An answer of another kind than the question: the device is of another version than the command.
pub fn unexpected(response: &Response) -> AgentError {
    AgentError::new(
        "UnexpectedAnswer",
        format_args!("the running device answers something else than was asked: {response:?}"),
        Whose::Machine,
        "run it with the same version of `aura` as this command",
    )
}
