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
    /// Processor time of gate, compiler and one step, in milliseconds.
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
    let begun = ms(ClockId::ThreadCPUTime);
    let ended = host.call(Digest::of(bytes), &signal(b"go"), fuel);
    assert!(matches!(ended, Err(CallError::Trapped(_))), "{ended:?}");
    ms(ClockId::ThreadCPUTime) - begun
}

#[test]
#[ignore = "a child of other tests, which say what it is to measure"]
fn child() {
    let bytes = fs::read(env::var_os(FILE).unwrap()).unwrap();
    let begun = cpu_ms();
    let verdict = verdict(&bytes);
    println!("\n{MARK}{verdict} {} {}", cpu_ms() - begun, peak_mb());
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

fn cpu_ms() -> u64 {
    ms(ClockId::ProcessCPUTime)
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
