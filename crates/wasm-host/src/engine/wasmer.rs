//! Wasmer with Cranelift: the default engine, and the one file that runs it.
//!
//! One engine a module, because an engine keeps the code of dropped modules. One instance a call,
//! because a store does not move between threads and a module must not remember anything.

use std::sync::Arc;

use aura_protocol_core::abi;
use wasmer::{
    Global, Imports, InstantiationError, LinkError, Memory, Module, RuntimeError, Store,
    TypedFunction, Value,
    sys::{CompilerConfig, Cranelift, EngineBuilder, Features, NativeEngineExt, Target},
};
use wasmer_vm::TrapCode;

use super::{Compiled, Engine, wasmer_unsafe};
use crate::{
    artifact::AuthenticArtifact,
    error::HostError,
    gate::{FUEL_GLOBAL, Metered, NO_MEMORY_GLOBAL, STACK_GLOBAL},
    trapped::Trapped,
    vm::{Fault, Instance, Meters},
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

    fn compile(&self, module: &Metered) -> Result<Arc<dyn Compiled>, HostError> {
        let engine = hardened();
        let compiled = Module::from_binary(&engine, module.bytes()).map_err(|error| {
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
    fn instance(&self) -> Result<Result<Box<dyn Instance + '_>, Trapped>, HostError> {
        let mut store = Store::new(self.engine.clone());
        match wasmer::Instance::new(&mut store, &self.module, &Imports::new()) {
            Ok(instance) => Ok(Ok(Box::new(WasmerInstance::new(store, &instance)?))),
            // A data or element segment that does not fit: no code has run.
            Err(
                InstantiationError::Start(error) | InstantiationError::Link(LinkError::Trap(error)),
            ) => trapped(error).map(Err),
            Err(error) => Err(HostError::Run { reason: error.to_string() }),
        }
    }

    fn artifact(&self) -> Result<Vec<u8>, HostError> {
        let bytes = self.module.serialize();
        bytes
            .map(|it| it.to_vec())
            .map_err(|error| HostError::Artifact { reason: error.to_string() })
    }
}

struct WasmerInstance {
    store: Store,
    memory: Memory,
    input: TypedFunction<i32, i32>,
    step: TypedFunction<(i32, i32), i64>,
    fuel: Global,
    stack: Global,
    no_memory: Global,
}

impl WasmerInstance {
    fn new(store: Store, instance: &wasmer::Instance) -> Result<Self, HostError> {
        let exports = &instance.exports;
        let global =
            |name: &'static str| exports.get_global(name).cloned().map_err(|_| missing(name));
        Ok(Self {
            memory: exports.get_memory(abi::MEMORY).map_err(|_| missing(abi::MEMORY))?.clone(),
            input: exports.get_typed_function(&store, abi::IN).map_err(|_| missing(abi::IN))?,
            step: exports.get_typed_function(&store, abi::STEP).map_err(|_| missing(abi::STEP))?,
            fuel: global(FUEL_GLOBAL)?,
            stack: global(STACK_GLOBAL)?,
            no_memory: global(NO_MEMORY_GLOBAL)?,
            store,
        })
    }
}

impl Instance for WasmerInstance {
    fn begin(&mut self, fuel: i64) -> Result<(), HostError> {
        let values = [
            (&self.fuel, Value::I64(fuel)),
            (&self.stack, Value::I32(0)),
            (&self.no_memory, Value::I32(0)),
        ];
        for (global, value) in values {
            global.set(&mut self.store, value).map_err(|_| missing("its meters"))?;
        }
        Ok(())
    }

    fn meters(&mut self) -> Result<Meters, HostError> {
        let mut value = |global: &Global| global.get(&mut self.store);
        let (fuel, stack) = (value(&self.fuel).i64(), value(&self.stack).i32());
        let refused = value(&self.no_memory).i32();
        let meters = fuel.zip(stack).zip(refused).map(|((fuel_left, stack), refused)| Meters {
            fuel_left,
            stack_used: stack as u32,
            memory_refused: refused == 1,
        });
        meters.ok_or_else(|| missing("its meters"))
    }

    fn input(&mut self, len: i32) -> Result<i32, Fault> {
        self.input.call(&mut self.store, len).map_err(fault)
    }

    fn step(&mut self, address: i32, len: i32) -> Result<i64, Fault> {
        self.step.call(&mut self.store, address, len).map_err(fault)
    }

    fn write(&mut self, address: u32, bytes: &[u8]) -> bool {
        self.memory.view(&self.store).write(address.into(), bytes).is_ok()
    }

    fn read(&mut self, address: u32, bytes: &mut [u8]) -> bool {
        self.memory.view(&self.store).read(address.into(), bytes).is_ok()
    }

    fn memory_len(&mut self) -> usize {
        usize::try_from(self.memory.view(&self.store).data_size()).unwrap_or(0)
    }
}

/// The gate let through what it should not have, or this engine lost it: never the guest's fault.
fn missing(what: &'static str) -> HostError {
    HostError::Run { reason: format!("the compiled module lacks {what}") }
}

fn fault(error: RuntimeError) -> Fault {
    trapped(error).map_or_else(Fault::Host, Fault::Trap)
}

fn trapped(error: RuntimeError) -> Result<Trapped, HostError> {
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
