//! A device that does not take part in a step still follows the session.

use aura_choreography::{Reason, Stop, choreography, session};

use crate::table::Table;

session! {
    pub mod ready;
    msg { Begin(u8), Ready(u64), Decline(Reason), Go(u64), Abort(Reason) }
    write  begin: Begin;
    each   ready: Ready | Decline;
    decide go:    on Ready[threshold] within 10 => Go | Abort;
}

/// The last of the devices has a reason not to.
#[choreography(Readiness)]
async fn run(s: ready::Start) -> Result<ready::Finished<u64>, Stop> {
    let (s, unwilling) = s.begin(|me| Ok(me.devices().len() as u8 - 1)).await?;
    let (s, kept) = s
        .ready(|me| match me.id().0 {
            it if it == *unwilling => Err(Reason::Other("no room".into())),
            it => Ok((u64::from(it), it)),
        })
        .await?;
    let (s, go, _) = s
        .go(|me, ready| {
            Ok((ready.iter().map(|it| it.1).sum::<u64>() + u64::from(*kept.here(me)?), ()))
        })
        .await?;
    Ok(s.finish(go))
}

static READINESS: Readiness = Readiness;

#[test]
fn who_declines_says_so_and_finishes_like_the_others() {
    let table = Table::new(&READINESS, 3).run();
    assert_eq!(table.agreed::<u64>(&[0, 1, 2]), 1);
    assert_eq!(table.said_by(2), ["Decline"]);
    assert_eq!(table.said_by(1), ["Ready"]);
}
