//! Compiling in a child: the same modules, and a compiler that takes too much is stopped.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use aura_protocol_core::Digest;
use aura_testkit::hostile;
use aura_wasm_host::{HostError, HostOptions, Isolation, ModuleHost, PrepareError};

use crate::{counter, guest, reference};

fn host(path: impl Into<PathBuf>) -> ModuleHost {
    let isolation = Isolation::Child(path.into());
    ModuleHost::in_memory_with(HostOptions { isolation, ..HostOptions::default() })
}

fn compiler() -> ModuleHost {
    host(env!("CARGO_BIN_EXE_aura-wasm-compile"))
}

/// A program that does something else than to compile.
fn program(dir: &Path, script: &str) -> PathBuf {
    let path = dir.join("program");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path
}

fn failure(host: &ModuleHost) -> HostError {
    let bytes = guest("counter-1-0-0");
    match host.prepare(&bytes, &reference(&bytes)) {
        Err(PrepareError::Host(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// INV-H7: what a child compiled is what this process would have compiled.
#[test]
fn a_child_compiles_the_same() {
    let bytes = guest("counter-2-0-0");
    let digest = Digest::of(&bytes);
    let trace = |host: &ModuleHost| {
        host.prepare(&bytes, &reference(&bytes)).unwrap();
        counter::trace(host, digest)
    };
    assert_eq!(trace(&compiler()), trace(&ModuleHost::in_memory()));
    let dir = tempfile::tempdir().unwrap();
    let isolation = Isolation::Child(env!("CARGO_BIN_EXE_aura-wasm-compile").into());
    let options = HostOptions { isolation, ..HostOptions::default() };
    let kept = ModuleHost::open_with(dir.path(), [1; 32], options).unwrap();
    let expect = trace(&kept);
    // The artifact of the child is this device's own, and is loaded without one.
    assert_eq!(counter::trace(&ModuleHost::open(dir.path(), [1; 32]).unwrap(), digest), expect);
}

/// INV-H7
#[test]
fn refusals_are_the_same_with_a_child() {
    let bytes = hostile::unknown_import("counter", "1.0.0");
    let error = compiler().prepare(&bytes, &reference(&bytes)).unwrap_err();
    assert_eq!(error.code(), "ImportNotAllowed");
}

/// INV-H7: what a compiler may take, in processor time and memory, and how that is told apart.
#[test]
fn a_compiler_that_takes_too_much_is_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let stopped = |script: &str| match failure(&host(program(dir.path(), script))) {
        HostError::CompileStopped { limit, .. } => limit,
        other => panic!("{script}: {other}"),
    };
    assert_eq!(stopped("ulimit -t 1; while :; do :; done"), "processor time");
    assert_eq!(stopped("cat > /dev/null; kill -ABRT $$"), "memory");
    let begun = Instant::now();
    let child = "cat > /dev/null; exec sleep 1000";
    assert_eq!(stopped(child), "time");
    assert!(begun.elapsed() < Duration::from_secs(60));
}

/// INV-H7: no answer, half an answer and another build's answer are no code.
#[test]
fn a_child_that_is_no_compiler_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    for script in
        ["exit 0", "cat > /dev/null; echo hello", "cat > /dev/null; head -c 5000 /dev/zero"]
    {
        let error = failure(&host(program(dir.path(), script)));
        assert!(matches!(error, HostError::Compile { .. }), "{script}: {error}");
    }
    let error = failure(&host(dir.path().join("nowhere")));
    assert!(matches!(error, HostError::Child { .. }), "{error}");
}

/// INV-H7: the child limits itself before it reads anything.
#[test]
fn a_child_has_limits() {
    use std::{
        io::Write,
        process::{Command, Stdio},
    };

    let mut child = Command::new(env!("CARGO_BIN_EXE_aura-wasm-compile"))
        .arg(aura_wasm_host::isolate::CHILD_ARGUMENT)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let file = format!("/proc/{}/limits", child.id());
    let limits = || fs::read_to_string(&file).unwrap_or_default();
    let has = |text: &str, name: &str, most: &str| {
        let line = text.lines().find(|it| it.starts_with(name)).unwrap_or_default();
        line.split_whitespace().any(|it| it == most)
    };
    let begun = Instant::now();
    while !has(&limits(), "Max file size", "0") {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", limits());
        std::thread::yield_now();
    }
    let found = limits();
    assert!(has(&found, "Max cpu time", "2"), "{found}");
    assert!(has(&found, "Max data size", &(256 << 20).to_string()), "{found}");
    child.stdin.take().unwrap().write_all(b"too short").unwrap();
    assert!(child.wait().unwrap().success()); // It says what is wrong in its answer.
}
