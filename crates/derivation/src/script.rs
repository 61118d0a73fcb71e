//! The text of a key derivation.

use alloc::vec::Vec;

use aura_choreography::{
    DeviceSet, FromHost, Me, Opening, Pub, Reason, Steps, Stop, choreography, session,
};
use aura_protocol_core::Capability;

use crate::{
    table::{Seats, answer, heard, table},
    work::{Commitment, Derived, Made, Record, Request, Step, Terms},
};

session! {
    /// Any devices of a quorum derive the same key under a context (`04-crypto`, section 4).
    pub mod dkd;
    ttl 60;
    msg {
        /// A blinded input, with a proof of what it is.
        Initiate(Vec<u8>),
        Commit(Commitment),
        /// A device does not derive this, or holds no share.
        Decline(Reason),
        /// Whose commitments count.
        Freeze(DeviceSet),
        Reveal(Vec<u8>),
        Revealed(()),
        Derived(Derived),
        Abort(Reason),
    }
    write   initiate: Initiate;
    each    commit:   Commit | Decline;
    decide  freeze:   on Commit[threshold] within 50 => Freeze | Abort;
    gather  commits:  Commit[among Freeze] within 50;
    each    reveal:   Reveal among Freeze;
    decide  revealed: on Reveal[among Freeze] within 50 => Revealed | Abort;
    gather  reveals:  Reveal[among Freeze] within 50;
    choice  outcome { Derived => {} } | Abort;
}

fn assign(opening: &Opening<'_>) -> Result<aura_choreography::Cast, Reason> {
    Terms::cast(opening)
}

/// What is common to all questions of a session.
struct Desk {
    seats: Seats,
    terms: Pub<Terms>,
}

impl Desk {
    fn ask<'a>(
        &'a self,
        state: &'a mut impl Steps,
        step: Step,
        record: impl Fn(&Me) -> Result<Record, Reason> + Send + Sync + 'a,
    ) -> impl Future<Output = Result<FromHost<Vec<u8>>, Stop>> + Send {
        let question = move |me: &Me| Ok(self.question(me, step, record(me)?));
        state.invoke(Capability::DeriveKey, question)
    }

    // Apart: what depends on the closure is written once for each question of a module.
    #[inline(never)]
    fn question(&self, me: &Me, step: Step, record: Record) -> Vec<u8> {
        let (table, terms) = (table(&self.seats, me), (*self.terms).clone());
        Request { table, terms, step, record }.question()
    }
}

/// Initiates, commits, freezes who counts, reveals, and derives.
#[choreography(pub Dkd, roles = assign)]
pub async fn derive(mut s: dkd::Start) -> Result<dkd::Finished<Vec<u8>>, Stop> {
    let desk = Desk { seats: s.session().zip(s.participants()), terms: s.params()? };
    let blinded = desk.ask(&mut s, Step::Initiate, |_| Ok(Record::default())).await?;
    let (mut s, initiation) = s.initiate(|me| answer(&blinded, me)).await?;

    let initiated = || Record { initiation: initiation.to_vec(), ..Record::default() };
    let commit = desk.ask(&mut s, Step::Commit, |_| Ok(initiated())).await?;
    let (s, _) = s.commit(|me| Ok((answer(&commit, me)?, ()))).await?;
    let (s, frozen, _) =
        s.freeze(|_, commits| Ok((commits.iter().map(|it| it.0).collect(), ()))).await?;
    let (mut s, commits) = s.commits().await?;

    let with_commits = |me: &Me| Ok(Record { commits: heard(&commits, me)?, ..initiated() });
    let reveal = desk.ask(&mut s, Step::Reveal, with_commits).await?;
    let (s, _) = s.reveal(|me| Ok((answer(&reveal, me)?, ()))).await?;
    let (s, _, _) = s.revealed(|_, _| Ok(((), ()))).await?;
    let (mut s, reveals) = s.reveals().await?;

    let with_reveals = |me: &Me| Ok(Record { reveals: heard(&reveals, me)?, ..with_commits(me)? });
    let made = desk.ask(&mut s, Step::Derive, with_reveals).await?;
    let (way, _) = s
        .outcome(|me| match answer(&made, me)? {
            Made::Derived(derived) => Ok((dkd::OutcomeChoice::Derived(derived), ())),
            Made::Guilty(culprits) => Err(Reason::Byzantine { culprits }),
        })
        .await?;
    let dkd::Outcome::Derived(mut s, derived) = way;
    let record = |me: &Me| {
        // Whoever did not help has no blind, and so no key.
        let helped = frozen.contains(me.id());
        let derived = helped.then(|| (*derived).clone());
        Ok(Record { derived, ..with_reveals(me)? })
    };
    let opened = desk.ask(&mut s, Step::Open, record).await?;
    let end = |me: &Me| answer::<()>(&opened, me).map(|()| Record::default());
    desk.ask(&mut s, Step::End, end).await?;
    Ok(s.finish(derived.map(|it| it.claim.clone())))
}
