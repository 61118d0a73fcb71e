//! What is said of recovering the account.

use serde::{Deserialize, Serialize};

use super::Command;

/// It was asked that the account is recovered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryRequested {
    /// The request's id.
    pub request: String,
    /// The names of the devices that stay.
    pub keep: Vec<String>,
    /// From when on it can be completed on this device, in Unix seconds.
    pub ready_at: u64,
}

/// Who may recover the account, and what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryStatus {
    /// How often the account was recovered.
    pub generation: u64,
    /// The height at which two values are certified, if there is one: nothing is decided any more.
    pub frozen_at: Option<u64>,
    /// Who may recover the account.
    pub recovery_role: String,
    /// How long they wait, in seconds.
    pub delay_seconds: u64,
    /// What was asked for and is not vetoed.
    pub recovery_requests: Vec<RecoveryRow>,
    /// The ids of new devices that asked this device to be let in when the account is recovered.
    #[serde(default)]
    pub new_devices: Vec<String>,
    /// Whether the devices hold the account's keys: not yet, right after a recovery by guardians.
    #[serde(default)]
    pub keys_are_back: bool,
    /// How often somebody objected to an earlier request: the wait doubles with each, and one guardian more has
    /// to approve.
    #[serde(default)]
    pub objections_before: u32,
}

/// A request to recover the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryRow {
    /// Its id.
    pub request: String,
    /// The names of the devices that stay.
    pub keep: Vec<String>,
    /// How many of them decide then.
    pub votes: u16,
    /// From when on this device can sign it, in Unix seconds; 0 before its person approved it, where guardians
    /// decide.
    pub ready_at: u64,
    /// Whether that is over.
    pub ready: bool,
    /// The ids of the devices that are new.
    #[serde(default)]
    pub new: Vec<String>,
    /// The names of the guardians that approved it.
    #[serde(default)]
    pub approvals: Vec<String>,
    /// How many have to; 0 where no guardians decide.
    #[serde(default)]
    pub approvals_needed: usize,
    /// The names of the guardians that signed it.
    #[serde(default)]
    pub signed: Vec<String>,
    /// The names of those who objected.
    #[serde(default)]
    pub objections: Vec<String>,
}

/// The account does not let itself be recovered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryVetoed {
    /// The request's id.
    pub vetoed_request: String,
    /// The height of the decision, or a later one.
    pub k: u64,
}

/// The account was recovered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryCompleted {
    /// The generation that begins.
    pub generation: u64,
    /// Where on the chain.
    pub k: u64,
    /// How many devices the account has now.
    pub devices_left: usize,
}

/// The account's guardians.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guardians {
    /// One row each.
    pub guardians: Vec<Guardian>,
    /// How many of them recover the account; 0 where they do not.
    pub needed: u16,
    /// How long whoever recovers the account waits, in seconds.
    pub delay_seconds: u64,
    /// From when on this device votes for what the person here set up, in Unix seconds, if that is not so yet.
    pub wanted_not_before: Option<u64>,
}

/// A guardian.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guardian {
    /// Its id.
    pub guardian: String,
    /// Its name; the beginning of its id before it has published one.
    pub name: String,
    /// Whether it is the device that answers.
    pub this: bool,
    /// Whether it is connected to the device that answers.
    pub connected: bool,
    /// Whether it is one of those who recover the account: it holds a share.
    pub recovers: bool,
}

/// The account's guardians are to recover it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoverySetUp {
    /// How many of them it takes.
    pub guardians_needed: u16,
    /// How many there are.
    pub guardians_of: usize,
    /// How long each will wait, in seconds.
    pub guardians_delay_seconds: u64,
    /// From when on this device votes for it, in Unix seconds: whoever recovers the account now has their time.
    pub not_before: u64,
    /// The persons at how many devices have to say so.
    pub votes_needed: u16,
}

/// A guardian's person approved a recovery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryApproved {
    /// The request's id.
    pub approved_request: String,
    /// How many guardians approved it, as far as is known here.
    pub approvals: usize,
    /// How many have to.
    pub approvals_needed: usize,
    /// From when on this guardian signs, in Unix seconds.
    pub ready_at: u64,
}

/// Guardians were asked for an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryNudged {
    /// The request's id.
    pub nudged_request: String,
    /// The names of those that have said nothing.
    pub nudged: Vec<String>,
}

/// A request was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryCancelled {
    /// The request's id.
    pub cancelled_request: String,
}

impl Command {
    /// Whether it is about the life of the account, in which guardians have no part.
    #[must_use]
    pub const fn is_the_accounts(&self) -> bool {
        matches!(
            self,
            Self::Invite { .. }
                | Self::AddGuardian { .. }
                | Self::SetUpRecovery { .. }
                | Self::Revoke { .. }
                | Self::Remove { .. }
                | Self::SetThreshold { .. }
                | Self::Install(_)
                | Self::Upgrade(_)
                | Self::Propose(_)
                | Self::Revert { .. }
                | Self::StartSession(_)
                | Self::StartBuiltIn(_)
                | Self::DeriveKey { .. }
                | Self::Snapshot
        )
    }
}
