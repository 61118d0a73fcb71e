//! Level 2: the same promises with real units, imports and signatures.

use aura_choreography::{Dev, DeviceSet};
use aura_simulator::{
    engine::{Engine, Run, Tally},
    ledgers::Ledgers,
    plan::{Depth, FOR_EVER, Fault, Plan, Replay, Strategy},
    protocols::{self, dkd, tour},
    subject::Subject,
};

/// How often something shows in a run.
type Shows = fn(&Tally) -> u32;

/// INV-Z10: within its promise a protocol keeps it on whole ledgers too, and runs are as repeatable.
#[test]
fn promises_hold_on_ledgers() {
    for protocol in protocols::all() {
        let mut subject = Subject::new(protocol, Depth::L2);
        let (mut finished, mut runs) = (0, 0);
        for seed in 0..60 {
            let shape = subject.shape(3 + (seed % 3) as u8).unwrap();
            let plan = Plan::from_seed(seed, &shape);
            let run = subject.run_twice(&plan);
            assert_eq!(run.violation, None, "{}", subject.replay(&plan));
            finished += run.outcomes.finished.len();
            runs += 1;
        }
        assert!(runs < finished, "{}: {finished} devices in {runs} runs", protocol.name);
    }
}

/// INV-Z12: keyed hashes change names and hashes, and nothing else of what comes of a run.
#[test]
fn keyed_hashes_stand_in_for_signatures() {
    for protocol in protocols::all() {
        let mut real = Subject::new(protocol, Depth::L2);
        let mut keyed = Subject::new(protocol, Depth::L2Keyed);
        for seed in 0..60 {
            let plan = Plan::from_seed(seed, &real.shape(3 + (seed % 3) as u8).unwrap());
            let (one, other) = (real.run(&plan), keyed.run_twice(&plan));
            // Signatures are part of what is said; where nobody finishes, perhaps nobody said anything.
            let is_silent = one.outcomes.finished.is_empty();
            assert!(one.hash != other.hash || is_silent, "{plan:?}");
            assert_eq!(Run { hash: one.hash, ..other }, one, "{}", keyed.replay(&plan));
        }
    }
}

/// Liars that say once more what they said before do not do so with each answer, or they would answer
/// each other for ever.
#[test]
fn liars_that_replay_come_to_rest() {
    let liar = |dev| Fault::Byzantine { dev, strategy: Strategy::Replay };
    let faults = vec![
        Fault::Crash { dev: 3, at: 5, down: 14 },
        Fault::Crash { dev: 2, at: 4, down: 9 },
        liar(1),
        liar(2),
        liar(3),
    ];
    let plan = Plan { seed: 6711, devices: 5, threshold: 3, jitter: 6, faults };
    let run = Subject::new(&dkd::PROTOCOL, Depth::L2Keyed).run(&plan);
    assert_eq!(run.violation, None);
    assert!(run.tally.restarts == 2 && run.events < 1_000, "{run:?}");
}

/// Without a fault, all devices finish with the same ledger.
#[test]
fn all_devices_end_with_one_ledger() {
    let mut engine = Engine::new(Ledgers::new(&dkd::PROTOCOL));
    let run = engine.run(&Plan::quiet(5, 5, 3));
    assert_eq!((run.violation, run.outcomes.finished.len()), (None, 5));
    let frontier = |dev| engine.node(Dev(dev)).and_then(|it| it.ledger()).unwrap().frontier();
    assert!((1..5).all(|dev| frontier(dev) == frontier(0)));
    assert_eq!(frontier(0).chains.len(), 5);
}

/// INV-Z13: a device that keeps two chains is proved to have forked, whoever it showed which; what honest
/// devices built on either comes in everywhere; and all come to the same.
#[test]
fn two_chains_of_a_liar_split_no_ledger() {
    for strategy in [Strategy::Equivocate, Strategy::ForkLedger, Strategy::Branches] {
        let mut engine = Engine::new(Ledgers::new(&tour::PROTOCOL));
        let (mut proved, mut left_out) = (0, 0);
        for seed in 0..60 {
            let mut plan = Plan::quiet(seed, 4, 3).with(liar(strategy));
            if seed % 2 == 0 {
                let side = DeviceSet::one(Dev(0)).with(Dev(2));
                plan = plan.with(Fault::Partition { side, at: 2, len: 30 });
            }
            let run = engine.run(&plan);
            assert_eq!(run.violation, None, "{strategy:?} {seed}");
            for dev in [0, 2, 3] {
                let ledger = engine.node(Dev(dev)).and_then(|it| it.ledger()).unwrap();
                proved += usize::from(!ledger.forks().is_empty());
                left_out += ledger.arrivals().iter().filter(|it| !ledger.counts(it)).count();
            }
        }
        assert!(60 < proved && proved < left_out, "{strategy:?}: {proved}, {left_out}");
    }
}

/// A device that is gone for ever may have been the only one that had what its last words rest on: a
/// liar showed it a chain of its own. Whoever is left is alike.
#[test]
fn last_words_on_a_chain_that_nobody_else_saw() {
    let line =
        "dkg L2-keyed seed=9812 devices=3 threshold=2 jitter=1 crash=0,5,1000000 liar=2,branches";
    let replay: Replay = line.parse().unwrap();
    let mut subject = Subject::new(protocols::find("dkg").unwrap(), replay.level);
    assert_eq!(subject.run_twice(&replay.plan).violation, None);
}

/// What is wrong with a unit is found by the import, not by the simulation.
#[test]
fn imports_refuse_what_cannot_be_genuine() {
    let cases: [(Fault, Shows); 4] = [
        (Fault::Sybil { count: 2 }, |it| it.bogus.min(it.refused)),
        (liar(Strategy::ForgedSignature), |it| it.bogus.min(it.refused)),
        (liar(Strategy::Replay), |it| it.bogus.min(it.refused)),
        (liar(Strategy::Stuffing), |it| it.bogus.min(it.refused)),
    ];
    for (fault, shows) in cases {
        let mut engine = Engine::new(Ledgers::new(&dkd::PROTOCOL));
        let run = engine.run(&Plan::quiet(7, 4, 3).with(fault));
        assert!(0 < shows(&run.tally), "{fault}: {:?}", run.tally);
        assert_eq!(run.tally.refused_by_carrier, 0, "{fault}");
        assert_eq!(run.violation, None, "{fault}");
    }
}

/// Ledgers and sessions come back from what is durable, and get from the others what they missed.
#[test]
fn restarts_at_every_epoch_and_boundary() {
    let mut engine = Engine::new(Ledgers::new(&tour::PROTOCOL));
    for dev in 0..3 {
        let crashes = (0..40).step_by(3).map(|at| Fault::Crash { dev, at, down: 4 });
        let torn = (0..8).map(|boundary| Fault::TornWrite { dev, boundary, down: 4 });
        for fault in crashes.chain(torn) {
            let run = engine.run(&Plan::quiet(2, 3, 2).with(fault));
            assert_eq!(run.violation, None, "{fault}");
            assert_eq!(run.outcomes.finished.len() + run.outcomes.aborted.len(), 3, "{fault}");
        }
    }
}

#[test]
fn a_deadlock_is_seen_on_ledgers_too() {
    let mut engine = Engine::new(Ledgers::new(&protocols::dkd_no_ttl::PROTOCOL));
    let gone = Fault::Crash { dev: 0, at: 6, down: FOR_EVER };
    let found = (0..50).find_map(|seed| engine.run(&Plan::quiet(seed, 3, 3).with(gone)).violation);
    let text = found.unwrap().to_string();
    assert!(text.contains("of devices 0"), "{text}");
}

const fn liar(strategy: Strategy) -> Fault {
    Fault::Byzantine { dev: 1, strategy }
}
