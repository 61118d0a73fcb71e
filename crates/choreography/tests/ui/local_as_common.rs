//! A value that only this device knows, as the session's.
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

fn end(s: dkd::Ready, local: Each<u64>) -> dkd::Finished<u64> {
    s.finish(local)
}

async fn decided(s: dkd::Start) -> Result<Pub<usize>, Stop> {
    let (s, _) = s.commit(|_| Ok((1, ()))).await?;
    let (_, _, kept) = s.freeze(|_, it| Ok((DeviceSet::EMPTY, it.len()))).await?;
    Ok(kept)
}

fn looked_at(local: Each<u64>, common: Pub<u64>) -> Pub<u64> {
    common.map(|it| it + local.here().copied().unwrap_or(0))
}

fn main() {}
