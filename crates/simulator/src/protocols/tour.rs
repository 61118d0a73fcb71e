//! Every kind of step in one session: roles, a part with a last word, a loop, branches, a pause,
//! scattered messages, a veto, and a certified decision.

use aura_choreography::{
    Dev, DeviceSet, Exit, Members, Opening, Reason, Stop, choreography, session,
};
use aura_protocol_core::quorum::default_threshold;

use crate::{
    draw::mix,
    hosts::plain,
    plan::Promise,
    protocols::{Protocol, commitment, just_quorum, locking, point, secret},
};
use locking::lock;

session! {
    /// Hands something from the old devices to the new ones.
    pub mod handover;
    ttl 90;
    roles { Coord: one, Old: many, New: many }
    msg {
        Init(u64),
        Release(Exit),
        Vote(u8),
        Again(u8), Slow(u8), Done(u8), Quit(u8),
        Extra(u8),
        Deal(u64),
        Ack(u64),
        Seal(DeviceSet),
        Veto(u8),
        Open(u64),
        Close(u64),
        Abort(Reason),
    }
    write   init:  Init;
    sub     lock:  lock { Opener: Coord, All: Old } finally release: Release;
    rec     round within 120;
    each    vote:  Vote by Old;
    choice  route: on Vote[threshold] within 30 {
        Again => continue round,
        Slow  => { each extra: Extra by New; pause cool: 4; }
        Done  => {}
        Quit  => stop,
    } | Abort;
    scatter deal:  Old -> New: Deal;
    gather  dealt: Deal[threshold] within 60;
    each    ack:   Ack by New;
    decide  seal:  on Ack[threshold] within 60 => Seal | Abort unless Veto;
    each    open:  Open among Seal;
    decide  certified close: on Open[among Seal] within 60 => Close | Abort;
}

/// The first half and one more hands over, the second half and one more takes over; both halves need
/// more than half of their own.
///
/// # Errors
/// [`Reason::InvalidState`] when the parameters name no quorum.
pub fn assign(opening: &Opening<'_>) -> Result<handover::Roles, Reason> {
    let [threshold] = opening.params else {
        return Err(Reason::InvalidState("one byte says how many are a quorum".to_owned()));
    };
    let everyone = opening.everyone();
    let half = everyone.len().div_ceil(2);
    let old = DeviceSet::all(half + 1).intersection(everyone);
    let new = everyone.difference(DeviceSet::all(half.saturating_sub(1)));
    let members =
        |set: DeviceSet| Members::of(set).with_threshold(default_threshold(set.len()) as u8);
    Ok(handover::Roles {
        all: Members::of(everyone).with_threshold(*threshold),
        coord: opening.opener,
        old: members(old),
        new: members(new),
    })
}

/// What the votes of a round come to.
fn route(votes: &[(Dev, u8)]) -> handover::RouteChoice {
    match votes.iter().fold(0_u8, |sum, it| sum.wrapping_add(it.1)) % 7 {
        0..=2 => handover::RouteChoice::Again(0),
        3 => handover::RouteChoice::Slow(1),
        4 => handover::RouteChoice::Quit(3),
        _ => handover::RouteChoice::Done(2),
    }
}

/// The text.
#[choreography(Tour, roles = assign)]
pub async fn tour(s: handover::Start) -> Result<handover::Finished<u64>, Stop> {
    let (s, context) = s.init(|me| Ok(secret(me))).await?;
    let (mut s, holder) = s.lock(locking::acquire).await?;
    let mut round = 0_u64;
    let s = loop {
        let lot = |context: u64| (mix(context ^ round) % 7) as u8;
        let (voted, _) =
            s.vote(|me| Ok((lot(*context ^ u64::from(*holder + me.id().0)), ()))).await?;
        let (way, _) = voted.route(|_, votes| Ok((route(votes), ()))).await?;
        match way {
            handover::Route::Again(again, _) => s = again,
            handover::Route::Slow(slow, _) => {
                let (slow, _) = slow.extra(|me| Ok((me.id().0, ()))).await?;
                break slow.cool().await?;
            }
            handover::Route::Done(done, _) => break done,
            handover::Route::Quit(ready, _) => {
                return Ok(ready.finish(context.map(|it| it ^ round)));
            }
        }
        round += 1;
    };
    let share = |dev: Dev| point(u64::from(dev.0), *context);
    let (s, _) = s.deal(|_| Ok(()), |_, (), to| Ok(share(to))).await?;
    let (s, dealt) = s.dealt().await?;
    let (s, mine) = s
        .ack(|me| {
            let sum = dealt.here(me)?.iter().fold(0_u64, |sum, it| sum.wrapping_add(it.1));
            Ok((commitment(sum), sum))
        })
        .await?;
    let veto = |_: &_, said: &[u8]| said.first().copied();
    let (s, _, acks) =
        s.seal(|_, acks| Ok((acks.iter().map(|it| it.0).collect(), acks.to_vec())), veto).await?;
    let (s, _) = s.open(|me| mine.here(me).map(|it| (*it, ()))).await?;
    let (s, key, _) = s
        .close(|me, opened| crate::protocols::aggregate(acks.here(me)?, opened).map(|it| (it, ())))
        .await?;
    Ok(s.finish(key))
}

/// As simulations know it.
pub static PROTOCOL: Protocol = Protocol {
    name: "tour",
    about: "every kind of step",
    script: &Tour,
    promise: Promise::FEW_MEMBERS,
    params: just_quorum,
    host: plain,
    says: None,
};
