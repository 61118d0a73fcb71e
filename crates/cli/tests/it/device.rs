//! Two devices make an account over QUIC.

use serde_json::Value;

use crate::aura::Store;

fn names(devices: &Value) -> Vec<&str> {
    let rows = devices["devices"].as_array().unwrap();
    let mut names: Vec<_> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

#[test]
fn two_devices_become_one_account() {
    let anna = Store::with_account("anna");
    let bert = Store::new();
    let first = anna.start();
    let ticket = anna.json(&["device", "invite", "--valid", "600"]);
    let ticket = ticket["ticket"].as_str().unwrap();

    let joined = bert.json(&["device", "join", ticket, "--name", "bert"]);
    assert_eq!(joined["name"], "bert");
    assert_eq!(joined["account"], anna.json(&["account", "show"])["account"]);
    let second = bert.start();

    for store in [&anna, &bert] {
        let status = store.await_status("two connected devices with keys", |status| {
            status["devices"] == 2
                && status["peers"] == 1
                && status["keys"]["share"] == true
                && status["settled"] == true
        });
        assert_eq!(status["account"], joined["account"]);
    }
    // Names arrive with the devices' first units.
    for store in [&anna, &bert] {
        let both = |devices: &Value| names(devices) == ["anna", "bert"];
        store.await_object(&["device", "list"], "both names", both);
    }

    // A ticket is worth one device, and whoever comes second is told so.
    let cleo = Store::new();
    let error = cleo.fails(&["device", "join", ticket, "--name", "cleo"], "TicketUsed", 1);
    assert!(!error["next"].as_str().unwrap().is_empty());

    let root_of = |store: &Store| store.json(&["status"])["state_root"].clone();
    let root = root_of(&anna);
    bert.await_status("at the same state", |status| status["state_root"] == root);
    assert_eq!(second.stop().code(), Some(0));
    assert_eq!(first.stop().code(), Some(0));
    for store in [&anna, &bert] {
        let verified = store.json(&["ledger", "verify"]);
        assert_eq!((&verified["ok"], &verified["state_root"]), (&true.into(), &root));
    }
}

/// A device that was away comes back to the same account under the same name.
#[test]
fn a_device_comes_back() {
    let anna = Store::with_account("anna");
    let bert = Store::new();
    let first = anna.start();
    let ticket = anna.json(&["device", "invite"])["ticket"].as_str().unwrap().to_owned();
    bert.json(&["device", "join", &ticket, "--name", "bert"]);
    drop(bert.start());
    let again = bert.start();
    assert_eq!(again.ready["name"], "bert");
    for store in [&anna, &bert] {
        store.await_status("connected again", |status| status["peers"] == 1);
    }
    assert_eq!(again.stop().code(), Some(0));
    anna.await_status("alone", |status| status["peers"] == 0);
    assert_eq!(first.stop().code(), Some(0));
}
