//! A step taken twice.
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
    let (_s, _) = s.commit(|_| Ok((1, ()))).await?;
    let (_s, _) = s.commit(|_| Ok((2, ()))).await?;
    Ok(())
}

fn main() {}
