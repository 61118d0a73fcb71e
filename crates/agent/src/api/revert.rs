//! What is said of taking a version back.

use serde::{Deserialize, Serialize};

/// An activation was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionReverted {
    /// The app's alias.
    pub alias: String,
    /// The version that is active again.
    pub version: String,
    /// The height of the decision.
    pub k: u64,
}
