//! Rewrites a checked module into a metered one. Deterministic: the same bytes give the same bytes.
//!
//! Appended are three exported globals: the fuel left, the logical stack in use, and whether a
//! `memory.grow` was refused. The module's own code was validated before they existed, so it cannot
//! name them. The memory gets a maximum; custom sections go.

use std::collections::BTreeMap;

use wasm_encoder::{
    CodeSection, ConstExpr, ExportKind, ExportSection, GlobalSection, GlobalType, Module,
    SectionId, TypeSection, ValType,
    reencode::{self, Reencode, utils},
};
use wasmparser::Parser;

use super::{meter, scan::Shape};
use crate::{limits::MEMORY_PAGES_MAX, refused::Refused};

/// What the names of the injected exports begin with; modules may not use it.
pub const RESERVED_PREFIX: &str = "__aura_";
/// The exported global that holds the fuel left; below zero when it ran out.
pub const FUEL_GLOBAL: &str = "__aura_fuel";
/// The exported global that holds the units of the logical stack in use.
pub const STACK_GLOBAL: &str = "__aura_stack";
/// The exported global that is 1 once the module asked for more memory than there is.
pub const NO_MEMORY_GLOBAL: &str = "__aura_no_memory";

type Outcome<T = ()> = Result<T, reencode::Error<Refused>>;

/// The metered form of `bytes`, whose shape is `shape`.
pub(super) fn instrument(bytes: &[u8], shape: &Shape<'_>) -> Result<Vec<u8>, Refused> {
    let mut module = Module::new();
    let mut rewriter = Rewriter { shape, body: 0, blocks: BTreeMap::new(), has_globals: false };
    rewriter.parse_core_module(&mut module, Parser::new(0), bytes).map_err(
        |error| match error {
            reencode::Error::UserError(refused) => refused,
            other => Refused::Malformed { reason: other.to_string() },
        },
    )?;
    Ok(module.finish())
}

/// The indices of the injected globals.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meters {
    pub fuel: u32,
    pub stack: u32,
    pub no_memory: u32,
}

pub(super) struct Rewriter<'a> {
    shape: &'a Shape<'a>,
    /// How many bodies are done.
    body: usize,
    /// For each type with several results, the appended type of a block with the same results.
    blocks: BTreeMap<u32, u32>,
    has_globals: bool,
}

impl Rewriter<'_> {
    pub(super) const fn meters(&self) -> Meters {
        let first = self.shape.globals;
        Meters { fuel: first, stack: first + 1, no_memory: first + 2 }
    }

    fn add_globals(&mut self, globals: &mut GlobalSection) {
        let mutable = |val_type| GlobalType { val_type, mutable: true, shared: false };
        globals.global(mutable(ValType::I64), &ConstExpr::i64_const(0));
        globals.global(mutable(ValType::I32), &ConstExpr::i32_const(0));
        globals.global(mutable(ValType::I32), &ConstExpr::i32_const(0));
        self.has_globals = true;
    }
}

impl Reencode for Rewriter<'_> {
    type Error = Refused;

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: wasmparser::TypeSectionReader<'_>,
    ) -> Outcome {
        utils::parse_type_section(self, types, section)?;
        for (index, ty) in (0..).zip(&self.shape.types) {
            if 1 < ty.results().len() {
                let results = ty.results().iter().map(|it| self.val_type(*it));
                let results = results.collect::<Result<Vec<_>, _>>()?;
                self.blocks.insert(index, types.len());
                types.ty().function([], results);
            }
        }
        Ok(())
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: wasmparser::GlobalSectionReader<'_>,
    ) -> Outcome {
        utils::parse_global_section(self, globals, section)?;
        self.add_globals(globals);
        Ok(())
    }

    /// A module without globals gets the section before its exports, which every module has.
    fn intersperse_section_hook(
        &mut self,
        module: &mut Module,
        _after: Option<SectionId>,
        before: Option<SectionId>,
    ) -> Outcome {
        if before == Some(SectionId::Export) && !self.has_globals {
            let mut globals = GlobalSection::new();
            self.add_globals(&mut globals);
            module.section(&globals);
        }
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: wasmparser::ExportSectionReader<'_>,
    ) -> Outcome {
        utils::parse_export_section(self, exports, section)?;
        let Meters { fuel, stack, no_memory } = self.meters();
        exports.export(FUEL_GLOBAL, ExportKind::Global, fuel);
        exports.export(STACK_GLOBAL, ExportKind::Global, stack);
        exports.export(NO_MEMORY_GLOBAL, ExportKind::Global, no_memory);
        Ok(())
    }

    fn memory_type(&mut self, ty: wasmparser::MemoryType) -> Outcome<wasm_encoder::MemoryType> {
        let mut ty = utils::memory_type(self, ty);
        ty.maximum = Some(ty.maximum.unwrap_or(MEMORY_PAGES_MAX).min(MEMORY_PAGES_MAX));
        Ok(ty)
    }

    fn parse_custom_section(
        &mut self,
        _module: &mut Module,
        _section: wasmparser::CustomSectionReader<'_>,
    ) -> Outcome {
        Ok(())
    }

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        function: wasmparser::FunctionBody<'_>,
    ) -> Outcome {
        let malformed = || Refused::Malformed { reason: "a body without a function".to_owned() };
        let index = self.body;
        self.body += 1;
        let parts = self.shape.functions.get(index).and_then(|ty| {
            Some((*ty, self.shape.types.get(*ty as usize)?, self.shape.bodies.get(index)?))
        });
        let (type_index, ty, body) =
            parts.ok_or_else(|| reencode::Error::UserError(malformed()))?;
        let block = match (ty.results(), self.blocks.get(&type_index)) {
            ([], _) => wasm_encoder::BlockType::Empty,
            ([result], _) => wasm_encoder::BlockType::Result(self.val_type(*result)?),
            (_, Some(block)) => wasm_encoder::BlockType::FunctionType(*block),
            (_, None) => return Err(reencode::Error::UserError(malformed())),
        };
        let frame =
            meter::Frame { params: ty.params().len() as u32, units: body.frame_units, block };
        code.function(&meter::function(self, &function, frame)?);
        Ok(())
    }
}
