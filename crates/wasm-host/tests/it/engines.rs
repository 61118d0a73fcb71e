//! The engines against each other. `AURA_DIFFERENTIAL` is the number of generated modules.

use std::env;

use aura_protocol_core::{Digest, abi::Reply, limits::STEP_FUEL_MAX};
use aura_testkit::{Stage, hostile};
use aura_wasm_host::{HostOptions, ModuleHost};

use crate::{
    differential::{compare, compare_generated, engines},
    guest, reference, signal,
};

/// With the interpreter there are three engines, and `cargo xtask test modules` compares them on this
/// many; without it a part says whether the other two still agree.
const GENERATED: u64 = if cfg!(feature = "engine-wasmi") { 5_000 } else { 1_000 };

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
    let engines = engines();
    let corpus = hostile::corpus().into_iter().filter(|it| it.stage == Stage::Step);
    let modules: Vec<(&str, Vec<u8>)> =
        corpus.map(|it| (it.name, it.bytes)).chain(hostile::at_the_limits()).collect();
    for (name, bytes) in modules {
        let counted = compare(name, &bytes, &engines);
        assert_eq!(counted.differences, Vec::<String>::new());
        assert_eq!(counted.admitted, 1, "{name}");
    }
    let guests = [
        "counter-1-0-0",
        "counter-1-0-0-c",
        "counter-1-1-0",
        "counter-2-0-0",
        "counter-migration-2-0-0",
        "poll-1-0-0",
    ];
    for name in guests {
        let counted = compare(name, &guest(name), &engines);
        assert_eq!((counted.differences, counted.admitted), (vec![], 1));
    }
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
