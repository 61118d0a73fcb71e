//! The fuel schedule, pinned: another number here is another schedule, with another version.

use aura_protocol_core::Digest;
use aura_testkit::hostile::Frame;
use aura_wasm_host::{
    CallError, Engine, Expected, ModuleHost, Trapped, WasmerEngine,
    gate::{self, fuel::SCHEDULE_VERSION},
};

use crate::{reference, signal};

/// What a step costs whose body is `body` and then returns no output.
#[track_caller]
fn cost(body: &str, tail: &str) -> u64 {
    let bytes = Frame::new("fuel", "1.0.0").body(&format!("{body} i64.const 0")).tail(tail).build();
    let checked = gate::check(&bytes, Expected::of(&bytes)).unwrap();
    let compiled = WasmerEngine.compile(&checked).unwrap();
    let input = aura_protocol_core::encode(&signal(b""));
    compiled.call(&input, 1 << 40).unwrap().unwrap().fuel_used
}

/// The golden vector of schedule 1.
#[test]
fn schedule_1() {
    assert_eq!(SCHEDULE_VERSION, 1);
    let base = cost("", "");
    assert_eq!(base, 6, "i32.const; local.get, i32.load8_u, i32.eqz, if; i64.const");
    let check =
        |body: &str, expect: u64| assert_eq!(cost(body, "(func $f)") - base, expect, "{body}");
    check("nop block end", 0);
    check("(drop (i32.const 1))", 2);
    check("(drop (i64.div_u (i64.const 8) (i64.const 2)))", 11);
    check("(drop (i32.rem_s (i32.const 8) (i32.const 2)))", 11);
    check("(call $f)", 4);
    check("(block (br 0))", 1);
    check("(loop (br_if 0 (i32.const 0)))", 2);
    check("(if (i32.const 1) (then (drop (i32.const 1))))", 4);
    check("(memory.fill (i32.const 0) (i32.const 0) (i32.const 0))", 19);
    check("(memory.fill (i32.const 0) (i32.const 0) (i32.const 4096))", 19 + 512);
    check("(memory.copy (i32.const 0) (i32.const 8) (i32.const 800))", 19 + 100);
    check("(drop (memory.grow (i32.const 0)))", 1_002);
    check("(drop (memory.grow (i32.const 3)))", 1_002 + 3 * 4_096);
    check("(drop (memory.grow (i32.const 256)))", 1_002 + 256 * 4_096);
}

/// The golden vector of the rewriting: other bytes are another version of the gate.
#[test]
fn instrumented_bytes() {
    let bytes = Frame::new("fuel", "1.0.0")
        .body("(loop (br_if 0 (call $f (memory.grow (i32.const 1))))) i64.const 0")
        .tail("(func $f (param i32) (result i32) (return (local.get 0)))")
        .build();
    let checked = gate::check(&bytes, Expected::of(&bytes)).unwrap();
    assert_eq!(gate::VERSION, 1);
    assert_eq!(
        Digest::of(checked.instrumented()).to_string(),
        "37da33a9ff9de233041465d42036a5710bed75731e69048972220f6ad4ec1898"
    );
}

/// INV-H3: a step that needs n units runs with n, and not with n - 1.
#[test]
fn fuel_is_exact() {
    let bytes = Frame::new("fuel", "1.0.0")
        .body("(local $i i32) (do) (local.set $i (i32.const 100)) (loop (br_if 0 (local.tee $i (i32.sub (local.get $i) (i32.const 1))))) i64.const 0")
        .build();
    let checked = gate::check(&bytes, Expected::of(&bytes)).unwrap();
    let compiled = WasmerEngine.compile(&checked).unwrap();
    let input = aura_protocol_core::encode(&signal(b""));
    let used = compiled.call(&input, u64::MAX).unwrap().unwrap().fuel_used;
    assert_eq!(used, 6 + 2 + 5 * 100);
    assert_eq!(compiled.call(&input, used).unwrap().unwrap().fuel_used, used);
    assert_eq!(compiled.call(&input, used - 1).unwrap(), Err(Trapped::OutOfFuel));
    assert_eq!(compiled.call(&input, 0).unwrap(), Err(Trapped::OutOfFuel));
}

/// The logical stack is the same on every machine: so many frames, and not one more.
#[test]
fn the_stack_budget_is_exact() {
    let depth_ok = |depth: u32| {
        let bytes = Frame::new("stack", "1.0.0")
            .body(&format!("(drop (call $down (i32.const {depth}))) i64.const 0"))
            .tail("(func $down (param i32) (result i32) (if (result i32) (local.get 0)
                     (then (call $down (i32.sub (local.get 0) (i32.const 1)))) (else (i32.const 0))))")
            .build();
        let host = ModuleHost::in_memory();
        host.prepare(&bytes, &reference(&bytes)).unwrap();
        match host.call(Digest::of(&bytes), &signal(b""), 1 << 30).unwrap_err() {
            CallError::Trapped(Trapped::BadOutput(_)) => true, // It came back, with no output.
            CallError::Trapped(Trapped::StackOverflow) => false,
            other => panic!("{other:?}"),
        }
    };
    // A frame: 4, a parameter, at most two operands. The first: 4, two parameters, one operand.
    let frames = (32_768 - 7) / 7;
    assert!(depth_ok(frames - 1));
    assert!(!depth_ok(frames));
}
