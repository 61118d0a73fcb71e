//! A session that is left before its end.
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

#[choreography(Dkd)]
async fn run(s: dkd::Start) -> Result<dkd::Finished<u64>, Stop> {
    let (s, _) = s.commit(|_| Ok((1, ()))).await?;
    Ok(s.finish(Pub::constant(|| 1)))
}

fn main() {}
