//! What a location can do instead of giving a module.

use std::time::Duration;

use thiserror::Error;

use crate::{Culprit, modules::Slow};

/// A location that gave no module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocationFailure {
    /// Which.
    pub url: String,
    /// What it did.
    pub error: LocationError,
}

/// Why a location gave no module.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LocationError {
    /// Neither http(s) nor a file of this machine.
    #[error("this is no http, https or file location")]
    Unsupported,
    /// Nobody answered: no such name, nobody listening, no valid certificate, no answer in time.
    #[error("no answer: {reason}")]
    Unreachable {
        /// What the attempt ended with.
        reason: String,
    },
    /// It leads from place to place, or from https to http.
    #[error("redirected too often, or to an unprotected place")]
    Redirected,
    /// It answered with another status than that of a file, or of a part.
    #[error("answered with status {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// It gives another part than the one asked for.
    #[error("gives another part than the one asked for")]
    WrongRange,
    /// What it has is not as long as the module.
    #[error("has {announced} bytes, the module {declared}")]
    WrongLength {
        /// By the reference.
        declared: u32,
        /// By the server, or the file.
        announced: u64,
    },
    /// It sends something that would have to be decoded first. It was told not to.
    #[error("answered in a content coding")]
    Coded,
    /// It stopped early. What it brought is kept.
    #[error("stopped at byte {at_byte}")]
    Cut {
        /// What is here so far.
        at_byte: u32,
    },
    /// It was silent, or below the least rate.
    #[error("too slow: {bytes} bytes in {window:?}")]
    TooSlow {
        /// What moved.
        bytes: usize,
        /// In which time.
        window: Duration,
    },
    /// The whole does not match its digest: this location, or one whose part it took up, lied.
    #[error("what it brought does not match the module's digest")]
    Mismatch,
    /// So much came over the wire for nothing that no further attempt is made.
    #[error("not tried: too many bytes came for nothing")]
    BudgetSpent,
    /// The file cannot be read.
    #[error("cannot be read: {reason}")]
    Unreadable {
        /// What the system said.
        reason: String,
    },
}

impl LocationError {
    /// Who has to change something. Exhaustive, so each new variant has to decide.
    #[must_use]
    pub fn culprit(&self) -> Culprit {
        match self {
            Self::Unsupported => Culprit::Publisher,
            Self::Unreachable { .. } | Self::Cut { .. } | Self::BudgetSpent => Culprit::Network,
            Self::Redirected
            | Self::Status { .. }
            | Self::WrongRange
            | Self::WrongLength { .. }
            | Self::Coded
            | Self::TooSlow { .. }
            | Self::Mismatch => Culprit::Server,
            Self::Unreadable { .. } => Culprit::Machine,
        }
    }

    /// Whether the same location may do better within the same fetch.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Cut { .. } | Self::WrongRange => true,
            Self::Status { status } => 500 <= *status || *status == 429,
            _ => false,
        }
    }
}

impl From<Slow> for LocationError {
    fn from(Slow { bytes, window }: Slow) -> Self {
        Self::TooSlow { bytes, window }
    }
}
