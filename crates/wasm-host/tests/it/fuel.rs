//! The fuel schedule, pinned: another number here is another schedule, with another version.

use aura_protocol_core::Digest;
use aura_testkit::hostile::Frame;
use aura_wasm_host::{
    CallError, Engine, Expected, ModuleHost, Trapped, WasmerEngine,
    gate::{self, FUEL_SCHEDULE_VERSION},
    vm,
};

use crate::{reference, signal};

/// What a step costs whose body is `body` and then returns no output.
#[track_caller]
fn cost(body: &str, tail: &str) -> u64 {
    let bytes = Frame::new("fuel", "1.0.0").body(&format!("{body} i64.const 0")).tail(tail).build();
    let checked = gate::check(&bytes, Expected::of(&bytes)).unwrap();
    let compiled = WasmerEngine.compile(checked.metered()).unwrap();
    let input = aura_protocol_core::encode(&signal(b""));
    compiled.call(&input, 1 << 40).unwrap().unwrap().fuel_used
}

/// The golden vector of schedule 1.
#[test]
fn schedule_1() {
    assert_eq!(FUEL_SCHEDULE_VERSION, 1);
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

/// The golden vectors of each published schedule: what every operator costs. A change of a price
/// without another version fails here; with another version, another file is added, and this one stays.
#[test]
fn the_schedule_is_the_published_one() {
    let published = match FUEL_SCHEDULE_VERSION {
        1 => include_str!("fuel_schedule_1.txt"),
        other => panic!("add fuel_schedule_{other}.txt"),
    };
    let found: String = operators()
        .map(|(text, tail)| {
            let tail = format!(
                "(func $f) (table 1 funcref) (type $t (func)) (elem (i32.const 0) $f) {tail}"
            );
            format!("{} {text}\n", cost(&text, &tail) - 6)
        })
        .collect();
    assert_eq!(found, published, "what it is now:\n{found}");
}

/// Every operator that the gate lets through, with operands that cost one unit each.
pub fn operators() -> impl Iterator<Item = (String, &'static str)> {
    let int = |ty: &str, value: u32| format!("({ty}.const {value})");
    let mut texts: Vec<String> = vec![];
    for ty in ["i32", "i64"] {
        let (a, b) = (int(ty, 9), int(ty, 3));
        for name in [
            "add", "sub", "mul", "div_s", "div_u", "rem_s", "rem_u", "and", "or", "xor", "shl",
            "shr_s", "shr_u", "rotl", "rotr", "eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s",
            "le_u", "ge_s", "ge_u",
        ] {
            texts.push(format!("(drop ({ty}.{name} {a} {b}))"));
        }
        for name in ["clz", "ctz", "popcnt", "eqz", "extend8_s", "extend16_s"] {
            texts.push(format!("(drop ({ty}.{name} {a}))"));
        }
        let address = int("i32", 8);
        for name in ["load", "load8_s", "load8_u", "load16_s", "load16_u"] {
            texts.push(format!("(drop ({ty}.{name} {address}))"));
        }
        for name in ["store", "store8", "store16"] {
            texts.push(format!("({ty}.{name} {address} {a})"));
        }
        texts.push(format!("(drop (select {a} {b} (i32.const 1)))"));
    }
    texts.extend(
        [
            "nop",
            "(block)",
            "(loop)",
            "(block (br 0))",
            "(block (br_if 0 (i32.const 1)))",
            "(block (br_table 0 0 (i32.const 1)))",
            "(if (i32.const 1) (then))",
            "(if (i32.const 0) (then) (else nop))",
            "(call $f)",
            "(call_indirect (type $t) (i32.const 0))",
            "(drop (local.get 0))",
            "(local.set 0 (i32.const 1))",
            "(drop (local.tee 0 (i32.const 1)))",
            "(drop (global.get $g))",
            "(global.set $g (i32.const 1))",
            "(drop (memory.size))",
            "(drop (memory.grow (i32.const 0)))",
            "(drop (memory.grow (i32.const 1)))",
            "(drop (memory.grow (i32.const 300)))",
            "(memory.fill (i32.const 0) (i32.const 0) (i32.const 0))",
            "(memory.fill (i32.const 0) (i32.const 0) (i32.const 65536))",
            "(memory.copy (i32.const 0) (i32.const 0) (i32.const 7))",
            "(memory.copy (i32.const 0) (i32.const 0) (i32.const 65536))",
            "(drop (i32.wrap_i64 (i64.const 1)))",
            "(drop (i64.extend_i32_s (i32.const 1)))",
            "(drop (i64.extend_i32_u (i32.const 1)))",
            "(drop (i64.extend32_s (i64.const 1)))",
            "(drop (i64.load32_s (i32.const 8)))",
            "(drop (i64.load32_u (i32.const 8)))",
            "(i64.store32 (i32.const 8) (i64.const 1))",
        ]
        .map(str::to_owned),
    );
    texts.into_iter().map(|it| (it, "(global $g (mut i32) (i32.const 0))"))
}

/// Attack 21, fuel lost by a panic: fuel is taken before the work: a module that gives up keeps its debit, on every engine.
#[test]
fn a_panic_keeps_the_debit() {
    let body = "(local $i i32) (do) (loop (br_if 0 (i32.lt_u (local.tee $i
        (i32.add (local.get $i) (i32.const 1))) (i32.const 1000)))) unreachable";
    let bytes = Frame::new("fuel", "1.0.0").body(body).build();
    let checked = gate::check(&bytes, Expected::of(&bytes)).unwrap();
    for engine in crate::differential::engines() {
        let compiled = engine.compile(checked.metered()).unwrap();
        let mut instance = compiled.instance().unwrap().unwrap();
        let input = aura_protocol_core::encode(&signal(b""));
        let called = vm::call(instance.as_mut(), &input, 1_000_000).unwrap();
        assert_eq!(called, Err(Trapped::Unreachable));
        let spent = 1_000_000 - instance.meters().unwrap().fuel_left;
        assert_eq!(spent, 5 + 1_000 * 7 + 1, "{}", engine.id());
    }
}

/// The golden vector of the rewriting: other bytes are another version of the gate.
#[test]
fn instrumented_bytes() {
    let bytes = Frame::new("fuel", "1.0.0")
        .body("(loop (br_if 0 (call $f (memory.grow (i32.const 1))))) i64.const 0")
        .tail("(func $f (param i32) (result i32) (return (local.get 0)))")
        .build();
    let checked = gate::check(&bytes, Expected::of(&bytes)).unwrap();
    assert_eq!(gate::VERSION, 3);
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
    let compiled = WasmerEngine.compile(checked.metered()).unwrap();
    let input = aura_protocol_core::encode(&signal(b""));
    let used = compiled.call(&input, u64::MAX).unwrap().unwrap().fuel_used;
    assert_eq!(used, 6 + 2 + 5 * 100);
    assert_eq!(compiled.call(&input, used).unwrap().unwrap().fuel_used, used);
    assert_eq!(compiled.call(&input, used - 1).unwrap(), Err(Trapped::OutOfFuel));
    assert_eq!(compiled.call(&input, 0).unwrap(), Err(Trapped::OutOfFuel));
}

/// Attack 20, recursion: the logical stack is the same on every machine: so many frames, and not one more.
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
