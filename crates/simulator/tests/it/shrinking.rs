//! What a failure is reported as is as small as it gets.

use aura_simulator::{
    plan::{Depth, Fault, Plan, Strategy},
    protocols::{Protocol, dkd, dkd_naive, dkd_no_ttl},
    subject::{Failure, Subject},
};

fn shrink(protocol: &'static Protocol, plan: impl Fn(u64) -> Plan) -> Failure {
    let mut subject = Subject::new(protocol, Depth::L1);
    let found = (0..5_000).find_map(|seed| subject.shrink(&plan(seed)));
    let failure = found.unwrap_or_else(|| panic!("{} never fails", protocol.name));
    // INV-Z6: the smallest plan fails in the same way, and needs each of its faults.
    let again = subject.run(&failure.smallest.plan).violation.unwrap();
    assert_eq!(again.code(), failure.violation.code());
    for index in 0..failure.smallest.plan.faults.len() {
        let mut plan = failure.smallest.plan.clone();
        let fault = plan.faults.remove(index);
        let still = subject.run(&plan).violation.map(|it| it.code());
        assert_ne!(still, Some(again.code()), "{fault} is not needed: {}", failure.smallest);
    }
    failure
}

fn from_seed(protocol: &'static Protocol) -> impl Fn(u64) -> Plan {
    let shape = protocol.shape(6).unwrap();
    move |seed| Plan::from_seed(seed, &shape)
}

#[test]
fn the_naive_flow_needs_no_fault_and_three_devices() {
    let smallest = shrink(&dkd_naive::PROTOCOL, from_seed(&dkd_naive::PROTOCOL)).smallest.plan;
    assert_eq!((smallest.devices, smallest.faults), (3, vec![]));
}

#[test]
fn without_a_ttl_one_device_that_is_away_is_enough() {
    let smallest = shrink(&dkd_no_ttl::PROTOCOL, from_seed(&dkd_no_ttl::PROTOCOL)).smallest.plan;
    assert_eq!(
        (smallest.devices, smallest.jitter, smallest.faults),
        (2, 1, vec![Fault::Absent { dev: 0 }])
    );
}

#[test]
fn of_a_lying_decider_the_lie_is_left() {
    let shape = dkd::PROTOCOL.shape(6).unwrap();
    let liar = Fault::Byzantine { dev: 0, strategy: Strategy::Equivocate };
    let failure = shrink(&dkd::PROTOCOL, |seed| Plan::from_seed(seed, &shape).with(liar));
    let faults = failure.smallest.plan.faults;
    assert!(faults.contains(&liar) && faults.len() <= 2, "{faults:?}");
    assert!(failure.tries < 2_000, "{} tries", failure.tries);
}
