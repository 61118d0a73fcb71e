//! Snapshots: what an account came to stands for the units that led there.
//!
//! An entry certifies the digest of a [`Base`], which each voter computed from its own units before it voted.
//! It also begins a configuration, and units that name that one rest on nothing below the entry but on its
//! tips. So a device may drop what lies below once no voter can write anything else any more, and one that
//! joins begins with the base, which it holds against the certificate, instead of with all units.
//!
//! Invariants:
//! - INV-J50: the base of a snapshot is a function of the closure of its past and of the entries up to it,
//!   whatever else a replica holds, and whether or not it has dropped what earlier ones stand for.
//! - INV-J51: a ledger that keeps a base and what came after has the state, frontier and clock of one that
//!   keeps everything, and takes whatever honest devices write from there on.
//! - INV-J52: nothing is dropped while a voter might still need it, nor by a device that came to something
//!   else than was certified.

mod base;
mod compact;
mod computed;
mod make;
mod settled;

use aura_protocol_core::{DecodeError, DeviceId, Digest};
use thiserror::Error;

pub use base::{BASE_BYTES_MAX, BASE_VERSION, Base};
pub use compact::Compacted;
pub(crate) use computed::Computed;
pub(crate) use settled::Settled;

/// Why there is no snapshot to be had, or nothing to be dropped for one. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// A unit that it closes over has not arrived. Nobody's fault: it comes with the next exchange.
    #[error("unit {unit} has not arrived")]
    Behind {
        /// The unit.
        unit: Digest,
    },
    /// Its past leaves out a unit that an entry before it closes over.
    #[error("unit {unit} is decided and not in the past of the snapshot")]
    Uncovered {
        /// The unit.
        unit: Digest,
    },
    /// A unit counts that this build cannot read, so what the account came to is not known here. Nobody's
    /// fault: upgrade this device.
    #[error("unit {unit} cannot be read here; upgrade this device")]
    Unread {
        /// The unit.
        unit: Digest,
    },
    /// What it stands for is too large.
    #[error("a base has at most {BASE_BYTES_MAX} bytes, found {found}")]
    TooLarge {
        /// Bytes found.
        found: u64,
    },
    /// The account has no snapshot that is newer than what is kept here.
    #[error("there is no snapshot for which nothing was dropped yet")]
    None,
    /// This device came to something else than was certified. It keeps all units.
    #[error("this device computes {computed} for the snapshot at height {k}, and not {certified}")]
    Differs {
        /// The height of the snapshot.
        k: u64,
        /// What was certified.
        certified: Digest,
        /// What this device came to.
        computed: Digest,
    },
    /// A voter has not written anything since it heard of the snapshot.
    #[error("device {device} has not been heard of since the snapshot")]
    Unheard {
        /// The device.
        device: DeviceId,
    },
    /// An upgrade is under way whose prestate lies below the snapshot.
    #[error("proposal {proposal} is under way, and needs the units before it")]
    UnderWay {
        /// The proposal.
        proposal: Digest,
    },
    /// A unit would be lost that came too late for the snapshot and rests on what it stands for. The next
    /// snapshot has room for it.
    #[error("unit {unit} came too late for the snapshot; take another one")]
    Late {
        /// The unit.
        unit: Digest,
    },
    /// It is not the base of any snapshot of this chain. Its sender's fault.
    #[error("it is not the base of a snapshot of this chain")]
    Unknown,
    /// The base is of another format. Nobody's fault: whoever made it runs another major version.
    #[error("base format {found}, and this build reads {BASE_VERSION} alone; upgrade this device")]
    Version {
        /// The format found.
        found: u16,
    },
    /// The bytes are not the canonical encoding of a base. Certified so: nobody's fault here.
    #[error("the bytes are not the canonical encoding of a base")]
    Malformed(#[source] DecodeError),
}

impl SnapshotError {
    /// The stable name of the reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Behind { .. } => "SnapshotBehind",
            Self::Uncovered { .. } => "SnapshotUncovered",
            Self::Unread { .. } => "UnreadUnit",
            Self::TooLarge { .. } => "SnapshotTooLarge",
            Self::None => "NoSnapshot",
            Self::Differs { .. } => "SnapshotDiffers",
            Self::Unheard { .. } => "VoterUnheard",
            Self::UnderWay { .. } => "UpgradeUnderWay",
            Self::Late { .. } => "LateUnit",
            Self::Unknown => "UnknownBase",
            Self::Version { .. } => "BaseVersion",
            Self::Malformed(_) => "BadBase",
        }
    }
}
