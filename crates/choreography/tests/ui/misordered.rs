//! A step before its turn.
#![allow(unused_imports)]
use aura_choreography::{DeviceSet, Dev, Each, Me, Pub, Reason, Stop, choreography, session};

session! {
    pub mod dkd;
    msg { Commit(u64), Freeze(DeviceSet), Reveal(u64), Finalize(u64), Abort(Reason) }
    each commit: Commit;
    decide freeze: on Commit[threshold] within 50 => Freeze | Abort;
    each reveal: Reveal among Freeze;
    decide finalize: on Reveal[among Freeze] within 50 => Finalize | Abort;
}

async fn run(s: dkd::Start) -> Result<(), Stop> {
    let (s, share) = s.commit(|_| Ok((1, 1))).await?;
    let (_s, _) = s.reveal(|me| share.here(me).map(|it| (*it, ()))).await?;
    Ok(())
}

fn main() {}
