//! What can go wrong with a module's transfer, and whose fault it is.

use std::time::Duration;

use aura_protocol_core::Digest;
use thiserror::Error;

use super::{Slow, locations::LocationFailure};
use crate::{Culprit, TransportError};

/// A transfer that did not bring, or did not give, a module.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ModuleError {
    /// The provider does not have the module. Nobody's fault: ask the next.
    #[error("peer does not offer module {digest}")]
    NotOffered {
        /// The module asked for.
        digest: Digest,
    },
    /// The provider speaks of another length than signed data does. One of both lies, and which
    /// cannot be told from here.
    #[error("module has {declared} bytes by signed data and {offered} by the peer")]
    SizeMismatch {
        /// From the reference.
        declared: u32,
        /// From the provider.
        offered: u32,
    },
    /// Bytes that do not belong to the module. They were dropped, everything before them is kept.
    #[error("bytes from {at_byte} on do not belong to module {digest}")]
    DigestMismatch {
        /// The module asked for.
        digest: Digest,
        /// Where the first group begins that could not be verified.
        at_byte: u32,
    },
    /// The provider went on after the last byte.
    #[error("peer sent more than the module's {declared} bytes need")]
    TooMuchData {
        /// From the reference.
        declared: u32,
    },
    /// The provider finished early.
    #[error("peer stopped at byte {at_byte} of {declared}")]
    TruncatedTransfer {
        /// What was verified so far.
        at_byte: u32,
        /// From the reference.
        declared: u32,
    },
    /// The other side fell below the minimum rate, or silent.
    #[error("peer is too slow: {bytes} bytes in {window:?}")]
    TooSlow {
        /// What moved.
        bytes: usize,
        /// In which time.
        window: Duration,
    },
    /// The other side does not follow the protocol of transfers.
    #[error("peer broke the transfer protocol: {reason}")]
    Malformed {
        /// What it did.
        reason: &'static str,
    },
    /// The reference does not allow peers to give the module.
    #[error("module {digest} may not be fetched from peers")]
    PeersNotAllowed {
        /// The module.
        digest: Digest,
    },
    /// The reference breaks a limit.
    #[error("reference to module {digest} is out of limits")]
    ReferenceOutOfLimits {
        /// The module.
        digest: Digest,
    },
    /// The reference's two digests do not name the same bytes: BLAKE3 matches, SHA-256 does not.
    #[error("reference to module {digest} carries a SHA-256 of other bytes")]
    Sha256Mismatch {
        /// The module.
        digest: Digest,
    },
    /// The partial download belongs to another module.
    #[error("partial download does not belong to module {digest}")]
    PartialOfAnother {
        /// The module asked for.
        digest: Digest,
    },
    /// Restored bytes of an earlier run were damaged. They were dropped; start again.
    #[error("stored part of module {digest} was damaged")]
    PartialDamaged {
        /// The module.
        digest: Digest,
    },
    /// Our own copy of a module that a peer asked for is damaged, and was not sent.
    #[error("our copy of module {digest} is damaged")]
    SourceDamaged {
        /// The module.
        digest: Digest,
    },
    /// The reference names no location.
    #[error("module {digest} is released without a location")]
    NoLocation {
        /// The module.
        digest: Digest,
    },
    /// No location gave the module. Each says why.
    #[error("no location gave module {digest}{}", list(failures))]
    LocationsFailed {
        /// The module.
        digest: Digest,
        /// What went wrong, in the order in which they were tried.
        failures: Vec<LocationFailure>,
    },
    /// The channel failed.
    #[error("channel failed")]
    Transport(#[from] TransportError),
}

fn list(failures: &[LocationFailure]) -> String {
    failures.iter().map(|it| format!("; {}: {}", it.url, it.error)).collect()
}

impl From<Slow> for ModuleError {
    fn from(Slow { bytes, window }: Slow) -> Self {
        Self::TooSlow { bytes, window }
    }
}

impl ModuleError {
    /// Whose fault it is, if it is anybody's. Exhaustive, so each new variant has to decide.
    #[must_use]
    pub fn culprit(&self) -> Option<Culprit> {
        match self {
            Self::NotOffered { .. } | Self::SizeMismatch { .. } | Self::NoLocation { .. } => None,
            Self::DigestMismatch { .. }
            | Self::TooMuchData { .. }
            | Self::TruncatedTransfer { .. }
            | Self::TooSlow { .. }
            | Self::Malformed { .. } => Some(Culprit::Peer),
            Self::PeersNotAllowed { .. } | Self::PartialOfAnother { .. } => Some(Culprit::Caller),
            Self::ReferenceOutOfLimits { .. } | Self::Sha256Mismatch { .. } => {
                Some(Culprit::Publisher)
            }
            Self::PartialDamaged { .. } | Self::SourceDamaged { .. } => Some(Culprit::Machine),
            Self::LocationsFailed { failures, .. } => failures.last().map(|it| it.error.culprit()),
            Self::Transport(error) => Some(error.culprit()),
        }
    }

    /// A stable name for machines.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotOffered { .. } => "NotOffered",
            Self::SizeMismatch { .. } => "SizeMismatch",
            Self::DigestMismatch { .. } => "DigestMismatch",
            Self::TooMuchData { .. } => "TooMuchData",
            Self::TruncatedTransfer { .. } => "TruncatedTransfer",
            Self::TooSlow { .. } => "TooSlow",
            Self::Malformed { .. } => "Malformed",
            Self::PeersNotAllowed { .. } => "PeersNotAllowed",
            Self::ReferenceOutOfLimits { .. } => "ReferenceOutOfLimits",
            Self::Sha256Mismatch { .. } => "Sha256Mismatch",
            Self::PartialOfAnother { .. } => "PartialOfAnother",
            Self::PartialDamaged { .. } => "PartialDamaged",
            Self::SourceDamaged { .. } => "SourceDamaged",
            Self::NoLocation { .. } => "NoLocation",
            Self::LocationsFailed { .. } => "LocationsFailed",
            Self::Transport(_) => "Transport",
        }
    }
}
