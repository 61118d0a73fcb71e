//! A store before any other device: made once, read by everybody who may.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::aura::Store;

#[test]
fn a_fresh_account_can_be_read_offline() {
    let store = Store::new();
    let created =
        store.json(&["account", "create", "--name", "anna", "--account-name", "The Annas"]);
    assert_eq!(created["name"], "anna");

    let status = store.json(&["status"]);
    for field in ["account", "device", "name"] {
        assert_eq!(status[field], created[field], "{status}");
    }
    assert_eq!(status["account_name"], "The Annas");
    assert_eq!(status["running"], false);
    assert_eq!((&status["devices"], &status["m"]), (&1.into(), &1.into()));
    assert_eq!(status["active"], serde_json::json!({}));

    let shown = store.json(&["account", "show"]);
    assert_eq!(shown["account"], created["account"]);
    let devices = store.json(&["device", "list"]);
    let [device] = devices["devices"].as_array().unwrap().as_slice() else { panic!("{devices}") };
    assert_eq!((&device["device"], &device["name"]), (&created["device"], &created["name"]));
    assert_eq!(device["this"], true);
}

#[test]
fn its_ledger_verifies() {
    let store = Store::with_account("anna");
    let verified = store.json(&["ledger", "verify"]);
    assert_eq!(verified["ok"], true);
    assert_eq!(verified["state_root"], store.json(&["status"])["state_root"]);

    let all = store.json(&["ledger", "log"])["lines"].as_array().unwrap().clone();
    assert!(all.iter().any(|line| line["what"] == "entry"), "{all:?}");
    let newest =
        store.json(&["ledger", "log", "--limit", "1"])["lines"].as_array().unwrap().clone();
    assert_eq!(newest, all[all.len() - 1..]);
}

#[test]
fn people_read_tables() {
    let store = Store::with_account("anna");
    let ran = store.run(&["device", "list"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran}");
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{ran}");
    assert!(lines[0].starts_with("DEVICE    NAME  ROLE"), "{ran}");
    assert!(lines[1].contains("  anna  voter"), "{ran}");
    let ran = store.run(&["upgrade", "status"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "no proposals\n"), "{ran}");
}

#[test]
fn an_account_is_made_once() {
    let store = Store::with_account("anna");
    let before = store.json(&["status"]);
    store.fails(&["account", "create", "--name", "bert"], "StoreExists", 1);
    assert_eq!(store.json(&["status"]), before);
}

#[test]
fn the_store_is_its_owners() {
    let store = Store::with_account("anna");
    let mode = fs::metadata(store.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn without_a_store_every_command_says_so() {
    let store = Store::new();
    for args in [
        "account show",
        "run",
        "device invite",
        "device list",
        "status",
        "repository export file",
        "installer app a status",
        "installer app a install --repository file",
        "session start a",
        "session signal s x",
        "session show s",
        "session show s --wait 5",
        "session list",
        "upgrade status",
        "upgrade status --wait Active",
        "ledger log",
        "ledger document",
        "ledger repair",
        "ledger verify",
        "ledger prove file --entry 0",
    ] {
        let args: Vec<_> = args.split(' ').collect();
        let error = store.fails(&args, "StoreNotFound", 3);
        assert_eq!(error["whose"], "caller", "{args:?}");
    }
    assert!(!store.path().exists());
}

#[test]
fn what_needs_a_running_device_says_so() {
    let store = Store::with_account("anna");
    for args in [
        "device invite",
        "installer app a install --repository file",
        "installer app a upgrade --repository file --version 1.0.0",
        "session start a",
        "session signal s x",
        "session show s --wait 5",
        "upgrade propose a --version 2.0.0 --repository file",
        "upgrade status --wait Active",
    ] {
        let args: Vec<_> = args.split(' ').collect();
        let error = store.fails(&args, "NotRunning", 3);
        assert!(error["next"].as_str().unwrap().contains(" run`"), "{args:?}: {error}");
    }
}

#[test]
fn a_ticket_that_is_none() {
    let store = Store::new();
    for ticket in ["", "hello", "aura-ticket-1-", "aura-ticket-1-00ff", "aura-ticket-1-é"] {
        let error = store.fails(&["device", "join", ticket, "--name", "bert"], "BadTicket", 1);
        assert_eq!(error["whose"], "caller");
    }
    assert!(!store.path().exists());
}
