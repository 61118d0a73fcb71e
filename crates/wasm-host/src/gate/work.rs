//! What a function costs a compiler, estimated before one sees it: its edges times its locals, and the
//! time that its operators take.
//!
//! The weights were measured with Cranelift, in microseconds, on metered code; a compiler's passes over
//! blocks take longer the more there are in one function, hence the square.

use wasmparser::Operator;

use super::usage::Tally;
use crate::{limits, refused::Refused};

/// The weight of an edge of the control flow; beside it goes a hundredth of their number's square.
const EDGE: u64 = 15;
const EDGES_SQUARED_PER_UNIT: u64 = 100;

/// What the operators of one function cost so far.
#[derive(Debug, Default)]
pub(super) struct Work {
    edges: u64,
    units: u64,
}

impl Work {
    /// Counts an operator.
    pub(super) fn add(
        &mut self,
        operator: &Operator<'_>,
        tally: &mut Tally,
    ) -> Result<(), Refused> {
        let (edges, units) = match operator {
            Operator::BrTable { targets } => {
                let targets = targets.len();
                tally.within("br_table targets", targets, limits::BR_TABLE_TARGETS_MAX)?;
                (u64::from(targets) + 1, 1)
            }
            Operator::Br { .. }
            | Operator::BrIf { .. }
            | Operator::If { .. }
            | Operator::Else
            | Operator::End => (1, 1),
            // The meter tests at a loop's head, before bulk operations, and after a refused growth.
            Operator::Loop { .. } => (2, 1),
            Operator::MemoryFill { .. } | Operator::MemoryCopy { .. } => (2, 10),
            Operator::MemoryGrow { .. } => (3, 10),
            Operator::Call { .. } => (0, 10),
            Operator::CallIndirect { .. } => (0, 30),
            _ => (0, 1),
        };
        self.edges += edges;
        self.units += units;
        Ok(())
    }

    /// Edges × (locals + 1): what putting the locals into SSA form costs.
    pub(super) fn ssa(&self, locals: u32) -> u64 {
        self.edges * (u64::from(locals) + 1)
    }

    /// About how many microseconds a compiler takes.
    pub(super) const fn time(&self) -> u64 {
        let edges = self.edges.saturating_mul(self.edges) / EDGES_SQUARED_PER_UNIT;
        self.units + EDGE * self.edges + edges
    }
}
