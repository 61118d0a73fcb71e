//! What the gate lets through, and that it looks at the digest before anything else.

use aura_protocol_core::Digest;
use aura_testkit::{
    hostile::{self, Frame},
    seed::Seeded,
};
use aura_wasm_host::{
    CallError, Expected, ModuleHost, PrepareError, Refused,
    gate::{self, FUEL_GLOBAL, NO_MEMORY_GLOBAL, STACK_GLOBAL},
    limits::MODULE_BYTES_MAX,
};

use crate::{guest, reference, signal};

const GUESTS: [&str; 4] =
    ["counter-1-0-0", "counter-1-1-0", "counter-2-0-0", "counter-migration-2-0-0"];

/// INV-H1: flipping any bit of any byte is a `DigestMismatch`, before anything is parsed.
#[test]
fn flipping_any_byte_is_a_digest_mismatch() {
    let mut bytes = guest("counter-migration-2-0-0");
    let expected = Expected::of(&bytes);
    for index in 0..bytes.len() {
        bytes[index] ^= 1 << (index % 8);
        let refused = gate::identify(&bytes, expected).unwrap_err();
        assert!(matches!(refused, Refused::DigestMismatch { .. }), "byte {index}: {refused}");
        bytes[index] ^= 1 << (index % 8);
    }
    gate::identify(&bytes, expected).unwrap();
    bytes[20] ^= 1;
    assert_eq!(gate::check(&bytes, expected).unwrap_err().code(), "DigestMismatch");
}

#[test]
fn another_size_is_refused_before_it_is_hashed() {
    let bytes = guest("counter-1-0-0");
    let expected = Expected::of(&bytes);
    let found = bytes.len() as u64;
    for other in [&bytes[..bytes.len() - 1], &[&bytes[..], &[0]].concat()] {
        let refused = gate::check(other, expected).unwrap_err();
        assert_eq!(refused, Refused::SizeMismatch { expected: found, found: other.len() as u64 });
    }
    let huge = vec![0; MODULE_BYTES_MAX + 1];
    assert_eq!(gate::check(&huge, Expected::of(&huge)).unwrap_err().code(), "LimitExceeded");
    assert_eq!(gate::read_descriptor(&huge).unwrap_err().code(), "LimitExceeded");
}

/// INV-H9
#[test]
fn a_survey_finds_what_the_gate_refuses_for() {
    let (mut refused_for, mut most) = (0, 0);
    for module in hostile::corpus() {
        let found = gate::survey(&module.bytes).refusals;
        match gate::check(&module.bytes, Expected::of(&module.bytes)) {
            Ok(_) => assert_eq!(found, [], "{}", module.name),
            Err(refused) => {
                let is_first = found
                    .iter()
                    .any(|it| (it.code(), it.rule()) == (refused.code(), refused.rule()));
                assert!(is_first, "{}: {refused} is not in {found:?}", module.name);
                refused_for += 1;
            }
        }
        assert!(found.iter().all(|it| !it.next().is_empty()));
        most = most.max(found.len());
    }
    assert!(30 < refused_for && 3 < most, "{refused_for} refused, at most by {most} rules");
    for name in GUESTS {
        let survey = gate::survey(&guest(name));
        assert_eq!((survey.refusals, survey.usage.is_empty()), (vec![], false), "{name}");
        assert_eq!(survey.descriptor.map(|it| it.protocol.to_string()).as_deref(), Some("counter"));
    }
}

/// All at once, and each kind once: a module with floats in many places, a start function and an import.
#[test]
fn a_survey_goes_on_after_a_refusal() {
    let text = "(module (import \"env\" \"now\" (func (result i64))) (type (func (param f32)))
        (func $go) (start $go) (memory (export \"memory\") 65)
        (func (export \"__aura_x\")))";
    let found = gate::survey(&wat::parse_str(text).unwrap()).refusals;
    let codes: Vec<_> = found.iter().map(Refused::code).collect();
    let expected = [
        "FeatureNotAllowed",
        "ImportNotAllowed",
        "LimitExceeded",
        "StartFunction",
        "ReservedExport",
        "AbiMarker",
        "MissingExport",
        "MissingExport",
        "MissingExport",
        "DescriptorMissing",
    ];
    assert_eq!(codes, expected, "{found:?}");
}

/// INV-S2: the gate refuses imports and start functions.
#[test]
fn the_guests_pass_and_say_what_they_are() {
    for name in GUESTS {
        let bytes = guest(name);
        let checked = gate::check(&bytes, Expected::of(&bytes)).unwrap();
        assert_eq!(checked.descriptor(), &gate::read_descriptor(&bytes).unwrap());
        let named = name.trim_start_matches("counter-").trim_start_matches("migration-");
        assert_eq!(checked.descriptor().version.to_string().replace('.', "-"), named);
        assert_eq!(checked.descriptor().protocol.as_str(), "counter");
        assert_eq!(checked.descriptor().migration().is_some(), name.contains("migration"));
    }
}

/// INV-H3: the metered form is a function of the bytes.
#[test]
fn instrumentation_is_deterministic_and_keeps_the_interface() {
    for name in GUESTS {
        let bytes = guest(name);
        let once = gate::check(&bytes, Expected::of(&bytes)).unwrap();
        let twice = gate::check(&bytes, Expected::of(&bytes)).unwrap();
        assert_eq!(once.instrumented(), twice.instrumented());
        let text = String::from_utf8_lossy(once.instrumented()).into_owned();
        for export in ["aura_abi_1", "aura_in", "aura_step", "memory"] {
            assert!(text.contains(export), "{name} lost {export}");
        }
        for meter in [FUEL_GLOBAL, STACK_GLOBAL, NO_MEMORY_GLOBAL] {
            assert!(text.contains(meter), "{name} has no {meter}");
        }
        assert!(!text.contains("aura.descriptor"));
    }
}

/// A metered module is no module of a publisher: it names the meters.
#[test]
fn a_metered_module_does_not_pass_again() {
    let bytes = guest("counter-1-0-0");
    let checked = gate::check(&bytes, Expected::of(&bytes)).unwrap();
    let metered = checked.instrumented();
    assert_eq!(gate::check(metered, Expected::of(metered)).unwrap_err().code(), "ReservedExport");
}

/// Several results, which rustc does not make and other languages do.
#[test]
fn what_is_allowed_passes() {
    for (body, tail) in [
        (
            "(drop (drop (call $two))) unreachable",
            "(func $two (result i32 i64) (if (result i32 i64) (i32.const 1)
               (then (return (i32.const 1) (i64.const 2))) (else (i32.const 3) (i64.const 4))))",
        ),
        ("(drop (i32.extend8_s (i32.const 200))) unreachable", "(global (mut i32) (i32.const 0))"),
        (
            "(memory.copy (i32.const 0) (i32.const 8) (i32.const 8)) (call_indirect (type $f) (i32.const 0)) unreachable",
            "(type $f (func)) (func $g) (table 1 2 funcref) (elem (i32.const 0) $g)",
        ),
    ] {
        let bytes = Frame::new("fine", "1.0.0").body(body).tail(tail).build();
        gate::check(&bytes, Expected::of(&bytes)).unwrap();
    }
}

/// INV-H2: whatever arrives, the gate answers, and what it lets through runs or fails by name.
#[test]
fn mutated_modules_are_refused_or_run() {
    let mut random = Seeded::new(1);
    let small = hostile::hidden_counter("mutant", "1.0.0");
    let large = guest("counter-migration-2-0-0");
    let (mut refused, mut ran) = (0, 0);
    for (original, count) in [(&small, 4_000), (&large, 200)] {
        for _ in 0..count {
            let mut bytes = original.clone();
            for _ in 0..=random.below(3) {
                let index = random.below(bytes.len() as u64) as usize;
                bytes[index] = random.next_u64() as u8;
            }
            let host = ModuleHost::in_memory();
            match host.prepare(&bytes, &reference(&bytes)) {
                Err(PrepareError::Host(error)) => panic!("{error}"),
                Err(_) => refused += 1,
                Ok(_) => {
                    ran += 1;
                    match host.call(Digest::of(&bytes), &signal(b"go"), 1_000_000) {
                        Ok(_) | Err(CallError::Trapped(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        }
    }
    assert!(1_000 < refused && 50 < ran, "{refused} refused, {ran} ran");
}
