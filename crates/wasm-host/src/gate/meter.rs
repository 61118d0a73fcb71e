//! Rewrites one function: it pays for its frame when it begins, and for each block before it runs.
//!
//! The body becomes a block, so that every way out of it (its end, `return`, a branch to its outermost
//! label) passes the place where the frame is given back. Fuel is subtracted for each block and
//! compared with zero at the entry, at each loop's head and before each bulk operation: whatever
//! repeats passes one of these, so the debt stays below the cost of one function's straight line.

use wasm_encoder::{
    BlockType, Encode, Function, Instruction as I, ValType,
    reencode::{self, Reencode},
};
use wasmparser::Operator;

use super::{
    fuel::{BULK_BYTES_PER_UNIT, UNITS_PER_PAGE, cost},
    instrument::{Meters, Rewriter},
};
use crate::{limits::STACK_UNITS_MAX, refused::Refused};

/// What the rewriting of a function needs to know of it.
pub(super) struct Frame {
    /// How many parameters it has.
    pub params: u32,
    /// What its frame costs of the logical stack.
    pub units: u32,
    /// The type of a block with its results.
    pub block: BlockType,
}

/// The metered form of `function`.
pub(super) fn function(
    rewriter: &mut Rewriter<'_>,
    function: &wasmparser::FunctionBody<'_>,
    frame: Frame,
) -> Result<Function, reencode::Error<Refused>> {
    let mut locals = Vec::new();
    let mut scratch = frame.params;
    for group in function.get_locals_reader()? {
        let (count, ty) = group?;
        scratch += count;
        locals.push((count, rewriter.val_type(ty)?));
    }
    let mut meter = Meter::new(rewriter.meters(), scratch, &frame);
    let (bytes, begin) = (function.as_bytes(), function.range().start);
    let mut operators = function.get_operators_reader()?;
    let mut from = (operators.original_position() - begin) as usize;
    while !operators.eof() {
        let operator = operators.read()?;
        let until = (operators.original_position() - begin) as usize;
        // No index changes: types and globals are appended. So what an operator was, it stays.
        meter.operator(&operator, bytes.get(from..until).unwrap_or_default());
        from = until;
    }
    locals.extend(meter.uses_scratch.then_some((1, ValType::I32)));
    let mut rewritten = Function::new(locals);
    rewritten.raw(meter.finish(&frame));
    Ok(rewritten)
}

struct Meter {
    meters: Meters,
    /// The index of an `i32` local that the module does not know of.
    scratch: u32,
    uses_scratch: bool,
    /// What is written: instructions, encoded.
    out: Vec<u8>,
    /// The block under way, and what it costs.
    block: Vec<u8>,
    cost: i64,
    /// How many of the function's own blocks are open.
    depth: u32,
    /// Whether the next charge is compared with zero.
    tests: bool,
    is_over: bool,
}

impl Meter {
    fn new(meters: Meters, scratch: u32, frame: &Frame) -> Self {
        let (out, block) = (Vec::new(), Vec::new());
        let (uses_scratch, cost, depth, tests, is_over) = (false, 0, 0, true, false);
        let mut meter =
            Self { meters, scratch, uses_scratch, out, block, cost, depth, tests, is_over };
        meter.enter(frame);
        meter
    }

    fn enter(&mut self, frame: &Frame) {
        let Meters { stack, .. } = self.meters;
        write(
            &mut self.out,
            &[
                I::GlobalGet(stack),
                I::I32Const(frame.units as i32),
                I::I32Add,
                I::GlobalSet(stack),
                I::GlobalGet(stack),
                I::I32Const(STACK_UNITS_MAX as i32),
                I::I32GtU,
                I::If(BlockType::Empty),
                I::Unreachable,
                I::End,
                I::Block(frame.block),
            ],
        );
    }

    /// Takes the next operator, which is encoded as `bytes`.
    fn operator(&mut self, operator: &Operator<'_>, bytes: &[u8]) {
        self.cost += cost(operator);
        match operator {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => self.depth += 1,
            Operator::End if self.depth == 0 => self.is_over = true,
            Operator::End => self.depth -= 1,
            Operator::MemoryFill { .. } | Operator::MemoryCopy { .. } => {
                self.charge_operand(&[I::I64Const(BULK_BYTES_PER_UNIT), I::I64DivU]);
            }
            Operator::MemoryGrow { .. } => {
                self.charge_operand(&[I::I64Const(UNITS_PER_PAGE), I::I64Mul]);
                self.block.extend_from_slice(bytes);
                self.note_refused_memory();
                return;
            }
            _ => {}
        }
        if !ends_block(operator) {
            self.block.extend_from_slice(bytes);
            return;
        }
        self.flush();
        self.tests |= matches!(operator, Operator::Loop { .. });
        match operator {
            // To the outermost label of the function, which is now the block around it.
            Operator::Return => I::Br(self.depth).encode(&mut self.out),
            _ if self.is_over => {}
            _ => self.out.extend_from_slice(bytes),
        }
    }

    /// Writes the block under way, and before it its price.
    fn flush(&mut self) {
        let fuel = self.meters.fuel;
        if 0 < self.cost {
            let price = [I::GlobalGet(fuel), I::I64Const(self.cost), I::I64Sub, I::GlobalSet(fuel)];
            write(&mut self.out, &price);
            self.cost = 0;
            if std::mem::take(&mut self.tests) {
                write(&mut self.out, &trap_if_empty(fuel));
            }
        }
        self.out.append(&mut self.block);
    }

    /// Charges for the operand on top of the stack, times or divided by what `scale` says.
    fn charge_operand(&mut self, scale: &[I<'static>; 2]) {
        let fuel = self.meters.fuel;
        self.uses_scratch = true;
        let scratch = self.scratch;
        let operand = [I::LocalTee(scratch), I::GlobalGet(fuel), I::LocalGet(scratch)];
        write(&mut self.block, &operand);
        I::I64ExtendI32U.encode(&mut self.block);
        write(&mut self.block, scale);
        write(&mut self.block, &[I::I64Sub, I::GlobalSet(fuel)]);
        write(&mut self.block, &trap_if_empty(fuel));
    }

    /// Remembers that `memory.grow` returned -1, so that a trap that follows can be told apart.
    fn note_refused_memory(&mut self) {
        write(
            &mut self.block,
            &[
                I::LocalTee(self.scratch),
                I::I32Const(-1),
                I::I32Eq,
                I::If(BlockType::Empty),
                I::I32Const(1),
                I::GlobalSet(self.meters.no_memory),
                I::End,
                I::LocalGet(self.scratch),
            ],
        );
    }

    fn finish(mut self, frame: &Frame) -> Vec<u8> {
        let Meters { stack, .. } = self.meters;
        write(
            &mut self.out,
            &[
                I::End,
                I::GlobalGet(stack),
                I::I32Const(frame.units as i32),
                I::I32Sub,
                I::GlobalSet(stack),
                I::End,
            ],
        );
        self.out
    }
}

fn write(to: &mut Vec<u8>, instructions: &[I<'_>]) {
    instructions.iter().for_each(|it| it.encode(to));
}

fn trap_if_empty(fuel: u32) -> [I<'static>; 6] {
    let is_negative = [I::GlobalGet(fuel), I::I64Const(0), I::I64LtS];
    let [get, zero, less] = is_negative;
    [get, zero, less, I::If(BlockType::Empty), I::Unreachable, I::End]
}

/// Whether control may leave or enter the straight line after `operator`.
const fn ends_block(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::Else
            | Operator::End
            | Operator::Br { .. }
            | Operator::BrIf { .. }
            | Operator::BrTable { .. }
            | Operator::Return
            | Operator::Call { .. }
            | Operator::CallIndirect { .. }
            | Operator::Unreachable
    )
}
