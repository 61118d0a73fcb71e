//! Moving an app's records through a lens, one by one (`05-upgrades`, section 8).

use std::collections::{BTreeMap, BTreeSet};

use aura_protocol_core::{
    Digest, Record, RecordKey, encode,
    limits::{RECORD_BYTES_MAX, RECORD_KEY_BYTES_MAX},
    migration::{Migrated, Migrator, MigratorError, RecordBody},
    record::records_root,
};
use thiserror::Error;

/// A record that the migration does not carry over. It is kept as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// The record.
    pub record: Record,
    /// Why, for people.
    pub reason: String,
}

/// What became of some records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationRun {
    /// The records of the new layout, in key order.
    pub records: BTreeMap<RecordKey, Record>,
    /// The records that were set aside, in key order.
    pub quarantined: Vec<Quarantined>,
    /// The root over `records`.
    pub root: Digest,
    /// The hash of all that came out, with tags and origins: what a receipt is made of.
    pub bytes: Digest,
}

/// Why records cannot be migrated at all.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MigrationError {
    /// The lens itself failed.
    #[error("the migration broke at record `{key}`")]
    Lens {
        /// The record at which it failed.
        key: RecordKey,
        /// What it reported.
        source: MigratorError,
    },
    /// Two records would become one: the plan is refused, since one of them would be lost.
    #[error("records `{first}` and `{second}` would both become `{key}`")]
    Collision {
        /// The key that both would have.
        key: RecordKey,
        /// One record, by its key before the migration.
        first: RecordKey,
        /// The other.
        second: RecordKey,
    },
}

/// Takes `records` of one layout through `lens` (INV-D4). A pure function of both: the order in which
/// the records come in does not show, in a refusal neither.
///
/// What is wrong with one record alone sets that one aside. Otherwise whoever can write a record could
/// stop every upgrade.
///
/// # Errors
/// [`MigrationError`]; an unreadable record is not an error but set aside.
pub fn migrate<'a>(
    lens: &dyn Migrator,
    records: impl IntoIterator<Item = &'a Record>,
) -> Result<MigrationRun, MigrationError> {
    let mut records: Vec<&Record> = records.into_iter().collect();
    records.sort_by(|a, b| (&a.key, &a.schema, &a.tag).cmp(&(&b.key, &b.schema, &b.tag)));
    let mut migrated: BTreeMap<RecordKey, Record> = BTreeMap::new();
    let mut sources: BTreeMap<RecordKey, &RecordKey> = BTreeMap::new();
    let mut quarantined = Vec::new();
    for record in records {
        let derived = match forward(lens, record)? {
            Derived::Records(derived) => derived,
            Derived::Aside(reason) => {
                quarantined.push(Quarantined { record: record.clone(), reason });
                continue;
            }
        };
        for new in derived {
            let key = new.key.clone();
            if let Some(first) = sources.insert(key.clone(), &record.key) {
                let (first, second) = (first.clone(), record.key.clone());
                return Err(MigrationError::Collision { key, first, second });
            }
            migrated.insert(key, new);
        }
    }
    let root = records_root(migrated.values());
    let bytes = migrated_bytes(&migrated, &quarantined);
    Ok(MigrationRun { records: migrated, quarantined, root, bytes })
}

/// What one record becomes.
enum Derived {
    Records(Vec<Record>),
    Aside(String),
}

fn forward(lens: &dyn Migrator, record: &Record) -> Result<Derived, MigrationError> {
    let body =
        RecordBody { schema: record.schema, key: record.key.clone(), bytes: record.bytes.clone() };
    let migrated = lens
        .forward(&body)
        .map_err(|source| MigrationError::Lens { key: record.key.clone(), source })?;
    let bodies = match migrated {
        Migrated::Quarantine { reason } => return Ok(Derived::Aside(reason)),
        Migrated::Records(bodies) => bodies,
    };
    let derived: Vec<Record> = bodies.into_iter().map(|body| derive(record, body)).collect();
    Ok(match fault_of(&derived) {
        Some(reason) => Derived::Aside(reason),
        None => Derived::Records(derived),
    })
}

/// Why the records that one record would become cannot be kept.
fn fault_of(derived: &[Record]) -> Option<String> {
    if derived.iter().any(|it| !it.is_within_limits()) {
        return Some(format!(
            "it would become larger than {RECORD_BYTES_MAX} bytes, or its key larger than \
             {RECORD_KEY_BYTES_MAX}"
        ));
    }
    let mut keys = BTreeSet::new();
    let twice = derived.iter().find(|it| !keys.insert(&it.key))?;
    Some(format!("it would become record `{}` twice", twice.key))
}

/// The tag and the origin stay those of the write that people made.
fn derive(from: &Record, body: RecordBody) -> Record {
    Record {
        app: from.app,
        schema: body.schema,
        key: body.key,
        tag: from.tag,
        origin: from.origin.clone(),
        bytes: body.bytes,
    }
}

fn migrated_bytes(records: &BTreeMap<RecordKey, Record>, quarantined: &[Quarantined]) -> Digest {
    let aside: Vec<&Record> = quarantined.iter().map(|it| &it.record).collect();
    let records: Vec<&Record> = records.values().collect();
    let bytes = encode(&(records, aside));
    Digest::tagged("aura migrated bytes v1", &[&bytes])
}
