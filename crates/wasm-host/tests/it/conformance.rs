//! The counters natively and as modules, through the same seeded sessions.

use aura_protocol_core::{Digest, ProtocolCapabilities, ProtocolLifecycle, limits::STEP_FUEL_MAX};
use aura_testkit::{Script, conformance, seed::Seeded};
use aura_wasm_host::ModuleHost;

use crate::{guest, reference};

/// INV-K2: a protocol answers alike in both its homes.
#[track_caller]
fn check<P: ProtocolLifecycle>(name: &str, spoken: &str) {
    let host = ModuleHost::in_memory();
    let bytes = guest(name);
    assert_eq!(host.prepare(&bytes, &reference(&bytes)).unwrap(), P::descriptor());
    let caps = ProtocolCapabilities::default();
    for seed in 0..150 {
        let script =
            Script::seeded(seed, spoken.parse().unwrap(), &["add", "add", "take"], payload);
        let module = |envelope: &_| {
            let called = host.call(Digest::of(&bytes), envelope, STEP_FUEL_MAX);
            called.map(|it| it.0).map_err(|error| error.to_string())
        };
        let trace = conformance::check::<P, Failure>(&script, &caps, |envelope| {
            module(envelope).map_err(Failure)
        });
        assert!(trace.is_ok(), "seed {seed}: {trace:?}");
    }
}

#[derive(Debug)]
struct Failure(#[expect(dead_code, reason = "shown by Debug")] String);

impl From<aura_testkit::Divergence> for Failure {
    fn from(divergence: aura_testkit::Divergence) -> Self {
        Self(divergence.to_string())
    }
}

/// Numbers in both spellings, large ones, and things that are no number.
fn payload(random: &mut Seeded) -> Vec<u8> {
    match random.below(8) {
        0..3 => random.below(100).to_le_bytes().to_vec(),
        3..6 => random.below(100).to_string().into_bytes(),
        6 => u64::MAX.to_le_bytes().to_vec(),
        _ => random.bytes(9),
    }
}

#[test]
fn counter_1_0_0() {
    check::<counter_1_0_0::Counter>("counter-1-0-0", "1.0.0");
}

/// INV-K2: a module written in another language from docs/abi.md alone is the same protocol, byte for
/// byte: states, effects, errors and outcomes.
#[test]
fn counter_1_0_0_in_c() {
    for spoken in ["1.0.0", "1.1.0", "2.0.0"] {
        check::<counter_1_0_0::Counter>("counter-1-0-0-c", spoken);
    }
}

#[test]
fn counter_1_1_0() {
    check::<counter_1_1_0::Counter>("counter-1-1-0", "1.0.0");
    check::<counter_1_1_0::Counter>("counter-1-1-0", "1.1.0");
}

#[test]
fn counter_2_0_0() {
    check::<counter_2_0_0::Counter>("counter-2-0-0", "2.0.0");
}

/// Where all speak 1.0, 1.1.0 is 1.0.0: that is what makes it a soft fork.
#[test]
fn counter_1_1_0_speaking_1_0_is_counter_1_0_0() {
    let host = ModuleHost::in_memory();
    let bytes = guest("counter-1-1-0");
    host.prepare(&bytes, &reference(&bytes)).unwrap();
    for seed in 0..100 {
        let script = Script::seeded(seed, "1.0.0".parse().unwrap(), &["add"], payload);
        let caps = ProtocolCapabilities::default();
        conformance::check::<counter_1_0_0::Counter, Failure>(&script, &caps, |envelope| {
            let called = host.call(Digest::of(&bytes), envelope, STEP_FUEL_MAX);
            called.map(|it| it.0).map_err(|error| Failure(error.to_string()))
        })
        .unwrap();
    }
}
