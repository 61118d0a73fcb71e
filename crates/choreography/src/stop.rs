//! How a session ends without a result.

use alloc::string::String;
use core::fmt;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{Dev, DeviceSet, LabelSet};

/// Why a decider gives up, or why a device cannot take its own step. The payload of every label that
/// stands after `|` in a session's type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
#[non_exhaustive]
pub enum Reason {
    /// Not enough was there in time.
    Timeout,
    /// Devices broke the protocol: these.
    Byzantine {
        /// Who.
        culprits: DeviceSet,
    },
    /// Not enough devices are left to go on.
    Insufficient,
    /// What was computed does not verify.
    VerificationFailed,
    /// A device used its right to say no.
    Vetoed {
        /// Who.
        by: Dev,
    },
    /// The session went back as often or as long as it may.
    Bounded,
    /// The state does not allow it.
    InvalidState(String),
    /// Something else, for people.
    Other(String),
}

impl Reason {
    /// The stable name of the reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Timeout => "Timeout",
            Self::Byzantine { .. } => "ByzantineBehavior",
            Self::Insufficient => "InsufficientParticipants",
            Self::VerificationFailed => "VerificationFailed",
            Self::Vetoed { .. } => "Vetoed",
            Self::Bounded => "Bounded",
            Self::InvalidState(_) => "InvalidState",
            Self::Other(_) => "Other",
        }
    }

    /// The devices whose fault it is; none when it is nobody's.
    #[must_use]
    pub const fn culprits(&self) -> DeviceSet {
        match self {
            Self::Byzantine { culprits } => *culprits,
            Self::Timeout
            | Self::Insufficient
            | Self::VerificationFailed
            | Self::Vetoed { .. }
            | Self::Bounded
            | Self::InvalidState(_)
            | Self::Other(_) => DeviceSet::EMPTY,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("not enough was there in time"),
            Self::Byzantine { culprits } => write!(f, "devices {culprits} broke the protocol"),
            Self::Insufficient => f.write_str("not enough devices are left"),
            Self::VerificationFailed => f.write_str("what was computed does not verify"),
            Self::Vetoed { by } => write!(f, "device {by} vetoed it"),
            Self::Bounded => f.write_str("it went back as often or as long as it may"),
            Self::InvalidState(what) | Self::Other(what) => f.write_str(what),
        }
    }
}

/// Why a script ended without a result on this device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum Stop {
    /// A decider published it: every device that learns how the session ended learns this.
    Aborted(Reason),
    /// This device gave up waiting. It says nothing about the others.
    Stalled {
        /// What it waited for.
        labels: LabelSet,
        /// Of whom.
        from: DeviceSet,
    },
    /// This device cannot take its own step.
    Failed(Reason),
    /// A device wrote what its role does not allow, so nothing that rests on it can go on here.
    Byzantine {
        /// Who.
        culprit: Dev,
        /// What it did, for people.
        what: String,
    },
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aborted(reason) => write!(f, "aborted: {reason}"),
            Self::Stalled { from, .. } => write!(f, "gave up waiting for devices {from}"),
            Self::Failed(reason) => write!(f, "failed here: {reason}"),
            Self::Byzantine { culprit, what } => write!(f, "device {culprit} {what}"),
        }
    }
}

/// How a session ended, for what it has to say whatever happened (`finally`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum Exit {
    /// With a result.
    Finished,
    /// By a decider's abort.
    Aborted(Reason),
    /// This device gave up, or cannot go on.
    Left,
}

impl Exit {
    pub(crate) fn of<T>(result: &Result<T, Stop>) -> Self {
        match result {
            Ok(_) => Self::Finished,
            Err(Stop::Aborted(reason)) => Self::Aborted(reason.clone()),
            Err(Stop::Stalled { .. } | Stop::Failed(_) | Stop::Byzantine { .. }) => Self::Left,
        }
    }
}
