//! Moving an app's records through a lens, one by one (`05-upgrades`, section 8).

use std::collections::BTreeMap;

use aura_protocol_core::{
    Digest, Record, RecordKey,
    migration::{Migrated, Migrator, MigratorError, RecordBody},
    record::records_root,
};
use thiserror::Error;

/// A record that the lens could not read. It is kept as it was.
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
    /// The records that were set aside.
    pub quarantined: Vec<Quarantined>,
    /// The root over `records`.
    pub root: Digest,
    /// The hash of all migrated bytes with their keys and origins: what a receipt is made of.
    pub bytes: Digest,
}

/// Why records cannot be migrated at all.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MigrationError {
    /// The lens itself failed.
    #[error("record `{key}`: {source}")]
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
        /// One record.
        first: RecordKey,
        /// The other.
        second: RecordKey,
    },
    /// A record would outgrow the limits.
    #[error("record `{key}` would become larger than a record may be")]
    TooLarge {
        /// The record that was migrated.
        key: RecordKey,
    },
}

/// Takes `records` of one layout through `lens` (INV-D4). A pure function of both.
///
/// # Errors
/// [`MigrationError`]; an unreadable record is not an error but set aside.
pub fn migrate<'a>(
    lens: &dyn Migrator,
    records: impl IntoIterator<Item = &'a Record>,
) -> Result<MigrationRun, MigrationError> {
    let mut migrated: BTreeMap<RecordKey, Record> = BTreeMap::new();
    let mut quarantined = Vec::new();
    for record in records {
        match forward(lens, record)? {
            Ok(derived) => {
                for new in derived {
                    insert(&mut migrated, new)?;
                }
            }
            Err(reason) => quarantined.push(Quarantined { record: record.clone(), reason }),
        }
    }
    let root = records_root(migrated.values());
    let bytes = migrated_bytes(&migrated, &quarantined);
    Ok(MigrationRun { records: migrated, quarantined, root, bytes })
}

fn forward(
    lens: &dyn Migrator,
    record: &Record,
) -> Result<Result<Vec<Record>, String>, MigrationError> {
    let body =
        RecordBody { schema: record.schema, key: record.key.clone(), bytes: record.bytes.clone() };
    let migrated = lens
        .forward(&body)
        .map_err(|source| MigrationError::Lens { key: record.key.clone(), source })?;
    let bodies = match migrated {
        Migrated::Quarantine { reason } => return Ok(Err(reason)),
        Migrated::Records(bodies) => bodies,
    };
    let derived: Vec<Record> = bodies.into_iter().map(|body| derive(record, body)).collect();
    if derived.iter().all(Record::is_within_limits) {
        Ok(Ok(derived))
    } else {
        Err(MigrationError::TooLarge { key: record.key.clone() })
    }
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

fn insert(migrated: &mut BTreeMap<RecordKey, Record>, new: Record) -> Result<(), MigrationError> {
    let (key, second) = (new.key.clone(), new.origin.clone());
    match migrated.insert(key.clone(), new) {
        None => Ok(()),
        Some(old) => Err(MigrationError::Collision { key, first: old.origin, second }),
    }
}

fn migrated_bytes(records: &BTreeMap<RecordKey, Record>, quarantined: &[Quarantined]) -> Digest {
    let aside: Vec<&Record> = quarantined.iter().map(|it| &it.record).collect();
    let records: Vec<&Record> = records.values().collect();
    let bytes = aura_protocol_core::encode(&(records, aside));
    Digest::tagged("aura migrated bytes v1", &[&bytes])
}
