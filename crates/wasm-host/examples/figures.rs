//! What the sandbox costs, wasmer and wasmtime side by side in one run: `cargo xtask bench modules`.
//! With `--json` the last line on standard output is one object; the table is on standard error. Needs
//! the guests and the WebAssembly target, with which it builds a guest of hashes and signatures.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a tool that ends at the first surprise"
)]

#[path = "figures/native.rs"]
mod native;
#[path = "figures/row.rs"]
mod row;
#[path = "../tests/it/wasmtime_engine.rs"]
mod wasmtime_engine;

use std::{env, fs, sync::Arc};

use aura_protocol_core::{
    Capability, DeviceId, Digest, ModuleRef, ProtocolCapabilities, ProtocolInput, SessionId,
    SessionStart,
    abi::{Envelope, Op, Reply},
    decode, encode,
    limits::{CALL_BYTES_MAX, STEP_FUEL_MAX},
};
use aura_protocol_sdk::dispatch;
use aura_wasm_host::{
    CheckedModule, Compiled, Engine, Expected, ModuleHost, WasmerEngine, gate, vm,
};
use counter_1_0_0::Counter;
use row::{bound, least, plain, ratio, time, time_all};
use serde_json::{Value, json};
use wasmtime_engine::WasmtimeEngine;

const NAMES: [&str; 2] = ["wasmer", "wasmtime"];
/// Steps of one sample in a kept instance, which leaks its buffers.
const STEPS: usize = 500;
const GUEST: &str = "counter-1-0-0";
/// The guests, and how many KiB each may have.
const GUESTS: [(&str, f64); 2] = [("counter-1-0-0", 40.0), ("poll-1-0-0", 120.0)];
/// Activations of which the slowest but one in a hundred counts.
const ACTIVATIONS: usize = 200;

fn main() {
    let counter = aura_testkit::guests::load(GUEST).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (crypto, mut native) = native::build(dir.path());
    let engines: [Box<dyn Engine>; 2] = [Box::new(WasmerEngine), Box::new(WasmtimeEngine)];
    let mut rows = vec![];
    for (name, bytes) in [("counter", &counter), ("crypto", &crypto)] {
        rows.extend(gate_and_compiler(name, bytes, &engines));
    }
    rows.extend(steps(&compile_all(&counter, &engines)));
    rows.extend(kernels(&compile_all(&crypto, &engines), &mut native));
    rows.extend(host(&counter));
    rows.push(first_session(&counter));
    rows.extend(GUESTS.map(|(name, kib)| size(name, kib)));
    for row in &rows {
        eprintln!("{}", row::line(row));
    }
    if env::args().any(|it| it == "--json") {
        println!("{}", json!({ "bench": "modules", "rows": rows }));
    }
}

/// A guest's bytes, which every device fetches and compiles.
fn size(name: &str, kib: f64) -> Value {
    let bytes = aura_testkit::guests::load(name).unwrap();
    let row = format!("size_{}", name.replace('-', "_"));
    bound(&row, bytes.len() as f64 / 1024.0, "KiB", kib, "a file's size has no floor")
}

fn checked(bytes: &[u8]) -> CheckedModule {
    gate::check(bytes, Expected::of(bytes)).unwrap()
}

fn compile_all(bytes: &[u8], engines: &[Box<dyn Engine>]) -> Vec<Arc<dyn Compiled>> {
    let checked = checked(bytes);
    engines.iter().map(|it| it.compile(checked.metered()).unwrap()).collect()
}

fn gate_and_compiler(name: &str, bytes: &[u8], engines: &[Box<dyn Engine>]) -> Vec<Value> {
    let module = checked(bytes);
    let kib = bytes.len() as f64 / 1024.0;
    let times = least(&mut [
        &mut || time(|| checked(bytes)),
        &mut || time_all(|| engines[0].compile(module.metered()).unwrap()),
        &mut || time_all(|| engines[1].compile(module.metered()).unwrap()),
    ]);
    let ms = |it: f64| it * 1e3;
    let note = format!("{kib:.0} KiB; the goal is 0.5 ms for 21 KiB, by length");
    let mut rows =
        vec![bound(&format!("gate_{name}"), ms(times[0]), "ms", 0.5 / 21.0 * kib, &note)];
    for (engine, time) in NAMES.iter().zip(&times[1..]) {
        let note = "processor time of all threads";
        rows.push(plain(&format!("compile_{name}_{engine}_per_kib"), ms(time / kib), "ms", note));
    }
    for rule in ["locals", "function compile time", "module compile time", "module compile work"] {
        let usage = module.usage().iter().find(|it| it.rule == rule).unwrap();
        let row = format!("{}_{name}", rule.replace(' ', "_"));
        let note = "of the limit that is the goal";
        rows.push(bound(&row, usage.found as f64, "units", usage.limit as f64, note));
    }
    rows
}

/// A step whose input and output have about 200 bytes.
fn step_envelope() -> Vec<u8> {
    let caps: ProtocolCapabilities = [Capability::WriteRecords].into_iter().collect();
    let start = SessionStart {
        session: SessionId::from_bytes([1; 32]),
        me: DeviceId::from_bytes([1; 32]),
        opener: DeviceId::from_bytes([1; 32]),
        participants: (1..=3).map(|it| DeviceId::from_bytes([it; 32])).collect(),
        spoken: "1.0.0".parse().unwrap(),
        params: vec![],
    };
    let op = |state, input| Envelope::new(Op::Step { state, caps, input });
    let started = dispatch::protocol::<Counter>(&encode(&op(vec![], ProtocolInput::Start(start))));
    let Reply::Stepped { state, .. } = decode(&started, CALL_BYTES_MAX).unwrap() else {
        panic!("the counter does not start")
    };
    encode(&op(state, ProtocolInput::Signal(b"12".to_vec())))
}

fn steps(modules: &[Arc<dyn Compiled>]) -> Vec<Value> {
    let envelope = step_envelope();
    let expect = dispatch::protocol::<Counter>(&envelope);
    let fresh = |module: &Arc<dyn Compiled>| {
        time(|| (0..20).for_each(|_| drop(module.call(&envelope, STEP_FUEL_MAX).unwrap()))) / 20.0
    };
    let kept = |module: &Arc<dyn Compiled>| {
        let mut instance = module.instance().unwrap().unwrap();
        let mut call = || vm::call(instance.as_mut(), &envelope, STEP_FUEL_MAX).unwrap().unwrap();
        assert_eq!(call().output, expect);
        time(|| (0..STEPS).for_each(|_| drop(call()))) / STEPS as f64
    };
    let times = least(&mut [
        &mut || {
            let step = || std::hint::black_box(dispatch::protocol::<Counter>(&envelope));
            time(|| (0..STEPS).for_each(|_| drop(step()))) / STEPS as f64
        },
        &mut || kept(&modules[0]),
        &mut || kept(&modules[1]),
        &mut || fresh(&modules[0]),
        &mut || fresh(&modules[1]),
    ]);
    let us = |it: f64| it * 1e6;
    let sizes = format!("{} bytes in, {} out", envelope.len(), expect.len());
    let mut rows = vec![plain("step_native", us(times[0]), "us", &sizes)];
    for (index, engine) in NAMES.iter().enumerate() {
        let (kept, fresh) = (us(times[1 + index]), us(times[3 + index]));
        rows.push(ratio(&format!("step_kept_{engine}"), kept, "us", us(times[0]), 2.6));
        rows.push(bound(&format!("step_kept_{engine}_absolute"), kept, "us", 0.6, &sizes));
        let note = "an instance for each step has no native counterpart";
        rows.push(bound(&format!("step_fresh_{engine}"), fresh, "us", 30.0, note));
    }
    rows
}

fn kernels(modules: &[Arc<dyn Compiled>], native: &mut native::Native) -> Vec<Value> {
    let mut rows = vec![];
    for (kernel, (name, rounds, goal)) in
        (0u8..).zip([("sha256", 16u32, 1.05), ("blake3", 16, 1.05), ("ed25519_verify", 40, 2.3)])
    {
        let envelope = [&[kernel][..], &rounds.to_le_bytes()].concat();
        let (expect, _) = native.run(kernel, rounds);
        let in_module = |module: &Arc<dyn Compiled>| {
            let mut instance = module.instance().unwrap().unwrap();
            let mut output = vec![];
            let time = time(|| {
                output = vm::call(instance.as_mut(), &envelope, u64::MAX).unwrap().unwrap().output;
            });
            assert_eq!(output, expect.to_le_bytes());
            time
        };
        let times = least(&mut [
            &mut || native.run(kernel, rounds).1,
            &mut || in_module(&modules[0]),
            &mut || in_module(&modules[1]),
        ]);
        let ms = |it: f64| it * 1e3;
        for (engine, time) in NAMES.iter().zip(&times[1..]) {
            rows.push(ratio(&format!("{name}_{engine}"), ms(*time), "ms", ms(times[0]), goal));
        }
    }
    rows
}

/// The first session after an activation, beside the sessions that follow: ready means compiled.
fn first_session(bytes: &[u8]) -> Value {
    let digest = Digest::of(bytes);
    let size = bytes.len() as u32;
    let reference = ModuleRef { digest, sha256: Digest::ZERO, size, urls: vec![], peers_ok: true };
    let dir = tempfile::tempdir().unwrap();
    ModuleHost::open(dir.path(), [1; 32]).unwrap().prepare(bytes, &reference).unwrap();
    let envelope: Envelope = decode(&step_envelope(), CALL_BYTES_MAX).unwrap();
    let (mut first, mut warm) = (vec![], vec![]);
    for _ in 0..ACTIVATIONS {
        let host = ModuleHost::open(dir.path(), [1; 32]).unwrap();
        host.prepare(bytes, &reference).unwrap();
        host.pin(digest).unwrap();
        let step = || time(|| host.call(digest, &envelope, STEP_FUEL_MAX).unwrap());
        first.push(step());
        warm.push(step());
    }
    let p99 = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[ACTIVATIONS * 99 / 100 - 1] * 1e6
    };
    let (first, warm) = (p99(&mut first), p99(&mut warm));
    ratio("first_session_after_activation_p99", first, "us", warm, 2.0)
}

/// What a device has of it: loading from files, the first step after a start, sessions that wait.
fn host(bytes: &[u8]) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let digest = Digest::of(bytes);
    let size = bytes.len() as u32;
    let reference = ModuleRef { digest, sha256: Digest::ZERO, size, urls: vec![], peers_ok: true };
    let open = || ModuleHost::open(dir.path(), [1; 32]).unwrap();
    open().prepare(bytes, &reference).unwrap();
    let envelope: Envelope = decode(&step_envelope(), CALL_BYTES_MAX).unwrap();
    let files = ["modules", "artifacts"]
        .map(|it| fs::read_dir(dir.path().join(it)).unwrap().next().unwrap().unwrap().path());
    let times = least(&mut [
        &mut || time(|| files.each_ref().map(|it| blake3::hash(&fs::read(it).unwrap()))),
        &mut || {
            let host = open();
            time(|| host.describe(digest).unwrap())
        },
        &mut || {
            let host = open();
            time(|| {
                host.prepare(bytes, &reference).unwrap();
                host.call(digest, &envelope, STEP_FUEL_MAX).unwrap()
            })
        },
    ]);
    let us = |it: f64| it * 1e6;
    let kib = bytes.len() as f64 / 1024.0;
    let host = open();
    host.pin(digest).unwrap();
    let sessions: Vec<Vec<u8>> = (0..1_000)
        .map(|_| match host.call(digest, &envelope, STEP_FUEL_MAX).unwrap() {
            (Reply::Stepped { state, .. }, _) => state,
            other => panic!("{other:?}"),
        })
        .collect();
    let idle = sessions.iter().map(Vec::capacity).sum::<usize>() as f64 / 1024.0;
    vec![
        bound(
            "artifact_load",
            us(times[1]),
            "us",
            60.0 / 21.0 * kib,
            "both files read, hashed and authenticated; the goal is 60 us for 21 KiB, by length",
        ),
        plain("artifact_load_floor", us(times[0]), "us", "both files read and hashed, no more"),
        plain("activation_to_first_step", us(times[2]), "us", "a warm cache, a new process's host"),
        plain("idle_sessions_1000", idle, "KiB", "a waiting session is its state; no instance"),
    ]
}
