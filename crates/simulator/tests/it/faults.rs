//! Every fault shows, and none of them breaks a promise.

use aura_choreography::{Dev, DeviceSet, Ended};
use aura_protocol_core::Outcome;
use aura_simulator::{
    engine::{Engine, Node as _, Run, Tally},
    level::Scripts,
    plan::{FOR_EVER, Fault, Plan, Preset},
    protocols::{Protocol, dkd, locking, tour},
};

/// How often something shows in a run.
type Shows = fn(&Tally) -> u32;

fn run(protocol: &'static Protocol, plan: &Plan) -> (Run, Vec<Option<Ended>>) {
    let mut engine = Engine::new(Scripts::new(protocol));
    let run = engine.run(plan);
    let ended = |dev| engine.node(Dev(dev)).and_then(|it| it.ended()).cloned();
    let ended = (0..plan.devices).map(ended).collect();
    (run, ended)
}

#[test]
fn each_fault_shows_and_breaks_nothing() {
    let side = DeviceSet::all(2);
    let faults: [(Fault, Shows); 13] = [
        (Fault::Loss { per_mille: 200 }, |it| it.lost),
        (Fault::Duplicate { per_mille: 300 }, |it| it.duplicated),
        (Fault::Reorder { by: 9 }, |it| it.reordered),
        (Fault::BatchedSync { every: 7 }, |it| it.batched),
        (Fault::Partition { side, at: 1, len: 20 }, |it| it.cut_off),
        (Fault::Eclipse { dev: 2, at: 1, len: 20 }, |it| it.cut_off),
        (Fault::Crash { dev: 1, at: 3, down: 9 }, |it| it.crashes.min(it.restarts)),
        (Fault::Crash { dev: 1, at: 3, down: FOR_EVER }, |it| it.crashes - it.restarts),
        (Fault::TornWrite { dev: 2, boundary: 0, down: 5 }, |it| it.torn_before.min(it.restarts)),
        (Fault::TornWrite { dev: 2, boundary: 1, down: 5 }, |it| it.torn_after.min(it.restarts)),
        (Fault::Sybil { count: 2 }, |it| it.bogus.min(it.refused)),
        (Fault::Signal { dev: 1, at: 5 }, |it| it.signals),
        (Fault::ClockSkew { dev: 0, percent: 400 }, |_| 1),
    ];
    for protocol in [&dkd::PROTOCOL, &tour::PROTOCOL] {
        for (fault, shows) in &faults {
            let plan = Plan::quiet(3, 5, 4).with(*fault);
            let (run, _) = run(protocol, &plan);
            assert_eq!(run.violation, None, "{} {fault}", protocol.name);
            assert!(0 < shows(&run.tally), "{} {fault}: {:?}", protocol.name, run.tally);
        }
    }
}

/// What slows a run down: it ends later, and ends.
#[test]
fn latency_and_slow_devices_make_runs_longer() {
    let quiet = run(&dkd::PROTOCOL, &Plan::quiet(3, 5, 3)).0.end;
    for fault in [Fault::Latency { by: 4 }, Fault::Slow { dev: 0, by: 9 }] {
        let late = run(&dkd::PROTOCOL, &Plan::quiet(3, 5, 3).with(fault)).0;
        assert!(quiet + 4 <= late.end && late.outcomes.finished.len() == 5, "{fault}: {late:?}");
    }
}

/// A clock that is too fast gives up on others too early; the right one does not.
#[test]
fn a_skewed_clock_shows() {
    let fast = Fault::ClockSkew { dev: 0, percent: 400 };
    let plan = Plan::quiet(3, 5, 3).with(Fault::Latency { by: 8 });
    assert_eq!(run(&dkd::PROTOCOL, &plan).0.outcomes.finished.len(), 5);
    assert_eq!(run(&dkd::PROTOCOL, &plan.with(fast)).0.outcomes.aborted.len(), 5);
}

/// What a person says at a device reaches its session: here as a veto, which everybody learns.
#[test]
fn a_signal_vetoes() {
    let vetoed = |seed| {
        let plan = Plan::quiet(seed, 5, 4).with(Fault::Signal { dev: 0, at: 1 });
        let ended = run(&tour::PROTOCOL, &plan).1;
        ended.iter().filter(|it| format!("{it:?}").contains("Vetoed { by: Dev(0) }")).count()
    };
    assert!((0..20).any(|seed| vetoed(seed) == 5));
}

/// INV-Z3: with all devices needed, a crash or a torn write changes when a session ends, not how.
#[test]
fn a_restart_is_as_if_nothing_had_been() {
    let result = |ended: &[Option<Ended>]| -> Vec<Vec<u8>> {
        let one = |it: &Option<Ended>| match it {
            Some(Ok(Outcome::Completed { result, .. })) => result.clone(),
            other => panic!("{other:?}"),
        };
        ended.iter().map(one).collect()
    };
    for seed in 0..40 {
        let quiet = Plan::quiet(seed, 4, 4);
        let without = result(&run(&dkd::PROTOCOL, &quiet).1);
        for dev in 0..4 {
            for at in 0..12 {
                let crash = Fault::Crash { dev, at, down: 3 };
                let (run, ended) = run(&dkd::PROTOCOL, &quiet.clone().with(crash));
                assert_eq!(run.violation, None, "{crash}");
                assert_eq!(result(&ended), without, "seed {seed}, {crash}");
            }
            for boundary in 0..6 {
                let torn = Fault::TornWrite { dev, boundary, down: 3 };
                let (run, ended) = run(&dkd::PROTOCOL, &quiet.clone().with(torn));
                assert_eq!(run.violation, None, "{torn}");
                assert_eq!(result(&ended), without, "seed {seed}, {torn}");
            }
        }
    }
}

/// Removing a fault moves nothing else: a plan whose fault never comes to pass runs like one without.
#[test]
fn a_fault_that_does_not_come_to_pass_moves_nothing() {
    for seed in 0..50 {
        let quiet = Plan::quiet(seed, 5, 3);
        let (without, _) = run(&dkd::PROTOCOL, &quiet);
        for fault in [
            Fault::Partition { side: DeviceSet::all(2), at: 500, len: 9 },
            Fault::Loss { per_mille: 0 },
            Fault::TornWrite { dev: 1, boundary: 99, down: 9 },
        ] {
            assert_eq!(run(&dkd::PROTOCOL, &quiet.clone().with(fault)).0, without, "{fault}");
        }
    }
}

#[test]
fn situations_that_everybody_knows() {
    let liars = DeviceSet::one(Dev(1)).with(Dev(2));
    let situations = [
        Preset::Quiet,
        Preset::Mobile,
        Preset::Offline,
        Preset::SplitBrain,
        Preset::RollingRestart,
        Preset::Conspiracy(liars),
        Preset::Strike(liars),
        Preset::Eclipsed { victim: Dev(4), liars },
    ];
    for situation in situations {
        for protocol in [&dkd::PROTOCOL, &locking::PROTOCOL] {
            for seed in 0..50 {
                let plan = Plan::quiet(seed, 5, 3).in_situation(situation);
                let (run, _) = run(protocol, &plan);
                assert_eq!(run.violation, None, "{situation:?}");
                let ended = run.outcomes;
                let all = ended.finished.union(ended.aborted).union(ended.left);
                assert_eq!(all, DeviceSet::all(5).difference(plan.byzantine()), "{situation:?}");
            }
        }
    }
}
