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

/// Takes records that were written in the new layout back to the old one (INV-D8). `prior` are the records
/// of the old layout: where a record came from one of them, what that one became goes back together,
/// with what was written since. Nothing that was written is lost where the lens keeps it.
///
/// A record that the lens cannot take back is set aside.
///
/// # Errors
/// [`MigrationError::Lens`] when the lens fails on what it took forward before.
pub fn take_back<'a>(
    lens: &dyn Migrator,
    prior: impl IntoIterator<Item = &'a Record>,
    later: impl IntoIterator<Item = Record>,
) -> Result<MigrationRun, MigrationError> {
    let mut came: BTreeMap<RecordKey, (&Record, BTreeMap<RecordKey, Record>)> = BTreeMap::new();
    let mut source: BTreeMap<RecordKey, RecordKey> = BTreeMap::new();
    for record in prior {
        let Derived::Records(derived) = forward(lens, record)? else { continue };
        source.extend(derived.iter().map(|it| (it.key.clone(), record.key.clone())));
        let derived = derived.into_iter().map(|it| (it.key.clone(), it)).collect();
        came.insert(record.key.clone(), (record, derived));
    }
    let mut groups: BTreeMap<RecordKey, BTreeMap<RecordKey, Record>> = BTreeMap::new();
    for record in later {
        let origin = source.get(&record.key).unwrap_or(&record.key).clone();
        groups.entry(origin).or_default().insert(record.key.clone(), record);
    }
    let mut records = BTreeMap::new();
    let mut quarantined = Vec::new();
    for (origin, written) in groups {
        let (original, mut current) = match came.remove(&origin) {
            Some((original, derived)) => (Some(original), derived),
            None => (None, BTreeMap::new()),
        };
        current.extend(written.clone());
        match backward(lens, &origin, original, &current) {
            Ok(record) => {
                records.insert(record.key.clone(), record);
            }
            Err(reason) => quarantined.extend(
                written.into_values().map(|record| Quarantined { record, reason: reason.clone() }),
            ),
        }
    }
    let root = records_root(records.values());
    let bytes = migrated_bytes(&records, &quarantined);
    Ok(MigrationRun { records, quarantined, root, bytes })
}

/// The record of the old layout that these stand for; the tag is that of the last write among them.
fn backward(
    lens: &dyn Migrator,
    origin: &RecordKey,
    original: Option<&Record>,
    current: &BTreeMap<RecordKey, Record>,
) -> Result<Record, String> {
    let body = |it: &Record| RecordBody {
        schema: it.schema,
        key: it.key.clone(),
        bytes: it.bytes.clone(),
    };
    let bodies: Vec<RecordBody> = current.values().map(body).collect();
    let bytes = original.map(|it| it.bytes.as_slice());
    let body = lens.backward(origin, bytes, &bodies).map_err(|it| it.to_string())?;
    let newest = current.values().max_by_key(|it| it.tag).ok_or("there is none")?;
    let record = Record {
        app: newest.app,
        schema: body.schema,
        key: body.key,
        tag: newest.tag,
        origin: original.map_or_else(|| newest.origin.clone(), |it| it.origin.clone()),
        bytes: body.bytes,
    };
    match fault_of(std::slice::from_ref(&record)) {
        None => Ok(record),
        Some(reason) => Err(reason),
    }
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
