//! What a device finds out for itself at any state.

use aura_choreography::{
    Dev, Each, HostCall, Input, Reason, Refused, Session, Steps as _, Stop, choreography, session,
};
use aura_protocol_core::{Capability, Epoch, RecordKey, lifecycle::EffectReply};

use crate::table::Table;

session! {
    pub mod asking;
    msg { Found(u64), Told(u64), Abort(Reason) }
    each found: Found;
    decide told: on Found[threshold] within 20 => Told | Abort;
}

fn key(me: &aura_choreography::Me) -> Result<RecordKey, Reason> {
    Ok(RecordKey(vec![me.id().0]))
}

/// Asks its host for everything, and sums what it finds.
#[choreography(Asking)]
async fn run(mut s: asking::Start) -> Result<asking::Finished<u64>, Stop> {
    let used = s.invoke(Capability::Sign, |me| Ok(vec![me.id().0])).await?;
    let record = s.read(key).await?;
    let page = s.list(vec![1], None, 9).await?;
    let epoch = s.epoch().await;
    let said: Each<Vec<u8>> = s.signal(Some(5)).await?;
    let earlier = s.peek(asking::SAID_FOUND).await?;
    let (mut s, _) = s
        .found(|me| {
            let used = used.here(me)?.as_ref().map_or(0, |it| it.len());
            let record = record.here(me)?.as_ref().map_or(0, |it| usize::from(it.is_some()));
            let page = page.here(me)?.as_ref().map_or(100, Vec::len);
            let parts = [used, record * 10, page, epoch.here(me)?.0 as usize, said.here(me)?.len()];
            Ok((parts.into_iter().sum::<usize>() as u64, ()))
        })
        .await?;
    let now = s.peek(asking::SAID_FOUND).await?;
    s.log(|me| format!("{:?} {:?}", earlier.here(me).map(Vec::len), now.here(me).map(Vec::len)))
        .await;
    let devices = s.participants();
    let (s, told, _) = s.told(|_, it| Ok((it.iter().map(|it| it.1).sum(), ()))).await?;
    Ok(s.finish(told.zip(devices).map(|(told, devices)| told * 10 + devices.len() as u64)))
}

static ASKING: Asking = Asking;

fn host(_: Dev, call: &HostCall) -> EffectReply {
    match call {
        HostCall::Use { capability, .. } if *capability == Capability::Sign => {
            EffectReply::Used(vec![0; 3])
        }
        HostCall::Read(_) => EffectReply::Record(Some(vec![1])),
        _ => EffectReply::Denied("not here".into()),
    }
}

#[test]
fn a_host_answers_each_device() {
    let mut table = Table::new(&ASKING, 2).with_host(host).start();
    table.signal(0, b"four");
    table.settle();
    // The other one has heard it before it asks.
    table.signal(1, b"two");
    table.settle();
    // 3 of the right, 10 of the record, 100 because listing is denied, the words' lengths.
    assert_eq!(table.agreed::<u64>(&[0, 1]), (117 + 116) * 10 + 2);
    let logs: Vec<_> = table.logs.iter().map(|it| it.1.as_str()).collect();
    assert_eq!(logs, ["Ok(0) Ok(1)", "Ok(1) Ok(2)"]);
}

#[test]
fn a_person_may_say_nothing() {
    let mut table = Table::new(&ASKING, 2).with_host(host).start();
    table.tick(Epoch(5));
    assert!(matches!(table.end(0), Err(Stop::Stalled { .. })));
}

#[test]
fn an_answer_nobody_asked_for_is_refused() {
    let mut table = Table::new(&ASKING, 2).with_host(host).start();
    let refused = table.input(Dev(0), Input::Reply(EffectReply::Used(Vec::new()))).err();
    assert_eq!(refused, Some(Refused::NotAsked));
}

#[test]
fn a_call_under_way_is_known_after_a_restart() {
    let table = Table::new(&ASKING, 2);
    let seat = table.seat(0);
    let mut session = Session::new(&ASKING, seat.clone());
    let call = session.step(Input::Start).unwrap().call;
    assert!(matches!(call, Some(HostCall::Use { .. })));
    let session = Session::restore(&ASKING, seat, &session.snapshot()).unwrap();
    assert_eq!(session.call_under_way(), call.as_ref());
}
