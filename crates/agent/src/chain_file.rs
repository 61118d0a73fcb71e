//! A control chain as a file: what a publisher exports and an installer reads.
//!
//! A line that says what it is, then the canonical encoding of all entries. Whoever reads it verifies
//! every certificate from genesis on.

use std::{fs, path::Path};

use aura_journal::control::{CertifiedEntry, ControlChain};
use aura_protocol_core::{decode, encode};

use crate::{
    error::{AgentError, Whose},
    identity::io_error,
};

/// The first line.
const HEADER: &[u8] = b"aura-chain-1\n";
/// Largest file, in bytes: ten thousand releases.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Writes a chain, and says how many bytes it has.
///
/// # Errors
/// `Io`, naming the file.
pub fn write(path: &Path, chain: &ControlChain) -> Result<u64, AgentError> {
    let mut bytes = HEADER.to_vec();
    bytes.extend(encode(chain.entries()));
    fs::write(path, &bytes).map_err(|error| io_error(path, &error))?;
    Ok(bytes.len() as u64)
}

/// Reads and verifies a chain.
///
/// # Errors
/// `Io`, `NotAChain` when the file is something else, `BadChain` when a rule is broken.
pub fn read(path: &Path) -> Result<ControlChain, AgentError> {
    let not_a_chain = |what: &str| {
        AgentError::new(
            "NotAChain",
            format!("{} is no exported chain: {what}", path.display()),
            Whose::Caller,
            "name the file that `aura repository export` or `aura ledger prove --chain` wrote",
        )
    };
    let size = fs::metadata(path).map_err(|error| io_error(path, &error))?.len();
    if FILE_BYTES_MAX < size {
        return Err(not_a_chain("it is too large"));
    }
    let bytes = fs::read(path).map_err(|error| io_error(path, &error))?;
    let body = bytes.strip_prefix(HEADER).ok_or_else(|| not_a_chain("its first line differs"))?;
    let entries: Vec<CertifiedEntry> =
        decode(body, body.len()).map_err(|error| not_a_chain(&error.to_string()))?;
    ControlChain::from_entries(entries).map_err(|error| {
        AgentError::new(
            "BadChain",
            format!("{}: {error}", path.display()),
            Whose::Publisher,
            "get the file again from the publisher",
        )
    })
}
