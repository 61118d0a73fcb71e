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

use aura_crypto::{PublicKey, SecretKey};
use aura_protocol_core::{AccountId, DeviceId, Digest, limits::UNIT_BODY_BYTES_MAX};

use crate::control::{
    Certificate, CertifiedEntry, ChainError, ChainLink, ChainProof, Configuration, Entry,
    EntryBody, Fact, Genesis, Phase, Slot, Subject, Vote,
    facts::Facts,
    merkle::Mountains,
    recover::verify_recovery,
    slot::roots_of,
    tip::{Tip, check_slot},
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
    /// By index, in ascending order.
    configs: Vec<(u64, Configuration)>,
    /// A second certified value of a slot.
    frozen: Option<Box<CertifiedEntry>>,
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
            match chain.append(entry) {
                // It is frozen from here on.
                Ok(_) | Err(ChainError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
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
            configs: vec![(0, tip.config.clone())],
            frozen: None,
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
        let index = self.tip.next.config;
        if self.configs.last().is_none_or(|it| it.0 != index) {
            self.configs.push((index, self.tip.config.clone()));
        }
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

    /// Whether a vote key was in force once and is no more: whoever holds it can erase it.
    #[must_use]
    pub fn is_retired(&self, key: &PublicKey) -> bool {
        self.tip.is_retired(key)
    }

    /// The height of the entry that put a device's vote key in force; 0 for that of the genesis. None of
    /// a device that is not in the roster.
    #[must_use]
    pub fn vote_key_since(&self, device: DeviceId) -> Option<u64> {
        let key = self.config().roster.get(&device)?.vote_key;
        let before = |it: &&CertifiedEntry| {
            let config = self.config_at(it.slot.config);
            let entry = config.and_then(|it| it.roster.get(&device));
            entry.is_none_or(|it| it.vote_key != key)
        };
        Some(self.entries.iter().rev().find(before).map_or(0, |it| it.slot.k))
    }

    /// The configuration with this index.
    #[must_use]
    pub fn config_at(&self, index: u64) -> Option<&Configuration> {
        let at = self.configs.binary_search_by_key(&index, |it| it.0).ok()?;
        self.configs.get(at).map(|it| &it.1)
    }

    /// The index of the configuration after this one: each generation's begin anew, far above.
    #[must_use]
    pub fn config_after(&self, index: u64) -> Option<u64> {
        let at = self.configs.partition_point(|it| it.0 <= index);
        self.configs.get(at).map(|it| it.0)
    }

    /// The index of the configuration before this one.
    #[must_use]
    pub fn config_before(&self, index: u64) -> Option<u64> {
        let at = self.configs.partition_point(|it| it.0 < index);
        self.configs.get(at.checked_sub(1)?).map(|it| it.0)
    }

    /// The generation of the newest entry.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.tip.next.generation
    }

    /// A second certified value for a decided slot, if one was seen: the votes of both show who signed
    /// twice.
    #[must_use]
    pub fn frozen(&self) -> Option<&CertifiedEntry> {
        self.frozen.as_deref()
    }

    fn check_frozen(&self) -> Result<(), ChainError> {
        match &self.frozen {
            Some(it) => Err(ChainError::Frozen { k: it.slot.k }),
            None => Ok(()),
        }
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

    /// Takes the next decision, or a recovery, with which everything from its height on is left.
    ///
    /// # Errors
    /// [`ChainError`]; nothing has changed then, but for [`ChainError::Conflict`]: the chain is frozen.
    pub fn append(&mut self, entry: CertifiedEntry) -> Result<Appended, ChainError> {
        let (next, k) = (self.tip.next, entry.slot.k);
        if let EntryBody::Recover(it) = &entry.value.body
            && next.generation < entry.slot.generation
        {
            let request = it.request;
            return self.recover(entry, request);
        }
        if k < next.k || self.begins_generation(&entry) {
            let compared = self.compare_with_decided(&entry);
            if let Err(ChainError::Conflict { .. }) = compared {
                self.frozen.get_or_insert_with(|| Box::new(entry));
            }
            return compared;
        }
        self.check_frozen()?;
        if entry.slot.account == next.account && next.k < k {
            return Err(ChainError::Gap { need: next.k, got: k });
        }
        check_slot(&next, &entry.slot)?;
        self.tip.accept(&entry.value, &entry.certificate)?;
        self.push(entry);
        Ok(Appended::New)
    }

    /// Goes on in another generation, from an entry that is here.
    fn recover(&mut self, entry: CertifiedEntry, request: Digest) -> Result<Appended, ChainError> {
        let (next, k) = (self.tip.next, entry.slot.k);
        if entry.slot.account != next.account {
            let (expected, found) = (next.account, entry.slot.account);
            return Err(ChainError::WrongAccount { expected, found });
        }
        if next.k < k {
            return Err(ChainError::Gap { need: next.k, got: k });
        }
        if self.is_vetoed(request) {
            return Err(ChainError::Vetoed);
        }
        let mut rewound = self.until(k)?;
        rewound.tip.begin_generation(&entry.value);
        check_slot(&rewound.tip.next, &entry.slot)?;
        rewound.tip.accept(&entry.value, &entry.certificate)?;
        rewound.push(entry);
        *self = rewound;
        Ok(Appended::New)
    }

    /// The chain as it was before the entry at height `k`, which is not the genesis.
    fn until(&self, k: u64) -> Result<Self, ChainError> {
        let count = usize::try_from(k).unwrap_or(usize::MAX);
        let mut entries = self.entries.iter().take(count).cloned();
        let mut chain = Self::begin(entries.next().ok_or(ChainError::SecondGenesis)?)?;
        for entry in entries {
            chain.tip.begin_generation(&entry.value);
            chain.tip.take(&entry.value, entry.value.hash());
            chain.push(entry);
        }
        Ok(chain)
    }

    /// Only a second *certified* value is a conflict, so that nobody can raise a false alarm.
    fn compare_with_decided(&self, entry: &CertifiedEntry) -> Result<Appended, ChainError> {
        if self.begins_generation(entry) {
            return self.compare_recoveries(entry);
        }
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

    /// Whether it is a recovery to the generation that the chain is in.
    fn begins_generation(&self, entry: &CertifiedEntry) -> bool {
        let is_recovery = matches!(&entry.value.body, EntryBody::Recover(_));
        is_recovery && 0 < self.generation() && entry.slot.generation == self.generation()
    }

    /// A generation begins once, wherever it goes on from.
    fn compare_recoveries(&self, entry: &CertifiedEntry) -> Result<Appended, ChainError> {
        let own = self.entries.iter().find(|it| it.slot.generation == entry.slot.generation);
        if own.is_some_and(|it| it.slot == entry.slot && it.value == entry.value) {
            return Ok(Appended::Duplicate);
        }
        let (k, found) = (entry.slot.k, entry.slot.config);
        let Some(config) = self.config_at(found) else {
            return Err(ChainError::WrongConfig { k, expected: self.config_index(), found });
        };
        if entry.slot.account != self.account() {
            let (expected, found) = (self.account(), entry.slot.account);
            return Err(ChainError::WrongAccount { expected, found });
        }
        verify_recovery(&entry.certificate, &entry.slot, entry.value.hash(), config)?;
        match &entry.value.body {
            EntryBody::Recover(it) if it.generation == entry.slot.generation => {
                Err(ChainError::Conflict { k })
            }
            _ => Err(ChainError::MisplacedRecovery),
        }
    }

    /// Whether `value` keeps to the rules that a value for the next slot must keep to by itself. To
    /// be asked before a vote; whether the value is *wanted* is for an
    /// [`EntryPolicy`](crate::control::EntryPolicy).
    ///
    /// # Errors
    /// [`ChainError`], naming the first rule that it breaks.
    pub fn check_next(&self, value: &Entry) -> Result<(), ChainError> {
        self.check_frozen()?;
        if let EntryBody::Recover(_) = &value.body {
            return Err(ChainError::MisplacedRecovery);
        }
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

fn certificate_of_one(slot: Slot, value: &Entry, key: &SecretKey) -> Certificate {
    let vote = Vote::sign(slot, Phase::Commit, 0, value.hash(), key);
    Certificate { view: vote.view, votes: [(vote.key, vote.signature)].into() }
}
