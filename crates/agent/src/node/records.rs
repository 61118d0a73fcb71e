//! Each app's records in the layout of the version that runs here.
//!
//! The ledger keeps records as they were written. What sessions and people see is derived from them:
//! of each key the last write counts, in whichever layout it was made, and it is taken through the
//! migrations between that layout and the active one. So a record that an old session writes after an
//! activation takes the same way as those that were there before, and what a device derived in which
//! order does not show. A write in a layout that the app never had is left where it is.

use std::collections::{BTreeMap, BTreeSet};

use aura_journal::{Ledger, RawRecord, RecordChange, Stored};
use aura_protocol_core::{AppId, Digest, Record, RecordKey, UnixTime, record::records_root};

use crate::{
    error::AgentError,
    node::{
        Effect, MigrateJob, MigratedRecords, Node,
        derived::{Derived, Replaced, latest},
        lenses::{Group, Layouts, Newest},
        restore::prefixed,
    },
};

/// Pause before a derivation is tried again that failed for a reason of this machine, in seconds.
const RETRY_SECONDS: u64 = 30;

/// The derived records of all apps.
#[derive(Debug, Default)]
pub(super) struct Records {
    apps: BTreeMap<AppId, AppRecords>,
}

#[derive(Debug, Default)]
struct AppRecords {
    /// The records in the layout of the activation at height `applied`.
    current: Derived,
    /// The height of the entry that made the active version active; none before the install.
    applied: Option<u64>,
    /// The height to which a swap is due.
    swap_to: Option<u64>,
    /// Keys that were written in the ledger and are not derived yet.
    dirty: BTreeSet<RecordKey>,
    /// Two keys once became one, so that only all records together say which of them stays.
    overlaps: bool,
    /// Being derived.
    under_way: Option<Job>,
    /// No attempt before this time.
    retry: Option<UnixTime>,
}

#[derive(Debug)]
struct Job {
    /// The height of the layout that is derived.
    target: u64,
    /// Whether all records are.
    everything: bool,
    /// The keys that were written.
    keys: BTreeSet<RecordKey>,
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
            apps.entry(*app).or_default().current = Derived::of(records.values().cloned());
        }
        let mut restored = Self { apps };
        let raw: BTreeSet<(AppId, RecordKey)> =
            ledger.state().records.keys().map(|(app, _, key)| (*app, key.clone())).collect();
        for (app, key) in raw {
            restored.apps.entry(app).or_default().dirty.insert(key);
        }
        for (app, entry) in &mut restored.apps {
            let (Some(target), Some(known)) = (entry.applied, ledger.state().apps.get(app)) else {
                continue;
            };
            entry.dirty.extend(entry.current.origins().cloned());
            let current = &entry.current;
            let layouts = Layouts { app: *app, known, records: &ledger.state().records };
            entry.dirty.retain(|key| {
                let mut derived = current.of_origin(key);
                match layouts.newest(key, target) {
                    Newest::Gone => derived.next().is_some(),
                    Newest::Write(raw, _) => !derived.any(|it| it.tag == raw.record.tag),
                    Newest::Later => true,
                }
            });
        }
        Ok(restored)
    }

    /// The root over an app's derived records.
    pub(super) fn root(&self, app: AppId) -> Digest {
        let records = self.apps.get(&app).map(|it| it.current.records());
        records_root(records.into_iter().flat_map(BTreeMap::values))
    }

    /// How many derived records an app has.
    pub(super) fn count(&self, app: AppId) -> usize {
        self.apps.get(&app).map_or(0, |it| it.current.records().len())
    }

    /// Whether everything is derived that was written for apps that are installed.
    pub(super) fn is_settled(&self) -> bool {
        let installed = self.apps.values().filter(|it| it.applied.is_some());
        installed
            .into_iter()
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
        self.records.apps.get(&app)?.current.records().get(key)
    }

    pub(super) fn records_after<'a>(
        &'a self,
        app: AppId,
        prefix: &'a [u8],
        after: Option<&RecordKey>,
    ) -> impl Iterator<Item = &'a Record> + use<'a> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let first = RecordKey(prefix.to_vec());
        let from = match after {
            Some(after) if first <= *after => Excluded(after.clone()),
            _ => Included(first),
        };
        let records = self.records.apps.get(&app).map(|it| it.current.records());
        let range = records.into_iter().flat_map(move |it| it.range((from.clone(), Unbounded)));
        range.map(|(_, record)| record).take_while(move |it| it.key.0.starts_with(prefix))
    }

    /// Begins the swap to the layout of the active version.
    pub(super) fn swap_records(&mut self, app: AppId) {
        let Some(k) = self.ledger.state().apps.get(&app).map(|it| it.active.k) else { return };
        self.records.apps.entry(app).or_default().swap_to = Some(k);
    }

    /// Derives what was written since the last time.
    pub(super) fn pump_records(&mut self) {
        for (app, _, key) in self.ledger.take_record_changes() {
            self.records.apps.entry(app).or_default().dirty.insert(key);
        }
        let installed: Vec<(AppId, u64)> =
            self.ledger.state().apps.iter().map(|(id, it)| (*id, it.installed_at)).collect();
        for (app, k) in installed {
            let entry = self.records.apps.entry(app).or_default();
            if entry.applied.is_none() {
                entry.applied = Some(k);
                self.stirred.extend(self.sessions.keys());
                self.keep(&format!("applied/{app}"), &k);
            }
            self.pump_app_records(app);
        }
    }

    fn pump_app_records(&mut self, app: AppId) {
        let Some(entry) = self.records.apps.get(&app) else { return };
        let due = !entry.dirty.is_empty() || entry.swap_to.is_some();
        let paused = entry.retry.is_some_and(|it| self.now < it);
        let Some(target) = entry.swap_to.or(entry.applied) else { return };
        if entry.under_way.is_some() || !due || paused {
            return;
        }
        let everything = entry.swap_to.is_some() || entry.overlaps;
        let asked = if everything { self.raw_keys(app) } else { entry.dirty.clone() };
        let Some(layouts) = self.layouts(app) else { return };
        let (keys, groups) = layouts.to_derive(target, asked);
        let needed = || groups.iter().flat_map(Group::modules);
        if (keys.is_empty() && !everything) || !needed().all(|it| self.has_module(it)) {
            return;
        }
        let migrates = needed().next().is_some();
        if let Some(entry) = self.records.apps.get_mut(&app) {
            entry.dirty.retain(|it| !keys.contains(it));
            entry.retry = None;
            entry.under_way = Some(Job { target, everything, keys });
        }
        if migrates {
            self.out.push(Effect::Migrate(Box::new(MigrateJob { app, groups })));
        } else {
            self.derived(app, groups.into_iter().flat_map(|it| it.records).collect());
        }
    }

    /// The keys of all records that an app has in the ledger, and of those derived from them.
    fn raw_keys(&self, app: AppId) -> BTreeSet<RecordKey> {
        let raw = self.layouts(app).map(|it| it.keys()).unwrap_or_default();
        let derived = self.records.apps.get(&app).into_iter();
        let derived = derived.flat_map(|it| it.current.origins().cloned());
        raw.into_iter().chain(derived).collect()
    }

    fn layouts(&self, app: AppId) -> Option<Layouts<'_>> {
        let state = self.ledger.state();
        state.apps.get(&app).map(|known| Layouts { app, known, records: &state.records })
    }

    pub(super) fn migrated(&mut self, app: AppId, result: Result<MigratedRecords, AgentError>) {
        match result {
            Ok(migrated) => {
                for (key, reason) in &migrated.quarantined {
                    self.log(format!("record `{key}` is set aside: {reason}"));
                }
                self.derived(app, migrated.records);
            }
            Err(error) => self.derivation_failed(app, &error),
        }
    }

    /// Nothing has changed. It is tried again, but not at once: the machine may need a person.
    fn derivation_failed(&mut self, app: AppId, error: &AgentError) {
        let retry = self.now.saturating_add(RETRY_SECONDS);
        let Some(entry) = self.records.apps.get_mut(&app) else { return };
        let Some(job) = entry.under_way.take() else { return };
        entry.dirty.extend(job.keys);
        entry.retry = Some(retry);
        self.records_blocked(app, error);
    }

    /// The records of the job that is under way are here.
    fn derived(&mut self, app: AppId, records: Vec<Record>) {
        let Some(entry) = self.records.apps.get_mut(&app) else { return };
        let Some(Job { target, everything, keys }) = entry.under_way.take() else { return };
        self.stirred.extend(self.sessions.keys());
        if entry.swap_to.or(entry.applied) != Some(target) {
            // Another layout is wanted by now.
            entry.dirty.extend(keys);
            return self.pump_app_records(app);
        }
        if !everything {
            match entry.current.replace(&keys, records) {
                Replaced::Changed(put, deleted) => {
                    let deleted = deleted.into_iter().map(|key| RecordChange::Delete { app, key });
                    self.batch.records.extend(deleted);
                    self.batch.records.extend(put.into_iter().map(RecordChange::Put));
                }
                Replaced::Overlap => {
                    entry.overlaps = true;
                    entry.dirty.extend(keys);
                    self.pump_app_records(app);
                }
            }
            return;
        }
        let count = records.len();
        entry.current = Derived::of(records);
        entry.overlaps |= entry.current.records().len() < count;
        let records = entry.current.records().values().cloned().collect();
        // New layout, new records and the height that they belong to, in one transaction.
        self.batch.records.push(RecordChange::Swap { app, records });
        if entry.swap_to.take_if(|it| *it == target).is_some() {
            entry.applied = Some(target);
            self.keep(&format!("applied/{app}"), &target);
            self.log(format!("app {}: records are in the layout of entry {target}", app.short()));
            self.records_swapped(app, target);
        }
    }

    /// The records of an app in the past of some units, by their ways to the layout of the version that
    /// is active at height `target`. None while a migration on the way is not here.
    pub(super) fn prestate(&self, app: AppId, target: u64, past: &[Digest]) -> Option<Vec<Group>> {
        let known = self.ledger.state().apps.get(&app)?;
        let raw: Vec<RawRecord> = self.ledger.records_at(app, past).ok()?;
        let records = &raw
            .into_iter()
            .map(|it| ((app, it.record.schema, it.record.key.clone()), it))
            .collect();
        let layouts = Layouts { app, known, records };
        let (_, groups) = layouts.to_derive(target, layouts.keys());
        let here = groups.iter().flat_map(Group::modules).all(|it| self.has_module(it));
        here.then_some(groups)
    }

    /// How an app's records follow from the ledger; none while something is yet to be derived.
    pub fn derivation(&self, app: AppId) -> Option<MigrateJob> {
        let target = self.records.apps.get(&app)?.applied?;
        let (_, groups) = self.layouts(app)?.to_derive(target, self.raw_keys(app));
        Some(MigrateJob { app, groups })
    }

    /// Whether an app's records here are these, the latest write of a key winning.
    pub fn agrees_with(&self, app: AppId, records: impl IntoIterator<Item = Record>) -> bool {
        let held = self.records.apps.get(&app).map(|it| it.current.records());
        held.is_some_and(|held| *held == latest(records))
    }
}
