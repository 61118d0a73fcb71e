//! A value that only this device knows, carried out of the step that made it.
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

use std::cell::Cell;

async fn assigned(s: dkd::Start) -> Result<dkd::AfterCommit, Stop> {
    let mut out = None;
    let (s, _) = s
        .commit(|me| {
            out = Some(me.id());
            Ok((1, ()))
        })
        .await?;
    drop(out);
    Ok(s)
}

async fn in_a_cell(s: dkd::Start) -> Result<dkd::AfterCommit, Stop> {
    let out = Cell::new(0);
    let (s, _) = s
        .commit(|me| {
            out.set(me.id().0);
            Ok((1, ()))
        })
        .await?;
    Ok(s)
}

async fn as_a_constant(s: dkd::Ready, local: u64) -> dkd::Finished<u64> {
    s.finish(Pub::constant(|| local))
}

fn main() {}
