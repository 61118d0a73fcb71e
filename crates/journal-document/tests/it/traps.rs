//! What an enemy among the devices can say without breaking a rule, and what the document makes of it.

use aura_journal::{
    Event, Ledger, Outcome as Imported, Reject, UnitBody,
    event::{CloseSession, DeviceMetadata, RecordPut},
    unit::UNIT_VERSION,
};
use aura_journal_document::Document;
use aura_protocol_core::{
    AppId, Digest, Lamport, Manifest, Outcome, ProtocolVersion, RecordKey, decode, encode,
};

use crate::{
    reading::{self, Seen},
    support::*,
};

/// The document opens again, with the same heads.
fn reopened(ledger: &Ledger) -> automerge::Automerge {
    let document = Document::of(ledger).unwrap();
    let doc = reading::open(&document.save().unwrap());
    let heads: Vec<[u8; 32]> = document.heads().iter().map(|it| *it.as_bytes()).collect();
    assert_eq!(reading::heads(&doc), heads);
    doc
}

fn batch(keys: impl Iterator<Item = Vec<u8>>, bytes: &[u8]) -> Event {
    let put = |key| RecordPut { key: RecordKey(key), base: None, bytes: Some(bytes.to_vec()) };
    Event::CloseSession(CloseSession {
        outcome: Outcome::Completed { result: Vec::new(), batch: Vec::new() },
        schema: schema(),
        batch: keys.map(put).collect(),
    })
}

/// INV-DOC5: nothing that a valid unit says is refused by Automerge or breaks it. Here: 100,000 records.
#[test]
fn a_hundred_thousand_keys() {
    let (devices, chain) = account(1);
    let mut ledger = Ledger::new(chain);
    let mut document = Document::of(&ledger).unwrap();
    for nth in 0..400u32 {
        let (session, _) = open_session(&mut ledger, &devices[0], &devices);
        let keys = (0..250u32).map(|it| (nth * 250 + it).to_be_bytes().to_vec());
        write_in(&mut ledger, &devices[0], session, batch(keys, &nth.to_be_bytes()));
    }
    let update = document.update(&ledger).unwrap();
    assert_eq!(update.changes, 800);
    let (session, _) = open_session(&mut ledger, &devices[0], &devices);
    write_in(&mut ledger, &devices[0], session, close(&[("one more", Some("yes"))]));
    assert_eq!(document.update(&ledger).unwrap().changes, 2);
    let shown = document.to_json();
    let records = &shown["apps"][app().to_string()]["records"][schema().to_string()];
    assert_eq!(records.as_object().unwrap().len(), 100_001);
}

/// INV-DOC5: the largest units that there are, with the most ops: they fit the counters of their height.
#[test]
fn the_largest_units() {
    let (devices, chain) = account(2);
    let mut ledger = Ledger::new(chain);
    let apps = |from: u32| {
        (from..from + 256).map(|it| AppId::from_bytes(*Digest::of(&it.to_le_bytes()).as_bytes()))
    };
    // Each replaces 256 apps by 256 others.
    for from in [0, 1_000, 2_000] {
        let mut manifest = Manifest::empty(devices[0].id);
        for app in apps(from) {
            manifest.announce(app, ProtocolVersion::new(1, 0, 0), Digest::ZERO);
        }
        let metadata = DeviceMetadata {
            name: "n".repeat(20_000),
            addresses: vec!["a".repeat(20_000)],
            manifest,
        };
        write(&mut ledger, &devices[0], Event::PublishManifest(metadata));
    }
    let (session, _) = open_session(&mut ledger, &devices[0], &devices);
    write_in(&mut ledger, &devices[1], session, message(&"m".repeat(60_000)));
    let keys = (0..=255u8).map(|it| vec![it; 200]);
    write_in(&mut ledger, &devices[0], session, batch(keys, &[7; 30]));
    let (session, _) = open_session(&mut ledger, &devices[1], &devices);
    write_in(&mut ledger, &devices[1], session, batch([vec![0; 256]].into_iter(), &[0; 65_000]));
    let doc = reopened(&ledger);
    assert_eq!(reading::records(&doc).len(), 257);
    let shown = Seen::Map(reading::see(&doc));
    let runs = shown.at(&["devices", &devices[0].id.to_string(), "runs"]).unwrap();
    assert_eq!(runs.map().len(), 256);
}

/// INV-DOC5: names and keys of any bytes, also such as mean something elsewhere.
#[test]
fn strange_names() {
    let (devices, chain) = account(1);
    let mut ledger = Ledger::new(chain);
    let names = ["", "\0", "\u{202e}abc", "_root", "messages x", "0x00", "/", "\u{10ffff}", "a\nb"];
    for name in names {
        write(&mut ledger, &devices[0], metadata(&devices[0], name));
        let (session, _) = open_session(&mut ledger, &devices[0], &devices);
        let keys = [name.as_bytes().to_vec()].into_iter();
        write_in(&mut ledger, &devices[0], session, batch(keys, name.as_bytes()));
    }
    let doc = reopened(&ledger);
    assert_eq!(reading::records(&doc).len(), names.len());
    let shown = Document::of(&ledger).unwrap().to_json();
    let records = &shown["apps"][app().to_string()]["records"][schema().to_string()];
    assert_eq!(records.as_object().unwrap().len(), names.len());
    assert_eq!((&records["/"], &records["a\nb"]), (&"/".into(), &"a\nb".into()));
}

/// A unit may speak of what its author never saw: there is no object for it, so nothing is written.
#[test]
fn words_about_things_that_were_not_seen() {
    let (devices, chain) = account(3);
    let (mut one, mut two) = (Ledger::new(chain.clone()), Ledger::new(chain));
    let (session, _) = open_session(&mut one, &devices[0], &devices);
    let proposal = write(&mut one, &devices[0], propose());
    // The second device got the names from somewhere, and not the units.
    write_in(&mut two, &devices[1], session, message("unseen"));
    write(&mut two, &devices[1], ready(proposal));
    write(&mut two, &devices[1], decline(Digest::of(b"nothing")));
    let child = aura_journal::child_session_id(session, 1);
    write_in(&mut two, &devices[1], child, open_child(session, 1, Some(&devices)));
    for unit in two.arrivals().to_vec() {
        let _outcome = one.import(PEER, two.unit_bytes(&unit).unwrap()).unwrap();
    }
    let (mut first, mut last) = (Document::of(&one).unwrap(), Document::of(&two).unwrap());
    for unit in one.arrivals().to_vec() {
        let _outcome = two.import(PEER, one.unit_bytes(&unit).unwrap()).unwrap();
        let _update = last.update(&two).unwrap();
    }
    assert_eq!(first.heads(), last.heads());
    let shown = last.to_json();
    assert_eq!(shown["sessions"][session.to_string()]["messages"], serde_json::json!({}));
    assert!(shown["proposals"][proposal.to_string()]["ready"].as_object().unwrap().is_empty());
    // Seen, they count.
    write_in(&mut one, &devices[1], session, message("seen"));
    assert_eq!(first.update(&one).unwrap().changes, 1);
    reopened(&one);
}

/// Op counters come from Lamport heights, and these cannot be chosen; nor can a place be taken twice.
#[test]
fn heights_and_places_cannot_be_chosen() {
    let (devices, chain) = account(2);
    let mut ledger = Ledger::new(chain);
    write(&mut ledger, &devices[0], metadata(&devices[0], "one"));
    let held = ledger.arrivals()[0];
    let unit = ledger.unit(&held).unwrap().clone();
    let before = Document::of(&ledger).unwrap().heads();
    for lamport in [0, 3, 1 << 22, u64::from(u32::MAX) / 640, u64::from(u32::MAX), u64::MAX] {
        let event = metadata(&devices[0], "high");
        let body = UnitBody {
            version: UNIT_VERSION,
            seq: 1,
            lamport: Lamport(lamport),
            prev: Some(held),
            event,
            ..unit.body.clone()
        };
        let bytes = encode(&body.sign(&devices[0].key));
        assert!(matches!(ledger.import(PEER, &bytes), Err(Reject::Lamport { .. })));
    }
    // One that forks is left out, and wedges nobody.
    let other = write(&mut ledger, &devices[1], metadata(&devices[1], "two"));
    let event = metadata(&devices[0], "twice");
    let fork = UnitBody { event, ..unit.body.clone() }.sign(&devices[0].key);
    let mut document = Document::of(&ledger).unwrap();
    let with_both = document.heads();
    assert!(matches!(ledger.import(PEER, &encode(&fork)), Ok(Imported::Fork { .. })));
    let update = document.update(&ledger).unwrap();
    assert!(update.rebuilt && ledger.contains(&other));
    let heads = Document::of(&ledger).unwrap().heads();
    assert_eq!(document.heads(), heads);
    assert!(heads != with_both && heads != before);
}

/// A file of Automerge is no unit, whole or in a unit's place.
#[test]
fn automerge_bytes_are_not_read() {
    let (devices, chain) = account(1);
    let mut ledger = Ledger::new(chain);
    write(&mut ledger, &devices[0], metadata(&devices[0], "one"));
    let bytes = Document::of(&ledger).unwrap().save().unwrap();
    assert!(matches!(ledger.import(PEER, &bytes), Err(Reject::Version { .. })));
    assert!(decode::<aura_journal::Unit>(&bytes, bytes.len()).is_err());
}
