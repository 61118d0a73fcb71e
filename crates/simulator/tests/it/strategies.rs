//! Every kind of liar shows, and breaks nothing that was promised under it.

use aura_choreography::{Dev, DeviceSet};
use aura_simulator::{
    engine::{Engine, Tally},
    level::Scripts,
    plan::{Fault, Liars, Plan, Strategy},
    protocols::{self, dkd, dkd_certified, tour},
};

/// How often something shows in a run.
type Shows = fn(&Tally) -> u32;

const ALL: [(Strategy, Shows); 9] = [
    (Strategy::Silent, |it| it.withheld),
    (Strategy::Corrupt, |it| it.corrupted),
    (Strategy::Equivocate, |it| it.equivocated),
    (Strategy::SelectiveAbort, |it| it.withheld),
    (Strategy::Hold { epochs: 30 }, |it| it.held),
    (Strategy::ForgedSignature, |it| it.refused_by_carrier),
    (Strategy::ForkLedger, |it| it.equivocated),
    (Strategy::Replay, |it| it.refused_by_carrier),
    (Strategy::Stuffing, |it| it.refused),
];

/// INV-Z4: within what a protocol promises, no strategy breaks a promise; and each is seen at work.
#[test]
fn each_strategy_shows_and_breaks_nothing() {
    for protocol in protocols::all() {
        // Members of the lock say one thing only: nothing is left to withhold after that.
        let may_show = |it: Strategy| it != Strategy::SelectiveAbort || protocol.name != "locking";
        for (strategy, shows) in ALL.into_iter().filter(|it| may_show(it.0)) {
            let mut engine = Engine::new(Scripts::new(protocol));
            let mut shown = 0;
            for seed in 0..60 {
                let dev = if protocol.promise.byzantine_decider {
                    (seed % 5) as u8
                } else {
                    1 + (seed % 4) as u8
                };
                let plan = Plan::quiet(seed, 5, protocol.threshold(5))
                    .with(Fault::Byzantine { dev, strategy });
                let run = engine.run(&plan);
                assert_eq!(run.violation, None, "{} {plan:?}", protocol.name);
                shown += shows(&run.tally);
            }
            assert!(0 < shown, "{} {strategy}", protocol.name);
        }
    }
}

/// Liars who collude tell the same devices the same.
#[test]
fn colluding_liars_break_nothing() {
    let liars = DeviceSet::all(5).without(Dev(0)).without(Dev(3));
    for (strategy, _) in ALL {
        let mut engine = Engine::new(Scripts::new(&dkd::PROTOCOL));
        for seed in 0..60 {
            let fault = |it: Dev| Fault::Byzantine { dev: it.0, strategy };
            let faults = liars.iter().map(fault).collect();
            let plan = Plan { faults, ..Plan::quiet(seed, 5, 3) };
            assert_eq!(engine.run(&plan).violation, None, "{plan:?}");
        }
    }
}

/// A message of somebody who takes no part, or that is no message, is taken by nobody.
#[test]
fn what_cannot_be_genuine_is_refused() {
    let mut engine = Engine::new(Scripts::new(&tour::PROTOCOL));
    for seed in 0..200 {
        let stuffing = Fault::Byzantine { dev: 2, strategy: Strategy::Stuffing };
        let plan = Plan::quiet(seed, 5, 4).with(Fault::Sybil { count: 3 }).with(stuffing);
        let run = engine.run(&plan);
        assert_eq!(run.violation, None, "{plan:?}");
        assert!(0 < run.tally.bogus && 0 < run.tally.refused, "{plan:?}");
    }
}

/// A decider who lies breaks what does not promise anything under that, and not what does.
#[test]
fn outside_of_its_promise_a_protocol_breaks() {
    let liar = Fault::Byzantine { dev: 0, strategy: Strategy::Equivocate };
    let broken = |protocol, threshold, devices| {
        let mut engine = Engine::new(Scripts::new(protocol));
        let plan = |seed| Plan::quiet(seed, devices, threshold).with(liar);
        (0..300)
            .filter_map(|seed| engine.run(&plan(seed)).violation)
            .map(|it| it.code())
            .collect::<Vec<_>>()
    };
    assert!(!dkd::PROTOCOL.promise.byzantine_decider);
    assert!(broken(&dkd::PROTOCOL, 3, 5).contains(&"Agreement"));
    assert!(dkd_certified::PROTOCOL.promise.byzantine_decider);
    assert_eq!(dkd_certified::PROTOCOL.promise.byzantine_members, Liars::Few);
    assert!(broken(&dkd_certified::PROTOCOL, 4, 5).is_empty());
    // Two quorums of 2 of 4 have nobody in common: no liar is promised anything there.
    assert_eq!(dkd_certified::PROTOCOL.promise.liars(4, 2), 0);
    assert!(!broken(&dkd_certified::PROTOCOL, 2, 4).is_empty());
}
