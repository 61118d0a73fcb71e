//! The key derivation without a ttl: whoever waits for a dead decider waits for ever.

use aura_choreography::{DeviceSet, Reason, Stop, choreography, session};

use crate::{
    hosts::plain,
    plan::Promise,
    protocols::{Protocol, aggregate, commitment, just_quorum, point, quorum_of, secret},
};

session! {
    /// The key derivation without a ttl: whoever waits for a dead decider waits for ever.
    pub mod patience;
    msg {
        Init(u64),
        Commit(u64),
        Freeze(DeviceSet),
        Reveal(u64),
        Finalize(u64),
        Abort(Reason),
    }
    write init: Init;
    each commit: Commit;
    decide freeze: on Commit[threshold] within 50 => Freeze | Abort;
    each reveal: Reveal among Freeze;
    decide finalize: on Reveal[among Freeze] within 50 => Finalize | Abort;
}

/// The text: commit, freeze who counts, reveal, finalize.
#[choreography(DkdNoTtl, roles = quorum_of)]
pub async fn derive(s: patience::Start) -> Result<patience::Finished<u64>, Stop> {
    let (s, context) = s.init(|me| Ok(secret(me))).await?;
    let (s, share) = s
        .commit(|me| {
            let point = point(secret(me), *context);
            Ok((commitment(point), point))
        })
        .await?;
    let (s, _, commits) = s
        .freeze(|_, commits| Ok((commits.iter().map(|it| it.0).collect(), commits.to_vec())))
        .await?;
    let (s, _) = s.reveal(|me| share.here(me).map(|it| (*it, ()))).await?;
    let (s, key, _) = s
        .finalize(|me, reveals| aggregate(commits.here(me)?, reveals).map(|key| (key, ())))
        .await?;
    Ok(s.finish(key))
}

/// As simulations know it.
pub static PROTOCOL: Protocol = Protocol {
    name: "dkd-no-ttl",
    about: "must fail: a crash of the decider leaves the others waiting",
    script: &DkdNoTtl,
    promise: Promise::MEMBERS,
    params: just_quorum,
    host: plain,
    says: None,
};
