//! The text of a lock.

use aura_choreography::{
    Completed, DeviceSet, Me, Opening, Pub, Reason, Steps, Stop, choreography, session,
};
use aura_protocol_core::{Capability, encode};

use super::work::{Locked, Request, Step, Terms};
use crate::{
    choreography::{
        sign::script::{self as signing, sign},
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
pub async fn acquire(mut s: locking::Start) -> Result<locking::Finished<Completed>, Stop> {
    let terms = s.params::<Terms>()?;
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
        terms.grant(devices, *contenders).map(|it| (terms.signature(&it), it))
    });
    let Some((signed, _)) = &*grant else {
        return Err(Stop::Failed(Reason::Insufficient));
    };
    let wanted: Pub<crate::choreography::sign::Terms> = grant.map(|_| signed.clone());
    let (s, signature) = s.grant(|s| signing::sign(s, wanted)).await?;
    let locked = grant.zip(signature).map(|(grant, signature)| {
        let locked = grant
            .as_ref()
            .map(|(_, grant)| Locked { grant: grant.clone(), signature: signature.clone() });
        Completed::of(&locked)
    });
    Ok(s.finish(locked))
}
