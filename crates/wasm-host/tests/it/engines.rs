//! The engines against each other. `AURA_DIFFERENTIAL` is the number of generated modules.

use std::env;

use aura_protocol_core::{Digest, abi::Reply, limits::STEP_FUEL_MAX};
use aura_testkit::hostile;
use aura_wasm_host::{HostOptions, ModuleHost};

use crate::{
    differential::{compare_corpus, compare_generated, engines},
    reference, signal,
};

/// A part says whether the engines of a development build still agree; the example `differential`,
/// which `cargo xtask test modules` runs, compares all three on more.
const GENERATED: u64 = 1_000;

/// INV-H3: results, traps, fuel and memory are the module's, not the engine's.
#[test]
fn engines_agree_on_generated_modules() {
    let count = env::var("AURA_DIFFERENTIAL").map_or(GENERATED, |it| it.parse().unwrap());
    let counted = compare_generated(count);
    println!("{counted:?}");
    assert_eq!(counted.differences, Vec::<String>::new());
    assert!(count <= counted.admitted);
    // They are no empty shells: calls return, calls trap, and they take their time.
    assert!(counted.admitted / 2 < counted.returned, "{counted:?}");
    assert!(counted.admitted / 2 < counted.trapped, "{counted:?}");
    assert!(1_000 < counted.fuel / counted.admitted, "{counted:?}");
}

/// INV-H3
#[test]
fn engines_agree_on_the_corpus_and_the_guests() {
    let counted = compare_corpus();
    assert_eq!(counted.differences, Vec::<String>::new());
    assert_eq!(counted.refused, 0);
    assert!(50 < counted.admitted, "{counted:?}");
}

/// INV-H3: a module that counts its calls in a global cannot tell, whatever runs it.
#[test]
fn no_engine_shows_hidden_state() {
    let bytes = hostile::hidden_counter("sneaky", "1.0.0");
    for engine in engines() {
        let id = engine.id();
        let host = ModuleHost::in_memory_with(HostOptions { engine, ..HostOptions::default() });
        host.prepare(&bytes, &reference(&bytes)).unwrap();
        for _ in 0..5 {
            let (reply, _) = host.call(Digest::of(&bytes), &signal(b""), STEP_FUEL_MAX).unwrap();
            let Reply::Stepped { state, .. } = reply else { panic!("{id}: {reply:?}") };
            assert_eq!(state, [1], "{id}");
        }
    }
}
