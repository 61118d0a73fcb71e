//! What all of the others must not break: this compiles.
use aura_choreography::{Reason, Stop, choreography, session};

session! {
    mod hello;
    msg { Hello(u8), Sum(u64), Abort(Reason) }
    each hello: Hello;
    decide sum: on Hello[threshold] within 5 => Sum | Abort;
}

#[choreography(Hello)]
async fn run(s: hello::Start) -> Result<hello::Finished<u64>, Stop> {
    let (s, _) = s.hello(|me| Ok((me.id().0, ()))).await?;
    let (s, sum, _) = s.sum(|_, it| Ok((it.len() as u64, ()))).await?;
    Ok(s.finish(sum))
}

fn main() {
    let _ = Hello;
}
