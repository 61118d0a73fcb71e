//! Why a context does not take something.

use aura_protocol_core::SessionId;
use thiserror::Error;

use crate::execution::context::{INBOX_BYTES_MAX, INBOX_MAX, SIGNAL_BYTES_MAX};

/// Why a context does not take something.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ContextError {
    /// The session has ended or failed.
    #[error("session {} has ended", .session.short())]
    Ended {
        /// The session.
        session: SessionId,
    },
    /// As many inputs wait as may.
    #[error(
        "session {} has {waiting} inputs waiting; at most {INBOX_MAX} of {INBOX_BYTES_MAX} bytes may",
        .session.short()
    )]
    Full {
        /// The session.
        session: SessionId,
        /// How many inputs wait.
        waiting: usize,
    },
    /// A signal that would never fit.
    #[error("a signal has at most {SIGNAL_BYTES_MAX} bytes, found {found}")]
    TooLarge {
        /// Bytes found.
        found: usize,
    },
    /// An answer to something that was not asked.
    #[error("session {} did not ask for this", .session.short())]
    NotAsked {
        /// The session.
        session: SessionId,
    },
}

impl ContextError {
    /// The stable name of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Ended { .. } => "SessionEnded",
            Self::Full { .. } => "InboxFull",
            Self::TooLarge { .. } => "LimitExceeded",
            Self::NotAsked { .. } => "NotAsked",
        }
    }
}
