//! A run is a function of its plan, and nothing else.

use aura_simulator::{
    campaign::Campaign,
    plan::{Depth, Plan, Replay},
    protocols,
    subject::Subject,
};

/// INV-Z1: the same plan has the same run, in an engine that has run others before, and in a new one.
#[test]
fn the_same_plan_is_the_same_run() {
    for protocol in protocols::all().into_iter().chain(protocols::broken()) {
        let mut used = Subject::new(protocol, Depth::L1);
        let shape = used.shape(5).unwrap();
        let runs: Vec<_> = (0..200).map(|seed| used.run(&Plan::from_seed(seed, &shape))).collect();
        for (seed, run) in (0..).zip(&runs).step_by(7) {
            let plan = Plan::from_seed(seed, &shape);
            assert_eq!(used.run(&plan), *run, "{} {plan:?}", protocol.name);
            assert_eq!(Subject::new(protocol, Depth::L1).run(&plan), *run, "{plan:?}");
        }
        let mut hashes: Vec<u64> = runs.iter().map(|it| it.hash).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), runs.len(), "{}: two seeds have one hash", protocol.name);
    }
}

/// A trace changes nothing of its run, and tells the same twice.
#[test]
fn a_trace_is_of_the_same_run() {
    let mut subject = Subject::new(&protocols::tour::PROTOCOL, Depth::L1);
    let plan = Plan::from_seed(11, &subject.shape(5).unwrap());
    let (run, trace) = subject.trace(&plan);
    assert_eq!(subject.run(&plan), run);
    assert_eq!(subject.trace(&plan).1, trace);
    assert!(trace.text().contains("says Init"), "{}", trace.text());
    assert!(trace.diagram().starts_with("sequenceDiagram\n    participant d0 as device 0\n"));
    let json = serde_json::to_string(&trace).unwrap();
    assert!(json.contains(r#""what":"said","message":"Init""#), "{json}");
}

/// INV-Z7: a run can be had again from its line.
#[test]
fn a_line_is_its_run() {
    for protocol in protocols::all() {
        let mut subject = Subject::new(protocol, Depth::L1);
        let shape = subject.shape(6).unwrap();
        for seed in 0..100 {
            let plan = Plan::from_seed(seed, &shape);
            let line = subject.replay(&plan).to_string();
            let again: Replay = line.parse().unwrap();
            assert_eq!(subject.run(&again.plan), subject.run(&plan), "{line}");
        }
    }
}

/// INV-Z8: threads and ranges change nothing of what a campaign finds.
#[test]
fn how_seeds_are_split_does_not_matter() {
    let campaign = |seeds, threads| {
        let protocols = vec![&protocols::dkd::PROTOCOL, &protocols::dkd_no_ttl::PROTOCOL];
        let campaign = Campaign { protocols, level: Depth::L1, devices: None, seeds, threads };
        let report = campaign.run(&|_| {}).unwrap();
        (report.trace_hash, report.failed, report.runs, report.first.map(|it| it.1))
    };
    let whole = campaign(0..3_000, 1);
    assert_eq!(whole.2, 3_000);
    assert!(0 < whole.1, "patience breaks without a ttl");
    assert_eq!(campaign(0..3_000, 3), whole);
    let (one, other) = (campaign(0..1_100, 2), campaign(1_100..3_000, 1));
    assert_eq!(one.0.wrapping_add(other.0), whole.0);
    assert_eq!((one.1 + other.1, one.3), (whole.1, whole.3));
}
