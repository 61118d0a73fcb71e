//! One function's body: valid, shallow, and cheap to compile.

use wasmparser::{FuncToValidate, FunctionBody, ValidatorResources};

use super::{feature, usage::Tally, work::Work};
use crate::{limits, refused::Refused};

/// What a function's body needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Body {
    /// What one frame costs of the logical stack.
    pub frame_units: u32,
    /// Control-flow edges × (locals + 1).
    pub work: u64,
    /// About how long a compiler takes, in microseconds.
    pub time: u64,
}

/// Validates a body under the limits. Its size and its locals are checked already.
pub(super) fn check(
    function: FuncToValidate<ValidatorResources>,
    body: &FunctionBody<'_>,
    tally: &mut Tally,
) -> Result<Body, Refused> {
    let mut validator = function.into_validator(Default::default());
    let mut reader = body.get_binary_reader();
    validator.read_locals(&mut reader)?;
    let locals = validator.len_locals();
    let mut operators = body.get_operators_reader()?;
    let mut work = Work::default();
    let (mut nesting_max, mut operands_max) = (0, 0);
    while !operators.eof() {
        let first_byte = operators.get_binary_reader().read_u8().ok();
        let (operator, offset) = operators
            .read_with_offset()
            .map_err(|error| feature::of_unreadable(first_byte, error))?;
        work.add(&operator, tally)?;
        validator.op(offset, &operator).map_err(|error| feature::of_operator(&operator, error))?;
        let (nesting, operands) =
            (validator.control_stack_height(), validator.operand_stack_height());
        Refused::unless_within("nested blocks", nesting.into(), limits::NESTING_MAX)?;
        Refused::unless_within("operands", operands.into(), limits::OPERANDS_MAX)?;
        (nesting_max, operands_max) = (nesting_max.max(nesting), operands_max.max(operands));
    }
    operators.finish()?;
    let (work, time) = (work.ssa(locals), work.time());
    tally.within("locals", locals, limits::LOCALS_MAX)?;
    tally.within("nested blocks", nesting_max as u64, limits::NESTING_MAX)?;
    tally.within("operands", operands_max, limits::OPERANDS_MAX)?;
    tally.within("function compile work", work, limits::FUNCTION_WORK_MAX)?;
    tally.within("function compile time", time, limits::FUNCTION_TIME_MAX)?;
    Ok(Body { frame_units: limits::FRAME_UNITS + locals + operands_max, work, time })
}
