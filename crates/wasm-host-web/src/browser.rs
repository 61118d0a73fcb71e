//! The browser's own engine: what the gate let through, compiled and run by `WebAssembly`.
//!
//! The one file that knows the engine's interface. A call gets an instance of its own, as on every host.

use aura_protocol_core::{
    abi::{self, Envelope, Op, Reply},
    encode,
};
use aura_wasm_host::{
    CallError, CallOutput, CheckedModule, HostError, PrepareError, Trapped,
    gate::{FUEL_GLOBAL, NO_MEMORY_GLOBAL, STACK_GLOBAL},
    limits::{CALL_BYTES_MAX, DESCRIBE_FUEL_MAX},
    reply,
    vm::{self, Fault, Instance, Meters},
};
use js_sys::{BigInt, Error, Function, Object, Reflect, Uint8Array, WebAssembly};
use wasm_bindgen::{JsCast, JsValue};

use crate::trap;

/// A module that the gate let through and the browser compiled.
pub struct BrowserModule {
    module: WebAssembly::Module,
}

impl BrowserModule {
    /// Has the browser compile a checked module, and the module say what it is.
    ///
    /// # Errors
    /// [`PrepareError`], which says whose fault it is.
    pub fn prepare(checked: &CheckedModule) -> Result<Self, PrepareError> {
        let bytes = Uint8Array::from(checked.instrumented());
        let module = WebAssembly::Module::new(&bytes)
            .map_err(|it| HostError::Compile { digest: checked.digest(), reason: said(&it) })?;
        let this = Self { module };
        let answer = this.run(&encode(&Envelope::new(Op::Describe)), DESCRIBE_FUEL_MAX)?;
        reply::check_description(answer, checked.descriptor())?;
        Ok(this)
    }

    /// Makes one call, and says what it cost.
    ///
    /// # Errors
    /// [`CallError`]; an error that the protocol reports is a reply.
    pub fn call(&self, envelope: &Envelope, fuel: u64) -> Result<(Reply, u64), CallError> {
        let input = encode(envelope);
        if CALL_BYTES_MAX < input.len() {
            return Err(CallError::InputTooLong { found: input.len(), limit: CALL_BYTES_MAX });
        }
        let output = self.run(&input, fuel)??;
        let reply = reply::read(&envelope.op, &output.output).map_err(Trapped::from)?;
        Ok((reply, output.fuel_used))
    }

    fn run(&self, input: &[u8], fuel: u64) -> Result<Result<CallOutput, Trapped>, HostError> {
        match WebAssembly::Instance::new(&self.module, &Object::new()) {
            Ok(instance) => vm::call(&mut BrowserInstance::new(&instance)?, input, fuel),
            // A segment that does not fit; the module imports nothing and has no start function.
            Err(error) => match trap::meaning(&said(&error)) {
                Some(trapped) => Ok(Err(trapped)),
                None => Err(HostError::Run { reason: said(&error) }),
            },
        }
    }
}

struct BrowserInstance {
    memory: WebAssembly::Memory,
    input: Function,
    step: Function,
    fuel: WebAssembly::Global,
    stack: WebAssembly::Global,
    no_memory: WebAssembly::Global,
}

impl BrowserInstance {
    fn new(instance: &WebAssembly::Instance) -> Result<Self, HostError> {
        let exports = instance.exports();
        Ok(Self {
            memory: export(&exports, abi::MEMORY)?,
            input: export(&exports, abi::IN)?,
            step: export(&exports, abi::STEP)?,
            fuel: export(&exports, FUEL_GLOBAL)?,
            stack: export(&exports, STACK_GLOBAL)?,
            no_memory: export(&exports, NO_MEMORY_GLOBAL)?,
        })
    }

    /// The part of the memory, if it is all inside. The buffer is asked for anew, because growing the
    /// memory takes the old one away.
    fn view(&self, address: u32, len: usize) -> Option<Uint8Array> {
        let buffer = self.memory.buffer();
        let whole = Uint8Array::new(&buffer);
        let end = address.checked_add(u32::try_from(len).ok()?)?;
        (end <= whole.length()).then(|| whole.subarray(address, end))
    }
}

impl Instance for BrowserInstance {
    fn begin(&mut self, fuel: i64) -> Result<(), HostError> {
        set(&self.fuel, &BigInt::from(fuel))?;
        set(&self.stack, &JsValue::from(0))?;
        set(&self.no_memory, &JsValue::from(0))
    }

    fn meters(&mut self) -> Result<Meters, HostError> {
        let fuel = get(&self.fuel)?.dyn_into::<BigInt>().ok().and_then(|it| i64::try_from(it).ok());
        let word = |it: &WebAssembly::Global| Ok(get(it)?.as_f64());
        let (stack, refused) = (word(&self.stack)?, word(&self.no_memory)?);
        let meters = fuel.zip(stack).zip(refused).map(|((fuel_left, stack), refused)| Meters {
            fuel_left,
            stack_used: stack as i32 as u32, // JavaScript shows the word as signed.
            memory_refused: refused == 1.0,
        });
        meters.ok_or_else(|| missing("its meters"))
    }

    fn input(&mut self, len: i32) -> Result<i32, Fault> {
        let returned = self.input.call1(&JsValue::UNDEFINED, &len.into()).map_err(fault)?;
        let address = returned.as_f64().ok_or_else(|| missing("an address as a number"))?;
        Ok(address as i32)
    }

    fn step(&mut self, address: i32, len: i32) -> Result<i64, Fault> {
        let returned = self.step.call2(&JsValue::UNDEFINED, &address.into(), &len.into());
        let packed = returned.map_err(fault)?.dyn_into::<BigInt>().ok();
        let packed = packed.and_then(|it| i64::try_from(it).ok());
        Ok(packed.ok_or_else(|| missing("an answer as a 64-bit number"))?)
    }

    fn write(&mut self, address: u32, bytes: &[u8]) -> bool {
        self.view(address, bytes.len()).map(|it| it.copy_from(bytes)).is_some()
    }

    fn read(&mut self, address: u32, bytes: &mut [u8]) -> bool {
        self.view(address, bytes.len()).map(|it| it.copy_to(bytes)).is_some()
    }

    fn memory_len(&mut self) -> usize {
        Uint8Array::new(&self.memory.buffer()).length() as usize
    }
}

fn export<T: JsCast>(exports: &Object, name: &'static str) -> Result<T, HostError> {
    let found = Reflect::get(exports, &name.into()).ok();
    found.and_then(|it| it.dyn_into().ok()).ok_or_else(|| missing(name))
}

fn get(global: &WebAssembly::Global) -> Result<JsValue, HostError> {
    Reflect::get(global, &"value".into()).map_err(|_| missing("its meters"))
}

fn set(global: &WebAssembly::Global, value: &JsValue) -> Result<(), HostError> {
    match Reflect::set(global, &"value".into(), value) {
        Ok(true) => Ok(()),
        _ => Err(missing("its meters")),
    }
}

/// The gate let through what it should not have, or the browser lost it: never the guest's fault.
fn missing(what: &'static str) -> HostError {
    HostError::Run { reason: format!("the compiled module lacks {what}") }
}

fn fault(error: JsValue) -> Fault {
    let reason = said(&error);
    trap::meaning(&reason).map_or(Fault::Host(HostError::Run { reason }), Fault::Trap)
}

/// The browser's words for what went wrong, with the kind of the error before them.
fn said(error: &JsValue) -> String {
    error.dyn_ref::<Error>().map_or_else(
        || format!("{error:?}"),
        |it| format!("{}: {}", String::from(it.name()), String::from(it.message())),
    )
}
