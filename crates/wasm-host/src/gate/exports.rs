//! The interface: exactly one marker, and each required export with its type.

use aura_protocol_core::abi;
use wasmparser::{ExternalKind, FuncType, ValType};

use super::{instrument::RESERVED_PREFIX, scan::Shape};
use crate::refused::Refused;

/// Checks that the module speaks ABI v1 and nothing else.
pub(super) fn check(shape: &Shape<'_>) -> Result<(), Refused> {
    check_names(shape)?;
    check_marker(shape)?;
    check_memory(shape)?;
    FUNCTIONS.iter().try_for_each(|it| check_function(shape, it))
}

/// All that is wrong with the exports.
pub(super) fn survey(shape: &Shape<'_>) -> Vec<Refused> {
    let checks = [check_names(shape), check_marker(shape), check_memory(shape)];
    let functions = FUNCTIONS.iter().map(|it| check_function(shape, it));
    checks.into_iter().chain(functions).filter_map(Result::err).collect()
}

/// A function of the interface.
struct Exported {
    name: &'static str,
    expected: &'static str,
    params: &'static [ValType],
    results: &'static [ValType],
}

const FUNCTIONS: [Exported; 3] = [
    Exported { name: abi::MARKER, expected: "a function () -> ()", params: &[], results: &[] },
    Exported {
        name: abi::IN,
        expected: "a function (i32) -> i32",
        params: &[ValType::I32],
        results: &[ValType::I32],
    },
    Exported {
        name: abi::STEP,
        expected: "a function (i32, i32) -> i64",
        params: &[ValType::I32, ValType::I32],
        results: &[ValType::I64],
    },
];

fn check_names(shape: &Shape<'_>) -> Result<(), Refused> {
    let reserved = shape.exports.iter().find(|it| it.0.starts_with(RESERVED_PREFIX));
    reserved.map_or(Ok(()), |(name, ..)| {
        Err(Refused::ReservedExport { export: name.chars().take(128).collect() })
    })
}

fn check_memory(shape: &Shape<'_>) -> Result<(), Refused> {
    match find(shape, abi::MEMORY) {
        Some((ExternalKind::Memory, _)) => Ok(()),
        _ => Err(Refused::MissingExport { export: abi::MEMORY, expected: "a memory" }),
    }
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

fn check_function(shape: &Shape<'_>, export: &Exported) -> Result<(), Refused> {
    let Exported { name, expected, params, results } = *export;
    let fits = |ty: &&FuncType| ty.params() == params && ty.results() == results;
    match function_type(shape, name).filter(fits) {
        Some(_) => Ok(()),
        None => Err(Refused::MissingExport { export: name, expected }),
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
