//! The control chain: one verified value per slot, from genesis on.
//!
//! Holds what was decided and who may decide next; refuses everything else. Pure and in memory.
//!
//! Invariants:
//! - INV-J1: every entry is consecutive, linked to its parent decision, and certified by the voters
//!   of the configuration that was current at its slot.
//! - INV-J2: no field of a certified entry can be changed without it being refused.
//! - INV-J3: the next slot depends on decisions alone, never on which votes certified them.
//! - INV-J4: another certified value for a decided slot is reported and never adopted.

use std::collections::BTreeSet;

use aura_crypto::SecretKey;
use aura_protocol_core::{AccountId, DeviceId, Digest, encode, limits::UNIT_BODY_BYTES_MAX};
use thiserror::Error;

use crate::control::{
    Certificate, CertificateError, CertifiedEntry, ChainLink, ChainProof, ConfigError,
    Configuration, Entry, EntryBody, Fact, Genesis, Phase, Revoke, RosterEntry, Slot, Subject,
    Vote, facts::Facts, merkle::Mountains, slot::roots_of,
};

/// Largest encoded entry, in bytes: the unit that proposes it adds a slot, a view and two tags.
pub const ENTRY_BYTES_MAX: usize = UNIT_BODY_BYTES_MAX - 1024;

/// The verified control chain of one account.
#[derive(Debug, Clone)]
pub struct ControlChain {
    name: String,
    entries: Vec<CertifiedEntry>,
    /// [`Slot::child_parent`] of each entry.
    heads: Vec<Digest>,
    configs: Vec<Configuration>,
    snapshots: Vec<SnapshotPoint>,
    /// The values, as the history's root has them.
    history: Mountains,
    /// What is so by the entries, and by all but the last.
    facts: Facts,
    facts_before: Facts,
    tip: Tip,
}

/// Where a chain has a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotPoint {
    /// The height of the entry.
    pub k: u64,
    /// The configuration that begins with it.
    pub config: u64,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It is the chain's new last entry.
    New,
    /// The chain already holds this decision.
    Duplicate,
}

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
            Self::NotAlone { .. } => "NotAlone",
            Self::NothingProved => "NothingProved",
        }
    }
}

impl ControlChain {
    /// A new chain, whose genesis the first device certifies alone.
    ///
    /// # Errors
    /// [`ChainError`] when the genesis breaks a rule or `vote_key` is not its device's.
    pub fn found(genesis: Genesis, vote_key: &SecretKey) -> Result<Self, ChainError> {
        let slot = Slot::genesis(genesis.account());
        let value = Entry { past: Vec::new(), body: EntryBody::Genesis(Box::new(genesis)) };
        let certificate = certificate_of_one(slot, &value, vote_key);
        Self::begin(CertifiedEntry { slot, value, certificate })
    }

    /// The chain of these entries, in order from the genesis, each verified.
    ///
    /// # Errors
    /// [`ChainError`] of the first entry that is refused.
    pub fn from_entries(
        entries: impl IntoIterator<Item = CertifiedEntry>,
    ) -> Result<Self, ChainError> {
        let mut entries = entries.into_iter();
        let mut chain = Self::begin(entries.next().ok_or(ChainError::NoGenesis)?)?;
        for entry in entries {
            chain.append(entry)?;
        }
        Ok(chain)
    }

    fn begin(first: CertifiedEntry) -> Result<Self, ChainError> {
        let EntryBody::Genesis(genesis) = &first.value.body else {
            return Err(ChainError::NoGenesis);
        };
        let name = genesis.name.clone();
        check_slot(&Slot::genesis(genesis.account()), &first.slot)?;
        let tip = Tip::begin(&first.value, &first.certificate)?;
        let mut chain = Self {
            name,
            entries: Vec::new(),
            heads: Vec::new(),
            configs: vec![tip.config.clone()],
            snapshots: Vec::new(),
            history: Mountains::default(),
            facts: Facts::default(),
            facts_before: Facts::default(),
            tip,
        };
        chain.push(first);
        Ok(chain)
    }

    /// Takes in an entry that the tip has accepted.
    fn push(&mut self, entry: CertifiedEntry) {
        self.facts_before = self.facts.clone();
        self.facts.apply(&entry.slot, &entry.value, &self.tip.config);
        self.history.push(entry.value.hash());
        let k = self.tip.next.k;
        self.tip.next.roots = roots_of(k, self.history.root(), self.facts.root());
        self.heads.push(self.tip.next.parent);
        if let EntryBody::Snapshot(_) = &entry.value.body {
            self.snapshots.push(SnapshotPoint { k: entry.slot.k, config: self.tip.next.config });
        }
        self.entries.push(entry);
    }

    /// What is so by the decisions, sorted by what it is about.
    pub fn facts(&self) -> impl Iterator<Item = &Fact> {
        self.facts.iter()
    }

    /// What is so of a device or an app.
    #[must_use]
    pub fn fact(&self, subject: Subject) -> Option<&Fact> {
        self.facts.get(subject).map(|(fact, _)| fact)
    }

    /// The facts that the last entry's slot has the root of.
    pub(super) const fn facts_before_last(&self) -> &Facts {
        &self.facts_before
    }

    /// H(value) of all entries but the last: what the last entry's slot has the root of.
    pub(super) fn values_before_last(&self) -> Vec<Digest> {
        let before = self.entries.split_last().map_or(&[][..], |(_, before)| before);
        before.iter().map(|it| it.value.hash()).collect()
    }

    /// Whose chain it is.
    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.tip.next.account
    }

    /// What people call the account.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All decisions, from the genesis on.
    #[must_use]
    pub fn entries(&self) -> &[CertifiedEntry] {
        &self.entries
    }

    /// The height of the last entry.
    #[must_use]
    pub const fn height(&self) -> u64 {
        self.tip.next.k.saturating_sub(1)
    }

    /// H(σ ‖ H(value)) of the last entry: what the next one continues.
    #[must_use]
    pub const fn head(&self) -> Digest {
        self.tip.next.parent
    }

    /// H(σ ‖ H(value)) of the entry at height `k`.
    #[must_use]
    pub fn head_at(&self, k: u64) -> Option<Digest> {
        self.heads.get(usize::try_from(k).ok()?).copied()
    }

    /// The slot that is decided next.
    #[must_use]
    pub const fn next_slot(&self) -> Slot {
        self.tip.next
    }

    /// The index of the current configuration.
    #[must_use]
    pub const fn config_index(&self) -> u64 {
        self.tip.next.config
    }

    /// The configuration whose voters decide the next slot.
    #[must_use]
    pub const fn config(&self) -> &Configuration {
        &self.tip.config
    }

    /// The configuration with this index.
    #[must_use]
    pub fn config_at(&self, index: u64) -> Option<&Configuration> {
        self.configs.get(usize::try_from(index).ok()?)
    }

    /// The entry at height `k`.
    #[must_use]
    pub fn entry(&self, k: u64) -> Option<&CertifiedEntry> {
        self.entries.get(usize::try_from(k).ok()?)
    }

    /// The snapshots, oldest first.
    #[must_use]
    pub fn snapshots(&self) -> &[SnapshotPoint] {
        &self.snapshots
    }

    /// The snapshots that whoever names a configuration has heard of, oldest first.
    #[must_use]
    pub fn snapshots_until(&self, config: u64) -> &[SnapshotPoint] {
        let count = self.snapshots.partition_point(|it| it.config <= config);
        self.snapshots.get(..count).unwrap_or_default()
    }

    /// Takes the next decision.
    ///
    /// # Errors
    /// [`ChainError`]; nothing has changed then.
    pub fn append(&mut self, entry: CertifiedEntry) -> Result<Appended, ChainError> {
        let (next, k) = (self.tip.next, entry.slot.k);
        if k < next.k {
            return self.compare_with_decided(&entry);
        }
        if entry.slot.account == next.account && next.k < k {
            return Err(ChainError::Gap { need: next.k, got: k });
        }
        check_slot(&next, &entry.slot)?;
        self.tip.accept(&entry.value, &entry.certificate)?;
        if self.tip.next.config != next.config {
            self.configs.push(self.tip.config.clone());
        }
        self.push(entry);
        Ok(Appended::New)
    }

    /// Only a second *certified* value is a conflict, so that nobody can raise a false alarm.
    fn compare_with_decided(&self, entry: &CertifiedEntry) -> Result<Appended, ChainError> {
        let at = usize::try_from(entry.slot.k).unwrap_or(usize::MAX);
        let Some(own) = self.entries.get(at) else {
            return Err(ChainError::Gap { need: self.tip.next.k, got: entry.slot.k });
        };
        if own == entry {
            return Ok(Appended::Duplicate);
        }
        check_slot(&own.slot, &entry.slot)?;
        let expected = own.slot.config;
        let Some(config) = self.config_at(expected) else {
            return Err(ChainError::WrongConfig { k: own.slot.k, expected, found: expected });
        };
        let value = entry.value.hash();
        entry.certificate.verify(&entry.slot, value, config)?;
        if own.value == entry.value {
            return Ok(Appended::Duplicate);
        }
        Err(ChainError::Conflict { k: own.slot.k })
    }

    /// Whether `value` keeps to the rules that a value for the next slot must keep to by itself. To
    /// be asked before a vote; whether the value is *wanted* is for an
    /// [`EntryPolicy`](crate::control::EntryPolicy).
    ///
    /// # Errors
    /// [`ChainError`], naming the first rule that it breaks.
    pub fn check_next(&self, value: &Entry) -> Result<(), ChainError> {
        self.tip.check(value)
    }

    /// `value` for the next slot, certified by one key, where one vote decides: the chain of a
    /// publisher. It is not appended yet.
    ///
    /// # Errors
    /// [`ChainError`] when more than one vote is needed, the key is no voter's, or the value breaks
    /// a rule.
    pub fn certify_alone(
        &self,
        value: Entry,
        vote_key: &SecretKey,
    ) -> Result<CertifiedEntry, ChainError> {
        let config = self.config();
        if config.m != 1 {
            return Err(ChainError::NotAlone { m: config.m });
        }
        self.check_next(&value)?;
        let slot = self.tip.next;
        let certificate = certificate_of_one(slot, &value, vote_key);
        certificate.verify(&slot, value.hash(), config)?;
        Ok(CertifiedEntry { slot, value, certificate })
    }

    /// The proof that the entry at height `k` was decided, for those who know only the account id.
    #[must_use]
    pub fn prove(&self, k: u64) -> Option<ChainProof> {
        let at = usize::try_from(k).ok()?;
        let until = self.entries.get(..=at)?;
        let links = until.iter().enumerate().map(|(index, entry)| {
            if index == at || entry.value.body.configures() {
                ChainLink::full(entry)
            } else {
                ChainLink::Hash { roots: entry.slot.roots, value: entry.value.hash() }
            }
        });
        Some(ChainProof { links: links.collect() })
    }
}

/// Where a chain ends: what the next entry must continue, and who decides it. The one place where
/// the rules of an entry are kept, for chains and for proofs.
#[derive(Debug, Clone)]
pub(super) struct Tip {
    pub(super) next: Slot,
    pub(super) config: Configuration,
    /// Devices that were in a roster once and are in none now.
    removed: BTreeSet<DeviceId>,
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
        Ok(Self { next: slot.next(hash, 0), config, removed: BTreeSet::new() })
    }

    fn check(&self, value: &Entry) -> Result<(), ChainError> {
        check_size(value)?;
        if !value.past.is_sorted_by(|a, b| a < b) {
            return Err(ChainError::PastNotSorted);
        }
        match &value.body {
            EntryBody::Genesis(_) => Err(ChainError::SecondGenesis),
            EntryBody::Reconfigure(config) => self.check_config(config),
            EntryBody::Revoke(Revoke { device, .. }) => {
                self.check_member(*device)?;
                self.check_config(&self.config.without(*device))
            }
            EntryBody::ReAdmit(it) => {
                self.check_member(it.device)?;
                self.check_new(&it.entry)?;
                self.check_config(&self.config.replacing(it.device, it.entry.clone()))
            }
            EntryBody::Snapshot(it) => {
                it.keys.keys().try_for_each(|device| self.check_member(*device))?;
                self.check_config(&self.config.with_vote_keys(&it.keys))
            }
            EntryBody::Install(_)
            | EntryBody::SetUpgradePolicy { .. }
            | EntryBody::ActivateVersion(_)
            | EntryBody::Release(_) => Ok(()),
        }
    }

    fn check_config(&self, config: &Configuration) -> Result<(), ChainError> {
        config.validate()?;
        match config.roster.keys().find(|it| self.removed.contains(it)) {
            Some(device) => Err(ChainError::Readded { device: *device }),
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
        certificate.verify(&self.next, hash, &self.config)?;
        let Some(config) = value.body.next_config(&self.config) else {
            self.skip(hash);
            return Ok(());
        };
        let stays = |device: &DeviceId| config.roster.contains_key(device);
        self.removed.extend(self.config.roster.keys().copied().filter(|it| !stays(it)));
        self.config = config;
        self.next = self.next.next(hash, self.next.config.saturating_add(1));
        Ok(())
    }

    /// Goes past a decision that changes no configuration and of which only the hash is known. What
    /// is certified after it names it as its parent.
    pub(super) fn skip(&mut self, value: Digest) {
        self.next = self.next.next(value, self.next.config);
    }
}

fn certificate_of_one(slot: Slot, value: &Entry, key: &SecretKey) -> Certificate {
    let vote = Vote::sign(slot, Phase::Commit, 0, value.hash(), key);
    Certificate { view: vote.view, votes: [(vote.key, vote.signature)].into() }
}

fn check_size(value: &Entry) -> Result<(), ChainError> {
    let found = encode(value).len();
    if ENTRY_BYTES_MAX < found { Err(ChainError::TooLarge { found }) } else { Ok(()) }
}

/// Whether `found` is `expected`; if not, the first part in which it differs. Heights agree here.
fn check_slot(expected: &Slot, found: &Slot) -> Result<(), ChainError> {
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
