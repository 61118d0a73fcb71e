//! What a device that runs refuses, and how it says so.

use std::fs;

use crate::aura::Store;

#[test]
fn things_that_are_not_there() {
    let store = Store::with_account("anna");
    let device = store.start();
    for (args, code) in [
        ("session start counter", "NotInstalled"),
        ("session show aa11", "UnknownSession"),
        ("session show aa11 --wait 0", "UnknownSession"),
        ("session signal aa11 5", "UnknownSession"),
        ("installer app counter status", "NotInstalled"),
        ("upgrade status counter", "NotInstalled"),
        ("upgrade status --wait Active --timeout 0", "TimedOut"),
    ] {
        let args: Vec<_> = args.split(' ').collect();
        store.fails(&args, code, 1);
    }
    assert_eq!(store.json(&["session", "list"])["sessions"], serde_json::json!([]));
    assert_eq!(store.json(&["upgrade", "status"])["proposals"], serde_json::json!([]));
    assert_eq!(device.stop().code(), Some(0));
}

/// The device has a working directory of its own: what it is told must not depend on it.
#[test]
fn paths_are_absolute() {
    let store = Store::with_account("anna");
    let device = store.start();
    let here = std::env::current_dir().unwrap();
    let missing = ["installer", "app", "c", "install", "--repository", "no-such-file"];
    let error = store.fails(&missing, "Io", 1);
    let path = here.join("no-such-file");
    assert!(error["message"].as_str().unwrap().contains(path.to_str().unwrap()), "{error}");
    assert_eq!(device.stop().code(), Some(0));
}

#[test]
fn files_that_are_something_else() {
    let store = Store::with_account("anna");
    let garbage = store.beside("garbage");
    fs::write(&garbage, b"\0asm but not really").unwrap();
    let garbage = garbage.to_str().unwrap();
    let device = store.start();
    let install = ["installer", "app", "c", "install", "--repository", garbage];
    for args in [&install[..], &["protocol", "inspect", garbage]] {
        let ran = store.run(&[&["--json"], args].concat());
        let error = ran.object()["error"].take();
        assert_eq!(ran.code, 1, "{ran}");
        assert!(error["message"].as_str().unwrap().contains("garbage"), "{ran}");
    }
    assert_eq!(device.stop().code(), Some(0));
}

#[test]
fn a_repository_is_no_device_and_no_device_a_repository() {
    let publisher = Store::new();
    let made = publisher.json(&["repository", "create", "--protocol", "counter", "--name", "c"]);
    let file = publisher.beside("counter.repository");
    let exported = publisher.json(&["repository", "export", file.to_str().unwrap()]);
    assert_eq!((&exported["account"], &exported["releases"]), (&made["account"], &0.into()));
    assert_eq!(exported["bytes"], fs::metadata(&file).unwrap().len());

    // What is in the chain is what can be installed, and nothing is.
    let store = Store::with_account("anna");
    let device = store.start();
    let repository = file.to_str().unwrap();
    let install = ["installer", "app", "counter", "install", "--repository", repository];
    store.fails(&install, "NotReleased", 1);
    assert_eq!(device.stop().code(), Some(0));
    let error = store.fails(&["repository", "export", repository], "NotARepository", 1);
    assert_eq!(error["whose"], "caller");
}
