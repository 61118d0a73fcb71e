//! Sessions of other protocols that run as parts of a session.

use aura_choreography::{
    Dev, Ended, Exit, HostCall, Input, Payload, Pub, Reason, Refused, Session, Steps as _, Stop,
    choreography, session,
};
use aura_protocol_core::{Epoch, Outcome, encode, lifecycle::EffectReply};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::table::{Host, Table};

session! {
    pub mod held;
    msg { Held(u8) }
    each held: Held;
}

session! {
    pub mod asking;
    ttl 90;
    msg { Begin(String), Release(Released), Found(u64), Told(u64), Abort(Reason) }
    write  begin: Begin;
    sub    hold:  held finally release: Release;
    each   found: Found;
    decide told: on Found[all] within 20 => Told | Abort;
}

/// What is said of what was held, whatever happens.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Payload)]
pub struct Released(String);

impl From<Exit> for Released {
    fn from(exit: Exit) -> Self {
        Self(format!("{exit:?}"))
    }
}

/// Holds something, and runs another protocol meanwhile.
#[choreography(Asking)]
async fn run(s: asking::Start) -> Result<asking::Finished<u64>, Stop> {
    let name = s.params::<String>()?;
    let (s, params) = s.begin(|_| Ok("all".to_owned())).await?;
    let hold = |s: held::Start| async {
        let (s, _) = s.held(|_| Ok((1, ()))).await?;
        Ok(s.finish(Pub::constant(|| ())))
    };
    let (mut s, _) = s.hold(hold).await?;
    let ended = s.run_protocol(&name, params.as_bytes().to_vec(), Some(30)).await?;
    let (s, ended) = s
        .found(|me| match ended.here(me)? {
            Ok(Outcome::Completed { result, .. }) => Ok((result.len() as u64, Ok(()))),
            Ok(Outcome::Aborted { reason } | Outcome::Left { reason }) | Err(reason) => {
                Ok((0, Err(Reason::Other(reason.clone()))))
            }
        })
        .await?;
    let (s, told, _) = s
        .told(|me, found| {
            ended.here(me)?.clone()?;
            Ok((found.iter().map(|it| it.1).sum(), ()))
        })
        .await?;
    Ok(s.finish(told))
}

static ASKING: Asking = Asking;

fn table(host: Host) -> Table {
    Table::with_params(&ASKING, 3, &encode(&"census".to_owned())).with_host(host)
}

fn completed(_: Dev, call: &HostCall) -> EffectReply {
    let (protocol, params) = ("census".parse().unwrap(), b"all".to_vec());
    assert_eq!(*call, HostCall::Run { protocol, params, within: Some(30) });
    EffectReply::SubProtocol(Outcome::Completed { result: b"three".to_vec(), batch: vec![] })
}

/// How all three ended, and what each of them said finally.
fn ends(table: &Table) -> (Ended, Vec<String>) {
    let said = table.said.iter().filter(|it| it.label == asking::RELEASE);
    let said = said.map(|it| borsh::from_slice::<Released>(it.body.bytes()).unwrap().0);
    assert!((1..3).all(|it| table.end(it) == table.end(0)), "{:?}", table.ended());
    (table.end(0), said.collect())
}

#[test]
fn what_another_session_came_to_is_decided_like_anything_else() {
    for table in [table(completed), table(completed).restoring()] {
        let table = table.run();
        assert_eq!(table.agreed::<u64>(&[0, 1, 2]), 3 * 5);
        assert_eq!(ends(&table).1, ["Finished"; 3]);
    }
}

/// However the other session fails, this one goes on, and says finally what it has to.
#[test]
fn the_failure_of_another_session_is_an_answer() {
    let hosts: [(Host, &str); 3] = [
        (|_, _| EffectReply::SubProtocol(Outcome::Aborted { reason: "no".into() }), "no"),
        (|_, _| EffectReply::SubProtocol(Outcome::Left { reason: "late".into() }), "late"),
        (|_, _| EffectReply::Denied("not here".into()), "not here"),
    ];
    for (host, why) in hosts {
        let reason = Reason::Other(why.to_owned());
        let said = format!("{:?}", Exit::Aborted(reason.clone()));
        let (ended, finally) = ends(&table(host).restoring().run());
        assert_eq!((ended, finally), (Err(Stop::Aborted(reason)), vec![said; 3]));
    }
}

/// A device waits for the other session as long as it said, and goes on without it: after a restart too.
#[test]
fn nobody_has_to_wait_for_ever() {
    let table = table(completed);
    let mut session = Session::new(&ASKING, table.seat(0));
    let mut step = |input| {
        let output = session.step(input)?;
        session = Session::restore(&ASKING, table.seat(0), &session.snapshot()).unwrap();
        Ok::<_, Refused>(output)
    };
    let output = step(Input::Start).unwrap();
    let within = output.call.as_ref().and_then(HostCall::within);
    assert_eq!((within, output.wake), (Some(30), Some(Epoch(0))));
    assert_eq!(step(Input::Clock(Epoch(5))).unwrap().wake, Some(Epoch(35)));
    assert_eq!(step(Input::Clock(Epoch(34))).unwrap().emit, []);
    let found = step(Input::Clock(Epoch(35))).unwrap().emit;
    assert_eq!(found.iter().map(|it| it.label).collect::<Vec<_>>(), [asking::FOUND]);
    assert_eq!(found[0].body.bytes(), encode(&0u64));
    // What comes later comes too late.
    let late = completed(Dev(0), &HostCall::clone(&output.call.unwrap()));
    assert_eq!(step(Input::Reply(late)).err(), Some(Refused::NotAsked));
}

#[test]
fn what_is_no_name_runs_nothing() {
    let table = Table::with_params(&ASKING, 3, &encode(&"No Name".to_owned())).run();
    let invalid = Reason::InvalidState("no protocol's name".into());
    assert_eq!(ends(&table).0, Err(Stop::Failed(invalid)));
}
