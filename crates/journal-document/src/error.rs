//! Why a document could not be made or written.

use std::io;

use thiserror::Error;

/// Why a document could not be made or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// The document is of another account than the ledger. The caller's fault.
    #[error("the document is of account {document}, the ledger of {ledger}")]
    Account {
        /// Whose document it is.
        document: aura_protocol_core::AccountId,
        /// Whose ledger it is.
        ledger: aura_protocol_core::AccountId,
    },
    /// Units were dropped from the ledger, and with them what the document is made of. Nobody's fault: a
    /// device that keeps its units can write it.
    #[error("a snapshot stands for the units before {k}, of which the document would be made")]
    Settled {
        /// The height of the snapshot.
        k: u64,
    },
    /// Automerge refused a change that was compiled here. A bug of this crate; the ledger is untouched.
    #[error("automerge refused a compiled change: {what}")]
    Refused {
        /// What Automerge says.
        what: String,
    },
    /// The document could not be written. The machine's fault.
    #[error("the document could not be written")]
    Write(#[from] io::Error),
}

impl DocumentError {
    /// The stable name of the reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Account { .. } => "DocumentAccount",
            Self::Settled { .. } => "DocumentSettled",
            Self::Refused { .. } => "DocumentRefused",
            Self::Write(_) => "DocumentWrite",
        }
    }
}
