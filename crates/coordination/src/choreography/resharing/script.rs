//! The text of a resharing.

use aura_choreography::{
    Dev, DeviceSet, Each, Exit, FromHost, Me, Opening, Pub, Reason, Steps, Stop, choreography,
    session,
};
use aura_protocol_core::{Capability, DeviceId, SessionId, encode};

use super::work::{Agreement, Findings, Outcome, Record, Request, Reshared, Step, Terms};
use crate::{
    choreography::{
        locking::script::{acquire, locking},
        report::{Report, complaints, judge, union, words},
        sign::{
            Group,
            script::{sign, sign_for},
        },
        table::{Rested, Seats, answer, heard, table},
    },
    keystore,
};

session! {
    /// The account's keys among other holders (`04-crypto`, section 3).
    pub mod resharing;
    ttl 160;
    roles { Coord: one, Old: many, New: many }
    msg {
        /// The lock is free again, as far as its holder says so.
        Release(Exit),
        /// A fresh key to seal to.
        Enter([u8; 32]),
        /// An old holder is there, and would deal.
        Offer(()),
        /// An old holder was not permitted to deal, or does not hold what is to be reshared.
        Decline(Reason),
        Open(()),
        /// Who deals: exactly as many as the old threshold.
        Dealers(DeviceSet),
        /// Its share, dealt anew.
        Deal(Rested),
        Dealt(()),
        Check(Report),
        /// Everybody has its share.
        Agreed(Agreement),
        /// Somebody complains.
        Disputed(()),
        /// Sub-shares that were complained about, for all to see.
        Justify(Rested),
        Justified(()),
        Recheck(Report),
        Settled(Agreement),
        Abort(Reason),
    }
    sub     lock:      locking { All: Old } finally release: Release;
    each    enter:     Enter by New;
    each    offer:     Offer by Old | Decline;
    decide  open:      on Enter[all] within 50 => Open | Abort;
    decide  dealers:   on Offer[threshold] within 50 => Dealers | Abort;
    gather  keys:      Enter[all] within 50;
    each    deal:      Deal among Dealers;
    decide  dealt:     on Deal[among Dealers] within 50 => Dealt | Abort;
    gather  dealings:  Deal[among Dealers] within 50;
    each    check:     Check by New;
    choice  checked:   on Check[all] within 150 {
        Agreed => { gather checks: Check[all] within 50; }
        Disputed => {
            gather complaints: Check[all] within 50;
            each   justify:    Justify among Dealers;
            decide justified:  on Justify[among Dealers] within 50 => Justified | Abort;
            gather answers:    Justify[among Dealers] within 50;
            each   recheck:    Recheck by New;
            decide settled:    on Recheck[all] within 50 => Settled | Abort;
            gather words:      Recheck[all] within 50;
        }
    } | Abort;
    sub     proof:     sign { All: New };
    sub     authority: sign { All: Old };
}

fn assign(opening: &Opening<'_>) -> Result<resharing::Roles, Reason> {
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
            Ok(encode(&keystore::Request::Reshare(request)))
        };
        state.invoke(Capability::Seal, question).await
    }
}

/// The whole session: its terms are its parameters.
#[choreography(pub Resharing, roles = assign)]
pub async fn run(s: resharing::Start) -> Result<resharing::Finished<Reshared>, Stop> {
    let terms = s.params()?;
    reshare(s, terms).await
}

/// The same as a part of another session, whose participants all know the terms.
///
/// # Errors
/// [`Stop`] when nothing changed.
pub async fn reshare(
    s: resharing::Start,
    terms: Pub<Terms>,
) -> Result<resharing::Finished<Reshared>, Stop> {
    let desk = Desk { seats: s.session().zip(s.participants()), terms };
    let (s, rounds) = deal(lock(s, &desk).await?, &desk).await?;
    let (mut s, settled) = settle(s, &desk, &rounds).await?;
    let record =
        |me: &Me| Ok(Record { agreed: Some(*settled.agreed), ..settled.record(&rounds, me)? });
    let accepted = desk.ask(&mut s, Step::Accept, record).await?;

    let seats: Pub<(SessionId, Vec<DeviceId>)> = desk.seats.clone();
    let signed = desk.terms.clone().zip(seats).zip(settled.agreed.clone());
    let proof = signed.map(|((terms, (session, _)), agreed)| terms.proof(*session, agreed));
    let authority = signed.map(|((terms, (session, _)), agreed)| terms.authority(*session, agreed));
    let new = |me: &Me| {
        answer::<()>(&accepted, me)?;
        let outcome = settled.outcome(me)?;
        Ok(Some(desk.terms.new_group(&outcome)))
    };
    let (s, proof) = s.proof(|s| sign_for(s, proof, new)).await?;
    let old = |_: &Me| Ok(Some(desk.terms.old_group()));
    let (mut s, authority) = s.authority(|s| sign_for(s, authority, old)).await?;
    desk.ask(&mut s, Step::End, |_| Ok(Record::default())).await?;
    let signatures = proof.zip(authority);
    Ok(s.finish(signed.zip(signatures).map(
        |(((terms, (session, _)), agreed), (proof, authority))| {
            let (session, agreed, epoch) = (*session, *agreed, terms.to.epoch);
            Reshared { session, agreed, epoch, proof: proof.clone(), authority: authority.clone() }
        },
    )))
}

/// The coordinator gets the lock, or the session ends.
async fn lock(s: resharing::Start, desk: &Desk) -> Result<resharing::AfterLock, Stop> {
    let wanted = desk.terms.map(|it| it.lock.clone());
    let old = |_: &Me| -> Result<Option<Group>, Reason> { Ok(Some(desk.terms.old_group())) };
    let (s, locked) = s.lock(|s| acquire(s, wanted, old)).await?;
    if locked.grant.holder == desk.terms.coordinator {
        return Ok(s);
    }
    let what = format!("the lock went to device {}", locked.grant.holder);
    Err(Stop::Aborted(Reason::Other(what)))
}

/// What a device has of the rounds in which the old holders deal.
struct Rounds {
    keys: Each<Vec<(Dev, [u8; 32])>>,
    dealers: Pub<DeviceSet>,
    dealings: Each<Vec<(Dev, Rested)>>,
}

impl Rounds {
    fn record(&self, me: &Me) -> Result<Record, Reason> {
        let (keys, dealings) = (heard(&self.keys, me)?, heard(&self.dealings, me)?);
        Ok(Record { keys, dealers: *self.dealers, dealings, ..Record::default() })
    }
}

/// Receivers announce their keys, and as many old holders as needed deal.
async fn deal(
    mut s: resharing::AfterLock,
    desk: &Desk,
) -> Result<(resharing::AfterDealings, Rounds), Stop> {
    let key = desk.ask(&mut s, Step::Enter, |_| Ok(Record::default())).await?;
    let (mut s, _) = s.enter(|me| Ok((answer(&key, me)?, ()))).await?;
    let deals = desk.ask(&mut s, Step::Offer, |_| Ok(Record::default())).await?;
    let (s, _) = s.offer(|me| answer::<()>(&deals, me).map(|()| ((), ()))).await?;
    let (s, _, _) = s.open(|_, _| Ok(((), ()))).await?;
    let needed = usize::from(desk.terms.from.threshold);
    let first = |_: &Me, offers: &[(Dev, ())]| {
        Ok((offers.iter().map(|it| it.0).take(needed).collect(), ()))
    };
    let (s, dealers, _) = s.dealers(first).await?;
    let (mut s, keys) = s.keys().await?;

    let with_keys =
        |me: &Me| Ok(Record { keys: heard(&keys, me)?, dealers: *dealers, ..Record::default() });
    let dealing = desk.ask(&mut s, Step::Deal, with_keys).await?;
    let (s, _) = s.deal(|me| Ok((answer(&dealing, me)?, ()))).await?;
    let (s, _, _) = s.dealt(|_, _| Ok(((), ()))).await?;
    let (s, dealings) = s.dealings().await?;
    Ok((s, Rounds { keys, dealers, dealings }))
}

/// What a device has when everybody has its share.
struct Settlement {
    agreed: Pub<Agreement>,
    findings: FromHost<Vec<u8>>,
    words: Each<Vec<(Dev, Report)>>,
    dispute: Option<Dispute>,
}

/// What a device has of a dispute.
struct Dispute {
    complaints: Each<Vec<(Dev, Report)>>,
    answers: Each<Vec<(Dev, Rested)>>,
}

impl Dispute {
    fn record(&self, rounds: &Rounds, me: &Me) -> Result<Record, Reason> {
        let complaints = complaints(&self.complaints, me)?;
        let answers = heard(&self.answers, me)?;
        Ok(Record { complaints, answers, ..rounds.record(me)? })
    }
}

impl Settlement {
    fn record(&self, rounds: &Rounds, me: &Me) -> Result<Record, Reason> {
        let record = match &self.dispute {
            Some(dispute) => dispute.record(rounds, me)?,
            None => rounds.record(me)?,
        };
        Ok(Record { words: words(&self.words, me)?, ..record })
    }

    fn outcome(&self, me: &Me) -> Result<Outcome, Reason> {
        let findings: Findings = answer(&self.findings, me)?;
        findings.outcome.ok_or(Reason::VerificationFailed)
    }
}

/// Every receiver looks at what it got, and what it complains about is shown and looked at again.
async fn settle(
    mut s: resharing::AfterDealings,
    desk: &Desk,
    rounds: &Rounds,
) -> Result<(resharing::AfterChecked, Settlement), Stop> {
    let findings = desk.ask(&mut s, Step::Check, |me| rounds.record(me)).await?;
    let (s, _) = s.check(|me| Ok((answer::<Findings>(&findings, me)?.report, ()))).await?;
    let (way, _) = s.checked(|me, said| way(answer(&findings, me)?, said)).await?;
    match way {
        resharing::Checked::Agreed(s, agreed) => {
            let (s, words) = s.checks().await?;
            Ok((s, Settlement { agreed, findings, words, dispute: None }))
        }
        resharing::Checked::Disputed(s, _) => dispute(s, desk, rounds).await,
    }
}

/// Whoever is complained about shows what it dealt. Only what the complaining device itself wrote
/// makes anybody show anything.
async fn dispute(
    s: resharing::OnCheckedDisputed,
    desk: &Desk,
    rounds: &Rounds,
) -> Result<(resharing::AfterChecked, Settlement), Stop> {
    let (mut s, said) = s.complaints().await?;
    let record = |me: &Me| Ok(Record { complaints: complaints(&said, me)?, ..rounds.record(me)? });
    let shown = desk.ask(&mut s, Step::Justify, record).await?;
    let (s, _) = s.justify(|me| Ok((answer(&shown, me)?, ()))).await?;
    let (s, _, _) = s.justified(|_, _| Ok(((), ()))).await?;
    let (mut s, answers) = s.answers().await?;
    let dispute = Dispute { complaints: said, answers };
    let findings = desk.ask(&mut s, Step::Recheck, |me| dispute.record(rounds, me)).await?;
    let (s, _) = s.recheck(|me| Ok((answer::<Findings>(&findings, me)?.report, ()))).await?;
    let (s, agreed, _) = s
        .settled(|me, said| match way(answer(&findings, me)?, said)? {
            (resharing::CheckedChoice::Agreed(agreed), ()) => Ok((agreed, ())),
            (resharing::CheckedChoice::Disputed(()), ()) => Err(Reason::VerificationFailed),
        })
        .await?;
    let (s, words) = s.words().await?;
    Ok((s, Settlement { agreed, findings, words, dispute: Some(dispute) }))
}

/// What the coordinator makes of all reports. Whom it found guilty itself it names.
fn way(own: Findings, said: &[(Dev, Report)]) -> Result<(resharing::CheckedChoice, ()), Reason> {
    judge(own.report.verdict(), said.iter().map(|it| it.1.verdict()))?;
    let complaints = union(said.iter().map(|it| it.1.complaints()));
    if !complaints.is_empty() {
        return Ok((resharing::CheckedChoice::Disputed(()), ()));
    }
    let outcome = own.outcome.ok_or(Reason::VerificationFailed)?;
    Ok((resharing::CheckedChoice::Agreed(outcome.agreement), ()))
}
