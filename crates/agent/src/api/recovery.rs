//! What is said of recovering the account.

use serde::{Deserialize, Serialize};

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
    /// From when on it can be completed on this device, in Unix seconds.
    pub ready_at: u64,
    /// Whether that is over.
    pub ready: bool,
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
