//! The sandbox from outside: what it refuses, what it runs, and what it keeps.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod bombs;
mod cache;
mod choreography;
mod conformance;
mod cost;
mod counter;
mod derivation;
mod determinism;
mod differential;
mod engines;
mod fuel;
mod gate;
mod generated;
mod hostile;
#[cfg(unix)]
mod isolate;
mod program;
mod tiers;
mod wasmtime_engine;

use aura_protocol_core::{
    Digest, ModuleRef, ProtocolCapabilities, ProtocolInput,
    abi::{Envelope, Op},
};

/// Signed data that names exactly these bytes.
fn reference(bytes: &[u8]) -> ModuleRef {
    ModuleRef {
        digest: Digest::of(bytes),
        sha256: Digest::ZERO,
        size: bytes.len() as u32,
        urls: vec![],
        peers_ok: true,
    }
}

/// A first step that says `text`.
fn signal(text: &[u8]) -> Envelope {
    let input = ProtocolInput::Signal(text.to_vec());
    Envelope::new(Op::Step { state: vec![], caps: ProtocolCapabilities::default(), input })
}

fn guest(name: &str) -> Vec<u8> {
    aura_testkit::guests::load(name).unwrap()
}
