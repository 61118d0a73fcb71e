//! How a session ends in the words of the lifecycle: what was decided, and what is one device's own.

use aura_choreography::{Hosted, Reason, Steps, Stop, choreography, session};
use aura_protocol_core::{
    DeviceId, Epoch, Outcome, ProtocolInput, ProtocolStep, ProtocolVersion, SessionId,
    SessionStart, encode,
};

session! {
    pub mod count;
    ttl 60;
    msg { Say(u8), Sum(u8), Abort(Reason) }
    each   say: Say;
    decide sum: on Say[all] within 50 => Sum | Abort;
}

/// Everybody says a number; the opener adds them.
#[choreography(Count)]
async fn add(mut s: count::Start) -> Result<count::Finished<u8>, Stop> {
    let said = s.signal(None).await?;
    let one = |said: &[u8]| said.first().copied().ok_or(Reason::Insufficient);
    let (s, _) = s.say(|me| Ok((one(said.here(me)?)?, ()))).await?;
    let (s, sum, _) = s.sum(|_, all| Ok((all.iter().map(|it| it.1).sum(), ()))).await?;
    Ok(s.finish(sum))
}

static COUNT: Count = Count;

/// Device `me` of two, the first of which opened the session, at epoch 5, and what came of `said`.
fn device(me: u8, said: &[u8]) -> (Hosted, ProtocolStep) {
    let id = |it: u8| DeviceId::from_bytes([it; 32]);
    let mut hosted = Hosted::new(&COUNT);
    let start = SessionStart {
        session: SessionId::from_bytes([9; 32]),
        me: id(me),
        opener: id(0),
        participants: [id(0), id(1)].into(),
        spoken: ProtocolVersion::new(1, 0, 0),
        params: Vec::new(),
    };
    hosted.step(ProtocolInput::Start(start)).unwrap();
    hosted.step(ProtocolInput::Clock(Epoch(5))).unwrap();
    let step = hosted.step(ProtocolInput::Signal(said.to_vec())).unwrap();
    (hosted, step)
}

#[test]
fn who_decides_aborts_and_who_waits_leaves() {
    let (mut decider, step) = device(0, &[1]);
    assert_eq!((step.outcome, step.wake), (None, Some(Epoch(55))));
    let step = decider.step(ProtocolInput::Clock(Epoch(55))).unwrap();
    let reason = format!("aborted: {}", Reason::Timeout);
    assert_eq!(step.outcome, Some(Outcome::Aborted { reason: reason.clone() }));

    // What it published ends the session for the other, too.
    let (mut other, step) = device(1, &[1]);
    assert_eq!((step.outcome, step.wake), (None, Some(Epoch(65))));
    let author = DeviceId::from_bytes([0; 32]);
    let (label, payload) = ("Abort".to_owned(), encode(&Reason::Timeout));
    let step = other.step(ProtocolInput::Event { author, label, payload }).unwrap();
    assert_eq!(step.outcome, Some(Outcome::Aborted { reason }));

    // Who hears nothing gives up, and says nothing about the session.
    let (mut alone, _) = device(1, &[1]);
    let step = alone.step(ProtocolInput::Clock(Epoch(65))).unwrap();
    let reason = "gave up waiting for devices 0".to_owned();
    assert_eq!(step.outcome, Some(Outcome::Left { reason }));
}

#[test]
fn who_cannot_take_its_own_step_leaves() {
    let (_, step) = device(1, &[]);
    let reason = format!("failed here: {}", Reason::Insufficient);
    assert_eq!(step.outcome, Some(Outcome::Left { reason }));
}
