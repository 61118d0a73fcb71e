//! Documents of ledgers that dropped units, of cuts, and of both.

use aura_journal::{
    Ledger, NamedUnit, PeerTag, Stored,
    control::{EntryBody, Revoke},
};
use aura_journal_document::{Document, DocumentError, Extent, Format, write as write_document};
use aura_protocol_core::UnixTime;
use proptest::{prelude::*, sample::Index};

use crate::{
    fold::{close_all, records},
    history::*,
    reading::{self, Seen},
    support::*,
};

/// After all proposals have expired.
const LATER: UnixTime = UnixTime(1 << 40);

/// Histories in which snapshots are common and devices leave.
fn histories() -> impl Strategy<Value = (History, Vec<Index>)> {
    let i = any::<Index>;
    let snapshots = prop::collection::vec((i(), i()), 1..5);
    let cuts = prop::collection::vec((i(), i(), i(), i()), 0..2);
    let order = prop::collection::vec(i(), 0..4);
    (steps(), snapshots, cuts, order).prop_map(|((crowd, mut steps), snapshots, cuts, order)| {
        for (who, at) in snapshots {
            steps.insert(at.index(steps.len()), Step::Snapshot(who));
        }
        for (who, of, last, at) in cuts {
            steps.insert(at.index(steps.len()), Step::Revoke(who, of, last));
        }
        (play(crowd, &steps), order)
    })
}

fn same(one: &Document, other: &Document) {
    assert_eq!(one.to_json(), other.to_json());
    assert_eq!((one.heads(), one.since()), (other.heads(), other.since()));
    assert_eq!(one.save().unwrap(), other.save().unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// INV-DOC7: a replica that drops what it may, at any time, one that keeps everything, and one that
    /// begins with a base write the same document, however the units and entries came; and what an entry
    /// has closed over is shown as the fold has it (INV-DOC3).
    #[test]
    fn whoever_dropped_units_writes_the_same((history, order) in histories()) {
        let mut all = reference(&history);
        let mut ledger = Ledger::new(history.founded.clone());
        let mut document = Document::new(ledger.account());
        let mut entries = history.entries.iter();
        for (nth, unit) in history.units.iter().enumerate() {
            for _ in order.iter().filter(|it| it.index(history.units.len()) == nth) {
                if let Some(entry) = entries.next() {
                    ledger.import_entry(entry.clone()).unwrap();
                }
            }
            let _parked = ledger.import(PeerTag([3; 32]), unit).unwrap();
            let _dropped = ledger.compact(LATER);
            let _update = document.update(&ledger).unwrap();
        }
        for entry in entries {
            ledger.import_entry(entry.clone()).unwrap();
            let _dropped = ledger.compact(LATER);
        }
        let update = document.update(&ledger).unwrap();
        prop_assert_eq!(update.waiting, 0);
        same(&document, &Document::of(&all).unwrap());
        same(&document, &Document::of(&ledger).unwrap());
        let mut fresh = Ledger::new(ledger.chain().clone());
        exchange(&mut fresh, &mut ledger);
        same(&document, &Document::of(&fresh).unwrap());
        for it in [&mut all, &mut ledger] {
            close_all(it);
        }
        let _update = document.update(&ledger).unwrap();
        same(&document, &Document::of(&all).unwrap());
        let shown = document.to_json();
        let app = shown["apps"].get(app().to_string());
        let shown = app.and_then(|it| it.get("records")).cloned();
        prop_assert_eq!(shown.unwrap_or_else(|| serde_json::json!({})), records(all.state()));
        prop_assert_eq!(app.and_then(|it| it.get("conflicts")), None);
    }
}

/// Two ledgers of an account with a snapshot, of which the second has dropped what was before.
fn settled() -> (Vec<Device>, Ledger, Ledger) {
    let (devices, chain) = account(2);
    let mut ledger = Ledger::new(chain);
    ledger.import_entry(certify(ledger.chain(), &devices, Vec::new(), install())).unwrap();
    for (device, name) in devices.iter().zip(["laptop", "phone"]) {
        write(&mut ledger, device, metadata(device, name));
    }
    let (ended, _) = open_session(&mut ledger, &devices[0], &devices);
    write_in(&mut ledger, &devices[0], ended, close(&[("kept", Some("1")), ("over", Some("1"))]));
    let (open, _) = open_session(&mut ledger, &devices[1], &devices);
    write_in(&mut ledger, &devices[0], open, message("before"));
    let proposal = write(&mut ledger, &devices[0], propose());
    write(&mut ledger, &devices[1], ready(proposal));
    let snapshot = ledger.snapshot(&ledger.heads()).unwrap();
    let entry = certify(ledger.chain(), &devices, ledger.heads(), EntryBody::Snapshot(snapshot));
    ledger.import_entry(entry).unwrap();
    for device in &devices {
        write(&mut ledger, device, metadata(device, "renamed"));
    }
    let mut dropped = Ledger::new(ledger.chain().clone());
    exchange(&mut dropped, &mut ledger);
    dropped.compact(LATER).unwrap();
    for it in [&mut ledger, &mut dropped] {
        assert!(it.base().is_some() == (it.len() == 2));
    }
    write_in(&mut ledger, &devices[0], open, message("after"));
    write_in(&mut ledger, &devices[1], open, close(&[("over", Some("2"))]));
    write(&mut ledger, &devices[0], decline(proposal));
    exchange(&mut dropped, &mut ledger);
    (devices, ledger, dropped)
}

/// INV-DOC4 and INV-DOC7: a plain program opens it, and finds what the base and the units since say.
#[test]
fn a_plain_program_opens_what_begins_with_a_snapshot() {
    let (devices, ledger, dropped) = settled();
    let mut files = Vec::new();
    for it in [&ledger, &dropped] {
        let mut file = Vec::new();
        let written =
            write_document(it, Extent::SinceSnapshot, Format::Automerge, &mut file).unwrap();
        assert_eq!(written.since, Some(3));
        files.push((file, written.heads));
    }
    assert_eq!(files[0], files[1]);
    let doc = reading::open(&files[1].0);
    let heads: Vec<[u8; 32]> = files[1].1.iter().map(|it| *it.as_bytes()).collect();
    assert_eq!(reading::heads(&doc), heads);
    let at = |key: &str| reading::records(&doc)[&format!("{}/{}/{key}", app(), schema())].clone();
    assert_eq!(at("kept"), [Seen::Text("1".to_owned())]);
    assert_eq!(at("over"), [Seen::Text("2".to_owned())]);
    assert_eq!(reading::sessions(&doc).len(), 1);
    let shown = Document::of(&dropped).unwrap().to_json();
    assert_eq!(
        (&shown["account"]["since"], &shown["account"]["sessions_before"]),
        (&3.into(), &1.into())
    );
    assert_eq!(shown["devices"][devices[0].id.to_string()]["name"], "renamed");
    let session = shown["sessions"].as_object().unwrap().values().next().unwrap();
    assert_eq!(
        (&session["status"], &session["messages"][devices[0].id.to_string()]),
        (&"completed".into(), &2.into())
    );
    let proposal = shown["proposals"].as_object().unwrap().values().next().unwrap();
    let said = |key: &str| proposal[key].as_object().unwrap().len();
    assert_eq!((said("ready"), said("declined")), (1, 1));
    // The whole is there where nothing was dropped, and nowhere else.
    let mut whole = Vec::new();
    let written = write_document(&ledger, Extent::Whole, Format::Json, &mut whole).unwrap();
    assert_eq!(written.since, None);
    assert_ne!(written.heads, files[0].1);
    let error = write_document(&dropped, Extent::Whole, Format::Json, &mut whole).unwrap_err();
    assert!(matches!(error, DocumentError::Settled { k: 3 }), "{error}");
    // A restart changes nothing.
    let units = dropped.arrivals().iter().map(|it| dropped.unit_bytes(it).unwrap().to_vec());
    let stored = Stored {
        entries: dropped.chain().entries().to_vec(),
        base: dropped.base().map(|(_, bytes)| bytes.to_vec()),
        units: units.map(NamedUnit::of).collect(),
        ..Stored::default()
    };
    let again = Document::of(&Ledger::restore(&stored).unwrap()).unwrap();
    assert_eq!(again.heads(), files[0].1);
}

/// What a cut leaves out is in no document, whatever came first; and the roster is that of the cut.
#[test]
fn a_cut_takes_out_what_was_shown() {
    let (devices, chain) = account(3);
    let mut early = Ledger::new(chain);
    early.import_entry(certify(early.chain(), &devices, Vec::new(), install())).unwrap();
    let last = write(&mut early, &devices[2], metadata(&devices[2], "kept"));
    let device = devices[2].id;
    let revoke = EntryBody::Revoke(Revoke { device, last_seq: 0, last_hash: last });
    let entry = certify(early.chain(), &devices, early.heads(), revoke);
    let mut late = Ledger::new(early.chain().clone());
    exchange(&mut late, &mut early);
    // It goes on writing, as it has not heard of its end.
    write(&mut late, &devices[2], metadata(&devices[2], "cut off"));
    let (session, _) = open_session(&mut late, &devices[2], &devices);
    write_in(&mut late, &devices[2], session, close(&[("cut", Some("off"))]));
    let mut document = Document::of(&late).unwrap();
    let name = |it: &Document| it.to_json()["devices"][device.to_string()]["name"].clone();
    assert_eq!(name(&document), "cut off");
    early.import_entry(entry.clone()).unwrap();
    exchange(&mut early, &mut late);
    let update = document.update(&late).unwrap();
    assert!(update.rebuilt);
    assert_eq!(name(&document), "kept");
    let shown = document.to_json();
    assert!(shown["roster"].get(device.to_string()).is_none());
    assert!(shown["apps"][app().to_string()].get("records").is_none());
    same(&document, &Document::of(&early).unwrap());
}
