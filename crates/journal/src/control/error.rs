//! Why something has no place on a control chain.

use aura_protocol_core::{AccountId, DeviceId};
use thiserror::Error;

use crate::control::{CertificateError, ConfigError, ENTRY_BYTES_MAX};

/// Why an entry, a value or a proof is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChainError {
    /// Entries before this one are missing.
    #[error("entry {got} came before entry {need}")]
    Gap {
        /// The height that is needed next.
        need: u64,
        /// The height that came.
        got: u64,
    },
    /// It belongs to another account.
    #[error("entry of account {found} on the chain of {expected}")]
    WrongAccount {
        /// Whose chain this is.
        expected: AccountId,
        /// Whose entry it is.
        found: AccountId,
    },
    /// It belongs to another generation of the account.
    #[error("generation {found} at height {k}, where {expected} is current")]
    WrongGeneration {
        /// At which height.
        k: u64,
        /// The current generation.
        expected: u64,
        /// The entry's.
        found: u64,
    },
    /// It names another configuration than the one that decides its slot.
    #[error("configuration {found} at height {k}, which {expected} decides")]
    WrongConfig {
        /// At which height.
        k: u64,
        /// The configuration that decides there.
        expected: u64,
        /// The entry's.
        found: u64,
    },
    /// It continues another decision than the one before it.
    #[error("entry {k} continues another decision than entry {}", .k.saturating_sub(1))]
    WrongParent {
        /// At which height.
        k: u64,
    },
    /// It names other roots of what came before it.
    #[error("entry {k} names another history or other facts than this chain has")]
    WrongRoots {
        /// At which height.
        k: u64,
    },
    /// A second value is certified for a decided slot: evidence of a broken quorum, never a choice.
    #[error("a second value is certified at height {k}")]
    Conflict {
        /// At which height.
        k: u64,
    },
    /// The votes do not certify it.
    #[error("certificate is refused")]
    Certificate(#[from] CertificateError),
    /// The configuration that it carries breaks a rule.
    #[error("configuration is refused")]
    Configuration(#[from] ConfigError),
    /// A chain or proof does not begin with a genesis entry that stands alone.
    #[error("a chain begins with a genesis entry that closes no past")]
    NoGenesis,
    /// A genesis entry stands elsewhere than at the beginning.
    #[error("a second genesis entry")]
    SecondGenesis,
    /// The units whose past an entry closes are not in strictly ascending order.
    #[error("the past of an entry is not in strictly ascending order")]
    PastNotSorted,
    /// The encoded value is too large to be proposed in a unit.
    #[error("an entry has at most {ENTRY_BYTES_MAX} bytes, found {found}")]
    TooLarge {
        /// Bytes found.
        found: usize,
    },
    /// A device is to leave that is not in the roster.
    #[error("device {device} is not in the roster")]
    NoMember {
        /// The device.
        device: DeviceId,
    },
    /// A device that was removed is to come back under its old id.
    #[error("device {device} was removed and cannot come back under the same key")]
    Readded {
        /// The device.
        device: DeviceId,
    },
    /// A vote key that is in force no more is to be in force again.
    #[error("device {device} would vote with a key that is in force no more")]
    RetiredKey {
        /// The device.
        device: DeviceId,
    },
    /// Two values are certified for one slot: nothing is certified any more until a recovery.
    #[error(
        "the chain is frozen: two values are certified at height {k}; only a recovery leads on"
    )]
    Frozen {
        /// At which height.
        k: u64,
    },
    /// The configuration names nobody who could recover the account.
    #[error("nobody may recover this account")]
    NoRecovery,
    /// The account has certified a veto against the request that a recovery grants.
    #[error("the account has vetoed this recovery")]
    Vetoed,
    /// A recovery does not name the generation of its slot.
    #[error("a recovery stands at the first slot of the generation that it begins")]
    MisplacedRecovery,
    /// A recovery goes on from below what this device keeps no units of.
    #[error(
        "the recovery goes on from entry {k}, below the snapshot that stands here for its units"
    )]
    BelowBase {
        /// The height of the recovery.
        k: u64,
    },
    /// An entry that says that vote keys change names none.
    #[error("the entry names no vote key")]
    NoKeys,
    /// One key alone was to certify where more must agree.
    #[error("{m} votes decide here, not one")]
    NotAlone {
        /// Votes that the configuration asks for.
        m: u16,
    },
    /// A proof ends with a hash instead of the entry that it proves.
    #[error("the last link of a proof holds no entry")]
    NothingProved,
}

impl ChainError {
    /// The stable name of the reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Gap { .. } => "ChainGap",
            Self::WrongAccount { .. } => "WrongAccount",
            Self::WrongGeneration { .. } => "WrongGeneration",
            Self::WrongConfig { .. } => "WrongConfig",
            Self::WrongParent { .. } => "WrongParent",
            Self::WrongRoots { .. } => "WrongRoots",
            Self::Conflict { .. } => "CertifiedConflict",
            Self::Certificate(_) => "BadCertificate",
            Self::Configuration(_) => "BadConfiguration",
            Self::NoGenesis => "NoGenesis",
            Self::SecondGenesis => "SecondGenesis",
            Self::PastNotSorted => "PastNotSorted",
            Self::TooLarge { .. } => "EntryTooLarge",
            Self::NoMember { .. } => "NoMember",
            Self::Readded { .. } => "DeviceReadded",
            Self::RetiredKey { .. } => "RetiredKey",
            Self::Frozen { .. } => "ChainFrozen",
            Self::NoRecovery => "NoRecoveryRole",
            Self::Vetoed => "RecoveryVetoed",
            Self::MisplacedRecovery => "MisplacedRecovery",
            Self::BelowBase { .. } => "BelowSnapshot",
            Self::NoKeys => "NoKeys",
            Self::NotAlone { .. } => "NotAlone",
            Self::NothingProved => "NothingProved",
        }
    }
}
