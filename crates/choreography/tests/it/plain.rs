//! Steps in which nobody decides, roles, and how long a device waits.

use aura_choreography::{
    Dev, Members, Opening, Reason, Script, Seat, Steps as _, Stop, choreography, session,
};
use aura_protocol_core::{Epoch, SessionId};

use crate::table::{Table, ids};

session! {
    pub mod plain;
    ttl 20;
    roles { Coord: one, Old: many, New: many }
    msg { Hello(u64), Vow(u8), Wish(u8), Sum(u64), Abort(Reason) }
    write hello: Hello by Opener;
    each vow: Vow by Old;
    each wish: Wish by New;
    gather vows: Vow[all] within 30;
    pause rest: 5;
    decide sum by Coord: on Vow[2] within 10 => Sum | Abort;
}

/// The last one coordinates; the first three are old.
fn assign(opening: &Opening<'_>) -> Result<plain::Roles, Reason> {
    let count = opening.devices.len() as u8;
    if opening.params == b"nonsense" {
        return Err(Reason::Other("no such parameters".into()));
    }
    Ok(plain::Roles {
        all: opening.all(),
        coord: Dev(count - 1),
        old: Members::of((0..3).map(Dev).collect()),
        new: Members::of((3..count).map(Dev).collect()),
    })
}

/// Says, waits, sums.
#[choreography(pub Plain, roles = assign)]
async fn run(s: plain::Start) -> Result<plain::Finished<u64>, Stop> {
    let (s, hello) = s.hello(|me| Ok(u64::from(me.id().0) + 40)).await?;
    let (s, vow) = s.vow(|me| Ok((me.id().0 + 1, me.id().0))).await?;
    let (s, _) = s.wish(|me| Ok((me.id().0, ()))).await?;
    let (mut s, vows) = s.vows().await?;
    s.log(|me| {
        let kept = vow.here(me).map_or_else(|it| it.to_string(), u8::to_string);
        format!(
            "{kept}; {:?}",
            vows.here(me).map(|it| it.iter().map(|it| it.1).collect::<Vec<_>>())
        )
    })
    .await;
    let s = s.rest().await?;
    let (s, sum, at_decider) =
        s.sum(|_, vows| Ok((vows.iter().map(|it| u64::from(it.1)).sum(), vows.len()))).await?;
    let mut s = s;
    s.log(|me| format!("decided on {:?}", at_decider.here(me).ok())).await;
    Ok(s.finish(sum.zip(hello).map(|(sum, hello)| sum + hello)))
}

static PLAIN: Plain = Plain;

#[test]
fn roles_say_who_speaks() {
    let table = Table::new(&PLAIN, 5).run();
    // 40 of the opener, 1 + 2 + 3 of the old.
    assert_eq!(table.agreed::<u64>(&[0, 1, 2, 3, 4]), 46);
    assert_eq!(table.said_by(0), ["Hello", "Vow"]);
    assert_eq!(table.said_by(1), ["Vow"]);
    assert_eq!(table.said_by(3), ["Wish"]);
    assert_eq!(table.said_by(4), ["Wish", "Sum"]);
    let log = |dev: u8| -> Vec<_> {
        table.logs.iter().filter(|it| it.0 == Dev(dev)).map(|it| it.1.clone()).collect()
    };
    assert_eq!(log(1), ["1; Ok([1, 2, 3])", "decided on None"]);
    assert_eq!(log(4), ["this device has no such value; Ok([1, 2, 3])", "decided on Some(3)"]);
}

#[test]
fn a_pause_takes_its_time() {
    let mut table = Table::new(&PLAIN, 5).start();
    table.settle();
    table.tick(Epoch(4));
    table.settle();
    assert!(table.ended().iter().all(Option::is_none));
    table.tick(Epoch(5));
    table.settle();
    assert_eq!(table.agreed::<u64>(&[0, 1, 2, 3, 4]), 46);
}

#[test]
fn a_device_gives_up_for_itself() {
    let table = Table::new(&PLAIN, 5).without(&[4]).run();
    for dev in 0..4 {
        let Err(Stop::Stalled { labels, from }) = table.end(dev) else { panic!("it goes on") };
        assert!(labels.contains(plain::SUM) && labels.contains(plain::ABORT));
        assert_eq!(from.iter().collect::<Vec<_>>(), [Dev(4)]);
    }
}

#[test]
fn a_quorum_of_all_needs_all() {
    let table = Table::new(&PLAIN, 5).without(&[2]).run();
    let Err(Stop::Stalled { labels, .. }) = table.end(0) else { panic!("it goes on") };
    assert!(labels.contains(plain::VOW) && !labels.contains(plain::WISH));
}

#[test]
fn without_an_opener_nothing_begins() {
    let table = Table::new(&PLAIN, 5).without(&[0]).run();
    for dev in 1..5 {
        assert!(
            matches!(table.end(dev), Err(Stop::Stalled { labels, .. }) if labels.contains(plain::HELLO))
        );
    }
}

#[test]
fn roles_may_refuse_parameters() {
    let seat = |count: u8, params: &[u8]| {
        let id = SessionId::from_bytes([7; 32]);
        Seat::new(&PLAIN, id, Dev(0), Dev(0), ids(count), params.to_vec())
    };
    assert_eq!(seat(5, b"nonsense").err(), Some(Reason::Other("no such parameters".into())));
    // Nobody is new.
    assert!(matches!(seat(3, b""), Err(Reason::InvalidState(_))));
    assert!(seat(4, b"").is_ok());
}

#[test]
fn a_label_carries_its_payload_only() {
    assert_eq!(plain::LABELS, 5);
    assert!(plain::accepts(plain::VOW, &[1]) && !plain::accepts(plain::VOW, &[1, 2]));
    assert!(plain::accepts(plain::SUM, &[0; 8]) && !plain::accepts(plain::SUM, &[0; 7]));
    assert!(!PLAIN.accepts(aura_choreography::Label(5), &[]));
}
