//! Hostile by their shape: the gate refuses them before anything is compiled.

use aura_protocol_core::encode;

use super::{
    Frame, HostileModule, Stage,
    frame::{append_section, descriptor},
};

const LIMIT: &str = "LimitExceeded";
const FEATURE: &str = "FeatureNotAllowed";
const IMPORT: &str = "ImportNotAllowed";
const MALFORMED: &str = "Malformed";

pub(super) fn modules() -> Vec<HostileModule> {
    let built = texts().into_iter().map(|(name, code, frame)| (name, code, frame.build()));
    let stage = Stage::Prepare;
    built
        .chain(bytes())
        .map(|(name, code, bytes)| HostileModule { name, bytes, stage, code })
        .collect()
}

fn hostile() -> Frame {
    Frame::new("hostile", "1.0.0")
}

fn texts() -> Vec<(&'static str, &'static str, Frame)> {
    let body = |text: &str| hostile().body(text);
    let tail = |text: &str| hostile().tail(text);
    let memory = |text: &str| hostile().memory(text);
    [imports_and_limits(), oversized(), features_of_code(), features_of_shape()]
        .concat()
        .into_iter()
        .chain([
            ("start loop", "StartFunction", tail("(func $s (loop br 0)) (start $s)")),
            ("nothing but a start", "StartFunction", tail("(func $s) (start $s)")),
            ("wrong interface", "AbiMarker", hostile().marker("(func (export \"aura_abi_2\"))")),
            ("no interface", "AbiMarker", hostile().marker("")),
            (
                "two markers",
                "AbiMarker",
                tail("(func (export \"aura_abi_2\"))"),
            ),
            (
                "a marker that is a global",
                "MissingExport",
                hostile().marker("(global (export \"aura_abi_1\") i32 (i32.const 0))"),
            ),
            ("hidden memory", "MissingExport", memory("(memory 2)")),
            (
                "step of another type",
                "MissingExport",
                hostile().step("(func (export \"aura_step\") (param i32 i32) (result i32) i32.const 0)"),
            ),
            ("no step", "MissingExport", hostile().step("")),
            (
                "names the meter",
                "ReservedExport",
                tail("(global (export \"__aura_fuel\") (mut i64) (i64.const 0))"),
            ),
            (
                "input and step call each other",
                "StackOverflow",
                hostile()
                    .input("(i32.wrap_i64 (call $s (local.get 0) (local.get 0)))")
                    .step(
                        "(func $s (export \"aura_step\") (param i32 i32) (result i64)
                           (i64.extend_i32_u (call 1 (local.get 0))))",
                    ),
            ),
            (
                "describes itself for ever",
                "OutOfFuel",
                hostile().step("(func (export \"aura_step\") (param i32 i32) (result i64) (loop br 0) i64.const 0)"),
            ),
            (
                "an endless segment of functions",
                "OutOfBounds",
                tail(&format!("(func $f) (table 9 funcref) (elem (i32.const 0) {})", "$f ".repeat(900_000))),
            ),
            (
                "data behind the memory",
                "OutOfBounds",
                tail(&format!("(data (i32.const 0) \"{}\")", "a".repeat(3 << 20))),
            ),
            ("falls through", MALFORMED, body("i32.const 1")),
            ("branches nowhere", MALFORMED, body("br 7")),
        ])
        .collect()
}

type Texts = Vec<(&'static str, &'static str, Frame)>;

fn imports_and_limits() -> Texts {
    let head = |text: &str| hostile().head(text);
    let memory = |text: &str| hostile().memory(text);
    let tail = |text: &str| hostile().tail(text);
    vec![
        (
            "unknown import",
            IMPORT,
            head("(import \"env\" \"open\" (func (param i32) (result i32)))"),
        ),
        (
            "WASI import",
            IMPORT,
            head(
                "(import \"wasi_snapshot_preview1\" \"clock_time_get\" (func (param i32 i64 i32) (result i32)))",
            ),
        ),
        ("imported memory", IMPORT, {
            memory("(import \"env\" \"memory\" (memory 2)) (export \"memory\" (memory 0))")
        }),
        ("4 GiB minimum", LIMIT, memory("(memory (export \"memory\") 65536)")),
        ("4 GiB maximum", LIMIT, memory("(memory (export \"memory\") 2 65536)")),
        ("100 M table", LIMIT, tail("(table 100000000 funcref)")),
        ("growing table", LIMIT, tail("(table 1 100000000 funcref)")),
    ]
}

fn oversized() -> Texts {
    let body = |text: &str| hostile().body(text);
    let store = |it: u32| format!("(i32.store (i32.const {}) (i32.const {it}))", it & 0xfff0);
    let stores: String = (0..200_000).map(store).collect();
    let repeat = |text: &str, count| text.repeat(count);
    let nested = format!("{} {} unreachable", repeat("block ", 20_000), repeat("end ", 20_000));
    let wide_table = format!("(br_table {} 0 (local.get 0)) unreachable", repeat("0 ", 2_000));
    let operands = format!("{} unreachable", repeat("i32.const 0 ", 1_000));
    vec![
        ("giant function", LIMIT, body(&format!("{stores} unreachable"))),
        ("20,000 nested blocks", LIMIT, body(&nested)),
        ("wide br_table", LIMIT, body(&wide_table)),
        ("br_table times locals", LIMIT, body(&branches(200, 200, 480))),
        ("many functions with branches", LIMIT, many_branches()),
        (
            "nothing but calls",
            LIMIT,
            hostile().tail(&repeat(
                &format!("(func (param i32 i32) {})", repeat("(call 0) ", 12_000)),
                20,
            )),
        ),
        (
            "nothing but loops",
            LIMIT,
            body(&format!("{} unreachable", repeat("(loop (br_if 0 (local.get 0)))", 6_000))),
        ),
        (
            "functions times parameters",
            LIMIT,
            hostile().tail(&repeat(&format!("(func (param {}))", repeat("i64 ", 100)), 19_000)),
        ),
        (
            "49,000 locals",
            LIMIT,
            body(&format!("(local {}) (do) unreachable", repeat("i64 ", 49_000))),
        ),
        ("100,000 functions", LIMIT, hostile().tail(&repeat("(func)", 100_000))),
        (
            "900 parameters",
            LIMIT,
            hostile().tail(&format!("(func (param {}))", repeat("i64 ", 900))),
        ),
        ("1,000 operands", LIMIT, body(&operands)),
        ("10,000 globals", LIMIT, hostile().tail(&repeat("(global i32 (i32.const 0))", 10_000))),
    ]
}

/// `depth` blocks, `tables` switches over all of them, and `locals` that live across each: what
/// makes a compiler write `depth` × `tables` × `locals` block parameters.
fn branches(depth: usize, tables: usize, locals: usize) -> String {
    let targets: String = (0..depth).map(|it| format!("{it} ")).collect();
    let table = format!(
        "block local.get 0 br_if 0 local.get 1 br_table {targets} end
         local.get 2 i64.const 1 i64.add local.set 3 "
    );
    format!(
        "(local {}) (do) {} {} {} unreachable",
        "i64 ".repeat(locals),
        "block ".repeat(depth),
        table.repeat(tables),
        "end local.get 3 i64.const 3 i64.add local.set 2 ".repeat(depth)
    )
}

/// Each function is cheap enough, all of them are not.
fn many_branches() -> Frame {
    let one = branches(16, 20, 400).replace("(do)", "");
    hostile().tail(&format!("(func (param i32 i32) {one})").repeat(20))
}

fn features_of_code() -> Texts {
    [
        ("atomics", "(drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1))) unreachable"),
        ("SIMD", "(drop (v128.const i64x2 1 2)) unreachable"),
        (
            "relaxed SIMD",
            "(drop (f32x4.relaxed_madd (v128.const i64x2 1 2) (v128.const i64x2 1 2) (v128.const i64x2 1 2))) unreachable",
        ),
        ("floats", "(drop (f64.div (f64.const 0) (f64.const 0))) unreachable"),
        ("float reinterpretation", "(i64.reinterpret_f64 (f64.const 1))"),
        ("saturating float", "(drop (i32.trunc_sat_f32_s (f32.const 1))) unreachable"),
        ("float local", "(local f32) (do) unreachable"),
        ("SIMD local", "(local v128) (do) unreachable"),
        ("reference local", "(local externref) (do) unreachable"),
        ("float block", "(drop (block (result f64) unreachable)) unreachable"),
        ("tail call", "(return_call 0 (local.get 0) (local.get 1))"),
        ("null reference", "(drop (ref.null func)) unreachable"),
    ]
    .map(|(name, text)| (name, FEATURE, hostile().body(text)))
    .into()
}

fn features_of_shape() -> Texts {
    let memory = |text: &str| hostile().memory(text);
    let tail = |text: &str| hostile().tail(text);
    vec![
        ("shared memory", FEATURE, memory("(memory (export \"memory\") 2 2 shared)")),
        ("64-bit memory", FEATURE, memory("(memory (export \"memory\") i64 2)").step("")),
        ("two memories", FEATURE, tail("(memory 1)")),
        ("float parameter", FEATURE, tail("(func (param f32))")),
        ("float global", FEATURE, tail("(global f64 (f64.const 0))")),
        ("reference global", FEATURE, tail("(global externref (ref.null extern))")),
        ("exceptions", FEATURE, tail("(tag (param i32))")),
        ("reference table", FEATURE, tail("(table 1 externref)")),
        (
            "table growth",
            FEATURE,
            tail("(table 1 funcref)")
                .body("(drop (table.grow 0 (ref.null func) (i32.const 100000000))) unreachable"),
        ),
        (
            "passive data",
            FEATURE,
            tail("(data $d \"x\")")
                .body("(memory.init $d (i32.const 0) (i32.const 0) (i32.const 1)) unreachable"),
        ),
    ]
}

/// A session type.
const GOOD: &[u8] =
    b"session s {\n    msg {\n        Word(u8),\n    }\n    write word: Word by Opener;\n}\n";
/// The same with one space more.
const SPACED: &[u8] =
    b"session s {\n    msg {\n        Word(u8),\n    }\n    write word:  Word by Opener;\n}\n";
/// It reads well and waits for what nobody has said.
const DEADLOCKED: &[u8] =
    b"session s {\n    msg {\n        Word(u8),\n    }\n    gather words: Word[all];\n}\n";

fn bytes() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let good = hostile().build();
    let naked = hostile().section(None).build();
    let described = |content: &[u8]| {
        let mut module = naked.clone();
        append_section(&mut module, content);
        module
    };
    let (ours, another) = (descriptor("hostile", "1.0.0"), descriptor("hostile", "1.0.1"));
    let mut other_abi = ours.clone();
    other_abi.abi = 2;
    let typed = |text: &[u8]| {
        let mut typed = ours.clone();
        typed.session_types = vec![text.to_vec()];
        described(&encode(&typed))
    };
    let mut second = ours.clone();
    second.session_types = vec![GOOD.to_vec(), DEADLOCKED.to_vec()];
    let mut two = good.clone();
    append_section(&mut two, &encode(&ours));
    let half = good.get(..good.len() / 2).unwrap_or_default().to_vec();
    let mut version = good.clone();
    if let Some(byte) = version.get_mut(4) {
        *byte = 9;
    }
    vec![
        ("four billion locals in six bytes", LIMIT, {
            let code = b"\x0a\x0a\x01\x08\x01\xff\xff\xff\xff\x0f\x7e\x0b";
            [b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0".as_slice(), code].concat()
        }),
        ("a compressed module", MALFORMED, {
            // What gzip makes of a gigabyte of zeros begins like this.
            [b"\x1f\x8b\x08\0\0\0\0\0\x02\xff\xec\xc1".as_slice(), &[0; 1_000]].concat()
        }),
        ("truncated", MALFORMED, half),
        ("no WebAssembly", MALFORMED, b"MZ this is another kind of program".to_vec()),
        ("another WebAssembly", MALFORMED, version),
        ("nothing", MALFORMED, vec![]),
        ("a component", FEATURE, b"\0asm\x0d\0\x01\0".to_vec()),
        ("no descriptor", "DescriptorMissing", naked.clone()),
        ("two descriptors", "DescriptorMalformed", two),
        (
            "descriptor with a tail",
            "DescriptorMalformed",
            described(&[encode(&ours), vec![0]].concat()),
        ),
        ("empty descriptor", "DescriptorMalformed", described(&[])),
        ("endless descriptor", LIMIT, described(&[0; 17 << 10])),
        ("descriptor of another interface", "AbiVersion", described(&encode(&other_abi))),
        ("a session type that is no text", "SessionType", typed(&[0xff, 0xfe])),
        ("a session type that is another text", "SessionType", typed(b"to be agreed")),
        ("a session type without canonical text", "SessionType", typed(SPACED)),
        ("a session type that breaks a rule", "SessionType", typed(DEADLOCKED)),
        ("a session type beside a good one", "SessionType", described(&encode(&second))),
        ("a session type without end", "SessionType", typed(&[b'('; 7_000])),
        ("descriptor lies", "DescriptorLies", described(&encode(&another))),
    ]
}
