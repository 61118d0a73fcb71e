//! What the gate lets through costs little, and what it refuses nothing.

use aura_protocol_core::limits::STEP_FUEL_MAX;
use aura_testkit::{hostile, hostile::Frame};
use aura_wasm_host::{Expected, gate};

use crate::{cost, fuel};

/// What a hostile module may cost: a second of processor time, and 256 MB.
const CPU_MS_MAX: u64 = 1_000;
const MEMORY_MB_MAX: u64 = 256;

/// INV-H6. Attack 19, a compile bomb: modules that use each limit as far as it goes.
#[test]
fn what_passes_the_gate_is_cheap_to_compile() {
    for (name, bytes) in hostile::at_the_limits() {
        let checked = gate::check(&bytes, Expected::of(&bytes));
        let checked = checked.unwrap_or_else(|refused| panic!("{name}: {refused}"));
        check(name, "Unreachable", &bytes);
        let time = checked.usage().iter().find(|it| it.rule == "module compile time").unwrap();
        println!("  {name}: {} estimated", time.found);
    }
}

/// INV-H6. Attacks 18 to 21: gate, compiler and one step of each hostile module.
#[test]
fn each_hostile_module_is_cheap() {
    for module in hostile::corpus() {
        check(module.name, module.code, &module.bytes);
    }
}

/// What a share of a step's fuel is measured with.
const SHARE: u64 = 5;

/// INV-H6. Attack 21, mispricing: no operator is so cheap that a step of nothing else takes longer than a step may. Each is
/// repeated until a fifth of the fuel is out, or the step has gone wrong of itself.
#[test]
fn each_operator_is_worth_its_price() {
    const TABLE: &str = "(func $f) (table 1 funcref) (type $t (func)) (elem (i32.const 0) $f)";
    let mut worst = (0, String::new());
    for (text, tail) in fuel::operators() {
        let body = format!("(loop {} (br 0)) unreachable", format!("{text} ").repeat(50));
        let frame = Frame::new("price", "1.0.0").body(&body).tail(&format!("{TABLE} {tail}"));
        let module = frame.build();
        let step = || cost::step_ms(&module, STEP_FUEL_MAX / SHARE);
        let cost = least(step, |it| *it <= CPU_MS_MAX / SHARE);
        assert!(cost <= CPU_MS_MAX / SHARE, "{text}: {cost} ms");
        worst = worst.max((cost, text));
    }
    println!("the dearest step: {worst:?}");
}

/// The first measurement that is good, else the last of three: what else the machine does may cost a
/// process time, and never gives it any.
fn least<T>(measure: impl Fn() -> T, is_good: impl Fn(&T) -> bool) -> T {
    let first = measure();
    if is_good(&first) {
        return first;
    }
    let second = measure();
    if is_good(&second) { second } else { measure() }
}

#[track_caller]
fn check(name: &str, verdict: &str, bytes: &[u8]) {
    let cost = least(|| cost::measure(bytes), |it| it.cpu_ms <= CPU_MS_MAX);
    println!("{name}: {} ms, {} MB", cost.cpu_ms, cost.memory_mb);
    assert_eq!(cost.verdict, verdict, "{name}");
    assert!(cost.cpu_ms <= CPU_MS_MAX, "{name}: {cost:?}");
    assert!(cost.memory_mb <= MEMORY_MB_MAX, "{name}: {cost:?}");
}
