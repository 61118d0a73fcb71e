//! Errors as a person meets them: what, whose, and what next.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Who can do something about an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whose {
    /// Whoever gave the command.
    Caller,
    /// Another device of the account, or a stranger.
    Peer,
    /// Whoever published the module or the release.
    Publisher,
    /// This machine: its disk, its network, another process on it.
    Machine,
    /// Nobody: it takes time, or a quorum.
    Nobody,
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Caller => "yours",
            Self::Peer => "a peer's",
            Self::Publisher => "the publisher's",
            Self::Machine => "this machine's",
            Self::Nobody => "nobody's fault",
        })
    }
}

/// An error with a stable code. Fields once published stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct AgentError {
    /// The stable name of what went wrong, such as `DigestMismatch`.
    pub code: String,
    /// What went wrong, in a sentence without a period.
    pub message: String,
    /// Who can do something about it.
    pub whose: Whose,
    /// What to do next.
    pub next: String,
}

impl AgentError {
    /// An error of this code.
    pub fn new(
        code: impl Into<String>,
        message: impl fmt::Display,
        whose: Whose,
        next: impl Into<String>,
    ) -> Self {
        Self { code: code.into(), message: message.to_string(), whose, next: next.into() }
    }
}
