//! The text of a recovery.

use aura_choreography::{
    DeviceSet, FromHost, Me, Opening, Pub, Reason, Steps, Stop, choreography, session,
};
use aura_protocol_core::{Capability, encode};

use super::work::{Record, Request, Step, Terms};
use crate::{
    choreography::{
        resharing::{
            Reshared,
            script::{reshare, resharing},
        },
        table::{Seats, answer, heard, table},
    },
    keystore,
};

session! {
    /// Guardians bring an account back to new devices (`04-crypto`, section 5).
    pub mod recovery;
    ttl 1300000;
    roles { Coord: one, Leader: one, Guardians: many, Old: many, New: many }
    msg {
        /// A guardian's signature: its person confirmed whose devices these are.
        Approve(Vec<u8>),
        Refuse(Reason),
        /// Whose approvals count.
        Approved(DeviceSet),
        /// A guardian's own time is over.
        Ripe(()),
        Hold(Reason),
        /// Nobody objected before: one objection stops it.
        First(()),
        /// Somebody did.
        Again(()),
        Open(()),
        Reopen(()),
        /// A device of the account, or a guardian, objects.
        Veto(()),
        Abort(Reason),
    }
    each    approve:   Approve by Guardians | Refuse;
    decide  approved:  on Approve[threshold] within 1209600 => Approved | Abort;
    gather  approvals: Approve[among Approved] within 50;
    each    ripe:      Ripe by Guardians | Hold;
    choice  way {
        First => { decide open: on Ripe[threshold] within 1209600 => Open | Abort unless Veto; }
        Again => { decide reopen: on Ripe[threshold] within 1209600 => Reopen | Abort; }
    };
    sub     reshare:   resharing { Coord: Leader, Old: Old, New: New };
}

fn assign(opening: &Opening<'_>) -> Result<recovery::Roles, Reason> {
    Terms::of(opening)?.cast(opening)
}

/// What is common to all questions of a session.
struct Desk {
    seats: Seats,
    terms: Pub<Terms>,
}

impl Desk {
    async fn ask(
        &self,
        state: &mut impl Steps,
        step: Step,
        record: impl Fn(&Me) -> Result<Record, Reason> + Send + Sync,
    ) -> Result<FromHost<Vec<u8>>, Stop> {
        let question = |me: &Me| {
            let (table, terms) = (table(&self.seats, me), (*self.terms).clone());
            let request = Request { table, terms, step, record: record(me)? };
            Ok(encode(&keystore::Request::Recover(request)))
        };
        state.invoke(Capability::Sign, question).await
    }
}

/// Guardians approve, wait, and reshare to the new devices.
#[choreography(pub Recovery, roles = assign)]
pub async fn recover(mut s: recovery::Start) -> Result<recovery::Finished<Reshared>, Stop> {
    let desk = Desk { seats: s.session().zip(s.participants()), terms: s.params()? };
    let approval = desk.ask(&mut s, Step::Approve, |_| Ok(Record::default())).await?;
    let (s, _) = s.approve(|me| Ok((answer(&approval, me)?, ()))).await?;
    let (s, _, _) = s.approved(|_, said| Ok((said.iter().map(|it| it.0).collect(), ()))).await?;
    let (mut s, approvals) = s.approvals().await?;

    // Its host answers a guardian when its time is over, and everybody else at once.
    let ripe = desk.ask(&mut s, Step::Ripe, |_| Ok(Record::default())).await?;
    let (s, _) = s.ripe(|me| answer::<()>(&ripe, me).map(|()| ((), ()))).await?;
    let vetoable = desk.terms.is_vetoable();
    let first = |_: &Me| {
        let way = recovery::WayChoice::First(());
        Ok((if vetoable { way } else { recovery::WayChoice::Again(()) }, ()))
    };
    let (way, _) = s.way(first).await?;
    let mut s = match way {
        recovery::Way::First(s, _) => {
            let objects = |_: &Me, said: &[u8]| (said == VETO).then_some(());
            s.open(|_, _| Ok(((), ())), objects).await?.0
        }
        recovery::Way::Again(s, _) => s.reopen(|_, _| Ok(((), ()))).await?.0,
    };
    let record = |me: &Me| Ok(Record { approvals: heard(&approvals, me)? });
    desk.ask(&mut s, Step::Release, record).await?;
    let terms = desk.terms.map(|it| it.reshare.clone());
    let (mut s, reshared) = s.reshare(|s| reshare(s, terms)).await?;
    desk.ask(&mut s, Step::End, |_| Ok(Record::default())).await?;
    Ok(s.finish(reshared))
}

/// What a person says who objects.
pub const VETO: &[u8] = b"veto";
