//! The flow that suggests itself: every device waits for the threshold, and computes.
//!
//! Each gathers a quorum of its own, so two devices may derive two keys. The type system says so: the
//! gathered values are `Each`, and no session ends with one. Here the local value is smuggled out by
//! hand, to show what would happen.

use aura_choreography::{
    Cast, Completed, Conclude, Cx, GlobalType, Label, Opening, Reason, Running, Script, Stop,
    session,
};
use aura_protocol_core::Outcome;

use crate::{
    hosts::plain,
    plan::Promise,
    protocols::{Protocol, commitment, just_quorum, point, quorum_of, secret},
};

session! {
    /// Every device waits for a quorum, and computes.
    pub mod naive;
    ttl 60;
    msg { Init(u64), Commit(u64), Reveal(u64), Claim(u64) }
    write  init:    Init;
    each   commit:  Commit;
    gather commits: Commit[threshold] within 60;
    each   reveal:  Reveal;
    gather reveals: Reveal[threshold] within 60;
    each   claim:   Claim;
}

/// The protocol whose text ends with what each device believes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DkdNaive;

impl Script for DkdNaive {
    fn global(&self) -> &GlobalType {
        &naive::GLOBAL
    }

    fn run(&self, cx: Cx) -> Running {
        Box::pin(derive(naive::start(cx)))
    }

    fn accepts(&self, label: Label, body: &[u8]) -> bool {
        naive::accepts(label, body)
    }

    fn cast(&self, opening: &Opening<'_>) -> Result<Cast, Reason> {
        quorum_of(opening)
    }
}

async fn derive(s: naive::Start) -> Result<Outcome, Stop> {
    let (s, context) = s.init(|me| Ok(secret(me))).await?;
    let (s, share) = s
        .commit(|me| {
            let point = point(secret(me), *context);
            Ok((commitment(point), point))
        })
        .await?;
    let (s, _) = s.commits().await?;
    let (s, _) = s.reveal(|me| share.here(me).map(|it| (*it, ()))).await?;
    let (s, reveals) = s.reveals().await?;
    let (_ready, key) = s
        .claim(|me| {
            let key = reveals.here(me)?.iter().fold(0_u64, |key, it| key.wrapping_add(it.1));
            Ok((key, key))
        })
        .await?;
    let mut local = 0;
    let _opened = key.map(|it| local = it);
    Ok(Completed::of(&local).conclude())
}

/// As simulations know it.
pub static PROTOCOL: Protocol = Protocol {
    name: "dkd-naive",
    about: "must fail: every device freezes a quorum of its own",
    script: &DkdNaive,
    promise: Promise::NOBODY,
    params: just_quorum,
    host: plain,
    says: None,
};
