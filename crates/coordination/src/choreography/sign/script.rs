//! The text of a group signature.

use aura_choreography::{
    DeviceSet, FromHost, Me, Opening, Pub, Reason, Steps, Stop, choreography, session,
};
use aura_protocol_core::{Capability, encode};

use super::work::{Group, Made, Record, Request, Step, Terms};
use crate::{
    choreography::table::{Rested, Seats, answer, heard, table},
    keystore,
};

session! {
    /// As many devices as needed sign for the account, in two rounds (`04-crypto`, FROST).
    pub mod sign;
    ttl 60;
    msg {
        /// Commitments to fresh nonces.
        Nonces(Vec<u8>),
        /// A device does not sign this, or holds no share.
        Decline(Reason),
        Signers(DeviceSet),
        Share(Rested),
        Shared(()),
        Signed([u8; 64]),
        Abort(Reason),
    }
    each    nonces:  Nonces | Decline;
    decide  signers: on Nonces[threshold] within 30 => Signers | Abort;
    gather  chosen:  Nonces[among Signers] within 30;
    each    share:   Share among Signers;
    decide  shared:  on Share[among Signers] within 30 => Shared | Abort;
    gather  shares:  Share[among Signers] within 30;
    choice  outcome { Signed => {} } | Abort;
}

fn assign(opening: &Opening<'_>) -> Result<aura_choreography::Cast, Reason> {
    Terms::cast(opening)
}

/// What is common to all questions of a session.
struct Desk<G> {
    seats: Seats,
    terms: Pub<Terms>,
    group: G,
}

impl<G: Fn(&Me) -> Result<Option<Group>, Reason> + Send + Sync> Desk<G> {
    async fn ask(
        &self,
        state: &mut impl Steps,
        step: Step,
        record: impl Fn(&Me) -> Result<Record, Reason> + Send + Sync,
    ) -> Result<FromHost<Vec<u8>>, Stop> {
        let question = |me: &Me| {
            let (table, terms) = (table(&self.seats, me), (*self.terms).clone());
            let (group, record) = ((self.group)(me)?, record(me)?);
            let request = Request { table, terms, group, step, record };
            Ok(encode(&keystore::Request::Sign(request)))
        };
        state.invoke(Capability::Sign, question).await
    }
}

/// Commits to nonces, signs with them if chosen, and puts the shares together.
#[choreography(pub Sign, roles = assign)]
pub async fn run(s: sign::Start) -> Result<sign::Finished<Vec<u8>>, Stop> {
    let terms = s.params()?;
    sign(s, terms).await
}

/// The same as a part of another session, whose participants all know what is signed.
///
/// # Errors
/// [`Stop`] when there is no signature.
pub async fn sign(s: sign::Start, terms: Pub<Terms>) -> Result<sign::Finished<Vec<u8>>, Stop> {
    sign_for(s, terms, |_| Ok(None)).await
}

/// The same, by whom the session around it says.
///
/// # Errors
/// [`Stop`] when there is no signature.
pub async fn sign_for(
    mut s: sign::Start,
    terms: Pub<Terms>,
    group: impl Fn(&Me) -> Result<Option<Group>, Reason> + Send + Sync,
) -> Result<sign::Finished<Vec<u8>>, Stop> {
    let desk = Desk { seats: s.session().zip(s.participants()), terms, group };
    let nonces = desk.ask(&mut s, Step::Nonces, |_| Ok(Record::default())).await?;
    let (s, _) = s.nonces(|me| Ok((answer(&nonces, me)?, ()))).await?;
    let needed = usize::from(desk.terms.signers);
    let (s, signers, _) = s
        .signers(|_, offers| Ok((offers.iter().map(|it| it.0).take(needed).collect(), ())))
        .await?;
    let (mut s, chosen) = s.chosen().await?;

    let with_nonces = |me: &Me| Ok(Record { nonces: heard(&chosen, me)?, ..Record::default() });
    let share = desk
        .ask(&mut s, Step::Sign, |me| {
            // Whoever is not chosen asks for nothing: an empty record signs nothing.
            if signers.contains(me.id()) { with_nonces(me) } else { Ok(Record::default()) }
        })
        .await?;
    let (s, _) = s.share(|me| Ok((answer(&share, me)?, ()))).await?;
    let (s, _, _) = s.shared(|_, _| Ok(((), ()))).await?;
    let (mut s, shares) = s.shares().await?;

    let record = |me: &Me| Ok(Record { shares: heard(&shares, me)?, ..with_nonces(me)? });
    let made = desk.ask(&mut s, Step::Aggregate, record).await?;
    let (way, _) = s
        .outcome(|me| match answer(&made, me)? {
            Made::Signature(signature) => Ok((sign::OutcomeChoice::Signed(signature), ())),
            Made::Guilty(culprits) => Err(Reason::Byzantine { culprits }),
            Made::Differ => Err(Reason::VerificationFailed),
        })
        .await?;
    let sign::Outcome::Signed(mut s, signature) = way;
    let record = |me: &Me| Ok(Record { signature: signature.to_vec(), ..with_nonces(me)? });
    let checked = desk.ask(&mut s, Step::Verify, record).await?;
    let end = |me: &Me| answer::<()>(&checked, me).map(|()| Record::default());
    desk.ask(&mut s, Step::End, end).await?;
    Ok(s.finish(signature.map(|it| it.to_vec())))
}
