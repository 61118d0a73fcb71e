//! The key derivation in which a quorum has to have seen each decision: also the decider may lie.

use aura_choreography::{DeviceSet, Reason, Stop, choreography, session};

use crate::{
    hosts::plain,
    plan::Promise,
    protocols::{Protocol, aggregate, commitment, just_quorum, point, quorum_of, secret},
};

session! {
    /// The key derivation in which a quorum has to have seen each decision: also the decider may lie.
    pub mod certified;
    ttl 60;
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
    decide certified freeze: on Commit[threshold] within 50 => Freeze | Abort;
    each reveal: Reveal among Freeze;
    decide certified finalize: on Reveal[among Freeze] within 50 => Finalize | Abort;
}

/// The text: commit, freeze who counts, reveal, finalize.
#[choreography(DkdCertified, roles = quorum_of)]
pub async fn derive(s: certified::Start) -> Result<certified::Finished<u64>, Stop> {
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
    name: "dkd-certified",
    about: "a few devices may lie, whoever they are",
    script: &DkdCertified,
    promise: Promise::QUORUM,
    params: just_quorum,
    host: plain,
    says: None,
};
