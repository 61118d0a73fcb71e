//! Wasmtime as a second opinion: the same metered modules, another runtime. For tests and measurements.

use std::sync::Arc;

use aura_protocol_core::abi;
use aura_wasm_host::{
    Compiled, Engine, HostError, Trapped,
    artifact::AuthenticArtifact,
    gate::{FUEL_GLOBAL, Metered, NO_MEMORY_GLOBAL, STACK_GLOBAL},
    limits::HOST_STACK_BYTES,
    vm::{Fault, Instance, Meters},
};
use wasmtime::{Config, Global, Memory, Module, Store, Trap, TypedFunc, Val};

/// Wasmtime with Cranelift. It loads no artifacts: what it compiled is compiled again.
#[derive(Debug, Default)]
pub struct WasmtimeEngine;

impl Engine for WasmtimeEngine {
    fn id(&self) -> String {
        "wasmtime 48.0.0".to_owned()
    }

    fn compile(&self, module: &Metered) -> Result<Arc<dyn Compiled>, HostError> {
        let digest = module.digest();
        let compile = || -> wasmtime::Result<Module> {
            let mut config = Config::new();
            config.max_wasm_stack(HOST_STACK_BYTES / 4);
            Module::from_binary(&wasmtime::Engine::new(&config)?, module.bytes())
        };
        let module = compile()
            .map_err(|error| HostError::Compile { digest, reason: format!("{error:?}") })?;
        Ok(Arc::new(WasmtimeModule { module }))
    }

    fn load(&self, _artifact: AuthenticArtifact) -> Result<Arc<dyn Compiled>, HostError> {
        Err(HostError::Artifact { reason: "it is not for keeping".to_owned() })
    }
}

struct WasmtimeModule {
    module: Module,
}

impl Compiled for WasmtimeModule {
    fn instance(&self) -> Result<Result<Box<dyn Instance + '_>, Trapped>, HostError> {
        let mut store = Store::new(self.module.engine(), ());
        match wasmtime::Instance::new(&mut store, &self.module, &[]) {
            Ok(instance) => Ok(Ok(Box::new(WasmtimeInstance::new(store, instance)?))),
            Err(error) => trapped(&error).map(Err),
        }
    }

    fn artifact(&self) -> Result<Vec<u8>, HostError> {
        self.module.serialize().map_err(|error| HostError::Artifact { reason: error.to_string() })
    }
}

struct WasmtimeInstance {
    store: Store<()>,
    memory: Memory,
    input: TypedFunc<i32, i32>,
    step: TypedFunc<(i32, i32), i64>,
    fuel: Global,
    stack: Global,
    no_memory: Global,
}

impl WasmtimeInstance {
    fn new(mut store: Store<()>, instance: wasmtime::Instance) -> Result<Self, HostError> {
        let lost = |_| missing();
        let input = instance.get_typed_func(&mut store, abi::IN).map_err(lost)?;
        let step = instance.get_typed_func(&mut store, abi::STEP).map_err(lost)?;
        let memory = instance.get_memory(&mut store, abi::MEMORY).ok_or_else(missing)?;
        let mut global = |name| instance.get_global(&mut store, name).ok_or_else(missing);
        let (fuel, stack) = (global(FUEL_GLOBAL)?, global(STACK_GLOBAL)?);
        let no_memory = global(NO_MEMORY_GLOBAL)?;
        Ok(Self { store, memory, input, step, fuel, stack, no_memory })
    }
}

impl Instance for WasmtimeInstance {
    fn begin(&mut self, fuel: i64) -> Result<(), HostError> {
        let values =
            [(self.fuel, Val::I64(fuel)), (self.stack, Val::I32(0)), (self.no_memory, Val::I32(0))];
        for (global, value) in values {
            global.set(&mut self.store, value).map_err(|_| missing())?;
        }
        Ok(())
    }

    fn meters(&mut self) -> Result<Meters, HostError> {
        let fuel_left = self.fuel.get(&mut self.store).i64().ok_or_else(missing)?;
        let stack = self.stack.get(&mut self.store).i32().ok_or_else(missing)?;
        let refused = self.no_memory.get(&mut self.store).i32().ok_or_else(missing)?;
        Ok(Meters { fuel_left, stack_used: stack as u32, memory_refused: refused == 1 })
    }

    fn input(&mut self, len: i32) -> Result<i32, Fault> {
        self.input.call(&mut self.store, len).map_err(|error| fault(&error))
    }

    fn step(&mut self, address: i32, len: i32) -> Result<i64, Fault> {
        self.step.call(&mut self.store, (address, len)).map_err(|error| fault(&error))
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

fn missing() -> HostError {
    HostError::Run { reason: "the compiled module lacks an export".to_owned() }
}

fn fault(error: &wasmtime::Error) -> Fault {
    trapped(error).map_or_else(Fault::Host, Fault::Trap)
}

fn trapped(error: &wasmtime::Error) -> Result<Trapped, HostError> {
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => Ok(Trapped::StackOverflow),
        Some(Trap::MemoryOutOfBounds | Trap::TableOutOfBounds) => Ok(Trapped::OutOfBounds),
        Some(Trap::IndirectCallToNull | Trap::BadSignature) => Ok(Trapped::BadIndirectCall),
        Some(Trap::IntegerOverflow | Trap::IntegerDivisionByZero) => Ok(Trapped::Arithmetic),
        Some(Trap::UnreachableCodeReached) => Ok(Trapped::Unreachable),
        _ => Err(HostError::Run { reason: format!("{error:?}") }),
    }
}
