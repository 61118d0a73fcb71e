//! Each app's records in the layout of the version that runs here.
//!
//! The ledger keeps records as they were written. What sessions and people see is derived from them,
//! one by one, through the migrations between the layout that a record was written in and the active
//! one; so a record that an old session writes after an activation takes the same way as those that
//! were there before.

use std::collections::{BTreeMap, BTreeSet};

use aura_journal::{Ledger, RawRecord, RecordChange, Stored};
use aura_protocol_core::{AppId, Digest, Record, RecordKey, SchemaId, record::records_root};

use crate::{
    error::AgentError,
    node::{Effect, MigrateJob, MigratedRecords, Node, restore::prefixed},
};

/// The key of a record in the ledger: the layout that it was written in, and its key there.
type RawKey = (SchemaId, RecordKey);

/// The derived records of all apps.
#[derive(Debug, Default)]
pub(super) struct Records {
    apps: BTreeMap<AppId, AppRecords>,
}

#[derive(Debug, Default)]
struct AppRecords {
    /// The records in the layout of the activation at height `applied`.
    current: BTreeMap<RecordKey, Record>,
    /// The height of the entry that made the active version active; none before the install.
    applied: Option<u64>,
    /// The height to which a swap is due.
    swap_to: Option<u64>,
    /// Written in the ledger, and not yet derived.
    dirty: BTreeSet<RawKey>,
    /// Being migrated, and whether everything is.
    under_way: Option<Job>,
}

#[derive(Debug)]
struct Job {
    swap_to: Option<u64>,
    keys: BTreeSet<RawKey>,
}

impl Records {
    /// The derived records as they were stored; whatever the ledger holds beyond them is dirty.
    pub(super) fn restore(stored: &Stored, ledger: &Ledger) -> Result<Self, AgentError> {
        let applied: BTreeMap<AppId, u64> = prefixed(stored, "applied/")?;
        let mut apps: BTreeMap<AppId, AppRecords> = BTreeMap::new();
        for (app, k) in applied {
            apps.entry(app).or_default().applied = Some(k);
        }
        for (app, records) in &stored.records {
            apps.entry(*app).or_default().current = records.clone();
        }
        for ((app, schema, key), raw) in &ledger.state().records {
            let entry = apps.entry(*app).or_default();
            let mut derived = entry.current.values().filter(|it| it.origin == *key);
            let is_derived = match raw.deleted {
                true => derived.next().is_none(),
                false => derived.any(|it| it.tag == raw.record.tag),
            };
            if !is_derived {
                entry.dirty.insert((*schema, key.clone()));
            }
        }
        Ok(Self { apps })
    }

    /// The root over an app's derived records.
    pub(super) fn root(&self, app: AppId) -> Digest {
        records_root(self.apps.get(&app).into_iter().flat_map(|it| it.current.values()))
    }

    /// How many derived records an app has.
    pub(super) fn count(&self, app: AppId) -> usize {
        self.apps.get(&app).map_or(0, |it| it.current.len())
    }

    /// Whether everything that was written is derived.
    pub(super) fn is_settled(&self) -> bool {
        self.apps
            .values()
            .all(|it| it.dirty.is_empty() && it.under_way.is_none() && it.swap_to.is_none())
    }
}

impl Node {
    /// Whether an app's records are in the layout of its active version.
    pub(super) fn records_ready(&self, app: AppId) -> bool {
        let active = self.ledger.state().apps.get(&app).map(|it| it.active.k);
        let derived = self.records.apps.get(&app).and_then(|it| it.applied);
        active.is_some() && active == derived
    }

    pub(super) fn record(&self, app: AppId, key: &RecordKey) -> Option<&Record> {
        self.records.apps.get(&app)?.current.get(key)
    }

    pub(super) fn records_after<'a>(
        &'a self,
        app: AppId,
        prefix: &'a [u8],
        after: Option<&'a RecordKey>,
    ) -> impl Iterator<Item = &'a Record> {
        let records = self.records.apps.get(&app).into_iter().flat_map(|it| it.current.values());
        records
            .filter(move |it| it.key.0.starts_with(prefix))
            .filter(move |it| after.is_none_or(|after| *after < it.key))
    }

    /// Begins the swap to the layout of the active version.
    pub(super) fn swap_records(&mut self, app: AppId) {
        let Some(k) = self.ledger.state().apps.get(&app).map(|it| it.active.k) else { return };
        self.records.apps.entry(app).or_default().swap_to = Some(k);
    }

    /// Derives what was written since the last time.
    pub(super) fn pump_records(&mut self) {
        for (app, schema, key) in self.ledger.take_record_changes() {
            self.records.apps.entry(app).or_default().dirty.insert((schema, key));
        }
        let installed: Vec<(AppId, u64)> =
            self.ledger.state().apps.iter().map(|(id, it)| (*id, it.installed_at)).collect();
        for (app, k) in installed {
            let entry = self.records.apps.entry(app).or_default();
            if entry.applied.is_none() {
                entry.applied = Some(k);
                self.keep(&format!("applied/{app}"), &k);
            }
        }
        let apps: Vec<AppId> = self.records.apps.keys().copied().collect();
        for app in apps {
            self.pump_app_records(app);
        }
    }

    fn pump_app_records(&mut self, app: AppId) {
        let Some(entry) = self.records.apps.get_mut(&app) else { return };
        if entry.under_way.is_some() || (entry.dirty.is_empty() && entry.swap_to.is_none()) {
            return;
        }
        let (applied, swap_to) = (entry.applied, entry.swap_to);
        let Some(target) = swap_to.or(applied) else { return };
        let Some(layout) = self.layout_at(app, target) else { return };
        let keys = self.raw_keys(app, swap_to.is_some());
        let mut direct = Vec::new();
        let mut groups: BTreeMap<SchemaId, Vec<Record>> = BTreeMap::new();
        for (schema, key) in &keys {
            let raw = self.ledger.state().records.get(&(app, *schema, key.clone()));
            match raw {
                Some(raw) if !raw.deleted && *schema != layout => {
                    groups.entry(*schema).or_default().push(raw.record.clone());
                }
                _ => direct.push((*schema, key.clone())),
            }
        }
        let Some(groups) = self.with_steps(app, target, groups) else { return };
        if let Some(entry) = self.records.apps.get_mut(&app) {
            entry.dirty.retain(|it| !keys.contains(it));
        }
        if groups.is_empty() && swap_to.is_none() {
            self.apply_direct(app, &direct);
            return;
        }
        if let Some(entry) = self.records.apps.get_mut(&app) {
            entry.under_way = Some(Job { swap_to, keys });
        }
        self.out.push(Effect::Migrate(Box::new(MigrateJob { app, groups })));
    }

    /// What is to be derived: everything for a swap, else what is dirty.
    fn raw_keys(&self, app: AppId, everything: bool) -> BTreeSet<RawKey> {
        if !everything {
            return self.records.apps.get(&app).map(|it| it.dirty.clone()).unwrap_or_default();
        }
        let all = self.ledger.state().records.keys().filter(|(it, _, _)| *it == app);
        all.map(|(_, schema, key)| (*schema, key.clone())).collect()
    }

    /// The layout of the version that became active at height `k`.
    fn layout_at(&self, app: AppId, k: u64) -> Option<SchemaId> {
        let state = self.ledger.state().apps.get(&app)?;
        let mut versions = state.history.iter().chain([&state.active]);
        versions.find(|it| it.k == k).map(|it| it.schema)
    }

    /// Pairs each group with the migrations that lead from its layout to the one at height `target`.
    /// None while one of them is not here yet.
    fn with_steps(
        &self,
        app: AppId,
        target: u64,
        groups: BTreeMap<SchemaId, Vec<Record>>,
    ) -> Option<Vec<(Vec<Digest>, Vec<Record>)>> {
        groups
            .into_iter()
            .map(|(schema, records)| {
                let steps = self.steps_from(app, schema, target)?;
                steps.iter().all(|it| self.has_module(it)).then_some((steps, records))
            })
            .collect()
    }

    fn steps_from(&self, app: AppId, schema: SchemaId, target: u64) -> Option<Vec<Digest>> {
        let state = self.ledger.state().apps.get(&app)?;
        let mut versions = state.history.iter().chain([&state.active]);
        let from = versions.find(|it| it.schema == schema)?.k;
        let later = state.activations.iter().filter(|(k, _)| from < *k && *k <= target);
        Some(later.flat_map(|(_, activation)| activation.steps.clone()).collect())
    }

    /// Records that are in the active layout already, and records that were deleted.
    fn apply_direct(&mut self, app: AppId, keys: &[RawKey]) {
        for (schema, key) in keys {
            let raw = self.ledger.state().records.get(&(app, *schema, key.clone())).cloned();
            match raw {
                Some(raw) if !raw.deleted => self.put_record(raw.record),
                _ => self.delete_derived(app, key),
            }
        }
    }

    /// Puts a derived record, unless a later write is there already.
    fn put_record(&mut self, record: Record) {
        let Some(entry) = self.records.apps.get_mut(&record.app) else { return };
        let held = entry.current.get(&record.key);
        if held.is_some_and(|it| it == &record || record.tag < it.tag) {
            return;
        }
        self.batch.records.push(RecordChange::Put(record.clone()));
        entry.current.insert(record.key.clone(), record);
    }

    fn delete_derived(&mut self, app: AppId, origin: &RecordKey) {
        let Some(entry) = self.records.apps.get_mut(&app) else { return };
        let gone: Vec<RecordKey> = entry
            .current
            .values()
            .filter(|it| it.origin == *origin)
            .map(|it| it.key.clone())
            .collect();
        for key in gone {
            entry.current.remove(&key);
            self.batch.records.push(RecordChange::Delete { app, key });
        }
    }

    pub(super) fn migrated(&mut self, app: AppId, result: Result<MigratedRecords, AgentError>) {
        let Some(job) = self.records.apps.get_mut(&app).and_then(|it| it.under_way.take()) else {
            return;
        };
        let migrated = match result {
            Ok(migrated) => migrated,
            Err(error) => {
                self.records_blocked(app, &error);
                return;
            }
        };
        for (key, reason) in &migrated.quarantined {
            self.log(format!("record `{key}` is set aside: {reason}"));
        }
        let Some(k) = job.swap_to else {
            for record in migrated.records {
                self.put_record(record);
            }
            let rest: Vec<RawKey> = job.keys.into_iter().collect();
            self.apply_written_here(app, &rest);
            return;
        };
        self.commit_swap(app, k, migrated.records, job.keys);
    }

    /// The part of a job that needed no migration.
    fn apply_written_here(&mut self, app: AppId, keys: &[RawKey]) {
        let layout = self.records.apps.get(&app).and_then(|it| it.applied);
        let layout = layout.and_then(|k| self.layout_at(app, k));
        let direct: Vec<RawKey> = keys
            .iter()
            .filter(|(schema, key)| {
                let raw = self.ledger.state().records.get(&(app, *schema, key.clone()));
                Some(*schema) == layout || raw.is_none_or(|it| it.deleted)
            })
            .cloned()
            .collect();
        self.apply_direct(app, &direct);
    }

    /// New layout, new records and the height that they belong to, in one transaction.
    fn commit_swap(&mut self, app: AppId, k: u64, migrated: Vec<Record>, keys: BTreeSet<RawKey>) {
        let layout = self.layout_at(app, k);
        let written = keys.iter().filter(|(schema, _)| Some(*schema) == layout);
        let written = written.filter_map(|(schema, key)| {
            let raw = self.ledger.state().records.get(&(app, *schema, key.clone()))?;
            (!raw.deleted).then(|| raw.record.clone())
        });
        let current = latest(migrated.into_iter().chain(written));
        let records = current.values().cloned().collect();
        self.batch.records.push(RecordChange::Swap { app, records });
        self.keep(&format!("applied/{app}"), &k);
        if let Some(entry) = self.records.apps.get_mut(&app) {
            entry.current = current;
            entry.applied = Some(k);
            entry.swap_to = None;
        }
        self.log(format!("app {}: records are in the layout of entry {k}", app.short()));
        self.records_swapped(app, k);
    }

    /// The records of an app in the past of some units, as a rehearsal takes them.
    pub(super) fn prestate(&self, app: AppId, past: &[Digest]) -> Option<Vec<Record>> {
        let raw: Vec<RawRecord> = self.ledger.records_at(app, past).ok()?;
        Some(raw.into_iter().filter(|it| !it.deleted).map(|it| it.record).collect())
    }

    /// How an app's records follow from the ledger; none while a swap is due.
    pub fn derivation(&self, app: AppId) -> Option<Derivation> {
        let applied = self.records.apps.get(&app)?.applied?;
        let layout = self.layout_at(app, applied)?;
        let mut direct = Vec::new();
        let mut groups: BTreeMap<SchemaId, Vec<Record>> = BTreeMap::new();
        for (schema, key) in self.raw_keys(app, true) {
            let raw = self.ledger.state().records.get(&(app, schema, key))?;
            match (raw.deleted, schema == layout) {
                (true, _) => {}
                (false, true) => direct.push(raw.record.clone()),
                (false, false) => groups.entry(schema).or_default().push(raw.record.clone()),
            }
        }
        let groups = groups
            .into_iter()
            .map(|(schema, records)| Some((self.steps_from(app, schema, applied)?, records)))
            .collect::<Option<Vec<_>>>()?;
        Some(Derivation { job: MigrateJob { app, groups }, direct })
    }

    /// Whether an app's records here are these, the latest write of a key winning.
    pub fn agrees_with(&self, app: AppId, records: impl IntoIterator<Item = Record>) -> bool {
        let held = self.records.apps.get(&app).map(|it| &it.current);
        held.is_some_and(|held| *held == latest(records))
    }
}

/// How an app's records follow from the ledger.
#[derive(Debug)]
pub struct Derivation {
    /// The records that have to be migrated.
    pub job: MigrateJob,
    /// The records that are in the active layout already.
    pub direct: Vec<Record>,
}

/// The latest write of each key.
fn latest(records: impl IntoIterator<Item = Record>) -> BTreeMap<RecordKey, Record> {
    let mut latest: BTreeMap<RecordKey, Record> = BTreeMap::new();
    for record in records {
        let held = latest.get(&record.key);
        if held.is_none_or(|it| it.tag < record.tag) {
            latest.insert(record.key.clone(), record);
        }
    }
    latest
}
