//! What the gate lets through costs little, and what it refuses nothing.

use aura_testkit::hostile;
use aura_wasm_host::{Expected, gate};

use crate::cost;

/// What a hostile module may cost: a second of processor time, and 256 MB.
const CPU_MS_MAX: u64 = 1_000;
const MEMORY_MB_MAX: u64 = 256;

/// INV-H6: modules that use each limit as far as it goes.
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

/// INV-H6: gate, compiler and one step of each hostile module.
#[test]
fn each_hostile_module_is_cheap() {
    for module in hostile::corpus() {
        check(module.name, module.code, &module.bytes);
    }
}

#[track_caller]
fn check(name: &str, verdict: &str, bytes: &[u8]) {
    let cost = cost::measure(bytes);
    println!("{name}: {} ms, {} MB", cost.cpu_ms, cost.memory_mb);
    assert_eq!(cost.verdict, verdict, "{name}");
    assert!(cost.cpu_ms <= CPU_MS_MAX, "{name}: {cost:?}");
    assert!(cost.memory_mb <= MEMORY_MB_MAX, "{name}: {cost:?}");
}
