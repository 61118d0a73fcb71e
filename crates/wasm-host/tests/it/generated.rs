//! Modules that a seed determines, to compare engines with.
//!
//! Half come from wasm-smith, which knows every corner of the format and mostly traps early; half are
//! programs of our own, which run long, and use memory, tables and bulk operations.

use arbitrary::Unstructured;
use aura_testkit::{hostile, seed::Seeded};
use wasm_smith::Config;

use super::program;

/// The module of `seed`; none where wasm-smith makes nothing of it.
pub fn module(seed: u64) -> Option<Vec<u8>> {
    match seed % 4 {
        0 => smith(seed, false),
        2 => smith(seed, true),
        _ => Some(program::generate(&mut Seeded::new(seed))),
    }
}

fn smith(seed: u64, bulk: bool) -> Option<Vec<u8>> {
    let mut random = Seeded::new(seed);
    let entropy: Vec<u8> = (0..6_000).map(|_| random.next_u64() as u8).collect();
    let module = wasm_smith::Module::new(config(bulk), &mut Unstructured::new(&entropy)).ok()?;
    Some(hostile::with_descriptor(module.to_bytes(), "smith", "1.0.0"))
}

fn config(bulk: bool) -> Config {
    Config {
        exports: Some(exports()),
        bulk_memory_enabled: bulk,
        max_imports: 0,
        allow_start_export: false,
        allow_floats: false,
        simd_enabled: false,
        relaxed_simd_enabled: false,
        threads_enabled: false,
        reference_types_enabled: false,
        tail_call_enabled: false,
        exceptions_enabled: false,
        gc_enabled: false,
        memory64_enabled: false,
        extended_const_enabled: false,
        saturating_float_to_int_enabled: false,
        max_memories: 1,
        max_tables: 1,
        max_table_elements: 2_500,
        max_memory32_bytes: 4 << 20,
        max_globals: 50,
        max_data_segments: if bulk { 0 } else { 20 },
        max_element_segments: if bulk { 0 } else { 20 },
        max_funcs: 12,
        max_instructions: 500,
        ..Config::default()
    }
}

/// What the interface asks for, and nothing else.
fn exports() -> Vec<u8> {
    wat::parse_str(
        "(module (memory (export \"memory\") 2 64) (func (export \"aura_abi_1\"))
           (func (export \"aura_in\") (param i32) (result i32) unreachable)
           (func (export \"aura_step\") (param i32 i32) (result i64) unreachable))",
    )
    .unwrap()
}
