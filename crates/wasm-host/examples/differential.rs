//! Compares wasmer, wasmtime and wasmi on the corpus, the guests, and generated modules: `cargo run
//! --release -p aura-wasm-host --features engine-wasmi --example differential -- 100000`. Ends with one
//! line of JSON. `cargo xtask test modules` runs it with 5,000.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "a tool that ends at the first surprise, and shares its parts with the tests"
)]

#[path = "../tests/it/differential.rs"]
mod differential;
#[path = "../tests/it/generated.rs"]
mod generated;
#[path = "../tests/it/program.rs"]
mod program;
#[path = "../tests/it/wasmtime_engine.rs"]
mod wasmtime_engine;

use std::{env, process::ExitCode, time::Instant};

use aura_protocol_core::{
    ProtocolCapabilities, ProtocolInput,
    abi::{Envelope, Op},
};
use serde_json::json;

fn signal(text: &[u8]) -> Envelope {
    let input = ProtocolInput::Signal(text.to_vec());
    Envelope::new(Op::Step { state: vec![], caps: ProtocolCapabilities::default(), input })
}

fn main() -> ExitCode {
    let count = env::args().nth(1).map_or(100_000, |it| it.parse().unwrap());
    let begun = Instant::now();
    let corpus = differential::compare_corpus();
    let of_corpus = corpus.admitted;
    let counted = corpus.add(differential::compare_generated(count));
    counted.differences.iter().for_each(|it| eprintln!("{it}"));
    let engines: Vec<String> = differential::engines().iter().map(|it| it.id()).collect();
    println!(
        "{}",
        json!({
            "ok": counted.differences.is_empty(),
            "engines": engines,
            "modules": counted.admitted,
            "of_the_corpus": of_corpus,
            "refused": counted.refused,
            "returned": counted.returned,
            "trapped": counted.trapped,
            "fuel": counted.fuel,
            "differences": counted.differences.len(),
            "seconds": begun.elapsed().as_secs(),
        })
    );
    if counted.differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
