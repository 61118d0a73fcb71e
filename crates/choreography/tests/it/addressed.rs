//! `scatter`, and the `gather` of what is for this device.

use aura_choreography::{
    Dev, Event, Members, Opening, Reason, Steps as _, Stop, choreography, session,
};

use crate::table::Table;

session! {
    pub mod deals;
    ttl 20;
    roles { Old: many, New: many }
    msg { Sealed(u16), Count(u64), Abort(Reason), Got(u16) }
    scatter deal: Old -> New: Sealed;
    gather mine: Sealed[all] within 30;
    each got: Got by New;
    decide count: on Got[all] within 40 => Count | Abort;
}

fn assign(opening: &Opening<'_>) -> Result<deals::Roles, Reason> {
    let devices = |from: u8, to: u8| Members::of((from..to).map(Dev).collect());
    Ok(deals::Roles { all: opening.all(), old: devices(0, 2), new: devices(2, 5) })
}

/// Each old one deals 10 · (its place + 1) + the receiver's place.
#[choreography(pub Deals, roles = assign)]
async fn run(s: deals::Start) -> Result<deals::Finished<u64>, Stop> {
    let (s, kept) = s
        .deal(|me| Ok(u16::from(me.id().0 + 1) * 10), |_, base, to| Ok(base + u16::from(to.0)))
        .await?;
    let (mut s, mine) = s.mine().await?;
    s.log(|me| format!("{:?} {:?}", kept.here(me).ok(), mine.here(me).ok())).await;
    let (s, _) = s.got(|me| mine.here(me).map(|it| (it.iter().map(|it| it.1).sum(), ()))).await?;
    let (s, count, _) =
        s.count(|_, got| Ok((got.iter().map(|it| u64::from(it.1)).sum(), ()))).await?;
    Ok(s.finish(count))
}

static DEALS: Deals = Deals;

#[test]
fn what_is_dealt_reaches_whom_it_is_for() {
    let table = Table::new(&DEALS, 5).run();
    // (10 + 20) for each of three, and twice 2 + 3 + 4.
    assert_eq!(table.agreed::<u64>(&[0, 1, 2, 3, 4]), 108);
    assert_eq!(table.said_by(0), ["Sealed", "Sealed", "Sealed", "Count"]);
    let log =
        |dev: u8| table.logs.iter().find(|it| it.0 == Dev(dev)).map(|it| it.1.clone()).unwrap();
    assert_eq!(log(0), "Some(10) None");
    assert_eq!(log(3), "None Some([(Dev(0), 13), (Dev(1), 23)])");
}

#[test]
fn what_is_for_another_does_not_count() {
    // The first one deals nothing to device 3.
    let says = |_, event: Event| {
        let is_withheld = event.label == deals::SEALED && event.body.bytes()[0] == 3;
        if is_withheld { Vec::new() } else { vec![event] }
    };
    let table = Table::new(&DEALS, 5).with_liar(0, says).run();
    let Err(Stop::Stalled { labels, .. }) = table.end(3) else {
        panic!("it counts what it may not")
    };
    assert!(labels.contains(deals::SEALED));
    assert_eq!(table.end(0), Err(Stop::Aborted(Reason::Timeout)));
}

#[test]
fn what_is_dealt_names_its_receiver() {
    assert!(deals::accepts(deals::SEALED, &[3, 1, 0]));
    assert!(!deals::accepts(deals::SEALED, &[1, 0]));
}
