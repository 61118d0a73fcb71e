//! INV-Z5: each promise is seen broken by something that breaks it.

use aura_choreography::{Dev, DeviceSet};
use aura_simulator::{
    engine::{Engine, Level, Violation},
    level::Scripts,
    plan::{Depth, FOR_EVER, Fault, Plan, Strategy},
    protocols::{dkd, dkd_certified, dkd_naive, dkd_no_ttl},
    subject::Subject,
};

use crate::broken::{Broken, FICKLE, Wrong};

fn first<L: Level>(level: L, plan: impl Fn(u64) -> Plan, code: &str) -> Violation {
    let mut engine = Engine::new(level);
    let found = (0..2_000).filter_map(|seed| engine.run(&plan(seed)).violation);
    let mut found = found.filter(|it| it.code() == code);
    found.next().unwrap_or_else(|| panic!("{code} was never broken"))
}

#[test]
fn agreement() {
    let naive =
        first(Scripts::new(&dkd_naive::PROTOCOL), |seed| Plan::quiet(seed, 3, 2), "Agreement");
    assert!(matches!(naive, Violation::Agreement { one, other } if one != other));
}

#[test]
fn finish_beside_abort() {
    // Some are told the key, the others that it was given up.
    let liar = Fault::Byzantine { dev: 0, strategy: Strategy::Equivocate };
    let few = Fault::Byzantine { dev: 1, strategy: Strategy::Silent };
    let plan = |seed| Plan::quiet(seed, 4, 2).with(liar).with(few);
    first(Scripts::new(&dkd_certified::PROTOCOL), plan, "FinishBesideAbort");
}

#[test]
fn a_deadlock_says_who_waits_for_what_of_whom_since_when() {
    let plan = |seed| Plan::quiet(seed, 3, 2).with(Fault::Crash { dev: 0, at: 0, down: FOR_EVER });
    let violation = first(Scripts::new(&dkd_no_ttl::PROTOCOL), plan, "Deadlock");
    let Violation::Deadlock { waiting } = &violation else { panic!() };
    let who: DeviceSet = waiting.iter().map(|it| it.0).collect();
    assert_eq!(who, DeviceSet::all(3).without(Dev(0)));
    let text = violation.to_string();
    assert!(text.contains("device 1 has waited since epoch "), "{text}");
    assert!(text.contains("for 1 times Freeze or Abort of devices 0"), "{text}");
}

#[test]
fn a_run_without_rest() {
    first(Broken::new(Wrong::Restless), |seed| Plan::quiet(seed, 2, 2), "Endless");
}

#[test]
fn two_certificates() {
    // As many liars as two quorums share.
    let plan = |seed| {
        let liar = |dev| Fault::Byzantine { dev, strategy: Strategy::Equivocate };
        Plan::quiet(seed, 4, 3).with(liar(0)).with(liar(1)).with(liar(2))
    };
    first(Scripts::new(&dkd_certified::PROTOCOL), plan, "DoubleCertificate");
}

/// INV-Z2 is seen broken when a device does not keep what it was given.
#[test]
fn something_lost() {
    let plan = |seed| Plan::quiet(seed, 3, 2).with(Fault::Crash { dev: 2, at: 4, down: 3 });
    let lost = first(Broken::new(Wrong::Forgets), plan, "Lost");
    assert!(matches!(lost, Violation::Lost { missing, .. } if missing == DeviceSet::one(Dev(2))));
}

#[test]
fn something_bogus_taken() {
    let plan = |seed| Plan::quiet(seed, 3, 2).with(Fault::Sybil { count: 1 });
    first(Broken::new(Wrong::TakesAll), plan, "TookBogus");
}

#[test]
fn a_restart_that_leads_elsewhere() {
    let plan = |seed| Plan::quiet(seed, 3, 2).with(Fault::Crash { dev: 1, at: 1, down: 3 });
    first(Scripts::new(&FICKLE), plan, "Restart");
}

#[test]
fn a_protocol_that_does_not_begin() {
    first(Scripts::new(&dkd::PROTOCOL), |seed| Plan::quiet(seed, 3, 9), "NotStarted");
}

#[test]
fn a_run_that_differs_from_itself() {
    let mut subject = Subject::new(&FICKLE, Depth::L1);
    let run = subject.run_twice(&Plan::quiet(1, 3, 2));
    assert_eq!(run.violation, Some(Violation::NotDeterministic));
}
