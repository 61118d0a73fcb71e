//! Taking a version back: who votes for it, and what becomes of records (INV-D7, INV-D8).

use aura_distribution::{consent::revert_of, take_back};
use aura_journal::control::{EntryBody, RevertVersion};
use aura_protocol_core::{
    AppId, Digest, Lamport, Record, RecordKey, SchemaId, Tag,
    migration::{Migrated, Migrator, MigratorError, RecordBody},
};

use crate::{
    account::{Account, QUORUM},
    publisher::{Publisher, migration_to, release, version},
};

/// An account that went from 1.0.0 to 2.0.0, which a migration led to that may have a way back.
fn upgraded(reversible: bool) -> (Account, AppId) {
    let mut publisher = Publisher::of("1.0.0");
    let mut next = release("2.0.0");
    let mut migration = migration_to(version("2.0.0"));
    if let aura_protocol_core::descriptor::ModuleRole::Migration(offer) =
        &mut migration.descriptor.role
    {
        offer.reversible = reversible;
    }
    next.migration = Some(migration);
    publisher.publish(next);
    let mut account = Account::with(&publisher, "1.0.0", ">=1");
    let proposal = account.propose(&publisher, "2.0.0", |_| {});
    account.rehearse(proposal);
    account.ready(proposal, 0..QUORUM);
    let entry = account.activation(proposal);
    account.decide_over(entry.past, entry.body);
    (account, publisher.app())
}

fn refusal(account: &Account, app: AppId) -> String {
    revert_of(&account.ledger.state().apps[&app]).unwrap_err().code
}

/// INV-D7: a device votes for it where its person wants it, and for nothing else of the kind.
#[test]
fn a_version_is_taken_back_by_people() {
    let (mut account, app) = upgraded(true);
    let revert = revert_of(&account.ledger.state().apps[&app]).unwrap();
    let check = |account: &Account, change: fn(&mut RevertVersion), expect: &str| {
        let mut changed = revert;
        change(&mut changed);
        account.check_body(EntryBody::RevertVersion(changed), expect);
    };
    check(&account, |_| {}, "NotWanted");
    account.unwanted_activations.insert((app, revert.activation));
    check(&account, |_| {}, "accept");
    check(&account, |it| it.version = version("1.1.0"), "RevertMismatch");
    check(&account, |it| it.digest = Digest::ZERO, "RevertMismatch");
    check(&account, |it| it.activation += 1, "RevertMismatch");
    check(&account, |it| it.app = AppId::from_bytes([9; 32]), "NotInstalled");
    account.decide(EntryBody::RevertVersion(revert));
    assert_eq!(account.ledger.state().apps[&app].active.version, version("1.0.0"));
    check(&account, |_| {}, "NothingToRevert");
    assert_eq!(refusal(&account, app), "NothingToRevert");
}

/// INV-D7: where there is no way back nobody votes for going it.
#[test]
fn a_migration_without_a_way_back_is_not_taken_back() {
    let (account, app) = upgraded(false);
    assert_eq!(refusal(&account, app), "NotReversible");
}

/// Splits `k` into `k/1` and `k/2`, each with a half; backward joins what there is. Texts that begin with
/// `!` have no way back.
struct Halves;

impl Migrator for Halves {
    fn forward(&self, record: &RecordBody) -> Result<Migrated, MigratorError> {
        let (one, two) = record.bytes.split_at(record.bytes.len() / 2);
        let half = |nth: u8, bytes: &[u8]| RecordBody {
            schema: new(),
            key: RecordKey::from(format!("{}/{nth}", record.key).as_str()),
            bytes: bytes.to_vec(),
        };
        Ok(Migrated::Records(vec![half(1, one), half(2, two)]))
    }

    fn backward(
        &self,
        origin: &RecordKey,
        original: Option<&[u8]>,
        current: &[RecordBody],
    ) -> Result<RecordBody, MigratorError> {
        if current.iter().any(|it| it.bytes.starts_with(b"!")) {
            return Err(MigratorError { reason: "no way back".into() });
        }
        let mut bytes: Vec<u8> = current.iter().flat_map(|it| it.bytes.clone()).collect();
        bytes.push(if original.is_some() { b'+' } else { b'-' });
        Ok(RecordBody { schema: old(), key: origin.clone(), bytes })
    }
}

fn old() -> SchemaId {
    SchemaId::of("old")
}

fn new() -> SchemaId {
    SchemaId::of("new")
}

fn record(schema: SchemaId, key: &str, text: &str, lamport: u64) -> Record {
    Record {
        app: AppId::from_bytes([1; 32]),
        schema,
        key: RecordKey::from(key),
        tag: Tag { lamport: Lamport(lamport), unit: Digest::of(text.as_bytes()) },
        origin: RecordKey::from(key),
        bytes: text.as_bytes().to_vec(),
    }
}

/// INV-D8: what a record became goes back together, with what was written since and what was not; what
/// came new goes back alone; what has no way back is set aside, and the rest goes on.
#[test]
fn what_was_written_since_goes_back_with_what_it_came_from() {
    let prior = [record(old(), "a", "abcd", 1), record(old(), "b", "efgh", 2)];
    let later = [
        record(new(), "a/2", "CD", 5),
        record(new(), "fresh", "new", 6),
        record(new(), "other", "!bad", 7),
    ];
    let run = take_back(&Halves, &prior, later.clone()).unwrap();
    let shown: Vec<(String, String)> = run
        .records
        .values()
        .map(|it| (it.key.to_string(), String::from_utf8(it.bytes.clone()).unwrap()))
        .collect();
    let expected = [("a", "abCD+"), ("fresh", "new-")];
    assert_eq!(shown, expected.map(|(key, text)| (key.to_owned(), text.to_owned())));
    let a = &run.records[&RecordKey::from("a")];
    assert_eq!((a.tag, a.schema), (later[0].tag, old()));
    let aside: Vec<_> = run.quarantined.iter().map(|it| it.record.clone()).collect();
    assert_eq!(aside, [later[2].clone()]);
    // In another order it is the same.
    let mut turned = later;
    turned.reverse();
    assert_eq!(take_back(&Halves, prior.iter().rev(), turned).unwrap(), run);
}
