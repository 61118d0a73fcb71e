//! An account's keys grow with its devices, over real processes.

use crate::aura::{Device, Store};

fn join(first: &Store, name: &str) -> (Store, Device) {
    let ticket = first.json(&["device", "add"])["ticket"].as_str().unwrap().to_owned();
    let store = Store::new();
    store.json(&["device", "join", &ticket, "--name", name]);
    let device = store.start();
    (store, device)
}

/// A key that one device derived alone, all derive after they joined, and the lock is free again.
#[test]
fn a_key_grows_with_the_account() {
    let anna = Store::with_account("anna");
    let _anna = anna.start();
    let key = anna.json(&["key", "derive", "photos"])["key"].clone();
    let (bert, _bert) = join(&anna, "bert");
    for store in [&anna, &bert] {
        let status = store.await_status("two shares", |status| {
            status["keys"]["share"] == true && status["keys"]["needed"] == 2
        });
        assert_eq!(status["m"], 2);
        assert_eq!(store.json(&["key", "derive", "photos"])["key"], key);
    }
    let locks = bert.json(&["lock", "status"]);
    assert_eq!(
        (&locks["locks"][0]["lock"], &locks["locks"][0]["holder"]),
        (&"keys".into(), &().into())
    );
    assert!(0 < locks["locks"][0]["number"].as_u64().unwrap());

    bert.fails(&["threshold", "set", "1"], "BadThreshold", 1);
}
