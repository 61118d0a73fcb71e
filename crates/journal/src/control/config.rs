//! Configurations: who is in the account, with which keys, and how many must agree.

use std::collections::{BTreeMap, BTreeSet};

use aura_crypto::{HpkePublicKey, PublicKey};
use aura_protocol_core::{DeviceId, Digest, limits::DEVICES_MAX, quorum::default_threshold};
use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

/// What a device may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum Role {
    /// It votes.
    Voter,
    /// It takes part, but votes on nothing and blocks nothing: a tablet in a drawer.
    Reader,
    /// It belongs to somebody else, who helps to bring the account back. It proposes nothing, decides nothing
    /// and changes no record.
    Guardian,
}

/// One device of an account. Four keys for four purposes, so that none stands in for another.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RosterEntry {
    /// The device.
    pub device: DeviceId,
    /// What it may do.
    pub role: Role,
    /// Signs its units.
    pub unit_key: PublicKey,
    /// Signs its votes in this configuration.
    pub vote_key: PublicKey,
    /// Opens what is sealed to it.
    pub hpke_key: HpkePublicKey,
    /// Authenticates its connections.
    pub transport_key: PublicKey,
}

/// Who may re-form the account when its voters cannot (`02-ledger`, section 5, "Ways out").
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum RecoveryRole {
    /// Nobody: a lost majority stays lost.
    Nobody,
    /// `threshold` of these keys, after `delay_seconds` by their own clocks.
    Keys {
        /// Guardians' keys, or the key of a printed code.
        keys: BTreeSet<PublicKey>,
        /// How many must sign.
        threshold: u16,
        /// How long they wait.
        delay_seconds: u64,
    },
    /// `threshold` of these guardians, after `delay_seconds` by their own clocks. They hold shares of the
    /// account's keys.
    Guardians {
        /// What they sign a recovery with: the vote keys of their roster entries, which vote on nothing else.
        /// One that left the roster counts no more.
        keys: BTreeSet<PublicKey>,
        /// How many must sign, and how many shares bring the account's keys back.
        threshold: u16,
        /// How long they wait.
        delay_seconds: u64,
        /// The name of the sharings that they hold.
        sharing: Digest,
    },
}

impl RecoveryRole {
    /// How long those who recover the account wait, in seconds.
    #[must_use]
    pub const fn delay_seconds(&self) -> u64 {
        match self {
            Self::Nobody => 0,
            Self::Keys { delay_seconds, .. } | Self::Guardians { delay_seconds, .. } => {
                *delay_seconds
            }
        }
    }

    /// How many must sign; none where nobody may.
    #[must_use]
    pub const fn threshold(&self) -> Option<u16> {
        match self {
            Self::Nobody => None,
            Self::Keys { threshold, .. } | Self::Guardians { threshold, .. } => Some(*threshold),
        }
    }
}

/// A roster and its thresholds.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Configuration {
    /// The devices.
    pub roster: BTreeMap<DeviceId, RosterEntry>,
    /// Votes that certify an entry: more than half of the voters.
    pub m: u16,
    /// Shares that make a group signature.
    pub t_sign: u16,
    /// Shares that derive a key.
    pub t_dkd: u16,
    /// Who may recover the account.
    pub recovery: RecoveryRole,
    /// The group key, and the name of the sharings of it and of the root of derived keys that are
    /// current: what came of the session in which they were made. None before there are any.
    pub group_key: Option<(PublicKey, Digest)>,
}

/// Why a configuration is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no voter, or there are too many devices.
    #[error(
        "a configuration has 1 to {DEVICES_MAX} devices with a voter among them, found {found}"
    )]
    Size {
        /// Devices found.
        found: usize,
    },
    /// m is not above half of the voters, or exceeds them.
    #[error("m = {m} of {voters} voters is not a majority that can be met")]
    Threshold {
        /// Votes asked for.
        m: u16,
        /// Voters there are.
        voters: usize,
    },
    /// A device's id or place does not follow from its key.
    #[error("device {device} stands under another id than its own")]
    DeviceId {
        /// The device.
        device: DeviceId,
    },
    /// The recovery role has no keys, too many, or asks for more signatures than it has keys.
    #[error("{threshold} of {keys} recovery keys is not a role that can act")]
    Recovery {
        /// Signatures asked for.
        threshold: u16,
        /// Keys there are.
        keys: usize,
    },
    /// Two devices share a key, or one uses a key twice.
    #[error("device {device} uses a key that is already in use")]
    SharedKey {
        /// The device that is refused.
        device: DeviceId,
    },
}

impl Configuration {
    /// The configuration of these devices with the default thresholds and no group key yet.
    #[must_use]
    pub fn with_defaults(entries: impl IntoIterator<Item = RosterEntry>) -> Self {
        let roster: BTreeMap<DeviceId, RosterEntry> =
            entries.into_iter().map(|it| (it.device, it)).collect();
        let voters = roster.values().filter(|it| it.role == Role::Voter).count();
        let m = u16::try_from(default_threshold(voters)).unwrap_or(u16::MAX);
        Self { roster, m, t_sign: m, t_dkd: m, recovery: RecoveryRole::Nobody, group_key: None }
    }

    /// This one with a device more, and with the default number of votes. How many shares are needed is
    /// a matter of the keys: it stays while there are some. A guardian changes no number.
    #[must_use]
    pub fn with_device(&self, entry: RosterEntry) -> Self {
        if entry.role == Role::Guardian {
            let mut next = self.clone();
            next.roster.insert(entry.device, entry);
            return next;
        }
        let defaults = Self::with_defaults(self.roster.values().cloned().chain([entry]));
        let shares = match self.group_key {
            Some(_) => (self.t_sign, self.t_dkd),
            None => (defaults.t_sign, defaults.t_dkd),
        };
        let recovery = self.recovery.clone();
        let (t_sign, t_dkd, group_key) = (shares.0, shares.1, self.group_key);
        Self { t_sign, t_dkd, group_key, recovery, ..defaults }
    }

    /// This one without a device. As many votes as before decide, or all that are left; shares of keys
    /// stay where they are.
    pub(super) fn without(&self, device: DeviceId) -> Self {
        let mut next = self.clone();
        next.roster.remove(&device);
        let voters = u16::try_from(next.voters().count()).unwrap_or(u16::MAX);
        next.m = next.m.min(voters);
        next
    }

    /// This one with `entry` in the seat of `device`.
    pub(super) fn replacing(&self, device: DeviceId, entry: RosterEntry) -> Self {
        let mut next = self.clone();
        next.roster.remove(&device);
        next.roster.insert(entry.device, entry);
        next
    }

    /// This one with new vote keys for some of the devices.
    #[must_use]
    pub fn with_vote_keys(&self, keys: &BTreeMap<DeviceId, PublicKey>) -> Self {
        let mut next = self.clone();
        for (device, key) in keys {
            if let Some(entry) = next.roster.get_mut(device) {
                entry.vote_key = *key;
            }
        }
        next
    }

    /// This one with the vote keys that devices have in another one.
    #[must_use]
    pub fn with_keys_of(&self, other: &Self) -> Self {
        let keys = other.roster.iter().map(|(device, entry)| (*device, entry.vote_key));
        self.with_vote_keys(&keys.collect())
    }

    /// The devices that vote.
    pub fn voters(&self) -> impl Iterator<Item = &RosterEntry> {
        self.roster.values().filter(|it| it.role == Role::Voter)
    }

    /// The devices that help to bring the account back.
    pub fn guardians(&self) -> impl Iterator<Item = &RosterEntry> {
        self.roster.values().filter(|it| it.role == Role::Guardian)
    }

    /// Whether a device is in the account to bring it back, and for nothing else.
    #[must_use]
    pub fn is_guardian(&self, device: &DeviceId) -> bool {
        self.roster.get(device).is_some_and(|it| it.role == Role::Guardian)
    }

    /// The keys that recover the account: those of its recovery role, of guardians that are still there.
    #[must_use]
    pub fn recovery_keys(&self) -> BTreeSet<PublicKey> {
        match &self.recovery {
            RecoveryRole::Nobody => BTreeSet::new(),
            RecoveryRole::Keys { keys, .. } => keys.clone(),
            RecoveryRole::Guardians { keys, .. } => {
                self.guardians().map(|it| it.vote_key).filter(|it| keys.contains(it)).collect()
            }
        }
    }

    /// The roster entry with this vote key, if it may vote.
    #[must_use]
    pub fn voter_with_key(&self, key: &PublicKey) -> Option<&RosterEntry> {
        self.voters().find(|it| it.vote_key == *key)
    }

    /// The roster entry with this transport key.
    #[must_use]
    pub fn device_with_transport_key(&self, key: &[u8; 32]) -> Option<&RosterEntry> {
        self.roster.values().find(|it| it.transport_key.as_bytes() == key)
    }

    /// Checks every rule that a configuration keeps to by itself.
    ///
    /// # Errors
    /// [`ConfigError`], naming the first rule that it breaks.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let voters = self.voters().count();
        if voters == 0 || DEVICES_MAX < self.roster.len() {
            return Err(ConfigError::Size { found: self.roster.len() });
        }
        let m = usize::from(self.m);
        if 2 * m <= voters || voters < m {
            return Err(ConfigError::Threshold { m: self.m, voters });
        }
        if let RecoveryRole::Keys { keys, threshold, .. }
        | RecoveryRole::Guardians { keys, threshold, .. } = &self.recovery
            && (*threshold == 0 || keys.len() < usize::from(*threshold) || DEVICES_MAX < keys.len())
        {
            return Err(ConfigError::Recovery { threshold: *threshold, keys: keys.len() });
        }
        let mut keys = BTreeSet::new();
        for (id, entry) in &self.roster {
            if *id != entry.device || *id != DeviceId::derive(entry.unit_key.as_bytes()) {
                return Err(ConfigError::DeviceId { device: *id });
            }
            for key in [&entry.unit_key, &entry.vote_key, &entry.transport_key] {
                if !keys.insert(*key.as_bytes()) {
                    return Err(ConfigError::SharedKey { device: *id });
                }
            }
            if !keys.insert(entry.hpke_key.0) {
                return Err(ConfigError::SharedKey { device: *id });
            }
        }
        Ok(())
    }
}
