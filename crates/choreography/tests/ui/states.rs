//! Steps of each kind that are left out, or taken in another branch, round or part.
#![allow(unused_imports, unused_variables)]
use aura_choreography::{Reason, Stop, choreography, session};

session! {
    pub mod part;
    msg { Ask(u8), Told(u8), Abort(Reason) }
    each ask: Ask;
    decide told: on Ask[all] within 5 => Told | Abort;
}

session! {
    pub mod other;
    msg { Ask(u8) }
    write ask: Ask;
}

session! {
    pub mod whole;
    roles { Old: many, New: many }
    msg { Hello(u8), Sealed(u8), Vote(u8), Again(u8), Slow(u8), Done(u8), Extra(u8), Abort(Reason) }
    write hello: Hello;
    scatter deal: Old -> New: Sealed;
    gather mine: Sealed[all] within 5;
    rec round within 50;
    each vote: Vote;
    choice route: on Vote[all] within 5 {
        Again => continue round,
        Slow => { each extra: Extra; }
        Done => {}
    } | Abort;
    sub inner: part;
    pause rest: 3;
}

async fn gathers_before_it_deals(s: whole::Start) -> Result<(), Stop> {
    let (s, _) = s.hello(|_| Ok(1)).await?;
    let _mine = s.mine().await?;
    Ok(())
}

async fn deals_to_everybody(s: whole::AfterHello) -> Result<(), Stop> {
    let (_s, _) = s.deal(|_| Ok(()), |_, ()| Ok(1)).await?;
    Ok(())
}

async fn leaves_out_a_branch(route: whole::Route) -> Result<whole::AfterRoute, Stop> {
    match route {
        whole::Route::Done(s, _) => Ok(s),
        whole::Route::Slow(s, _) => Ok(s.extra(|_| Ok((1, ()))).await?.0),
    }
}

async fn another_branch_s_step(s: whole::AfterRoute) -> Result<(), Stop> {
    let (_s, _) = s.extra(|_| Ok((1, ()))).await?;
    Ok(())
}

async fn goes_back_by_itself(s: whole::AfterVote) -> Result<(), Stop> {
    let (_s, _) = s.vote(|_| Ok((1, ()))).await?;
    Ok(())
}

async fn another_part(s: whole::AfterRoute, script: other::Start) -> Result<(), Stop> {
    async fn ask(s: other::Start) -> Result<other::Finished<u8>, Stop> {
        let (s, value) = s.ask(|_| Ok(1)).await?;
        Ok(s.finish(value))
    }
    let _s = s.inner(ask).await?;
    Ok(())
}

async fn a_part_left_early(s: whole::AfterRoute) -> Result<(), Stop> {
    async fn ask(s: part::Start) -> Result<part::Finished<u8>, Stop> {
        let (s, _) = s.ask(|_| Ok((1, ()))).await?;
        Ok(s.finish(aura_choreography::Pub::constant(|| 1)))
    }
    let _s = s.inner(ask).await?;
    Ok(())
}

async fn no_rest(s: whole::AfterInner) -> whole::Finished<u8> {
    s.finish(aura_choreography::Pub::constant(|| 1))
}

fn main() {}
