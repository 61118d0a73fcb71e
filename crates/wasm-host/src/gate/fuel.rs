//! The fuel schedule: what each operator costs. Consensus data, so it is versioned.
//!
//! One unit is one cheap operator. A basic block is charged as a whole before it runs; operators
//! that do work in proportion to an operand are charged for it in addition, before they do it.
//! Append-only: never change a published schedule, add another and choose it by descriptor.

use wasmparser::Operator;

/// The version of this schedule. Devices that differ in it differ in when a step runs out.
pub const FUEL_SCHEDULE_VERSION: u16 = 1;
/// Bytes that `memory.fill` and `memory.copy` write for one unit. They write 8 bytes and more with
/// one instruction.
pub const BULK_BYTES_PER_UNIT: i64 = 8;
/// What each page of 64 KiB that `memory.grow` asks for costs: it is zeroed on first touch, which
/// takes as long as 4,096 cheap operators.
pub const UNITS_PER_PAGE: i64 = 4_096;

/// What `operator` costs, however long its operands say it works.
#[must_use]
pub const fn cost(operator: &Operator<'_>) -> i64 {
    match operator {
        // They leave no machine code.
        Operator::Nop
        | Operator::Block { .. }
        | Operator::Loop { .. }
        | Operator::Else
        | Operator::End => 0,
        // 20 to 40 cycles on processors of the last ten years, four of which one unit may take.
        Operator::I32DivS
        | Operator::I32DivU
        | Operator::I32RemS
        | Operator::I32RemU
        | Operator::I64DivS
        | Operator::I64DivU
        | Operator::I64RemS
        | Operator::I64RemU => 8,
        // A frame is made, metered and unmade; an indirect call also compares a type.
        Operator::Call { .. } => 4,
        Operator::CallIndirect { .. } => 8,
        // A call into the engine; what they do there is charged by its size.
        Operator::MemoryFill { .. } | Operator::MemoryCopy { .. } => 16,
        Operator::MemoryGrow { .. } => 1_000,
        _ => 1,
    }
}
