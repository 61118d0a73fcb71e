//! Command lines that cannot be understood.

use crate::aura::{Store, run};

/// INV-E1: one line, exit code 2, and nothing is made.
#[track_caller]
fn check(args: &[&str], message: &str, next: &str) {
    let store = Store::new();
    let ran = store.run(args);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{args:?}: {ran}");
    assert_eq!(ran.stderr.lines().count(), 1, "{args:?}: {ran}");
    assert!(ran.stderr.contains(message) && ran.stderr.contains(next), "{args:?}: {ran}");

    // INV-E2: a program is told the same.
    let error = store.fails(args, "Usage", 2);
    assert_eq!(error["whose"], "caller");
    assert!(error["message"].as_str().unwrap().contains(message), "{error}");
    assert!(!store.path().exists());
}

#[test]
fn unknown_commands() {
    check(&["frobnicate"], "unrecognized subcommand 'frobnicate'", "aura --help");
    check(&["statu"], "unrecognized subcommand 'statu'", "'status'");
    check(&["device", "invit"], "unrecognized subcommand 'invit'", "'invite'");
    check(&["protocol"], "'aura protocol' requires a subcommand", "aura protocol --help");
    check(&[], "'aura' requires a subcommand", "aura --help");
}

#[test]
fn unknown_flags() {
    check(&["status", "--frobnicate"], "unexpected argument '--frobnicate'", "aura status");
    check(&["status", "extra"], "unexpected argument 'extra'", "aura status");
}

#[test]
fn missing_arguments() {
    check(&["account", "create"], "--name <NAME>", "aura account create --name <NAME>");
    check(&["device", "join", "--name", "b"], "<TICKET>", "aura device join");
    check(&["installer", "app", "c", "upgrade", "--repository", "r"], "--version", "upgrade");
}

#[test]
fn values_of_another_kind() {
    check(&["run", "--bind", "nowhere"], "'nowhere' for '--bind", "--help");
    check(&["device", "invite", "--valid", "soon"], "'soon' for '--valid", "--help");
    check(&["upgrade", "status", "--wait", "Done"], "AwaitingQuorum", "--help");
    let install = ["installer", "app", "c", "install", "--repository", "r", "--policy", "all"];
    check(&install, "manual, patch, minor", "--help");
}

#[test]
fn a_log_filter_that_is_none() {
    let store = Store::new();
    let ran = store.run_with(&["status"], &[("AURA_LOG", "a=b=c")]);
    assert_eq!(ran.code, 1, "{ran}");
    assert!(ran.stderr.starts_with("error: AURA_LOG=a=b=c is not a log filter"), "{ran}");
}

#[test]
fn without_a_flag_the_environment_names_the_store() {
    let store = Store::new();
    let named = |variable| run(None, &["status"], &[("AURA_STORE", variable)]).stderr;
    let elsewhere = store.beside("elsewhere");
    assert!(named(elsewhere.to_str().unwrap()).contains("elsewhere"));
    assert!(named("").contains("aura-store"));
    assert!(!elsewhere.exists());
}
