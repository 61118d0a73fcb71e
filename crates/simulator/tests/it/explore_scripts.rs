//! Small scripts, each for one thing that an explorer has to get right.

use std::{future::pending, sync::Arc};

use aura_choreography::{Dev, Reason, Script, Seat, Steps, Stop, choreography, session};
use aura_protocol_core::{Capability, DeviceId, SessionId};

pub fn seat(script: &dyn Script, me: u8, devices: u8, quorum: u8) -> Arc<Seat> {
    let ids = (0..devices).map(|it| DeviceId::from_bytes([it; 32])).collect();
    let session = SessionId::from_bytes([0x5e; 32]);
    Arc::new(Seat::new(script, session, Dev(me), Dev(0), ids, vec![quorum]).unwrap())
}

session! {
    pub mod one;
    ttl 9;
    msg { Word(u8) }
    write word: Word;
}

/// Never waits.
#[choreography(pub Chatter)]
async fn chatter(mut s: one::Start) -> Result<one::Finished<u8>, Stop> {
    loop {
        s.log(|_| "on and on".to_owned()).await;
        if s.epoch().await.here_is_late() {
            let (s, word) = s.word(|_| Ok(1)).await?;
            return Ok(s.finish(word));
        }
    }
}

/// Waits for something that is no question.
#[choreography(pub Deaf)]
async fn deaf(s: one::Start) -> Result<one::Finished<u8>, Stop> {
    pending::<()>().await;
    let (s, word) = s.word(|_| Ok(1)).await?;
    Ok(s.finish(word))
}

trait Late {
    fn here_is_late(&self) -> bool;
}

impl<T> Late for T {
    fn here_is_late(&self) -> bool {
        false
    }
}

session! {
    pub mod ask;
    ttl 9;
    msg { Word(Vec<u8>) }
    write word: Word;
}

/// Says what the host says.
#[choreography(pub Asks)]
async fn asks(mut s: ask::Start) -> Result<ask::Finished<Vec<u8>>, Stop> {
    let used = s.invoke(Capability::Sign, |me| Ok(vec![me.id().0])).await?;
    let (s, word) = s.word(|me| used.here(me)?.clone().map_err(Reason::Other)).await?;
    Ok(s.finish(word))
}

session! {
    pub mod objection;
    ttl 9;
    msg { Vote(u8), Go(u8), Veto(u8), Abort(Reason) }
    each   vote: Vote;
    decide go:   on Vote[threshold] within 5 => Go | Abort unless Veto;
}

/// Anybody may object, by a 1.
#[choreography(pub Veto)]
async fn veto(s: objection::Start) -> Result<objection::Finished<u8>, Stop> {
    let (s, _) = s.vote(|_| Ok((1, ()))).await?;
    let object = |_: &_, said: &[u8]| said.first().copied().filter(|it| *it == 1);
    let (s, go, _) = s.go(|_, votes| Ok((votes.len() as u8, ())), object).await?;
    Ok(s.finish(go))
}

session! {
    pub mod again;
    ttl 9;
    msg { Vote(u8), Again(u8), Done(u8), Abort(Reason) }
    rec    round within 50;
    each   vote: Vote;
    choice way: on Vote[all] within 5 {
        Again => continue round,
        Done  => {}
    } | Abort;
}

/// Always goes back.
#[choreography(pub Loop)]
async fn again(mut s: again::Start) -> Result<again::Finished<u8>, Stop> {
    loop {
        let (voted, _) = s.vote(|me| Ok((me.id().0, ()))).await?;
        let (way, _) = voted.way(|_, _| Ok((again::WayChoice::Again(1), ()))).await?;
        match way {
            again::Way::Again(next, _) => s = next,
            again::Way::Done(ready, done) => return Ok(ready.finish(done)),
        }
    }
}

session! {
    pub mod spread;
    ttl 9;
    msg { Deal(u8), Sum(u8) }
    scatter deal:  All -> All: Deal;
    gather  dealt: Deal[all];
    write   sum:   Sum;
}

/// Everybody gives everybody a number; the opener says what it got.
#[choreography(pub Spread)]
async fn spread(s: spread::Start) -> Result<spread::Finished<u8>, Stop> {
    let (s, _) = s.deal(|_| Ok(()), |me, (), to| Ok(10 * me.id().0 + to.0)).await?;
    let (s, dealt) = s.dealt().await?;
    let (s, sum) = s.sum(|me| Ok(dealt.here(me)?.iter().map(|it| it.1).sum())).await?;
    Ok(s.finish(sum))
}

session! {
    pub mod rest;
    ttl 9;
    msg { Vote(u8), Count(u8) }
    each  vote:  Vote;
    pause short: 2;
    write count: Count;
}

/// The opener rests, and then says how many votes it has seen.
#[choreography(pub Rest)]
async fn count(s: rest::Start) -> Result<rest::Finished<u8>, Stop> {
    let (s, _) = s.vote(|me| Ok((me.id().0, ()))).await?;
    let mut s = s.short().await?;
    let seen = s.peek(rest::SAID_VOTE).await?;
    let (s, count) = s.count(|me| Ok(seen.here(me)?.len() as u8)).await?;
    Ok(s.finish(count))
}

session! {
    pub mod patient;
    ttl 9;
    msg { Init(u8), Word(u8), Sum(u8) }
    write  init:  Init;
    each   word:  Word;
    gather words: Word[all];
    write  sum:   Sum;
}

/// Whoever gives up at the first step leaves those waiting who wait for all at the next one.
#[choreography(pub Patient)]
async fn patient(s: patient::Start) -> Result<patient::Finished<u8>, Stop> {
    let (s, _) = s.init(|_| Ok(1)).await?;
    let (s, _) = s.word(|_| Ok((1, ()))).await?;
    let (s, words) = s.words().await?;
    let (s, sum) = s.sum(|me| Ok(words.here(me)?.iter().map(|it| it.1).sum())).await?;
    Ok(s.finish(sum))
}

session! {
    pub mod parting;
    msg { Init(u8), Word(u8), Extra(u8), Sum(u8) }
    write  init:  Init;
    each   word:  Word;
    each   extra: Extra;
    gather words: Word[all];
    write  sum:   Sum;
}

/// All but the opener fail, but only after they have said what the opener waits for.
#[choreography(pub Parting)]
async fn parting(s: parting::Start) -> Result<parting::Finished<u8>, Stop> {
    let (s, _) = s.init(|_| Ok(1)).await?;
    let (s, _) = s.word(|_| Ok((1, ()))).await?;
    let fail = Err(Reason::Insufficient);
    let (s, _) = s.extra(|me| if me.id() == Dev(0) { Ok((1, ())) } else { fail.clone() }).await?;
    let (s, words) = s.words().await?;
    let (s, sum) = s.sum(|me| Ok(words.here(me)?.iter().map(|it| it.1).sum())).await?;
    Ok(s.finish(sum))
}
