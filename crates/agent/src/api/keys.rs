//! What is said of the account's keys, and of what must not run beside each other.

use serde::{Deserialize, Serialize};

use super::SecretHex;

/// The account's keys, which no device holds, and this device's share of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// The group key; empty while the account has none.
    pub group_key: String,
    /// Shares that are needed to use it.
    pub needed: u16,
    /// Whether this device holds a share; unknown while no process runs it.
    pub share: Option<bool>,
    /// What this device's secrets are sealed under: `a key file`, `a passphrase`; empty before it has any.
    pub sealed_under: String,
}

/// How many devices it takes from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThresholdSet {
    /// Votes that decide.
    pub votes: u16,
    /// Shares that use the account's keys.
    pub shares: u16,
    /// Devices that vote.
    pub devices: usize,
    /// The height of the decision, or a later one.
    pub k: u64,
}

/// The account's locks: what must not run beside each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locks {
    /// One row each.
    pub locks: Vec<Lock>,
}

/// One lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Its name.
    pub lock: String,
    /// The name of the device that holds it.
    pub holder: Option<String>,
    /// The number of the last grant; an order under a lower one is not taken. 0 before the first.
    pub number: u64,
    /// Until which epoch it is held, unless it is released before.
    pub until: Option<u64>,
    /// The epoch of now, by the quorum clock.
    pub epoch: u64,
    /// The names of the devices that wait for it.
    pub waiting: Vec<String>,
}

/// A derived key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DerivedKey {
    /// What it is for.
    pub context: String,
    /// The key: 32 secret bytes.
    pub key: SecretHex,
    /// The public half of the key pair that was derived with it. Everybody who reads the ledger can see it.
    pub public_key: String,
    /// The session in which it was derived.
    pub session: String,
}
