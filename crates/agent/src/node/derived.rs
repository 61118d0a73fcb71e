//! The derived records of one app, by key and by the record that each was derived from.

use std::collections::{BTreeMap, BTreeSet};

use aura_protocol_core::{Record, RecordKey};

/// Records in the layout that runs here.
#[derive(Debug, Default)]
pub(super) struct Derived {
    records: BTreeMap<RecordKey, Record>,
    /// Origin → keys of what it became.
    by_origin: BTreeMap<RecordKey, BTreeSet<RecordKey>>,
}

/// What a change of some origins came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Replaced {
    /// These records were put, and those keys deleted.
    Changed(Vec<Record>, Vec<RecordKey>),
    /// A record would take the place of another origin's: which of the two stays cannot be told from
    /// these origins alone.
    Overlap,
}

impl Derived {
    pub(super) fn of(records: impl IntoIterator<Item = Record>) -> Self {
        let mut derived = Self::default();
        for record in latest(records).into_values() {
            derived.insert(record);
        }
        derived
    }

    pub(super) const fn records(&self) -> &BTreeMap<RecordKey, Record> {
        &self.records
    }

    /// The records that were derived from the one of this key.
    pub(super) fn of_origin<'a>(
        &'a self,
        origin: &RecordKey,
    ) -> impl Iterator<Item = &'a Record> + use<'a> {
        let keys = self.by_origin.get(origin).into_iter().flatten();
        keys.filter_map(|key| self.records.get(key))
    }

    /// The keys of all records that something was derived from.
    pub(super) fn origins(&self) -> impl Iterator<Item = &RecordKey> {
        self.by_origin.keys()
    }

    /// Replaces all that was derived from `origins` by `records`. Nothing has changed on an overlap.
    pub(super) fn replace(
        &mut self,
        origins: &BTreeSet<RecordKey>,
        records: Vec<Record>,
    ) -> Replaced {
        let mut fresh: BTreeMap<RecordKey, Record> = BTreeMap::new();
        for record in records {
            let held = self.records.get(&record.key);
            let foreign = held.is_some_and(|it| !origins.contains(&it.origin));
            if foreign || fresh.insert(record.key.clone(), record).is_some() {
                return Replaced::Overlap;
            }
        }
        let mut deleted = Vec::new();
        for origin in origins {
            for key in self.by_origin.remove(origin).into_iter().flatten() {
                if !fresh.contains_key(&key) {
                    self.records.remove(&key);
                    deleted.push(key);
                }
            }
        }
        let mut put = Vec::new();
        for record in fresh.into_values() {
            if self.insert(record.clone()) {
                put.push(record);
            }
        }
        Replaced::Changed(put, deleted)
    }

    /// Says whether that changed anything.
    fn insert(&mut self, record: Record) -> bool {
        let (key, origin) = (record.key.clone(), record.origin.clone());
        self.by_origin.entry(origin).or_default().insert(key.clone());
        if self.records.get(&key) == Some(&record) {
            return false;
        }
        self.records.insert(key, record);
        true
    }
}

/// The latest write of each key.
pub(crate) fn latest(records: impl IntoIterator<Item = Record>) -> BTreeMap<RecordKey, Record> {
    let mut latest: BTreeMap<RecordKey, Record> = BTreeMap::new();
    for record in records {
        let held = latest.get(&record.key);
        if held.is_none_or(|it| it.tag < record.tag) {
            latest.insert(record.key.clone(), record);
        }
    }
    latest
}

#[cfg(test)]
mod tests {
    use aura_protocol_core::{AppId, Digest, Lamport, SchemaId, record::Tag};

    use super::*;

    fn record(origin: &str, key: &str, lamport: u64) -> Record {
        Record {
            app: AppId::from_bytes([1; 32]),
            schema: SchemaId::from_bytes([2; 32]),
            key: RecordKey(key.into()),
            tag: Tag { lamport: Lamport(lamport), unit: Digest::ZERO },
            origin: RecordKey(origin.into()),
            bytes: vec![lamport as u8],
        }
    }

    fn origins(names: &[&str]) -> BTreeSet<RecordKey> {
        names.iter().map(|it| RecordKey((*it).into())).collect()
    }

    #[test]
    fn a_write_replaces_all_that_came_of_the_one_before() {
        let mut derived = Derived::of([record("a", "a1", 1), record("a", "a2", 1)]);
        let changed = derived.replace(&origins(&["a"]), vec![record("a", "a2", 0)]);
        let deleted = vec![RecordKey("a1".into())];
        assert_eq!(changed, Replaced::Changed(vec![record("a", "a2", 0)], deleted));
        assert_eq!(derived.of_origin(&RecordKey("a".into())).count(), 1);
        let again = derived.replace(&origins(&["a"]), vec![record("a", "a2", 0)]);
        assert_eq!(again, Replaced::Changed(vec![], vec![]));
        let gone = derived.replace(&origins(&["a"]), vec![]);
        assert_eq!(gone, Replaced::Changed(vec![], vec![RecordKey("a2".into())]));
        assert_eq!((derived.records().len(), derived.origins().count()), (0, 0));
    }

    #[test]
    fn nobody_elses_record_is_overwritten() {
        let mut derived = Derived::of([record("a", "x", 1)]);
        let overlap = derived.replace(&origins(&["b"]), vec![record("b", "x", 9)]);
        assert_eq!(overlap, Replaced::Overlap);
        assert_eq!(derived.records().values().next(), Some(&record("a", "x", 1)));
    }
}
