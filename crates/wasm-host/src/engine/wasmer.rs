//! Wasmer with Cranelift: the default engine, and the one file that runs it.
//!
//! One engine a module, because an engine keeps the code of dropped modules. One instance a call,
//! because a store does not move between threads and a module must not remember anything.

use std::sync::Arc;

use aura_protocol_core::abi;
use wasmer::{
    Imports, Instance, InstantiationError, LinkError, Memory, Module, RuntimeError, Store,
    TypedFunction, Value,
    sys::{CompilerConfig, Cranelift, EngineBuilder, Features, NativeEngineExt, Target},
};
use wasmer_vm::TrapCode;

use super::{CallOutput, Compiled, Engine, wasmer_unsafe};
use crate::{
    CheckedModule,
    artifact::AuthenticArtifact,
    error::HostError,
    gate::{FUEL_GLOBAL, NO_MEMORY_GLOBAL, STACK_GLOBAL},
    limits::{CALL_BYTES_MAX, STACK_UNITS_MAX},
    trapped::{BadOutput, Trapped},
};

/// The pinned version and our settings; a test compares it with Cargo.toml.
const ENGINE: &str = "wasmer 7.4.2 cranelift, settings 1";

/// Wasmer with Cranelift, hardened: no proposals beyond the gate's, canonical NaNs, capped memory,
/// table and stack.
#[derive(Debug, Default)]
pub struct WasmerEngine;

impl Engine for WasmerEngine {
    fn id(&self) -> String {
        let target = Target::default();
        let mut features: Vec<String> =
            target.cpu_features().iter().map(|it| it.to_string()).collect();
        features.sort_unstable();
        format!("{ENGINE}, {}, {}", target.triple(), features.join("+"))
    }

    fn compile(&self, module: &CheckedModule) -> Result<Arc<dyn Compiled>, HostError> {
        let engine = hardened();
        let compiled = Module::from_binary(&engine, module.instrumented()).map_err(|error| {
            HostError::Compile { digest: module.digest(), reason: error.to_string() }
        })?;
        Ok(Arc::new(WasmerModule { module: compiled, engine }))
    }

    fn load(&self, artifact: AuthenticArtifact) -> Result<Arc<dyn Compiled>, HostError> {
        let engine = hardened();
        let module = wasmer_unsafe::load(&engine, artifact)
            .map_err(|error| HostError::Artifact { reason: error.to_string() })?;
        Ok(Arc::new(WasmerModule { module, engine }))
    }
}

fn hardened() -> wasmer::Engine {
    let mut compiler = Cranelift::new();
    compiler.canonicalize_nans(true);
    let mut features = Features::none();
    // `call_indirect` with an overlong table index, which rustc emits, is read only with references.
    features.reference_types(true).bulk_memory(true).multi_value(true);
    let compiler: Box<dyn CompilerConfig> = Box::new(compiler);
    let mut engine: wasmer::Engine =
        EngineBuilder::new(compiler).set_features(Some(features)).engine().into();
    engine.set_tunables(wasmer_unsafe::Capped::new());
    engine
}

/// A module and the engine that holds its code. The module is dropped first.
struct WasmerModule {
    module: Module,
    engine: wasmer::Engine,
}

impl Compiled for WasmerModule {
    fn call(&self, envelope: &[u8], fuel: u64) -> Result<Result<CallOutput, Trapped>, HostError> {
        let mut store = Store::new(self.engine.clone());
        let instance = match Instance::new(&mut store, &self.module, &Imports::new()) {
            Ok(instance) => instance,
            // A data or element segment that does not fit: no code has run, so no meter is to read.
            Err(
                InstantiationError::Start(error) | InstantiationError::Link(LinkError::Trap(error)),
            ) => {
                return trap_without_meters(error).map(Err);
            }
            Err(error) => return Err(HostError::Run { reason: error.to_string() }),
        };
        let mut vm = Vm { store, instance };
        match vm.run(envelope, fuel) {
            Ok(output) => Ok(Ok(output)),
            Err(Stop::Guest(trapped)) => Ok(Err(trapped)),
            Err(Stop::Host(error)) => Err(error),
        }
    }

    fn artifact(&self) -> Result<Vec<u8>, HostError> {
        let bytes = self.module.serialize();
        bytes
            .map(|it| it.to_vec())
            .map_err(|error| HostError::Artifact { reason: error.to_string() })
    }
}

/// Why a call stopped, with the two kinds of failure still in one place.
enum Stop {
    Guest(Trapped),
    Host(HostError),
}

impl From<BadOutput> for Stop {
    fn from(bad: BadOutput) -> Self {
        Self::Guest(bad.into())
    }
}

/// One instance, for one call.
struct Vm {
    store: Store,
    instance: Instance,
}

impl Vm {
    fn run(&mut self, envelope: &[u8], fuel: u64) -> Result<CallOutput, Stop> {
        // No call burns i64::MAX units: that is three hundred years.
        let fuel = i64::try_from(fuel).unwrap_or(i64::MAX);
        self.set_global(FUEL_GLOBAL, Value::I64(fuel))?;
        let address = self.write_input(envelope)?;
        let step: TypedFunction<(i32, i32), i64> = self.function(abi::STEP)?;
        let packed = step
            .call(&mut self.store, address as i32, envelope.len() as i32)
            .map_err(|error| self.stop(error))?;
        let output = self.read_output(packed as u64)?;
        let left = self.i64_global(FUEL_GLOBAL)?;
        if left < 0 {
            return Err(Stop::Guest(Trapped::OutOfFuel)); // The last straight line cost too much.
        }
        Ok(CallOutput { output, fuel_used: fuel.saturating_sub(left).unsigned_abs() })
    }

    fn write_input(&mut self, envelope: &[u8]) -> Result<u32, Stop> {
        let buffer: TypedFunction<i32, i32> = self.function(abi::IN)?;
        let len = i32::try_from(envelope.len()).map_err(|_| missing("an envelope of 32 bits"))?;
        let address = buffer.call(&mut self.store, len).map_err(|error| self.stop(error))? as u32;
        let memory = self.memory()?;
        memory
            .view(&self.store)
            .write(address.into(), envelope)
            .map_err(|_| BadOutput::InputBuffer { address, len: envelope.len() })?;
        Ok(address)
    }

    /// Reads `address | len << 32`; nothing is allocated before both are known to be sensible.
    fn read_output(&mut self, packed: u64) -> Result<Vec<u8>, Stop> {
        let (address, found) = (packed as u32, (packed >> 32) as usize);
        if CALL_BYTES_MAX < found {
            return Err(BadOutput::TooLong { found, limit: CALL_BYTES_MAX }.into());
        }
        let mut output = vec![0; found];
        let memory = self.memory()?;
        memory
            .view(&self.store)
            .read(address.into(), &mut output)
            .map_err(|_| BadOutput::OutOfBounds { address, len: found })?;
        Ok(output)
    }

    /// What a trap means, which the meters say and the engine alone does not.
    fn stop(&mut self, error: RuntimeError) -> Stop {
        match self.trapped(error) {
            Ok(trapped) => Stop::Guest(trapped),
            Err(stop) => stop,
        }
    }

    fn trapped(&mut self, error: RuntimeError) -> Result<Trapped, Stop> {
        if self.i64_global(FUEL_GLOBAL)? < 0 {
            return Ok(Trapped::OutOfFuel);
        }
        if STACK_UNITS_MAX < self.i32_global(STACK_GLOBAL)? as u32 {
            return Ok(Trapped::StackOverflow);
        }
        match trap_without_meters(error).map_err(Stop::Host)? {
            Trapped::Unreachable if self.i32_global(NO_MEMORY_GLOBAL)? == 1 => {
                Ok(Trapped::OutOfMemory)
            }
            trapped => Ok(trapped),
        }
    }

    fn function<Args, Rets>(&self, name: &'static str) -> Result<TypedFunction<Args, Rets>, Stop>
    where
        Args: wasmer::WasmTypeList,
        Rets: wasmer::WasmTypeList,
    {
        self.instance.exports.get_typed_function(&self.store, name).map_err(|_| missing(name))
    }

    fn memory(&self) -> Result<Memory, Stop> {
        self.instance.exports.get_memory(abi::MEMORY).cloned().map_err(|_| missing(abi::MEMORY))
    }

    fn set_global(&mut self, name: &'static str, value: Value) -> Result<(), Stop> {
        let global = self.instance.exports.get_global(name).map_err(|_| missing(name))?;
        global.set(&mut self.store, value).map_err(|_| missing(name))
    }

    fn i64_global(&mut self, name: &'static str) -> Result<i64, Stop> {
        let global = self.instance.exports.get_global(name).map_err(|_| missing(name))?;
        global.get(&mut self.store).i64().ok_or_else(|| missing(name))
    }

    fn i32_global(&mut self, name: &'static str) -> Result<i32, Stop> {
        let global = self.instance.exports.get_global(name).map_err(|_| missing(name))?;
        global.get(&mut self.store).i32().ok_or_else(|| missing(name))
    }
}

/// The gate let through what it should not have, or this engine lost it: never the guest's fault.
fn missing(what: &'static str) -> Stop {
    Stop::Host(HostError::Run { reason: format!("the compiled module lacks {what}") })
}

fn trap_without_meters(error: RuntimeError) -> Result<Trapped, HostError> {
    let reason = error.message();
    match error.to_trap() {
        Some(TrapCode::StackOverflow) => Ok(Trapped::StackOverflow),
        Some(TrapCode::HeapAccessOutOfBounds | TrapCode::TableAccessOutOfBounds) => {
            Ok(Trapped::OutOfBounds)
        }
        Some(TrapCode::IndirectCallToNull | TrapCode::BadSignature) => Ok(Trapped::BadIndirectCall),
        Some(TrapCode::IntegerOverflow | TrapCode::IntegerDivisionByZero) => {
            Ok(Trapped::Arithmetic)
        }
        Some(TrapCode::UnreachableCodeReached) => Ok(Trapped::Unreachable),
        _ => Err(HostError::Run { reason }),
    }
}
