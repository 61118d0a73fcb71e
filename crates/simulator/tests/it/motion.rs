//! The guest `motion`, whose session runs a session of another protocol: simulated, explored, and held
//! against its type.

use std::collections::BTreeSet;

use aura_choreography::{Dev, Ended, HostCall, Stop};
use aura_protocol_core::{Outcome, ProtocolName, lifecycle::EffectReply};
use aura_simulator::{
    campaign::Campaign,
    explore::{Model, Verdict},
    hosts::with_parts,
    plan::{Depth, Promise},
    protocols::Protocol,
};
use aura_testkit::{Subject, conformance::choreography, seed::Seeded};
use motion_1_0_0::{Motion, motion};

/// The poll ends in one of four ways, by how many devices there are.
fn poll_ends(protocol: &ProtocolName, params: &[u8]) -> Outcome {
    assert_eq!(protocol.as_str(), "poll");
    let reason = "nobody came".to_owned();
    match params.len() % 4 {
        0 => Outcome::Aborted { reason },
        1 => Outcome::Left { reason },
        2 => Outcome::Completed { result: b"no votes".to_vec(), batch: vec![] },
        _ => Outcome::Completed { result: b"yes=2 no=1".to_vec(), batch: vec![] },
    }
}

static MOTION: Protocol = Protocol {
    promise: Promise::MEMBERS,
    params: |devices, _| vec![b'm'; usize::from(devices)],
    host: |seat, _| with_parts(seat, poll_ends),
    ..Protocol::new("motion", &Motion)
};

/// At level 2 the hosts are asked through `Instruction::RunSubProtocol`.
#[test]
fn a_motion_holds_whatever_goes_wrong() {
    for (level, seeds) in [(Depth::L1, 0..2000), (Depth::L2, 0..200)] {
        let campaign =
            Campaign { protocols: vec![&MOTION], level, devices: None, seeds, threads: 1 };
        let report = campaign.run(&|_| {}).unwrap();
        assert_eq!(campaign.explain(&report).map(|it| it.smallest.to_string()), None);
        assert!(report.outcomes.iter().all(|it| 0 < *it), "{report:?}");
    }
}

/// Every order of three devices, one of which may crash anywhere, whatever the poll comes to, and also
/// if one device has stopped waiting for it.
#[test]
fn a_motion_holds_in_every_order() {
    let mut ends = BTreeSet::new();
    for devices in 0..4usize {
        for gives_up in [None, Some(Dev(0)), Some(Dev(2))] {
            let model = Model::new(&Motion, 3).params(vec![b'm'; devices + 4]).crashes(1);
            let model = model.keep_outcomes().host(move |dev, call| match call {
                HostCall::Run { .. } if gives_up == Some(dev) => {
                    EffectReply::Denied("it took too long".to_owned())
                }
                HostCall::Run { protocol, params, .. } => {
                    EffectReply::SubProtocol(poll_ends(protocol, params))
                }
                other => panic!("{other:?}"),
            });
            let report = model.explore().unwrap();
            assert_eq!(report.verdict, Verdict::Holds, "{}", report.verdict);
            ends.extend(report.outcomes.iter().flatten().map(|it| match it {
                Some(Ok(Outcome::Completed { result, .. })) => {
                    String::from_utf8_lossy(result).into_owned()
                }
                Some(Err(Stop::Aborted(reason))) => reason.to_string(),
                other => shape(other).to_owned(),
            }));
        }
    }
    let expected = [
        "carried: mmmmmmm",
        "crashed",
        "it took too long",
        "nobody came",
        "not enough was there in time",
        "the poll's result has no votes",
    ];
    assert_eq!(Vec::from_iter(&ends), expected);
}

fn shape(ended: &Option<Ended>) -> &'static str {
    match ended {
        None => "crashed",
        Some(_) => "gave up",
    }
}

#[test]
fn a_motion_asks_what_it_declares() {
    const TEXT: [u8; motion::GLOBAL.text_len()] = motion::GLOBAL.text();
    let text = std::str::from_utf8(&TEXT).unwrap();
    for devices in 2..5 {
        // Nobody has to say anything; what the poll comes to is said so.
        let says = |_: Dev, _: &mut Seeded| b"yes=2 no=1".to_vec();
        let subject = Subject { script: &Motion, text, devices, params: b"mmm".to_vec(), says };
        let paths = choreography(&subject, 200).unwrap();
        assert!(paths.unsaid.is_empty() && 0 < paths.finished, "{paths:?}");
    }
}
