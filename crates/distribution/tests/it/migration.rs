//! Records on their way through a lens (INV-D4).

use std::collections::BTreeMap;

use aura_distribution::{MigrationError, MigrationRun, migrate};
use aura_protocol_core::{
    AppId, Digest, Lamport, Record, RecordKey, SchemaId, Tag,
    limits::{RECORD_BYTES_MAX, RECORD_KEY_BYTES_MAX},
    migration::{Migrated, Migrator, MigratorError, RecordBody},
    record::records_root,
};
use proptest::prelude::*;

/// A lens that does what the record says: `copy`, `split`, `drop`, `bad`, `break`, `grow`, `long`,
/// `twice`, or `to KEY`.
struct Told;

impl Migrator for Told {
    fn forward(&self, record: &RecordBody) -> Result<Migrated, MigratorError> {
        assert_eq!(record.schema, old_schema());
        let text = String::from_utf8(record.bytes.clone()).unwrap();
        let to = |key: &str, bytes: Vec<u8>| {
            let key = RecordKey::from(key);
            RecordBody { schema: new_schema(), key, bytes }
        };
        let key = record.key.to_string();
        let records = match text.split_once(' ').unwrap_or((&text, "")) {
            ("to", other) => vec![to(other, record.bytes.clone())],
            ("split", _) => {
                vec![to(&format!("{key}/1"), vec![1]), to(&format!("{key}/2"), vec![2])]
            }
            ("drop", _) => Vec::new(),
            ("bad", reason) => return Ok(Migrated::Quarantine { reason: reason.into() }),
            ("break", _) => return Err(MigratorError { reason: "out of fuel".into() }),
            ("grow", _) => vec![to(&key, vec![0; RECORD_BYTES_MAX])],
            ("long", _) => vec![to(&"k".repeat(RECORD_KEY_BYTES_MAX + 1), vec![])],
            ("twice", _) => vec![to(&key, vec![1]), to(&key, vec![2])],
            _ => vec![to(&key, record.bytes.clone())],
        };
        Ok(Migrated::Records(records))
    }

    fn backward(
        &self,
        _: &RecordKey,
        _: Option<&[u8]>,
        _: &[RecordBody],
    ) -> Result<RecordBody, MigratorError> {
        Err(MigratorError { reason: "there is no way back".into() })
    }
}

fn old_schema() -> SchemaId {
    SchemaId::of("old")
}

fn new_schema() -> SchemaId {
    SchemaId::of("new")
}

fn record(key: &str, told: &str) -> Record {
    let unit = Digest::of(key.as_bytes());
    Record {
        app: AppId::from_bytes([1; 32]),
        schema: old_schema(),
        key: RecordKey::from(key),
        tag: Tag { lamport: Lamport(key.len() as u64), unit },
        // It has been migrated before, and split.
        origin: RecordKey::from("once"),
        bytes: told.as_bytes().to_vec(),
    }
}

fn run(records: &[(&str, &str)]) -> Result<MigrationRun, MigrationError> {
    let records: Vec<Record> = records.iter().map(|(key, told)| record(key, told)).collect();
    migrate(&Told, &records)
}

fn keys(run: &MigrationRun) -> Vec<String> {
    run.records.keys().map(ToString::to_string).collect()
}

fn aside(run: &MigrationRun) -> Vec<(String, &str)> {
    run.quarantined.iter().map(|it| (it.record.key.to_string(), it.reason.as_str())).collect()
}

/// INV-D4: one unreadable record is kept aside as it was, and the rest goes on.
#[test]
fn a_bad_record_is_set_aside() {
    let run = run(&[("a", "copy"), ("b", "bad not a number"), ("c", "copy")]).unwrap();
    assert_eq!(keys(&run), ["a", "c"]);
    assert_eq!(aside(&run), [("b".to_owned(), "not a number")]);
    assert_eq!(run.quarantined[0].record, record("b", "bad not a number"));
}

/// INV-D4: one that would outgrow the limits, or get one key twice, harms nobody but itself. Whoever
/// can write a record could stop every upgrade otherwise.
#[test]
fn a_record_that_cannot_be_kept_is_set_aside() {
    let run = run(&[("a", "grow"), ("b", "long"), ("c", "twice"), ("d", "copy")]).unwrap();
    assert_eq!(keys(&run), ["d"]);
    let large = "it would become larger than 65536 bytes, or its key larger than 256";
    let expected = [("a", large), ("b", large), ("c", "it would become record `c` twice")];
    assert_eq!(aside(&run), expected.map(|(key, reason)| (key.to_owned(), reason)));
    assert_eq!(run.quarantined[0].record, record("a", "grow"));
}

/// INV-D4: two records that would become one refuse the whole, and both are named, by the keys that
/// they have now.
#[test]
fn a_collision_refuses_the_migration() {
    let error = run(&[("b", "to x"), ("a", "copy"), ("c", "to x")]).unwrap_err();
    let [key, first, second] = ["x", "b", "c"].map(RecordKey::from);
    assert_eq!(error, MigrationError::Collision { key, first, second });
    assert_eq!(error.to_string(), "records `b` and `c` would both become `x`");
    // A part of one and the whole of another.
    let error = run(&[("a", "split"), ("b", "to a/2")]).unwrap_err();
    assert!(matches!(error, MigrationError::Collision { .. }), "{error}");
    // What is set aside takes nobody's place.
    assert!(run(&[("x", "bad"), ("b", "to x")]).is_ok());
}

#[test]
fn a_lens_that_breaks_ends_the_migration() {
    let error = run(&[("a", "copy"), ("b", "break")]).unwrap_err();
    let (key, source) = (RecordKey::from("b"), MigratorError { reason: "out of fuel".into() });
    assert_eq!(error, MigrationError::Lens { key, source });
    assert_eq!(error.to_string(), "the migration broke at record `b`");
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "migration failed: out of fuel");
}

/// INV-D4: whose write it is and where it came from stays, over any number of migrations.
#[test]
fn tags_and_origins_stay() {
    let run = run(&[("abc", "split"), ("d", "drop")]).unwrap();
    assert_eq!(keys(&run), ["abc/1", "abc/2"]);
    let old = record("abc", "split");
    for new in run.records.values() {
        assert_eq!((new.app, new.tag, &new.origin), (old.app, old.tag, &old.origin));
        assert_eq!(new.schema, new_schema());
    }
}

/// What came out, and what did not, shows in what receipts are made of.
#[test]
fn the_hash_of_a_run_covers_all_of_it() {
    let all: Vec<Digest> = [
        &[("a", "copy")][..],
        &[("a", "copy"), ("b", "bad")],
        &[("a", "copy"), ("b", "bad luck")],
        &[("a", "copy"), ("c", "bad")],
        &[("b", "copy")],
        &[],
    ]
    .map(|it| run(it).unwrap().bytes)
    .into();
    let distinct: std::collections::BTreeSet<&Digest> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
    assert_eq!(run(&[]).unwrap().root, records_root([]));
}

fn arb_records() -> impl Strategy<Value = Vec<(String, String)>> {
    let told = prop_oneof![
        6 => Just("copy".to_owned()),
        2 => Just("split".to_owned()),
        2 => Just("bad".to_owned()),
        1 => Just("drop".to_owned()),
        1 => Just("grow".to_owned()),
        1 => Just("twice".to_owned()),
        1 => Just("break".to_owned()),
        1 => "to [a-f]",
    ];
    prop::collection::btree_map("[a-f]{1,2}", told, 0..12)
        .prop_map(|it: BTreeMap<String, String>| it.into_iter().collect())
}

proptest! {
    /// INV-D4: the order in which records come in does not show: not in the root, not in what
    /// receipts are made of, and not in a refusal.
    #[test]
    fn the_order_of_records_does_not_show(
        (sorted, shuffled) in arb_records()
            .prop_flat_map(|it| (Just(it.clone()), Just(it).prop_shuffle()))
    ) {
        let run = |records: &[(String, String)]| {
            let records: Vec<Record> = records.iter().map(|(key, it)| record(key, it)).collect();
            migrate(&Told, &records)
        };
        prop_assert_eq!(run(&sorted), run(&shuffled));
    }

    /// INV-D4: no record is lost without a word: each is carried over or set aside, unless the lens
    /// itself gives it up.
    #[test]
    fn every_record_is_accounted_for(records in arb_records()) {
        let records: Vec<Record> = records.iter().map(|(key, it)| record(key, it)).collect();
        if let Ok(run) = migrate(&Told, &records) {
            prop_assert_eq!(run.root, records_root(run.records.values()));
            for old in records {
                let carried = run.records.values().any(|it| it.tag == old.tag);
                let aside = run.quarantined.iter().any(|it| it.record == old);
                let given_up = old.bytes == b"drop";
                prop_assert_eq!(carried, !aside && !given_up, "{}", old.key);
            }
        }
    }
}
