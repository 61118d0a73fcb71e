//! The guest `poll`, simulated and explored, as docs/add-a-protocol.md has it for a new protocol.

use aura_choreography::{Dev, Ended};
use aura_protocol_core::Outcome;
use aura_simulator::{
    campaign::Campaign,
    explore::{Model, Verdict},
    plan::{Depth, Promise},
    protocols::Protocol,
};
use poll_1_0_0::Poll;

static POLL: Protocol = Protocol {
    promise: Promise::MEMBERS,
    params: |_, _| b"tea?".to_vec(),
    says: Some(|dev| if dev.0 % 2 == 0 { b"yes".to_vec() } else { b"no".to_vec() }),
    ..Protocol::new("poll", &Poll)
};

/// 2,000 runs in which devices crash, lie, and hear late or never.
#[test]
fn a_poll_holds_whatever_goes_wrong() {
    let (protocols, level) = (vec![&POLL], Depth::L1);
    let campaign = Campaign { protocols, level, devices: None, seeds: 0..2000, threads: 1 };
    let report = campaign.run(&|_| {}).unwrap();
    assert_eq!(campaign.explain(&report).map(|it| it.smallest.to_string()), None);
    assert!(report.outcomes.iter().all(|it| 0 < *it), "{report:?}");
}

/// Whoever says nothing gives up, and nobody waits for ever: with everybody silent, or one.
#[test]
fn a_poll_without_answers_ends() {
    for silent in 1..=3 {
        let model = Model::new(&Poll, 3).params(b"tea?".to_vec());
        let says = |model: Model<'static>, dev| model.signals(Dev(dev), vec![b"yes".to_vec()]);
        let report = (silent..3).fold(model, says).keep_outcomes().explore().unwrap();
        assert_eq!(report.verdict, Verdict::Holds, "{}", report.verdict);
        let ends: Vec<_> = report.outcomes.iter().flatten().collect();
        assert!(!ends.is_empty() && ends.iter().all(|it| !matches!(it, Some(Ok(_)))), "{ends:?}");
    }
}

/// Every run of three devices, one of which may crash anywhere.
#[test]
fn a_poll_holds_in_every_order() {
    let model = Model::new(&Poll, 3).params(b"tea?".to_vec()).crashes(1).keep_outcomes();
    let model = [b"yes".to_vec(), b"no".to_vec(), b"yes".to_vec()]
        .into_iter()
        .zip(0..)
        .fold(model, |model, (said, dev)| model.signals(Dev(dev), vec![said]));
    let report = model.explore().unwrap();
    assert_eq!(report.verdict, Verdict::Holds, "{}", report.verdict);
    let tally = |it: &Option<Ended>| match it {
        Some(Ok(Outcome::Completed { result, .. })) => Some(result.clone()),
        _ => None,
    };
    let tallies: std::collections::BTreeSet<_> =
        report.outcomes.iter().flatten().filter_map(tally).collect();
    assert_eq!(Vec::from_iter(tallies), [b"yes=2 no=1".to_vec()]);
}
