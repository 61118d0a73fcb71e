//! One function's body: valid, shallow, and cheap to compile.

use wasmparser::{FuncToValidate, FunctionBody, Operator, ValidatorResources};

use super::feature;
use crate::{limits, refused::Refused};

/// What a function's body needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Body {
    /// What one frame costs of the logical stack.
    pub frame_units: u32,
    /// Control-flow edges × (locals + 1).
    pub work: u64,
}

/// Validates a body under the limits. Its size and its locals are checked already.
pub(super) fn check(
    function: FuncToValidate<ValidatorResources>,
    body: &FunctionBody<'_>,
) -> Result<Body, Refused> {
    let mut validator = function.into_validator(Default::default());
    let mut reader = body.get_binary_reader();
    validator.read_locals(&mut reader)?;
    let locals = validator.len_locals();
    Refused::unless_within("locals", locals.into(), limits::LOCALS_MAX)?;
    let mut operators = body.get_operators_reader()?;
    let (mut edges, mut operands_max) = (0u64, 0);
    while !operators.eof() {
        let first_byte = operators.get_binary_reader().read_u8().ok();
        let (operator, offset) = operators
            .read_with_offset()
            .map_err(|error| feature::of_unreadable(first_byte, error))?;
        edges += self::edges(&operator)?;
        validator.op(offset, &operator).map_err(|error| feature::of_operator(&operator, error))?;
        let (nesting, operands) =
            (validator.control_stack_height(), validator.operand_stack_height());
        Refused::unless_within("nested blocks", nesting.into(), limits::NESTING_MAX)?;
        Refused::unless_within("operands", operands.into(), limits::OPERANDS_MAX)?;
        operands_max = operands_max.max(operands);
    }
    operators.finish()?;
    let work = edges * (u64::from(locals) + 1);
    Refused::unless_within("function compile work", work, limits::FUNCTION_WORK_MAX)?;
    Ok(Body { frame_units: limits::FRAME_UNITS + locals + operands_max, work })
}

/// How many edges `operator` adds to the graph of the control flow.
fn edges(operator: &Operator<'_>) -> Result<u64, Refused> {
    Ok(match operator {
        Operator::BrTable { targets } => {
            let targets = u64::from(targets.len());
            Refused::unless_within("br_table targets", targets, limits::BR_TABLE_TARGETS_MAX)?;
            targets + 1
        }
        Operator::Br { .. }
        | Operator::BrIf { .. }
        | Operator::If { .. }
        | Operator::Else
        | Operator::Loop { .. }
        | Operator::End => 1,
        _ => 0,
    })
}
