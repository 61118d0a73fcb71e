//! The text of a key generation.

use aura_choreography::{
    Cast, Dev, Each, FromHost, Me, Opening, Pub, Reason, Steps, Stop, choreography, session,
};
use aura_protocol_core::{Capability, Digest, encode};

use super::work::{Delivery, Record, Request, Step, Terms};
use crate::{
    choreography::{
        report::{Report, complaints, judge, union, words},
        table::{Rested, Seats, answer, heard, table},
    },
    keystore,
};

session! {
    /// All members make the account's keys together, and nobody ever holds one (`04-crypto`).
    pub mod dkg;
    ttl 100;
    msg {
        /// A fresh key to seal to.
        Enter([u8; 32]),
        Open(()),
        /// To a random polynomial for each of the two keys.
        Commit(Rested),
        Committed(()),
        Deliver(Delivery),
        Delivered(()),
        Check(Report),
        /// Everybody signed.
        Agreed(()),
        /// Somebody complains.
        Disputed(()),
        /// Shares that were complained about, for all to see.
        Justify(Rested),
        Justified(()),
        Recheck(Report),
        Settled(()),
        /// The name of the keys that this device holds shares of now.
        Accept(Digest),
        Generated(Digest),
        Abort(Reason),
    }
    each    enter:     Enter;
    decide  open:      on Enter[all] within 50 => Open | Abort;
    gather  keys:      Enter[all] within 50;
    each    commit:    Commit;
    decide  committed: on Commit[all] within 50 => Committed | Abort;
    gather  commits:   Commit[all] within 50;
    each    deliver:   Deliver;
    decide  delivered: on Deliver[all] within 50 => Delivered | Abort;
    gather  shares:    Deliver[all] within 50;
    each    check:     Check;
    choice  checked:   on Check[all] within 50 {
        Agreed => { gather checks: Check[all] within 50; }
        Disputed => {
            gather complaints: Check[all] within 50;
            each   justify:    Justify;
            decide justified:  on Justify[all] within 50 => Justified | Abort;
            gather answers:    Justify[all] within 50;
            each   recheck:    Recheck;
            decide settled:    on Recheck[all] within 50 => Settled | Abort;
            gather words:      Recheck[all] within 50;
        }
    } | Abort;
    each    accept:    Accept;
    decide  generated: on Accept[all] within 50 => Generated | Abort;
}

/// Everybody is a member, and all have to be there.
fn assign(opening: &Opening<'_>) -> Result<Cast, Reason> {
    Terms::of(opening)?;
    Ok(Cast { all: opening.all(), roles: Vec::new() })
}

/// What is common to all questions of a session.
struct Desk {
    seats: Seats,
    terms: Pub<Terms>,
}

impl Desk {
    fn question(&self, me: &Me, step: Step, record: Record) -> Vec<u8> {
        let (table, terms) = (table(&self.seats, me), (*self.terms).clone());
        encode(&keystore::Request::Generate(Request { table, terms, step, record }))
    }

    async fn ask(
        &self,
        state: &mut impl Steps,
        step: Step,
        record: impl Fn(&Me) -> Result<Record, Reason> + Send + Sync,
    ) -> Result<FromHost<Vec<u8>>, Stop> {
        state.invoke(Capability::Seal, |me| Ok(self.question(me, step, record(me)?))).await
    }
}

/// What a device has of the first three rounds.
struct Rounds {
    keys: Each<Vec<(Dev, [u8; 32])>>,
    commits: Each<Vec<(Dev, Rested)>>,
    shares: Each<Vec<(Dev, Delivery)>>,
}

impl Rounds {
    fn record(&self, me: &Me) -> Result<Record, Reason> {
        let shares = self.shares.here(me)?.iter();
        let sealed = shares.map(|(from, it)| (*from, it.sealed_for(me.id()))).collect();
        let (keys, commits) = (heard(&self.keys, me)?, heard(&self.commits, me)?);
        Ok(Record { keys, commits, sealed, ..Record::default() })
    }
}

/// Enters, commits, delivers, checks; if need be complains, justifies and checks again; accepts.
#[choreography(pub Dkg, roles = assign)]
pub async fn generate(mut s: dkg::Start) -> Result<dkg::Finished<Digest>, Stop> {
    let desk = Desk { seats: s.session().zip(s.participants()), terms: s.params()? };
    let key = desk.ask(&mut s, Step::Enter, |_| Ok(Record::default())).await?;
    let (s, _) = s.enter(|me| Ok((answer(&key, me)?, ()))).await?;
    let (s, _, _) = s.open(|_, _| Ok(((), ()))).await?;
    let (mut s, keys) = s.keys().await?;

    let with_keys = |me: &Me| Ok(Record { keys: heard(&keys, me)?, ..Record::default() });
    let commit = desk.ask(&mut s, Step::Commit, with_keys).await?;
    let (s, _) = s.commit(|me| Ok((answer(&commit, me)?, ()))).await?;
    let (s, _, _) = s.committed(|_, _| Ok(((), ()))).await?;
    let (mut s, commits) = s.commits().await?;

    let with_commits = |me: &Me| {
        let (keys, commits) = (heard(&keys, me)?, heard(&commits, me)?);
        Ok(Record { keys, commits, ..Record::default() })
    };
    let delivery = desk.ask(&mut s, Step::Deliver, with_commits).await?;
    let (s, _) = s.deliver(|me| Ok((answer(&delivery, me)?, ()))).await?;
    let (s, _, _) = s
        .delivered(|me, said| {
            let own: Delivery = answer(&delivery, me)?;
            judge(own.verdict(), said.iter().map(|it| it.1.verdict()))?;
            Ok(((), ()))
        })
        .await?;
    let (mut s, shares) = s.shares().await?;
    let rounds = Rounds { keys, commits, shares };

    let check = desk.ask(&mut s, Step::Check, |me| rounds.record(me)).await?;
    let (s, _) = s.check(|me| Ok((answer(&check, me)?, ()))).await?;
    let (way, _) = s.checked(|me, said| way(&answer(&check, me)?, said)).await?;
    match way {
        dkg::Checked::Agreed(s, _) => {
            let (s, checks) = s.checks().await?;
            let record = |me: &Me| Ok(Record { words: words(&checks, me)?, ..rounds.record(me)? });
            accept(s, &desk, record).await
        }
        dkg::Checked::Disputed(s, _) => {
            let (s, disputed) = dispute(s, &desk, &rounds).await?;
            let record = |me: &Me| {
                let words = words(&disputed.words, me)?;
                Ok(Record { words, ..disputed.record(&rounds, me)? })
            };
            accept(s, &desk, record).await
        }
    }
}

/// What a device has of a dispute.
struct Dispute {
    complaints: Each<Vec<(Dev, Report)>>,
    answers: Each<Vec<(Dev, Rested)>>,
    words: Each<Vec<(Dev, Report)>>,
}

impl Dispute {
    fn record(&self, rounds: &Rounds, me: &Me) -> Result<Record, Reason> {
        let complaints = complaints(&self.complaints, me)?;
        let answers = heard(&self.answers, me)?;
        Ok(Record { complaints, answers, ..rounds.record(me)? })
    }
}

/// Whoever is complained about shows what it dealt. Only what the complaining device itself wrote
/// makes anybody show anything.
async fn dispute(
    s: dkg::OnCheckedDisputed,
    desk: &Desk,
    rounds: &Rounds,
) -> Result<(dkg::AfterChecked, Dispute), Stop> {
    let (mut s, said) = s.complaints().await?;
    let record = |me: &Me| Ok(Record { complaints: complaints(&said, me)?, ..rounds.record(me)? });
    let shown = desk.ask(&mut s, Step::Justify, record).await?;
    let (s, _) = s.justify(|me| Ok((answer(&shown, me)?, ()))).await?;
    let (s, _, _) = s.justified(|_, _| Ok(((), ()))).await?;
    let (mut s, answers) = s.answers().await?;
    let record = |me: &Me| {
        let (complaints, answers) = (complaints(&said, me)?, heard(&answers, me)?);
        Ok(Record { complaints, answers, ..rounds.record(me)? })
    };
    let recheck = desk.ask(&mut s, Step::Recheck, record).await?;
    let (s, _) = s.recheck(|me| Ok((answer(&recheck, me)?, ()))).await?;
    let (s, _, _) = s
        .settled(|me, said| {
            let own: Report = answer(&recheck, me)?;
            judge(own.verdict(), said.iter().map(|it| it.1.verdict()))?;
            let unsettled = union(said.iter().map(|it| it.1.complaints()));
            if unsettled.is_empty() { Ok(((), ())) } else { Err(Reason::VerificationFailed) }
        })
        .await?;
    let (s, words) = s.words().await?;
    Ok((s, Dispute { complaints: said, answers, words }))
}

/// Keeps the share if everybody signed the same, and tells the others the name of the keys.
async fn accept(
    mut s: dkg::AfterChecked,
    desk: &Desk,
    record: impl Fn(&Me) -> Result<Record, Reason> + Send + Sync,
) -> Result<dkg::Finished<Digest>, Stop> {
    let accepted = desk.ask(&mut s, Step::Accept, record).await?;
    let (s, _) = s.accept(|me| Ok((answer(&accepted, me)?, ()))).await?;
    let (mut s, generated, _) = s
        .generated(|me, said| {
            let own: Digest = answer(&accepted, me)?;
            let alike = said.iter().all(|it| it.1 == own);
            if alike { Ok((own, ())) } else { Err(Reason::VerificationFailed) }
        })
        .await?;
    // A device that holds other keys than those that were announced finishes with none.
    let record = |me: &Me| match answer::<Digest>(&accepted, me)? == *generated {
        true => Ok(Record::default()),
        false => Err(Reason::VerificationFailed),
    };
    desk.ask(&mut s, Step::End, record).await?;
    Ok(s.finish(generated))
}

fn way(own: &Report, said: &[(Dev, Report)]) -> Result<(dkg::CheckedChoice, ()), Reason> {
    judge(own.verdict(), said.iter().map(|it| it.1.verdict()))?;
    let complaints = union(said.iter().map(|it| it.1.complaints()));
    let agreed = complaints.is_empty();
    let way =
        if agreed { dkg::CheckedChoice::Agreed(()) } else { dkg::CheckedChoice::Disputed(()) };
    Ok((way, ()))
}
