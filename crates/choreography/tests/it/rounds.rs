//! Choices, and sessions that go back.

use std::sync::Arc;

use aura_choreography::{
    Body, Dev, Event, Input, ROUNDS_MAX, Reason, Refused, Script, Seat, Session, Steps as _, Stop,
    choreography, session,
};
use aura_protocol_core::{Epoch, SessionId, encode};

use crate::table::{Table, ids};

session! {
    pub mod rounds;
    msg {
        Vote(u8),
        Again(u8),
        Slow(()),
        Done(()),
        Quit(String),
        Extra(u8),
        Tally(u64),
        Abort(Reason),
    }
    rec round within 100;
    each vote: Vote;
    choice route: on Vote[all] within 20 {
        Again => continue round,
        Slow => {
            each extra: Extra;
            gather extras: Extra[threshold];
            pause cool: 5;
        }
        Done => {}
        Quit => stop,
    } | Abort;
    write tally: Tally;
}

/// Takes the ways that its parameters name, one a round.
#[choreography(pub Rounds)]
async fn run(s: rounds::Start) -> Result<rounds::Finished<u64>, Stop> {
    let ways = s.params::<Vec<u8>>()?;
    let mut state = s;
    let mut round = 0;
    let s = loop {
        let (s, _) = state.vote(|me| Ok((me.id().0, ()))).await?;
        let (route, _) = s
            .route(|_, votes| {
                let way = match ways.get(round) {
                    Some(0) => rounds::RouteChoice::Again(votes.len() as u8),
                    Some(1) => rounds::RouteChoice::Slow(()),
                    Some(2) => rounds::RouteChoice::Done(()),
                    Some(3) => rounds::RouteChoice::Quit("enough".into()),
                    _ => return Err(Reason::Insufficient),
                };
                Ok((way, ()))
            })
            .await?;
        match route {
            rounds::Route::Again(s, votes) => {
                round += usize::from(*votes != 0);
                state = s;
            }
            rounds::Route::Slow(s, _) => {
                let (s, _) = s.extra(|me| Ok((me.id().0, ()))).await?;
                let (s, _) = s.extras().await?;
                break s.cool().await?;
            }
            rounds::Route::Done(s, _) => break s,
            rounds::Route::Quit(s, why) => return Ok(s.finish(why.map(|it| it.len() as u64))),
        }
    };
    let (s, tally) = s.tally(|_| Ok(1000 + round as u64)).await?;
    Ok(s.finish(tally))
}

static ROUNDS: Rounds = Rounds;

fn table(ways: &[u8]) -> Table {
    Table::with_params(&ROUNDS, 4, &encode(&ways.to_vec()))
}

#[test]
fn every_way_leads_where_it_says() {
    let done = table(&[2]).run();
    assert_eq!(done.agreed::<u64>(&[0, 1, 2, 3]), 1000);
    assert_eq!(done.said_by(0), ["Vote", "Done", "Tally"]);
    let slow = table(&[1]).run();
    assert_eq!(slow.agreed::<u64>(&[0, 1, 2, 3]), 1000);
    assert_eq!(slow.said_by(3), ["Vote", "Extra"]);
    let quit = table(&[3]).run();
    assert_eq!(quit.agreed::<u64>(&[0, 1, 2, 3]), 6);
    assert_eq!(quit.said_by(0), ["Vote", "Quit"]);
}

#[test]
fn a_round_has_events_of_its_own() {
    let table = table(&[0, 0, 1]).run();
    assert_eq!(table.agreed::<u64>(&[0, 1, 2, 3]), 1002);
    let said = ["Vote", "Again", "Vote#1", "Again#1", "Vote#2", "Slow#2", "Extra#2", "Tally#2"];
    assert_eq!(table.said_by(0), said);
}

#[test]
fn a_chooser_may_see_no_way() {
    let table = table(&[0]).run();
    for dev in 0..4 {
        assert_eq!(table.end(dev), Err(Stop::Aborted(Reason::Insufficient)));
    }
    assert_eq!(table.said_by(0), ["Vote", "Again", "Vote#1", "Abort#1"]);
}

#[test]
fn a_quorum_that_is_late_is_an_abort() {
    let table = table(&[2]).without(&[3]).run();
    for dev in 0..3 {
        assert_eq!(table.end(dev), Err(Stop::Aborted(Reason::Timeout)));
    }
}

#[test]
fn nobody_goes_back_for_ever() {
    let table = table(&[0; 2 * ROUNDS_MAX as usize]).run();
    for dev in 0..4 {
        assert_eq!(table.end(dev), Err(Stop::Aborted(Reason::Bounded)));
    }
    let agains = table.said.iter().filter(|it| it.label == rounds::AGAIN).count();
    assert_eq!(agains, ROUNDS_MAX as usize - 1);
}

fn one(script: &'static dyn Script, me: u8, count: u8) -> Session {
    let id = SessionId::from_bytes([7; 32]);
    let params = encode(&Vec::<u8>::new());
    let seat = Seat::new(script, id, Dev(me), Dev(0), ids(count), params).unwrap();
    let mut session = Session::new(script, Arc::new(seat));
    session.step(Input::Start).unwrap();
    session
}

#[test]
fn a_chooser_who_goes_back_for_ever_is_told_on() {
    let mut session = one(&ROUNDS, 1, 2);
    for round in 0..ROUNDS_MAX {
        let event = Event { author: Dev(0), label: rounds::AGAIN, round, body: Body::new(&[1]) };
        session.step(Input::Event(event)).unwrap();
    }
    let Some(Err(Stop::Byzantine { culprit, .. })) = session.ended() else { panic!("it goes on") };
    assert_eq!(*culprit, Dev(0));
}

#[test]
fn what_is_far_ahead_is_refused() {
    let mut session = one(&ROUNDS, 1, 2);
    let event =
        |round| Event { author: Dev(0), label: rounds::AGAIN, round, body: Body::new(&[1]) };
    session.step(Input::Event(event(64))).unwrap();
    let refused = session.step(Input::Event(event(65))).err();
    assert_eq!(refused, Some(Refused::TooFarAhead { found: 65, at: 0 }));
}

session! {
    pub mod nested;
    msg { First(u8), Second(u8), GoOuter(()), GoInner(()), On(()), Abort(Reason) }
    rec outer within 50;
    each first: First;
    rec inner within 20;
    each second: Second;
    pause rest: 3;
    choice way: on Second[all] within 10 {
        GoOuter => continue outer,
        GoInner => continue inner,
        On => {}
    } | Abort;
}

/// Takes the ways that its parameters name, and then goes on.
#[choreography(pub Nested)]
async fn walk(s: nested::Start) -> Result<nested::Finished<u64>, Stop> {
    let ways = s.params::<Vec<u8>>()?;
    let mut ways = (0..).map(|it| ways.get(it).copied());
    let (mut inner, _) = s.first(|_| Ok((0, ()))).await?;
    let mut rounds = 0;
    loop {
        let (s, _) = inner.second(|_| Ok((0, ()))).await?;
        let s = s.rest().await?;
        let next = ways.next().flatten();
        let choose = |_: &_, _: &_| {
            let way = match next {
                Some(0) => nested::WayChoice::GoOuter(()),
                Some(_) => nested::WayChoice::GoInner(()),
                None => nested::WayChoice::On(()),
            };
            Ok((way, ()))
        };
        match s.way(choose).await?.0 {
            nested::Way::GoOuter(s, _) => inner = s.first(|_| Ok((0, ()))).await?.0,
            nested::Way::GoInner(s, _) => inner = s,
            nested::Way::On(s, said) => return Ok(s.finish(said.map(|()| rounds))),
        }
        rounds += 1;
    }
}

static NESTED: Nested = Nested;

fn walks(ways: &[u8]) -> Table {
    Table::with_params(&NESTED, 3, &encode(&ways.to_vec())).run()
}

#[test]
fn one_choice_goes_back_to_several_marks() {
    let table = walks(&[1, 0, 1]);
    assert_eq!(table.agreed::<u64>(&[0, 1, 2]), 3);
    let said = ["First", "Second", "Second#1", "First#2", "Second#2", "Second#3"];
    assert_eq!(table.said_by(1), said);
}

#[test]
fn a_mark_bounds_its_time() {
    // 3 epochs a round: at 18 one may go back, at 21 not.
    let table = walks(&[1; 6]);
    assert_eq!(table.agreed::<u64>(&[0, 1, 2]), 6);
    let table = walks(&[1; 7]);
    assert_eq!(table.end(2), Err(Stop::Aborted(Reason::Bounded)));
}

#[test]
fn an_outer_round_begins_inner_time_anew() {
    let table = walks(&[1, 1, 1, 1, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1]);
    assert_eq!(table.agreed::<u64>(&[0, 1, 2]), 14);
    // 45 epochs so far; the outer mark's time is up at 50.
    let table = walks(&[1, 1, 1, 1, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 0, 0]);
    assert_eq!(table.end(1), Err(Stop::Aborted(Reason::Bounded)));
}

#[test]
fn time_is_the_choosers() {
    let mut session = one(&NESTED, 0, 1);
    session.step(Input::Clock(Epoch(1_000))).unwrap();
    let output = session.step(Input::Clock(Epoch(1_003))).unwrap();
    assert!(matches!(output.ended, Some(Ok(_))), "{output:?}");
}
