//! The states of an upgrade.

use std::fmt;

/// Where an upgrade stands on one device.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpgradeState {
    /// Written, not yet accepted by the fold.
    Proposing,
    /// The modules are fetched, verified and compiled.
    Acknowledging,
    /// The prestate is migrated on trial.
    SignallingReady,
    /// This device is ready; others may not be.
    AwaitingQuorum,
    /// Certified: the records are being migrated.
    Activating,
    /// New sessions run the new version.
    Active,
    /// It was active, and was taken back.
    Reverted,
    /// It ended, and nothing changed.
    Failed(FailureReason),
    /// Certified, but this device cannot apply it: the app is blocked here, and nothing else.
    Blocked {
        /// The stable name of what stands in the way.
        code: String,
        /// What stands in the way, for people.
        reason: String,
    },
}

/// Why an upgrade ended without activation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureReason {
    /// It expired.
    TimedOut,
    /// This device refuses it. Others may still activate it.
    Denied {
        /// The stable name of the reason.
        code: String,
        /// The reason, for people.
        reason: String,
    },
    /// Another activation came first.
    Superseded,
}

impl fmt::Display for UpgradeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Proposing => "Proposing",
            Self::Acknowledging => "Acknowledging",
            Self::SignallingReady => "SignallingReady",
            Self::AwaitingQuorum => "AwaitingQuorum",
            Self::Activating => "Activating",
            Self::Active => "Active",
            Self::Reverted => "Reverted",
            Self::Failed(_) => "Failed",
            Self::Blocked { .. } => "Blocked",
        })
    }
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("it expired before a quorum was ready"),
            Self::Denied { code, reason } => write!(f, "{code}: {reason}"),
            Self::Superseded => f.write_str("another version was activated first"),
        }
    }
}
