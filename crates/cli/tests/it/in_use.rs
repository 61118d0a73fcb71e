//! One process for a store, one for a port, and what happens to a second.

use std::{fs, net::UdpSocket};

use crate::aura::Store;

#[test]
fn a_running_device_keeps_its_store() {
    let store = Store::with_account("anna");
    let device = store.start();
    assert_eq!(device.ready["ready"], true);
    assert_eq!(device.ready["name"], "anna");
    assert!(device.ready["addr"].as_str().unwrap().starts_with("127.0.0.1:"));

    for args in [&["run"][..], &["ledger", "verify"], &["repository", "export", "file"]] {
        let error = store.fails(args, "StoreInUse", 3);
        assert_eq!(error["whose"], "caller", "{error}");
    }

    // It goes on, and answers.
    let status = store.json(&["status"]);
    assert_eq!(status["running"], true);
    assert_eq!(status["device"], device.ready["device"]);
    assert_eq!(device.stop().code(), Some(0));
    assert_eq!(store.json(&["status"])["running"], false);
    assert!(!store.path().join("control.sock").exists());
}

#[test]
fn a_process_that_does_not_answer_is_still_respected() {
    let store = Store::with_account("anna");
    let device = store.start();
    fs::remove_file(store.path().join("control.sock")).unwrap();
    store.fails(&["status"], "StoreInUse", 3);
    drop(device);
    assert_eq!(store.json(&["status"])["running"], false);
}

/// INV-L2, with a process that had no time to clean up.
#[test]
fn a_killed_device_leaves_nothing_in_the_way() {
    let store = Store::with_account("anna");
    drop(store.start());
    assert!(store.path().join("control.sock").exists());
    assert_eq!(store.json(&["status"])["running"], false);
    let device = store.start();
    assert_eq!(store.json(&["status"])["running"], true);
    assert_eq!(device.stop().code(), Some(0));
}

#[test]
fn a_port_in_use() {
    let store = Store::with_account("anna");
    let held = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap().to_string();
    let error = store.fails(&["run", "--bind", &address], "AddressInUse", 1);
    assert!(error["message"].as_str().unwrap().contains(&address), "{error}");
    assert_eq!(error["whose"], "machine");
    drop(held);
    assert_eq!(store.start().stop().code(), Some(0));
}
