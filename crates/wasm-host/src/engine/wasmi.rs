//! Wasmi, an interpreter: for platforms that forbid a program to make code, and as a third opinion.
//!
//! The one file that names it. Its "artifact" is the metered module itself, which is translated again
//! when it is loaded. Its own limits lie above the logical ones, and a panic of its is an error.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use aura_protocol_core::abi;
use wasmi::{
    CompilationMode, Config, Global, Linker, Memory, Module, Store, StoreLimits,
    StoreLimitsBuilder, TrapCode, TypedFunc, Val,
};

use super::{Compiled, Engine};
use crate::{
    artifact::AuthenticArtifact,
    error::HostError,
    gate::{FUEL_GLOBAL, Metered, NO_MEMORY_GLOBAL, STACK_GLOBAL},
    limits::{FRAME_UNITS, MEMORY_PAGES_MAX, STACK_UNITS_MAX, TABLE_ELEMENTS_MAX},
    trapped::Trapped,
    vm::{Fault, Instance, Meters},
};

/// The pinned version and our settings; a test compares it with Cargo.toml.
const ENGINE: &str = "wasmi 2.0.0, settings 1";
/// Twice the deepest recursion that the logical stack allows.
const RECURSION_MAX: usize = 2 * (STACK_UNITS_MAX / FRAME_UNITS) as usize;
/// Bytes of the interpreter's own stack: sixteen times one value of 8 bytes for each logical unit.
const STACK_BYTES_MAX: usize = 16 * 8 * STACK_UNITS_MAX as usize;

/// Wasmi, with limits above the logical ones.
#[derive(Debug, Default)]
pub struct WasmiEngine;

impl Engine for WasmiEngine {
    fn id(&self) -> String {
        ENGINE.to_owned()
    }

    fn compile(&self, module: &Metered) -> Result<Arc<dyn Compiled>, HostError> {
        let digest = module.digest();
        translate(module.bytes().to_vec()).map_err(|reason| HostError::Compile { digest, reason })
    }

    fn load(&self, artifact: AuthenticArtifact) -> Result<Arc<dyn Compiled>, HostError> {
        translate(artifact.into_bytes()).map_err(|reason| HostError::Artifact { reason })
    }
}

fn translate(metered: Vec<u8>) -> Result<Arc<dyn Compiled>, String> {
    let mut config = Config::default();
    config
        .set_max_recursion_depth(RECURSION_MAX)
        .set_max_stack_height(STACK_BYTES_MAX)
        .set_max_cached_stacks(1)
        .wasm_multi_memory(false)
        .wasm_tail_call(false)
        .wasm_extended_const(false)
        .floats(false)
        .compilation_mode(CompilationMode::Eager);
    let engine = wasmi::Engine::new(&config);
    let module = unpanicked(|| Module::new(&engine, &metered))?.map_err(|it| it.to_string())?;
    Ok(Arc::new(WasmiModule { module, metered }))
}

/// What `work` returns; an error in the place of a panic, after which nothing of it is used again.
fn unpanicked<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| "the interpreter panicked".to_owned())
}

struct WasmiModule {
    module: Module,
    metered: Vec<u8>,
}

impl Compiled for WasmiModule {
    fn instance(&self) -> Result<Result<Box<dyn Instance + '_>, Trapped>, HostError> {
        let limits = StoreLimitsBuilder::new()
            .memory_size((MEMORY_PAGES_MAX as usize) << 16)
            .table_elements(TABLE_ELEMENTS_MAX as usize)
            .instances(1)
            .memories(1)
            .tables(1)
            .build();
        let mut store = Store::new(self.module.engine(), limits);
        store.limiter(|limits| limits);
        let linker = Linker::new(self.module.engine());
        let instance = unpanicked(|| linker.instantiate_and_start(&mut store, &self.module))
            .map_err(|reason| HostError::Run { reason })?;
        match instance {
            Ok(instance) => Ok(Ok(Box::new(WasmiInstance::new(store, instance)?))),
            Err(error) => instantiation(&error).map(Err),
        }
    }

    fn artifact(&self) -> Result<Vec<u8>, HostError> {
        Ok(self.metered.clone())
    }
}

struct WasmiInstance {
    store: Store<StoreLimits>,
    memory: Memory,
    input: TypedFunc<i32, i32>,
    step: TypedFunc<(i32, i32), i64>,
    fuel: Global,
    stack: Global,
    no_memory: Global,
}

impl WasmiInstance {
    fn new(store: Store<StoreLimits>, instance: wasmi::Instance) -> Result<Self, HostError> {
        let global =
            |name: &'static str| instance.get_global(&store, name).ok_or_else(|| missing(name));
        let memory = instance.get_memory(&store, abi::MEMORY);
        Ok(Self {
            memory: memory.ok_or_else(|| missing(abi::MEMORY))?,
            input: instance.get_typed_func(&store, abi::IN).map_err(|_| missing(abi::IN))?,
            step: instance.get_typed_func(&store, abi::STEP).map_err(|_| missing(abi::STEP))?,
            fuel: global(FUEL_GLOBAL)?,
            stack: global(STACK_GLOBAL)?,
            no_memory: global(NO_MEMORY_GLOBAL)?,
            store,
        })
    }
}

impl Instance for WasmiInstance {
    fn begin(&mut self, fuel: i64) -> Result<(), HostError> {
        let values =
            [(self.fuel, Val::I64(fuel)), (self.stack, Val::I32(0)), (self.no_memory, Val::I32(0))];
        for (global, value) in values {
            global.set(&mut self.store, value).map_err(|_| missing("its meters"))?;
        }
        Ok(())
    }

    fn meters(&mut self) -> Result<Meters, HostError> {
        let value = |global: Global| global.get(&self.store);
        let values = (value(self.fuel).i64(), value(self.stack).i32(), value(self.no_memory).i32());
        let (Some(fuel_left), Some(stack), Some(refused)) = values else {
            return Err(missing("its meters"));
        };
        Ok(Meters { fuel_left, stack_used: stack as u32, memory_refused: refused == 1 })
    }

    fn input(&mut self, len: i32) -> Result<i32, Fault> {
        let (input, store) = (self.input, &mut self.store);
        called(unpanicked(|| input.call(store, len)))
    }

    fn step(&mut self, address: i32, len: i32) -> Result<i64, Fault> {
        let (step, store) = (self.step, &mut self.store);
        called(unpanicked(|| step.call(store, (address, len))))
    }

    fn write(&mut self, address: u32, bytes: &[u8]) -> bool {
        self.memory.write(&mut self.store, address as usize, bytes).is_ok()
    }

    fn read(&mut self, address: u32, bytes: &mut [u8]) -> bool {
        self.memory.read(&self.store, address as usize, bytes).is_ok()
    }

    fn memory_len(&mut self) -> usize {
        self.memory.data_size(&self.store)
    }
}

/// The gate let through what it should not have, or this engine lost it: never the guest's fault.
fn missing(what: &'static str) -> HostError {
    HostError::Run { reason: format!("the translated module lacks {what}") }
}

fn called<T>(result: Result<Result<T, wasmi::Error>, String>) -> Result<T, Fault> {
    let result = result.map_err(|reason| HostError::Run { reason })?;
    result.map_err(|error| trapped(&error).map_or_else(Fault::Host, Fault::Trap))
}

/// Segments that do not fit are errors of their own before anything runs.
fn instantiation(error: &wasmi::Error) -> Result<Trapped, HostError> {
    use wasmi::errors::{ErrorKind, InstantiationError, MemoryError, TableError};
    match error.kind() {
        ErrorKind::Instantiation(InstantiationError::ElementSegmentDoesNotFit { .. })
        | ErrorKind::Memory(MemoryError::OutOfBoundsAccess)
        | ErrorKind::Table(
            TableError::InitOutOfBounds | TableError::CopyOutOfBounds | TableError::SetOutOfBounds,
        ) => Ok(Trapped::OutOfBounds),
        _ => trapped(error),
    }
}

fn trapped(error: &wasmi::Error) -> Result<Trapped, HostError> {
    match error.as_trap_code() {
        Some(TrapCode::StackOverflow) => Ok(Trapped::StackOverflow),
        Some(TrapCode::MemoryOutOfBounds | TrapCode::TableOutOfBounds) => Ok(Trapped::OutOfBounds),
        Some(TrapCode::IndirectCallToNull | TrapCode::BadSignature) => Ok(Trapped::BadIndirectCall),
        Some(TrapCode::IntegerOverflow | TrapCode::IntegerDivisionByZero) => {
            Ok(Trapped::Arithmetic)
        }
        Some(TrapCode::UnreachableCodeReached) => Ok(Trapped::Unreachable),
        _ => Err(HostError::Run { reason: error.to_string() }),
    }
}
