//! Proofs about an account, made from a device's store and checked by anybody, offline.

use std::{fs, path::Path};

use aura_journal::{
    LedgerStore as _,
    control::{
        ControlChain, Fact, LedgerProof, Question, Role, STATEMENT_BYTES_MAX, Statement,
        StatementError, Subject,
    },
};
use aura_protocol_core::{DeviceId, Digest};
use serde::Serialize;

use crate::{
    chain_file,
    driver::{open_store, store_error},
    error::{AgentError, Whose},
    identity::{Identity, io_error},
    node::{entry_says, policy_name, shown},
};

/// The first line of a proof's file.
const HEADER: &[u8] = b"aura-proof-1\n";

/// What to prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Which version of the app under this alias the account runs.
    App(String),
    /// That this device belongs to the account.
    Device(String),
    /// What was decided at this height.
    Entry(u64),
}

/// What the checker holds already.
#[derive(Debug, Clone, Copy)]
pub enum Known<'a> {
    /// A chain of the account, in a file that [`prove`] wrote.
    Chain(&'a Path),
    /// The height and the head of an entry, with a colon between them.
    Head(&'a str),
}

/// A proof was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proved {
    /// Its size in bytes.
    pub bytes: usize,
    /// The account.
    pub account: String,
    /// The height of the entry that it rests on.
    pub k: u64,
    /// The head of the chain with that entry: what a checker can know instead of a chain.
    pub head: String,
    /// What it shows.
    pub says: String,
}

/// A proof holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Whether it does; always true here.
    pub ok: bool,
    /// `is`: it was so just before that entry; `was`: it was decided there, by its hash; `decided`: it
    /// was decided there.
    pub kind: String,
    /// The height.
    pub k: u64,
    /// What it shows.
    pub says: String,
}

/// Proves something from the store in `dir`, and writes the proof, and the chain as well if asked.
///
/// # Errors
/// `NothingDecided` when the chain says nothing of it; when the store cannot be opened; `Io`.
pub fn prove(
    dir: &Path,
    asked: &Asked,
    out: &Path,
    chain_out: Option<&Path>,
) -> Result<Proved, AgentError> {
    Identity::load(dir)?;
    let stored = open_store(dir)?.load().map_err(|error| store_error(&error))?;
    let chain = ControlChain::from_entries(stored.entries).map_err(|error| {
        AgentError::new(
            "StoreDamaged",
            format!("the store's chain does not verify: {error}"),
            Whose::Machine,
            "ask another device of the account",
        )
    })?;
    let question = match asked {
        Asked::App(alias) => Question::Is(app(&chain, alias)?),
        Asked::Device(text) => {
            let device = text.parse::<DeviceId>().map_err(|_| unread(text, "a whole device id"))?;
            Question::Is(Subject::Device(device))
        }
        Asked::Entry(k) => Question::Was(*k),
    };
    let refused = |error: StatementError| {
        AgentError::new(
            error.code(),
            &error,
            Whose::Caller,
            "see with `aura ledger log` and `aura device list` what there is",
        )
    };
    let proof = LedgerProof::make(&chain, question).map_err(refused)?;
    let statement = proof.check(&chain).map_err(refused)?;
    let bytes = [HEADER, &proof.to_bytes()].concat();
    fs::write(out, &bytes).map_err(|error| io_error(out, &error))?;
    if let Some(file) = chain_out {
        chain_file::write(file, &chain)?;
    }
    Ok(Proved {
        bytes: bytes.len(),
        account: chain.account().to_string(),
        k: chain.height(),
        head: chain.head().to_string(),
        says: says(&statement),
    })
}

fn unread(text: &str, wanted: &str) -> AgentError {
    AgentError::new(
        "BadArgument",
        format!("`{}` is not {wanted}", shown(text)),
        Whose::Caller,
        "copy it whole from what `aura device list --json` or `aura ledger prove` prints",
    )
}

fn app(chain: &ControlChain, wanted: &str) -> Result<Subject, AgentError> {
    let named = |it: &&Fact| matches!(it, Fact::App { alias, .. } if alias == wanted);
    chain.facts().find(named).map(Fact::subject).ok_or_else(|| {
        AgentError::new(
            "NotInstalled",
            format!("no app is installed as `{}`", shown(wanted)),
            Whose::Caller,
            "see with `aura protocol list` what is",
        )
    })
}

/// Checks the proof in `file` against what is known, without a store or a network.
///
/// # Errors
/// `NotAProof`, or the code of what does not hold; those of a chain's file; `Io`.
pub fn check(file: &Path, known: Known<'_>) -> Result<Checked, AgentError> {
    let refused = |error: StatementError| {
        AgentError::new(
            error.code(),
            format!("{}: {error}", file.display()),
            Whose::Caller,
            "do not believe it; ask for another proof, or use a newer chain of the account",
        )
    };
    let malformed = |what: &str| refused(StatementError::Malformed(what.to_string()));
    let size = fs::metadata(file).map_err(|error| io_error(file, &error))?.len();
    if (HEADER.len() + STATEMENT_BYTES_MAX) as u64 <= size {
        return Err(malformed("it is too large"));
    }
    let bytes = fs::read(file).map_err(|error| io_error(file, &error))?;
    let body = bytes.strip_prefix(HEADER).ok_or_else(|| malformed("its first line differs"))?;
    let proof = LedgerProof::from_bytes(body).map_err(refused)?;
    let statement = match known {
        Known::Chain(chain) => proof.check(&chain_file::read(chain)?),
        Known::Head(text) => {
            let parts = text.split_once(':');
            let read = parts.and_then(|(k, head)| Some((k.parse().ok()?, head.parse().ok()?)));
            let (k, head): (u64, Digest) = read.ok_or_else(|| unread(text, "a height:head"))?;
            proof.check_head(k, head)
        }
    };
    let statement = statement.map_err(refused)?;
    let kind = match &statement {
        Statement::Is { .. } => "is",
        Statement::Was { .. } => "was",
        Statement::Says { .. } => "decided",
    };
    Ok(Checked { ok: true, kind: kind.to_string(), k: statement.k(), says: says(&statement) })
}

fn says(statement: &Statement) -> String {
    match statement {
        Statement::Is { fact, .. } => fact_says(fact),
        Statement::Was { value, .. } => format!("entry {value}"),
        Statement::Says { value, .. } => entry_says(value),
    }
}

fn fact_says(fact: &Fact) -> String {
    match fact {
        Fact::Device { device, role } => {
            let role = match role {
                Role::Voter => "voter",
                Role::Reader => "reader",
                Role::Guardian => "guardian",
            };
            format!("device {device} is a {role}")
        }
        Fact::App { alias, version, digest, policy, .. } => {
            let policy = policy_name(*policy);
            format!("`{}` runs {version}, module {digest}, policy {policy}", shown(alias))
        }
        _ => "a fact of a newer version".to_string(),
    }
}
