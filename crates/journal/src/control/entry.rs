//! What can be decided on a control chain. Append-only, like events.

use std::collections::BTreeMap;

use aura_crypto::PublicKey;
use aura_protocol_core::{
    AccountId, AppId, Descriptor, DeviceId, Digest, ModuleRef, ProtocolCapabilities, ProtocolName,
    ProtocolVersion, Requirement, encode,
};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::control::{ChainProof, Configuration, Recover, RosterEntry};

/// The value of a slot.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Entry {
    /// The units whose causal past this entry closes, in strictly ascending order. A unit's segment
    /// is the first entry whose closure contains it.
    pub past: Vec<Digest>,
    /// What is decided.
    pub body: EntryBody,
}

/// The kinds of decisions.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
#[non_exhaustive]
pub enum EntryBody {
    /// The account begins.
    Genesis(Box<Genesis>),
    /// The next configuration takes over after this entry.
    Reconfigure(Box<Configuration>),
    /// The account installs an app.
    Install(Box<Install>),
    /// The account says which upgrades its devices may take by themselves.
    SetUpgradePolicy {
        /// Of which app.
        app: AppId,
        /// Which upgrades.
        policy: UpgradePolicy,
    },
    /// The account activates a version.
    ActivateVersion(Box<ActivateVersion>),
    /// A repository publishes a release.
    Release(Box<Release>),
    /// A device leaves, and what it wrote beyond a unit does not count. A new configuration.
    Revoke(Revoke),
    /// A device that has forked is admitted anew, under another key. A new configuration.
    ReAdmit(Box<ReAdmit>),
    /// What the account came to so far stands for all of its units. A new configuration, of the same
    /// roster: units that name it rest on nothing below it.
    Snapshot(Snapshot),
    /// [`Self::Revoke`] or [`Self::ReAdmit`], and devices get the vote keys that they announced.
    Rekeyed(Box<Rekeyed>),
    /// The chain goes on in another generation. Certified by the recovery role, not by votes.
    Recover(Box<Recover>),
    /// A request to recover the account is not granted: no recovery that names it counts after this.
    VetoRecovery {
        /// [`RecoveryRequest::id`](crate::control::RecoveryRequest::id).
        request: Digest,
    },
    /// An activation is taken back: new sessions run the version that was active before it.
    RevertVersion(RevertVersion),
}

/// A change of the roster with which vote keys change.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Rekeyed {
    /// Who leaves, and who comes.
    pub change: RosterChange,
    /// The vote keys that devices have in the configuration that begins: at least one. The others keep
    /// theirs.
    pub keys: BTreeMap<DeviceId, PublicKey>,
}

/// A device leaves, with or without another one in its seat.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum RosterChange {
    /// It leaves.
    Revoke(Revoke),
    /// Another one takes its seat.
    ReAdmit(Box<ReAdmit>),
}

impl RosterChange {
    /// Who leaves.
    #[must_use]
    pub const fn leaves(&self) -> DeviceId {
        match self {
            Self::Revoke(it) => it.device,
            Self::ReAdmit(it) => it.device,
        }
    }

    /// The decision of this, where these devices have announced vote keys.
    #[must_use]
    pub fn with_keys(self, mut keys: BTreeMap<DeviceId, PublicKey>) -> EntryBody {
        keys.remove(&self.leaves());
        match self {
            change if !keys.is_empty() => EntryBody::Rekeyed(Box::new(Rekeyed { change, keys })),
            Self::Revoke(it) => EntryBody::Revoke(it),
            Self::ReAdmit(it) => EntryBody::ReAdmit(it),
        }
    }

    /// The configuration after it, with the vote keys of before.
    pub(super) fn after(&self, current: &Configuration) -> Configuration {
        match self {
            Self::Revoke(it) => current.without(it.device),
            Self::ReAdmit(it) => current.replacing(it.device, it.entry.clone()),
        }
    }
}

/// What all units in the closure of an entry's past, and all entries up to it, come to: what a device
/// may keep in the place of those units, and what one that joins may begin with.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Snapshot {
    /// The digest of the [`Base`](crate::snapshot::Base), encoded.
    pub base: Digest,
    /// How long that is.
    pub bytes: u64,
    /// The vote keys that devices have in the configuration that begins, where they announced one.
    pub keys: BTreeMap<DeviceId, PublicKey>,
}

/// A device leaves the roster, and its chain is cut: of its units, from this entry's segment on, no
/// others count than those below place `last_seq`, and `last_hash` at it. The cut filters the fold
/// alone: what others have built on what is cut off stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Revoke {
    /// Which device.
    pub device: DeviceId,
    /// The place of its last unit that counts.
    pub last_seq: u64,
    /// That unit.
    pub last_hash: Digest,
}

/// A device takes another one's seat. What the old one wrote from its fork on stays left out.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ReAdmit {
    /// The device that leaves.
    pub device: DeviceId,
    /// The one that comes, with keys that were never in use here.
    pub entry: RosterEntry,
}

/// The first entry of a chain. Its hash is the account's id.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Genesis {
    /// Drawn at random, so that no two accounts are alike.
    pub nonce: [u8; 32],
    /// What people call the account.
    pub name: String,
    /// The first device.
    pub first: RosterEntry,
}

/// The account trusts a repository for an app.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Install {
    /// H(repository ‖ protocol).
    pub app: AppId,
    /// What the account calls it: unique in the account.
    pub alias: String,
    /// The account that publishes it.
    pub repository: AccountId,
    /// The protocol's name there.
    pub protocol: ProtocolName,
    /// The distributor whose consent upgrades need too; none: the account's own alone decides.
    pub distributor: Option<AccountId>,
    /// Which versions the account accepts.
    pub requirement: Requirement,
    /// Which upgrades its devices may take by themselves.
    pub policy: UpgradePolicy,
    /// The release that is active from here on, proved.
    pub release: ChainProof,
    /// The rights that it is granted.
    pub capabilities: ProtocolCapabilities,
}

/// Which releases inside the installed requirement a device may run without a new decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum UpgradePolicy {
    /// None: each is decided.
    Manual,
    /// The next patches of the active minor.
    Patch,
    /// The next minors and patches of the active major.
    Minor,
}

impl UpgradePolicy {
    /// Whether a device may go from the active version to `candidate` under this policy.
    #[must_use]
    pub fn allows(self, active: ProtocolVersion, candidate: ProtocolVersion) -> bool {
        let same_minor = active.major == candidate.major && active.minor == candidate.minor;
        active <= candidate
            && match self {
                Self::Manual => active == candidate,
                Self::Patch => same_minor,
                Self::Minor => active.major == candidate.major,
            }
    }
}

/// One slot, one version: the point from which new sessions run it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ActivateVersion {
    /// Which app.
    pub app: AppId,
    /// The version that is activated.
    pub version: ProtocolVersion,
    /// The module that it is.
    pub digest: Digest,
    /// The unit that proposed it. The prestate is its causal past.
    pub proposal: Digest,
    /// The distributor's plan; none while the account has no distributor.
    pub plan: Option<Digest>,
    /// The migrations that were run, in order.
    pub steps: Vec<Digest>,
    /// The units that bound the prestate: the proposal alone.
    pub prestate: Vec<Digest>,
    /// The root over the app's records in the prestate.
    pub pre_root: Digest,
    /// The root over them after the migration.
    pub post_root: Digest,
    /// The rights that the new version is granted.
    pub capabilities: ProtocolCapabilities,
    /// The upgrade intent that this consumes; none while the account has no distributor.
    pub intent: Option<Digest>,
    /// The head of the repository's chain that was read.
    pub repository_head: Digest,
    /// The head of the distributor's chain that was read; none while there is none.
    pub distributor_head: Option<Digest>,
}

/// An activation is taken back, from this entry on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RevertVersion {
    /// Of which app.
    pub app: AppId,
    /// The height of the activation.
    pub activation: u64,
    /// The version that is active again: the one that was before it.
    pub version: ProtocolVersion,
    /// The module that it is.
    pub digest: Digest,
}

/// A published version.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Release {
    /// The protocol.
    pub protocol: ProtocolName,
    /// The version: exactly the next patch, minor or major.
    pub version: ProtocolVersion,
    /// The module.
    pub module: ModuleRef,
    /// What the module says of itself.
    pub descriptor: Descriptor,
    /// How records get here from the last major; on majors only.
    pub migration: Option<ReleasedMigration>,
    /// What is new, for people.
    pub notes: String,
    /// How the module can be built again.
    pub build: ReleaseBuild,
}

/// A published migration.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ReleasedMigration {
    /// The module.
    pub module: ModuleRef,
    /// What it says of itself.
    pub descriptor: Descriptor,
}

/// How a module can be built again. Empty texts where the publisher does not say.
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct ReleaseBuild {
    /// The digest of the source; none where it is not published.
    pub source: Option<Digest>,
    /// The toolchain, as `rustc -vV` names it.
    pub toolchain: String,
    /// The command.
    pub command: String,
}

impl EntryBody {
    /// The configuration that takes over after this entry, where `current` is in force; none where it
    /// stays in force.
    pub(super) fn next_config(&self, current: &Configuration) -> Option<Configuration> {
        match self {
            Self::Reconfigure(config) => Some(Configuration::clone(config)),
            Self::Revoke(it) => Some(current.without(it.device)),
            Self::ReAdmit(it) => Some(current.replacing(it.device, it.entry.clone())),
            Self::Snapshot(it) => Some(current.with_vote_keys(&it.keys)),
            Self::Recover(it) => Some(it.config.clone()),
            Self::Rekeyed(it) => Some(it.change.after(current).with_vote_keys(&it.keys)),
            Self::Genesis(_)
            | Self::Install(_)
            | Self::SetUpgradePolicy { .. }
            | Self::ActivateVersion(_)
            | Self::RevertVersion(_)
            | Self::VetoRecovery { .. }
            | Self::Release(_) => None,
        }
    }

    /// Whether another configuration is in force after this entry.
    #[must_use]
    pub const fn configures(&self) -> bool {
        matches!(
            self,
            Self::Genesis(_)
                | Self::Reconfigure(_)
                | Self::Revoke(_)
                | Self::ReAdmit(_)
                | Self::Snapshot(_)
                | Self::Rekeyed(_)
                | Self::Recover(_)
        )
    }

    /// The change of the roster that it is, if a device leaves by it.
    #[must_use]
    pub fn roster_change(&self) -> Option<RosterChange> {
        match self {
            Self::Revoke(it) => Some(RosterChange::Revoke(*it)),
            Self::ReAdmit(it) => Some(RosterChange::ReAdmit(it.clone())),
            Self::Rekeyed(it) => Some(it.change.clone()),
            _ => None,
        }
    }

    /// The cut that it makes.
    #[must_use]
    pub const fn cut(&self) -> Option<&Revoke> {
        match self {
            Self::Revoke(it) => Some(it),
            Self::Rekeyed(it) => match &it.change {
                RosterChange::Revoke(it) => Some(it),
                RosterChange::ReAdmit(_) => None,
            },
            _ => None,
        }
    }
}

impl Entry {
    /// H(value): what votes name.
    #[must_use]
    pub fn hash(&self) -> Digest {
        Digest::tagged("aura control entry v1", &[&encode(self)])
    }
}

impl Genesis {
    /// The id of the account that begins with this.
    #[must_use]
    pub fn account(&self) -> AccountId {
        Digest::tagged("aura account id v1", &[&encode(self)]).into()
    }
}
