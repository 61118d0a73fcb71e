//! Hostile by what they do: they pass the gate, and are stopped while they run.

use super::{Frame, HostileModule, Stage};

const FUEL: &str = "OutOfFuel";
const STACK: &str = "StackOverflow";
const OUTPUT: &str = "BadOutput";

pub(super) fn modules() -> Vec<HostileModule> {
    let stage = Stage::Step;
    [endless(), lying(), trapping()]
        .concat()
        .into_iter()
        .map(|(name, code, frame)| HostileModule { name, bytes: frame.build(), stage, code })
        .collect()
}

fn body(text: &str) -> Frame {
    Frame::new("hostile", "1.0.0").body(text)
}

type Texts = Vec<(&'static str, &'static str, Frame)>;

fn endless() -> Texts {
    let everything = "(drop (memory.grow (i32.const 254)))";
    let fill = "(memory.fill (i32.const 0) (i32.const 1) (i32.const 16777216))";
    let copy = "(memory.copy (i32.const 0) (i32.const 8) (i32.const 16777208))";
    let recursion =
        "(func $r (param i64) (result i64) (i64.add (i64.const 1) (call $r (local.get 0))))";
    let big_frame = format!(
        "(func $r (param i64) (result i64) (local {}) {} (i64.add (i64.const 1) (call $r (local.get 0))) {})",
        "i64 ".repeat(400),
        (1..400)
            .map(|it| format!("(local.set {it} (i64.add (local.get 0) (i64.const {it})))"))
            .collect::<String>(),
        (1..400).map(|it| format!("(i64.xor (local.get {it}))")).collect::<String>(),
    );
    let indirect = "(type $f (func (result i64))) (table funcref (elem $r))
        (func $r (result i64) (i64.add (i64.const 1) (call_indirect (type $f) (i32.const 0))))";
    vec![
        ("infinite loop", FUEL, body("(loop br 0) unreachable")),
        (
            "infinite loop of loops",
            FUEL,
            body("(loop (loop (br_if 1 (local.get 1))) (br 0)) unreachable"),
        ),
        ("infinite br_table", FUEL, body("(loop (br_table 0 0 (local.get 0))) unreachable")),
        ("fill bomb", FUEL, body(&format!("{everything} (loop {fill} (br 0)) unreachable"))),
        ("copy bomb", FUEL, body(&format!("{everything} (loop {copy} (br 0)) unreachable"))),
        ("grow bomb", FUEL, body("(loop (drop (memory.grow (i32.const 1))) (br 0)) unreachable")),
        ("4 GiB growth at once", FUEL, body("(drop (memory.grow (i32.const -1))) unreachable")),
        (
            "fill of 4 GiB at once",
            FUEL,
            body("(memory.fill (i32.const 0) (i32.const 1) (i32.const -1)) unreachable"),
        ),
        // Each load waits for the one before, over all the memory that there is.
        (
            "pointer chase",
            FUEL,
            body(&format!(
                "(local $at i32) (do) {everything} (loop
                   (i32.store (local.get $at)
                     (i32.add (i32.load (local.get $at)) (i32.const 0x9e3779b1)))
                   (local.set $at (i32.and (i32.const 0xfffffc)
                     (i32.mul (i32.add (local.get $at) (i32.load (local.get $at))) (i32.const 0x85ebca6b))))
                   (br 0)) unreachable"
            )),
        ),
        ("a step that calls itself", STACK, body("(call 2 (local.get 0) (local.get 1))")),
        ("deep recursion", STACK, body("(call $r (i64.const 0))").tail(recursion)),
        ("deep recursion of big frames", STACK, body("(call $r (i64.const 0))").tail(&big_frame)),
        ("deep indirect recursion", STACK, body("(call $r)").tail(indirect)),
    ]
}

fn lying() -> Texts {
    vec![
        ("output outside the memory", OUTPUT, body("i64.const 0x00000010_0001fff8")),
        ("output behind the address space", OUTPUT, body("i64.const 0x00000010_ffffffff")),
        ("output of 4 GiB", OUTPUT, body("i64.const 0xffffffff_00000000")),
        ("output that is no reply", OUTPUT, body("i64.const 0x00000010_00001000")),
        ("no output", OUTPUT, body("i64.const 0")),
        ("the answer to another question", OUTPUT, {
            // What it answered to `Describe` begins at 8; its length does not matter here.
            body("i64.const 0x00000040_00000008")
        }),
        (
            "input buffer outside the memory",
            OUTPUT,
            // An envelope that asks for the description has three bytes.
            body("i64.const 0").input(
                "(select (i32.const 4096) (i32.const -8) (i32.eq (local.get 0) (i32.const 3)))",
            ),
        ),
    ]
}

fn trapping() -> Texts {
    let table = "(type $f (func)) (table 2 funcref)";
    vec![
        ("panic", "Unreachable", body("unreachable")),
        (
            "panic after much work",
            "Unreachable",
            body(
                "(local $i i32) (do) (loop (drop (i32.load (local.get $i)))
                   (br_if 0 (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100000))))
                 unreachable",
            ),
        ),
        (
            "panic for want of memory",
            "OutOfMemory",
            body(
                "(if (i32.eq (memory.grow (i32.const 256)) (i32.const -1)) (then unreachable)) i64.const 0",
            ),
        ),
        ("division by zero", "Arithmetic", body("(i64.div_u (i64.const 1) (i64.const 0))")),
        ("read outside the memory", "OutOfBounds", body("(i64.load (i32.const -8))")),
        (
            "write outside the memory",
            "OutOfBounds",
            body("(i64.store (i32.const -8) (i64.const 1)) i64.const 0"),
        ),
        (
            "call of nothing",
            "BadIndirectCall",
            body("(call_indirect (type $f) (i32.const 0)) i64.const 0").tail(table),
        ),
        (
            "call outside the table",
            "OutOfBounds",
            body("(call_indirect (type $f) (i32.const 9)) i64.const 0").tail(table),
        ),
    ]
}
