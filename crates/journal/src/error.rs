//! What can be wrong with what is brought to a ledger, and whose fault it is.

use aura_protocol_core::{
    AccountId, DecodeError, DeviceId, Digest, Lamport, limits::UNIT_DEPS_MAX,
};
use thiserror::Error;

use crate::{control::ChainError, snapshot::SnapshotError, unit::UNIT_VERSION};

/// Why a unit is refused. Nothing of a refused unit is kept.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Reject {
    /// It, or the event in it, is longer than allowed.
    #[error("a unit or event of {found} bytes exceeds the limit of {limit}")]
    Size {
        /// Bytes found.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The bytes are not the canonical encoding of a unit.
    #[error("the bytes are not the canonical encoding of a unit")]
    Malformed(#[source] DecodeError),
    /// The unit's format is not known here. Nobody's fault: its author runs another major version of this
    /// program. What rests on it waits until this device runs that one too.
    #[error(
        "unit format {found}, and this build reads {UNIT_VERSION} alone: {}",
        if UNIT_VERSION < *.found { "upgrade this device" } else { "upgrade its author's device" }
    )]
    Version {
        /// The format found.
        found: u16,
    },
    /// It belongs to another account.
    #[error("the unit belongs to account {found}, not to {expected}")]
    Account {
        /// The account of this ledger.
        expected: AccountId,
        /// The unit's.
        found: AccountId,
    },
    /// Its author is not in the roster of the configuration that it names.
    #[error("device {author} is not in configuration {config}")]
    UnknownAuthor {
        /// The author.
        author: DeviceId,
        /// The index of the configuration.
        config: u64,
    },
    /// It names an older configuration than a unit that its author had seen.
    #[error("the unit names configuration {got}, and its parents {least}")]
    Config {
        /// The least configuration that its parents allow.
        least: u64,
        /// The one that it names.
        got: u64,
    },
    /// It has too many links, or not in strictly ascending order, or its `prev` among them.
    #[error("deps are not up to {UNIT_DEPS_MAX} other units in strictly ascending order")]
    Deps,
    /// Its `prev` is not its author's unit at `seq - 1`.
    #[error("prev of unit {seq} by {author} is not that author's unit before it")]
    PrevMismatch {
        /// The author.
        author: DeviceId,
        /// The unit's place in the author's chain.
        seq: u64,
    },
    /// Its lamport is not 1 + the greatest of its parents'.
    #[error("lamport is {got}, and by the parents it is {want}")]
    Lamport {
        /// What the parents say.
        want: Lamport,
        /// What the unit says.
        got: Lamport,
    },
    /// The author's key did not sign it.
    #[error("the signature is not by device {author}")]
    Signature {
        /// Who is said to have signed.
        author: DeviceId,
    },
    /// Its author has forked before it, nobody rests on it, and its sender has brought as many such
    /// units as it may.
    #[error(
        "unit {seq} by {author} stands beyond a fork, and its sender may bring no more of those"
    )]
    Frozen {
        /// The author.
        author: DeviceId,
        /// The unit's place in the author's chain.
        seq: u64,
    },
    /// It rests on units that a snapshot stands for which its author knows of, or on one that comes later
    /// than a whole interval after.
    #[error("unit {seq} by {author} rests on what a snapshot that it knows has settled")]
    Settled {
        /// The author.
        author: DeviceId,
        /// The unit's place in the author's chain.
        seq: u64,
    },
    /// Its author has written as much in this configuration as it may.
    #[error("device {author} has used up its quota in configuration {config}")]
    Quota {
        /// The author.
        author: DeviceId,
        /// The index of the configuration.
        config: u64,
    },
    /// It would have to wait for others, but units of too many peers are waiting already.
    #[error("units of {peers} peers are waiting already")]
    Crowded {
        /// Peers that have units waiting.
        peers: usize,
    },
}

impl Reject {
    /// The stable name of the reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Size { .. } => "Size",
            Self::Malformed(_) => "Malformed",
            Self::Version { .. } => "Version",
            Self::Account { .. } => "Account",
            Self::UnknownAuthor { .. } => "UnknownAuthor",
            Self::Config { .. } => "Config",
            Self::Deps => "Deps",
            Self::PrevMismatch { .. } => "PrevMismatch",
            Self::Lamport { .. } => "Lamport",
            Self::Signature { .. } => "Signature",
            Self::Frozen { .. } => "Frozen",
            Self::Settled { .. } => "Settled",
            Self::Quota { .. } => "Quota",
            Self::Crowded { .. } => "Crowded",
        }
    }

    /// The author whom the refusal incriminates by its own signature. In all other cases whoever
    /// sent the bytes may have made them, and nobody does when too many peers have units waiting.
    #[must_use]
    pub const fn culprit(&self) -> Option<DeviceId> {
        match self {
            Self::Frozen { author, .. } => Some(*author),
            Self::Size { .. }
            | Self::Malformed(_)
            | Self::Version { .. }
            | Self::Account { .. }
            | Self::UnknownAuthor { .. }
            | Self::Config { .. }
            | Self::Deps
            | Self::PrevMismatch { .. }
            | Self::Lamport { .. }
            | Self::Signature { .. }
            | Self::Settled { .. }
            | Self::Quota { .. }
            | Self::Crowded { .. } => None,
        }
    }
}

/// Why a unit cannot be written. Always the caller's fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AuthorError {
    /// The device is not in the newest configuration.
    #[error("device {device} is not in configuration {config}")]
    NotInRoster {
        /// The device.
        device: DeviceId,
        /// The index of the newest configuration.
        config: u64,
    },
    /// The key is not the unit key that the device is enrolled with.
    #[error("the key is not the unit key of device {device}")]
    WrongKey {
        /// The device.
        device: DeviceId,
    },
    /// The event is too long.
    #[error("an event of {found} bytes exceeds the limit of {limit}")]
    Size {
        /// Bytes found.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Another copy of the device signs with its key: it was cloned, or went on from a backup. The
    /// quorum has to admit it anew with another key.
    #[error(
        "device {device} has signed two units at {seq}; it needs a new key to be admitted anew"
    )]
    Forked {
        /// The device.
        device: DeviceId,
        /// The first place with two units.
        seq: u64,
    },
    /// A snapshot was decided, and units that it stands for have not arrived. They come with the next
    /// exchange.
    #[error("the units of the snapshot at height {k} have not all arrived")]
    Behind {
        /// The height of the snapshot.
        k: u64,
    },
    /// The device's last unit comes too late: two snapshots were decided without it. The quorum has to
    /// admit the device anew.
    #[error("unit {seq} of device {device} missed two snapshots; it needs to be admitted anew")]
    Late {
        /// The device.
        device: DeviceId,
        /// The place of its last unit.
        seq: u64,
    },
    /// The device has written as much as it may until the next configuration.
    #[error("device {device} has used up its quota in configuration {config}")]
    Quota {
        /// The device.
        device: DeviceId,
        /// The index of the newest configuration.
        config: u64,
    },
}

impl AuthorError {
    /// The stable name of the reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotInRoster { .. } => "NotInRoster",
            Self::WrongKey { .. } => "WrongKey",
            Self::Size { .. } => "Size",
            Self::Forked { .. } => "Forked",
            Self::Behind { .. } => "Behind",
            Self::Late { .. } => "Late",
            Self::Quota { .. } => "Quota",
        }
    }
}

/// Why what a store holds is not a ledger. The store is damaged, or another program wrote to it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The stored entries are not a control chain.
    #[error("the stored entries are not a control chain")]
    Chain(#[from] ChainError),
    /// What stands for units that are gone is not what a snapshot of the chain names.
    #[error("the stored base is not that of a snapshot")]
    Base(#[source] SnapshotError),
    /// A stored unit breaks a rule.
    #[error("stored unit {index} breaks a rule")]
    Unit {
        /// Its place in the order of arrival.
        index: usize,
        /// Which rule.
        #[source]
        reject: Reject,
    },
    /// A stored unit stands before what it names, or twice.
    #[error("stored unit {index} stands before a unit or configuration that it names, or twice")]
    Order {
        /// Its place in the order of arrival.
        index: usize,
    },
}

impl RestoreError {
    /// The stable name of the reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Chain(_) => "StoredChain",
            Self::Base(_) => "StoredBase",
            Self::Unit { .. } => "StoredUnit",
            Self::Order { .. } => "StoredOrder",
        }
    }
}

/// A unit is asked about that is not held here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("unit {unit} is not held")]
pub struct Missing {
    /// The unit.
    pub unit: Digest,
}
