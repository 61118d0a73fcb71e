//! Every engine answers alike: results, traps, fuel and memory, for the corpus and for generated modules.

use std::thread;

use aura_protocol_core::{Digest, encode};
use aura_testkit::{Stage, guests, hostile};
use aura_wasm_host::{
    CallOutput, Engine, Expected, Trapped, WasmerEngine, gate,
    gate::Metered,
    vm::{self, Meters},
};

use super::{generated, signal, wasmtime_engine::WasmtimeEngine};

/// Fuel of one call: enough for a few thousand rounds, little enough for an interpreter.
const FUEL: u64 = 100_000;

/// What an engine made of a module: what each call returned, the meters, and the memory.
pub type Observed = Result<Vec<(Result<CallOutput, Trapped>, Meters, Digest)>, Trapped>;

/// What a comparison counted.
#[derive(Debug, Clone, Default)]
pub struct Counted {
    /// Modules that the gate let through, each run on every engine.
    pub admitted: u64,
    /// Modules that it refused.
    pub refused: u64,
    /// Calls that returned.
    pub returned: u64,
    /// Calls that trapped.
    pub trapped: u64,
    /// Fuel that they burnt together.
    pub fuel: u64,
    /// Where engines differed.
    pub differences: Vec<String>,
}

impl Counted {
    /// Both together.
    pub fn add(mut self, other: Self) -> Self {
        self.admitted += other.admitted;
        self.refused += other.refused;
        self.returned += other.returned;
        self.trapped += other.trapped;
        self.fuel += other.fuel;
        self.differences.extend(other.differences);
        self
    }
}

/// The engines that are compared; the first is the default one.
pub fn engines() -> Vec<Box<dyn Engine>> {
    vec![
        Box::new(WasmerEngine),
        Box::new(WasmtimeEngine),
        #[cfg(feature = "engine-wasmi")]
        Box::new(aura_wasm_host::WasmiEngine),
    ]
}

/// Three calls in one instance, so that what the first left behind shows in the next.
pub fn observe(engine: &dyn Engine, module: &Metered) -> Observed {
    let compiled = engine.compile(module).unwrap();
    let mut instance = compiled.instance().unwrap()?;
    let envelopes = [encode(&signal(b"go")), vec![0; 3], vec![7; 5_000]];
    let call = |envelope: &Vec<u8>| {
        let called = vm::call(instance.as_mut(), envelope, FUEL).unwrap();
        (called, instance.meters().unwrap(), vm::memory_digest(instance.as_mut()))
    };
    Ok(envelopes.iter().map(call).collect())
}

/// Compares the engines on one module.
pub fn compare(name: &str, bytes: &[u8], engines: &[Box<dyn Engine>]) -> Counted {
    let mut counted = Counted::default();
    let Ok(checked) = gate::check(bytes, Expected::of(bytes)) else {
        counted.refused += 1;
        return counted;
    };
    counted.admitted += 1;
    let observed: Vec<Observed> =
        engines.iter().map(|it| observe(it.as_ref(), checked.metered())).collect();
    for (engine, other) in engines.iter().zip(&observed) {
        if *other != observed[0] {
            let difference =
                format!("{name} on {}: {other:?} instead of {:?}", engine.id(), observed[0]);
            counted.differences.push(difference);
        }
    }
    for (called, meters, _) in observed[0].iter().flatten() {
        counted.fuel += FUEL - meters.fuel_left.max(0) as u64;
        match called {
            Ok(_) => counted.returned += 1,
            Err(_) => counted.trapped += 1,
        }
    }
    counted
}

/// Compares the engines on what passes the gate of the hostile corpus, on what goes to the limits, and on
/// the guests.
pub fn compare_corpus() -> Counted {
    const GUESTS: [&str; 9] = [
        "counter-1-0-0",
        "counter-1-0-0-c",
        "counter-1-1-0",
        "counter-2-0-0",
        "counter-migration-2-0-0",
        "dkd-1-0-0",
        "hello-1-0-0",
        "motion-1-0-0",
        "poll-1-0-0",
    ];
    let engines = engines();
    let corpus = hostile::corpus().into_iter().filter(|it| it.stage == Stage::Step);
    let corpus = corpus.map(|it| (it.name, it.bytes)).chain(hostile::at_the_limits());
    let guests = GUESTS.map(|it| (it, guests::load(it).unwrap()));
    let counts = corpus.chain(guests).map(|(name, bytes)| compare(name, &bytes, &engines));
    counts.fold(Counted::default(), Counted::add)
}

/// Compares the engines on as many generated modules as must pass the gate, on all processors.
pub fn compare_generated(count: u64) -> Counted {
    let threads = thread::available_parallelism().map_or(1, |it| it.get() as u64);
    let run = |thread: u64| {
        let engines = engines();
        let mut counted = Counted::default();
        for seed in (0..).map(|it| it * threads + thread) {
            if count / threads < counted.admitted {
                return counted;
            }
            if let Some(bytes) = generated::module(seed) {
                counted = counted.add(compare(&format!("seed {seed}"), &bytes, &engines));
            }
        }
        counted
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|it| scope.spawn(move || run(it))).collect();
        let counted = running.into_iter().map(|it| it.join().unwrap());
        counted.fold(Counted::default(), Counted::add)
    })
}
