//! Scripts that keep to what they declare, and scripts that do not.

use std::{
    future::{pending, ready},
    sync::atomic::{AtomicBool, AtomicU8, Ordering},
};

use aura_choreography::{
    Cast, Conclude, Cx, Dev, GlobalType, Label, Opening, Reason, RoleIx, Running, Script, Stop,
    choreography,
    cx::{Group, Quorum},
    default_cast, session,
};
use aura_protocol_core::session_type::Observed;
use aura_testkit::{Departed, Paths, Subject, conformance, seed::Seeded};

session! {
    pub mod ballot;
    ttl 20;
    msg { Open(u8), Vote(u8), Close(u8) }
    write  open:  Open;
    each   vote:  Vote;
    gather votes: Vote[all] within 9;
    write  close: Close;
}

session! {
    pub mod objection;
    ttl 9;
    msg { Vote(u8), Go(u8), Veto(u8), Abort(Reason) }
    each   vote: Vote;
    decide certified go: on Vote[threshold] within 5 => Go | Abort unless Veto;
}

/// Anybody may object, by a 1. Whatever else a person says, the wait goes on.
#[choreography(pub Objection)]
async fn object(s: objection::Start) -> Result<objection::Finished<u8>, Stop> {
    let (s, _) = s.vote(|_| Ok((1, ()))).await?;
    let object = |_: &_, said: &[u8]| said.first().copied().filter(|it| *it == 1);
    let (s, go, _) = s.go(|_, votes| Ok((votes.len() as u8, ())), object).await?;
    Ok(s.finish(go))
}

const BALLOT: [u8; ballot::GLOBAL.text_len()] = ballot::GLOBAL.text();
const OBJECTION: [u8; objection::GLOBAL.text_len()] = objection::GLOBAL.text();

fn check(script: &'static dyn Script, text: &[u8], devices: u8) -> Result<Paths, Departed> {
    let says = |_, random: &mut Seeded| random.bytes(1).iter().map(|it| it % 8).collect();
    let text = std::str::from_utf8(text).unwrap();
    conformance::choreography(&Subject { script, text, devices, params: vec![], says }, 200)
}

/// INV-K3
#[test]
fn an_honest_script_follows_its_type() {
    let paths = check(&Objection, &OBJECTION, 4).unwrap();
    assert!(paths.unsaid.is_empty(), "{paths:?}");
    let Paths { finished, stopped, left, instructions, .. } = paths;
    assert_eq!(finished + stopped + left, 800);
    assert!(100 < finished && 100 < stopped && 10 < left && 3000 < instructions, "{paths:?}");
    assert_eq!(check(&Objection, &OBJECTION, 4), Ok(paths), "the same seeds, the same runs");
}

/// INV-K3
#[test]
fn a_sound_script_by_hand_follows_its_type() {
    let paths = check(&By(Fault::None), &BALLOT, 3).unwrap();
    assert!(paths.unsaid.is_empty() && 100 < paths.finished, "{paths:?}");
}

/// What is wrong with a script. A closure remembers where it ran, and the script acts on that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Repeats,
    Skips,
    Ends,
    Waits,
    Babbles,
    Uncast,
}

/// The ballot, written by hand.
struct By(Fault);

const VOTERS: Group = Group::Role(RoleIx::ALL);

async fn vote(cx: Cx, fault: Fault) -> Result<u8, Stop> {
    let mut cx = cx.with_ttl(Some(20));
    // Interior mutability: what only the second device knows gets out of the step.
    let odd = AtomicBool::new(false);
    cx.write(ballot::OPEN, RoleIx::OPENER, |_| Ok(1_u8)).await?;
    cx.each(ballot::VOTE, VOTERS, None, |me| {
        odd.store(me.id() == Dev(1), Ordering::Relaxed);
        Ok((me.id().0, ()))
    })
    .await?;
    let has = |it: Fault| fault == it && odd.load(Ordering::Relaxed);
    if has(Fault::Repeats) {
        cx.each(ballot::VOTE, VOTERS, None, |me| Ok((me.id().0, ()))).await?;
    }
    if has(Fault::Ends) {
        return Ok(1);
    }
    if has(Fault::Waits) {
        pending::<()>().await;
    }
    while has(Fault::Babbles) {
        cx.each(ballot::VOTE, VOTERS, None, |me| Ok((me.id().0, ()))).await?;
    }
    if !has(Fault::Skips) {
        cx.gather::<u8>(ballot::VOTE, (VOTERS, Quorum::All), Some(9)).await?;
    }
    let closed = cx.write(ballot::CLOSE, RoleIx::OPENER, |_| Ok(1_u8)).await?;
    Ok(*closed)
}

impl Script for By {
    fn global(&self) -> &GlobalType {
        &ballot::GLOBAL
    }

    fn run(&self, cx: Cx) -> Running {
        let fault = self.0;
        Box::pin(async move { vote(cx, fault).await.map(Conclude::conclude) })
    }

    fn accepts(&self, label: Label, body: &[u8]) -> bool {
        ballot::accepts(label, body)
    }

    fn cast(&self, opening: &Opening<'_>) -> Result<Cast, Reason> {
        match self.0 {
            Fault::Uncast => Err(Reason::Insufficient),
            _ => Ok(default_cast(&ballot::GLOBAL, opening)),
        }
    }
}

/// What `fault` leads to, which is always at the device where it is.
fn departed(fault: &'static By) -> Departed {
    let departed = check(fault, &BALLOT, 3).unwrap_err();
    assert!(departed.to_string().contains("device 1: "), "{departed}");
    departed
}

/// INV-K3
#[test]
fn a_repeated_step_is_found() {
    let Departed::Path { seen, departure, .. } = departed(&By(Fault::Repeats)) else { panic!() };
    let votes = Observed::Awaited(["Vote".to_owned()].into());
    assert_eq!(seen[departure.at], Observed::Sent("Vote".to_owned()));
    assert_eq!(departure.expected, [votes.to_string()]);
}

/// INV-K3
#[test]
fn a_skipped_step_is_found() {
    let Departed::Path { seen, departure, .. } = departed(&By(Fault::Skips)) else { panic!() };
    assert_eq!(seen[departure.at], Observed::Awaited(["Close".to_owned()].into()));
    assert_eq!(departure.expected, ["wait for Vote"]);
}

/// INV-K3: also where nothing comes after what is left out.
#[test]
fn a_result_before_the_end_is_found() {
    let Departed::Early { seen, .. } = departed(&By(Fault::Ends)) else { panic!() };
    assert_eq!(seen.last(), Some(&Observed::Sent("Vote".to_owned())));
}

#[test]
fn what_neither_asks_nor_ends_is_found() {
    assert!(matches!(departed(&By(Fault::Waits)), Departed::Mute { .. }));
}

#[test]
fn what_asks_without_end_is_found() {
    assert!(matches!(departed(&By(Fault::Babbles)), Departed::Endless { .. }));
}

/// Says in the first run something else than in the next: its state is not its log.
struct Fickle(AtomicU8);

impl Script for Fickle {
    fn global(&self) -> &GlobalType {
        &ballot::GLOBAL
    }

    fn run(&self, mut cx: Cx) -> Running {
        let word = self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            cx.write(ballot::OPEN, RoleIx::OPENER, |_| Ok(word)).await?;
            ready(Err(Stop::Failed(Reason::Insufficient))).await
        })
    }

    fn accepts(&self, label: Label, body: &[u8]) -> bool {
        ballot::accepts(label, body)
    }

    fn cast(&self, opening: &Opening<'_>) -> Result<Cast, Reason> {
        Ok(default_cast(&ballot::GLOBAL, opening))
    }
}

/// INV-K3
#[test]
fn a_script_that_remembers_from_run_to_run_is_found() {
    static FICKLE: Fickle = Fickle(AtomicU8::new(0));
    let departed = check(&FICKLE, &BALLOT, 3);
    assert_eq!(departed, Err(Departed::Fickle { run: 0, dev: Dev(0), answers: 0 }));
}

static SAID: AtomicU8 = AtomicU8::new(0);

/// What the macro cannot see: it is another function that remembers.
fn remembered() -> u8 {
    SAID.fetch_add(1, Ordering::Relaxed)
}

/// Carries what one device did out of its step, past the log.
#[choreography(pub Leaky)]
async fn leaks(s: ballot::Start) -> Result<ballot::Finished<u8>, Stop> {
    let (s, _) = s.open(|_| Ok(1)).await?;
    let (s, _) = s.vote(|_| Ok((remembered(), ()))).await?;
    let (s, _) = s.votes().await?;
    let (s, close) = s.close(|_| Ok(1)).await?;
    Ok(s.finish(close))
}

/// INV-K3: interior mutability behind a call shows as soon as a log is run again.
#[test]
fn a_choreography_that_leaks_out_of_a_step_is_found() {
    let departed = check(&Leaky, &BALLOT, 3);
    assert!(matches!(departed, Err(Departed::Fickle { .. })), "{departed:?}");
}

#[test]
fn another_type_and_impossible_seats_are_refused() {
    let other = check(&Objection, &BALLOT, 3);
    assert_eq!(other, Err(Departed::Text("it is that of ballot".to_owned())));
    assert!(matches!(check(&Objection, b"session", 3), Err(Departed::Text(_))));
    assert!(matches!(check(&By(Fault::Uncast), &BALLOT, 3), Err(Departed::Seats(_))));
}
