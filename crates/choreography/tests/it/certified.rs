//! Deciders that lie, and the votes that stop them.

use aura_choreography::{Body, Dev, DeviceSet, Event, Reason, Stop, choreography, session};
use aura_protocol_core::encode;

use crate::table::Table;

session! {
    pub mod trusting;
    ttl 20;
    msg { Commit(u8), Freeze(DeviceSet), Reveal(u8), Sum(u64), Abort(Reason) }
    each commit: Commit;
    decide freeze: on Commit[threshold] within 50 => Freeze | Abort;
    each reveal: Reveal among Freeze;
    decide sum: on Reveal[among Freeze] within 50 => Sum | Abort;
}

session! {
    pub mod certified;
    ttl 20;
    msg { Commit(u8), Freeze(DeviceSet), Reveal(u8), Sum(u64), Abort(Reason) }
    each commit: Commit;
    decide certified freeze: on Commit[threshold] within 50 => Freeze | Abort;
    each reveal: Reveal among Freeze;
    decide certified sum: on Reveal[among Freeze] within 50 => Sum | Abort;
}

macro_rules! text {
    ($start:ident) => {{
        let (s, _) = $start.commit(|me| Ok((me.id().0, ()))).await?;
        let all = |_: &_, it: &[(Dev, u8)]| Ok((it.iter().map(|it| it.0).collect(), ()));
        let (s, freeze, _) = s.freeze(all).await?;
        let (s, _) = s.reveal(|me| Ok((me.id().0 + 1, ()))).await?;
        let sum = |_: &_, it: &[(Dev, u8)]| Ok((it.iter().map(|it| u64::from(it.1)).sum(), ()));
        let (s, sum, _) = s.sum(sum).await?;
        Ok(s.finish(sum.zip(freeze).map(|(sum, freeze)| sum * 100 + freeze.len() as u64)))
    }};
}

/// Believes its decider.
#[choreography(Trusting)]
async fn trust(s: trusting::Start) -> Result<trusting::Finished<u64>, Stop> {
    text!(s)
}

/// Believes a quorum.
#[choreography(pub Certified)]
async fn certify(s: certified::Start) -> Result<certified::Finished<u64>, Stop> {
    text!(s)
}

static TRUSTING: Trusting = Trusting;
static CERTIFIED: Certified = Certified;

fn replaced(event: Event, body: &[u8]) -> Vec<Event> {
    vec![Event { body: Body::new(body), ..event }]
}

/// Another sum for the last two.
fn two_sums(to: Dev, event: Event) -> Vec<Event> {
    // The labels are the same in both types.
    assert_eq!(certified::SUM, trusting::SUM);
    if event.label == trusting::SUM && 1 < to.0 {
        replaced(event, &encode(&9_u64))
    } else {
        vec![event]
    }
}

#[test]
fn a_vote_stands_behind_what_is_decided() {
    let table = Table::new(&CERTIFIED, 4).run();
    assert_eq!(table.agreed::<u64>(&[0, 1, 2, 3]), 603);
    assert_eq!(table.said_by(0), ["Commit", "Freeze", "FreezeVote", "Reveal", "Sum", "SumVote"]);
    assert_eq!(table.said_by(3), ["Commit", "FreezeVote", "SumVote"]);
    let (freeze, sum) = (certified::FREEZE_VOTE, certified::SUM_VOTE);
    assert_eq!((freeze.0, sum.0, certified::LABELS), (5, 6, 7));
}

#[test]
fn a_trusting_session_believes_a_liar() {
    // What `certified` is for: this must go wrong.
    let table = Table::new(&TRUSTING, 4).with_liar(0, two_sums).run();
    assert_eq!((table.value::<u64>(1), table.value::<u64>(2)), (603, 903));
}

#[test]
fn two_decisions_get_no_quorum() {
    let table = Table::new(&CERTIFIED, 4).with_liar(0, two_sums).run();
    for dev in 0..4 {
        let Err(Stop::Stalled { labels, .. }) = table.end(dev) else { panic!("{dev} believes it") };
        assert!(labels.contains(certified::SUM_VOTE));
    }
}

#[test]
fn one_byzantine_vote_changes_nothing() {
    let lies = |_, event: Event| {
        let vote =
            if event.label == certified::SUM_VOTE { Some(Ok::<_, Reason>(9_u64)) } else { None };
        vote.map_or_else(|| vec![event.clone()], |it| replaced(event.clone(), &encode(&it)))
    };
    let table = Table::new(&CERTIFIED, 4).with_liar(3, lies).run();
    assert_eq!(table.agreed::<u64>(&[0, 1, 2, 3]), 603);
}

#[test]
fn a_vote_for_both_counts_for_both_and_decides_nothing_else() {
    let both = |_, event: Event| {
        let mut said = vec![event.clone()];
        if event.label == certified::SUM_VOTE {
            said.extend(replaced(event, &encode(&Ok::<_, Reason>(9_u64))));
        }
        said
    };
    let table = Table::new(&CERTIFIED, 4).with_liar(3, both).run();
    assert_eq!(table.agreed::<u64>(&[0, 1, 2]), 603);
}

/// Freezes a device that never was there.
fn names_a_stranger(_: Dev, event: Event) -> Vec<Event> {
    if event.label != trusting::FREEZE {
        return vec![event];
    }
    replaced(event, &encode(&DeviceSet::all(5).without(Dev(1))))
}

#[test]
fn a_decider_names_only_whom_it_may() {
    let table = Table::new(&TRUSTING, 4).with_liar(0, names_a_stranger).run();
    for dev in 1..4 {
        let Err(Stop::Byzantine { culprit, .. }) = table.end(dev) else {
            panic!("{dev} believes it")
        };
        assert_eq!(culprit, Dev(0));
    }
    let fewer = |_, event: Event| match event.label {
        trusting::FREEZE => replaced(event, &encode(&DeviceSet::all(2))),
        _ => vec![event],
    };
    let table = Table::new(&TRUSTING, 4).with_liar(0, fewer).run();
    assert!(matches!(table.end(2), Err(Stop::Byzantine { culprit: Dev(0), .. })));
}

#[test]
fn a_quorum_blames_a_decider_for_what_it_named() {
    let table = Table::new(&CERTIFIED, 4).with_liar(0, names_a_stranger).run();
    for dev in 0..4 {
        let culprits = DeviceSet::one(Dev(0));
        assert_eq!(table.end(dev), Err(Stop::Aborted(Reason::Byzantine { culprits })));
    }
}

#[test]
fn a_dead_decider_stops_nobody_for_ever() {
    let table = Table::new(&CERTIFIED, 4).without(&[0]).run();
    for dev in 1..4 {
        assert_eq!(table.end(dev), Err(Stop::Aborted(Reason::Timeout)));
    }
    // Without votes each gives up for itself, and knows nothing of the others.
    let table = Table::new(&TRUSTING, 4).without(&[0]).run();
    assert!(matches!(table.end(1), Err(Stop::Stalled { .. })));
}

#[test]
fn a_late_quorum_is_a_decision_too() {
    let table = Table::new(&CERTIFIED, 4).without(&[2, 3]).run();
    // Two of four are no quorum, neither of commitments nor of votes.
    assert!(matches!(table.end(0), Err(Stop::Stalled { .. })));
    let table = Table::new(&TRUSTING, 4).without(&[2, 3]).run();
    assert_eq!(table.end(0), Err(Stop::Aborted(Reason::Timeout)));
    assert!(matches!(table.end(1), Err(Stop::Stalled { .. })));
}
