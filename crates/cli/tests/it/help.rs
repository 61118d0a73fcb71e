//! Every command explains itself.

use crate::aura::run;

/// The commands of the contract, each with words that its help must have.
const COMMANDS: [(&str, &[&str]); 58] = [
    ("", &["account", "run", "device", "Exit codes:", "--store", "--json", "--verbose"]),
    ("account", &["create", "show"]),
    ("account create", &["--name", "--account-name", "--recovery-delay", "259200"]),
    ("account show", &["--json"]),
    ("run", &["--bind", "127.0.0.1:0"]),
    ("device", &["invite", "add", "join", "remove", "revoke", "list"]),
    ("device invite", &["--valid", "3600"]),
    ("device join", &["<TICKET>", "--name", "--bind"]),
    ("device list", &["--json"]),
    ("device remove", &["<DEVICE>", "nothing changes"]),
    ("threshold", &["set"]),
    ("threshold set", &["<VOTES>", "--shares"]),
    ("lock", &["status"]),
    ("lock status", &["--json"]),
    ("status", &["--json"]),
    ("protocol", &["new", "build", "check", "inspect", "run"]),
    ("protocol new", &["<NAME>", "--dir", "--sdk"]),
    ("protocol build", &["[DIR]", "--wasm-toolchain", "debian"]),
    ("protocol check", &["<FILE>"]),
    ("protocol inspect", &["<FILE>", "--types", "--diagram"]),
    ("protocol run", &["<FILE>", "--script", "--trace"]),
    ("repository", &["create", "release", "export"]),
    ("repository create", &["--protocol", "--name"]),
    ("repository release", &["<MODULE>", "--migration", "--notes", "--danger-unchecked"]),
    ("repository export", &["<FILE>"]),
    ("installer", &["app"]),
    ("installer app", &["<ALIAS>", "install", "upgrade", "status"]),
    ("installer app a install", &["--repository", "--requirement", "--policy", "--module"]),
    ("installer app a upgrade", &["--version", "--repository", "--module"]),
    ("installer app a status", &["--json"]),
    ("session", &["start", "signal", "show", "list"]),
    ("session start", &["<ALIAS>", "--with", "--input", "--params"]),
    ("session signal", &["<SESSION>", "<TEXT>"]),
    ("session show", &["<SESSION>", "--wait"]),
    ("upgrade", &["propose", "status"]),
    ("upgrade propose", &["--migration", "--not-before", "--valid", "86400", "--grace", "3600"]),
    ("upgrade status", &["[ALIAS]", "--proposal", "--wait", "AwaitingQuorum", "--timeout", "60"]),
    ("guardian", &["add", "list", "remove"]),
    ("guardian add", &["--valid", "86400", "copy of the account's ledger"]),
    ("guardian list", &["--json"]),
    ("guardian remove", &["<GUARDIAN>", "aura recovery setup"]),
    ("recovery", &["setup", "invite", "request", "approve", "nudge", "veto", "cancel", "complete"]),
    ("recovery setup", &["--guardians", "--delay", "259200", "take the account over"]),
    ("recovery invite", &["--valid"]),
    ("recovery request", &["--code", "--keep", "--new"]),
    ("recovery approve", &["[REQUEST]", "in person"]),
    ("recovery nudge", &["[REQUEST]"]),
    ("recovery cancel", &["[REQUEST]"]),
    ("recovery status", &["--json"]),
    ("recovery veto", &["[REQUEST]"]),
    ("recovery complete", &["--code", "[REQUEST]"]),
    ("ledger", &["log", "document", "repair", "verify", "prove", "check"]),
    ("ledger document", &["[FILE]", "--format", "automerge", "json"]),
    ("ledger log", &["--limit", "100"]),
    ("ledger repair", &["--from", "must not be running"]),
    ("ledger verify", &["must not be running"]),
    ("ledger prove", &["<FILE>", "--app", "--device", "--entry", "--chain"]),
    ("ledger check", &["<FILE>", "--chain", "--head"]),
];

#[test]
fn every_command_has_help() {
    for (name, words) in COMMANDS {
        let args: Vec<&str> = name.split_whitespace().chain(["--help"]).collect();
        let ran = run(None, &args, &[]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{name}: {ran}");
        for word in words {
            assert!(ran.stdout.contains(word), "{name} does not name {word}: {ran}");
        }
    }
}

#[test]
fn the_exit_codes_are_documented() {
    let help = run(None, &["--help"], &[]).stdout;
    let codes = help.lines().skip_while(|line| *line != "Exit codes:").skip(1);
    let codes: Vec<_> = codes.filter_map(|line| line.trim().chars().next()).collect();
    assert_eq!(codes, ['0', '1', '2', '3', '4']);
}
