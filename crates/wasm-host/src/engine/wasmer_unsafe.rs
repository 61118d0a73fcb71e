//! The two things that wasmer asks `unsafe` for, and the one file of this crate that has it
//! (docs/decisions/0010): capping what an instance may have, and loading compiled code.

#![allow(unsafe_code, reason = "docs/decisions/0010")]

use std::ptr::NonNull;

use wasmer::{
    DeserializeError, MemoryType, Module, Pages, TableType,
    sys::{BaseTunables, Tunables},
};
use wasmer_vm::{
    MemoryError, MemoryStyle, TableStyle, VMConfig, VMMemory, VMMemoryDefinition, VMTable,
    VMTableDefinition,
};

use crate::{
    artifact::AuthenticArtifact,
    limits::{HOST_STACK_BYTES, MEMORY_PAGES_MAX, TABLE_ELEMENTS_MAX},
};

const PAGES_MAX: Pages = Pages(MEMORY_PAGES_MAX as u32);
const ELEMENTS_MAX: u32 = TABLE_ELEMENTS_MAX as u32;

/// Loads a compiled module.
pub(super) fn load(
    engine: &wasmer::Engine,
    artifact: AuthenticArtifact,
) -> Result<Module, DeserializeError> {
    // SAFETY: the bytes must be what `Module::serialize` wrote, for this engine and processor. Only
    // the verification of a keyed MAC over them, the module, the engine's id (with the processor's
    // features) and the gate's version makes an `AuthenticArtifact`. They are owned memory, read
    // once before that verification, so nobody can change them between it and this line.
    unsafe { Module::deserialize(engine, artifact.into_bytes()) }
}

/// Wasmer's own tunables, with a ceiling. The gate has refused or capped all of this already; the
/// ceiling holds also if the gate errs.
pub(super) struct Capped {
    base: BaseTunables,
    config: VMConfig,
}

impl Capped {
    pub(super) fn new() -> Self {
        let config = VMConfig { wasm_stack_size: Some(HOST_STACK_BYTES) };
        Self { base: BaseTunables::new(), config }
    }
}

fn cap_memory(ty: &MemoryType) -> Result<MemoryType, MemoryError> {
    if PAGES_MAX < ty.minimum {
        return Err(MemoryError::MinimumMemoryTooLarge {
            min_requested: ty.minimum,
            max_allowed: PAGES_MAX,
        });
    }
    let maximum = Some(ty.maximum.unwrap_or(PAGES_MAX).min(PAGES_MAX));
    Ok(MemoryType { maximum, shared: false, ..*ty })
}

fn cap_table(ty: &TableType) -> Result<TableType, String> {
    if ELEMENTS_MAX < ty.minimum {
        return Err(format!("a table of {} elements exceeds {ELEMENTS_MAX}", ty.minimum));
    }
    let mut ty = *ty;
    ty.maximum = Some(ty.maximum.unwrap_or(ELEMENTS_MAX).min(ELEMENTS_MAX));
    Ok(ty)
}

impl Tunables for Capped {
    fn memory_style(&self, memory: &MemoryType) -> MemoryStyle {
        self.base.memory_style(memory)
    }

    fn table_style(&self, table: &TableType) -> TableStyle {
        self.base.table_style(table)
    }

    fn create_host_memory(
        &self,
        ty: &MemoryType,
        style: &MemoryStyle,
    ) -> Result<VMMemory, MemoryError> {
        self.base.create_host_memory(&cap_memory(ty)?, style)
    }

    /// # Safety
    /// As in the trait: `location` is a valid place in the instance's memory.
    unsafe fn create_vm_memory(
        &self,
        ty: &MemoryType,
        style: &MemoryStyle,
        location: NonNull<VMMemoryDefinition>,
    ) -> Result<VMMemory, MemoryError> {
        // SAFETY: the caller's promise is passed on; a lower maximum asks for nothing more.
        unsafe { self.base.create_vm_memory(&cap_memory(ty)?, style, location) }
    }

    fn create_host_table(&self, ty: &TableType, style: &TableStyle) -> Result<VMTable, String> {
        self.base.create_host_table(&cap_table(ty)?, style)
    }

    /// # Safety
    /// As in the trait: `location` is a valid place in the instance's memory.
    unsafe fn create_vm_table(
        &self,
        ty: &TableType,
        style: &TableStyle,
        location: NonNull<VMTableDefinition>,
    ) -> Result<VMTable, String> {
        // SAFETY: the caller's promise is passed on; a lower maximum asks for nothing more.
        unsafe { self.base.create_vm_table(&cap_table(ty)?, style, location) }
    }

    fn vmconfig(&self) -> &VMConfig {
        &self.config
    }
}
