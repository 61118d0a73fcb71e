//! What a module costs, measured in a process of its own: this test binary, started again.

use std::{
    env, fs,
    process::{Command, Stdio},
};

use aura_protocol_core::{Digest, limits::STEP_FUEL_MAX};
use aura_wasm_host::{CallError, ModuleHost};
use rustix::time::{ClockId, clock_gettime};

use crate::{reference, signal};

/// The variable that names the module's file.
const FILE: &str = "AURA_COST_OF";
const MARK: &str = "cost: ";

/// What became of a module, and what that cost.
#[derive(Debug, Clone)]
pub struct Cost {
    /// The stable code of the refusal or trap; `Ready` where there was none.
    pub verdict: String,
    /// Processor time of gate, compiler and one step, in milliseconds of [`at_pace`].
    pub cpu_ms: u64,
    /// The most memory that the process ever had, in MB.
    pub memory_mb: u64,
}

/// Takes the module in and lets it step once, in a process of its own.
pub fn measure(bytes: &[u8]) -> Cost {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "cost::child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(FILE, file.path())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|it| it.split_once(MARK)).map(|it| it.1);
    let Some(line) = line else { panic!("{:?}: {text}", output.status) };
    let mut words = line.split(' ');
    let mut next = || words.next().unwrap();
    let verdict = next().to_owned();
    Cost { verdict, cpu_ms: next().parse().unwrap(), memory_mb: next().parse().unwrap() }
}

/// What one step to the end of `fuel` takes of this thread's processor time, in milliseconds.
pub fn step_ms(bytes: &[u8], fuel: u64) -> u64 {
    let host = ModuleHost::in_memory();
    host.prepare(bytes, &reference(bytes)).unwrap();
    at_pace(ClockId::ThreadCPUTime, || {
        let ended = host.call(Digest::of(bytes), &signal(b"go"), fuel);
        assert!(matches!(ended, Err(CallError::Trapped(_))), "{ended:?}");
    })
    .1
}

/// What sorting [`PACE_ITEMS`] takes, in milliseconds, of the machine that the limits are given for (see
/// `docs/benchmarks/modules.md`) while it has nothing else to do.
const PACE_MS: u64 = 55;
const PACE_ITEMS: u64 = 1 << 21;

/// Runs something; with what it took in milliseconds, of this machine, or of the limits' machine if
/// this one is now slower: others on the same cores take caches and half of a core's units, which is
/// charged as processor time. Sorting goes through as much memory as a compiler, before and after.
fn at_pace<T>(clock: ClockId, run: impl FnOnce() -> T) -> (T, u64) {
    let before = pace_ms();
    let begun = ms(clock);
    let ran = run();
    let took = ms(clock) - begun;
    let pace = before.midpoint(pace_ms()).max(PACE_MS);
    (ran, took * PACE_MS / pace)
}

fn pace_ms() -> u64 {
    let mut items: Vec<u64> =
        (0..PACE_ITEMS).map(|it| it.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17)).collect();
    let begun = ms(ClockId::ThreadCPUTime);
    items.sort_unstable();
    let took = ms(ClockId::ThreadCPUTime) - begun;
    assert!(items.is_sorted());
    took
}

#[test]
#[ignore = "a child of other tests, which say what it is to measure"]
fn child() {
    let bytes = fs::read(env::var_os(FILE).unwrap()).unwrap();
    let (verdict, cpu_ms) = at_pace(ClockId::ProcessCPUTime, || verdict(&bytes));
    println!("\n{MARK}{verdict} {cpu_ms} {}", peak_mb());
}

fn verdict(bytes: &[u8]) -> String {
    let host = ModuleHost::in_memory();
    if let Err(error) = host.prepare(bytes, &reference(bytes)) {
        return error.code().to_owned();
    }
    match host.call(Digest::of(bytes), &signal(b"go"), STEP_FUEL_MAX) {
        Ok(_) => "Ready".to_owned(),
        Err(CallError::Trapped(trapped)) => trapped.code().to_owned(),
        Err(error) => panic!("{error}"),
    }
}

fn ms(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000 + time.tv_nsec as u64 / 1_000_000
}

fn peak_mb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}
