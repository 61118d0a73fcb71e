//! Where a chain ends, and the rules that the next entry keeps to.
//!
//! Invariants:
//! - INV-J60: a vote key that was in force once and is no more never comes back, in nobody's seat.

use std::collections::{BTreeMap, BTreeSet};

use aura_crypto::PublicKey;
use aura_protocol_core::{DeviceId, Digest, encode};

use crate::control::{
    Certificate, ChainError, ConfigError, Configuration, ENTRY_BYTES_MAX, Entry, EntryBody,
    RosterChange, RosterEntry, Slot,
    recover::{first_config, verify_recovery},
};

/// Where a chain ends: what the next entry must continue, and who decides it. The one place where
/// the rules of an entry are kept, for chains and for proofs.
#[derive(Debug, Clone)]
pub(super) struct Tip {
    pub(super) next: Slot,
    /// The generation of the last entry.
    generation: u64,
    pub(super) config: Configuration,
    /// Devices that were in a roster once and are in none now.
    removed: BTreeSet<DeviceId>,
    /// Vote keys that were in force once and are no more.
    retired: BTreeSet<PublicKey>,
}

impl Tip {
    pub(super) fn begin(value: &Entry, certificate: &Certificate) -> Result<Self, ChainError> {
        let EntryBody::Genesis(genesis) = &value.body else {
            return Err(ChainError::NoGenesis);
        };
        if !value.past.is_empty() {
            return Err(ChainError::NoGenesis);
        }
        check_size(value)?;
        let config = Configuration::with_defaults([genesis.first.clone()]);
        config.validate()?;
        let (slot, hash) = (Slot::genesis(genesis.account()), value.hash());
        certificate.verify(&slot, hash, &config)?;
        Ok(Self {
            next: slot.next(hash, 0),
            generation: 0,
            config,
            removed: BTreeSet::new(),
            retired: BTreeSet::new(),
        })
    }

    pub(super) fn check(&self, value: &Entry) -> Result<(), ChainError> {
        check_size(value)?;
        if !value.past.is_sorted_by(|a, b| a < b) {
            return Err(ChainError::PastNotSorted);
        }
        match &value.body {
            EntryBody::Genesis(_) => Err(ChainError::SecondGenesis),
            EntryBody::Reconfigure(config) => self.check_config(config),
            EntryBody::Revoke(it) => {
                self.check_change(&RosterChange::Revoke(*it), &BTreeMap::new())
            }
            EntryBody::ReAdmit(it) => {
                self.check_change(&RosterChange::ReAdmit(it.clone()), &BTreeMap::new())
            }
            EntryBody::Rekeyed(it) if it.keys.is_empty() => Err(ChainError::NoKeys),
            EntryBody::Rekeyed(it) => self.check_change(&it.change, &it.keys),
            EntryBody::Snapshot(it) => {
                it.keys.keys().try_for_each(|device| self.check_member(*device))?;
                self.check_config(&self.config.with_vote_keys(&it.keys))
            }
            EntryBody::Recover(it) if it.generation <= self.generation => {
                Err(ChainError::MisplacedRecovery)
            }
            EntryBody::Recover(it) => self.check_config(&it.config),
            EntryBody::VetoRecovery { .. }
            | EntryBody::Install(_)
            | EntryBody::SetUpgradePolicy { .. }
            | EntryBody::ActivateVersion(_)
            | EntryBody::RevertVersion(_)
            | EntryBody::Release(_) => Ok(()),
        }
    }

    /// Those whose vote keys change stay, so whoever leaves or comes anew is not among them.
    fn check_change(
        &self,
        change: &RosterChange,
        keys: &BTreeMap<DeviceId, PublicKey>,
    ) -> Result<(), ChainError> {
        self.check_member(change.leaves())?;
        if let RosterChange::ReAdmit(it) = change {
            self.check_new(&it.entry)?;
        }
        let stays = |it: &DeviceId| *it != change.leaves();
        if let Some(device) = keys.keys().find(|it| !stays(it)) {
            return Err(ChainError::NoMember { device: *device });
        }
        keys.keys().try_for_each(|device| self.check_member(*device))?;
        self.check_config(&change.after(&self.config).with_vote_keys(keys))
    }

    fn check_config(&self, config: &Configuration) -> Result<(), ChainError> {
        config.validate()?;
        if let Some(device) = config.roster.keys().find(|it| self.removed.contains(it)) {
            return Err(ChainError::Readded { device: *device });
        }
        match config.roster.values().find(|it| self.retired.contains(&it.vote_key)) {
            Some(entry) => Err(ChainError::RetiredKey { device: entry.device }),
            None => Ok(()),
        }
    }

    fn check_member(&self, device: DeviceId) -> Result<(), ChainError> {
        if self.config.roster.contains_key(&device) {
            return Ok(());
        }
        Err(ChainError::NoMember { device })
    }

    /// Whoever is admitted anew shares no key with anybody in the roster, the one that it replaces
    /// included.
    fn check_new(&self, entry: &RosterEntry) -> Result<(), ChainError> {
        let keys = |it: &RosterEntry| [it.unit_key, it.vote_key, it.transport_key];
        let new = keys(entry);
        let mut old = self.config.roster.values();
        let shared = old.any(|it| keys(it).iter().any(|key| new.contains(key)));
        if shared {
            return Err(ConfigError::SharedKey { device: entry.device }.into());
        }
        Ok(())
    }

    /// Takes a certified value for the next slot; changes nothing when it is refused.
    pub(super) fn accept(
        &mut self,
        value: &Entry,
        certificate: &Certificate,
    ) -> Result<(), ChainError> {
        self.check(value)?;
        let hash = value.hash();
        match &value.body {
            EntryBody::Recover(it) if it.generation != self.next.generation => {
                return Err(ChainError::MisplacedRecovery);
            }
            EntryBody::Recover(_) => {
                verify_recovery(certificate, &self.next, hash, &self.config)?;
            }
            _ => certificate.verify(&self.next, hash, &self.config)?,
        }
        self.take(value, hash);
        Ok(())
    }

    /// A recovery stands at a slot of the generation that it begins.
    pub(super) fn begin_generation(&mut self, value: &Entry) {
        if let EntryBody::Recover(it) = &value.body {
            self.next.generation = it.generation;
        }
    }

    /// Takes a value that was accepted before.
    pub(super) fn take(&mut self, value: &Entry, hash: Digest) {
        let mut index = self.next.config.saturating_add(1);
        if let EntryBody::Recover(it) = &value.body {
            self.next.generation = it.generation;
            self.generation = it.generation;
            index = first_config(it.generation);
        }
        let Some(config) = value.body.next_config(&self.config) else {
            self.skip(hash);
            return;
        };
        let stays = |device: &DeviceId| config.roster.contains_key(device);
        self.removed.extend(self.config.roster.keys().copied().filter(|it| !stays(it)));
        let in_force: BTreeSet<_> = config.roster.values().map(|it| it.vote_key).collect();
        let before = self.config.roster.values().map(|it| it.vote_key);
        self.retired.extend(before.filter(|it| !in_force.contains(it)));
        self.config = config;
        self.next = self.next.next(hash, index);
    }

    /// Whether a vote key was in force once and is no more.
    pub(super) fn is_retired(&self, key: &PublicKey) -> bool {
        self.retired.contains(key)
    }

    /// Goes past a decision that changes no configuration and of which only the hash is known. What
    /// is certified after it names it as its parent.
    pub(super) fn skip(&mut self, value: Digest) {
        self.next = self.next.next(value, self.next.config);
    }
}

fn check_size(value: &Entry) -> Result<(), ChainError> {
    let found = encode(value).len();
    if ENTRY_BYTES_MAX < found { Err(ChainError::TooLarge { found }) } else { Ok(()) }
}

/// Whether `found` is `expected`; if not, the first part in which it differs. Heights agree here.
pub(super) fn check_slot(expected: &Slot, found: &Slot) -> Result<(), ChainError> {
    let k = expected.k;
    if found.account != expected.account {
        return Err(ChainError::WrongAccount { expected: expected.account, found: found.account });
    }
    if found.k != k {
        return Err(ChainError::Gap { need: k, got: found.k });
    }
    if found.generation != expected.generation {
        let (expected, found) = (expected.generation, found.generation);
        return Err(ChainError::WrongGeneration { k, expected, found });
    }
    if found.config != expected.config {
        let (expected, found) = (expected.config, found.config);
        return Err(ChainError::WrongConfig { k, expected, found });
    }
    if found.parent != expected.parent {
        return Err(ChainError::WrongParent { k });
    }
    if found.roots != expected.roots {
        return Err(ChainError::WrongRoots { k });
    }
    Ok(())
}
