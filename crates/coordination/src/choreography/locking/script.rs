//! The text of a lock.

use aura_choreography::{DeviceSet, Me, Opening, Pub, Reason, Steps, Stop, choreography, session};
use aura_protocol_core::{Capability, encode};

use super::work::{Locked, Request, Step, Terms};
use crate::{
    choreography::{
        sign::{
            Group,
            script::{self as signing, sign},
        },
        table::{answer, table},
    },
    keystore,
};

session! {
    /// One device gets a lock, by the word of a quorum.
    pub mod locking;
    ttl 60;
    msg {
        /// Whether a device wants it.
        Contend(bool),
        /// A device knows the lock otherwise.
        Decline(Reason),
        Contenders(DeviceSet),
        Deny(Reason),
    }
    each   contend:    Contend | Decline;
    decide contenders: on Contend[threshold] within 30 => Contenders | Deny;
    sub    grant:      sign;
}

fn assign(opening: &Opening<'_>) -> Result<aura_choreography::Cast, Reason> {
    Terms::cast(opening)
}

/// Says whether it wants the lock, draws the winner, and signs its grant.
#[choreography(pub Locking, roles = assign)]
pub async fn run(s: locking::Start) -> Result<locking::Finished<Locked>, Stop> {
    let terms = s.params()?;
    acquire(s, terms, |_| Ok(None)).await
}

/// The same as a part of another session, whose participants all know the lock; the grant is signed by
/// whom that session says.
///
/// # Errors
/// [`Stop`] when nobody gets the lock.
pub async fn acquire(
    mut s: locking::Start,
    terms: Pub<Terms>,
    group: impl Fn(&Me) -> Result<Option<Group>, Reason> + Send + Sync,
) -> Result<locking::Finished<Locked>, Stop> {
    let seats = s.session().zip(s.participants());
    let question = |me: &Me| {
        let (table, terms) = (table(&seats, me), (*terms).clone());
        Ok(encode(&keystore::Request::Lock(Request { table, terms, step: Step::Contend })))
    };
    let wants = s.invoke(Capability::Sign, question).await?;
    let (s, _) = s.contend(|me| Ok((answer::<bool>(&wants, me)?, ()))).await?;
    let (s, contenders, _) = s
        .contenders(|_, said| {
            let wanting: DeviceSet = said.iter().filter(|it| it.1).map(|it| it.0).collect();
            if wanting.is_empty() { Err(Reason::Insufficient) } else { Ok((wanting, ())) }
        })
        .await?;
    // Everybody draws: nobody's word on who won counts.
    let drawn = terms.zip(seats).zip(contenders);
    let grant = drawn.map(|((terms, (_, devices)), contenders)| {
        let grant = terms.grant(devices, *contenders)?;
        Some((terms.signature(&grant), grant))
    });
    let Some((signed, granted)) = &*grant else {
        return Err(Stop::Failed(Reason::Insufficient));
    };
    let wanted = grant.map(|_| signed.clone());
    let (s, signature) = s.grant(|s| signing::sign_for(s, wanted, group)).await?;
    Ok(s.finish(signature.map(|it| Locked { grant: granted.clone(), signature: it.clone() })))
}
