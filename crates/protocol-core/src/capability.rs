//! What a protocol may ask its host to do for it.

use alloc::collections::BTreeSet;
use core::fmt;

use borsh::{BorshDeserialize, BorshSerialize};

/// One right that a module asks for and an account grants.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
#[borsh(use_discriminant = false)]
#[non_exhaustive]
pub enum Capability {
    /// Read records of its own app.
    ReadRecords,
    /// Write records of its own app when a session closes.
    WriteRecords,
    /// Have the host sign bytes, prefixed with domain, app, digest and session.
    Sign,
    /// Have the host derive a key under a context, prefixed likewise.
    DeriveKey,
    /// Seal bytes to, and open bytes from, another participant.
    Seal,
    /// Start a session of another protocol that its descriptor names.
    RunSubProtocol,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadRecords => "read-records",
            Self::WriteRecords => "write-records",
            Self::Sign => "sign",
            Self::DeriveKey => "derive-key",
            Self::Seal => "seal",
            Self::RunSubProtocol => "run-sub-protocol",
        })
    }
}

/// The rights that are in force during a call: what the account granted, cut to what the session
/// began with.
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct ProtocolCapabilities {
    /// The granted rights.
    #[borsh(deserialize_with = "crate::canonical::read_set")]
    pub granted: BTreeSet<Capability>,
}

impl ProtocolCapabilities {
    /// The rights in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self { granted: self.granted.intersection(&other.granted).copied().collect() }
    }

    /// Whether `capability` is granted.
    #[must_use]
    pub fn allows(&self, capability: Capability) -> bool {
        self.granted.contains(&capability)
    }
}

impl FromIterator<Capability> for ProtocolCapabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        Self { granted: capabilities.into_iter().collect() }
    }
}
