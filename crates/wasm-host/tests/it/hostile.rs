//! Every hostile module gets its typed answer, soon, and the host goes on.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use aura_protocol_core::{Digest, limits::STEP_FUEL_MAX};
use aura_testkit::{HostileModule, Stage, hostile};
use aura_wasm_host::{CallError, Expected, ModuleHost, PrepareError, Refused, gate};

use crate::{counter, guest, reference, signal};

/// Fifty times what the slowest of the corpus takes on an idle machine, a fill bomb's 0.15 s.
const PATIENCE: Duration = Duration::from_secs(10);

/// INV-H1, INV-H2. Attack 18, a decompression bomb: what is compressed is no module.
#[test]
fn each_hostile_module_is_stopped_with_its_code() {
    let corpus = hostile::corpus();
    assert!(60 < corpus.len());
    for module in corpus {
        let begun = Instant::now();
        let found = stopped(&module);
        assert_eq!(found, (module.stage, module.code), "{}", module.name);
        assert!(begun.elapsed() < PATIENCE, "{} took {:?}", module.name, begun.elapsed());
    }
}

fn stopped(module: &HostileModule) -> (Stage, &'static str) {
    let host = ModuleHost::in_memory();
    let reference = reference(&module.bytes);
    if let Err(error) = host.prepare(&module.bytes, &reference) {
        assert!(!host.contains(reference.digest).unwrap(), "{} was kept", module.name);
        return (Stage::Prepare, error.code());
    }
    match host.call(reference.digest, &signal(b"go"), STEP_FUEL_MAX) {
        Err(CallError::Trapped(trapped)) => (Stage::Step, trapped.code()),
        other => panic!("{}: {other:?}", module.name),
    }
}

/// INV-H2: a session that traps leaves the others alone.
#[test]
fn a_host_outlives_its_hostile_modules() {
    let host = ModuleHost::in_memory();
    let counter = guest("counter-1-0-0");
    host.prepare(&counter, &reference(&counter)).unwrap();
    for module in hostile::corpus().iter().filter(|it| it.stage == Stage::Step) {
        let reference = reference(&module.bytes);
        host.prepare(&module.bytes, &reference).unwrap();
        host.call(reference.digest, &signal(b""), STEP_FUEL_MAX).unwrap_err();
        host.describe(Digest::of(&counter)).unwrap();
        host.call(Digest::of(&counter), &signal(b"1"), STEP_FUEL_MAX).unwrap();
    }
}

/// What is wrong with a session type, and where, is in the verdict.
#[test]
fn a_session_type_is_refused_for_what_is_wrong_with_it() {
    let types = hostile::corpus().into_iter().filter(|it| it.code == "SessionType");
    let found: Vec<String> = types
        .map(|it| match gate::check(&it.bytes, Expected::of(&it.bytes)) {
            Err(Refused::SessionType { reason }) => {
                let reason = reason.split(": ").take(2).collect::<Vec<_>>().join(": ");
                format!("{}: {reason}", it.name)
            }
            other => panic!("{}: {other:?}", it.name),
        })
        .collect();
    let expect = [
        "a session type that is no text: line 1, column 1: expected session, found `\u{fffd}`",
        "a session type that is another text: line 1, column 1: expected session, found `to`",
        "a session type without canonical text: line 5, column 17: this is not the canonical text",
        "a session type that breaks a rule: line 5, column 5: deadlock",
        "a session type beside a good one: line 5, column 5: deadlock",
        "a session type without end: line 1, column 1: expected session, found `(`",
    ];
    assert_eq!(found, expect);
}

/// INV-H1. Attack 19, a compile bomb: it is the meant rule that stops each, not another one by luck.
#[test]
fn each_limit_is_reached() {
    let limits = hostile::corpus().into_iter().filter(|it| it.code == "LimitExceeded");
    let found: Vec<String> = limits
        .map(|it| match gate::check(&it.bytes, Expected::of(&it.bytes)) {
            Err(Refused::LimitExceeded { rule, .. }) => format!("{}: {rule}", it.name),
            other => panic!("{}: {other:?}", it.name),
        })
        .collect();
    let expect = [
        "4 GiB minimum: initial memory pages",
        "4 GiB maximum: memory pages",
        "100 M table: table elements",
        "growing table: table elements",
        "giant function: function bytes",
        "20,000 nested blocks: nested blocks",
        "wide br_table: br_table targets",
        "br_table times locals: function compile work",
        "many functions with branches: module compile work",
        "nothing but calls: module compile time",
        "nothing but loops: function compile time",
        "functions times parameters: module compile work",
        "49,000 locals: locals",
        "100,000 functions: functions",
        "900 parameters: parameters",
        "1,000 operands: operands",
        "10,000 globals: globals",
        "four billion locals in six bytes: locals",
        "endless descriptor: descriptor bytes",
    ];
    assert_eq!(found, expect);
}

#[test]
fn an_unknown_import_is_named() {
    let bytes = hostile::unknown_import("counter", "2.0.0");
    let descriptor = gate::read_descriptor(&bytes).unwrap();
    assert_eq!(descriptor.version.to_string(), "2.0.0");
    let error = ModuleHost::in_memory().prepare(&bytes, &reference(&bytes)).unwrap_err();
    let PrepareError::Refused(Refused::ImportNotAllowed { import }) = error else {
        panic!("{error:?}")
    };
    assert_eq!(import, "env.open");
}

/// INV-H2: while hostile modules are taken in and called, sessions of others go on, with the results
/// that they would have had alone.
#[test]
fn other_sessions_do_not_notice() {
    let host = ModuleHost::in_memory();
    let bytes = guest("counter-1-0-0");
    let digest = Digest::of(&bytes);
    host.prepare(&bytes, &reference(&bytes)).unwrap();
    let alone = counter::trace(&host, digest);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sessions = scope.spawn(|| {
            let (mut sessions, mut slowest) = (0, Duration::ZERO);
            while !is_over.load(Ordering::SeqCst) {
                let begun = Instant::now();
                assert_eq!(counter::trace(&host, digest), alone);
                slowest = slowest.max(begun.elapsed());
                sessions += 1;
            }
            (sessions, slowest)
        });
        for module in hostile::corpus() {
            let reference = reference(&module.bytes);
            if host.prepare(&module.bytes, &reference).is_ok() {
                host.call(reference.digest, &signal(b"go"), STEP_FUEL_MAX).unwrap_err();
            }
        }
        is_over.store(true, Ordering::SeqCst);
        let (sessions, slowest) = sessions.join().unwrap();
        assert!(50 < sessions, "{sessions} sessions");
        assert!(slowest < PATIENCE, "{slowest:?}");
    });
}
