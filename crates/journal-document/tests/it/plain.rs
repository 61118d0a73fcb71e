//! A plain Automerge program opens what was written, and JSON is what it was.

use std::str::FromStr;

use aura_journal::{Event, Ledger};
use aura_journal_document::{Document, Extent, Format, write as write_document};
use automerge::{Automerge, ROOT, ReadDoc, transaction::Transactable};

use crate::{
    reading::{self, Seen},
    support::*,
};

/// An account in which everything has happened once.
pub fn everything() -> Ledger {
    let (devices, chain) = account(3);
    let mut ledger = Ledger::new(chain);
    for (device, name) in devices.iter().zip(["laptop", "phone", "tablet"]) {
        let mut manifest = aura_protocol_core::Manifest::empty(device.id);
        for version in ["1.0.0", "1.1.0"] {
            let version = version.parse().unwrap();
            manifest.announce(app(), version, release(version).module.digest);
        }
        let addresses = vec!["127.0.0.1:4433".to_owned(), "[::1]:4433".to_owned()];
        let metadata =
            aura_journal::event::DeviceMetadata { name: name.to_owned(), addresses, manifest };
        write(&mut ledger, device, Event::PublishManifest(metadata));
    }
    let entry = certify(ledger.chain(), &devices, ledger.heads(), install());
    ledger.import_entry(entry).unwrap();
    let (session, _) = open_session(&mut ledger, &devices[0], &devices);
    write_in(&mut ledger, &devices[1], session, message("one"));
    write_in(&mut ledger, &devices[2], session, message("two"));
    write_in(&mut ledger, &devices[1], session, message("three"));
    let put = |key: &[u8], bytes: &[u8]| aura_journal::event::RecordPut {
        key: aura_protocol_core::RecordKey(key.to_vec()),
        base: None,
        bytes: Some(bytes.to_vec()),
    };
    let end = aura_journal::event::CloseSession {
        outcome: aura_protocol_core::Outcome::Completed { result: vec![0, 255], batch: Vec::new() },
        schema: schema(),
        batch: vec![
            put(b"total", b"3"),
            put(b"a/path", b"\xff\x00"),
            put(b"\xfe", "caf\u{e9}".as_bytes()),
        ],
    };
    write_in(&mut ledger, &devices[0], session, Event::CloseSession(end));
    let (aborted, _) = open_session(&mut ledger, &devices[1], &devices[1..]);
    write_in(&mut ledger, &devices[1], aborted, abort());
    let proposal = write(&mut ledger, &devices[0], propose());
    write(&mut ledger, &devices[1], Event::AcknowledgeUpgrade { proposal });
    write(&mut ledger, &devices[1], ready(proposal));
    write(&mut ledger, &devices[2], decline(proposal));
    let entry = certify(ledger.chain(), &devices, ledger.heads(), activate(proposal));
    ledger.import_entry(entry).unwrap();
    ledger
}

/// INV-DOC4: what is saved is an Automerge file like any other: it opens, has the heads that were said,
/// shows what is meant, and can be edited and saved again.
#[test]
fn a_plain_program_opens_it() {
    let ledger = everything();
    let document = Document::of(&ledger).unwrap();
    let mut doc = reading::open(&document.save().unwrap());
    let expected: Vec<[u8; 32]> = document.heads().iter().map(|it| *it.as_bytes()).collect();
    assert_eq!(reading::heads(&doc), expected);
    let (_, account) = doc.get(ROOT, "account").unwrap().unwrap();
    let (name, _) = doc.get(&account, "name").unwrap().unwrap();
    assert_eq!(name.as_str(), Some("ours"));
    let (id, _) = doc.get(&account, "id").unwrap().unwrap();
    assert_eq!(id.as_str(), Some(ledger.account().to_string().as_str()));
    let shown = Seen::Map(reading::see(&doc));
    let id = device(0).id.to_string();
    assert_eq!(shown.at(&["devices", &id, "name"]).unwrap().text(), "laptop");
    assert_eq!(shown.at(&["roster", &id]).unwrap().text(), "voter");
    let at = |key: &str| reading::records(&doc)[&format!("{}/{}/{key}", app(), schema())].clone();
    assert_eq!(at("total"), [Seen::Text("3".to_owned())]);
    assert_eq!(at("a/path"), [Seen::Bytes(vec![255, 0])]);
    assert_eq!(at("0xfe"), [Seen::Text("caf\u{e9}".to_owned())]);
    assert_eq!(reading::sessions(&doc).len(), 2);
    // Every change says who made it and none says when.
    assert!(doc.get_changes(&[]).iter().all(|it| it.timestamp() == 0));
    let before = doc.get_heads();
    doc.transact::<_, _, automerge::AutomergeError>(|tx| tx.put(ROOT, "note", "mine")).unwrap();
    assert!(!doc.diff(&before, &doc.get_heads()).is_empty());
    let again = Automerge::load(&doc.save()).unwrap();
    assert_eq!(again.get_heads(), doc.get_heads());
}

/// The JSON of one account, word by word, and the heads: neither changes without being noticed.
#[test]
fn json_is_as_it_was() {
    let ledger = everything();
    let mut bytes = Vec::new();
    write_document(&ledger, Extent::Whole, Format::Json, &mut bytes).unwrap();
    assert_eq!(bytes.iter().filter(|it| **it == b'\n').count(), 1);
    let shown: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let expected: serde_json::Value = serde_json::from_str(include_str!("golden.json")).unwrap();
    assert_eq!(shown, expected, "{}", serde_json::to_string_pretty(&shown).unwrap());
    let heads: Vec<String> =
        Document::of(&ledger).unwrap().heads().iter().map(ToString::to_string).collect();
    assert_eq!(heads, ["815a653c57447518a2290408bfb0d0eb619931fd135af63761d7a23f0fdcb33d"]);
}

#[test]
fn formats_have_names() {
    let ledger = Ledger::new(alone(&device(0), "ours"));
    for format in [Format::Automerge, Format::Json] {
        assert_eq!(Format::from_str(&format.to_string()), Ok(format));
        let mut bytes = Vec::new();
        write_document(&ledger, Extent::SinceSnapshot, format, &mut bytes).unwrap();
        let begins: &[u8] = if format == Format::Json { b"{" } else { &[0x85, 0x6f, 0x4a, 0x83] };
        assert!(bytes.starts_with(begins));
    }
    let unknown = Format::from_str("yaml").unwrap_err();
    assert_eq!(unknown.to_string(), "no format is called `yaml`: automerge, json");
}
