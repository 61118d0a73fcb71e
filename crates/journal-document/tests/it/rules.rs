//! Units that the fold ignores write nothing into the document either; where the two differ, this says
//! how.

use aura_journal::{Event, Ledger, event::DeviceMetadata};
use aura_journal_document::{Document, DocumentError};
use aura_protocol_core::Manifest;
use serde_json::json;

use crate::{reading, support::*};

/// Lets a device write an event, and says how many changes that makes.
fn changes(
    ledger: &mut Ledger,
    device: &Device,
    session: Option<aura_protocol_core::SessionId>,
    event: Event,
) -> usize {
    let mut document = Document::of(ledger).unwrap();
    ledger.author(device.id, &device.key, session, event).unwrap();
    document.update(ledger).unwrap().changes
}

#[test]
fn what_breaks_a_rule_of_its_kind_writes_nothing() {
    let (devices, chain) = account(3);
    let mut ledger = Ledger::new(chain);
    let (one, two) = (&devices[0], &devices[1]);
    let (session, _) = open_session(&mut ledger, one, &devices[..2]);
    let other = DeviceMetadata {
        name: "other".to_owned(),
        addresses: Vec::new(),
        manifest: Manifest::empty(two.id),
    };
    let twice = close(&[("a", Some("1")), ("a", Some("2"))]);
    let ignored = [
        (one, None, Event::PublishManifest(other)),
        (one, None, open(&devices)),
        (one, Some(session), open(&devices[1..])),
        (&devices[2], Some(session), message("not a participant")),
        (two, Some(session), close(&[("a", Some("1"))])),
        (one, Some(session), twice),
        (one, None, close(&[])),
        (one, None, tick(1)),
        (one, None, ready(aura_protocol_core::Digest::ZERO)),
        (two, Some(session), open_child(session, 1, Some(&devices[..2]))),
    ];
    for (device, session, event) in ignored {
        let what = format!("{event:?}");
        assert_eq!(changes(&mut ledger, device, session, event), 0, "{what}");
    }
    let state = ledger.state();
    assert!(state.records.is_empty() && state.metadata.is_empty() && state.sessions.len() == 1);
    // And after the first end there is no second one.
    assert_eq!(changes(&mut ledger, one, Some(session), close(&[("a", Some("1"))])), 1);
    assert_eq!(changes(&mut ledger, one, Some(session), abort()), 0);
    assert_eq!(changes(&mut ledger, two, Some(session), message("afterwards")), 1);
}

/// A unit without a change passes on what it rests on: what comes after is still after it.
#[test]
fn order_goes_through_units_that_write_nothing() {
    let (devices, chain) = account(2);
    let mut ledger = Ledger::new(chain);
    write(&mut ledger, &devices[0], metadata(&devices[0], "before"));
    for _ in 0..3 {
        write(&mut ledger, &devices[1], tick(9));
        write(&mut ledger, &devices[0], tick(9));
    }
    write(&mut ledger, &devices[1], metadata(&devices[1], "after"));
    let last = ledger.heads();
    let height = ledger.unit(&last[0]).unwrap().body.lamport.0;
    assert_eq!((last.len(), height), (1, 8));
    let document = Document::of(&ledger).unwrap();
    let doc = reading::open(&document.save().unwrap());
    let all = doc.get_changes(&[]);
    // Op counters say which height a change is of; a first manifest has four ops.
    let is_at = |it: &&automerge::Change, height: u64| it.start_op().get() == 640 * height;
    let at = |height: u64| all.iter().find(|it| it.len() == 4 && is_at(it, height)).unwrap();
    assert_eq!(at(8).deps(), [at(1).hash()]);
    let shown = document.to_json();
    let names = devices.iter().map(|it| shown["devices"][it.id.to_string()]["name"].clone());
    assert_eq!(names.collect::<Vec<_>>(), ["before", "after"]);
    // The reconfiguration and the last unit are what no other rests on.
    assert_eq!(document.heads().len(), 2);
}

/// The fold counts the words of those who are in the roster; the document shows everybody's.
#[test]
fn words_of_a_device_that_left_stay() {
    let (devices, chain) = account(3);
    let mut ledger = Ledger::new(chain);
    let proposal = write(&mut ledger, &devices[0], propose());
    write(&mut ledger, &devices[2], ready(proposal));
    let kept = aura_journal::control::Configuration::with_defaults(
        devices[..2].iter().map(|it| it.entry.clone()),
    );
    let body = aura_journal::control::EntryBody::Reconfigure(Box::new(kept));
    let entry = certify(ledger.chain(), &devices, ledger.heads(), body);
    ledger.import_entry(entry).unwrap();
    assert!(ledger.state().proposals[&proposal].ready.is_empty());
    let shown = Document::of(&ledger).unwrap().to_json();
    let left = devices[2].id.to_string();
    assert!(shown["proposals"][proposal.to_string()]["ready"].get(&left).is_some());
    assert_eq!(shown["roster"].get(&left), None);
}

#[test]
fn another_accounts_ledger_is_refused() {
    let ledger = Ledger::new(alone(&device(1), "ours"));
    let other = Ledger::new(alone(&device(2), "theirs"));
    let mut document = Document::of(&ledger).unwrap();
    let before = document.heads();
    let error = document.update(&other).unwrap_err();
    assert!(matches!(error, DocumentError::Account { .. }));
    assert_eq!((error.code(), document.heads()), ("DocumentAccount", before));
}

#[test]
fn a_part_of_a_session_is_shown_as_one() {
    let (devices, chain) = account(2);
    let mut ledger = Ledger::new(chain);
    let (session, _) = open_session(&mut ledger, &devices[0], &devices);
    for (part, participants) in [(1, Some(&devices[..])), (2, None)] {
        let id = aura_journal::child_session_id(session, part);
        write_in(&mut ledger, &devices[0], id, open_child(session, part, participants));
    }
    let shown = Document::of(&ledger).unwrap().to_json();
    let of = |part| {
        let id = aura_journal::child_session_id(session, part).to_string();
        let it = &shown["sessions"][id];
        json!([it["status"], it["part_of"], it["part"], it.get("reason")])
    };
    assert_eq!(of(1), json!(["open", session.to_string(), 1, null]));
    assert_eq!(of(2), json!(["refused", session.to_string(), 2, "no"]));
}
