//! Modules that break no rule and use one as far as it goes: what they cost is what the rules allow.

use super::Frame;

const TABLE: &str =
    "(type $t (func)) (table 2500 funcref) (elem (i32.const 0) $nothing) (func $nothing)";

/// Each passes the gate, and none may take a compiler more than a second or 256 MB.
#[must_use]
pub fn at_the_limits() -> Vec<(&'static str, Vec<u8>)> {
    let built = |(name, tail): (_, String)| {
        (name, Frame::new("large", "1.0.0").tail(&format!("{TABLE} {tail}")).build())
    };
    repeated().into_iter().chain(wide()).map(built).collect()
}

/// As many functions as there may be, each of one thing as often as it may be.
fn repeated() -> Vec<(&'static str, String)> {
    let condition = "(i32.wrap_i64 (local.get 0))";
    let branch = format!("(br_if 0 {condition})");
    let looping = format!("(loop (br_if 0 {condition}))");
    let choice = format!("(if {condition} (then (local.set 1 (i64.const 1))))");
    vec![
        ("stores", 31, 9_000, "(i32.store (i32.const 1) (i32.const 2))".to_owned()),
        ("calls", 4, 19_000, "(call $nothing)".to_owned()),
        ("many calls", 90, 1_000, "(call $nothing)".to_owned()),
        ("indirect calls", 4, 6_000, "(call_indirect (type $t) (i32.const 0))".to_owned()),
        (
            "divisions",
            22,
            9_000,
            "(local.set 0 (i64.div_u (local.get 0) (local.get 1)))".to_owned(),
        ),
        ("growth", 5, 1_000, "(drop (memory.grow (i32.const 0)))".to_owned()),
        ("fills", 6, 1_500, "(memory.fill (i32.const 0) (i32.const 0) (i32.const 0))".to_owned()),
        ("branches", 5, 3_600, branch.clone()),
        ("branches in many functions", 85, 500, branch),
        ("loops", 5, 900, looping.clone()),
        ("loops in many functions", 85, 120, looping),
        ("choices", 5, 1_700, choice),
    ]
    .into_iter()
    .map(|(name, functions, times, text)| (name, functions_of(functions, times, &text)))
    .collect()
}

fn functions_of(count: usize, times: usize, text: &str) -> String {
    format!("(func (param i64 i64) {})", text.repeat(times)).repeat(count)
}

/// Large in other ways.
fn wide() -> Vec<(&'static str, String)> {
    let parameters = "i64 ".repeat(100);
    let wide_call = format!("{} call $wide ", "local.get 0 ".repeat(100));
    let switch = format!("(block (br_table {} (i32.wrap_i64 (local.get 0))))", "0 ".repeat(1_020));
    vec![
        ("branches across many locals", branches_across_locals()),
        ("small functions", "(func)".repeat(15_000)),
        ("wide functions", format!("(func (param {parameters}))").repeat(9_700)),
        (
            "wide calls",
            format!("(func $wide (param {parameters})) {}", functions_of(30, 280, &wide_call)),
        ),
        ("wide switches", functions_of(5, 3, &switch)),
        ("locals that live long", long_lived()),
        ("a full table", format!("(elem (i32.const 0) {})", "$nothing ".repeat(2_500))),
    ]
}

fn branches_across_locals() -> String {
    let table: String = (0..16).map(|it| format!("{it} ")).collect();
    let switch = format!(
        "block local.get 0 br_if 0 local.get 1 br_table {table} end
        local.get 2 i64.const 1 i64.add local.set 3 "
    );
    format!(
        "(func (param i32 i32) (local {}) {} {} {})",
        "i64 ".repeat(400),
        "block ".repeat(16),
        switch.repeat(22),
        "end local.get 3 i64.const 3 i64.add local.set 2 ".repeat(16),
    )
    .repeat(5)
}

/// All locals are alive across everything, and everything is a call.
fn long_lived() -> String {
    let locals = 500;
    let set = |it| format!("(local.set {it} (i64.add (local.get 0) (i64.const {it})))");
    let set: String = (1..locals).map(set).collect();
    let mix: String = (1..locals).map(|it| format!("(i64.xor (local.get {it}))")).collect();
    let body = format!("{set} {} (local.get 0) {mix}", "(call $nothing)".repeat(5_000));
    let locals = "i64 ".repeat(locals - 1);
    format!("(func (param i64) (result i64) (local {locals}) {body})").repeat(16)
}
