//! Proofs that go from one person to another as files.

use std::fs;

use crate::aura::{Store, run};

#[test]
fn a_proof_is_checked_without_a_store() {
    let store = Store::with_account("anna");
    let (proof, chain) = (store.beside("proof"), store.beside("chain"));
    let (proof, chain) = (proof.to_str().unwrap(), chain.to_str().unwrap());
    let device = store.json(&["status"])["device"].as_str().unwrap().to_string();
    for what in [["--entry", "0"], ["--device", &device]] {
        let made = store
            .json(&[["ledger", "prove", proof].as_slice(), &what, &["--chain", chain]].concat());
        assert!(made["bytes"].as_u64().unwrap() < 1024, "{made}");
        let head = format!("{}:{}", made["k"], made["head"].as_str().unwrap());
        for known in [["--chain", chain], ["--head", &head]] {
            let ran =
                run(None, &[["ledger", "check", proof, "--json"].as_slice(), &known].concat(), &[]);
            assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran}");
            let checked: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
            assert_eq!(checked["ok"], true, "{checked}");
            assert_eq!(checked["says"], made["says"], "{checked}");
        }
        let other = format!("{}:{}", made["k"], "0".repeat(64));
        store.fails(&["ledger", "check", proof, "--head", &other], "AnotherEntry", 1);
        let mut bytes = fs::read(proof).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(proof, bytes).unwrap();
        let ran = run(None, &["ledger", "check", proof, "--chain", chain], &[]);
        assert_eq!(ran.code, 1, "{ran}");
    }
}

#[test]
fn what_was_not_decided_is_not_proved() {
    let store = Store::with_account("anna");
    store.fails(&["ledger", "prove", "proof", "--entry", "9"], "NothingDecided", 1);
    store.fails(&["ledger", "prove", "proof", "--app", "counter"], "NotInstalled", 1);
    store.fails(&["ledger", "prove", "proof", "--device", "anna"], "BadArgument", 1);
    store.fails(&["ledger", "check", "nowhere", "--head", "1:2"], "Io", 1);
}
