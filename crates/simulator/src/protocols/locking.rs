//! A lock: whoever wants it says so with a lot, and one device grants it to the least lot.

use aura_choreography::{Dev, Reason, Stop, choreography, session};

use crate::{
    draw::mix,
    hosts::plain,
    plan::Promise,
    protocols::{Protocol, just_quorum, quorum_of, secret},
};

session! {
    /// One device gets the lock.
    pub mod lock;
    ttl 60;
    msg { Request(u64), Grant(Dev), Deny(Reason) }
    each   request: Request;
    decide grant:   on Request[threshold] within 30 => Grant | Deny;
}

/// The text: everybody draws a lot, the least of a quorum wins.
#[choreography(Locking, roles = quorum_of)]
pub async fn acquire(s: lock::Start) -> Result<lock::Finished<u8>, Stop> {
    let (s, _) = s.request(|me| Ok((mix(secret(me)), ()))).await?;
    let (s, holder, _) = s
        .grant(|_, lots| {
            let least = lots.iter().min_by_key(|it| (it.1, it.0));
            least.map(|it| (it.0, ())).ok_or(Reason::Insufficient)
        })
        .await?;
    Ok(s.finish(holder.map(|it| it.0)))
}

/// As simulations know it.
pub static PROTOCOL: Protocol = Protocol {
    name: "locking",
    about: "a lock: one decision of one device",
    script: &Locking,
    promise: Promise::MEMBERS,
    params: just_quorum,
    host: plain,
    says: None,
};
