//! A session of five devices after a restart.

use std::{collections::VecDeque, hint::black_box, sync::Arc};

use anyhow::{Context as _, Result, anyhow, ensure};
use aura_choreography::{Dev, Event, Input, Machine, Script, Seat, Session};
use aura_protocol_core::{Epoch, SessionId};
use aura_simulator::{level::device_id, protocols::dkd::Dkd};

use crate::{clock::each, row::Row};

const DEVICES: u8 = 5;
const QUORUM: u8 = 3;
const CALLS: u32 = 50_000;
const GOAL_US: f64 = 2.0;

/// The decider's session: its log is the longest.
pub fn rows() -> Result<Vec<Row>> {
    let session = finished()?;
    let seat = Arc::new(session.seat().clone());
    let (snapshot, log) = (session.snapshot(), session.log().to_vec());
    let restored = Session::restore(&Dkd, Arc::clone(&seat), &snapshot)?;
    ensure!(restored.ended() == session.ended(), "a restored session ended differently");
    let restore = each(CALLS, || {
        Session::restore(&Dkd, Arc::clone(&seat), &snapshot).map(|it| drop(black_box(it)))
    })?;
    let replay = each(CALLS, || {
        drop(black_box(Machine::replay(&Dkd, Arc::clone(&seat), log.clone())));
        anyhow::Ok(())
    })?;
    let what = format!(
        "decider of {DEVICES} at its end: {} bytes, {} answers; no floor: nothing else keeps a \
         session as its answers",
        snapshot.len(),
        log.len()
    );
    Ok(vec![
        Row::at_most("session_restore", (restore * 1e6, "us"), GOAL_US).note(&what),
        Row::at_most("machine_replay", (replay * 1e6, "us"), GOAL_US)
            .note("the same, without decoding and what was heard; copies the log"),
    ])
}

/// The decider's session after all have heard everything.
fn finished() -> Result<Session> {
    let devices: Vec<_> = (0..DEVICES).map(|it| device_id(Dev(it))).collect();
    let script: &'static dyn Script = &Dkd;
    let mut sessions = Vec::new();
    let mut said: VecDeque<Event> = VecDeque::new();
    for dev in 0..DEVICES {
        let id = SessionId::from_bytes([7; 32]);
        let seat = Seat::new(script, id, Dev(dev), Dev(0), devices.clone(), vec![QUORUM])
            .map_err(|reason| anyhow!("no seat: {reason}"))?;
        let mut session = Session::new(script, Arc::new(seat));
        session.observe(Epoch(0));
        said.extend(session.step(Input::Start)?.emit);
        sessions.push(session);
    }
    while let Some(event) = said.pop_front() {
        let others = sessions.iter_mut().filter(|it| it.me() != event.author);
        for session in others.filter(|it| it.ended().is_none()) {
            said.extend(session.step(Input::Event(event.clone()))?.emit);
        }
    }
    ensure!(sessions.iter().all(|it| matches!(it.ended(), Some(Ok(_)))), "a device did not finish");
    sessions.into_iter().next().context("no device")
}
