//! An upgrade as every device of an account sees it: one text, and its type.
//!
//! The control chain takes part as one more participant, `Chain`: what is irreversible is decided
//! there and nowhere else, and a certificate is how its decision reaches a device. That the chain does
//! not decide two things is the ledger's own promise (`02-ledger`, section 5).
//!
//! What a device does for itself between two steps (fetch, verify, compile, rehearse) is its driver's
//! work; how it went comes in as a signal.

use aura_choreography::{Members, Opening, Reason, Steps as _, Stop, choreography, session};
use aura_protocol_core::{Digest, decode, limits::UNIT_BODY_BYTES_MAX};
use borsh::{BorshDeserialize, BorshSerialize};

session! {
    /// How an account changes the version that it runs (`05-upgrades`, section 7).
    pub mod upgrade;
    roles { Proposer: one, Chain: one, Devices: many }
    msg {
        Propose(Digest),
        Acknowledge(()),
        Ready(()),
        Decline(Reason),
        Activate(()),
        Supersede(Reason),
    }
    write  propose:     Propose by Proposer;
    each   acknowledge: Acknowledge by Devices;
    each   ready:       Ready by Devices | Decline;
    decide activate by Chain: on Ready[threshold] within 1048576 => Activate | Supersede;
}

/// Who takes part, and how many devices make a quorum: the session's parameters.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Terms {
    /// The unit that proposes.
    pub proposal: Digest,
    /// How many ready devices the chain waits for.
    pub quorum: u8,
}

/// How this device's own work went: what [`Steps::signal`](aura_choreography::Steps::signal) brings.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum Prepared {
    /// The modules are here, and the rehearsal worked.
    Rehearsed,
    /// This device refuses.
    Refused {
        /// The stable name of the reason.
        code: String,
        /// The reason, for people.
        reason: String,
    },
}

/// The opener proposes, the last participant is the chain, and the others are the devices.
fn assign(opening: &Opening<'_>) -> Result<upgrade::Roles, Reason> {
    let other = |error| Reason::Other(format!("the terms of an upgrade: {error}"));
    let terms: Terms = decode(opening.params, UNIT_BODY_BYTES_MAX).map_err(other)?;
    let all = opening.everyone();
    let chain = all.iter().last().ok_or(Reason::Insufficient)?;
    let devices = Members::of(all.without(chain)).with_threshold(terms.quorum);
    Ok(upgrade::Roles { all: Members::of(all), proposer: opening.opener, chain, devices })
}

/// Proposes, prepares, and follows what the chain decides, also where this device declined.
#[choreography(pub Upgrade, roles = assign)]
pub async fn run(s: upgrade::Start) -> Result<upgrade::Finished<()>, Stop> {
    let terms = s.params::<Terms>()?;
    let (s, _) = s.propose(|_| Ok(terms.proposal)).await?;
    let (mut s, _) = s.acknowledge(|_| Ok(((), ()))).await?;
    let prepared = s.signal(None).await?;
    let (s, _) = s.ready(|me| verdict(prepared.here(me)?).map(|()| ((), ()))).await?;
    let (s, activated, _) = s.activate(|_, _| Ok(((), ()))).await?;
    Ok(s.finish(activated))
}

fn verdict(said: &[u8]) -> Result<(), Reason> {
    match decode(said, UNIT_BODY_BYTES_MAX) {
        Ok(Prepared::Rehearsed) => Ok(()),
        Ok(Prepared::Refused { code, reason }) => Err(Reason::Other(format!("{code}: {reason}"))),
        Err(error) => Err(Reason::Other(format!("how it went is unknown: {error}"))),
    }
}
