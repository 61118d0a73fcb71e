//! The interface: exactly one marker, and each required export with its type.

use aura_protocol_core::abi;
use wasmparser::{ExternalKind, FuncType, ValType};

use super::{instrument::RESERVED_PREFIX, scan::Shape};
use crate::refused::Refused;

/// Checks that the module speaks ABI v1 and nothing else.
pub(super) fn check(shape: &Shape<'_>) -> Result<(), Refused> {
    if let Some((name, ..)) = shape.exports.iter().find(|it| it.0.starts_with(RESERVED_PREFIX)) {
        let export = name.chars().take(128).collect();
        return Err(Refused::ReservedExport { export });
    }
    check_marker(shape)?;
    if find(shape, abi::MEMORY).is_none_or(|(kind, _)| kind != ExternalKind::Memory) {
        return Err(Refused::MissingExport { export: abi::MEMORY, expected: "a memory" });
    }
    check_function(shape, abi::MARKER, "a function () -> ()", &[], &[])?;
    let (i32, i64) = (ValType::I32, ValType::I64);
    check_function(shape, abi::IN, "a function (i32) -> i32", &[i32], &[i32])?;
    check_function(shape, abi::STEP, "a function (i32, i32) -> i64", &[i32, i32], &[i64])
}

fn check_marker(shape: &Shape<'_>) -> Result<(), Refused> {
    let names = shape.exports.iter().map(|it| it.0);
    let markers: Vec<&str> = names.filter(|it| it.starts_with(abi::MARKER_PREFIX)).collect();
    if markers == [abi::MARKER] {
        return Ok(());
    }
    let found = markers.iter().map(|it| it.chars().take(32).collect()).collect();
    Err(Refused::AbiMarker { found })
}

fn check_function(
    shape: &Shape<'_>,
    export: &'static str,
    expected: &'static str,
    params: &[ValType],
    results: &[ValType],
) -> Result<(), Refused> {
    let fits = |ty: &&FuncType| ty.params() == params && ty.results() == results;
    match function_type(shape, export).filter(fits) {
        Some(_) => Ok(()),
        None => Err(Refused::MissingExport { export, expected }),
    }
}

fn function_type<'a>(shape: &'a Shape<'_>, export: &str) -> Option<&'a FuncType> {
    let (_, index) = find(shape, export).filter(|it| it.0 == ExternalKind::Func)?;
    let ty = shape.functions.get(index as usize)?;
    shape.types.get(*ty as usize)
}

fn find(shape: &Shape<'_>, export: &str) -> Option<(ExternalKind, u32)> {
    shape.exports.iter().find(|it| it.0 == export).map(|it| (it.1, it.2))
}
