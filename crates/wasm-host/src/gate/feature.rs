//! Which parts of WebAssembly a module may use, and the names of those that it may not.
//!
//! Allowed is what rustc 1.95 emits for integer code. Refused is what is not deterministic (floats,
//! threads, relaxed SIMD), what the fuel schedule does not know (SIMD, tail calls, exceptions, full
//! bulk memory), and what would widen the trust base (64-bit or several memories, references, GC).

use wasmparser::{BlockType, Operator, ValType, WasmFeatures};

use crate::refused::Refused;

/// What the validator lets through.
pub(super) const ALLOWED: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY_OPT)
    .union(WasmFeatures::CALL_INDIRECT_OVERLONG);

/// The prefix byte of every SIMD operator, which this build of the parser does not even decode.
const SIMD_PREFIX: u8 = 0xfd;

/// The feature that a type belongs to, if it is not allowed.
pub(super) fn of_type(ty: ValType) -> Result<(), Refused> {
    let feature = match ty {
        ValType::I32 | ValType::I64 => return Ok(()),
        ValType::F32 | ValType::F64 => "floats",
        ValType::V128 => "SIMD",
        ValType::Ref(_) => "reference types",
    };
    Err(Refused::FeatureNotAllowed { feature })
}

/// Why the validator refused `operator`: a feature where it is one, otherwise its own words.
pub(super) fn of_operator(operator: &Operator<'_>, error: wasmparser::Error) -> Refused {
    if let Operator::Block { blockty: BlockType::Type(ty) }
    | Operator::Loop { blockty: BlockType::Type(ty) }
    | Operator::If { blockty: BlockType::Type(ty) } = operator
        && let Err(refused) = of_type(*ty)
    {
        return refused;
    }
    proposal(operator)
        .map_or_else(|| error.into(), |feature| Refused::FeatureNotAllowed { feature })
}

/// Why an operator that begins with `first_byte` could not be read.
pub(super) fn of_unreadable(first_byte: Option<u8>, error: wasmparser::Error) -> Refused {
    if first_byte == Some(SIMD_PREFIX) {
        return Refused::FeatureNotAllowed { feature: "SIMD" };
    }
    error.into()
}

/// The proposal that `operator` comes from, unless that is an allowed one.
fn proposal(operator: &Operator<'_>) -> Option<&'static str> {
    macro_rules! origins {
        ($( @$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })?
            => $visit:ident ($($ann:tt)*))*) => {
            match operator {
                $( Operator::$op { .. } => (stringify!($proposal), stringify!($op)), )*
                _ => return None,
            }
        };
    }
    let (origin, name) = wasmparser::for_each_operator!(origins);
    match origin {
        "mvp" if name.contains("F32") || name.contains("F64") => Some("floats"),
        "mvp" | "sign_extension" => None,
        "bulk_memory" if matches!(name, "MemoryCopy" | "MemoryFill") => None,
        "saturating_float_to_int" => Some("floats"),
        "bulk_memory" => Some("bulk memory segments"),
        "reference_types" => Some("reference types"),
        "threads" | "shared_everything_threads" => Some("threads"),
        "tail_call" => Some("tail calls"),
        "exceptions" | "legacy_exceptions" => Some("exceptions"),
        "function_references" | "gc" => Some("typed references"),
        "stack_switching" => Some("stack switching"),
        "wide_arithmetic" => Some("wide arithmetic"),
        "memory_control" => Some("memory control"),
        _ => Some("an unknown proposal"),
    }
}
