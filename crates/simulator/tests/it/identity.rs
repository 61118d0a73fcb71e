//! The shipped protocols with real keys, under everything that goes wrong.

use aura_simulator::{
    plan::{Depth, Fault, Plan},
    protocols,
    subject::Subject,
};

/// With real keys: within its promise each keeps it, and runs are as repeatable.
#[test]
fn promises_hold_with_real_keys() {
    for protocol in protocols::real() {
        for (level, seeds) in [(Depth::L1, 80), (Depth::L2, 20)] {
            let mut subject = Subject::new(protocol, level);
            let mut finished = 0;
            for seed in 0..seeds {
                let shape = subject.shape(3 + (seed % 3) as u8).unwrap();
                let plan = Plan::from_seed(seed, &shape);
                let run = subject.run_twice(&plan);
                assert_eq!(run.violation, None, "{}", subject.replay(&plan));
                finished += run.outcomes.finished.len();
            }
            assert!(seeds < finished as u64, "{}: {finished}", protocol.name);
        }
    }
}

/// A crash at every boundary of every device's store, and the session still ends alike.
#[test]
fn crashes_at_every_step_with_real_keys() {
    for protocol in protocols::real() {
        let mut subject = Subject::new(protocol, Depth::L1);
        for dev in 0..3 {
            for boundary in 0..14 {
                let torn = Fault::TornWrite { dev, boundary, down: 3 };
                let run = subject.run(&Plan::quiet(4, 3, 2).with(torn));
                let how = run.outcomes;
                let ended = how.finished.union(how.aborted).union(how.left);
                assert_eq!((run.violation, ended.len()), (None, 3), "{}: {torn}", protocol.name);
            }
        }
    }
}

/// The same for those that name devices, with symbolic keys and with real ones: they need whoever receives
/// to be there, so fewer of them finish.
#[test]
fn resharing_and_recovery_hold() {
    for protocol in protocols::naming() {
        let mut subject = Subject::new(protocol, Depth::L1);
        let mut finished = 0;
        for seed in 0..60 {
            let shape = subject.shape(3 + (seed % 3) as u8).unwrap();
            let plan = Plan::from_seed(seed, &shape);
            let run = subject.run_twice(&plan);
            assert_eq!(run.violation, None, "{}", subject.replay(&plan));
            finished += run.outcomes.finished.len();
        }
        assert!(10 < finished, "{}: {finished}", protocol.name);
        for dev in 0..3 {
            for boundary in 0..20 {
                let torn = Fault::TornWrite { dev, boundary, down: 3 };
                let run = subject.run(&Plan::quiet(4, 3, 2).with(torn));
                let how = run.outcomes;
                let ended = how.finished.union(how.aborted).union(how.left);
                assert_eq!((run.violation, ended.len()), (None, 3), "{}: {torn}", protocol.name);
            }
        }
    }
}
