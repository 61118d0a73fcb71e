//! Writes at the same time, and units that come late.

use aura_journal::Ledger;
use aura_journal_document::Document;
use aura_protocol_core::Digest;

use crate::{
    reading::{self, Seen},
    support::*,
};

/// The key of the record `shared` in the document.
fn key() -> String {
    format!("{}/{}/shared", app(), schema())
}

fn shared(document: &Document) -> Vec<Seen> {
    let doc = reading::open(&document.save().unwrap());
    reading::records(&doc).remove(&key()).unwrap_or_default()
}

fn text(text: &str) -> Seen {
    Seen::Text(text.to_owned())
}

/// A device opens a session, and closes it with a write of the record `shared`.
fn put(ledger: &mut Ledger, device: &Device, devices: &[Device], value: Option<&str>) -> Digest {
    let (session, _) = open_session(ledger, device, devices);
    write_in(ledger, device, session, close(&[("shared", value)]))
}

/// Three devices of which each has the account and nothing else.
fn three() -> (Vec<Device>, Vec<Ledger>) {
    let (devices, chain) = account(3);
    let ledgers = devices.iter().map(|_| Ledger::new(chain.clone())).collect();
    (devices, ledgers)
}

fn certify_all(ledger: &mut Ledger, devices: &[Device]) {
    let entry = certify(ledger.chain(), devices, ledger.heads(), install());
    ledger.import_entry(entry).unwrap();
}

/// What the fold says of the record.
fn folded(ledger: &Ledger) -> Option<String> {
    let record = ledger.state().records.values().next().filter(|it| !it.deleted)?;
    Some(String::from_utf8(record.record.bytes.clone()).unwrap())
}

#[test]
fn a_write_replaces_what_its_device_had_seen() {
    let (devices, mut ledgers) = three();
    let ledger = &mut ledgers[0];
    put(ledger, &devices[0], &devices, Some("one"));
    put(ledger, &devices[1], &devices, Some("two"));
    assert_eq!(shared(&Document::of(ledger).unwrap()), [text("two")]);
    put(ledger, &devices[2], &devices, None);
    assert_eq!(shared(&Document::of(ledger).unwrap()), []);
}

#[test]
fn writes_at_the_same_time_stand_side_by_side_until_an_entry_settles_them() {
    let (devices, mut ledgers) = three();
    put(&mut ledgers[0], &devices[0], &devices, Some("one"));
    put(&mut ledgers[1], &devices[1], &devices, Some("two"));
    let [first, second, ..] = &mut ledgers[..] else { panic!() };
    sync(second, first);
    let mut document = Document::of(first).unwrap();
    let both = shared(&document);
    assert_eq!(both.len(), 2);
    assert!(both.contains(&text("one")) && both.contains(&text("two")));
    let shown = document.to_json();
    let records = &shown["apps"][app().to_string()];
    assert_eq!(records["conflicts"][schema().to_string()]["shared"].as_array().unwrap().len(), 1);
    certify_all(first, &devices);
    let _update = document.update(first).unwrap();
    assert_eq!(shared(&document), [text(&folded(first).unwrap())]);
    // A write after that is alone again.
    put(first, &devices[2], &devices, Some("three"));
    let _update = document.update(first).unwrap();
    assert_eq!(shared(&document), [text("three")]);
}

#[test]
fn a_late_write_stands_beside_what_was_closed_and_counts_from_the_next_entry_on() {
    let (devices, mut ledgers) = three();
    // The second device writes early, and nobody hears of it.
    put(&mut ledgers[1], &devices[1], &devices, Some("late"));
    let [first, second, ..] = &mut ledgers[..] else { panic!() };
    for value in ["a", "b", "closed"] {
        put(first, &devices[0], &devices, Some(value));
    }
    certify_all(first, &devices);
    let mut document = Document::of(first).unwrap();
    assert_eq!(shared(&document), [text("closed")]);
    for entry in first.chain().entries() {
        second.import_entry(entry.clone()).unwrap();
    }
    let late: Vec<Vec<u8>> = second.missing_for(&first.frontier()).map(<[u8]>::to_vec).collect();
    for unit in late {
        let _outcome = first.import(PEER, &unit).unwrap();
    }
    let _update = document.update(first).unwrap();
    // Automerge shows the higher write; the fold already counts the late one, which comes after all
    // that was closed.
    assert_eq!(shared(&document), [text("late"), text("closed")]);
    assert_eq!(folded(first).unwrap(), "late");
    certify_all(first, &devices);
    let _update = document.update(first).unwrap();
    assert_eq!(shared(&document), [text("late")]);
}

#[test]
fn a_late_deletion_takes_away_what_it_lost_to_at_the_next_entry() {
    let (devices, mut ledgers) = three();
    put(&mut ledgers[0], &devices[0], &devices, Some("first"));
    let [first, second, ..] = &mut ledgers[..] else { panic!() };
    sync(first, second);
    put(second, &devices[1], &devices, None);
    put(first, &devices[0], &devices, Some("closed"));
    certify_all(first, &devices);
    sync(second, first);
    let mut document = Document::of(first).unwrap();
    assert_eq!(shared(&document), [text("closed")]);
    certify_all(first, &devices);
    let _update = document.update(first).unwrap();
    assert_eq!((shared(&document), folded(first)), (vec![], None));
}

#[test]
fn entries_over_different_pasts_settle_between_them() {
    let (devices, mut ledgers) = three();
    let (_, mut chain) = account(3);
    // Each of two devices writes, and has that closed alone.
    for (nth, value) in ["one", "two"].into_iter().enumerate() {
        put(&mut ledgers[nth], &devices[nth], &devices, Some(value));
        let entry = certify(&chain, &devices, ledgers[nth].heads(), install());
        chain.append(entry).unwrap();
    }
    for ledger in &mut ledgers {
        for entry in chain.entries() {
            ledger.import_entry(entry.clone()).unwrap();
        }
    }
    let [first, second, ..] = &mut ledgers[..] else { panic!() };
    sync(second, first);
    let document = Document::of(first).unwrap();
    assert_eq!((shared(&document), folded(first)), (vec![text("two")], Some("two".to_owned())));
}

#[test]
fn an_entry_waits_for_what_it_closes_over() {
    let (devices, mut ledgers) = three();
    let [first, second, ..] = &mut ledgers[..] else { panic!() };
    put(first, &devices[0], &devices, Some("one"));
    certify_all(first, &devices);
    for entry in first.chain().entries() {
        second.import_entry(entry.clone()).unwrap();
    }
    let mut document = Document::new(second.account());
    let update = document.update(second).unwrap();
    assert_eq!((update.units, update.waiting), (0, 1));
    assert!(document.to_json()["apps"].as_object().unwrap().is_empty());
    // Units do not wait for entries.
    put(second, &devices[1], &devices, Some("two"));
    let update = document.update(second).unwrap();
    assert_eq!((update.units, update.changes, update.waiting), (2, 2, 1));
    sync(first, second);
    let update = document.update(second).unwrap();
    assert_eq!((update.units, update.changes, update.waiting), (2, 3, 0));
    assert_eq!(document.to_json()["apps"][app().to_string()]["version"], "1.0.0");
}
