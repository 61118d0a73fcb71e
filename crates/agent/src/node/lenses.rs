//! The way of records from the layout that they were written in to another one.
//!
//! The versions of an app are a tree: an activation leads from a version to the next, and taking it back
//! leads to the version before, from where another activation may lead elsewhere. Between two layouts a
//! record goes back through the migrations of what was taken back, and then forward.

use std::collections::{BTreeMap, BTreeSet};

use aura_journal::{ActiveVersion, AppState, RawRecord, RecordId};
use aura_protocol_core::{AppId, Digest, Record, RecordKey, SchemaId};

/// Records that take the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Back, the newest migration first.
    pub back: Vec<Back>,
    /// Then forward, the oldest first.
    pub forward: Vec<Digest>,
    /// The records.
    pub records: Vec<Record>,
}

/// One migration that records go back through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Back {
    /// The migration.
    pub lens: Digest,
    /// The app's records as they were written before it, by the migrations that lead them to the layout
    /// that it began with: what the records that go back came from.
    pub prior: Vec<(Vec<Digest>, Vec<Record>)>,
}

/// What the ledger holds under one key.
pub(super) enum Newest<'a> {
    /// Nothing, or a deletion.
    Gone,
    /// A write in the layout of the version that became active at this height.
    Write(&'a RawRecord, u64),
    /// A write in a layout that comes after the one that is asked for.
    Later,
}

impl Group {
    /// The migrations on their way, and on that of what is prior.
    pub fn modules(&self) -> impl Iterator<Item = &Digest> {
        let prior = self.back.iter().flat_map(|it| &it.prior).flat_map(|(steps, _)| steps);
        self.back.iter().map(|it| &it.lens).chain(prior).chain(&self.forward)
    }
}

/// The records of an app as they were written, and what is known of the app.
pub(super) struct Layouts<'a> {
    pub(super) app: AppId,
    pub(super) known: &'a AppState,
    pub(super) records: &'a BTreeMap<RecordId, RawRecord>,
}

/// Back through the activations at these heights, then forward through these migrations.
type Path = (Vec<u64>, Vec<Digest>);

impl<'a> Layouts<'a> {
    /// The heights from which on the app had its layouts, by layout.
    fn firsts(&self) -> BTreeMap<SchemaId, u64> {
        let mut firsts = BTreeMap::new();
        for version in self.known.versions() {
            firsts.entry(version.schema).or_insert(version.k);
        }
        firsts
    }

    /// The last write of a key, seen from the version that became active at `target`.
    pub(super) fn newest(&self, key: &RecordKey, target: u64) -> Newest<'a> {
        match self.newest_of(key, |_| true) {
            Some((_, k)) if target < k => Newest::Later,
            Some((raw, k)) if !raw.deleted => Newest::Write(raw, k),
            _ => Newest::Gone,
        }
    }

    fn newest_of(
        &self,
        key: &RecordKey,
        is_asked: impl Fn(u64) -> bool,
    ) -> Option<(&'a RawRecord, u64)> {
        let layouts = self.firsts().into_iter().filter(|(_, k)| is_asked(*k));
        let written = layouts.filter_map(|(schema, k)| {
            self.records.get(&(self.app, schema, key.clone())).map(|raw| (raw, k))
        });
        written.max_by_key(|(raw, _)| raw.position)
    }

    /// Those of `keys` whose last write can be brought to the layout at `target`, and the records to
    /// bring there.
    pub(super) fn to_derive(
        &self,
        target: u64,
        keys: BTreeSet<RecordKey>,
    ) -> (BTreeSet<RecordKey>, Vec<Group>) {
        let mut groups: BTreeMap<Path, Vec<Record>> = BTreeMap::new();
        let mut taken = BTreeSet::new();
        for key in keys {
            match self.newest(&key, target) {
                Newest::Later => continue,
                Newest::Gone => {}
                Newest::Write(raw, from) => {
                    groups.entry(self.path(from, target)).or_default().push(raw.record.clone());
                }
            }
            taken.insert(key);
        }
        let groups = groups.into_iter().map(|((back, forward), records)| {
            let back = back.into_iter().flat_map(|k| self.back(k)).collect();
            Group { back, forward, records }
        });
        (taken, groups.collect())
    }

    /// The way from the layout of the version that became active at `from` to that of `target`.
    fn path(&self, from: u64, target: u64) -> Path {
        let schema_at = |k| self.known.lineage(k).last().map(|it| it.schema);
        if schema_at(from) == schema_at(target) {
            return (Vec::new(), Vec::new());
        }
        let [from, to] = [from, target].map(|k| heights(&self.known.lineage(k)));
        let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
        let back = from.iter().skip(common).rev().copied().collect();
        let forward = to.iter().skip(common).flat_map(|k| self.steps(*k).to_vec()).collect();
        (back, forward)
    }

    /// The migrations of the activation at a height.
    fn steps(&self, k: u64) -> &'a [Digest] {
        let found = self.known.activations.iter().find(|(at, _)| *at == k);
        found.map_or(&[], |(_, it)| &it.steps)
    }

    /// Back through the activation at a height.
    fn back(&self, k: u64) -> Vec<Back> {
        let lineage = heights(&self.known.lineage(k));
        let before = lineage.len().checked_sub(2).and_then(|it| lineage.get(it)).copied();
        let steps = self.steps(k).iter().rev().enumerate();
        // What stands between two migrations of one activation was never written by anybody.
        let prior = |nth: usize| {
            let before = before.filter(|_| nth + 1 == self.steps(k).len());
            before.map(|it| self.prior(it)).unwrap_or_default()
        };
        steps.map(|(nth, lens)| Back { lens: *lens, prior: prior(nth) }).collect()
    }

    /// The app's records as they were before a version came that was taken back: in the layouts that led
    /// to the version of height `until`.
    fn prior(&self, until: u64) -> Vec<(Vec<Digest>, Vec<Record>)> {
        let lineage: BTreeSet<SchemaId> =
            self.known.lineage(until).iter().map(|it| it.schema).collect();
        let firsts = self.firsts();
        let asked: BTreeSet<u64> =
            firsts.iter().filter(|(it, _)| lineage.contains(it)).map(|(_, k)| *k).collect();
        let mut groups: BTreeMap<Vec<Digest>, Vec<Record>> = BTreeMap::new();
        for key in self.keys() {
            if let Some((raw, from)) = self.newest_of(&key, |k| asked.contains(&k))
                && !raw.deleted
            {
                let (_, forward) = self.path(from, until);
                groups.entry(forward).or_default().push(raw.record.clone());
            }
        }
        groups.into_iter().collect()
    }

    /// The keys of all records that the app has in the ledger.
    pub(super) fn keys(&self) -> BTreeSet<RecordKey> {
        let first = (self.app, SchemaId::from_bytes([0; 32]), RecordKey(Vec::new()));
        let raw = self.records.range(first..).take_while(|((it, _, _), _)| *it == self.app);
        raw.map(|((_, _, key), _)| key.clone()).collect()
    }
}

fn heights(lineage: &[&ActiveVersion]) -> Vec<u64> {
    lineage.iter().map(|it| it.k).collect()
}
