//! A script at one simulated device.

use std::sync::Arc;

use aura_choreography::{Ask, Body, Dev, Ended, Event, Input, Script, Seat, Session};
use aura_protocol_core::Epoch;

use crate::{
    draw::mix,
    engine::{Heard, Message, Node, Outbox, Waits},
    hosts::Host,
    level::{Table, altered, wanted},
};

/// A session, as it runs on any device.
pub struct Scripted {
    script: &'static dyn Script,
    session: Option<Session>,
    host: Option<Box<dyn Host>>,
    /// What the person here says as soon as it has begun.
    says: Option<Vec<u8>>,
    corrupts: Option<u64>,
    /// How many questions were answered, and since when the next is open.
    answered: usize,
    since: Epoch,
    wake: Option<Epoch>,
}

/// What is durable of a session, and what it asked then.
pub struct Saved {
    bytes: Vec<u8>,
    host: Vec<u8>,
    says: Option<Vec<u8>>,
    pending: Option<Ask>,
    since: Epoch,
}

impl Scripted {
    pub(super) fn new(table: &Table, seat: Option<Arc<Seat>>, corrupts: Option<u64>) -> Self {
        let script = table.script;
        let host = seat.as_ref().map(|it| (table.host)(it, None));
        let session = seat.map(|it| Session::new(script, it));
        let says = table.says.zip(session.as_ref()).map(|(says, it)| says(it.me()));
        Self { script, session, host, says, corrupts, answered: 0, since: Epoch(0), wake: None }
    }

    /// A session after a restart. It asks what it asked before, or something is wrong with replay.
    pub(super) fn restart(
        table: &Table,
        seat: Option<Arc<Seat>>,
        saved: &Saved,
        corrupts: Option<u64>,
    ) -> Result<Self, String> {
        let seat = seat.ok_or_else(|| "a device without a seat".to_owned())?;
        let script = table.script;
        let host = Some((table.host)(&seat, Some(&saved.host)));
        let session = Session::restore(script, seat, &saved.bytes).map_err(|it| it.to_string())?;
        if session.pending() != saved.pending.as_ref() {
            return Err(format!("asked {:?}, asks {:?}", saved.pending, session.pending()));
        }
        let answered = session.log().len();
        let (session, since) = (Some(session), saved.since);
        let says = saved.says.clone();
        Ok(Self { script, session, host, says, corrupts, answered, since, wake: None })
    }

    /// The session.
    #[must_use]
    pub const fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    fn step(&mut self, input: Input, now: Epoch, out: &mut Outbox<Event>) -> Heard {
        let Some(session) = &mut self.session else { return Heard::Refused };
        session.observe(now);
        if session.step_into(input, &mut out.room).is_err() {
            return Heard::Refused;
        }
        loop {
            for event in out.room.emit.drain(..) {
                let event = match self.corrupts {
                    None => event,
                    Some(key) => corrupted(self.script, event, key),
                };
                out.said.push((None, event));
            }
            self.wake = out.room.wake;
            let (Some(call), Some(host)) = (out.room.call.take(), &mut self.host) else { break };
            if session.step_into(Input::Reply(host.reply(&call)), &mut out.room).is_err() {
                break;
            }
        }
        let answered = session.log().len();
        if self.answered != answered {
            (self.answered, self.since) = (answered, now);
        }
        Heard::Taken
    }
}

/// Something else than a device ought to say: sometimes a message, sometimes not.
pub(crate) fn corrupted(script: &dyn Script, event: Event, key: u64) -> Event {
    let key = mix(key ^ event.key());
    let other = if key & 1 == 0 { altered(script, &event, key) } else { None };
    other.unwrap_or_else(|| {
        let body = Body::new(&[event.body.bytes(), &[0xff]].concat());
        Event { body, ..event }
    })
}

impl Node for Scripted {
    type Message = Event;
    type Saved = Saved;

    fn start(&mut self, now: Epoch, out: &mut Outbox<Event>) {
        self.step(Input::Start, now, out);
        if let Some(said) = self.says.take() {
            self.step(Input::Signal(said), now, out);
        }
    }

    fn hear(&mut self, _: Dev, event: &Event, now: Epoch, out: &mut Outbox<Event>) -> Heard {
        self.step(Input::Event(event.clone()), now, out)
    }

    fn clock(&mut self, now: Epoch, out: &mut Outbox<Event>) {
        self.step(Input::Clock(now), now, out);
    }

    fn signal(&mut self, said: &[u8], now: Epoch, out: &mut Outbox<Event>) {
        self.step(Input::Signal(said.to_vec()), now, out);
    }

    fn wake(&self) -> Option<Epoch> {
        self.wake
    }

    fn ended(&self) -> Option<&Ended> {
        self.session.as_ref()?.ended()
    }

    fn save(&self) -> Saved {
        let session = self.session.as_ref();
        Saved {
            bytes: session.map(Session::snapshot).unwrap_or_default(),
            host: self.host.as_ref().map(|it| it.save()).unwrap_or_default(),
            says: self.says.clone(),
            pending: session.and_then(Session::pending).cloned(),
            since: self.since,
        }
    }

    fn waits(&self) -> Option<Waits> {
        let session = self.session.as_ref()?;
        let (what, from) = match session.pending()? {
            Ask::Await { want, .. } => (wanted(self.script, want), want.from),
            Ask::Pause { epochs } => (format!("{epochs} epochs to pass"), Default::default()),
            other => (format!("{other:?}"), Default::default()),
        };
        Some(Waits { what, from, since: self.since })
    }
}
