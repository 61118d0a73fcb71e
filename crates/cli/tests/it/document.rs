//! The account as a document that other tools read.

use std::fs;

use automerge::{Automerge, ROOT, ReadDoc as _};

use crate::aura::Store;

/// INV-DOC4: what the command writes opens in a plain Automerge program, and is the same from a
/// running device as from its store.
#[test]
fn an_automerge_program_opens_the_document() {
    let store = Store::with_account("anna");
    let device = store.start();
    let (live, stored) = (store.beside("live.automerge"), store.beside("stored.automerge"));
    let write = |file: &std::path::Path| {
        store.json(&["ledger", "document", "--format", "automerge", file.to_str().unwrap()])
    };
    let written = write(&live);
    assert_eq!(device.stop().code(), Some(0));
    let again = write(&stored);
    let bytes = fs::read(&live).unwrap();
    assert_eq!(bytes, fs::read(&stored).unwrap());
    assert_eq!((&written["heads"], &written["bytes"]), (&again["heads"], &bytes.len().into()));
    assert!(!store.beside("live.automerge.new").exists());

    let opened = Automerge::load(&bytes).unwrap();
    let heads: Vec<_> = opened.get_heads().iter().map(ToString::to_string).collect();
    assert_eq!(written["heads"], serde_json::json!(heads));
    let (_, devices) = opened.get(ROOT, "devices").unwrap().unwrap();
    let id = written_device(&store);
    let (_, ours) = opened.get(&devices, id.as_str()).unwrap().unwrap();
    let (name, _) = opened.get(&ours, "name").unwrap().unwrap();
    assert_eq!(name.as_str(), Some("anna"));
}

fn written_device(store: &Store) -> String {
    store.json(&["status"])["device"].as_str().unwrap().to_owned()
}

#[test]
fn json_shows_the_account() {
    let store = Store::with_account("anna");
    // It says its name when it first runs.
    assert_eq!(store.start().stop().code(), Some(0));
    let id = written_device(&store);
    let shown = store.json(&["ledger", "document"]);
    assert_eq!(shown["devices"][&id]["name"], "anna");
    assert_eq!(shown["roster"][&id]["role"], "voter");
    let ran = store.run(&["ledger", "document", "--format", "json"]);
    assert_eq!((ran.code, ran.object()), (0, shown.clone()), "{ran}");
    let file = store.beside("account.json");
    store.json(&["ledger", "document", file.to_str().unwrap()]);
    let read: serde_json::Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert_eq!(read, shown);
}

#[test]
fn what_cannot_be_written_says_so() {
    let store = Store::with_account("anna");
    store.fails(&["ledger", "document", "--format", "automerge"], "Usage", 2);
    let nowhere = store.beside("missing/account.json");
    store.fails(&["ledger", "document", nowhere.to_str().unwrap()], "DocumentWrite", 1);
    assert_eq!(store.run(&["ledger", "document", "--format", "toml"]).code, 2);
}
