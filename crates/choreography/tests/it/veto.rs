//! Decisions that a named event stops.

use aura_choreography::{Dev, Me, Reason, Stop, choreography, session};
use aura_protocol_core::Epoch;

use crate::table::Table;

session! {
    pub mod cooling;
    msg { Ready(u8), Go(u64), Sure(u64), Abort(Reason), Veto(u8) }
    each ready: Ready;
    decide go: on Ready[all] within 50 => Go | Abort unless Veto;
    decide certified sure: on Ready[all] within 50 => Sure | Abort unless Veto;
}

fn no(me: &Me, said: &[u8]) -> Option<u8> {
    (said == b"no").then_some(me.id().0)
}

/// Goes, unless somebody says no.
#[choreography(Cooling)]
async fn run(s: cooling::Start) -> Result<cooling::Finished<u64>, Stop> {
    let (s, _) = s.ready(|me| Ok((me.id().0, ()))).await?;
    let (s, _, _) = s.go(|_, ready| Ok((ready.len() as u64, ())), no).await?;
    let (s, sure, _) = s.sure(|_, ready| Ok((ready.len() as u64, ())), no).await?;
    Ok(s.finish(sure))
}

static COOLING: Cooling = Cooling;

#[test]
fn without_a_veto_it_goes() {
    let table = Table::new(&COOLING, 3).run();
    assert_eq!(table.agreed::<u64>(&[0, 1, 2]), 3);
}

#[test]
fn a_device_stops_a_decision() {
    let mut table = Table::new(&COOLING, 4).without(&[3]).start();
    table.settle();
    table.signal(2, b"no");
    assert!(table.ended().iter().all(Option::is_none));
    table.settle();
    for dev in 0..3 {
        assert_eq!(table.end(dev), Err(Stop::Aborted(Reason::Vetoed { by: Dev(2) })));
    }
    assert_eq!(table.said_by(2), ["Ready", "Veto"]);
}

#[test]
fn a_decider_stops_its_own_decision() {
    let mut table = Table::new(&COOLING, 4).without(&[3]).start();
    table.signal(0, b"no");
    table.settle();
    assert_eq!(table.end(1), Err(Stop::Aborted(Reason::Vetoed { by: Dev(0) })));
    assert_eq!(table.said_by(0), ["Ready", "Veto", "Abort"]);
}

#[test]
fn not_everything_said_is_a_veto() {
    let mut table = Table::new(&COOLING, 4).without(&[3]).start();
    table.signal(0, b"go on");
    table.signal(1, b"go on");
    table.settle();
    assert!(table.ended().iter().all(Option::is_none));
    table.tick(Epoch(50));
    table.settle();
    assert_eq!(table.end(1), Err(Stop::Aborted(Reason::Timeout)));
}

#[test]
fn a_veto_is_in_time_until_the_votes() {
    // The decider has decided; two others hear of the veto before they hear of that.
    let mut table = Table::new(&COOLING, 3).start();
    table.hold(|event| event.label == cooling::SURE);
    table.settle();
    table.signal(2, b"no");
    table.settle();
    table.release();
    table.settle();
    for dev in 0..3 {
        assert_eq!(table.end(dev), Err(Stop::Aborted(Reason::Vetoed { by: Dev(2) })));
    }
    assert_eq!(table.said_by(0), ["Ready", "Go", "Sure", "SureVote"]);
}
