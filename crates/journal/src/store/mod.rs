//! What is kept of a ledger between two runs, and the trait behind which it is kept.
//!
//! Everything that one step of a device accepted goes into one transaction, which is durable when
//! `commit` returns; so whatever is sent after it rests on what cannot be lost.

mod counts;
mod disk;
mod error;
mod header;
mod medium;
mod memory;
mod packed;
mod repair;
mod row;
mod witness;

use std::collections::BTreeMap;

use aura_protocol_core::{AppId, Record, RecordKey};

pub use disk::{DiskStore, STORE_FORMAT};
pub use error::StoreError;
pub use medium::Medium;
pub use memory::MemoryStore;
pub use repair::{Repaired, repair};

use crate::control::{CertifiedEntry, VoteRecord};
pub use crate::encoded::NamedUnit;

/// A place where a ledger is kept.
pub trait LedgerStore: Send {
    /// Everything that was committed.
    ///
    /// # Errors
    /// [`StoreError`], above all [`StoreError::Damaged`], which names what is damaged.
    fn load(&self) -> Result<Stored, StoreError>;

    /// Adds a batch in one transaction: all of it or nothing, and durable when this returns.
    ///
    /// After an error the caller does not know which of the two it was. It stops, loads again, and
    /// goes on from what it finds.
    ///
    /// # Errors
    /// [`StoreError`].
    fn commit(&mut self, batch: &StoreBatch) -> Result<(), StoreError>;
}

/// What one transaction adds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct StoreBatch {
    /// Entries of the control chain, continuing those stored or going on from below, and a second
    /// certified value that froze the chain.
    pub entries: Vec<CertifiedEntry>,
    /// What stands for units that are gone, in place of all units that are stored.
    pub compaction: Option<Compaction>,
    /// Units, in the order in which they were accepted.
    pub units: Vec<NamedUnit>,
    /// This device's vote record, in place of the last one.
    pub vote_record: Option<VoteRecord>,
    /// Changes to the apps' records, in this order.
    pub records: Vec<RecordChange>,
    /// Values of the device itself under names of its own; none removes one.
    pub local: Vec<(String, Option<Vec<u8>>)>,
}

/// What is left of a ledger after a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compaction {
    /// The [`Base`](crate::snapshot::Base), encoded.
    pub base: Vec<u8>,
    /// The units that stay, in the order in which they were accepted.
    pub units: Vec<NamedUnit>,
}

/// A change to the records of an app as they are kept: migrated and ready to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordChange {
    /// All records of an app are replaced at once: an activation.
    Swap {
        /// Which app.
        app: AppId,
        /// Its records from now on.
        records: Vec<Record>,
    },
    /// A record is written.
    Put(Record),
    /// A record is deleted.
    Delete {
        /// Of which app.
        app: AppId,
        /// Which.
        key: RecordKey,
    },
}

/// Everything that a store holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stored {
    /// The control chain from the genesis on, in the order in which entries were taken: what a recovery
    /// left stands before it.
    pub entries: Vec<CertifiedEntry>,
    /// What stands for units that are gone.
    pub base: Option<Vec<u8>>,
    /// The units, in the order in which they were accepted.
    pub units: Vec<NamedUnit>,
    /// The last vote record.
    pub vote_record: Option<VoteRecord>,
    /// The apps' records.
    pub records: BTreeMap<AppId, BTreeMap<RecordKey, Record>>,
    /// The device's own values.
    pub local: BTreeMap<String, Vec<u8>>,
}

impl StoreBatch {
    /// Whether there is nothing to store.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { entries, compaction, units, vote_record, records, local } = self;
        entries.is_empty()
            && compaction.is_none()
            && units.is_empty()
            && vote_record.is_none()
            && records.is_empty()
            && local.is_empty()
    }

    /// Puts `later` behind this batch. Its vote record, if it has one, is the one that counts.
    pub fn merge(&mut self, later: Self) {
        let Self { entries, compaction, units, vote_record, records, local } = later;
        self.entries.extend(entries);
        if compaction.is_some() {
            self.compaction = compaction;
            self.units.clear();
        }
        self.units.extend(units);
        self.vote_record = vote_record.or(self.vote_record.take());
        self.records.extend(records);
        self.local.extend(local);
    }
}

impl Stored {
    /// Adds a batch: the meaning that every store gives it.
    pub fn apply(&mut self, batch: &StoreBatch) {
        self.entries.extend(batch.entries.iter().cloned());
        if let Some(Compaction { base, units }) = &batch.compaction {
            self.base = Some(base.clone());
            self.units.clone_from(units);
        }
        self.units.extend(batch.units.iter().cloned());
        if let Some(record) = &batch.vote_record {
            self.vote_record = Some(*record);
        }
        for change in &batch.records {
            self.change_record(change);
        }
        for (name, value) in &batch.local {
            match value {
                Some(value) => self.local.insert(name.clone(), value.clone()),
                None => self.local.remove(name),
            };
        }
    }

    fn change_record(&mut self, change: &RecordChange) {
        match change {
            RecordChange::Swap { app, records } => {
                let rows = records.iter().map(|it| (it.key.clone(), it.clone())).collect();
                self.records.insert(*app, rows);
            }
            RecordChange::Put(record) => {
                let rows = self.records.entry(record.app).or_default();
                rows.insert(record.key.clone(), record.clone());
            }
            RecordChange::Delete { app, key } => {
                if let Some(rows) = self.records.get_mut(app) {
                    rows.remove(key);
                }
            }
        }
        // An app without records is as one that never had any: so it is on disk.
        self.records.retain(|_, rows| !rows.is_empty());
    }

    /// Whether `batch` continues what is stored: its entries leave no height out, and the
    /// records of a swap are of its app.
    pub(crate) fn check(entries: u64, batch: &StoreBatch) -> Result<(), StoreError> {
        for (need, entry) in (entries..).zip(&batch.entries) {
            // Below it stand a recovery and what follows on it, and what froze the chain.
            if need < entry.slot.k || (entry.slot.k == 0 && need != 0) {
                return Err(StoreError::Unordered { need, got: entry.slot.k });
            }
        }
        for change in &batch.records {
            if let RecordChange::Swap { app, records } = change
                && let Some(other) = records.iter().find(|it| it.app != *app)
            {
                return Err(StoreError::ForeignRecord { app: *app, found: other.app });
            }
        }
        Ok(())
    }
}
